"""Money as it is paid, in the answer: percentiles over the draws, the parts of each lot, and a budget that is not kept.

Nothing here decides what is used or paid: that comes from the forecast and from `paid.py`.
"""

from __future__ import annotations

import numpy as np

from tonnage.errors import Bind, Outcome, infeasible
from tonnage.fleet.binds import LIKELY, POSSIBLE
from tonnage.fleet.draws import Bools
from tonnage.fleet.forecast import Forecast
from tonnage.fleet.paid import LaunchBill, PaidDraws
from tonnage.fleet.plan import LotMoney, Money, Percentiles
from tonnage.fleet.programme import DAY, Lot, Programme
from tonnage.fleet.setting import SettledProgramme
from tonnage.fleet.uncertain import Floats, rank
from tonnage.units import show_money, show_share


def launched(result: Forecast, programme: Programme) -> Bools:
    """Draws that launch within the horizon; all of them where none does."""
    found = np.asarray(result.launch[-1] <= programme.days * DAY)
    return found if found.any() else np.ones_like(found)


def launching(result: Forecast) -> Bools:
    """Draws that launch, whenever that is; all of them where none does."""
    found = np.isfinite(result.launch[-1])
    return found if found.any() else np.ones_like(found)


def spread(values: Floats, among: Bools) -> Percentiles[float]:
    """P10, P50 and P90 over some draws; None where one of them is not known."""
    kept = values[among]
    if np.isnan(kept).any():
        return Percentiles(None, None, None)
    return Percentiles(*(rank(kept, p) for p in (0.1, 0.5, 0.9)))


def total(found: PaidDraws, programme: Programme) -> float | None:
    """P50 of what is paid until the launch and committed beyond it [USD]."""
    return spread(found.bill.signed, launched(found.result, programme)).p50


def outcome(found: Outcome, paid: PaidDraws, programme: Programme, chance: float, binds: tuple[Bind, ...]) -> Outcome:
    """The outcome, with the budget named where it keeps most of the draws from launching."""
    over = float(np.mean(paid.over))
    if programme.budget is None or chance >= LIKELY or over < 1 - chance - over:
        return found
    cost = spread(paid.bill.signed, paid.over)
    text = f"{show_share(over)} of the draws cost more than the budget of {show_money(programme.budget)}"
    needed = "" if cost.p50 is None else f", half of them {show_money(cost.p50)} or more"
    lift = None if cost.p90 is None else f"a budget of {show_money(cost.p90)}"
    bind = Bind("budget", text + needed, over, lift)
    return Outcome("feasible", (bind, *binds)) if chance >= POSSIBLE else infeasible(bind, *binds)


def answer(setting: SettledProgramme, found: PaidDraws, shown: int) -> Money:
    """The money of a launch; by lot in the draw that is shown."""
    programme, made = setting.programme, found.bill
    among = launched(found.result, programme)
    whole, away = made.paid + made.committed, found.left_away.mean(axis=0)
    unpriced = [bool(np.isnan(whole[:, column]).any()) for column in range(whole.shape[1])]
    return Money(
        spread(made.paid.sum(axis=1), among),
        spread(made.idle.sum(axis=1), among),
        spread(made.committed.sum(axis=1), among),
        tuple(_lot(lot, made, shown, column) for column, lot in enumerate(programme.lots)),
        tuple(quote for lot in programme.lots for quote in lot.quotes),
        total(found, programme),
        tuple(lot.name for column, lot in enumerate(programme.lots) if unpriced[column]),
        programme.budget,
        float(np.mean(found.over)),
        tuple((lot.name, float(share)) for lot, share in zip(programme.lots, away, strict=True) if share > 0),
    )


def _lot(lot: Lot, made: LaunchBill, shown: int, column: int) -> LotMoney:
    values = (float(part[shown, column]) for part in (made.training, made.service, made.idle, made.committed))
    return LotMoney(lot.name, lot.chip, lot.tenure, *(None if np.isnan(value) else value for value in values))
