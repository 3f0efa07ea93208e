"""One run on unlike accelerators: data-parallel groups that share each batch, or stages that share the layers."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tonnage.errors import FEASIBLE, Bind, infeasible
from tonnage.model.counts import params
from tonnage.system import System, needed
from tonnage.train.evidence import TIERS, TrainDoubt, doubt
from tonnage.train.figures import TrainBill, TrainFigures
from tonnage.train.goodput import together
from tonnage.train.job import TrainJob, check_precision
from tonnage.train.mixed_stages import JointPipeline, PipelinePart, staged
from tonnage.train.result import LayoutSearch, MixedPart, MixedPlan, TrainPlan, Way, provenance
from tonnage.train.search import describe, flop_of_token, peak, plan, wall_time
from tonnage.units import HOUR

Fixed = Sequence[Mapping[str, int]]
Prices = Sequence[float | None]
UNPROVEN = 0.10
"""Added log-doubt of a run on unlike chips, which hardly any published run validates; as of a schedule without runs.
Assumption."""
GRADIENT_BYTES = 4.0
"""Bytes of a gradient that groups sum between them."""


def mixed(
    job: TrainJob, systems: Sequence[System], fixed: Fixed | None = None, prices: Prices | None = None
) -> MixedPlan:
    """The faster of data-parallel groups (`groups`) and one pipeline over all systems (`mixed_stages.staged`), and why.

    prices: of an accelerator of each system [USD/s]. Where neither way can be, the outcome is that of the groups.
    Raises `InputError` for a precision that one of the chips does not multiply.
    """
    check_precision(job, (system.accelerator for system in systems))
    began = time.perf_counter()
    made = _better(_asked(job, systems, fixed, prices))
    if made.search is not None:
        made = replace(made, search=replace(made.search, seconds=time.perf_counter() - began))
    return made


def _better(asked: MixedPlan) -> MixedPlan:
    apart = _groups(asked)
    found = staged(asked.job, asked.systems, asked.fixed)
    if found is None:
        return replace(apart, why="no pipeline over all of them fits" if apart.parts else "")
    joint = _pipeline(asked, found, apart)
    if apart.run is None or joint.run is None:
        return replace(joint, why=f"groups cannot be: {apart.outcome.binds[0].text}")
    better, other = (joint, apart) if joint.run.step_time.value < apart.run.step_time.value else (apart, joint)
    return replace(better, why=_why(better, other), other=other.together)


NAMES: Mapping[Way, str] = {"groups": "data-parallel groups", "stages": "pipeline stages"}


def _why(better: MixedPlan, other: MixedPlan) -> str:
    """What the way not taken loses by."""
    if better.run is None or other.run is None:
        return ""
    step = other.run.step_time.value
    slower = step / better.run.step_time.value - 1
    slowest = max(other.parts, key=lambda part: part.step_time)
    cost = {name: other.breakdown.get(name, 0.0) for name in ("bubble", "waiting", "between_parts")}
    shares = ", ".join(f"{name.replace('_', ' ')} {value / step:.1%}" for name, value in cost.items() if value > 0)
    share = f"{slowest.batch:,} sequences" if other.way == "groups" else f"{slowest.layers} layers"
    held_up = f"held up by {slowest.system.accelerator.name} with {share}"
    return f"{NAMES[other.way]} are {slower:.1%} slower: {held_up}; {shares}"


def _pipeline(asked: MixedPlan, found: JointPipeline, apart: MixedPlan) -> MixedPlan:
    """A pipeline: each part's figures are of its layers alone."""
    parts = tuple(_part(asked.job, found.parts[place], place) for place in found.places)
    tried = apart.search.candidates if apart.search else 0
    return _whole(replace(asked, way="stages", alone=apart.alone), parts, found.step_time, found.between, tried)


def _part(job: TrainJob, stage: PipelinePart, place: int) -> MixedPart:
    run = _run_of(describe(stage.job, stage.system, stage.layout))
    sure = doubt(job, stage.system, stage.layout)
    run = replace(run, step_time=sure.around(run.step_time.value), memory=stage.memory, doubt=sure)
    batches = job.global_batch / (int(stage.layout.dp) * int(stage.layout.mbs))
    return MixedPart(stage.system, stage.layout, job.global_batch, stage.layers, batches * stage.slow, run, place)


def _run_of(found: TrainPlan) -> TrainFigures:
    if found.run is None:
        raise ValueError("a plan without a layout is no part")
    return found.run


GRAINS = (1, 16, 64, 256, 1024)
"""Sequences by which a batch is split: coarse grains let more layouts divide, fine ones follow the speeds."""


def groups(
    job: TrainJob, systems: Sequence[System], fixed: Fixed | None = None, prices: Prices | None = None
) -> MixedPlan:
    """Data-parallel groups on unlike systems: a batch split in proportion to speed; each keeps its own layout.

    Every system is planned alone with the whole batch; their rates give the first split, the rates at that split the
    second. Shares are rounded to several grains, for the layouts that divide a share depend on it, and the fastest is
    kept. Gradients are summed between groups once a step over the narrowest group's NICs, 2 x 4 P bytes / (accelerators
    x NIC), behind nothing. The outcome says why when a group cannot hold the model or the batch is too small to be
    split.
    """
    return _groups(_asked(job, systems, fixed, prices))


def _asked(job: TrainJob, systems: Sequence[System], fixed: Fixed | None, prices: Prices | None) -> MixedPlan:
    """The question alone, to be answered."""
    return MixedPlan(
        job,
        tuple(systems),
        FEASIBLE,
        tuple(dict(one) for one in (fixed or [{}] * len(systems))),
        tuple(prices or [None] * len(systems)),
        way="groups",
        provenance=provenance(),
    )


def _groups(asked: MixedPlan) -> MixedPlan:
    """The split of a batch over systems of which each holds the whole model: all wait for the slowest, then reduce."""
    job, systems = asked.job, asked.systems
    planner = _Planner(job, systems, asked.fixed)
    whole = [planner.plan(i, job.global_batch) for i in range(len(systems))]
    alone = [job.tokens_per_step / _run_of(p).step_time.value for p in whole if p.outcome.feasible]
    asked = replace(asked, alone=max(alone, default=None))
    unable = [_cannot(s, p) for s, p in zip(systems, whole, strict=True) if not _could(p)]
    if unable:
        return _none(asked, tuple(unable), len(planner.known))
    rates = [planner.rate(i) for i in range(len(systems))]
    best = _best(planner, np.array(rates))
    if best is None:
        text = f"a batch of {job.global_batch} sequences has no split over {len(systems)} systems that all can hold"
        return _none(asked, (Bind("batch", text, None, "a larger batch, or fewer systems"),), len(planner.known))
    state = params(job.arch).total
    reduction = 2 * GRADIENT_BYTES * state / min(s.count * needed(s.accelerator, "nic") for s in systems)
    parts = tuple(_group(planner, i, batch) for i, batch in enumerate(best))
    step = max(part.step_time for part in parts) + reduction
    return _whole(asked, parts, step, reduction, len(planner.known))


def _group(planner: _Planner, index: int, batch: int) -> MixedPart:
    found = planner.plan(index, batch)
    run = _run_of(found)
    if found.layout is None:
        raise ValueError("a plan without a layout is no part")
    return MixedPart(found.system, found.layout, batch, planner.job.arch.depth, run.step_time.value, run)


class _Planner:
    """Plans of each system at a batch, each made once."""

    def __init__(self, job: TrainJob, systems: Sequence[System], fixed: Fixed) -> None:
        self.job, self.systems, self.fixed = job, systems, fixed
        self.known: dict[tuple[int, int], TrainPlan] = {}

    def plan(self, index: int, batch: int) -> TrainPlan:
        key = (index, batch)
        if key not in self.known:
            job = replace(self.job, global_batch=batch)
            self.known[key] = plan(job, self.systems[index], self.fixed[index])
        return self.known[key]

    def rate(self, index: int) -> float:
        """Tokens per second with the whole batch; where that does not divide, with the nearest power of two below."""
        batch = self.job.global_batch
        while not self.plan(index, batch).outcome.feasible and batch > 1:
            batch = 1 << (batch - 1).bit_length() - 1
        found = self.plan(index, batch)
        return batch * self.job.seq / found.step_time.value if found.step_time and found.outcome.feasible else 1.0

    def seconds(self, index: int, batch: int) -> float:
        """Of a step with this batch; infinite where it cannot be."""
        found = self.plan(index, batch)
        return found.step_time.value if found.step_time and found.outcome.feasible else math.inf


def _best(planner: _Planner, rates: NDArray[np.float64]) -> tuple[int, ...] | None:
    """The split with the fastest step, over grains, corrected once by the rates at the first split."""
    best: tuple[int, ...] | None = None
    fastest = math.inf
    for _ in range(2):
        for shares in _shares(planner.job.global_batch, rates):
            slowest = max(planner.seconds(i, batch) for i, batch in enumerate(shares))
            if slowest < fastest:
                best, fastest = shares, slowest
        if best is None:
            return None
        rates = np.array([batch / planner.seconds(i, batch) for i, batch in enumerate(best)])
    return best


def _shares(batch: int, rates: NDArray[np.float64]) -> list[tuple[int, ...]]:
    """Splits in proportion to `rates`, one a grain, finest last; none where some share is empty."""
    ideal = batch * rates / rates.sum()
    found: list[tuple[int, ...]] = []
    for grain in reversed(GRAINS):
        if batch % grain or batch < 4 * grain * len(rates):
            continue
        shares = np.maximum(np.round(ideal / grain), 1).astype(int) * grain
        shares[np.argmax(shares)] += batch - shares.sum()
        split = tuple(int(share) for share in shares)
        if min(split) >= 1 and split not in found:
            found.append(split)
    return found or _smallest(batch, ideal)


def _smallest(batch: int, ideal: NDArray[np.float64]) -> list[tuple[int, ...]]:
    """A batch too small for any grain, cut to whole sequences; none where it has fewer than systems."""
    shares = np.maximum(np.round(ideal), 1).astype(int)
    shares[np.argmax(shares)] += batch - shares.sum()
    return [tuple(int(share) for share in shares)] if shares.min() >= 1 else []


def _could(found: TrainPlan) -> bool:
    """Whether a system may take part: a batch that does not divide alone may still have a share that does."""
    return found.outcome.reason in ("feasible", "batch", "divisibility")


def _cannot(system: System, found: TrainPlan) -> Bind:
    bind = found.outcome.binds[0]
    return replace(bind, text=f"{system.count:,} {system.accelerator.name} cannot take part: {bind.text}")


def _none(asked: MixedPlan, binds: tuple[Bind, ...], tried: int) -> MixedPlan:
    return replace(asked, outcome=infeasible(*binds), search=LayoutSearch(tried, 0))


def _whole(asked: MixedPlan, parts: tuple[MixedPart, ...], step: float, between: float, tried: int) -> MixedPlan:
    """The figures of all parts together, as of one system.

    Rates are over all accelerators; MFU over the sum of their peaks; the interval is that of the most doubtful part;
    memory that of the part that is fullest; interruptions of the parts add up (one stops all); the breakdown is the
    slowest part's, with `between_parts` and, in stages, what they wait; each part is paid at its own price, and the
    cost is None when one of them has none.
    """
    job, systems = asked.job, asked.systems
    count = sum(s.count for s in systems)
    sure, useful = _doubt(parts), together(systems)
    rate = job.tokens_per_step / step / count
    mean = flop_of_token(job) * rate
    sixteen = replace(job, precision=job.sixteen)
    peaks = [sum(s.count * peak(one, s.accelerator) for s in systems) for one in (job, sixteen)]
    wall = wall_time(job, step, useful, sure)
    run = TrainFigures(
        step_time=sure.around(step),
        tokens_per_second=rate,
        model_flops_per_second=mean,
        mfu=mean * count / peaks[0],
        mfu_16bit=mean * count / peaks[1],
        memory=max((part.run.memory for part in parts), key=lambda held: held.total / held.capacity),
        breakdown=_breakdown(parts, step, between),
        goodput=useful,
        doubt=sure,
        wall_time=wall,
        bill=None if wall is None else _bill(asked, wall.value),
    )
    return replace(
        asked,
        parts=parts,
        run=run,
        between=between,
        search=LayoutSearch(tried, tried),
        provenance=provenance(*systems, evidence=sure.evidence),
    )


def _doubt(parts: Sequence[MixedPart]) -> TrainDoubt:
    """That of the most doubtful part, and of what hardly any run has shown."""
    doubts = [part.run.doubt for part in parts]
    sure = max(doubts, key=lambda d: (d.spread, TIERS.index(d.evidence)))
    reason = f"{sure.reason}; hardly any published run on unlike chips validates how they work together"
    evidence = max((d.evidence for d in doubts), key=TIERS.index)
    return replace(sure, evidence=evidence, spread=math.hypot(sure.spread, UNPROVEN), reason=reason)


def _breakdown(parts: Sequence[MixedPart], step: float, between: float) -> dict[str, float]:
    slowest = max(parts, key=lambda part: part.step_time)
    seconds = dict(slowest.run.breakdown)
    own = sum(seconds.values())
    waits = max(step - own - between, 0.0)
    return seconds | {"between_parts": between} | ({"waiting": waits} if waits > 1e-9 * own else {})


def _bill(asked: MixedPlan, wall: float) -> TrainBill:
    systems = asked.systems
    energy = _sum(_times(s.accelerator.power, wall * s.count) for s in systems)
    cost = _sum(_times(p, wall * s.count) for p, s in zip(asked.prices, systems, strict=True))
    return TrainBill(wall * sum(s.count for s in systems) / HOUR, energy, cost)


def _times(value: float | None, seconds: float) -> float | None:
    return None if value is None else value * seconds


def _sum(values: Iterable[float | None]) -> float | None:
    """Sum, or None when one is unknown."""
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total
