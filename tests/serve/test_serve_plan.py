"""Plans: published anchors, properties, and refusals that explain themselves."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from tonnage import catalog
from tonnage.errors import InputError
from tonnage.model import Architecture, load
from tonnage.serve import (
    ChipPrice,
    Deployment,
    MeasuredService,
    Pool,
    ServeJob,
    Speculation,
    anchored,
    plan,
    plan_mixed,
    predict,
)
from tonnage.serve.plan import ServePlan
from tonnage.system import Accelerator, System, accelerator

CATALOG = catalog.load()
R1 = load("deepseek-r1", CATALOG)
LLAMA = load("meta-llama/Llama-3.1-8B", CATALOG)
H100 = accelerator("h100-sxm", CATALOG)
H200 = accelerator("h200-sxm", CATALOG)
H20 = accelerator("h20", CATALOG)


def served(arch: Architecture = LLAMA, chip: Accelerator = H100, count: int = 1, **asked: object) -> ServePlan:
    layout = asked.pop("layout", None)
    job = ServeJob(arch, **{"isl": 1024.0, "osl": 1024.0, **asked})  # type: ignore[arg-type]
    return plan(job, System(chip, count), layout)  # type: ignore[arg-type]


def rate(found: ServePlan) -> float:
    assert found.output_rate is not None
    return found.output_rate.value


def case(**changed: object) -> Deployment:
    usual: dict[str, object] = {
        "id": "x",
        "arch": R1,
        "accelerator": H200,
        "mode": "aggregated",
        "pool": Pool(8, tp=8, ep=1, etp=8),
        "isl": 922.0,
        "osl": 922.0,
        "concurrency": 64.0,
        "weights": "fp8",
        "engine": "sglang",
    }
    return Deployment(**{**usual, **changed})  # type: ignore[arg-type]


def test_deepseek_r1_on_eight_h200_is_near_inferencex() -> None:
    """InferenceX 2026-03-25, R1 FP8 TP8 on H200, SGLang, 1K/1K: 33.0 ms, 234 tokens/s at 64; 10.3 ms at 4."""
    many, few = predict([case(), case(concurrency=4.0)])
    assert many.tpot is not None and many.output_rate is not None and few.tpot is not None
    assert many.tpot.value == pytest.approx(0.033, rel=0.3)
    assert many.output_rate.value == pytest.approx(234, rel=0.3)
    assert few.tpot.value == pytest.approx(0.0103, rel=0.3)
    assert many.tpot.low < 0.033 < many.tpot.high


def test_wide_expert_parallel_prefill_is_near_sglangs_96_h100() -> None:
    """SGLang 2025-05-05, 4 nodes of H100, EP32, 16,384 tokens a rank: 57,674 tokens/s a node at 1K, 50,302 at 4K."""
    pool = Pool(32, tp=1, dp=32, ep=32, etp=1)
    found = [
        predict(
            [case(mode="prefill", accelerator=H100, pool=pool, isl=length, osl=1.0, tokens=16384.0, concurrency=None)]
        )[0]
        for length in (1024.0, 4096.0)
    ]
    for got, published in zip(found, (57674 / 8, 50302 / 8), strict=True):
        assert got.input_rate is not None
        assert got.input_rate.value == pytest.approx(published, rel=0.3)


def test_any_expert_parallel_size_is_answered() -> None:
    for ep in (72, 144, 320):
        found = predict([case(mode="decode", pool=Pool(ep, tp=1, dp=ep, ep=ep, etp=1), concurrency=None, batch=64.0)])[
            0
        ]
        assert found.output_rate is not None and 100 < found.output_rate.value < 10_000


def test_same_point_gives_the_same_number_in_search_and_alone() -> None:
    best = served(R1, H20, 16, isl=4096.0, tpot=0.05)
    assert best.pool is not None
    fixed = {name: getattr(best.pool.layout, name) for name in ("tp", "pp", "dp", "ep", "etp")}
    again = served(R1, H20, 16, isl=4096.0, tpot=0.05, mode="aggregated", layout=fixed)
    assert again.tpot and best.tpot and again.tpot.value == pytest.approx(best.tpot.value)
    assert rate(again) == pytest.approx(rate(best))


@pytest.mark.parametrize("change", ["bandwidth", "bf16", "link"])
def test_a_better_chip_is_never_slower(change: str) -> None:
    if change == "bf16":
        better = dataclasses.replace(H100, rates={**H100.rates, "bf16": 2 * H100.rates["bf16"]})
    else:
        better = dataclasses.replace(H100, **{change: 2 * getattr(H100, change)})
    for layout in ({"tp": 1}, {"tp": 4}):
        slow = served(chip=H100, count=4, concurrency=32.0, layout=layout)
        fast = served(chip=better, count=4, concurrency=32.0, layout=layout)
        assert fast.tpot is not None and slow.tpot is not None
        assert fast.tpot.value <= slow.tpot.value * (1 + 1e-9)
        assert rate(fast) >= rate(slow) * (1 - 1e-9)


def test_longer_context_is_never_faster() -> None:
    times = [served(isl=isl, concurrency=16.0, layout={"tp": 1}).tpot for isl in (256.0, 1024.0, 4096.0, 16384.0)]
    assert all(a is not None and b is not None and a.value <= b.value for a, b in itertools.pairwise(times))


def test_more_in_flight_is_more_throughput_until_memory_binds() -> None:
    rates = [rate(served(concurrency=float(c), layout={"tp": 1})) for c in (1, 4, 16, 64, 256)]
    assert rates == sorted(rates)
    assert rate(served(concurrency=4096.0, layout={"tp": 1})) == pytest.approx(
        rate(served(concurrency=8192.0, layout={"tp": 1})), rel=1e-6
    )


def test_input_and_output_tokens_are_of_the_same_requests() -> None:
    found = served(isl=3000.0, osl=500.0, concurrency=16.0)
    assert found.requests_per_second is not None and found.input_rate is not None
    assert found.input_rate == pytest.approx(found.requests_per_second * 3000)
    assert rate(found) == pytest.approx(found.requests_per_second * 500)


def test_prefix_cache_and_speculation_help() -> None:
    plain = served(R1, H200, 8, isl=8192.0, concurrency=32.0, layout={"tp": 8})
    cached = served(R1, H200, 8, isl=8192.0, concurrency=32.0, cache_hit=0.9, layout={"tp": 8})
    drafted = served(R1, H200, 8, isl=8192.0, concurrency=8.0, speculative=Speculation(1, 0.9), layout={"tp": 8})
    alone = served(R1, H200, 8, isl=8192.0, concurrency=8.0, layout={"tp": 8})
    assert rate(cached) > rate(plain)
    assert drafted.tpot is not None and alone.tpot is not None
    assert drafted.tpot.value < alone.tpot.value < drafted.tpot.value * 1.9


def test_limits_are_kept_and_a_tighter_one_costs_throughput() -> None:
    loose, tight = served(R1, H200, 32, isl=4000.0, tpot=0.05), served(R1, H200, 32, isl=4000.0, tpot=0.02)
    assert tight.tpot is not None and tight.tpot.value <= 0.02
    assert rate(tight) < rate(loose)
    assert tight.search.candidates > tight.search.feasible > 0


def test_two_pools_use_what_they_say() -> None:
    found = served(R1, H200, 32, isl=4000.0, ttft=5.0, tpot=0.03, mode="disaggregated")
    assert found.mode == "disaggregated" and found.pool and found.prefill_pool
    ranks = sum(side.layout.ranks * side.instances for side in (found.pool, found.prefill_pool))
    assert ranks == found.used <= 32
    assert found.tpot is not None and found.tpot.value <= 0.03


def test_thousands_of_chips_are_copies_of_one_replica() -> None:
    small, large = served(R1, H20, 1024, isl=4096.0, tpot=0.05), served(R1, H20, 8192, isl=4096.0, tpot=0.05)
    assert rate(large) == pytest.approx(rate(small), rel=0.1)


def test_a_mixed_fleet_serves_at_least_what_its_best_part_does() -> None:
    fleets = [System(H20, 32), System(H200, 16)]
    job = ServeJob(R1, 4096.0, 1024.0, tpot=0.05)
    both = plan_mixed([job, job], fleets)
    alone = [plan(job, fleet).requests_per_second or 0.0 for fleet in fleets]
    assert both.outcome.feasible and both.accelerators == 48
    assert (both.requests_per_second or 0.0) >= max(alone)
    assert [part.count for part in both.shares] and sum(part.count for part in both.shares) == 48


def test_an_impossible_limit_names_itself_and_the_nearest() -> None:
    found = served(R1, H20, 16, isl=4096.0, tpot=0.003)
    assert found.outcome.reason == "tpot"
    assert found.outcome.binds[0].by is not None and found.outcome.binds[0].by > 1
    assert found.nearest is not None
    assert served(R1, H20, 16, isl=4096.0, tpot=found.nearest.tpot * 1.01).outcome.feasible


def test_no_memory_and_too_high_a_rate_are_outcomes() -> None:
    assert served(R1, accelerator("h800", CATALOG), 8).outcome.reason == "memory"
    crowded = served(rate=1e5)
    assert crowded.outcome.reason == "rate"
    assert crowded.outcome.binds[0].lift is not None and "x H100" in crowded.outcome.binds[0].lift


def test_cost_is_the_whole_bill_once_and_never_zero() -> None:
    priced = served(concurrency=32.0, price=ChipPrice(2.0 / 3600, "as given"))
    assert priced.bill.input is not None and priced.bill.output is not None
    per_second = priced.bill.input * (priced.input_rate or 0.0) / 1e6
    per_second += priced.bill.output * rate(priced) / 1e6
    assert per_second == pytest.approx(2.0 / 3600)
    assert served(concurrency=32.0).bill.output is None


def test_breakdown_adds_up_and_frontier_falls() -> None:
    found = served(R1, H200, 16, isl=4000.0)
    assert sum(found.breakdown.values()) == pytest.approx(1.0)
    users = [row.user for row in found.frontier]
    rates = [row.output for row in found.frontier]
    assert len(users) > 5
    assert users == sorted(users) and rates == sorted(rates, reverse=True)


def test_an_anchor_moves_predictions_onto_it_and_narrows_the_doubt() -> None:
    moved = anchored([MeasuredService(case(), tpot=0.066)])
    at, other = predict([case(), case(concurrency=16.0)], moved)
    before = predict([case(concurrency=16.0)])[0]
    assert at.tpot is not None and other.tpot is not None and before.tpot is not None
    assert at.tpot.value == pytest.approx(0.066, rel=0.05)
    assert other.tpot.value > 1.5 * before.tpot.value
    assert other.tpot.high / other.tpot.low < before.tpot.high / before.tpot.low
    with pytest.raises(InputError):
        anchored([MeasuredService(case(), tpot=66.0)])


def test_many_cases_are_predicted_like_each_alone() -> None:
    cases = [case(id=str(i), concurrency=float(c)) for i, c in enumerate((1, 8, 64))]
    cases.append(case(id="dense", arch=LLAMA, accelerator=H100, pool=Pool(1), weights="bf16"))
    together = predict(cases)
    for one, found in zip(cases, together, strict=True):
        alone = predict([one])[0]
        assert alone.tpot is not None and found.tpot is not None
        assert found.tpot.value == pytest.approx(alone.tpot.value, rel=1e-9)


def test_jobs_that_make_no_sense_are_refused_all_at_once() -> None:
    with pytest.raises(InputError) as caught:
        served(isl=0.0, cache_hit=1.0, rate=5.0, concurrency=5.0, mode="sideways")
    assert len(caught.value.problems) == 4
    with pytest.raises(InputError):
        served(weights="fp7")
    with pytest.raises(InputError):
        served(layout={"tp": 7, "pp": 3})
