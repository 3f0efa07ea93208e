"""Which lots the best plan signs for: those that may be taken or left, and when they are left, within the budget.

Of a lot that may be taken (`optional`) it is decided how many of its units, and after which week they are left, or that
they are kept as the contract says. With a budget, any rented lot may be left away, as by the policy. More of either is
never a later launch and never cheaper, so boxes of levels are searched best first: a box launches no sooner than its
upper corner and costs no less than its lower one. (Where places are tried in an order, a lot that is not there can make
a launch earlier; the bound is then the launch without the order.) That is exact, and asks for few launches: `ahead.py`
gives one in milliseconds.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from tonnage.fleet.draws import PERIOD
from tonnage.fleet.optimum_case import PLAIN, CaseOptions, lasting
from tonnage.fleet.paid import EVEN, paid_for, signed_for
from tonnage.fleet.programme import DAY, Lot
from tonnage.fleet.setting import Play
from tonnage.fleet.uncertain import Floats

Levels = tuple[int, ...]
"""Two numbers for each choice: how many of its units, and by which of its ends they are left."""

MOST_ASKED = 400
"""Launches that are asked for at most; a search that is not done by then goes on greedily, and the answer says so."""

SAME = 1e-6
"""Periods by which two launches may differ and count as the same."""


@dataclass(frozen=True)
class LotChoice:
    """What may be decided of a lot. column: of the lot; units: in how many parts it may be taken, share: of the lot in
    each of them but the last; ends: periods by whose end it may be left before its contract says so, rising; option:
    whether it is one, rather than a lot that a budget may leave away.
    """

    column: int
    units: int = 1
    share: float = 1.0
    ends: tuple[int, ...] = ()
    option: bool = True

    def part(self, units: int) -> float:
        """Share of the lot in so many units."""
        return min(units * self.share, 1.0) if units < self.units else 1.0


def choices(lots: tuple[Lot, ...], game: Play, budget: float | None, last: int) -> tuple[LotChoice, ...]:
    """What may be decided of the lots of a play of one draw that lasts; last: period up to which options may be
    left before their contract ends, 0 if they are not to be decided.
    """
    made = []
    for column, lot in enumerate(lots):
        if not game.world.there[0, :, column].any():
            continue
        if lot.optional and last:
            units, share = _units(lot, float(game.world.values[f"fleet.{lot.name}.count"][0]))
            made.append(LotChoice(column, units, share, _ends(lot, column, game, last)))
        elif budget is not None and lot.tenure == "rented":
            made.append(LotChoice(column, option=False))
    return tuple(made)


def _units(lot: Lot, count: float) -> tuple[int, float]:
    """In how many units a lot may be taken, and the share of it in each but the last."""
    if lot.step is None or lot.step >= count:
        return 1, 1.0
    return math.ceil(count / lot.step - SAME), lot.step / count


def _ends(lot: Lot, column: int, game: Play, last: int) -> tuple[int, ...]:
    """Periods by whose end a lease may be left: after its term, with notice or without a last day."""
    if lot.tenure != "rented" or (lot.until is not None and lot.notice is None):
        return ()
    world = game.world
    there = np.flatnonzero(world.there[0, :, column])
    first = float(world.values[f"fleet.{lot.name}.from"][0] + world.values[f"fleet.{lot.name}.lead"][0] / DAY)
    least = ((first - world.start.toordinal()) * DAY + lot.term) / PERIOD
    return tuple(range(max(int(there[0]) + 1, math.ceil(least - SAME)), min(int(there[-1]), last) + 1))


def pairs(levels: Levels) -> Iterator[tuple[int, int]]:
    """Units and end of each choice."""
    return zip(levels[::2], levels[1::2], strict=True)


def tops(found: tuple[LotChoice, ...]) -> Levels:
    """All of each lot, as long as its contract says."""
    return tuple(level for one in found for level in (one.units, len(one.ends)))


def cut(game: Play, found: tuple[LotChoice, ...], levels: Levels) -> Play:
    """The play with the lots at their levels."""
    if levels == tops(found):
        return game
    there = game.world.there.copy()
    for one, (units, end) in zip(found, pairs(levels), strict=True):
        there[0, :, one.column] *= one.part(units)
        if end < len(one.ends):
            there[0, one.ends[end] :, one.column] = 0.0
    return replace(game, world=game.world.with_lots(there))


# what it costs


@dataclass
class SignedCost:
    """What is signed for by a launch [USD]: what is paid until then and committed beyond it. game: as it was drawn."""

    game: Play
    lots: tuple[Lot, ...]
    found: tuple[LotChoice, ...]
    _kept: dict[float, Floats] = field(default_factory=dict)

    def whole(self, at: float) -> Floats:
        """Of each lot kept as its contract says, if it launches at a time [periods]."""
        if at not in self._kept:
            self._kept[at] = signed_for(self.game.world, self.lots, at * PERIOD)
        return self._kept[at]

    def of(self, index: int, levels: Levels, at: float) -> float:
        """Of a choice."""
        one, (units, end) = self.found[index], levels[2 * index : 2 * index + 2]
        kept = float(self.whole(at)[one.column])
        if units and end < len(one.ends):
            world = self.game.world
            weeks = paid_for(world, self.lots)[0, : one.ends[end], one.column].sum()
            kept = min(float(np.nan_to_num(weeks * PERIOD * world.price[0, one.column], nan=0.0)), kept)
        return kept * one.part(units)

    def total(self, levels: Levels, at: float) -> float:
        """Of all lots."""
        mine = {one.column for one in self.found}
        fixed = sum(float(value) for column, value in enumerate(self.whole(at)) if column not in mine)
        return fixed + sum(self.of(index, levels, at) for index in range(len(self.found)))


# the search


@dataclass
class SignSearch:
    """Launches [periods] and costs by levels. launch_at: the launch at some; soonest_at: the launch if places need not
    be tried in their order, which is never later with more, None where that is the same; asked: how many were asked
    for; proven: whether what was found is known to be the best.
    """

    launch_at: Callable[[Levels], float]
    cost: SignedCost
    soonest_at: Callable[[Levels], float] | None = None
    asked: int = 0
    proven: bool = True
    _known: dict[Levels, float] = field(default_factory=dict)
    _bounds: dict[Levels, float] = field(default_factory=dict)

    @property
    def tops(self) -> Levels:
        """All of each lot."""
        return tops(self.cost.found)

    def launch(self, levels: Levels) -> float:
        """The launch with the lots at their levels."""
        if levels not in self._known:
            self.asked += 1
            self._known[levels] = self.launch_at(levels)
        return self._known[levels]

    def bound(self, levels: Levels) -> float:
        """A time before which it does not launch with lots at these levels or lower ones."""
        if self.soonest_at is None:
            return self.launch(levels)
        if levels not in self._bounds:
            self.asked += 1
            self._bounds[levels] = self.soonest_at(levels)
        return self._bounds[levels]

    def soonest(self, budget: float | None) -> Levels | None:
        """Levels of the earliest launch that keeps a budget; None if there is none."""
        if not self.tops and budget is None:
            return self.tops if math.isfinite(self.launch(self.tops)) else None
        low, cap = (0,) * len(self.tops), math.inf if budget is None else budget * (1 + EVEN)
        count = itertools.count()
        boxes = [(self.bound(self.tops), next(count), low, self.tops)]
        while boxes:
            at, _, low, high = heapq.heappop(boxes)
            if math.isinf(at):
                return None
            if self.cost.total(low, at) > cap:
                continue
            there = self.launch(high) <= at + SAME
            if there and self.cost.total(high, at) <= cap:
                return high
            if self.asked > MOST_ASKED:
                self.proven = False
                return self._within(high, cap)
            if low == high and not there:
                heapq.heappush(boxes, (self.launch(high), next(count), low, high))
            for box in self._parts(low, high, at):
                heapq.heappush(boxes, (max(at, self.bound(box[1])), next(count), *box))
        return None

    def _within(self, levels: Levels, cap: float) -> Levels | None:
        """Levels that keep a budget, the dearest lots left away first."""
        while math.isfinite(at := self.launch(levels)):
            if self.cost.total(levels, at) <= cap:
                return levels
            spent = [self.cost.of(i, levels, at) for i in range(len(self.cost.found))]
            if not any(spent):
                return None
            levels = _with(levels, 2 * int(np.argmax(spent)), 0)
        return None

    def cheapest(self, by: float) -> Levels | None:
        """Levels of the least cost at a time with which it launches by then; None if there are none."""
        low, high = (0,) * len(self.tops), self.tops
        if not high:
            return high if self.launch(high) <= by + SAME else None
        count = itertools.count()
        boxes = [(self.cost.total(low, by), next(count), low, high)]
        while boxes:
            _, _, low, high = heapq.heappop(boxes)
            if self.bound(high) > by + SAME:
                continue
            if self.launch(low) <= by + SAME:
                return low
            if self.asked > MOST_ASKED:
                self.proven = False
                return self.lowered(high, by) if self.launch(high) <= by + SAME else None
            for box in self._parts(low, high, by):
                heapq.heappush(boxes, (self.cost.total(box[0], by), next(count), *box))
        return None

    def lowered(self, levels: Levels, by: float) -> Levels:
        """Each level, of the dearest lot first, as low as it can be alone."""
        order = sorted(range(len(self.cost.found)), key=lambda i: -self.cost.of(i, levels, by))
        for at in (at for i in order for at in (2 * i, 2 * i + 1)):
            low, high = 0, levels[at]
            while low < high:
                middle = (low + high) // 2
                fits = self.launch(_with(levels, at, middle)) <= by + SAME
                low, high = (low, middle) if fits else (middle + 1, high)
            levels = _with(levels, at, high)
        return levels

    def _parts(self, low: Levels, high: Levels, at: float) -> Iterator[tuple[Levels, Levels]]:
        """A box in two, of the lot with the most money open: whether it is taken, how much, when it is left."""
        open_ = [i for i in range(len(low) // 2) if low[2 * i : 2 * i + 2] != high[2 * i : 2 * i + 2]]
        if not open_:
            return
        widest = max(open_, key=lambda i: (self.cost.of(i, high, at) - self.cost.of(i, low, at), -i))
        where = 2 * widest + (low[2 * widest] == high[2 * widest])
        first = low[where] == 0 and where % 2 == 0
        middle = 0 if first else (low[where] + high[where]) // 2
        none = first and middle == 0
        yield low, _with(_with(high, where, middle), where + none, 0 if none else middle)
        yield _with(low, where, middle + 1), high


def _with(levels: Levels, at: int, value: int) -> Levels:
    return (*levels[:at], value, *levels[at + 1 :])


def search(
    game: Play,
    lots: tuple[Lot, ...],
    budget: float | None,
    launch: Callable[[Play, CaseOptions], float],
    options: bool = True,
) -> tuple[SignSearch, Play]:
    """The search over what may be decided in a play of one draw; and the play that lasts. launch: the launch of a play
    that lasts [periods]; options: whether optional lots are to be decided.
    """
    whole = lasting(game)
    found = choices(lots, whole, budget, game.world.periods if options else 0)
    ordered = any(project.chosen and len({a.name for a in project.attempts}) > 1 for project in game.projects)

    def at(levels: Levels) -> float:
        return launch(cut(whole, found, levels), PLAIN)

    def soonest_at(levels: Levels) -> float:
        return launch(cut(whole, found, levels), CaseOptions(in_order=False))

    return SignSearch(at, SignedCost(game, lots, found), soonest_at if ordered else None), whole
