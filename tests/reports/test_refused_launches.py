"""What engines refuse to start, as public threads have it: each is answered No, and its neighbour that starts Yes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tonnage import catalog
from tonnage.catalog.capabilities import capabilities
from tonnage.serve.replica.engines import ENGINES
from tonnage.system import accelerator

Ask = Callable[..., dict[str, Any]]
Release = Callable[..., Path]

BLOCKS = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
GIB = 2.0**30


@pytest.mark.parametrize(
    ("model", "engine", "bad", "good"),
    [
        # sglang #26107: shared experts of 1,280; vllm PR 52915: experts of 512
        ("step-3.5-flash", "sglang", "8xh100-sxm --layout tp8,ep1", "4xh200-sxm --layout tp2,pp2,ep1"),
        ("qwen3.6-35b-a3b", "vllm", "8xh100-sxm --layout tp8,ep1", "4xh100-sxm --layout tp4,ep1"),
    ],
)
def test_blocks_of_fp8_scales_are_not_cut(
    ask: Ask, release: Release, model: str, engine: str, bad: str, good: str
) -> None:
    """A rank that would hold a part of a block of 128 is refused while the model is loaded."""
    folder = release(model, quantization_config=BLOCKS)
    found = ask(f"fit {folder} --engine {engine} --on {bad}", 1)
    assert "whole blocks of 128" in found["binds"][0]["text"] and found["binds"][0]["what"] == "layout"
    assert ask(f"fit {folder} --engine {engine} --on {good}")["outcome"] == "feasible"


def test_a_search_does_not_choose_a_layout_that_cuts_blocks(ask: Ask) -> None:
    """vllm #17569: Qwen3-235B in FP8 over eight ranks deals its experts out instead."""
    words = "serve qwen3-235b-a22b-fp8 --on 8xh100-sxm --engine vllm --isl 1k --osl 1k --concurrency 16"
    assert ask(words)["layout"]["etp"] < 8
    found = ask(f"{words} --layout tp8,ep1", 1)
    assert "does not start" in found["binds"][0]["text"] and found["refused"]


def test_drafts_over_pipeline_stages_are_refused(ask: Ask) -> None:
    """recipes #875: GLM-5.2 with five drafts over two stages."""
    words = "serve glm-5.2 --weights fp8 --on 16xh100-sxm --engine vllm --layout tp8,pp2 --concurrency 4"
    assert ask(words)["outcome"] == "feasible"
    assert "does not draft" in ask(f"{words} --speculate 5", 1)["binds"][0]["text"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("deepseek-v3.2 --on 16xa100-sxm-80gb --engine vllm", "attention that chooses its keys"),
        ("glm-5 --weights nvfp4 --on 8xrtx-pro-6000 --engine vllm@0.19.1", "attention that chooses its keys"),
        ("gpt-oss-20b --on 4xt4 --engine vllm", "weights in mxfp4"),
        ("qwen3-4b --weights fp8 --on 1xt4 --engine vllm", "weights in fp8"),
        ("qwen3-8b --on 2xv100-sxm2-32gb --engine sglang", "any model"),
        ("qwen3-32b --weights fp8 --on 4xascend-910b2 --engine vllm-ascend", "weights in fp8"),
        ("deepseek-r1 --weights nvfp4 --on 8xh200-sxm --engine trtllm", "weights in nvfp4"),
    ],
)
def test_what_an_engine_does_not_start_on_a_generation(ask: Ask, words: str, says: str) -> None:
    for verb in ("fit", "serve"):
        found = ask(f"{verb} {words}", 1)
        assert found["binds"][0]["what"] == "engine" and says in found["binds"][0]["text"]


@pytest.mark.parametrize(
    "words",
    [
        "deepseek-v3.2 --on 16xa100-sxm-80gb",  # no engine is named: others may start it
        "deepseek-v3.2 --on 8xh200-sxm --engine vllm",
        "glm-5 --weights nvfp4 --on 8xrtx-pro-6000 --engine vllm@0.25",
        "qwen3-8b --weights fp8 --on 1xa100-sxm-80gb --engine vllm",
        "qwen3-4b --on 1xt4 --engine vllm",
        "deepseek-r1 --on 32xascend-910b2 --engine vllm-ascend",
    ],
)
def test_what_it_starts_elsewhere(ask: Ask, words: str) -> None:
    assert ask(f"fit {words}")["outcome"] == "feasible"


def test_refusals_name_engines_and_generations_that_are_known() -> None:
    known = catalog.load()
    generations = {accelerator(name, known).generation for name in ("v100-sxm2-32gb", "t4", "a100-sxm-80gb", "l4")}
    generations |= {accelerator(name, known).generation for name in ("h100-sxm", "rtx-5090", "ascend-910b2")}
    for one in capabilities().refusals:
        assert one.engine in ENGINES and one.source.count("http")
        assert set(one.generations) <= generations | {"ascend-910"}


def test_a_page_of_states_for_each_sequence(ask: Ask) -> None:
    """vllm PR 38270: since 0.19 it stops where more sequences may run than there are pages; told before, it is No."""
    words = "fit qwen3.6-27b --on 1xh100-sxm --context 32768"
    found = ask(f"{words} --engine vllm@0.25")
    assert 200 < found["starts_with"] < found["max_running"]
    assert ask(f"{words} --engine vllm@0.25 --running {found['starts_with']}")["outcome"] == "feasible"
    assert "a page of states" in ask(f"{words} --engine vllm@0.25 --running 1024", 1)["binds"][0]["text"]
    assert ask(f"{words} --engine vllm@0.18")["starts_with"] is None
    assert ask(f"{words} --engine vllm@0.25 --eager")["starts_with"] is None


def test_drafts_take_weights_and_states(ask: Ask) -> None:
    """The model's own layer that drafts is loaded, and each draft keeps a state."""
    words = "fit qwen3.8-27b --weights fp8 --kv fp8 --on 1xrtx-pro-6000 --engine vllm --context 65536"
    plain, drafting = ask(words), ask(f"{words} --speculate 3")
    assert drafting["memory"]["weights"] > plain["memory"]["weights"] + 0.3e9
    assert drafting["cached_tokens"] < plain["cached_tokens"]


def test_fp8_weights_stay_8_bits_on_ampere(ask: Ask) -> None:
    """MiniMax-M2.7 on four A100: the kernel widens the weights, the memory holds them in FP8."""
    found = ask("fit minimax-m2.7 --on 4xa100-sxm-80gb --engine vllm --layout tp4 --context 32768")
    assert found["weights"] == "w8a16" and found["memory"]["weights"] < 60e9


@pytest.mark.parametrize(("chip", "seen"), [("l40s", 44.53), ("t4", 14.58), ("dgx-spark", 121.69), ("rtx-5090", 31.35)])
def test_memory_is_what_programs_find(ask: Ask, chip: str, seen: float) -> None:
    """Check bits and drivers take a part of what is sold."""
    found = ask(f"fit qwen3-0.6b --on 1x{chip} --engine vllm --context 4096")
    assert found["memory"]["reported"] == pytest.approx(seen * GIB, rel=1e-3)
