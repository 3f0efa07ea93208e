"""One set of draws of a programme as arrays: lots by period, demand by period, and what is uncertain about speed.

Axes: d draws, p periods of a week, l lots, m services. Times are seconds from the programme's start.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tonnage.fleet.calendar import Calendar
from tonnage.fleet.programme import Lot, Programme
from tonnage.fleet.uncertain import Floats, draw
from tonnage.units import DAY, MONTH, WEEK

PERIOD = WEEK
"""Length of a period [s]. Stages end inside periods; what is shared between services changes from period to period."""


@dataclass(frozen=True)
class World:
    """Draws of everything that does not depend on what is planned.

    available: accelerators there, lawful and not held back [d, p, l]; price: [USD/accelerator-s] [d, l], NaN where
    none is known; values: draws of each uncertain input by its dotted name [d]; paid: accelerators that are paid for
    [d, p, l], where they are others than those there with those held back.
    """

    start: datetime.date
    lots: tuple[str, ...]
    available: Floats
    price: Floats
    values: Mapping[str, Floats]
    seed: int
    paid: Floats | None = None

    @property
    def draws(self) -> int:
        """Number of draws."""
        return int(self.available.shape[0])

    @property
    def periods(self) -> int:
        """Number of periods."""
        return int(self.available.shape[1])

    def only(self, index: int) -> World:
        """The world of one draw."""
        pick = slice(index, index + 1)
        values = {name: sample[pick] for name, sample in self.values.items()}
        paid = None if self.paid is None else self.paid[pick]
        return replace(self, available=self.available[pick], price=self.price[pick], values=values, paid=paid)


def draw_world(programme: Programme, calendars: Mapping[str, Calendar], seed: int, draws: int) -> World:
    """Draw a programme's inputs. `draws` = 0 gives the base case: one draw with every input at its median."""
    inputs = programme.inputs()
    if draws:
        values = {name: _kept(name, draw(quantity, seed, name, draws)) for name, quantity in inputs.items()}
    else:
        values = {name: np.array([quantity.median]) for name, quantity in inputs.items()}
    periods = max(1, int(np.ceil(programme.days * DAY / PERIOD)))
    columns = [_lot_available(lot, calendars[lot.name], programme.start, values, periods) for lot in programme.lots]
    prices = [values.get(f"fleet.{lot.name}.price", np.full(max(draws, 1), np.nan)) for lot in programme.lots]
    return World(
        programme.start,
        tuple(lot.name for lot in programme.lots),
        np.stack(columns, axis=2),
        np.stack(prices, axis=1),
        values,
        seed,
    )


_SIGNED, _SHARES = ("from", "until", "acquired", "growth"), ("takes_over", "spare")


def _kept(name: str, sample: Floats) -> Floats:
    """Draws held within what the quantity can be: nothing below none, no share over 1."""
    last = name.rsplit(".", 1)[-1]
    if last in _SIGNED:
        return sample
    return np.clip(sample, 0.0, 1.0 if last in _SHARES else np.inf)


def _lot_available(
    lot: Lot, calendar: Calendar, start: datetime.date, values: Mapping[str, Floats], periods: int
) -> Floats:
    """Accelerators of one lot in each period [d, p], at the middle of the period.

    What arrives on a day on which the rules forbid it does not arrive; what has arrived lawfully stays.
    """
    key = f"fleet.{lot.name}"
    first = values[f"{key}.from"] + values[f"{key}.lead"] / DAY - start.toordinal()
    over = np.maximum(values[f"{key}.over"] / DAY, 0.0)
    days = np.asarray((np.arange(periods) + 0.5) * PERIOD / DAY, dtype=np.float64)[None, :]
    shift = (values[f"{key}.acquired"] - values[f"{key}.from"])[:, None] if lot.acquired is not None else 0.0
    arrived = _lawful_share(days, first[:, None], over[:, None], shift, calendar)
    count = np.floor(np.maximum(values[f"{key}.count"], 0.0))[:, None]
    there = count * arrived * (1 - values[f"{key}.spare"])[:, None]
    if lot.until is not None:
        there = there * (days < (values[f"{key}.until"] - start.toordinal())[:, None])
    return np.asarray(there)


def _lawful_share(days: Floats, first: Floats, over: Floats, shift: Floats | float, calendar: Calendar) -> Floats:
    """Share of a lot that has lawfully arrived by each day.

    Deliveries run evenly from `first` over `over` days; the ones on days inside a lawful span count. A lot in hand is
    not asked for. `shift` moves a day of delivery to the day on which the chips came into the place.
    """
    spans = ((-np.inf, np.inf),) if calendar.always else calendar.spans
    total = np.zeros(np.broadcast_shapes(days.shape, first.shape))
    width = np.maximum(over, 1e-9)
    for low, high in spans:
        begin = np.maximum(first, low - shift)
        end = np.minimum(np.minimum(days, high - shift), first + width)
        part = np.clip((end - begin) / width, 0.0, 1.0)
        at_once = (days >= first) & (first + shift >= low) & (first + shift < high)
        total = total + np.where(over > 0, part, at_once)
    return np.clip(total, 0.0, 1.0)


def demand(base: Floats, growth: Floats, seconds: Floats | float) -> Floats:
    """Demand after `seconds`, growing by growth [1/s] compounded monthly: base x (1 + growth x month)^(t / month)."""
    return np.asarray(base * (1 + growth * MONTH) ** (np.asarray(seconds) / MONTH))


Bools = NDArray[np.bool_]
