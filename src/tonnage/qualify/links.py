"""Links to several cards, one against the others: a slow one holds up every step of all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from tonnage.qualify.gate import State, Verified

if TYPE_CHECKING:
    import torch

ELEMENTS, REPEATS = 2**18, 5
"""Numbers that are sent at once, and how often; the median counts."""

SLOW = 1.5
"""Times the median of all cards at which a link is a slow one: an assumption, far over a noisy machine's spread."""


def gates(devices: Sequence[torch.device], clock: Callable[[], float] = time.perf_counter) -> Iterator[Verified]:
    """The slowest link of at least two cards."""
    if len(devices) < 2:
        return
    times = {str(device): _time(device, clock) for device in devices}
    usual = statistics.median(times.values())
    slowest = max(times, key=lambda name: times[name])
    ratio = times[slowest] / usual if usual > 0 else 1.0
    state: State = "pass" if ratio <= SLOW else "fail"
    why = "" if state == "pass" else f"{slowest} takes {ratio:.3g} times as long as the median card"
    yield Verified("links, the slowest against the median", "stability", "training", state, ratio, SLOW, "times", why)


def _time(device: torch.device, clock: Callable[[], float]) -> float:
    """Seconds there and back, the median."""
    import torch

    host, there = torch.ones(ELEMENTS), torch.empty(ELEMENTS, device=device)
    passed = []
    for _ in range(REPEATS):
        begun = clock()
        there.copy_(host)
        host.copy_(there)
        passed.append(clock() - begun)
    return statistics.median(passed)
