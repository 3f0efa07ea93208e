"""Flags of engines, from an instance that nobody planned."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from tonnage.export import launch
from tonnage.layout import Layout
from tonnage.serve import Instance

ONE = Instance("serve", "h200-sxm", "NVIDIA", "sglang", Layout(tp=2, dp=4, ep=8), 1, "fp8", "fp8", 10.5, 4096)


def test_sglang_counts_over_replicas_and_vllm_for_each() -> None:
    told = launch(ONE).flags
    assert told is not None and "--chunked-prefill-size 16384" in told and "--max-running-requests 44" in told
    told = launch(replace(ONE, engine="vllm")).flags
    assert told is not None and "--max-num-batched-tokens 4096" in told and "--max-num-seqs 11" in told


def test_a_share_of_the_memory_and_drafts_are_told() -> None:
    for engine, share in (("sglang", "--mem-fraction-static 0.8"), ("vllm", "--gpu-memory-utilization 0.8")):
        told = launch(replace(ONE, engine=engine, memory_share=0.8, drafts=2, own_layers=True)).flags
        assert told is not None and share in told and "DRAFT_MODEL" not in told
        assert shlex.split(told)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"layout": Layout(tp=2, cp=2)}, "cp"),
        ({"engine": "trtllm"}, "enable_attention_dp"),
        ({"engine": "vllm", "kv": "int8"}, "int8"),
        ({"engine": "vllm", "layout": Layout(tp=8, ep=4, etp=2)}, "deals experts"),
        ({"engine": "atom"}, "not known here"),
    ],
)
def test_what_an_engine_cannot_be_told_has_a_reason(changes: dict[str, object], why: str) -> None:
    found = launch(replace(ONE, **changes))  # type: ignore[arg-type]
    assert found.flags is None and found.why is not None and why in found.why
