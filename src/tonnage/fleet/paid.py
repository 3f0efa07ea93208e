"""What is paid: every lot from its first to its last day, used or not, and what is signed for beyond the launch; and
the caps of money and power within which a game is played.

Axes: d draws, l lots, p periods. What a lot costs until the launch is what is held of it x its price, split into what
training used, what services used, and what stood idle. Committed is what a lease costs after the launch until it can be
left, and what is not yet written off of what was bought for the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tonnage.catalog.owning import FACILITY_POWER
from tonnage.fleet.draws import PERIOD, Bools, SitePower, World
from tonnage.fleet.forecast import Forecast, joined
from tonnage.fleet.programme import DAY, Lot
from tonnage.fleet.setting import Play, SettledProgramme
from tonnage.fleet.uncertain import Floats

UNUSED = 1e-6
EVEN = 1e-9
"""Share by which a bill may lie over the budget and keep it: rounding."""


@dataclass(frozen=True)
class LaunchBill:
    """What is paid [USD] for each lot in each draw [d, l]; NaN where accelerators are held that have no price.

    training, service, idle: from the start to the launch, or to the horizon where there is none; committed: beyond it.
    """

    training: Floats
    service: Floats
    idle: Floats
    committed: Floats

    @property
    def paid(self) -> Floats:
        """From the start to the launch [d, l]."""
        return np.asarray(self.training + self.service + self.idle)

    @property
    def signed(self) -> Floats:
        """LotPaid and committed, over all lots [d]."""
        return np.asarray((self.paid + self.committed).sum(axis=1))


def paid_for(world: World, lots: tuple[Lot, ...]) -> Floats:
    """Accelerators that are paid for in each period [d, p, l]: those that are there, with those held back."""
    if world.paid is not None:
        return world.paid
    spare = np.stack([world.values[f"fleet.{lot.name}.spare"] for lot in lots], axis=1)
    return np.asarray(world.available / (1.0 - np.clip(spare, 0.0, 0.99))[:, None, :])


def bill(world: World, lots: tuple[Lot, ...], result: Forecast) -> LaunchBill:
    """The bill of a forecast, of a world in which what is there is what is leased or owned."""
    held = paid_for(world, lots)
    horizon = world.periods * PERIOD
    end = np.minimum(result.launch[-1], horizon)
    seconds = np.einsum("dpl,dp->dl", held, _within(end, world.periods))
    used = result.held + result.served
    idle = np.maximum(seconds - used, 0.0)
    return LaunchBill(
        _money(result.held, world.price),
        _money(result.served, world.price),
        _money(np.where(idle > UNUSED * seconds, idle, 0.0), world.price),
        _committed(world, lots, held, end),
    )


def _within(end: Floats, periods: int) -> Floats:
    """Seconds of each period before `end` [d, p]."""
    return np.clip(end[:, None] - np.arange(periods) * PERIOD, 0.0, PERIOD)


def _money(seconds: Floats, price: Floats) -> Floats:
    return np.asarray(np.where(seconds > 0, seconds * price, 0.0))


def _committed(world: World, lots: tuple[Lot, ...], held: Floats, launch: Floats) -> Floats:
    """What is signed for beyond the launch [d, l]."""
    columns = [
        _lease(world, lot, held[:, :, column], launch) * world.price[:, column]
        if lot.tenure == "rented"
        else _wear(world, lot, held[:, :, column], launch)
        for column, lot in enumerate(lots)
    ]
    priced = np.stack(columns, axis=1)
    return np.asarray(np.where(held.any(axis=1), priced, 0.0))


def _first(world: World, lot: Lot) -> Floats:
    """First day of a lot [s from the start], its lead included [d]."""
    days = world.values[f"fleet.{lot.name}.from"] - world.start.toordinal()
    return np.asarray(days * DAY + world.values[f"fleet.{lot.name}.lead"])


def lease_end(world: World, lot: Lot, launch: Floats) -> Floats:
    """When a lease can be left that is needed until a launch [s] [d].

    A lease without notice runs to its last day. One with notice, or without a last day, ends so long after the launch,
    not before its least term is over.
    """
    free = launch + (lot.notice or 0.0)
    if lot.term > 0:
        free = np.maximum(_first(world, lot) + lot.term, free)
    if lot.until is None:
        return np.asarray(free)
    until = (world.values[f"fleet.{lot.name}.until"] - world.start.toordinal()) * DAY
    return np.asarray(until if lot.notice is None else np.minimum(until, free))


def _lease(world: World, lot: Lot, held: Floats, launch: Floats) -> Floats:
    """Accelerator-seconds between the launch and the day on which the lease can be left [d]."""
    last = lease_end(world, lot, launch)
    horizon = held.shape[1] * PERIOD
    inside = _within(last, held.shape[1]) - _within(launch, held.shape[1])
    beyond = held[:, -1] * np.maximum(last - np.maximum(launch, horizon), 0.0)
    return np.asarray((held * np.maximum(inside, 0.0)).sum(axis=1) + beyond)


def _wear(world: World, lot: Lot, held: Floats, launch: Floats) -> Floats:
    """What of a purchase for the plan is not written off at the launch [USD] [d]: none of what was there before."""
    if lot.bought is None or lot.in_hand:
        return np.zeros_like(launch)
    if lot.acquired is not None and lot.acquired.median <= world.start.toordinal():
        return np.zeros_like(launch)
    there = held.max(axis=1)
    left = np.clip(lot.bought.life - (launch - _first(world, lot)), 0.0, lot.bought.life)
    return np.asarray(there * lot.bought.wear * left)


# caps


@dataclass(frozen=True)
class LotPaid:
    """A play within its caps: the game as it is leased, what came out, its bill, the draws that cost more than the
    budget allows [d], and the lots that are not leased [d, l].
    """

    game: Play
    result: Forecast
    bill: LaunchBill
    over: Bools
    left_away: Bools


@dataclass(frozen=True)
class PaidDraws:
    """The same of all draws, played in parts, without their games."""

    result: Forecast
    bill: LaunchBill
    over: Bools
    left_away: Bools


def together(parts: Sequence[PaidDraws]) -> PaidDraws:
    """All parts of the draws, in order."""
    bills = [part.bill for part in parts]
    names = ("training", "service", "idle", "committed")
    return PaidDraws(
        joined([part.result for part in parts]),
        LaunchBill(**{name: np.concatenate([getattr(one, name) for one in bills]) for name in names}),
        np.concatenate([part.over for part in parts]),
        np.concatenate([part.left_away for part in parts]),
    )


def run(setting: SettledProgramme, game: Play) -> LotPaid:
    """Play a game within the programme's budget: in draws that cost more, the dearest rented lots are left away one
    after the other as long as it launches without them and costs less; a draw that still costs more does not launch.
    """
    lots, budget = setting.programme.lots, setting.programme.budget
    result = game.run()
    left_away = np.zeros((game.world.draws, len(lots)), dtype=bool)
    over = np.zeros(game.world.draws, dtype=bool)
    made = LotPaid(game, result, bill(game.world, lots, result), over, left_away)
    if budget is None:
        return made
    for column in _dearest(setting, game):
        over = _above(made.bill, budget)
        if not over.any():
            break
        trial = left_away.copy()
        trial[over, column] = True
        found = _without(game, lots, trial)
        better = over & np.isfinite(found.result.launch[-1]) & (found.bill.signed < made.bill.signed)
        if better.any():
            left_away[better, column] = True
            made = _without(game, lots, left_away)
    over = _above(made.bill, budget)
    launch = (*made.result.launch[:-1], np.where(over, np.inf, made.result.launch[-1]))
    return replace(made, result=replace(made.result, launch=launch), over=over)


def _above(bill: LaunchBill, budget: float) -> Bools:
    """Draws that cost more than a budget; a lot without a price costs nothing that is known."""
    return np.asarray(np.nansum(bill.paid + bill.committed, axis=1) > budget * (1 + EVEN))


def signed_for(world: World, lots: tuple[Lot, ...], launch: float) -> Floats:
    """What each lot costs in the first draw if it launches at a time [s], paid until then and committed beyond it [USD]
    [l]; a lot without a price costs nothing that is known.
    """
    held = paid_for(world, lots)[:1]
    end = np.minimum(np.full(1, launch), world.periods * PERIOD)
    seconds = np.einsum("dpl,dp->dl", held, _within(end, world.periods))
    one = world.take(slice(0, 1))
    return np.asarray(np.nan_to_num(_money(seconds, one.price) + _committed(one, lots, held, end), nan=0.0)[0])


def _without(game: Play, lots: tuple[Lot, ...], left_away: Bools) -> LotPaid:
    paid = paid_for(game.world, lots)
    away = left_away[:, None, :]
    available = np.where(away, 0.0, game.world.available)
    later = None if game.world.later is None else np.where(away, 0.0, game.world.later)
    outlook = None if game.world.outlook is None else replace(game.world.outlook, away=left_away)
    paid = np.where(away, 0.0, paid)
    world = replace(game.world, available=available, later=later, paid=paid, site=None, outlook=outlook)
    cut = replace(game, world=world)
    result = cut.run()
    over = np.zeros(world.draws, dtype=bool)
    return LotPaid(cut, result, bill(world, lots, result), over, left_away)


def _dearest(setting: SettledProgramme, game: Play) -> list[int]:
    """Columns of rented lots, the dearest for what they do first."""
    worth = usefulness(setting)
    price = np.nan_to_num(game.world.price, nan=0.0).mean(axis=0)
    cost = {
        column: float(price[column]) / max(worth[lot.name], 1e-9)
        for column, lot in enumerate(setting.programme.lots)
        if lot.tenure == "rented" and price[column] > 0
    }
    return sorted(cost, key=lambda column: (-cost[column], column))


def usefulness(setting: SettledProgramme) -> dict[str, float]:
    """How much an accelerator of each lot does, over the best of the fleet: the most over all that it may do."""
    rates: dict[str, dict[str, float]] = {}
    for (model, lot), speed in setting.serving.items():
        rates.setdefault(f"serve {model}", {})[lot] = speed.rate
    for (model, place, index), found in setting.training.items():
        site = next(site for site in setting.places[model] if site.name == place)
        best = max((speed.rate for speed in found), default=0.0)
        for lot in site.lots:
            use = rates.setdefault(f"train {model} {index}", {})
            use[lot] = max(use.get(lot, 0.0), best)
    return {
        lot.name: max(
            (use[lot.name] / max(use.values()) for use in rates.values() if use.get(lot.name, 0.0) > 0), default=0.0
        )
        for lot in setting.programme.lots
    }


def powered(setting: SettledProgramme, game: Play, watts: dict[str, float]) -> Play:
    """The game under the site's power: lots run in the order of what they do for a watt until the power is used up.

    A rented lot that finds no power is not leased; an owned one, and an option that was taken, is paid for all the
    same. watts: [W] of one accelerator
    of each lot, by name; a lot whose power is not known counts as none.
    """
    cap = setting.programme.power
    if cap is None:
        return game
    lots, worth = setting.programme.lots, usefulness(setting)
    each = [watts.get(lot.name, 0.0) * FACILITY_POWER for lot in lots]
    order = sorted(range(len(lots)), key=lambda column: (-worth[lots[column].name] / max(each[column], 1e-9), column))
    bare = game.world
    site = SitePower(cap, np.array(each), tuple(order), bare.available, bare.later)
    lit = replace(bare, site=site).with_lots(bare.available, bare.later)
    whole = np.array([lot.tenure == "owned" or lot.optional for lot in lots])
    paid = np.where(whole, paid_for(bare, lots), paid_for(lit, lots))
    outlook = None if bare.outlook is None else replace(bare.outlook, power=site.rule)
    return replace(game, world=replace(lit, paid=paid, outlook=outlook))
