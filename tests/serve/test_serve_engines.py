"""What an engine refuses is not chosen: chips, experts, stages with drafts, servers; and it is told."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest

from tonnage import catalog
from tonnage.catalog.capabilities import SERVER, capabilities, in_server
from tonnage.errors import InputError
from tonnage.export import launches
from tonnage.layout import Layout
from tonnage.model import load
from tonnage.serve import LateLimit, ServeJob, Speculation, fit, plan
from tonnage.serve.replica.engines import ENGINES, Startup, engine, fills, redundant, starting_on
from tonnage.serve.replica.memory import weight_bytes
from tonnage.serve.result import ServePlan
from tonnage.system import Precision, System, accelerator

CATALOG = catalog.load()
R1 = load("deepseek-r1", CATALOG)
QWEN = load("qwen3-30b-a3b", CATALOG)
DENSE = load("qwen3-8b", CATALOG)
LLAMA = load("llama-3.1-70b", CATALOG)


def chip(name: str, count: int) -> System:
    return System(accelerator(name, CATALOG), count)


def served(arch: Any, on: System, layout: dict[str, int] | None = None, **asked: Any) -> ServePlan:
    return plan(ServeJob(**{"arch": arch, "isl": 4096.0, "osl": 1024.0, "tpot": 0.05, **asked}), on, layout)


def test_every_engine_has_capabilities_with_a_release_and_a_source() -> None:
    known = capabilities().engines
    assert set(known) == set(ENGINES)
    for one in known.values():
        assert one.version and one.source and one.stacks and one.read <= datetime.date(2026, 12, 31)
    assert in_server("gb200") == 4 and in_server("h200-sxm") == SERVER == 8 and in_server("gh200") == 1


@pytest.mark.parametrize(
    ("name", "on", "others"),
    [
        ("trtllm", "mi300x", "vllm, sglang, atom"),
        ("trtllm", "ascend-910c", "sglang, vllm-ascend"),
        ("atom", "h20", "vllm, sglang, trtllm"),
        ("atom", "ascend-910c", "vllm-ascend"),
        ("vllm-ascend", "h20", "vllm, sglang"),
        ("vllm-ascend", "mi300x", "atom"),
        ("vllm", "ascend-910c", "vllm-ascend"),
        ("sglang", "tpu-v6e", "vllm"),
    ],
)
def test_an_engine_that_does_not_run_on_a_chip_is_refused_with_those_that_do(name: str, on: str, others: str) -> None:
    for asked in (lambda: served(DENSE, chip(on, 8), engine=name), lambda: fit(DENSE, chip(on, 8), engine_name=name)):
        with pytest.raises(InputError, match="does not run on") as raised:
            asked()
        assert all(other in str(raised.value) for other in others.split(", "))
        assert raised.value.problems[0].path == "engine"


@pytest.mark.parametrize(("name", "on"), [("trtllm", "h20"), ("atom", "mi300x"), ("vllm-ascend", "ascend-910c")])
def test_an_engine_at_home_serves(name: str, on: str) -> None:
    assert served(DENSE, chip(on, 8), engine=name).outcome.feasible


@pytest.mark.parametrize(
    ("arch", "layout", "why"),
    [
        (QWEN, {"ep": 7}, "nearest: ep8"),
        (QWEN, {"ep": 3}, "nearest: ep2, ep4"),
        (R1, {"ep": 7}, "nearest: ep8"),
        (QWEN, {"tp": 2, "pp": 4, "ep": 3}, "needs 12 ranks, there are 8"),
        (QWEN, {"tp": 2, "ep": 3}, "nearest: ep2, ep4"),
        (QWEN, {"tp": 4, "ep": 6}, "nearest: ep4"),
        (DENSE, {"ep": 999999}, "dense model has no experts"),
        (DENSE, {"ep": 2}, "dense model has no experts"),
        (DENSE, {"etp": 2}, "dense model has no experts"),
        (QWEN, {"ep": 999999}, "needs 999,999 ranks"),
        (DENSE, {"tp": 16}, "needs 16 ranks, there are 8"),
    ],
)
def test_experts_over_ranks_that_a_layout_has_not_are_refused_with_the_nearest(
    arch: Any, layout: dict[str, int], why: str
) -> None:
    for asked in (lambda: served(arch, chip("h20", 8), layout), lambda: fit(arch, chip("h20", 8), None, None, layout)):
        with pytest.raises(InputError, match=why):
            asked()


@pytest.mark.parametrize("layout", [{"ep": 1}, {"ep": 8}, {"tp": 2, "ep": 8}, {"tp": 8, "ep": 4}, {"tp": 4, "dp": 2}])
def test_experts_over_ranks_that_a_layout_has_are_served(layout: dict[str, int]) -> None:
    found = served(QWEN, chip("h20", 8), layout)
    assert found.outcome.feasible and found.pool is not None
    own = found.pool.layout
    assert own.tp * own.dp == own.ep * own.etp


def test_copies_of_experts_fill_up_ranks_and_their_memory_is_counted() -> None:
    assert redundant(Layout(ep=np.array([1, 8, 144, 160, 320, 3])), 256).tolist() == [0, 0, 32, 64, 64, 2]
    how = Precision(linear="fp8_block", cache="bf16")

    def held(ep: int) -> float:
        return float(weight_bytes(R1, how, Layout(tp=1, dp=ep, ep=ep)))

    each = (held(64) - held(128)) / 2  # of one expert in every layer: 4 against 2 on a rank
    assert held(144) == pytest.approx(held(128))  # 288 slots: two each, as 256 over 128
    assert held(96) == pytest.approx(held(128) + each)  # 288 slots: three each
    assert held(64) == pytest.approx(held(128) + 2 * each)


def test_the_published_decode_on_144_ranks_is_told_its_copies() -> None:
    found = served(R1, chip("h800-sxm", 144), {"tp": 1, "ep": 144}, mode="decode")
    (row,) = launches(found)
    assert row.flags is not None and "--ep-size 144 --ep-num-redundant-experts 32" in row.flags
    assert row.nodes == 18 and row.why is not None and "32 redundant experts" in row.why


def test_an_engine_without_copies_takes_degrees_that_divide() -> None:
    layouts = Layout(dp=np.array([8, 24, 72]), ep=np.array([8, 24, 72]))
    start = Startup(experts=256)
    assert ENGINES["atom"].runs(layouts, start=start).tolist() == [True, False, False]
    assert ENGINES["sglang"].runs(layouts, start=start).tolist() == [True, True, True]
    assert "divide" in (ENGINES["atom"].refuses(layouts.at(1), start=start) or "")


@pytest.mark.parametrize("name", ["sglang", "vllm"])
@pytest.mark.parametrize(("model", "tokens", "rate"), [("deepseek-r1", 1.0, 0.85), ("llama-3.1-70b", 3.0, 0.7)])
def test_drafts_never_run_over_stages(name: str, model: str, tokens: float, rate: float) -> None:
    arch = load(model, CATALOG)
    drafts = Speculation(tokens, rate, "mtp" if arch.mtp else "draft")
    for limits in ({"tpot": 0.02}, {"tpot": 0.2}, {"tpot": None, "mode": "disaggregated"}):
        found = served(arch, chip("h200-sxm", 32), engine=name, speculative=drafts, **limits)
        assert found.outcome.feasible
        assert all(int(one.layout.pp) == 1 for one in found.instances)
        assert all(row.flags for row in launches(found))


def test_what_the_refused_would_bring_is_told() -> None:
    drafts = Speculation(3.0, 0.7, "draft")
    found = served(LLAMA, chip("h200-sxm", 8), weights="fp8", engine="vllm", speculative=drafts, thorough=True)
    assert found.refused is not None and "pipeline stages" in found.refused.why
    assert found.refused.row.requests > (found.requests_per_second or 0.0)
    plain = served(LLAMA, chip("h200-sxm", 8), weights="fp8", engine="vllm", thorough=True)
    assert plain.refused is None


def test_ranks_fill_servers() -> None:
    sizes = np.array([1, 2, 3, 4, 6, 7, 8, 12, 16, 24, 30, 144])
    assert fills(sizes, 8, 144).tolist() == [
        True,
        True,
        False,
        True,
        False,
        False,
        True,
        False,
        True,
        True,
        False,
        True,
    ]
    assert fills(np.array([1, 2, 3, 6, 4]), 8, 6).tolist() == [True, True, True, True, True]  # six of a server of eight
    assert fills(np.array([4, 8, 12, 72, 6]), 4, 72).tolist() == [True, True, True, True, False]  # trays of four


@pytest.mark.parametrize("count", [12, 20, 29, 30])
@pytest.mark.parametrize("on", ["h20", "mi300x"])
def test_no_instance_lies_on_parts_of_servers(on: str, count: int) -> None:
    found = served(R1, chip(on, count))
    for one in found.instances:
        assert one.server == 8 and bool(fills(one.ranks, 8, count))


def test_attention_and_ffn_apart_are_chosen_as_the_plugin_runs_them() -> None:
    v3 = load("deepseek-v3", CATALOG)
    found = served(v3, chip("h800-sxm", 128), mode="afd", thorough=True)
    assert found.ffn is not None and found.ffn.micro_batches <= 2 and found.engine == "vllm"
    rows = launches(found)
    assert all(row.flags for row in rows)
    attention, ffn = found.instances
    assert attention.ranks >= ffn.ranks and 256 % int(ffn.layout.ep) == 0
    assert found.refused is not None and "micro-batches" in found.refused.why
    with pytest.raises(InputError, match="no plugin"):
        served(v3, chip("h800-sxm", 128), mode="afd", engine="sglang")


def test_fixed_sides_that_the_plugin_does_not_run_are_priced_and_say_why() -> None:
    job = ServeJob(load("deepseek-v3", CATALOG), 4096.0, 1024.0, tpot=0.1, mode="afd", micro_batches=2)
    found = plan(job, chip("h800-sxm", 64), ffn_fixed={"tp": 1, "dp": 24, "ep": 24})
    assert found.ffn is not None and int(found.ffn.pool.layout.ep) == 24
    rows = {row.role: row for row in launches(found)}
    assert rows["ffn"].flags is None and "do not divide over 24" in (rows["ffn"].why or "")


def test_the_engine_of_a_chip_is_the_usual_or_one_that_runs_there() -> None:
    def name(on: str, *, afd: bool = False) -> str:
        return starting_on(None, accelerator(on, CATALOG), afd=afd).name

    assert name("h20") == "sglang" and name("h20", afd=True) == "vllm"
    assert name("ascend-910c", afd=True) == "vllm-ascend" == name("ascend-910c")
    assert name("gaudi3") == name("trainium2") == name("tpu-v6e") == "vllm"  # sglang does not run there
    assert engine(None, "synapse").name == "sglang"  # for runs of others that do not say
    found = served(DENSE, chip("gaudi3", 8))
    assert found.engine == "vllm" and all(row.flags for row in launches(found))


def test_a_point_whose_first_token_is_unknown_does_not_win() -> None:
    found = served(LLAMA, chip("rtx-pro-6000", 4), weights="fp8", engine="vllm", thorough=True)
    assert found.outcome.feasible and found.ttft is not None
    assert all(row.ttft is not None for row in (*found.alternatives, *found.frontier))


@pytest.mark.parametrize("mode", ["aggregated", "disaggregated"])
def test_limits_on_late_first_tokens_hold(mode: str) -> None:
    on = chip("h200-sxm", 32)
    free = served(R1, on, mode=mode)
    held = served(R1, on, mode=mode, late=(LateLimit("ttft", 0.99, 1.5),))
    assert free.speed.late is not None and free.speed.late.p99 > 1.5
    assert held.outcome.feasible and held.speed.late is not None and held.speed.late.p99 <= 1.5 * (1 + 1e-6)
    assert (held.requests_per_second or 0.0) < (free.requests_per_second or 0.0)


def test_limits_on_late_tokens_are_tighter_than_on_the_mean() -> None:
    on = chip("h200-sxm", 16)
    mean = served(R1, on, mode="aggregated")
    late = served(R1, on, mode="aggregated", late=(LateLimit("tpot", 0.99, 0.05),))
    assert mean.tpot is not None and late.tpot is not None and late.tpot.value < 0.05
    assert late.tpot.value <= mean.tpot.value and (late.requests_per_second or 0) <= (mean.requests_per_second or 0)
    apart = served(R1, on, mode="decode", late=(LateLimit("tpot", 0.99, 0.05),))
    assert apart.requests_per_second == served(R1, on, mode="decode").requests_per_second  # nobody prefills in between


def test_late_limits_that_cannot_be_kept_name_what_can() -> None:
    found = served(R1, chip("h20", 16), late=(LateLimit("ttft", 0.99, 0.1),))
    assert not found.outcome.feasible and found.outcome.reason == "late"
    assert "--ttft-p99" in (found.outcome.binds[0].lift or "")
    for asked in ({"concurrency": 8.0}, {"mode": "decode"}, {"mode": "prefill", "tpot": None}):
        with pytest.raises(InputError, match="percentile"):
            served(R1, chip("h20", 16), late=(LateLimit("ttft", 0.99, 1.0),), **asked)


def test_the_frontier_has_the_chosen_point_and_alternatives_are_other_services() -> None:
    found = served(R1, chip("h200-sxm", 32), tpot=0.03, ttft=2.0, mode="disaggregated", thorough=True)
    (mine,) = [row for row in found.frontier if row.chosen]
    assert mine.requests == pytest.approx(found.requests_per_second) and mine.layout == found.layout_text
    assert mine.prefill_layout == found.prefill_layout_text
    kinds = [(row.mode, row.layout.partition(" x ")[0]) for row in found.alternatives]
    assert len(kinds) == len(set(kinds)) and (found.mode, found.layout_text.partition(" x ")[0]) not in kinds


def test_a_prefill_layout_that_there_are_no_ranks_for_is_wrong() -> None:
    small = load("qwen3-0.6b", CATALOG)
    for count, layout, why in (
        (1, {"tp": 8}, "needs 8 ranks"),
        (2, {"tp": 7}, "does not divide"),
        (2, {"tp": 8}, "needs 8"),
    ):
        with pytest.raises(InputError, match=why) as raised:
            plan(ServeJob(small, 4096.0, 1024.0), chip("h20", count), None, layout)
        assert raised.value.problems[0].path == "prefill_layout"
    with pytest.raises(InputError, match="concurrency"):
        plan(ServeJob(small, 4096.0, 1024.0, concurrency=4.0), chip("h20", 4), None, {"tp": 1})
