"""What a training run does: times, rates, memory, goodput, bill; None where there is no layout.

Figures are the part of a plan that a run on one system and a mixed one have alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from tonnage.interval import Interval, flat
from tonnage.layout import RECOMPUTE, SCHEDULE, Layout
from tonnage.provenance import Evidence
from tonnage.train.evidence import NearestRun, TrainDoubt
from tonnage.train.goodput import Goodput
from tonnage.train.memory import TrainRankMemory
from tonnage.values import Plain

Body = dict[str, Plain]
"""Keys of a JSON answer."""


@dataclass(frozen=True)
class TrainMemory:
    """Bytes on the fullest rank by kind, of which slack_low and slack_high are the 90 % interval of `slack`; capacity:
    bytes of a rank by the datasheet; host: bytes that its host keeps for it, beside the total.
    """

    weights: float
    gradients: float
    optimizer: float
    activations: float
    buffers: float
    slack: float
    slack_low: float
    slack_high: float
    capacity: float
    host: float = 0.0

    @property
    def total(self) -> float:
        """All kinds together."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.buffers + self.slack

    @property
    def low(self) -> float:
        """Total with the least slack."""
        return self.total - self.slack + self.slack_low

    @property
    def high(self) -> float:
        """Total with the most slack."""
        return self.total - self.slack + self.slack_high

    def to_json(self) -> Body:
        """The kinds, the total with its interval, the capacity; what the host keeps, where it keeps any."""
        beside = ("capacity",) if self.host else ("capacity", "host")
        kinds: Body = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in beside}
        total: Body = {**flat("total", Interval(self.total, self.low, self.high))}
        return kinds | total | {"capacity": self.capacity}


def held(memory: TrainRankMemory, capacity: float) -> TrainMemory:
    """Bytes of one candidate, beside the capacity of a rank."""
    return TrainMemory(**{f.name: float(getattr(memory, f.name)) for f in fields(memory)}, capacity=capacity)


@dataclass(frozen=True)
class TrainBill:
    """Of a whole run: accelerator-hours; energy [J] at the chips' rated power, None where a rating is not known; cost
    [USD], None where unpriced.
    """

    accelerator_hours: float
    energy: float | None
    cost: float | None


@dataclass(frozen=True)
class TrainFigures:
    """What a run does, where there is a layout: rates are for each accelerator (not die), idle ones included.

    step_time [s]; tokens_per_second; model_flops_per_second; mfu: of the accelerators that work, over the datasheet
    rate of the precision, mfu_16bit: over the 16-bit rate; memory; breakdown: seconds of a step by part; goodput;
    doubt; wall_time [s] and bill: of the whole run, None where its tokens are not given.
    """

    step_time: Interval
    tokens_per_second: float
    model_flops_per_second: float
    mfu: float
    mfu_16bit: float
    memory: TrainMemory
    breakdown: Mapping[str, float]
    goodput: Goodput
    doubt: TrainDoubt
    wall_time: Interval | None = None
    bill: TrainBill | None = None


class Figured:
    """What a plan says of its run, by short ways; None where there is no layout."""

    run: TrainFigures | None

    @property
    def step_time(self) -> Interval | None:
        """Seconds of a step."""
        return self.run.step_time if self.run else None

    @property
    def wall_time(self) -> Interval | None:
        """Seconds of the whole run, interruptions included."""
        return self.run.wall_time if self.run else None

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens a second, for each accelerator."""
        return self.run.tokens_per_second if self.run else None

    @property
    def mfu(self) -> float | None:
        """Model FLOP over the datasheet's rate of the precision."""
        return self.run.mfu if self.run else None

    @property
    def memory(self) -> TrainMemory | None:
        """Bytes on the fullest rank."""
        return self.run.memory if self.run else None

    @property
    def breakdown(self) -> Mapping[str, float]:
        """Seconds of a step by part."""
        return self.run.breakdown if self.run else {}

    @property
    def goodput(self) -> Goodput | None:
        """Share of the time that makes progress."""
        return self.run.goodput if self.run else None

    @property
    def doubt(self) -> TrainDoubt | None:
        """How sure its times are."""
        return self.run.doubt if self.run else None

    @property
    def bill(self) -> TrainBill | None:
        """What the whole run takes."""
        return self.run.bill if self.run else None

    @property
    def evidence(self) -> Evidence:
        """Interpolated, extrapolated or analytic."""
        return self.run.doubt.evidence if self.run else "analytic"


def figures_json(run: TrainFigures | None) -> Body:
    """The keys of what a run does; each None where there is no layout."""
    bill = run.bill if run else None
    near = run.doubt.nearest if run else None
    return {
        **flat("step_time", run.step_time if run else None),
        "tokens_per_second_per_accelerator": run.tokens_per_second if run else None,
        "model_flops_per_second_per_accelerator": run.model_flops_per_second if run else None,
        "mfu": run.mfu if run else None,
        "mfu_16bit": run.mfu_16bit if run else None,
        "breakdown": {**run.breakdown} if run else {},
        **flat("wall_time", run.wall_time if run else None),
        "accelerator_hours": bill.accelerator_hours if bill else None,
        "energy": bill.energy if bill else None,
        "cost": bill.cost if bill else None,
        "memory": run.memory.to_json() if run else None,
        **_goodput_json(run.goodput if run else None),
        "doubt": run.doubt.reason if run else None,
        "nearest_published": _near_json(near) if near else None,
    }


def degrees(layout: Layout | None) -> Body | None:
    """Degrees as numbers, recomputation and schedule by name."""
    if layout is None:
        return None
    names = ("tp", "pp", "vpp", "cp", "ep", "etp", "dp", "zero", "mbs")
    made: Body = {name: int(getattr(layout, name)) for name in names}
    return made | {"recompute": RECOMPUTE[int(layout.recompute)], "schedule": SCHEDULE[int(layout.schedule)]}


def _near_json(near: NearestRun) -> Body:
    apart = {} if near.apart is None else {"near": near.apart.near, "apart": near.apart.words}
    return {**vars(near.run), "distance": near.distance, **apart}


def _goodput_json(found: Goodput | None) -> Body:
    if found is None:
        return {"goodput": None}
    return {
        "goodput": found.value,
        "goodput_low": found.low,
        "goodput_high": found.high,
        "checkpoint_interval": found.interval,
        "mean_time_between_failures": found.mtbf,
        "spares": found.spares,
        "failure_rate_source": found.failures.source,
    }
