"""What is played: a model to come with the places it may be trained on, and the demand for a model. Values only."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from tonnage.fleet.draws import Bools, Pick
from tonnage.fleet.programme import StageKind
from tonnage.fleet.sizes import SizeCurve
from tonnage.fleet.uncertain import Floats

T = TypeVar("T")


def _picked(made: T, pick: Pick, shared: tuple[str, ...] = ()) -> T:
    """A value with only some of the draws: its arrays cut, those in `shared` left as they are."""

    def cut(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value[pick]
        if isinstance(value, tuple):
            return tuple(cut(item) if isinstance(item, np.ndarray) else _again(item, pick) for item in value)
        return value

    names = (one.name for one in fields(made) if one.name not in shared)  # type: ignore[arg-type]
    return replace(made, **{name: cut(getattr(made, name)) for name in names})  # type: ignore[type-var]


def _again(item: Any, pick: Pick) -> Any:
    return item.take(pick) if hasattr(item, "take") else item


@dataclass(frozen=True)
class StageSpeed:
    """Training speed of one stage on one place: tokens/s per accelerator at some sizes of the run [k], see `SizeCurve`;
    factor: what the draws think of it [d]; doubt: power of the factor at each size [k], None: 1 at all. A pause runs at
    1 s per s and holds what the stage before it held.

    What is far from published runs is doubted more, so a draw may think a large run slower than a small one. It is then
    run small: the speed of a draw never falls with the size.
    """

    kind: StageKind
    sizes: Floats
    rate: Floats
    factor: Floats
    doubt: Floats | None = None

    @cached_property
    def curve(self) -> SizeCurve:
        """Speed over size, without the factor."""
        return SizeCurve(self.sizes, self.rate)

    @property
    def least(self) -> float:
        """Fewest accelerators that a run is started on, infinite if none is enough; a pause needs none."""
        if self.kind == "pause":
            return 0.0
        return float(self.sizes[0]) if self.sizes.size else np.inf

    def best(self, accelerators: Floats, pick: Pick = slice(None)) -> tuple[Floats, Floats]:
        """Accelerators held, of so many in the draws `pick`, and the speed of the run [token/s], of a pause [s/s]."""
        held, whole = self.curve.best(accelerators)
        if self.kind == "pause":
            return (held if self.sizes.size else accelerators), np.ones_like(accelerators)
        if self.doubt is None or not self.sizes.size:
            return held, whole * self.factor[pick]
        return held, self._drawn(held, pick)

    @cached_property
    def _logs(self) -> Floats:
        """Logarithm of the speed of the best run of at most each size, as each draw thinks [k, d]."""
        assert self.doubt is not None
        planned = np.log(self.sizes * self.rate)[:, None]
        return np.maximum.accumulate(planned + self.doubt[:, None] * np.log(self.factor), axis=0)

    def _drawn(self, held: Floats, pick: Pick) -> Floats:
        """Speed of runs of these sizes in the draws `pick`: straight lines in logarithms between the sizes."""
        logs, at = self._logs[:, pick], np.log(self.sizes)
        draws = np.arange(logs.shape[1]) if logs.shape[1] > 1 else np.zeros(1, dtype=np.int64)
        below = np.clip(np.searchsorted(self.sizes, held, side="right") - 1, 0, max(at.size - 2, 0))
        above = np.minimum(below + 1, at.size - 1)
        inside = np.log(np.clip(held, self.sizes[0], self.sizes[-1]))
        share = np.divide(inside - at[below], at[above] - at[below], out=np.zeros_like(inside), where=above > below)
        found = logs[below, draws] * (1 - share) + logs[above, draws] * share
        return np.where(held > 0, np.exp(found), 0.0)

    def against_plan(self, accelerators: Floats, pick: Pick = slice(None)) -> Floats:
        """Speed that the draws `pick` think of, over the planned one; 1 where nothing runs."""
        held, drawn = self.best(accelerators, pick)
        planned = self.curve.best(accelerators)[1]
        return np.divide(drawn, planned, out=np.ones_like(drawn), where=(held > 0) & (planned > 0))

    def same_as(self, other: StageSpeed) -> bool:
        """Whether another is the same in every draw."""
        mine = (self.sizes, self.rate, self.factor, self.doubt)
        its = (other.sizes, other.rate, other.factor, other.doubt)
        same = all(
            a is b or (a is not None and b is not None and np.array_equal(a, b)) for a, b in zip(mine, its, strict=True)
        )
        return self.kind == other.kind and same

    def of(self, accelerators: Floats) -> Floats:
        """Tokens/s of the best part of so many accelerators [d]."""
        return self.best(accelerators)[1]

    def take(self, pick: Pick) -> StageSpeed:
        """Some of the draws."""
        return replace(self, factor=self.factor[pick])


@dataclass(frozen=True)
class Lost:
    """What a run that fails is expected to cost: a share of its time, and [s] until it is given up."""

    share: float
    debug: float = 0.0


WHOLE = Lost(1.0)
"""All of its time."""


@dataclass(frozen=True)
class Attempt:
    """One attempt. name: its place; lots: which [l]; completes: whether a run that is tried there does [d]; slip: time
    over plan [d]; hoped: the same as expected before it has worked there, None where it is known; chance: probability
    that it completes, lost: what a failure would cost, both as known before; debug: [s] from the failure until it is
    given up [d]; limit: most accelerators that a run uses there.
    """

    name: str
    lots: Bools
    completes: Bools
    slip: Floats
    speeds: tuple[StageSpeed, ...]
    chance: float = 1.0
    debug: Floats | float = 0.0
    limit: float = np.inf
    hoped: float | None = None
    lost: Lost = WHOLE

    @property
    def least(self) -> float:
        """Fewest accelerators on which every stage runs."""
        return max((speed.least for speed in self.speeds), default=0.0)

    def take(self, pick: Pick) -> Attempt:
        """Some of the draws."""
        return _picked(self, pick, ("lots",))


@dataclass(frozen=True)
class Project:
    """A model to come. amounts: of each stage [d]; trains: whether it needs training at all (with no attempt it then
    never launches); service, taken_from: rows among the services, or None.

    rounds, each: of improvement, and how long one takes [d]; hold: accelerators that they hold, None for what is said
    by `ROUNDS_HOLD`; after: index of the project that launches before it; chosen: whether the places are in an order
    that is to be kept; pause, check: what a move costs, [s] and tokens trained twice; first: share of its demand at
    launch that its first users are; done: share of the first stage that is done at the start [d].
    """

    name: str
    attempts: tuple[Attempt, ...]
    amounts: tuple[Floats, ...]
    give_up: Floats
    rounds: Floats
    each: Floats
    at_most: float = np.inf
    service: int | None = None
    taken_from: int | None = None
    takes_over: Floats | float = 1.0
    within: Floats | float = 0.0
    surge: Floats | float = 0.0
    trains: bool = True
    hold: Floats | None = None
    after: int | None = None
    chosen: bool = True
    pause: float = 0.0
    check: float = 0.0
    first: Floats | float = 1.0
    done: Floats | float = 0.0

    def take(self, pick: Pick) -> Project:
        """Some of the draws."""
        return _picked(self, pick)


@dataclass(frozen=True)
class Demand:
    """The demand for one model. base: requests/s at the start [d]; growth [1/s]; peak: capacity over average; rate:
    requests/s per accelerator [d, l], 0 where it may not or cannot run; from_launch: counted only once launched.
    """

    name: str
    base: Floats
    growth: Floats
    peak: Floats
    rate: Floats
    from_launch: bool = False

    def take(self, pick: Pick) -> Demand:
        """Some of the draws."""
        return _picked(self, pick)


__all__ = ["Attempt", "Demand", "Project", "StageSpeed"]
