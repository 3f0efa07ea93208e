"""The best layouts of a job on a system: all that divide, without those that do not fit, in one broadcast."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Floats, Numbers
from tonnage.errors import FEASIBLE, Bind, infeasible
from tonnage.interval import Interval
from tonnage.layout import RECOMPUTE, SCHEDULE, Layout
from tonnage.model.counts import flop_per_token
from tonnage.system import Accelerator, System, format_of, needed, per_die, unjoined
from tonnage.system import rate as datasheet_rate
from tonnage.train import candidates, grid, idle, pieces, step, upkeep
from tonnage.train.evidence import UNPROVEN, TrainDoubt, doubt
from tonnage.train.figures import TrainBill, TrainFigures, TrainMemory, held
from tonnage.train.goodput import Goodput, goodput
from tonnage.train.job import TrainJob, check_precision
from tonnage.train.layers import LayerBook
from tonnage.train.memory import CONTEXT, TrainRankMemory
from tonnage.train.result import LayoutSearch, OtherLayout, TrainPlan, provenance, used
from tonnage.train.software import TrainSoftware, fitted
from tonnage.units import HOUR, show_memory

KEPT = 256
"""Best candidates kept of each chunk, for alternatives."""


@dataclass(frozen=True)
class Evaluation:
    """Step time [s], parts of it by kind, memory and whether it fits, of each layout; arrays."""

    layout: Layout
    step_time: Floats
    parts: dict[str, Numbers]
    memory: TrainRankMemory
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


def evaluate(
    job: TrainJob,
    system: System,
    layouts: Layout,
    software: TrainSoftware | None = None,
    book: LayerBook | None = None,
) -> Evaluation:
    """Step time and memory of layouts: numbers, or arrays of any one shape (flattened). No check of divisibility."""
    flat, _ = grid.flatten(layouts)
    measured = pieces.measure(job, system, flat, book)
    times = step.assemble(measured, software or fitted().constants)
    fits = np.asarray(measured.memory.total) <= capacity(system)
    return Evaluation(flat, np.asarray(times.step), times.parts, measured.memory, fits)


Priced = tuple[float, float, Layout]
"""What a layout is ranked by, seconds of its step (the same but for the doubt of its schedule and of its memory), the
layout."""

TIGHT = 1.025
"""Times its step that a layout is ranked by whose upper end of memory does not fit: a run that stops for want of memory
costs more than a fortieth of its time. Assumption."""


@dataclass(frozen=True)
class _Smallest:
    """Bytes that a layout needs on its fullest rank; low, high: their 90 % interval."""

    total: float
    low: float
    high: float
    layout: Layout


@dataclass(frozen=True)
class _Found:
    """What a pass over the space brings home: layouts best first with their rank value; the least memory seen."""

    layouts: list[Priced]
    candidates: int
    feasible: int
    smallest: _Smallest | None
    seconds: float


class _Pass:
    """Looks at candidates, chunk by chunk, and keeps the best that fit into `room` [byte] of a rank."""

    def __init__(
        self,
        job: TrainJob,
        system: System,
        software: TrainSoftware,
        room: float,
        book: LayerBook,
        *,
        least_slack: bool,
        most: int,
    ) -> None:
        self.job, self.system, self.software, self.book = job, system, software, book
        self.room, self.least_slack, self.most = room, least_slack, most
        self.start = time.perf_counter()
        self.kept: list[Priced] = []
        self.smallest: _Smallest | None = None
        self.seen = self.feasible = 0

    def look(self, chunk: Layout) -> None:
        self.seen += np.size(chunk.tp)
        weighed = pieces.weigh(self.job, self.system, chunk, self.book)
        held = weighed.memory
        total = np.asarray(held.low if self.least_slack else held.total)
        least = int(np.argmin(total))
        if self.smallest is None or total[least] < self.smallest.total:
            low, high = (float(np.asarray(end)[least]) for end in (held.low, held.high))
            self.smallest = _Smallest(float(total[least]), low, high, chunk.at(least))
        fits = np.flatnonzero(total <= self.room)
        self.feasible += fits.size
        if fits.size:
            _joined(self.system)
            every = fits.size == total.size
            kept, known = (chunk, weighed) if every else (chunk.at(fits), weighed.take(fits))
            weighs = not self.least_slack and self.most > 1
            tight = (np.asarray(held.high)[fits] > self.room) & weighs
            self.kept += self._best(kept, known, tight)
            self.kept.sort(key=lambda entry: entry[0])
            del self.kept[self.most :]

    def _best(self, kept: Layout, known: pieces.Weighed, tight: NDArray[np.bool_]) -> list[Priced]:
        """The best layouts of a chunk, the best first; tight: whose upper end of memory does not fit."""
        measured = pieces.measure(self.job, self.system, kept, known=known)
        seconds = np.asarray(step.assemble(measured, self.software).step)
        doubtful = np.select([kept.schedule == kind for kind in UNPROVEN], list(UNPROVEN.values()), 0.0)
        value = seconds * np.exp(doubtful) * np.where(tight, TIGHT, 1.0)
        order = np.argsort(value, kind="stable")[: min(KEPT, self.most)]
        return [(float(value[i]), float(seconds[i]), kept.at(i)) for i in order]

    def best(self) -> float:
        """Rank value of the best so far; infinite before there is one."""
        return self.kept[0][0] if self.kept else math.inf

    def found(self) -> _Found:
        seconds = time.perf_counter() - self.start
        return _Found(list(self.kept), self.seen, self.feasible, self.smallest, seconds)


def _search(
    job: TrainJob,
    system: System,
    fixed: Mapping[str, int],
    software: TrainSoftware | None = None,
    *,
    book: LayerBook | None = None,
    room: float | None = None,
    least_slack: bool = False,
    whole: bool = False,
    most: int = 4 * KEPT,
) -> _Found:
    """All layouts that use every rank, then those with idle ranks that can be faster still.

    `room` [byte] of a rank, the datasheet's by default; least_slack: count the low end of the framework's slack; whole:
    no rank may be idle; most: layouts that are told. Where all ranks are best used, only layouts that do so are told.
    """
    room, software = capacity(system) if room is None else room, software or fitted().constants
    book = book or LayerBook()
    looked = _Pass(job, system, software, room, book, least_slack=least_slack, most=most)
    if not whole:
        every = idle.combinations(job, system, fixed, candidates.choices(job, system, fixed, idle=True))
        book.work(job, per_die(system.accelerator), every)
    for chunk in candidates.layouts(job, system, fixed):
        looked.look(chunk)
    full, best = looked.found(), looked.best()
    if whole:
        return full
    for chunk in idle.layouts(job, system, fixed, software, looked.best, book):
        looked.look(chunk)
    return full if looked.best() == best < math.inf else looked.found()


def _joined(system: System) -> None:
    """Raises `MissingFact` where accelerators that work together need a link or NIC whose bandwidth is not known."""
    missing = unjoined(system.accelerator, system.count * system.accelerator.dies)
    if missing is not None:
        needed(system.accelerator, missing)


def plan(
    job: TrainJob,
    system: System,
    fixed: Mapping[str, int] | None = None,
    *,
    price: float | None = None,
    book: LayerBook | None = None,
) -> TrainPlan:
    """The best layout, searching whatever `fixed` leaves out; infeasible with what binds if nothing fits.

    The best layout may leave accelerators over: they are spares (`unused`), and more of them never train slower.
    price [USD per accelerator-second] gives a cost; None leaves it unpriced. Schedules that hardly any published run
    validates must win by more than their doubt, and layouts whose upper end of memory does not fit by `TIGHT`. book:
    of priced layers, where several sizes are planned. Raises `MissingFact` when the chip's links are unknown,
    `InputError` for a precision that it does not multiply.
    """
    check_precision(job, (system.accelerator,))
    fixed, book = dict(fixed or {}), book or LayerBook()
    found = _search(job, system, fixed, book=book)
    made = _told(job, system, fixed, found, price, book)
    if not found.layouts:
        return made
    best = found.layouts[0][2]
    same = [one for one in found.layouts if used(one[2], system) == used(best, system)]
    return replace(made, alternatives=_alternatives(job, system, same, book))


def fastest(job: TrainJob, system: System, book: LayerBook) -> TrainPlan:
    """What `plan` says of a run without its alternatives: for one of many sizes, whose speed must not jump where the
    upper end of memory begins to fit.
    """
    return _told(job, system, {}, _search(job, system, {}, book=book, most=1), None, book)


def _told(
    job: TrainJob, system: System, fixed: dict[str, int], found: _Found, price: float | None, book: LayerBook
) -> TrainPlan:
    """The best of what a search brought home; what binds if nothing fits."""
    counts = LayoutSearch(found.candidates, found.feasible, found.seconds)
    if not found.layouts:
        return replace(_refused(job, system, fixed, found, price, book), search=counts)
    made = describe(job, system, found.layouts[0][2], price=price, book=book)
    return replace(made, fixed=fixed, search=counts)


def least_memory(job: TrainJob, system: System, book: LayerBook) -> float:
    """Bytes that a rank of any layout needs at least: states of all layers over all ranks (ZeRO-3), and the context."""
    one = np.ones(1, dtype=np.int64)
    layers, row = book.work(job, per_die(system.accelerator), Layout(tp=one, cp=one, ep=one, etp=one, mbs=one))
    held = layers.depth * (np.asarray(layers.dense)[row[0]] + np.asarray(layers.experts)[row[0]])
    return float(_states(job) * held / candidates.ranks(system) + CONTEXT[1])


def _states(job: TrainJob) -> float:
    """Bytes that each parameter takes on the accelerators at least; nothing that may lie in the host's memory."""
    one = job.apiece()
    if job.offload:
        return 0.0
    if job.frozen:
        return upkeep.BASES.get(job.stored or "", one.weight)
    return one.weight + one.gradient + one.states - 2.0


LEANEST = 1.5
"""Times the least memory of any layout, within which a run that should not fit is taken to have been. Assumption."""


def predict(
    job: TrainJob, system: System, fixed: Mapping[str, int] | None = None, *, software: TrainSoftware | None = None
) -> TrainPlan:
    """The prediction for a run of which `fixed` is known: the best feasible setting of the rest.

    What ran may have used all that is physically there, with the least slack. Where nothing fits by that count either,
    the memory model is wrong about this run: the fastest of the layouts within half as much again as the leanest is
    taken, and the outcome says that it should not fit.
    """
    fixed = dict(fixed or {})
    found = _search(job, system, fixed, software, room=capacity(system, physical=True), least_slack=True, whole=True)
    if found.layouts:
        return replace(describe(job, system, found.layouts[0][2], software=software), outcome=FEASIBLE, fixed=fixed)
    if found.smallest is None:
        return replace(_refused(job, system, fixed, found), search=LayoutSearch(found.candidates, 0, found.seconds))
    bind = _too_large(system, found.smallest.total)
    near = _search(job, system, fixed, software, room=LEANEST * found.smallest.total, least_slack=True, whole=True)
    made = describe(job, system, near.layouts[0][2], software=software)
    return replace(made, outcome=infeasible(bind), fixed=fixed)


def describe(
    job: TrainJob,
    system: System,
    layout: Layout,
    *,
    price: float | None = None,
    software: TrainSoftware | None = None,
    book: LayerBook | None = None,
) -> TrainPlan:
    """Everything about one layout; feasible when its memory fits."""
    found = evaluate(job, system, layout, software, book)
    memory = held(found.memory.at(0), capacity(system))
    sure = doubt(job, replace(system, count=used(layout, system)), layout)
    outcome = FEASIBLE if bool(found.fits[0]) else infeasible(_too_large(system, memory.total, memory.low, memory.high))
    return TrainPlan(
        job,
        system,
        outcome,
        fixed={name: int(getattr(layout, name)) for name in grid.NAMES},
        price=price,
        layout=layout,
        run=_figures(job, system, found, memory, sure, price),
        provenance=provenance(system, evidence=sure.evidence),
    )


def _figures(
    job: TrainJob, system: System, found: Evaluation, memory: TrainMemory, sure: TrainDoubt, price: float | None
) -> TrainFigures:
    """What a run of the first layout of `found` does.

    Rates are over all accelerators, idle ones too; MFU and goodput are those of the ones that work.
    """
    seconds = float(found.step_time[0])
    rate = job.tokens_per_step / seconds / system.count
    working = used(found.layout.at(0), system)
    useful = goodput(replace(system, count=working))
    flop = flop_of_token(job)
    busy = job.tokens_per_step / seconds / working * flop
    wall = wall_time(job, seconds, useful, sure)
    return TrainFigures(
        step_time=sure.around(seconds),
        tokens_per_second=rate,
        model_flops_per_second=rate * flop,
        mfu=busy / peak(job, system.accelerator),
        mfu_16bit=busy / peak(replace(job, precision=job.sixteen), system.accelerator),
        memory=memory,
        breakdown={name: float(np.broadcast_to(part, (1,))[0]) for name, part in found.parts.items()},
        goodput=useful,
        doubt=sure,
        wall_time=wall,
        bill=None if wall is None else _bill(system, wall.value, price),
    )


FORWARD_AND_BACKWARD = (3.0, 2.0)
"""FLOP of a token over those of its forward pass: of weights that train, of frozen ones, which have no gradient."""


def flop_of_token(job: TrainJob) -> float:
    """Model FLOP of one token of a step."""
    return float(flop_per_token(job.arch, job.seq)) * FORWARD_AND_BACKWARD[job.frozen]


def wall_time(job: TrainJob, seconds: float, useful: Goodput, sure: TrainDoubt) -> Interval | None:
    """Seconds of the whole run by those of a step; None where its tokens are not given.

    The ends take step and goodput both at their fast or their slow end.
    """
    if job.tokens is None:
        return None
    wall = job.tokens / job.tokens_per_step * seconds / useful.value
    ends = sure.around(wall)
    return Interval(wall, ends.low * useful.value / useful.high, ends.high * useful.value / useful.low)


def _bill(system: System, wall: float, price: float | None) -> TrainBill:
    leased = wall * system.count
    power = system.accelerator.power
    return TrainBill(
        leased / HOUR, None if power is None else power * leased, None if price is None else price * leased
    )


def _too_large(system: System, total: float, low: float = math.inf, high: float = math.inf) -> Bind:
    """More than fits; low, high: the interval of what is needed, which may begin below what there is."""
    room = capacity(system)
    text = f"memory: {show_memory(total)} needed of {show_memory(room)} on the fullest rank"
    if low <= room:
        text = f"memory: {perhaps(total, low, high, room)}"
    return Bind("memory", text, total / room - 1, None)


def perhaps(total: float, low: float, high: float, room: float) -> str:
    """Memory that is too much by its middle and not by its low end, in words."""
    span = f"{show_memory(low)} to {show_memory(high)}"
    return f"may fit: {span} of {show_memory(room)} on the fullest rank, {show_memory(total)} expected"


def _refused(
    job: TrainJob,
    system: System,
    fixed: dict[str, int],
    found: _Found,
    price: float | None = None,
    book: LayerBook | None = None,
) -> TrainPlan:
    """Nothing divides, or nothing fits: what binds, and the nearest layout that is feasible."""
    relaxed = _relaxed(job, system, fixed)
    lift = None if relaxed is None else f"{relaxed[0]}: {relaxed[1]}"
    if found.smallest is None:
        bind = candidates.why_none(job, system, fixed)
        outcome = infeasible(replace(bind, lift=bind.lift or lift))
        return TrainPlan(
            job,
            system,
            outcome,
            fixed,
            price,
            nearest_feasible=relaxed[1] if relaxed else None,
            provenance=provenance(),
        )
    least = found.smallest
    bind = _too_large(system, least.total, least.low, least.high)
    if lift is None:
        need = int(np.ceil(least.total / capacity(system)))
        lift = f"about {need} times as many accelerators, or ones with more memory"
    shown = describe(job, system, least.layout, price=price, book=book)
    outcome = infeasible(replace(bind, lift=lift))
    return replace(shown, outcome=outcome, fixed=fixed, price=price, nearest_feasible=relaxed[1] if relaxed else None)


RELAX = (("recompute",), ("zero",), ("mbs",), ("schedule", "vpp"), ("recompute", "zero", "mbs"), ("dp", "pp"))
RELAX_MORE = (("dp", "tp"), ("dp", "pp", "tp"), ("ep", "etp"), ("dp", "cp"))


def _relaxed(job: TrainJob, system: System, fixed: dict[str, int]) -> tuple[str, Layout] | None:
    """The first way of freeing what was fixed that gives a feasible layout: (what was freed, the layout).

    Experts that nobody asked to deal out stay where they are until that alone is freed.
    """
    if pieces.expert_count(job) and not candidates.deals(job, candidates.ranks(system), fixed):
        fixed = {"ep": 1} | fixed
    for names in (*RELAX, *RELAX_MORE, tuple(fixed)):
        freed = {name: value for name, value in fixed.items() if name not in names}
        if len(freed) == len(fixed):
            continue
        found = _search(job, system, freed)
        if found.layouts:
            what = ", ".join(name for name in names if name in fixed)
            return f"with another {what}", found.layouts[0][2]
    return None


def _alternatives(job: TrainJob, system: System, found: list[Priced], book: LayerBook) -> tuple[OtherLayout, ...]:
    """Up to five layouts within 15 % that differ from the best and from each other in more than the micro-batch."""
    best, seconds = found[0][2], found[0][1]
    seen = {_kind(best)}
    picked: list[OtherLayout] = []
    for _, other, layout in found[1:]:
        if other > 1.15 * seconds or len(picked) == 5:
            break
        if _kind(layout) in seen:
            continue
        seen.add(_kind(layout))
        total = held(pieces.weigh(job, system, grid.flatten(layout)[0], book).memory.at(0), capacity(system)).total
        picked.append(OtherLayout(layout, other, other / seconds - 1, total, differs(best, layout)))
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
