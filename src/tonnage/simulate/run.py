"""A workload on a service, from beginning to end or until somebody stops it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from tonnage.simulate import compiled
from tonnage.simulate.prepare import Happened, arrivals, as_list, happened, row_of
from tonnage.simulate.service import PICO, Simulated, Whole, check
from tonnage.simulate.special import Loop
from tonnage.simulate.state import LEFT, Row
from tonnage.simulate.workload import Workload

SLICE = 4096
"""Events between two looks at whether to stop, as Python; compiled, a hundred times as many."""

WORTH = 50_000
"""Requests from which compiling is worth its seconds."""

WORTH_SPECIAL = 15_000
"""Requests from which the loop as Python is written anew for the service (`special`), which takes an eighth of a second
and spares eight microseconds a request; once for replicas alike, but for each that has pieces of prompts of its own."""

Progress = Callable[[int, int], bool]
"""Told how many requests are done, of how many; returns whether to go on."""


def simulate(
    load: Workload,
    service: Simulated,
    *,
    seed: int = 0,
    fast: bool | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Happened:
    """What happens to each request; the same for a seed, with any number of workers, compiled or not.

    fast: compile the loop; None: where that is worth it and can be. Where requests are dealt to replicas in turn and
    none knows of another, each replica is a simulation of its own, and workers share them.
    """
    check(service)
    fast = compiled.installed() and load.size >= WORTH if fast is None else fast
    if not apart(load, service):
        return _one(load, service, seed, fast, progress, load.size >= WORTH_SPECIAL)
    parts = dealt(load, service)
    alone = replace(service, deployment=replace(service.deployment, replicas=1, admission=0.0, front=0.0))
    special = load.size >= WORTH_SPECIAL * (len(parts) if load.pieces.size else 1)
    watch = _Watch(load.size, len(parts), progress)

    def one(r: int) -> Happened:
        return _one(parts[r][1], alone, seed * 1_000_003 + r, fast, watch.of(r), special)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        made = list(pool.map(one, range(len(parts))))
    return joined(load, made, [index for index, _ in parts])


class _Watch:
    """Adds up what the parts have done."""

    def __init__(self, total: int, parts: int, progress: Progress | None) -> None:
        self.total, self.done, self.progress = total, [0] * parts, progress
        self.sum = 0

    def of(self, part: int) -> Progress | None:
        """What one part reports to."""
        if self.progress is None:
            return None
        tell = self.progress

        def told(done: int, _: int) -> bool:
            self.sum += done - self.done[part]
            self.done[part] = done
            return tell(self.sum, self.total)

        return told


def apart(load: Workload, service: Simulated) -> bool:
    """Whether what one replica does is nothing to the others: requests come in turn to equals that stay."""
    given = service.deployment
    joint = given.prefill or given.outages or given.autoscale or len(service.times) > 1 or load.chained
    return given.routing == "round-robin" and given.replicas > 1 and not joint


def dealt(load: Workload, service: Simulated) -> list[tuple[Whole, Workload]]:
    """Requests of each replica: those that none could hold take no turn, and go to the first."""
    limits, given = service.limits, service.deployment
    blocks = -(-(load.isl + np.maximum(load.osl - 1, 0) + 1) // limits.block)
    fit = np.flatnonzero(blocks <= limits.blocks)
    turn = np.zeros(load.size, dtype=np.int64)
    turn[fit] = np.arange(fit.size) % given.replicas
    come = replace(load, arrival=arrivals(load, given) / PICO)
    parts = [np.flatnonzero(turn == r) for r in range(given.replicas)]
    return [(index, come.take(index)) for index in parts]


def _one(
    load: Workload, service: Simulated, seed: int, fast: bool, progress: Progress | None, special: bool
) -> Happened:
    made = row_of(load, service, seed)
    x: Row = made if fast else as_list(made)  # type: ignore[assignment]
    loop = compiled.compiled() if fast else compiled.plain(x, special)
    _go(x, loop, SLICE * 100 if fast else SLICE, load.size, progress)
    return happened(load, x)


def _go(x: Row, loop: Loop, slice_: int, size: int, progress: Progress | None) -> None:
    while loop(x, slice_) == slice_:
        if progress is not None and not progress(size - int(x[LEFT]), size):
            return
    if progress is not None:
        progress(size - int(x[LEFT]), size)


def joined(load: Workload, parts: list[Happened], index: list[Whole]) -> Happened:
    """What happened to all, from what happened on each replica."""
    order = np.argsort(np.concatenate(index), kind="stable")
    by_request = {
        name: np.concatenate([getattr(part, name) for part in parts])[order]
        for name in ("start", "first", "finish", "hit", "again", "refused")
    }
    where = np.concatenate([np.where(part.replica < 0, -1, r) for r, part in enumerate(parts)])[order]
    ends = [float(np.nanmin(part.arrival, initial=np.inf)) + part.duration for part in parts if part.load.size]
    begin = float(np.min(load.arrival, initial=np.inf))
    duration = max(ends, default=0.0) - begin if np.isfinite(begin) else 0.0
    return Happened(
        load=load,
        arrival=load.arrival,
        replica=where,
        steps=np.concatenate([part.steps for part in parts]),
        busy=np.concatenate([part.busy for part in parts]),
        lit=np.full(len(parts), duration),
        duration=duration,
        partial=any(part.partial for part in parts),
        **by_request,
    )
