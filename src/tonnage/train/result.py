"""The plan of a training run, as a value and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tonnage.errors import Outcome
from tonnage.layout import RECOMPUTE, SCHEDULE, Layout, show_layout
from tonnage.train.doubt import Doubt
from tonnage.train.goodput import Goodput
from tonnage.train.memory import Memory


@dataclass(frozen=True)
class Search:
    """How many layouts were looked at, how many fit, and how long it took [s]."""

    candidates: int
    feasible: int
    seconds: float


@dataclass(frozen=True)
class Alternative:
    """Another layout: step time over the best one's, memory [byte], what differs, in words."""

    layout: Layout
    step_time: float
    slower: float
    memory: float
    differs: str


@dataclass(frozen=True)
class TrainPlan:
    """The answer of `plan`. Keys of docs/interface: base units, rates for each accelerator (not die).

    layout is None when nothing divides; numbers are NaN where there is no layout. cost is None when unpriced.
    """

    outcome: Outcome
    layout: Layout | None = None
    step_time: float = float("nan")
    step_time_low: float = float("nan")
    step_time_high: float = float("nan")
    tokens_per_second_per_accelerator: float = float("nan")
    model_flops_per_second_per_accelerator: float = float("nan")
    mfu: float = float("nan")
    mfu_16bit: float = float("nan")
    memory: Memory | None = None
    capacity: float = float("nan")
    breakdown: dict[str, float] = field(default_factory=dict)
    goodput: Goodput | None = None
    wall_time: float | None = None
    wall_time_low: float | None = None
    wall_time_high: float | None = None
    accelerator_hours: float | None = None
    energy: float | None = None
    cost: float | None = None
    alternatives: tuple[Alternative, ...] = ()
    doubt: Doubt | None = None
    search: Search | None = None
    nearest_feasible: Layout | None = None
    sources: tuple[str, ...] = ()

    @property
    def evidence(self) -> str:
        """interpolated, extrapolated or analytic."""
        return self.doubt.evidence if self.doubt else "analytic"

    @property
    def tokens_per_second(self) -> float:
        """For each accelerator, a short name."""
        return self.tokens_per_second_per_accelerator

    def to_json(self) -> dict[str, Any]:
        """The keys of a training answer."""
        body: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                "step_time",
                "step_time_low",
                "step_time_high",
                "tokens_per_second_per_accelerator",
                "model_flops_per_second_per_accelerator",
                "mfu",
                "mfu_16bit",
                "breakdown",
                "wall_time",
                "wall_time_low",
                "wall_time_high",
                "accelerator_hours",
                "energy",
                "cost",
            )
        }
        body["layout"] = show_layout(self.layout) if self.layout else None
        body["degrees"] = degrees(self.layout)
        body["memory"] = memory_json(self.memory, self.capacity)
        body |= _goodput_json(self.goodput)
        body["alternatives"] = [_alternative_json(other) for other in self.alternatives]
        body["doubt"] = self.doubt.reason if self.doubt else None
        body["nearest_published"] = self.doubt.nearest if self.doubt else None
        body["nearest_feasible"] = show_layout(self.nearest_feasible) if self.nearest_feasible else None
        body["search"] = vars(self.search) if self.search else None
        return body


def degrees(layout: Layout | None) -> dict[str, Any] | None:
    """Degrees as numbers, recomputation and schedule by name."""
    if layout is None:
        return None
    names = ("tp", "pp", "vpp", "cp", "ep", "etp", "dp", "zero", "mbs")
    made: dict[str, Any] = {name: int(getattr(layout, name)) for name in names}
    return made | {"recompute": RECOMPUTE[int(layout.recompute)], "schedule": SCHEDULE[int(layout.schedule)]}


def memory_json(memory: Memory | None, capacity: float) -> dict[str, Any] | None:
    """Bytes by kind on the fullest rank, with the capacity of a rank."""
    if memory is None:
        return None
    kinds = {name: float(getattr(memory, name)) for name in Memory.__dataclass_fields__}
    ends = {"total": memory.total, "total_low": memory.low, "total_high": memory.high}
    return kinds | {name: float(value) for name, value in ends.items()} | {"capacity": capacity}


def _goodput_json(found: Goodput | None) -> dict[str, Any]:
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


def _alternative_json(other: Alternative) -> dict[str, Any]:
    return {
        "layout": show_layout(other.layout),
        "degrees": degrees(other.layout),
        "step_time": other.step_time,
        "slower": other.slower,
        "memory": other.memory,
        "differs": other.differs,
    }
