"""What is not explained lies inside what is said of it: rooms in bytes, crowded mixtures in rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tonnage import catalog
from tonnage.serve.replica import compressed
from tonnage.serve.replica.spread import CROWD, CROWDED, crowded, room_doubt
from tonnage.truth import capacity
from tonnage.truth.shapes import Library

Captured = pytest.CaptureFixture[str]
Ask = Callable[[str], dict[str, Any]]


GIB = 2.0**30
TABLE = "serve gpt-oss-120b --engine trtllm --isl 1024 --osl 1024 --tpot none"


@pytest.mark.parametrize(
    ("words", "logged"),
    [
        # vllm #44376: 5.44 GiB are left of two GH200 at 0.95
        (
            "deepseek-v4-flash --on 2xgh200 --engine vllm@0.22 --layout tp2,ep2 --kv fp8 --memory-share 0.95 "
            "--context 30000",
            5.44 * GIB,
        ),
        # rtx6kpro notes: about 190k tokens of 70,272 bytes
        ("kimi-k2.5 --on 8xrtx-pro-6000 --engine vllm --layout tp8", 190_000 * 70_272),
        # vllm recipes PR 12
        (
            "qwen3-coder-480b-a35b-instruct --weights fp8 --on 8xh20-141gb --engine vllm@0.10.1 --layout tp1,dp8,ep8 "
            "--memory-share 0.9",
            48.66 * GIB,
        ),
        # club-3090 #1087
        (
            "qwen3.6-27b --weights fp8 --kv fp8 --on 2xrtx-5090 --engine vllm --layout tp2 --memory-share 0.92",
            12.26 * GIB,
        ),
        # vllm #51041
        ("deepseek-v4-flash --on 2xh20-96gb --engine vllm --layout tp2 --kv fp8 --context 121344", 7.7 * GIB),
    ],
)
def test_a_logged_room_is_inside_what_is_said_of_it(ask: Ask, words: str, logged: float) -> None:
    found = ask(f"fit {words}")
    assert found["kv_cache_low"] < logged < found["kv_cache_high"]
    assert found["kv_cache_low"] < found["memory"]["kv_cache"] < found["kv_cache_high"]


def test_nine_logged_rooms_in_ten_are_inside() -> None:
    """The constants are what the logs say: neither wider nor narrower than they need."""
    library = Library(catalog.load())
    off: dict[bool, list[float]] = {True: [], False: []}
    for log in capacity.read_logs(library):
        if log.what == "room":
            started, made = capacity._started(log.row, library), capacity.predict(log, library)
            off[compressed.kept(started.arch)].append(abs(1.0 - log.printed / made) * started.pool)
    assert sum(one <= room_doubt(False) for one in off[False]) == 45
    assert np.quantile(off[False], 0.9) == pytest.approx(room_doubt(False), rel=0.06)
    assert 0.5 * room_doubt(True) < max(off[True]) < room_doubt(True)
    assert (len(off[False]), len(off[True])) == (50, 6)


@pytest.mark.parametrize(
    ("words", "published"),
    [
        (f"{TABLE} --on 1xh200-sxm", 6798.0),
        (f"{TABLE} --on 4xh100-sxm --layout tp1,dp4,ep4", 4715.0),
        # NVIDIA's headline for GB200 NVL72, 1.5M tokens/s of 72
        ("serve gpt-oss-120b --on 8xb200-sxm --engine trtllm --isl 1024 --osl 1024", 20_800.0),
    ],
)
def test_crowded_mixtures_are_extrapolated_and_wide(ask: Ask, words: str, published: float) -> None:
    found = ask(words)
    name = "output_tokens_per_second_per_accelerator"
    assert found["batch_per_accelerator"] > CROWDED
    assert found["evidence"] == "extrapolated"
    assert found[f"{name}_low"] < published < found[f"{name}_high"]


@pytest.mark.parametrize(
    ("words", "published"),
    [
        ("serve gpt-oss-120b --on 1xh200-sxm --engine trtllm --isl 8192 --osl 1024 --tpot none", 1828.0),
        ("serve gpt-oss-120b --on 1xb200-sxm --engine trtllm --isl 1024 --osl 1024 --concurrency 256", 14_013.0),
    ],
)
def test_at_the_load_of_published_services_it_is_as_before(ask: Ask, words: str, published: float) -> None:
    found = ask(words)
    name = "output_tokens_per_second_per_accelerator"
    assert found["evidence"] == "interpolated"
    assert found[f"{name}_low"] < published < found[f"{name}_high"]
    assert np.log(found[f"{name}_high"] / found[name]) / 1.645 < CROWD


def test_dense_models_are_never_crowded() -> None:
    assert crowded(True, 257) and not crowded(True, 256) and not crowded(False, 4096) and not crowded(True, None)


def test_one_request_at_a_time_on_an_a100(ask: Ask) -> None:
    """Qwen3-1.7B, 2,048 and 128 tokens: 30.9 ms to the first and 5.0 ms between tokens."""
    found = ask("serve qwen3-1.7b --on 1xa100-sxm-80gb --engine vllm --isl 2048 --osl 128 --concurrency 1")
    assert found["ttft_low"] < 0.0309 < found["ttft_high"]
    assert found["tpot_low"] < 0.005 < found["tpot_high"]
