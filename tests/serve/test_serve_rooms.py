"""Rooms that people report, asked as they ask: sparse attention's workspaces, experts that meet, many ranks."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tonnage import catalog
from tonnage.cli import run
from tonnage.layout import Layout
from tonnage.model import load
from tonnage.serve.replica.engines import ENGINES, engine
from tonnage.serve.replica.memory import gathered_bytes, memory, weight_bytes
from tonnage.serve.replica.spread import room_doubt
from tonnage.serve.replica.workspaces import attention_bytes, workspace_bytes
from tonnage.system import Precision, accelerator, per_die
from tonnage.truth import capacity
from tonnage.truth.shapes import Library

Captured = pytest.CaptureFixture[str]
Ask = Callable[[str], dict[str, Any]]


CATALOG = catalog.load()
GIB = 2.0**30
B200 = "fit deepseek-v4-flash-0731 --on 8xb200-sxm --engine vllm@0.25 --kv fp8 --memory-share 0.95 --context 1048576"
CODER = "fit qwen3-coder-480b-a35b-instruct --weights fp8 --on 8xh20-141gb --engine vllm@0.10.1 --layout tp1,dp8,ep8"


@pytest.mark.parametrize(("layout", "logged"), [("tp8,ep8", 20.43), ("tp1,dp8,ep8", 156.9)])
def test_a_million_tokens_on_eight_b200(ask: Ask, layout: str, logged: float) -> None:
    """vLLM issue 51454: DeepSeek-V4-Flash-0731, a cache of 8 bits, 256 sequences at once, 0.25."""
    found = ask(f"{B200} --layout {layout} --max-running 256")
    assert found["cached_tokens"] / 1_048_576 == pytest.approx(logged, rel=0.04)


def test_two_gh200_are_in_doubt_and_what_is_logged_is_inside(ask: Ask) -> None:
    """vLLM issue 44376: 5.44 GiB are left; what the engine wants of a start with 30,000 tokens is met to the page."""
    words = "fit deepseek-v4-flash --on 2xgh200 --layout tp2,ep2 --kv fp8 --memory-share 0.95 --context 30000 --engine"
    for version in ("vllm", "vllm@0.22 --max-batched-tokens 16384"):
        found = ask(f"{words} {version}")
        assert found["kv_cache_low"] < 5.44 * GIB < found["kv_cache_high"]
        assert found["kv_cache_high"] - found["memory"]["kv_cache"] <= room_doubt(True)
    assert ask(f"{words} vllm@0.22 --max-batched-tokens 16384")["memory"]["kv_cache"] < 1.6 * 5.44 * GIB


def test_150_thousand_tokens_on_two_h20(ask: Ask) -> None:
    """vLLM issue 51041: about 150,000 tokens in 7.7 GiB; bytes of a token times tokens are the gigabytes."""
    found = ask("fit deepseek-v4-flash --on 2xh20-96gb --engine vllm --layout tp2 --kv fp8 --context 121344")
    assert found["cached_tokens"] == pytest.approx(150_992, rel=0.03)
    assert found["memory"]["kv_cache"] == pytest.approx(7.71 * GIB, rel=0.03)


@pytest.mark.parametrize(("share", "gib", "tokens"), [(0.9, 48.66, 205_728), (0.95, 55.65, 235_296)])
def test_replicas_that_meet_in_their_experts_on_eight_h20(ask: Ask, share: float, gib: float, tokens: int) -> None:
    """vllm-project/recipes pull request 12: Qwen3-Coder-480B-A35B in FP8, eight replicas, 0.10.1."""
    found = ask(f"{CODER} --memory-share {share}")
    assert found["memory"]["kv_cache"] == pytest.approx(gib * GIB, rel=0.04)
    assert found["max_context"] == pytest.approx(tokens, rel=0.04)


def test_kimi_k2_5_on_eight_rtx_pro_6000(ask: Ask) -> None:
    """voipmonitor/rtx6kpro: about 190,000 tokens in 16 bits; its neighbours on the page state share 0.93 and steps of
    4,096. Asked without, it is inside what is said."""
    words = "fit kimi-k2.5 --on 8xrtx-pro-6000 --layout tp8 --engine"
    said = ask(f"{words} vllm@0.20 --memory-share 0.93 --max-batched-tokens 4096")
    assert said["cached_tokens"] == pytest.approx(190_000, rel=0.08)
    bare = ask(f"{words} vllm")
    assert bare["kv_cache_low"] < 190_000 * 61 * 576 * 2 < bare["kv_cache_high"]


@pytest.mark.parametrize(
    "words",
    [
        "deepseek-v4-flash --on 2xh200-sxm --engine vllm --layout tp2 --kv fp8",
        "deepseek-v4-flash --on 4xh200-sxm --engine sglang --kv fp8",
        "gemma-4-31b-it --on 1xh100-sxm --engine vllm",
        "gpt-oss-120b --on 1xh100-sxm --engine vllm@0.20",
        "qwen3-next-80b-a3b-instruct --on 2xh200-sxm --engine vllm",
        "kimi-linear --on 2xh100-sxm --engine vllm",
    ],
)
def test_bytes_of_a_token_times_tokens_are_the_cache_at_every_context(ask: Ask, words: str) -> None:
    found = ask(f"fit {words}")
    replicas = int(found["layout"].get("dp", 1) or 1) * int(found["layout"].get("instances", 1) or 1)
    points = found["curve"]
    assert len(points) >= 4
    for point in points:
        assert point["token_bytes"] * point["tokens"] / replicas == pytest.approx(found["memory"]["kv_cache"], rel=1e-6)


@functools.cache
def library() -> Library:
    return Library(CATALOG)


def test_no_start_that_failed_for_want_of_memory_is_called_room_enough() -> None:
    """No false yes: of no logged start more is said to be there than was, by more than what is in doubt, but where the
    log's own note says what took it."""
    for log in capacity.read_logs(library()):
        if log.what != "room":
            continue
        made, found = capacity._started(log.row, library()), capacity.predict(log, library())
        doubt = room_doubt(log.name.startswith("DeepSeek-V4"))
        over = made.pool * (1.0 - log.printed / found)
        assert over <= doubt or (log.outlier and log.note) or (over <= 3.6 * GIB and log.note), (log.name, over / GIB)


def test_no_room_at_all_is_never_a_yes(capsys: Captured) -> None:
    """gpt-oss-120b on one H100 at the defaults of 0.10 had -2.14 GiB left (vLLM issue 23278)."""
    assert run(shlex.split("fit gpt-oss-120b --on 1xh100-sxm --engine vllm@0.10 --memory-share 0.9")) == 1
    assert "0.10 rules" in capsys.readouterr().out


def test_an_index_is_gathered_for_forty_of_the_longest_sequences() -> None:
    """GLM-5.2 at 819,200 tokens: 40 x 132 bytes of each, and 512 MiB of scores beside a forward pass of 8,192 (a log on
    four GB200: 6.31 GiB of peak)."""
    arch = load("glm-5.2", CATALOG)
    set_aside = float(workspace_bytes(arch, 8192.0, 819_200.0))
    assert set_aside == 40 * 819_200 * 132 + 2**20
    beside = float(attention_bytes(arch, Layout(tp=4), 8192.0))
    assert beside == 512 * 2**20
    assert (set_aside + beside) / GIB < 6.31 < (set_aside + beside) / GIB + 3.0


def test_entries_that_close_by_four_are_gathered_a_quarter_as_many() -> None:
    arch = load("deepseek-v4-flash", CATALOG)
    near, far = (float(workspace_bytes(arch, 8192.0, longest)) for longest in (131_072.0, 1_048_576.0))
    assert far - near == pytest.approx(40 * 917_504 / 4 * 132, rel=0.02)
    assert float(workspace_bytes(arch, 0.0)) == 0.0


def test_only_vllm_sets_it_aside() -> None:
    arch, die = load("deepseek-v3.2", CATALOG), per_die(accelerator("b200-sxm", CATALOG))
    made = {
        name: memory(arch, die, Precision(linear="fp8"), Layout(tp=8, ep=8), engine(name), context=8192, tokens=8192)
        for name in ("vllm", "sglang")
    }
    more = float(made["vllm"].activations) - float(made["sglang"].activations)
    assert more >= float(workspace_bytes(arch, 8192.0)) > 0.8e9


def test_products_in_eight_bits_take_copies_of_what_they_multiply() -> None:
    arch, layout = load("qwen3-coder-480b-a35b-instruct", CATALOG), Layout(dp=8, ep=8)
    die = per_die(accelerator("h20-141gb", CATALOG))
    wide, narrow = (
        float(gathered_bytes(arch, die, Precision(linear=form, experts=form), layout, 8192.0, ENGINES["vllm"]))
        for form in ("bf16", "fp8")
    )
    assert narrow - wide == 32_768 * (6144 + 8 * 2560)
    old = per_die(accelerator("a100-sxm-80gb", CATALOG))
    assert float(gathered_bytes(arch, old, Precision(linear="fp8"), layout, 8192.0, ENGINES["vllm"])) == wide


def test_sglang_cuts_dense_layers_and_the_head_over_all_ranks_of_replicas() -> None:
    """DeepSeek-V3.2 over eight replicas: 3 dense layers of 3 x 7,168 x 18,432 and a head of 129,280 x 7,168 go eight
    ways, 4.8 GB in 16 bits; vLLM repeats them."""
    arch, layout = load("deepseek-v3.2", CATALOG), Layout(dp=8, ep=8)
    repeated, cut = (float(weight_bytes(arch, Precision(), layout, wide=engine(e).wide)) for e in ("vllm", "sglang"))
    assert repeated - cut == 2 * 7 / 8 * (3 * 3 * 7168 * 18_432 + 129_280 * 7168)
    alone = replace(layout, dp=1, ep=1)
    assert np.isclose(
        float(weight_bytes(arch, Precision(), alone, wide=("ffn", "head"))),
        float(weight_bytes(arch, Precision(), alone)),
    )
