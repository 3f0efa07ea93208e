"""The best layouts of a job on a system: all that divide, without those that do not fit, in one broadcast."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Floats, Numbers
from tonnage.errors import FEASIBLE, Bind, infeasible
from tonnage.layout import RECOMPUTE, SCHEDULE, Layout
from tonnage.model.counts import flop_per_token
from tonnage.system import Accelerator, System, format_of, needed, unjoined
from tonnage.system import rate as datasheet_rate
from tonnage.train import grid, pieces, space, step
from tonnage.train.doubt import UNPROVEN, doubt
from tonnage.train.goodput import goodput
from tonnage.train.job import TrainJob
from tonnage.train.memory import Memory
from tonnage.train.result import Alternative, Search, TrainPlan
from tonnage.train.stack import Stack, fitted
from tonnage.units import HOUR, show_memory

KEPT = 256
"""Best candidates kept of each chunk, for alternatives."""


@dataclass(frozen=True)
class Evaluation:
    """Step time [s], parts of it by kind, memory and whether it fits, of each layout; arrays."""

    layout: Layout
    step_time: Floats
    parts: dict[str, Numbers]
    memory: Memory
    fits: NDArray[np.bool_]


BINARY = 2**30 / 1e9 * 0.995
"""Bytes that can be used over the datasheet's: memory is sold in binary units (an H100 of 80 GB reports 81,559 MiB,
85.5e9 bytes, an H200 of 141 GB 143,771 MiB), and the driver keeps half a per cent."""


def capacity(system: System, *, physical: bool = False) -> float:
    """Bytes of one rank: the datasheet's, which plans keep to, or what is really there, which a run may have used."""
    return system.accelerator.memory / system.accelerator.dies * (BINARY if physical else 1.0)


def peak(job: TrainJob, accelerator: Accelerator) -> float:
    """Datasheet rate of the precision that the linear layers run in [FLOP/s]: the denominator of `mfu`."""
    return datasheet_rate(accelerator, format_of(job.precision).compute).value


def evaluate(job: TrainJob, system: System, layouts: Layout, stack: Stack | None = None) -> Evaluation:
    """Step time and memory of layouts: numbers, or arrays of any one shape (flattened). No check of divisibility."""
    flat, _ = grid.flatten(layouts)
    measured = pieces.measure(job, system, flat)
    times = step.assemble(measured, stack or fitted()[0])
    fits = np.asarray(measured.memory.total) <= capacity(system)
    return Evaluation(flat, np.asarray(times.step), times.parts, measured.memory, fits)


@dataclass(frozen=True)
class _Found:
    """What a pass over the space brings home: layouts best first with their rank value; the least memory seen."""

    layouts: list[tuple[float, float, Layout]]
    candidates: int
    feasible: int
    smallest: tuple[float, Layout] | None
    seconds: float


def _search(
    job: TrainJob,
    system: System,
    fixed: Mapping[str, int],
    stack: Stack | None = None,
    *,
    room: float | None = None,
    least_slack: bool = False,
) -> _Found:
    """One pass over all layouts; `room` [byte] of a rank, the datasheet's by default; least_slack: count the low end
    of the framework's slack.
    """
    start = time.perf_counter()
    room, stack = capacity(system) if room is None else room, stack or fitted()[0]
    best: list[tuple[float, float, Layout]] = []
    smallest: tuple[float, Layout] | None = None
    candidates = feasible = 0
    for chunk in space.layouts(job, system, fixed):
        candidates += np.size(chunk.tp)
        held = pieces.weigh(job, system, chunk)
        total = np.asarray(held.memory.low if least_slack else held.memory.total)
        least = int(np.argmin(total))
        if smallest is None or total[least] < smallest[0]:
            smallest = (float(total[least]), chunk.at(least))
        fits = np.flatnonzero(total <= room)
        feasible += fits.size
        if fits.size:
            _joined(system)
            kept = chunk.at(fits) if fits.size < total.size else chunk
            best += _best(job, system, kept, stack)
    best.sort(key=lambda entry: entry[0])
    return _Found(best[: 4 * KEPT], candidates, feasible, smallest, time.perf_counter() - start)


def _joined(system: System) -> None:
    """Raises `MissingFact` where accelerators that work together need a link or NIC whose bandwidth is not known."""
    missing = unjoined(system.accelerator, system.count * system.accelerator.dies)
    if missing is not None:
        needed(system.accelerator, missing)


def _best(job: TrainJob, system: System, kept: Layout, stack: Stack) -> list[tuple[float, float, Layout]]:
    seconds = np.asarray(step.assemble(pieces.measure(job, system, kept), stack).step)
    doubtful = np.select([kept.schedule == kind for kind in UNPROVEN], list(UNPROVEN.values()), 0.0)
    value = seconds * np.exp(doubtful)
    order = np.argsort(value, kind="stable")[:KEPT]
    return [(float(value[i]), float(seconds[i]), kept.at(i)) for i in order]


def plan(
    job: TrainJob, system: System, fixed: Mapping[str, int] | None = None, *, price: float | None = None
) -> TrainPlan:
    """The best layout, searching whatever `fixed` leaves out; infeasible with what binds if nothing fits.

    price [USD per accelerator-second] gives a cost; None leaves it unpriced. Schedules that hardly any published run
    validates must win by more than their doubt. Raises `MissingFact` when the chip's links are unknown.
    """
    fixed = dict(fixed or {})
    found = _search(job, system, fixed)
    search = Search(found.candidates, found.feasible, found.seconds)
    if not found.layouts:
        return replace(_refused(job, system, fixed, found), search=search)
    chosen = found.layouts[0][2]
    made = describe(job, system, chosen, price=price)
    return replace(made, search=search, alternatives=_alternatives(job, system, found.layouts))


def predict(
    job: TrainJob, system: System, fixed: Mapping[str, int] | None = None, *, stack: Stack | None = None
) -> TrainPlan:
    """The prediction for a run of which `fixed` is known: the best feasible setting of the rest.

    What ran may have used all that is physically there, with the least slack. Where nothing fits by that count either,
    the memory model is wrong about this run: the fastest of the layouts within half as much again as the leanest is
    taken, and the outcome says that it should not fit.
    """
    fixed = dict(fixed or {})
    found = _search(job, system, fixed, stack, room=capacity(system, physical=True), least_slack=True)
    if found.layouts:
        return replace(describe(job, system, found.layouts[0][2], stack=stack), outcome=FEASIBLE)
    if found.smallest is None:
        return replace(_refused(job, system, fixed, found), search=Search(found.candidates, 0, found.seconds))
    bind = _too_large(system, found.smallest[0])
    again = _search(job, system, fixed, stack, room=1.5 * found.smallest[0], least_slack=True)
    return replace(describe(job, system, again.layouts[0][2], stack=stack), outcome=infeasible(bind))


def describe(
    job: TrainJob, system: System, layout: Layout, *, price: float | None = None, stack: Stack | None = None
) -> TrainPlan:
    """Everything about one layout; feasible when its memory fits."""
    found = evaluate(job, system, layout, stack)
    seconds, held = float(found.step_time[0]), found.memory.at(0)
    sure = doubt(job, system, layout)
    rate = job.tokens_per_step / seconds / system.count
    useful = goodput(system)
    flop = float(flop_per_token(job.arch, job.seq)) * (2.0 if job.task == "lora" else 3.0)
    run = _run(job, system, seconds, useful.value, price)
    outcome = FEASIBLE if bool(found.fits[0]) else infeasible(_too_large(system, float(held.total)))
    shrink = float(np.exp(sure.spread))
    return TrainPlan(
        outcome=outcome,
        layout=layout,
        step_time=seconds,
        step_time_low=seconds / shrink,
        step_time_high=seconds * shrink,
        tokens_per_second_per_accelerator=rate,
        model_flops_per_second_per_accelerator=rate * flop,
        mfu=rate * flop / peak(job, system.accelerator),
        mfu_16bit=rate * flop / peak(replace(job, precision=job.sixteen), system.accelerator),
        memory=held,
        capacity=capacity(system),
        breakdown={name: float(np.broadcast_to(part, (1,))[0]) for name, part in found.parts.items()},
        goodput=useful,
        doubt=sure,
        wall_time_low=None if run["wall_time"] is None else run["wall_time"] / shrink * useful.value / useful.high,
        wall_time_high=None if run["wall_time"] is None else run["wall_time"] * shrink * useful.value / useful.low,
        sources=tuple(system.accelerator.facts),
        **run,
    )


def _run(job: TrainJob, system: System, seconds: float, useful: float, price: float | None) -> dict[str, Any]:
    """Wall time, accelerator-hours, energy and cost of the whole run; None where the tokens are not given."""
    if job.tokens is None:
        return {"wall_time": None, "accelerator_hours": None, "energy": None, "cost": None}
    wall = job.tokens / job.tokens_per_step * seconds / useful
    leased = wall * system.count
    power = system.accelerator.power
    return {
        "wall_time": wall,
        "accelerator_hours": leased / HOUR,
        "energy": None if power is None else power * leased,
        "cost": None if price is None else price * leased,
    }


def _too_large(system: System, total: float) -> Bind:
    room = capacity(system)
    text = f"memory: {show_memory(total)} needed of {show_memory(room)} on the fullest rank"
    return Bind("memory", text, total / room - 1, None)


def _refused(job: TrainJob, system: System, fixed: dict[str, int], found: _Found) -> TrainPlan:
    """Nothing divides, or nothing fits: what binds, and the nearest layout that is feasible."""
    relaxed = _relaxed(job, system, fixed)
    lift = None if relaxed is None else f"{relaxed[0]}: {relaxed[1]}"
    if found.smallest is None:
        bind = space.why_none(job, system, fixed)
        outcome = infeasible(replace(bind, lift=bind.lift or lift))
        return TrainPlan(outcome=outcome, nearest_feasible=relaxed[1] if relaxed else None)
    bind = _too_large(system, found.smallest[0])
    if lift is None:
        need = int(np.ceil(found.smallest[0] / capacity(system)))
        lift = f"about {need} times as many accelerators, or ones with more memory"
    shown = describe(job, system, found.smallest[1])
    outcome = infeasible(replace(bind, lift=lift))
    return replace(shown, outcome=outcome, nearest_feasible=relaxed[1] if relaxed else None)


RELAX = (("recompute",), ("zero",), ("mbs",), ("schedule", "vpp"), ("recompute", "zero", "mbs"), ("dp", "pp"))
RELAX_MORE = (("dp", "tp"), ("dp", "pp", "tp"), ("ep", "etp"), ("dp", "cp"))


def _relaxed(job: TrainJob, system: System, fixed: dict[str, int]) -> tuple[str, Layout] | None:
    """The first way of freeing what was fixed that gives a feasible layout: (what was freed, the layout)."""
    for names in (*RELAX, *RELAX_MORE, tuple(fixed)):
        freed = {name: value for name, value in fixed.items() if name not in names}
        if len(freed) == len(fixed):
            continue
        found = _search(job, system, freed)
        if found.layouts:
            what = ", ".join(name for name in names if name in fixed)
            return f"with another {what}", found.layouts[0][2]
    return None


def _alternatives(job: TrainJob, system: System, found: list[tuple[float, float, Layout]]) -> tuple[Alternative, ...]:
    """Up to five layouts within 15 % that differ from the best and from each other in more than the micro-batch."""
    best, seconds = found[0][2], found[0][1]
    seen = {_kind(best)}
    picked: list[Alternative] = []
    for _, other, layout in found[1:]:
        if other > 1.15 * seconds or len(picked) == 5:
            break
        if _kind(layout) in seen:
            continue
        seen.add(_kind(layout))
        held = pieces.weigh(job, system, grid.flatten(layout)[0]).memory.at(0)
        picked.append(Alternative(layout, other, other / seconds - 1, float(held.total), differs(best, layout)))
    return tuple(picked)


def _kind(layout: Layout) -> tuple[int, ...]:
    names = ("tp", "pp", "cp", "ep", "zero", "recompute", "schedule")
    return tuple(int(getattr(layout, name)) for name in names)


def differs(best: Layout, other: Layout) -> str:
    """What changes from one layout to another, in words."""
    words = []
    for name in grid.NAMES:
        before, after = int(getattr(best, name)), int(getattr(other, name))
        if before != after and name not in ("dp", "recompute", "schedule"):
            words.append(f"{name}{after} for {name}{before}")
    if int(best.recompute) != int(other.recompute):
        words.append(f"recompute {RECOMPUTE[int(other.recompute)]}")
    if int(best.schedule) != int(other.schedule):
        words.append(SCHEDULE[int(other.schedule)])
    return ", ".join(words)
