"""What an engine is told, and the questions around a plan: fewest accelerators, formats left open."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from tonnage import catalog
from tonnage.errors import InputError
from tonnage.export import launches
from tonnage.layout import Layout
from tonnage.model import load
from tonnage.serve import ServeJob, Speculation, plan, plan_mixed
from tonnage.serve.replica.engines import ENGINES
from tonnage.serve.result import ServePlan
from tonnage.serve.search.choice import NEARLY, USUAL
from tonnage.system import System, accelerator

CATALOG = catalog.load()
R1 = load("deepseek-r1", CATALOG)
LLAMA = load("meta-llama/Llama-3.1-8B", CATALOG)
H200 = accelerator("h200", CATALOG)
H20 = accelerator("h20", CATALOG)
H100 = accelerator("h100-sxm", CATALOG)


def served(layout: dict[str, int] | None = None, prefill: dict[str, int] | None = None, **asked: Any) -> ServePlan:
    count = asked.pop("count", 16)
    job = ServeJob(**{"arch": R1, "isl": 4096.0, "osl": 1024.0, "tpot": 0.05, **asked})
    return plan(job, System(H200, count), layout, prefill)


def launched(found: ServePlan) -> list[dict[str, Any]]:
    return [row.to_json(chip=bool(found.shares)) for row in launches(found)]


def numbers(flags: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"--([a-z-]+) (\d+)", flags)}


def test_sglang_is_told_the_ranks_the_step_and_the_batch_of_all_replicas_together() -> None:
    found = served({"tp": 2, "dp": 8, "ep": 16}, engine="sglang")
    flags = launched(found)[0]["flags"]
    told = numbers(flags)
    assert told["tp-size"] == 16 and told["dp-size"] == 8 and told["ep-size"] == 16
    assert "--enable-dp-attention" in flags
    assert told["chunked-prefill-size"] == 8 * (found.chunk or 0)
    running = (found.speed.batch or 0.0) * 16
    assert running - 1e-6 <= told["max-running-requests"] < running + 8


def test_vllm_is_told_them_for_each_replica_and_cannot_split_experts_both_ways() -> None:
    found = served({"tp": 2, "dp": 8, "ep": 16}, engine="vllm", kv="fp8")
    flags = launched(found)[0]["flags"]
    told = numbers(flags)
    assert told["tensor-parallel-size"] == 2 and told["data-parallel-size"] == 8
    assert told["max-num-batched-tokens"] == found.chunk
    assert "--enable-expert-parallel" in flags and "--kv-cache-dtype fp8" in flags
    both = served({"tp": 8, "ep": 4, "etp": 2}, engine="vllm")
    assert not both.outcome.feasible and both.refused and "experts" in both.refused.why


def test_tensorrt_llm_gets_yaml_that_is_json() -> None:
    found = served({"tp": 1, "dp": 16, "ep": 16}, engine="trtllm", kv="fp8")
    told = json.loads(launched(found)[0]["flags"])
    assert told["tensor_parallel_size"] == 16 == told["moe_expert_parallel_size"]
    assert told["enable_attention_dp"] is True
    assert told["kv_cache_config"]["dtype"] == "fp8"


def test_each_pool_has_its_own_role_and_count() -> None:
    found = served(mode="disaggregated", ttft=3.0, count=32, engine="sglang")
    roles = {row["role"]: row for row in launched(found)}
    assert set(roles) == {"prefill", "decode"}
    assert found.pool and found.prefill_pool
    assert roles["prefill"]["count"] == found.prefill_pool.instances
    assert roles["decode"]["count"] == found.pool.instances
    assert all(f"--disaggregation-mode {role}" in row["flags"] for role, row in roles.items())
    assert "chunked" not in roles["decode"]["flags"] and "chunked" in roles["prefill"]["flags"]


def test_attention_and_ffn_apart_are_told_how_many_ranks_both_have() -> None:
    found = served({"tp": 1, "dp": 16}, mode="afd", count=32, micro_batches=2)
    for row in launched(found):
        told = json.loads(re.search(r"--additional-config '(.*)'", row["flags"]).group(1))["afd"]  # type: ignore[union-attr]
        assert told["role"] == row["role"]
        assert found.ffn is not None
        assert told["num_attention_ranks"] == 16
        assert told["num_ffn_ranks"] == found.ffn.pool.layout.tp * found.ffn.pool.layout.dp
    three = served({"tp": 1, "dp": 16}, mode="afd", count=32, micro_batches=3)
    assert all(row["flags"] is None and "two micro-batches" in row["why"] for row in launched(three))


def test_mixed_fleets_say_whose_flags_they_are() -> None:
    job = ServeJob(R1, 4096.0, 1024.0, tpot=0.05)
    found = plan_mixed([job, job], [System(H20, 32), System(H200, 16)])
    busy = {part.chip for part in found.shares if part.does != "idle"}
    assert {row["chip"] for row in launched(found)} == busy


def test_the_fewest_carry_the_rate_and_one_step_fewer_do_not() -> None:
    asked: dict[str, Any] = {"arch": LLAMA, "isl": 1024.0, "osl": 256.0, "tpot": 0.02, "rate": 60.0}
    found = plan(ServeJob(**asked, thorough=True), System(H100, 64))
    assert found.outcome.feasible and found.fewest is not None and 1 < found.fewest < 64
    quick = {name: value for name, value in asked.items() if name != "rate"}
    rates = [
        plan(ServeJob(**quick), System(H100, n)).requests_per_second or 0.0 for n in (found.fewest, found.fewest // 2)
    ]
    assert rates[0] >= 60.0 > rates[1]


def test_too_high_a_rate_is_measured_within_the_other_limits_and_lifted_by_enough() -> None:
    job = ServeJob(R1, 4096.0, 1024.0, tpot=0.05, rate=20.0)
    refused = plan(job, System(H20, 16))
    assert refused.outcome.reason == "rate" and "within the other limits" in refused.outcome.binds[0].text
    assert refused.fewest is not None
    assert plan(job, System(H20, refused.fewest)).outcome.feasible


def test_what_was_left_open_is_shown_and_not_chosen() -> None:
    found = served(thorough=True)
    shown = {row.change: row for row in found.variants}
    assert set(shown) == {"--kv fp8", "--speculate 1@0.85"}
    assert found.formats.kv == "bf16"
    assert shown["--kv fp8"].requests >= (found.requests_per_second or 0.0) * 0.99
    assert shown["--speculate 1@0.85"].requests > (found.requests_per_second or 0.0)
    assert served(thorough=True, kv="fp8").variants[0].change.startswith("--speculate")


@pytest.mark.parametrize("ttft", [None, 2.0])
def test_without_a_limit_on_ttft_two_pools_do_not_queue_for_the_last_percent(ttft: float | None) -> None:
    found = served(mode="disaggregated", count=32, ttft=ttft, thorough=True)
    best = max(row.requests for row in found.frontier if row.tpot <= 0.05)
    least = NEARLY * (1 - USUAL) * best
    assert (found.requests_per_second or 0.0) >= least if ttft is None else found.ttft.value <= 2.0


def test_tensorrt_llm_is_given_layouts_that_it_has_and_a_pin_that_it_has_not_is_refused_by_name() -> None:
    free = served(engine="trtllm", kv="bf16")
    assert launched(free)[0]["flags"] is not None
    pinned = served({"tp": 2, "dp": 8, "ep": 16}, engine="trtllm", kv="bf16")
    assert not pinned.outcome.feasible and pinned.refused and pinned.refused.row.where == "tp2,ep16,dp8"


def test_vllm_ascend_hands_the_cache_over_by_its_own_connector() -> None:
    job = ServeJob(R1, 4096.0, 1024.0, tpot=0.05, mode="disaggregated")
    rows = launched(plan(job, System(accelerator("ascend-910c", CATALOG), 32)))
    told = {row["role"]: json.loads(re.search(r"--kv-transfer-config '(.*)'", row["flags"])[1]) for row in rows}  # type: ignore[index]
    assert {row["kv_connector"] for row in told.values()} == {"MooncakeConnectorV1"}
    assert told["prefill"]["kv_role"] == "kv_producer" and told["decode"]["kv_role"] == "kv_consumer"


@pytest.mark.parametrize("engine", ["sglang", "vllm", "trtllm"])
def test_a_cache_that_an_engine_does_not_keep_has_no_flags(engine: str) -> None:
    found = served({"tp": 1, "dp": 16, "ep": 16}, engine=engine, kv="int8")
    assert not found.outcome.feasible and "int8" in found.outcome.binds[0].text


@pytest.mark.parametrize("engine", ["sglang", "vllm", "trtllm"])
def test_drafts_of_another_model_name_it(engine: str) -> None:
    asked = {"speculative": Speculation(3, 0.8, "draft"), "engine": engine, "tpot": 0.05}
    own = launched(plan(ServeJob(LLAMA, 4096.0, 1024.0, **asked), System(H100, 1)))[0]["flags"]  # type: ignore[arg-type]
    assert "DRAFT_MODEL" in own and "mtp" not in own.lower()


def test_engines_that_do_not_understand_each_other_are_named() -> None:
    job = ServeJob(R1, 4096.0, 1024.0, tpot=0.05)
    found = plan_mixed([job, job], [System(H20, 16), System(accelerator("ascend-910c", CATALOG), 16)])
    assert {row["role"] for row in launched(found)} == {"prefill", "decode"}
    assert all("sglang and vllm-ascend" in row["why"] and row["flags"] for row in launched(found))


def test_with_a_rate_first_tokens_of_two_pools_do_not_wait_for_nothing() -> None:
    """With chips to spare the prefill pool is not chosen by its order in a table."""
    found = served(mode="disaggregated", rate=4.0, tpot=None, count=64, thorough=True)
    assert found.ttft is not None and found.ttft.value < 1.5


def test_one_token_does_not_wait_for_thousands_of_others() -> None:
    found = plan(ServeJob(R1, 4096.0, 1.0, thorough=True), System(H20, 16))
    assert found.tpot is None and found.ttft is not None and found.ttft.value < 10.0
    most = max(row.requests for row in found.frontier)
    assert (found.requests_per_second or 0.0) >= NEARLY * (1 - USUAL) * most


@pytest.mark.parametrize("engine", ["vllm", "trtllm", "sglang"])
def test_what_an_engine_refuses_is_not_recommended_when_it_was_asked_for(engine: str) -> None:
    """The search reads the same rule as the flags; a cache that the engine does not keep leaves nothing to search."""
    found = served(engine=engine, tpot=0.05)
    assert found.outcome.feasible and launches(found)[0].flags is not None
    assert not any("int8" in row.value for row in found.variants)
    with pytest.raises(InputError, match=f"{engine} keeps no int8 cache"):
        served(engine=engine, kv="int8")


def test_an_engine_runs_the_layouts_that_it_does_not_refuse() -> None:
    tp, dp, ep = np.array([1, 2, 2, 8]), np.array([8, 4, 4, 1]), np.array([8, 8, 4, 1])
    layouts = Layout(tp=tp, dp=dp, ep=ep, etp=tp * dp // ep)
    runs = {name: ENGINES[name].runs(layouts).tolist() for name in ("vllm", "trtllm", "sglang")}
    assert runs == {
        "vllm": [True, True, False, True],
        "trtllm": [True, False, False, True],
        "sglang": [True, True, True, True],
    }
    for name, each in runs.items():
        assert [ENGINES[name].refuses(layouts.at(i)) is None for i in range(4)] == each
