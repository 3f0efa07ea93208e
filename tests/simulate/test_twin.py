"""Jumps over runs of equal steps give, bit for bit, what every step of every sequence gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twin import Twin

from tonnage.simulate.compiled import ORDER
from tonnage.simulate.flow import run
from tonnage.simulate.prepare import as_list, row_of
from tonnage.simulate.service import CacheTier, EngineLimits, ReplicaSet, Simulated, StepTables
from tonnage.simulate.special import loop_for
from tonnage.simulate.state import (
    G_FIRST,
    G_REQUESTS,
    Q_AGAIN,
    Q_FINISH,
    Q_FIRST,
    Q_HIT,
    Q_SIZE,
    Q_START,
    R_SIZE,
    R_STEPS,
)
from tonnage.simulate.workload import Workload, workload


def times(draw: st.DrawFn, stages: int, crowd: float) -> StepTables:
    """Step times that jump at sizes of graphs, and are affine in the context between."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    base = np.concatenate([[0], 5_000_000_000 + np.cumsum(rng.integers(0, 2, 80) * rng.integers(0, 10**9, 80))])
    mix = 4_000_000_000 + np.cumsum(rng.integers(0, 10**7, 4000))
    return StepTables(base, rng.integers(1, 10**6, 81), mix, int(rng.integers(0, 10**6)), 0, 3_000_000, crowd, stages)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Workload, Simulated]:
    """A workload on a service: lengths, bursts, pools of few blocks, all rules."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.integers(1, 40))
    rate = draw(st.sampled_from([0.5, 5.0, 50.0]))
    arrival = np.cumsum(rng.exponential(1 / rate, size))
    if draw(st.booleans()):
        arrival = np.zeros(size)
    isl, osl = rng.integers(1, draw(st.sampled_from([20, 300, 2000])), size), rng.integers(1, 120, size)
    load = workload(arrival, isl, osl)
    load = replace(load, priority=rng.integers(0, 3, size))
    unit = draw(st.sampled_from([0, 0, 16, 32]))
    if unit:
        counts = load.isl // unit + rng.integers(0, 4, size)
        at = np.concatenate([[0], np.cumsum(counts)])
        pieces = np.concatenate([np.arange(n) + 50 * rng.integers(0, 2) for n in counts] or [[]]).astype(np.int64)
        load = replace(load, unit=unit, at=at, pieces=pieces)
    prefill = draw(st.sampled_from([0, 0, 0, 1, 2]))
    if draw(st.booleans()) and size > 3:
        half = size // 2
        follows = np.full(size, -1)
        follows[: size - half] = np.arange(half, size)
        arrival = np.where(np.arange(size) >= half, np.inf, load.arrival)
        load = replace(
            load, follows=follows, arrival=arrival, think=rng.random(size) * draw(st.sampled_from([0.0, 1.0]))
        )
    accepted = draw(st.sampled_from([1.0, 1.0, 1.6]))
    tight = max(1, int(np.max(isl + osl)) // 16 + draw(st.integers(-2, 9)))
    limits = EngineLimits(
        sequences=draw(st.integers(1, 30)),
        tokens=draw(st.sampled_from([64, 256, 2048])),
        blocks=draw(st.sampled_from([tight, tight, tight + 7, 3000])),
        block=16,
        prompt=draw(st.sampled_from([None, 40])),
        mixed=draw(st.booleans()),
        drafts=0 if accepted == 1.0 else 1,
        accepted=accepted,
        host=CacheTier(draw(st.sampled_from([0, 0, 40, 400])), draw(st.sampled_from([0.0, 1e-5, 1e-3]))),
        disk=CacheTier(draw(st.sampled_from([0, 0, 100])), draw(st.sampled_from([0.0, 2e-3]))),
    )
    deployment = ReplicaSet(
        replicas=draw(st.integers(1, 3)),
        prefill=prefill,
        order=draw(st.sampled_from(["fcfs", "priority", "shortest", "slo"])),
        routing=draw(st.sampled_from(["round-robin", "least-loaded"])),
        move=0.01,
        move_token=1e-6,
        front=draw(st.sampled_from([0.0, 0.02])),
    )
    step = times(draw, draw(st.sampled_from([1, 1, 2])), draw(st.sampled_from([1.0, 1.02])))
    return load, Simulated(limits, (step,), deployment)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(cases())
def test_jumps_are_steps(case: tuple[Workload, Simulated]) -> None:
    load, service = case
    one = Twin(load, service)
    wanted = one.run()
    x = as_list(row_of(load, service, 0))
    assert run(x, 10**6) < 10**6
    for asked in wanted:
        q = x[G_REQUESTS] + asked.index * Q_SIZE
        found = (x[q + Q_START], x[q + Q_FIRST], x[q + Q_FINISH], x[q + Q_AGAIN], x[q + Q_HIT])
        assert found == (asked.start, asked.first, asked.finish, asked.again, asked.hit), asked
    assert [x[x[G_FIRST] + r * R_SIZE + R_STEPS] for r in range(len(one.replicas))] == [r.steps for r in one.replicas]


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(cases())
def test_written_anew_for_a_service_the_loop_is_the_same(case: tuple[Workload, Simulated]) -> None:
    """All of the row, and in slices, as it runs."""
    load, service = case
    row = row_of(load, service, 0)
    one, other = as_list(row), as_list(row)
    anew = loop_for(other, ORDER)
    while run(one, 50) == 50:
        assert anew(other, 50) == 50
    anew(other, 50)
    assert one == other
