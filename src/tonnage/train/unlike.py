"""One run on unlike accelerators: data-parallel groups that share each batch, or stages that share the layers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tonnage.errors import FEASIBLE, Bind, infeasible
from tonnage.layout import show_layout
from tonnage.model.counts import flop_per_token, params
from tonnage.system import System, needed
from tonnage.train.across import Stage, Staged, staged
from tonnage.train.doubt import doubt
from tonnage.train.goodput import together
from tonnage.train.job import TrainJob
from tonnage.train.result import Search, TrainPlan
from tonnage.train.search import describe, peak, plan
from tonnage.units import HOUR

Fixed = Sequence[Mapping[str, int]]
UNPROVEN = 0.10
"""Added log-doubt of a run on unlike chips, which hardly any published run validates; as of a schedule without runs."""
EVIDENCE = ("interpolated", "extrapolated", "analytic")


@dataclass(frozen=True)
class Part:
    """What one system does in a mixed run.

    plan: its layout, memory and time with its share; batch: sequences of each step that it takes; layers: decoder
    layers that it holds; step_time: its own part of a step [s], without waiting for the others; place: in the pipeline
    of stages, 0 in groups.
    """

    system: System
    plan: TrainPlan
    batch: int
    layers: int
    step_time: float
    place: int = 0


@dataclass(frozen=True)
class Mixed:
    """A run on unlike systems.

    way: `groups` (each holds the model and takes sequences of each batch) or `stages` (each holds layers and takes
    every sequence); step_time: of all together [s]; between: seconds of it for what crosses from part to part;
    tokens_per_second: of all together; alone: of the best system alone with the whole batch, NaN where none can;
    binds: why it cannot be, then the figures are NaN; tried: plans made; why: what the other way loses by, or why it
    cannot be; other: its tokens per second, None where it cannot be.
    """

    way: str
    parts: tuple[Part, ...]
    step_time: float
    between: float
    tokens_per_second: float
    alone: float
    binds: tuple[Bind, ...] = ()
    tried: int = 0
    why: str = ""
    other: float | None = None

    @property
    def plans(self) -> tuple[TrainPlan, ...]:
        """The plan of each part."""
        return tuple(part.plan for part in self.parts)

    @property
    def batches(self) -> tuple[int, ...]:
        """Sequences of each step that each part takes."""
        return tuple(part.batch for part in self.parts)

    @property
    def gain(self) -> float:
        """Tokens per second over those of the best system alone, less 1."""
        return self.tokens_per_second / self.alone - 1


GRAINS = (1, 16, 64, 256, 1024)
"""Sequences by which a batch is split: coarse grains let more layouts divide, fine ones follow the speeds."""


def mixed(job: TrainJob, systems: Sequence[System], fixed: Fixed | None = None) -> Mixed:
    """The faster of data-parallel groups (`groups`) and one pipeline over all systems (`across.staged`), and why.

    Where neither can be, `binds` are those of the groups.
    """
    wanted = fixed or [{}] * len(systems)
    apart = groups(job, systems, wanted)
    found = staged(job, systems, wanted)
    if found is None:
        none = "no pipeline over all of them fits" if apart.parts else ""
        return replace(apart, why=none)
    joint = _pipeline(job, found, apart)
    if not apart.parts:
        return replace(joint, why=f"groups cannot be: {apart.binds[0].text}")
    if joint.step_time < apart.step_time:
        return replace(joint, why=_why(joint, apart), other=apart.tokens_per_second)
    return replace(apart, why=_why(apart, joint), other=joint.tokens_per_second)


NAMES = {"groups": "data-parallel groups", "stages": "pipeline stages"}


def _why(better: Mixed, other: Mixed) -> str:
    """What the way not taken loses by."""
    slower = other.step_time / better.step_time - 1
    slowest = max(other.parts, key=lambda part: part.step_time)
    cost = {name: _breakdown(other).get(name, 0.0) for name in ("bubble", "waiting", "between_parts")}
    shares = ", ".join(
        f"{name.replace('_', ' ')} {value / other.step_time:.1%}" for name, value in cost.items() if value > 0
    )
    share = f"{slowest.batch:,} sequences" if other.way == "groups" else f"{slowest.layers} layers"
    held = f"held up by {slowest.system.accelerator.name} with {share}"
    return f"{NAMES[other.way]} are {slower:.1%} slower: {held}; {shares}"


def _pipeline(job: TrainJob, found: Staged, apart: Mixed) -> Mixed:
    """A pipeline as a `Mixed`: each part's plan is of its layers alone."""
    parts = tuple(_part(job, found.parts[place], place) for place in found.places)
    rate = job.tokens_per_step / found.step_time
    return Mixed("stages", parts, found.step_time, found.between, rate, apart.alone, (), apart.tried)


def _part(job: TrainJob, stage: Stage, place: int) -> Part:
    plan_ = describe(stage.job, stage.system, stage.layout)
    plan_ = replace(plan_, outcome=FEASIBLE, memory=stage.memory, doubt=doubt(job, stage.system, stage.layout))
    batches = job.global_batch / (int(stage.layout.dp) * int(stage.layout.mbs))
    return Part(stage.system, plan_, job.global_batch, stage.layers, batches * stage.slow, place)


def groups(job: TrainJob, systems: Sequence[System], fixed: Fixed | None = None) -> Mixed:
    """Data-parallel groups on unlike systems: a batch split in proportion to speed; each keeps its own layout.

    Every system is planned alone with the whole batch; their rates give the first split, the rates at that split the
    second. Shares are rounded to several grains, for the layouts that divide a share depend on it, and the fastest is
    kept. Gradients are summed between groups once a step over the narrowest group's NICs, 2 x 4 P bytes / (accelerators
    x NIC), behind nothing. `binds` says why when a group cannot hold the model or the batch is too small to be split.
    """
    planner = _Planner(job, systems, fixed or [{}] * len(systems))
    whole = [planner.plan(i, job.global_batch) for i in range(len(systems))]
    alone = max((_rate(job, p) for p in whole if p.outcome.feasible), default=math.nan)
    unable = [_cannot(s, p) for s, p in zip(systems, whole, strict=True) if not _could(p)]
    if unable:
        return _none(tuple(unable), alone, len(planner.known))
    rates = [planner.rate(i) for i in range(len(systems))]
    best = _best(planner, np.array(rates))
    if best is None:
        text = f"a batch of {job.global_batch} sequences has no split over {len(systems)} systems that all can hold"
        return _none((Bind("batch", text, None, "a larger batch, or fewer systems"),), alone, len(planner.known))
    reduction = 2 * 4.0 * params(job.arch).total / min(s.count * needed(s.accelerator, "nic") for s in systems)
    parts = tuple(
        Part(system, planner.plan(i, batch), batch, job.arch.depth, planner.plan(i, batch).step_time)
        for i, (system, batch) in enumerate(zip(systems, best, strict=True))
    )
    step = max(part.step_time for part in parts) + reduction
    return Mixed("groups", parts, step, reduction, job.tokens_per_step / step, alone, (), len(planner.known))


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
        return batch * self.job.seq / found.step_time if found.outcome.feasible else 1.0


def _best(planner: _Planner, rates: NDArray[np.float64]) -> tuple[int, ...] | None:
    """The split with the fastest step, over grains, corrected once by the rates at the first split."""
    best: tuple[int, ...] | None = None
    fastest = math.inf
    for _ in range(2):
        for shares in _shares(planner.job.global_batch, rates):
            found = [planner.plan(i, batch) for i, batch in enumerate(shares)]
            slowest = max(p.step_time if p.outcome.feasible else math.inf for p in found)
            if slowest < fastest:
                best, fastest = shares, slowest
        if best is None:
            return None
        rates = np.array([batch / planner.plan(i, batch).step_time for i, batch in enumerate(best)])
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


def _none(binds: tuple[Bind, ...], alone: float, tried: int) -> Mixed:
    return Mixed("groups", (), math.nan, math.nan, math.nan, alone, binds, tried)


def _rate(job: TrainJob, found: TrainPlan) -> float:
    return job.tokens_per_step / found.step_time


def whole(job: TrainJob, found: Mixed, prices: Sequence[float | None], seconds: float = math.nan) -> TrainPlan:
    """The figures of all parts together, as of one system.

    Rates are over all accelerators; MFU over the sum of their peaks; the interval is that of the most doubtful part;
    memory that of the part that is fullest; interruptions of the parts add up (one stops all); the breakdown is the
    slowest part's, with `between_parts` and, in stages, what they wait; each part is paid at its own price [USD per
    accelerator-second], and the cost is None when one of them has none.
    """
    if not found.parts:
        return TrainPlan(outcome=infeasible(*found.binds), search=Search(found.tried, 0, seconds))
    systems, plans = [p.system for p in found.parts], found.plans
    count = sum(s.count for s in systems)
    sure = max((p.doubt for p in plans if p.doubt), key=lambda d: (d.spread, EVIDENCE.index(d.evidence)))
    reason = f"{sure.reason}; hardly any published run on unlike chips validates how they work together"
    evidence = max((p.evidence for p in plans), key=EVIDENCE.index)
    sure = replace(sure, evidence=evidence, spread=math.hypot(sure.spread, UNPROVEN), reason=reason)
    shrink, useful = math.exp(sure.spread), together(systems)
    rate = found.tokens_per_second / count
    mean = _per_token(job) * rate
    fullest = max(plans, key=lambda p: (p.memory.total if p.memory else 0.0) / p.capacity)
    sixteen = replace(job, precision=job.sixteen)
    peaks = [sum(s.count * peak(one, s.accelerator) for s in systems) for one in (job, sixteen)]
    wall = None if job.tokens is None else job.tokens / found.tokens_per_second / useful.value
    return TrainPlan(
        outcome=FEASIBLE,
        layout=None,
        step_time=found.step_time,
        step_time_low=found.step_time / shrink,
        step_time_high=found.step_time * shrink,
        tokens_per_second_per_accelerator=rate,
        model_flops_per_second_per_accelerator=mean,
        mfu=mean * count / peaks[0],
        mfu_16bit=mean * count / peaks[1],
        memory=fullest.memory,
        capacity=fullest.capacity,
        breakdown=_breakdown(found),
        goodput=useful,
        doubt=sure,
        wall_time=wall,
        wall_time_low=None if wall is None else wall / shrink * useful.value / useful.high,
        wall_time_high=None if wall is None else wall * shrink * useful.value / useful.low,
        accelerator_hours=None if wall is None else wall * count / HOUR,
        energy=_sum(None if wall is None else _times(s.accelerator.power, wall * s.count) for s in systems),
        cost=_sum(None if wall is None else _times(p, wall * s.count) for p, s in zip(prices, systems, strict=True)),
        search=Search(found.tried, found.tried, seconds),
        sources=tuple(dict.fromkeys(fact for s in systems for fact in s.accelerator.facts)),
    )


def _per_token(job: TrainJob) -> float:
    """Model FLOP of one token of the whole model."""
    return float(flop_per_token(job.arch, job.seq)) * (2.0 if job.task == "lora" else 3.0)


def _breakdown(found: Mixed) -> dict[str, float]:
    slowest = max(found.parts, key=lambda part: part.step_time)
    parts = dict(slowest.plan.breakdown)
    own = sum(parts.values())
    waits = max(found.step_time - own - found.between, 0.0)
    return parts | {"between_parts": found.between} | ({"waiting": waits} if waits > 1e-9 * own else {})


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


def show_parts(found: Mixed) -> str | None:
    """Layouts of the parts in order, joined as `--layout` takes them."""
    texts = [show_layout(p.layout) for p in found.plans if p.layout is not None]
    return " + ".join(texts) or None
