"""Rental prices by place, date and tenure, the best match first, with their age in sight."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from tonnage.catalog.facts import Fact

TENURES = ("spot", "on-demand", "monthly", "1-year", "3-year", "internal", "owned")
"""How a price is paid. internal: what an owner charges itself in its own accounts; owned: cost of owning."""


@dataclass(frozen=True)
class Price:
    """One quoted price of one accelerator [USD/accelerator-s].

    low, high: what the source spans; place: codes it holds in; match: `here`, `world` or `elsewhere`, seen from the
    place that was asked for; date: when it held; age: days from then to the day asked for, None when no day was;
    tenure: one of `TENURES`; basis: what exactly was priced; source: key; fact: id of the fact; kind: of the fact.
    """

    chip: str
    value: float
    low: float
    high: float
    place: tuple[str, ...]
    match: str
    date: datetime.date | None
    age: int | None
    tenure: str
    basis: str
    source: str
    fact: str
    kind: str
    recalled: bool
    own: bool = False


def ranked(
    facts: Iterable[Fact], place: str | None, day: datetime.date | None, tenure: str | None
) -> tuple[Price, ...]:
    """Prices known on `day`, best match first: place, then tenure, then the user's own, then what was read
    before what was recalled, then the latest. Prices of other places follow; `match` says so.
    """
    known = [fact for fact in facts if fact.known_on(day) and fact.number > 0]
    prices = [_price(fact, place, day) for fact in known]
    return tuple(sorted(prices, key=lambda price: _rank(price, tenure)))


def _price(fact: Fact, place: str | None, day: datetime.date | None) -> Price:
    age = (day - fact.date).days if day and fact.date else None
    return Price(
        chip=fact.entity,
        value=fact.number,
        low=fact.number if fact.low is None else fact.low,
        high=fact.number if fact.high is None else fact.high,
        place=fact.place,
        match=_match(fact.place, place),
        date=fact.date,
        age=age,
        tenure=fact.tenure,
        basis=fact.note,
        source=fact.source,
        fact=fact.id,
        kind=fact.kind,
        recalled=fact.recalled,
        own=fact.known == "own",
    )


def _match(places: tuple[str, ...], asked: str | None) -> str:
    if asked is None or asked in places:
        return "here"
    return "world" if "world" in places else "elsewhere"


def _rank(price: Price, tenure: str | None) -> tuple[int, ...]:
    place = ("here", "world", "elsewhere").index(price.match)
    other = int(tenure is not None and price.tenure != tenure)
    return place, other, int(not price.own), int(price.recalled), -(price.date.toordinal() if price.date else 0)
