"""Context parallelism of pools that prefill: where it is tried, what it costs, and where it is refused."""

from __future__ import annotations

import pytest

from tonnage import catalog
from tonnage.errors import InputError
from tonnage.model import load
from tonnage.serve import ServeJob, plan
from tonnage.serve.plan import ServePlan
from tonnage.system import System, accelerator

CATALOG = catalog.load()
LLAMA = load("meta-llama/Llama-3.1-8B", CATALOG)
R1 = load("deepseek-r1", CATALOG)
H100 = accelerator("h100-sxm", CATALOG)
H200 = accelerator("h200-sxm", CATALOG)
LONG = 65536.0


def prefill(cp: int, ttft: float | None = None) -> ServePlan:
    return plan(ServeJob(LLAMA, LONG, 1.0, ttft=ttft, mode="prefill"), System(H100, 8), {"tp": 1, "pp": 1, "cp": cp})


def test_ranks_that_share_a_prompt_are_faster_for_one_and_not_for_all() -> None:
    plans = [prefill(cp) for cp in (1, 2, 4, 8)]
    times = [found.ttft.value for found in plans]
    rates = [found.input_rate or 0.0 for found in plans]
    assert times == sorted(times, reverse=True)
    for cp, time in zip((1, 2, 4, 8), times, strict=True):
        assert times[0] / cp <= time <= 1.3 * times[0] / cp  # never better than the work divided
    assert rates == sorted(rates, reverse=True)
    assert rates[3] > 0.85 * rates[0]
    assert plans[3].pool is not None and plans[3].pool.layout.cp == 8 and "cp8" in plans[3].layout_text


def test_it_is_tried_where_nothing_else_keeps_the_limit_and_only_there() -> None:
    job = ServeJob(R1, LONG, 1.0, mode="prefill")
    free = plan(job, System(H200, 32))
    assert free.ttft is not None
    easy = plan(ServeJob(R1, LONG, 1.0, ttft=1.05 * free.ttft.value, mode="prefill"), System(H200, 32))
    assert easy.pool is not None and easy.pool.layout.cp == 1
    assert easy.pool == free.pool
    hard = plan(ServeJob(R1, LONG, 1.0, ttft=1.0, mode="prefill"), System(H200, 32))
    assert hard.outcome.feasible and hard.pool is not None and hard.pool.layout.cp > 1
    assert hard.ttft is not None and hard.ttft.value <= 1.0
    never = plan(ServeJob(R1, LONG, 1.0, ttft=0.01, mode="prefill"), System(H200, 32))
    assert not never.outcome.feasible and never.nearest is not None
    assert never.nearest.ttft <= hard.ttft.value  # the nearest is the quickest, shared prompts among them


def test_a_pool_ahead_of_decode_shares_prompts_too() -> None:
    job = ServeJob(R1, LONG, 512.0, ttft=6.0, tpot=0.05, mode="disaggregated")
    found = plan(job, System(H200, 64), None, {"tp": 1, "cp": 8})
    assert found.outcome.feasible and found.prefill_pool is not None
    assert found.prefill_pool.layout.cp == 8 and found.prefill_pool.layout.ep in (1, 8, 16, 32, 64)
    assert found.pool is not None and found.pool.layout.cp == 1


def test_context_parallelism_where_it_is_not_priced_is_refused() -> None:
    with pytest.raises(InputError):
        plan(ServeJob(LLAMA, LONG, 512.0), System(H100, 8), {"tp": 1, "cp": 8})  # decode with it
    hybrid = load("Qwen/Qwen3-Next-80B-A3B-Instruct", CATALOG)
    with pytest.raises(InputError):
        plan(ServeJob(hybrid, LONG, 1.0, mode="prefill"), System(H100, 8), {"cp": 2})
    assert plan(ServeJob(LLAMA, LONG, 1.0, mode="prefill"), System(H100, 1), {"tp": 1, "cp": 1}).outcome.feasible
