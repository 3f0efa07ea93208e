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
from tonnage.fleet.outlook import Outlook, PowerCap
from tonnage.fleet.programme import Lot, Programme
from tonnage.fleet.uncertain import BLOCKS, Floats, Seed, blocks, draw, latin, normal_scores
from tonnage.units import DAY, MONTH, WEEK

PERIOD = WEEK
"""Length of a period [s]. Stages end inside periods; what is shared between services changes from period to period."""

LONGEST = 520
"""Periods that are played at most, ten years: what has not launched by then never does."""


Pick = slice | NDArray[np.int64]
"""Which draws."""


@dataclass(frozen=True)
class SitePower:
    """The power of the site, which all lots share. cap [W]; each: [W] of an accelerator of each lot [l], with what
    stands around it; order: of the lots that run, the first as long as there is power; available, later: accelerators
    that are there, with power or not [d, p, l], as in `World`.
    """

    cap: float
    each: Floats
    order: tuple[int, ...]
    available: Floats
    later: Floats | None = None

    def lit(self, there: Floats) -> Floats:
        """Accelerators that find power [d, p, l], in the order of the lots."""
        return self.rule.under(there)

    @property
    def rule(self) -> PowerCap:
        """The cap as a rule of who runs first."""
        return PowerCap(self.cap, self.order, tuple(map(float, self.each)))


@dataclass(frozen=True)
class World:
    """Draws of everything that does not depend on what is planned.

    available: accelerators there, lawful, not held back and not busy for others, in the periods of the horizon
    [d, p, l]; later: the same in further periods, until no lot changes any more [d, q, l]; price: [USD/accelerator-s]
    [d, l], NaN where none is known; values: draws of each uncertain input by its dotted name [d]; paid: accelerators
    that are paid for [d, p, l], where they are others than those there with those held back; site: the power of the
    site, within which `available` and `later` are, None without a cap; outlook: what is known of lots to come,
    everything unless given.
    """

    start: datetime.date
    lots: tuple[str, ...]
    available: Floats
    price: Floats
    values: Mapping[str, Floats]
    later: Floats | None = None
    paid: Floats | None = None
    site: SitePower | None = None
    outlook: Outlook | None = None

    @property
    def draws(self) -> int:
        """Number of draws."""
        return int(self.available.shape[0])

    @property
    def periods(self) -> int:
        """Number of periods of the horizon."""
        return int(self.available.shape[1])

    @property
    def whole(self) -> Floats:
        """Accelerators there in the horizon and after it [d, p + q, l]; what is there last stays."""
        return self.available if self.later is None else np.concatenate([self.available, self.later], axis=1)

    @property
    def there(self) -> Floats:
        """Accelerators that are there in the horizon, with power or not [d, p, l]."""
        return self.available if self.site is None else self.site.available

    @property
    def there_whole(self) -> Floats:
        """The same in the horizon and after it [d, p + q, l]."""
        later = self.later if self.site is None else self.site.later
        return self.there if later is None else np.concatenate([self.there, later], axis=1)

    def with_lots(self, available: Floats, later: Floats | None = None) -> World:
        """The world with so many accelerators there, those that find power; all of them known beforehand."""
        if self.site is None:
            return replace(self, available=available, later=later, outlook=None)
        site = replace(self.site, available=available, later=later)
        lit = None if later is None else site.lit(later)
        return replace(self, site=site, available=site.lit(available), later=lit, outlook=None)

    def take(self, pick: Pick) -> World:
        """The world of some of the draws."""
        values = {name: sample[pick] for name, sample in self.values.items()}
        later = None if self.later is None else self.later[pick]
        paid = None if self.paid is None else self.paid[pick]
        there, price, site = self.available[pick], self.price[pick], self.site
        if site is not None:
            after = None if site.later is None else site.later[pick]
            site = replace(site, available=site.available[pick], later=after)
        outlook = None if self.outlook is None else self.outlook.take(pick)
        cut = replace(self, available=there, price=price, values=values, later=later, paid=paid)
        return replace(cut, site=site, outlook=outlook)


def draw_world(
    programme: Programme, calendars: Mapping[str, Calendar], seed: Seed, draws: int, pick: Pick = slice(None)
) -> World:
    """Draw a programme's inputs. `draws` = 0 gives the base case: one draw with every input at its median.

    pick: which of the draws are kept; they are the same whichever are.
    """
    values = {name: sample[pick].copy() for name, sample in drawn(programme, seed, draws).items()}
    periods = max(1, int(np.ceil(programme.days * DAY / PERIOD)))
    whole = max(periods, _last_change(programme, values))
    columns = [lot_available(lot, calendars[lot.name], programme.start, values, whole) for lot in programme.lots]
    number = next(iter(values.values())).size
    prices = [values.get(f"fleet.{lot.name}.price", np.full(number, np.nan)) for lot in programme.lots]
    there = np.stack(columns, axis=2)
    return World(
        programme.start,
        tuple(lot.name for lot in programme.lots),
        there[:, :periods],
        np.stack(prices, axis=1),
        values,
        there[:, periods:] if whole > periods else None,
    )


def drawn(programme: Programme, seed: Seed, draws: int) -> dict[str, Floats]:
    """Every uncertain input by name [d], held within what the quantity can be; correlated as the programme says."""
    inputs = programme.inputs()
    if not draws:
        return {name: np.array([quantity.median]) for name, quantity in inputs.items()}
    levels = _levels(programme.correlations, seed, draws)
    found = {}
    for name, quantity in inputs.items():
        sample = quantity.quantile(levels[name]) if name in levels else draw(quantity, seed, name, draws)
        found[name] = _kept(name, sample)
    return found


def _levels(pairs: tuple[tuple[str, str, float], ...], seed: Seed, draws: int) -> dict[str, Floats]:
    if isinstance(seed, int):
        return correlated(pairs, seed, draws)
    return seed.arrange(lambda one, count: correlated(pairs, one, count))


def correlated(pairs: tuple[tuple[str, str, float], ...], seed: int, draws: int) -> dict[str, Floats]:
    """Uniform numbers of the inputs that are correlated: a Gaussian copula laid over their own streams.

    Each stream keeps its numbers and gets the order of scores with the correlations asked for (Iman and Conover 1982),
    so that every input keeps its own distribution. Correlations that exclude one another are brought to the nearest
    that do not, by their eigenvalues.
    """
    names = tuple(dict.fromkeys(name for first, second, _ in pairs for name in (first, second)))
    if not names:
        return {}
    wanted = np.eye(len(names))
    for first, second, r in pairs:
        a, b = names.index(first), names.index(second)
        wanted[a, b] = wanted[b, a] = r
    streams = np.stack([latin(seed, name, draws) for name in names], axis=1)
    root = _root(wanted)
    parts = blocks(draws) if draws >= 4 * len(names) * BLOCKS else (slice(None),)
    made = np.concatenate([_ordered(streams[part], root) for part in parts])
    return {name: made[:, i] for i, name in enumerate(names)}


def _ordered(streams: Floats, root: Floats) -> Floats:
    """The numbers of one Latin hypercube [d, n], in an order that has the correlations of a matrix with this root."""
    scores = normal_scores(streams)
    own = np.linalg.cholesky(np.corrcoef(scores, rowvar=False))
    mixed = np.linalg.solve(own, scores.T).T @ root.T
    order = np.argsort(np.argsort(mixed, axis=0, kind="stable"), axis=0, kind="stable")
    return np.take_along_axis(np.sort(streams, axis=0), order, axis=0)


def consistent(pairs: tuple[tuple[str, str, float], ...]) -> bool:
    """Whether correlations can hold together."""
    names = tuple(dict.fromkeys(name for first, second, _ in pairs for name in (first, second)))
    wanted = np.eye(len(names))
    for first, second, r in pairs:
        wanted[names.index(first), names.index(second)] = wanted[names.index(second), names.index(first)] = r
    return not names or bool(np.linalg.eigvalsh(wanted).min() > -1e-9)


def _root(wanted: Floats) -> Floats:
    values, vectors = np.linalg.eigh(wanted)
    near = vectors @ np.diag(np.maximum(values, 1e-9)) @ vectors.T
    size = np.sqrt(np.diag(near))
    return np.asarray(np.linalg.cholesky(near / np.outer(size, size)))


def _last_change(programme: Programme, values: Mapping[str, Floats]) -> int:
    """Periods until no lot changes any more, at most `LONGEST`."""
    days = 0.0
    for lot in programme.lots:
        key = f"fleet.{lot.name}"
        last = values[f"{key}.from"] + values[f"{key}.over"] / DAY
        if lot.until is not None:
            last = np.maximum(last, values[f"{key}.until"])
        if values[f"{key}.busy_growth"].any() and values[f"{key}.busy"].any():
            days = LONGEST * PERIOD / DAY
        days = max(days, float(last.max()) - programme.start.toordinal())
    return int(min(np.ceil(days * DAY / PERIOD) + 1, LONGEST))


_SIGNED = ("from", "until", "acquired", "growth", "busy_growth")
_SHARES = ("takes_over", "spare", "busy", "done")


def _kept(name: str, sample: Floats) -> Floats:
    """Draws held within what the quantity can be: nothing below none, no share over 1."""
    last = name.rsplit(".", 1)[-1]
    if last in _SIGNED:
        return sample
    return np.clip(sample, 0.0, 1.0 if last in _SHARES else np.inf)


def lot_available(
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
    busy = values[f"{key}.busy"][:, None]
    if busy.any():
        busy = np.clip(demand(busy, values[f"{key}.busy_growth"][:, None], days * DAY), 0.0, 1.0)
        there = there * (1 - busy)
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
