"""The lots that the best plan of a base case signs for, and the reasons: what each option brings, and what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tonnage.fleet.draws import PERIOD
from tonnage.fleet.optimum_case import PLAIN, BestLaunch, CaseOptions, best_launch
from tonnage.fleet.options import Levels, LotChoice, SignSearch, cut, pairs, search
from tonnage.fleet.paid import lease_end
from tonnage.fleet.programme import Lot, Programme
from tonnage.fleet.setting import Play, SettledProgramme
from tonnage.fleet.uncertain import point


@dataclass(frozen=True)
class SignedLots:
    """What is signed for. game: the play with the lots that are, as long as they are; best: its best launch, infinite
    if none keeps the budget; levels: of what may be decided.
    """

    game: Play
    best: BestLaunch
    levels: Levels
    search: SignSearch
    whole: Play

    @property
    def found(self) -> tuple[LotChoice, ...]:
        """What may be decided."""
        return self.search.cost.found

    @property
    def cost(self) -> float:
        """What is signed for [USD]."""
        return self.search.cost.total(self.levels, self.best.last)


@dataclass(frozen=True)
class OptionReason:
    """An option and what became of it. column: of the lot; taken; count: accelerators; start, end: [periods], end None
    of what is bought; cost: [USD], of one that was left at the launch that it would bring; gain: periods that the
    launch is earlier with it, infinite if there is none without.
    """

    column: int
    taken: bool
    count: float
    start: int
    end: float | None
    cost: float
    gain: float


def signed(setting: SettledProgramme, game: Play, by: float | None = None) -> SignedLots:
    """What is signed for the earliest launch of a base case within the budget, at the least cost; by: or for the
    cheapest launch by a time [periods].
    """
    programme = setting.programme
    game = game if programme.budget is None else in_order_of_power(game)
    launches = _Launches()
    found, whole = search(game, programme.lots, programme.budget, launches.last)
    levels = found.soonest(programme.budget)
    if levels is None:
        best = launches.plain(whole)
        never = tuple(math.inf for _ in best.launch)
        return SignedLots(whole, replace(best, launch=never), found.tops, found, whole)
    at = max(by or 0.0, found.launch(levels))
    cheaper = found.cheapest(at) or found.lowered(levels, at)
    if found.cost.total(cheaper, at) <= (programme.budget or math.inf):
        levels = cheaper
    one = cut(whole, found.cost.found, levels)
    return SignedLots(one, launches.plain(one), levels, found, whole)


class _Launches:
    """Best launches of one play with more or less of its lots; each is asked for once."""

    def __init__(self) -> None:
        self._plain: dict[bytes, BestLaunch] = {}

    def plain(self, game: Play) -> BestLaunch:
        """With nothing left out."""
        there = game.world.there.tobytes()
        if there not in self._plain:
            self._plain[there] = best_launch(game)
        return self._plain[there]

    def last(self, game: Play, how: CaseOptions) -> float:
        """The launch of the last model [periods]."""
        return (self.plain(game) if how == PLAIN else best_launch(game, how)).last


def in_order_of_power(game: Play) -> Play:
    """The play with the lots that find power by the rule of the draws: which are leased is then known, and paid for."""
    return replace(game, world=replace(game.world, site=None))


def decided(programme: Programme, made: SignedLots) -> Programme:
    """The programme of the draws: of each option as much as the best plan takes, as long as its contract says."""
    if not math.isfinite(made.best.last):
        return programme
    parts = {one.column: one.part(units) for one, (units, _) in zip(made.found, pairs(made.levels), strict=True)
             if one.option}  # fmt: skip
    lots = (_part(lot, parts.get(column, 1.0)) for column, lot in enumerate(programme.lots))
    return replace(programme, lots=tuple(lots))


def _part(lot: Lot, part: float) -> Lot:
    if part == 1:
        return lot
    return replace(lot, count=lot.count.scaled(part) if part > 0 else point(0.0))


def reasons(made: SignedLots) -> tuple[OptionReason, ...]:
    """Each option with what it brings, all others as they are signed for."""
    if not math.isfinite(made.best.last):
        return ()
    return tuple(_reason(made, index) for index, one in enumerate(made.found) if one.option)


def _reason(made: SignedLots, index: int) -> OptionReason:
    one, at, cost = made.found[index], made.best.last, made.search.cost
    units, end = made.levels[2 * index : 2 * index + 2]
    taken = units > 0
    instead = (0, 0) if taken else (one.units, len(one.ends))
    other = (*made.levels[: 2 * index], *instead, *made.levels[2 * index + 2 :])
    found = made.search.launch(other)
    there = made.whole.world.there[0, :, one.column]
    launch = at if taken else found
    lot, ends = cost.lots[one.column], None
    if lot.tenure == "rented" and math.isfinite(launch):
        ends = float(lease_end(cost.game.world, lot, np.full(1, launch * PERIOD))[0]) / PERIOD
        ends = min(ends, one.ends[end]) if taken and end < len(one.ends) else ends
    paid = cost.of(index, made.levels, at) if taken else cost.of(index, other, found)
    count = float(there.max()) * (one.part(units) if taken else 1.0)
    gain = found - at if taken else at - found
    return OptionReason(one.column, taken, count, int(np.flatnonzero(there)[0]), ends, paid, gain)
