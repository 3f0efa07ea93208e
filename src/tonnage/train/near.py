"""Counts and batches near those that were asked for, with which no accelerator is left over, or each does more."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from tonnage.errors import MissingFact
from tonnage.system import System
from tonnage.train.candidates import ranks
from tonnage.train.job import TrainJob
from tonnage.train.result import TrainPlan
from tonnage.train.search import plan

FAR = 1.1
"""Factor beyond which another count or batch is not near. Assumption."""
PAYS = 1.02
"""Factor by which the rate of each accelerator must rise to be worth a word. Assumption."""
MOST = 4
"""Counts, and batches, that are tried."""
LARGEST_GRAIN = 64
"""Ranks of one replica for which a batch is made to divide. Assumption: those of a scale-up domain or a few."""

MULTIPLE = 1 << 10
"""Times as many accelerators, beyond which none are proposed. Assumption."""


@dataclass(frozen=True)
class NearPlan:
    """Another count of accelerators, or another global batch; used: accelerators that work then;
    tokens_per_second: for each of all.
    """

    what: Literal["count", "global_batch"]
    value: int
    used: int
    tokens_per_second: float


def nearby(found: TrainPlan) -> tuple[NearPlan, ...]:
    """The best larger count and the best batch near those of a plan that leaves accelerators over, or whose batch keeps
    replicas from being smaller, if they pay.
    """
    if found.layout is None or found.run is None or not found.outcome.feasible:
        return ()
    if not (found.unused or _batch_binds(found)):
        return ()
    job, system = found.job, found.system
    sizes = _counts(system.count) if found.unused else []
    counts = ((size, plan(job, replace(system, count=size), found.fixed, price=found.price)) for size in sizes)
    batches = (
        (size, plan(replace(job, global_batch=size), system, found.fixed, price=found.price))
        for size in _batches(job, system)
    )
    better = (_best("count", counts), _best("global_batch", batches))
    return tuple(one for one in better if one and one.tokens_per_second > PAYS * found.run.tokens_per_second)


def _batch_binds(found: TrainPlan) -> bool:
    """Whether replicas are as many as divide both the ranks and the batch, and each has several ranks for that."""
    if found.layout is None or "dp" in found.fixed:
        return False
    total = ranks(found.system)
    replicas = math.gcd(total, found.job.global_batch)
    return replicas < total and int(found.layout.dp) == replicas


def _best(what: Literal["count", "global_batch"], tried: Iterable[tuple[int, TrainPlan]]) -> NearPlan | None:
    made = [
        NearPlan(what, value, one.used or 0, one.run.tokens_per_second)
        for value, one in tried
        if one.run is not None and one.outcome.feasible
    ]
    return max(made, key=lambda one: one.tokens_per_second, default=None)


def _counts(count: int) -> list[int]:
    """The next larger multiples of powers of two, of the largest powers first."""
    grains = [1 << power for power in reversed(range(count.bit_length()))]
    found = dict.fromkeys(-(-count // grain) * grain for grain in grains)
    return [size for size in found if count < size <= FAR * count][:MOST]


def _batches(job: TrainJob, system: System) -> list[int]:
    """Near multiples of a large power of two, and of the replicas that use all ranks."""
    batch, total = job.global_batch, ranks(system)
    powers = [1 << power for power in reversed(range(batch.bit_length()))]
    replicas = [total // model for model in range(1, LARGEST_GRAIN + 1) if total % model == 0]
    found = dict.fromkeys(near for grain in (*powers, *replicas) for near in _multiples(batch, grain))
    near = [size for size in found if size != batch and batch / FAR <= size <= FAR * batch]
    whole = [size for size in near if any(size % each == 0 for each in replicas)]
    return [*[size for size in near if size not in whole][:MOST], *whole[:MOST]]


def _multiples(batch: int, grain: int) -> tuple[int, int]:
    return max(batch // grain, 1) * grain, -(-batch // grain) * grain


def enough(found: TrainPlan) -> int | None:
    """Accelerators that hold what an infeasible plan cannot, with a free layout; None where too many would be needed,
    or where it is not known how they are joined.

    Its own count, or the first double of it that does.
    """
    size = found.system.count
    with contextlib.suppress(MissingFact):
        while size <= MULTIPLE * found.system.count:
            if plan(found.job, replace(found.system, count=size)).outcome.feasible:
                return size
            size *= 2
    return None
