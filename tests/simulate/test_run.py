"""Whole runs: the same bytes whatever runs them; order, routing, pools, failures, load, models."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from given import service, steps

from tonnage.errors import InputError
from tonnage.simulate import compiled, flow, run, special
from tonnage.simulate.generate import ArrivalProcess, Drawn, Sessions, generate
from tonnage.simulate.measure import each, figures, series
from tonnage.simulate.prepare import Happened, as_list, row_of
from tonnage.simulate.run import simulate
from tonnage.simulate.service import Autoscale, CacheTier, EngineLimits, Outage, Simulated, check
from tonnage.simulate.workload import Workload, together, workload


def drawn(size: int = 300, rate: float = 20.0, seed: int = 1) -> Workload:
    isl, osl = Drawn(300, "lognormal", most=1000), Drawn(60, "exponential", most=300)
    return generate(size, ArrivalProcess("poisson", rate), isl, osl, seed)


def same(one: Happened, other: Happened) -> bool:
    names = ("start", "first", "finish", "replica", "hit", "again", "refused", "steps", "busy", "lit")
    return all(np.array_equal(getattr(one, n), getattr(other, n), equal_nan=n != "refused") for n in names)


def test_a_seed_gives_the_same_bytes_on_any_number_of_workers() -> None:
    load, where = drawn(), service(token=10**7, replicas=4)
    runs = [simulate(load, where, seed=5, workers=n, fast=False) for n in (1, 2, 3)]
    assert same(runs[0], runs[1]) and same(runs[0], runs[2])
    assert not np.array_equal(drawn(seed=2).isl, load.isl)


CASES = ("alone", "tight", "sessions", "tiers", "pools", "changes", "drafts", "models")


def case_of(case: str) -> tuple[Workload, Simulated]:
    """Requests on a service that uses what the case is named after."""
    load, where = drawn(), service(8, 90, token=10**7, replicas=3, routing="least-loaded")
    if case == "sessions":
        load = generate(120, ArrivalProcess("poisson", 20.0), Drawn(200), Drawn(50), 1, Sessions(4, 1.0))
        where = service(8, 200, token=10**7, replicas=3, routing="prefix-aware")
    if case == "pools":
        where = service(8, 90, token=10**7, replicas=2, prefill=1, move=0.01)
    if case == "changes":
        where = service(
            8, 90, token=10**7, replicas=3, outages=(Outage(0, 2.0, 6.0),), autoscale=Autoscale(4, 1.0, 0.5)
        )
    if case == "alone":
        where = service(8, 90, token=10**7)
    if case == "tiers":
        where = service(8, 200, token=10**7, replicas=3, routing="prefix-aware")
        limits = replace(where.limits, host=CacheTier(4000, 1e-6), disk=CacheTier(8000, 1e-5))
        load = generate(120, ArrivalProcess("poisson", 20.0), Drawn(200), Drawn(50), 1, Sessions(4, 1.0))
        where = replace(where, limits=limits)
    if case == "drafts":
        where = replace(where, limits=replace(where.limits, drafts=2, accepted=1.7))
    if case == "models":
        load = replace(load, model=np.arange(load.size) % 2)
        where = replace(where, times=where.times * 2, deployment=replace(where.deployment, switch=0.5))
    return load, where


@pytest.mark.parametrize("case", CASES)
def test_compiled_and_as_python_and_written_anew_are_the_same_bytes(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load, where = case_of(case)
    one = simulate(load, where, fast=False)
    assert one.done.all() and (case != "tight" or one.again.sum() > 0)
    monkeypatch.setattr(run, "WORTH_SPECIAL", 0)
    assert same(one, simulate(load, where, fast=False))
    if compiled.installed():
        assert same(one, simulate(load, where, fast=True))


def test_a_lone_replica_calls_little() -> None:
    """Calls are counted, for time depends on the machine: those that are left are of the heap of the queue."""
    calls = {}
    for anew in (False, True):
        row = as_list(row_of(*case_of("alone"), 0))
        loop, names = compiled.plain(row, anew), list[str]()
        before = sys.getprofile()
        sys.setprofile(lambda frame, event, _: names.append(frame.f_code.co_name) if event == "call" else None)  # noqa: B023
        loop(row, 500)
        sys.setprofile(before)
        calls[anew] = names
    assert set(calls[True]) == {"run", "merge"} and len(calls[False]) > 10 * len(calls[True])


def test_without_sources_the_loop_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> str:
        raise OSError("could not get source code")

    monkeypatch.setattr(special.inspect, "getsource", absent)
    special.forget()
    assert compiled.plain(as_list(row_of(*case_of("alone"), 5)), True) is flow.run


def test_dealing_in_turn_is_the_same_together_as_apart() -> None:
    """One loop over all replicas, or one for each."""
    load, where = drawn(), service(8, 90, token=10**7, replicas=3)
    joint = replace(where, deployment=replace(where.deployment, outages=(Outage(0, 1e6, 2e6),)))
    one, other = simulate(load, where, fast=False), simulate(load, joint, fast=False)
    assert np.array_equal(one.finish, other.finish) and np.array_equal(one.replica, other.replica)


def test_a_request_longer_than_the_cache_is_named_and_the_rest_served() -> None:
    load = workload(np.zeros(3), np.array([10, 2000, 10]), np.array([5, 5, 5]))
    run = simulate(load, service(4, 20), fast=False)
    assert run.refused.tolist() == [False, True, False] and run.done.tolist() == [True, False, True]
    made = figures(run, service(4, 20))
    assert (made.refused, made.example, made.requests) == (1, 1, 2)


def test_orders_of_the_queue() -> None:
    load = workload(np.zeros(3), np.array([100, 50, 10]), np.array([10, 10, 10]))
    load = replace(load, priority=np.array([2, 0, 1]))
    first = {
        order: np.argsort(simulate(load, service(1, order=order), fast=False).start).tolist()
        for order in ("fcfs", "priority", "shortest", "slo")
    }
    assert first == {"fcfs": [0, 1, 2], "priority": [1, 2, 0], "shortest": [2, 1, 0], "slo": [1, 2, 0]}


def test_the_least_loaded_beats_turns_and_the_prefix_aware_finds_more() -> None:
    load = generate(400, ArrivalProcess("poisson", 30.0), Drawn(300, "lognormal"), Drawn(60, "lognormal"), 1)
    waits = {
        routing: float(
            np.nanmean(each(simulate(load, service(4, replicas=5, routing=routing), fast=False))["queueing"])
        )
        for routing in ("round-robin", "least-loaded")
    }
    assert waits["least-loaded"] < waits["round-robin"]
    talks = generate(400, ArrivalProcess("poisson", 10.0), Drawn(500), Drawn(50), 1, Sessions(5, 2.0))
    hits = {
        routing: figures(simulate(talks, service(8, 4000, replicas=4, routing=routing), fast=False), service(8)).hit
        for routing in ("round-robin", "prefix-aware")
    }
    assert hits["prefix-aware"] > 1.3 * hits["round-robin"] > 0


def test_the_prefix_cache_spares_what_was_said_and_forgets_when_small() -> None:
    talks = generate(200, ArrivalProcess("poisson", 2.0), Drawn(512), Drawn(64), 1, Sessions(5, 1.0))
    hits = [figures(simulate(talks, service(8, blocks), fast=False), service(8)).hit for blocks in (100_000, 400, 100)]
    none = service(8, 100_000)
    off = replace(none, limits=replace(none.limits, prefix=False))
    assert hits[0] > hits[1] > hits[2] and hits[0] > 0.6
    assert figures(simulate(talks, off, fast=False), off).hit == 0


def test_a_replica_that_fails_loses_its_steps_and_others_take_over() -> None:
    load = drawn(100, 10.0)
    where = service(8, replicas=2, outages=(Outage(0, 2.0, 8.0),))
    run = simulate(load, where, fast=False)
    assert run.done.all() and run.again.sum() > 0
    assert not np.any((run.replica == 0) & (run.start > 2.0) & (run.start < 8.0))
    assert run.lit[0] == pytest.approx(run.lit[1] - 6.0)
    away = simulate(load, service(8, replicas=1, outages=(Outage(0, 2.0),)), fast=False)
    assert 0 < away.done.sum() < 100 and away.refused.sum() == 100 - away.done.sum()


def test_replicas_by_load_are_fewer_and_take_their_time_to_load() -> None:
    load = drawn(400, 10.0)
    fixed = simulate(load, service(4, replicas=8, routing="least-loaded"), fast=False)
    scaled = service(4, replicas=8, routing="least-loaded", autoscale=Autoscale(4, 2.0, 1.0))
    run = simulate(load, scaled, fast=False)
    assert run.done.all() and run.lit.sum() < fixed.lit.sum() and run.lit[1] > 0
    slow = replace(scaled, deployment=replace(scaled.deployment, autoscale=Autoscale(4, 20.0, 1.0)))
    ttft = [float(np.nanmean(each(simulate(load, one, fast=False))["ttft"])) for one in (scaled, slow)]
    assert ttft[1] > ttft[0]


def test_models_on_one_pool_pay_for_switching() -> None:
    load = drawn(60, 2.0)
    load = replace(load, model=np.arange(60) % 2)
    limits, times = EngineLimits(8, 2048, 1000), (steps(8), steps(8, 2 * 10**10))

    def mean(switch: float, replicas: int) -> float:
        given = service(replicas=replicas, switch=switch, routing="least-loaded").deployment
        run = simulate(load, Simulated(limits, times, given), fast=False)
        assert run.done.all()
        return float(each(run)["ttft"].mean())

    assert mean(0.0, 1) < mean(5.0, 1)
    assert mean(5.0, 2) < 0.2 * mean(5.0, 1)
    tpot = each(simulate(load, Simulated(limits, times, service(replicas=2).deployment), fast=False))["tpot"]
    assert np.nanmean(tpot[1::2]) > 1.5 * np.nanmean(tpot[::2])


def test_a_cache_that_moves_between_pools_takes_its_time() -> None:
    load = drawn(50, 2.0)
    quick = simulate(load, service(8, replicas=1, prefill=1), fast=False)
    slow = simulate(load, service(8, replicas=1, prefill=1, move=0.5, move_token=1e-3), fast=False)
    assert np.allclose((slow.first - quick.first).min(), 0.5 + 1e-3 * load.isl.min(), atol=0.05)
    assert set(quick.replica.tolist()) == {1}


def test_one_process_that_takes_all_in_makes_a_queue_of_its_own() -> None:
    load = workload(np.zeros(10), np.full(10, 5), np.full(10, 2))
    run = simulate(load, service(20, front=0.1), fast=False)
    assert run.start.max() == pytest.approx(1.0, abs=0.02)


def test_a_run_that_is_stopped_says_what_it_has() -> None:
    load = drawn(5000, 20.0)
    run = simulate(load, service(8), fast=False, progress=lambda done, total: done < 1000)
    made = figures(run, service(8))
    assert run.partial and made.partial and 1000 <= made.requests < 5000 and made.unfinished == 5000 - made.requests


def test_drafts_gain_tokens_and_vary() -> None:
    load = generate(300, ArrivalProcess("poisson", 1.0), Drawn(10), Drawn(200), 1)
    plain = service(64)
    drafting = replace(plain, limits=replace(plain.limits, drafts=1, accepted=1.8))
    tpot = each(simulate(load, drafting, fast=False))["tpot"]
    assert float(np.nanmean(tpot)) == pytest.approx(0.01 / 1.8, rel=0.02) and float(np.nanstd(tpot)) > 0


def test_what_makes_no_service_is_refused() -> None:
    with pytest.raises(InputError, match="replicas: expected at least 1"):
        simulate(drawn(5), service(8, replicas=0))
    with pytest.raises(InputError, match="outages"):
        simulate(drawn(5), service(8, outages=(Outage(3, 1.0),)))


def test_a_run_longer_than_the_clock_is_refused() -> None:
    with pytest.raises(InputError, match="40 days"):
        simulate(workload(np.array([0.0, 5e6]), np.array([5, 5]), np.array([5, 5])), service(8))


def test_series_count_what_came_and_what_was_put_out() -> None:
    load = drawn(200, 10.0)
    run = simulate(load, service(8, replicas=2), fast=False)
    rows = series(run, 100)
    width = rows["time"][1] - rows["time"][0]
    assert rows["arriving"].sum() * width == pytest.approx(200, abs=2)
    assert rows["output"].sum() * width == pytest.approx(float((load.osl - 1).sum()), rel=0.1)


def test_each_model_has_its_own_room_and_workloads_keep_who_follows_whom() -> None:
    first = generate(40, ArrivalProcess("poisson", 2.0), Drawn(100), Drawn(20), 1)
    talk = generate(40, ArrivalProcess("poisson", 1.0), Drawn(100), Drawn(20), 2, Sessions(4, 1.0))
    load = together((first, talk))
    assert load.size == 80 and np.all(np.diff(load.arrival[np.isfinite(load.arrival)]) >= 0)
    follower = np.flatnonzero(load.follows >= 0)
    assert follower.size == 30 and np.all(load.isl[load.follows[follower]] > load.isl[follower])
    assert np.all(load.model[load.follows[follower]] == 1)
    wide, narrow = EngineLimits(8, 2048, 1000), EngineLimits(2, 2048, 8)
    shared = Simulated(
        wide, (steps(8), steps(8)), service(replicas=2, routing="least-loaded").deployment, others=(narrow,)
    )
    run = simulate(load, shared, fast=False)
    assert run.done[load.model == 0].all()
    too_long = (load.isl + load.osl + 15) // 16 > 8
    assert np.array_equal(run.refused, (load.model == 1) & too_long) and run.refused.any()
    with pytest.raises(InputError, match="drafts: models that share replicas have it in common"):
        check(replace(shared, others=(replace(narrow, drafts=1),)))


def test_requests_wait_for_the_only_replica_to_return() -> None:
    load = workload(np.arange(1, 9) * 0.5, np.full(8, 5), np.full(8, 2))
    run = simulate(load, service(8, outages=(Outage(0, 1.2, 3.0),)), fast=False)
    assert run.done.all() and run.start[2:5].min() == pytest.approx(3.0, abs=1e-9)
    gone = simulate(load, service(8, outages=(Outage(0, 1.2),)), fast=False)
    assert gone.done[:2].all() and gone.refused[2:].all()


def test_prompts_of_millions_of_tokens_keep_their_order() -> None:
    """Whose lengths times the microseconds of a run are more than 64 bits."""
    load = workload(np.zeros(3), np.array([9_000_000, 600_000, 50]), np.full(3, 2))
    where = service(1, 10**6, order="shortest")
    for fast in (False, True) if compiled.installed() else (False,):
        assert np.argsort(simulate(load, where, fast=fast).start).tolist() == [2, 1, 0]
