"""What must hold whoever asks: random questions, few and small, and what is printed of them adds up."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage.cli import run
from tonnage.serve.search.choice import NEARLY, USUAL

MODELS = st.sampled_from(["llama-3.1-8b", "qwen3-30b-a3b", "gpt-oss-20b", "glm-4.7-flash"])
CHIPS = st.sampled_from(["h100-sxm", "h20-96gb", "mi300x", "a100-sxm-80gb", "rtx-pro-6000"])
ENGINES = st.sampled_from(["vllm", "sglang", "trtllm"])
LEAST = NEARLY * (1 - USUAL)
"""Of the best, what a plan may serve for the sake of shorter waits and the engine's defaults."""


def asked(*words: object, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """The JSON of an answer; nothing where the question is refused."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([*(str(word) for word in words), "--json", "-q"])
    assert code in codes, err.getvalue()
    found: dict[str, Any] = json.loads(out.getvalue()) if code != 2 else {}
    return found


def adds_up(memory: dict[str, float]) -> None:
    """The parts are the whole, and the whole is there."""
    parts = [value for name, value in memory.items() if name in PARTS]
    assert sum(parts) == pytest.approx(memory["total"])
    assert memory["total"] <= memory.get("reported", memory["capacity"]) * (1 + 1e-9)


PARTS = ("weights", "kv_cache", "activations", "buffers", "gradients", "optimizer", "slack", "states", "draft")


@given(MODELS, CHIPS, ENGINES, st.sampled_from([1, 2, 8]), st.sampled_from([500, 4000]), st.sampled_from([200, 1000]))
@settings(max_examples=6)
def test_a_service_adds_up_and_starts(model: str, chip: str, engine: str, count: int, isl: int, osl: int) -> None:
    words = ("serve", model, "--on", f"{count}x{chip}", "--engine", engine, "--isl", isl, "--osl", osl)
    found = asked(*words, codes=(0, 1, 2)) if engine == "trtllm" else asked(*words, codes=(0, 1))
    if "requests_per_second" not in found or not found["requests_per_second"]:
        return
    adds_up(found["memory"])
    requests = found["requests_per_second"]
    assert found["output_tokens_per_second_per_accelerator"] * count == pytest.approx(requests * osl)
    assert found["input_tokens_per_second_per_accelerator"] * count == pytest.approx(requests * isl)
    assert sum(found["breakdown"].values()) == pytest.approx(1.0)
    if found["price_per_accelerator"]:
        paid = found["cost_per_million_input_tokens"] * isl + found["cost_per_million_output_tokens"] * osl
        assert paid * requests / 1e6 == pytest.approx(found["price_per_accelerator"] * count)
    assert all(pool["flags"] for pool in found["launch"])  # what the engine refuses is never recommended
    for row in found["alternatives"]:
        assert row["requests_per_second"] <= requests / LEAST
        assert row["tpot"] <= 0.05 + 1e-9 or found["assumed_tpot"] != 0.05
        assert row["ttft"] <= max(found["assumed_ttft"] or 0.0, 2.0) + 1e-9


@given(MODELS, CHIPS, st.sampled_from(["vllm", "sglang"]), st.sampled_from([500, 2000, 6000]))
@settings(max_examples=3)
def test_a_longer_prompt_is_never_served_sooner_nor_more_of_them(model: str, chip: str, engine: str, isl: int) -> None:
    """The same ranks: neither more requests nor an earlier first token; free to choose, not more requests."""
    words = ("serve", model, "--on", f"4x{chip}", "--engine", engine, "--osl", 500, "--tpot", "60ms", "--ttft", "4s")
    some = [asked(*words, "--isl", n, codes=(0, 1)) for n in (isl, 2 * isl)]
    rates = [one.get("requests_per_second") or 0.0 for one in some]
    assert rates[1] <= rates[0] / LEAST
    alone = ("--layout", "tp4", "--concurrency", 4)
    pinned = ("serve", model, "--on", f"4x{chip}", "--engine", engine, "--osl", 500, *alone)
    first, second = (asked(*pinned, "--isl", n, codes=(0, 1)) for n in (isl, 2 * isl))
    if second.get("ttft"):
        assert second["ttft"] >= first["ttft"] and second["requests_per_second"] <= first["requests_per_second"]


@given(MODELS, CHIPS, st.sampled_from([1, 2, 4]))
@settings(max_examples=3)
def test_more_chips_never_serve_less_and_a_lower_price_is_never_dearer(model: str, chip: str, count: int) -> None:
    words = ("serve", model, "--isl", 2000, "--osl", 500, "--tpot", "60ms", "--ttft", "3s")
    few, many = (asked(*words, "--on", f"{n}x{chip}", "--price", "$2/h", codes=(0, 1)) for n in (count, 2 * count))
    if not few.get("requests_per_second"):
        return
    assert many["requests_per_second"] >= LEAST * 2 * few["requests_per_second"]
    cheap = asked(*words, "--on", f"{count}x{chip}", "--price", "$1/h")
    for name in ("cost_per_million_input_tokens", "cost_per_million_output_tokens"):
        assert cheap[name] == pytest.approx(few[name] / 2)
    assert cheap["requests_per_second"] == few["requests_per_second"]


@given(MODELS, CHIPS, ENGINES, st.sampled_from([1, 2, 8]))
@settings(max_examples=5)
def test_a_fit_adds_up_and_longer_sequences_are_never_more(model: str, chip: str, engine: str, count: int) -> None:
    words = ("fit", model, "--on", f"{count}x{chip}", "--engine", engine)
    some = [asked(*words, "--context", n, codes=(0, 1, 2)) for n in (2000, 8000, 32000)]
    some = [one for one in some if one.get("max_batch")]
    for one in some:
        adds_up(one["memory"])
    batches = [one["max_batch"] for one in some]
    assert batches == sorted(batches, reverse=True)


@given(
    st.sampled_from(["llama-3.1-8b", "qwen3-30b-a3b"]),
    st.sampled_from(["h100-sxm", "h20-96gb", "mi300x"]),
    st.sampled_from([8, 24, 64]),
    st.sampled_from([128, 512]),
)
@settings(max_examples=3)
def test_a_training_adds_up_and_more_chips_never_take_longer(model: str, chip: str, count: int, batch: int) -> None:
    words = ("train", model, "--tokens", "10B", "--seq", 4096, "--global-batch", batch)
    some = [asked(*words, "--on", f"{n}x{chip}", codes=(0, 1)) for n in (count, count + 8)]
    for one, n in zip(some, (count, count + 8), strict=True):
        if not one.get("step_time") or one["outcome"] != "feasible":
            return
        adds_up(one["memory"])
        assert sum(one["breakdown"].values()) == pytest.approx(one["step_time"])
        assert one["tokens_per_second_per_accelerator"] * n * one["step_time"] == pytest.approx(4096 * batch)
        assert one["cost"] == pytest.approx(one["price"] * n * one["wall_time"])
        assert one["accelerator_hours"] == pytest.approx(n * one["wall_time"] / 3600)
    rates = [one["tokens_per_second"] for one in some]
    assert all(later >= sooner / 1.03 for sooner, later in itertools.pairwise(rates))
