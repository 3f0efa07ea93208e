"""The highest rate that a service carries within limits, and the fewest replicas that carry a workload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tonnage.simulate.measure import PercentileLimit, keeps
from tonnage.simulate.prepare import Happened
from tonnage.simulate.service import Simulated
from tonnage.simulate.workload import Workload

FINE = 0.01
"""Relative width to which a rate is found."""

LEAST = 1e-3
"""Share of the rate that is tried first below which none is looked for: requests are alone there."""

MOST = 4096
"""Replicas that are tried at most."""

DOUBLINGS = 40

Run = Callable[[Workload, Simulated], Happened]
"""A simulation with everything else given."""


@dataclass(frozen=True)
class Found:
    """The answer of a search: the value, the run at it, and how many runs were made; value None where none will do,
    with the run at the last value that was tried.
    """

    value: float | None
    run: Happened
    service: Simulated
    tries: int


def highest_rate(
    at: Callable[[float], Workload], service: Simulated, limits: tuple[PercentileLimit, ...], start: float, go: Run
) -> Found:
    """By doubling from `start` until the limits are broken, and halving the rest in proportion; the same requests at
    every rate, closer together.
    """
    tries, low, high, rate = 0, None, None, start
    best = last = None
    while tries < DOUBLINGS and (low is None or high is None or high / low > 1 + FINE):
        run = go(at(rate), service)
        tries += 1
        if run.partial:
            last = run
            break
        if keeps(run, limits):
            low, best = rate, run
        else:
            high, last = rate, run
        if low is None:
            rate = rate / 2
        elif high is None:
            rate = rate * 2
        else:
            rate = (low * high) ** 0.5
        if rate < start * LEAST:
            break
    found = best if best is not None else last
    assert found is not None
    return Found(low, found, service, tries)


def fewest_replicas(load: Workload, service: Simulated, limits: tuple[PercentileLimit, ...], go: Run) -> Found:
    """By doubling, then halving the difference; more replicas are taken to carry no less."""
    tries, low, high, count = 0, 0, None, 1
    best = last = None
    while high is None or high - low > 1:
        tried = with_replicas(service, count)
        run = go(load, tried)
        tries += 1
        last = (run, tried)
        if run.partial:
            break
        if keeps(run, limits):
            high, best = count, (run, tried)
        else:
            low = count
        if high is None and count >= MOST:
            break
        count = min(count * 2, MOST) if high is None else (low + high) // 2
    found = best if best is not None else last
    assert found is not None
    return Found(None if best is None or high is None else float(high), *found, tries)


def with_replicas(service: Simulated, count: int) -> Simulated:
    """The same service on so many replicas; a prefill pool grows in proportion."""
    given = service.deployment
    prefill = -(-given.prefill * count // given.replicas) if given.prefill else 0
    return replace(service, deployment=replace(given, replicas=count, prefill=prefill))
