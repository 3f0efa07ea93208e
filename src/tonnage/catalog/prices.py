"""Rental prices by place, term and date, the best match first, with their age in sight.

One term for all chips unless another is asked for: what people rent by, on demand or by the month. A contract of years
or a spot price is the default only where nothing else is known.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from tonnage.catalog.facts import Fact

TENURES = ("on-demand", "monthly", "1-year", "3-year", "5-year", "reserved", "spot", "internal", "owned")
"""How a price is paid, what is taken by default first. reserved: for a time that the source does not split; internal:
what an owner charges itself in its own accounts; owned: cost of owning.
"""

RENTED = ("on-demand", "monthly")
"""Terms that a renter can leave: equally good by default, so that between them the place decides."""

QUARTER = 91

QUOTES = {
    "contract": 0,
    "index": 0,
    "list": QUARTER,
    "": QUARTER,
    "marketplace": 2 * QUARTER,
    "assumed": 2 * QUARTER,
    "unsure": 4 * QUARTER,
    "hyperscaler": 4 * QUARTER,
}
"""How a price was come by -> how many days newer it has to be to go before the best kind: a choice of ours. contract: a
deal, or an index of deals; index: median or index over several providers; list: one provider's list price; marketplace:
offers of many owners; assumed: by a cost model; unsure: a range, a lowest find or a page without a day; hyperscaler:
list price of a hyperscaler, two to four times what contracts cost. Empty: not said.
"""

MATCHES = ("here", "region", "world", "elsewhere")
"""How a price's place answers the place that was asked for."""

ANYWHERE = ("world", "US")
"""Where prices are taken from when no place is asked for, so that chips compare: the world market, then the United
States, where most are quoted, then wherever there is one.
"""

REGIONS = {
    "EU": "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK",
    "north-america": "CA MX US",
    "asia-pacific": "AU HK ID IN JP KR MY NZ PH SG TH TW VN",
    "middle-east": "AE BH IL JO KW OM QA SA TR",
}
"""Regions that prices are quoted for, and their countries. EU: the members since 2020-02-01 (Treaty on European Union);
the others as clouds group their regions, without China.
"""

LAW_AS = {"EU": "DE"}
"""A country whose rules stand for those of a region: export rules reach the members of the EU alike today, and the
German ones go with most of them. An assumption, said where it is made.
"""


@dataclass(frozen=True)
class Price:
    """One quoted price of one accelerator [USD/accelerator-s].

    low, high: what the source spans; place: codes it holds in; match: one of `MATCHES`, seen from the place that was
    asked for; date: when it held; age: days from then to the day asked for, None when no day was; tenure: one of
    `TENURES`; basis: what exactly was priced; source: key; fact: id of the fact; kind: of the fact; quote: one of
    `QUOTES`; more: ids of other facts that it rests on.
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
    quote: str = ""
    more: tuple[str, ...] = ()


def ranked(
    facts: Iterable[Fact], place: str | None, day: datetime.date | None, tenure: str | None
) -> tuple[Price, ...]:
    """Prices known on `day`, best match first. What serves the place before what does not (`match` says so); then the
    term asked for and the user's own; then what can be rented and left; hyperscalers' lists after all others; then the
    place (`ANYWHERE` where none is asked), the term, what was read before what was recalled, and the latest, with the
    head start of `QUOTES`.
    """
    known = [fact for fact in facts if fact.known_on(day) and fact.number > 0]
    prices = [_price(fact, place, day) for fact in known]
    return tuple(sorted(prices, key=lambda price: _rank(price, place, tenure)))


def _price(fact: Fact, place: str | None, day: datetime.date | None) -> Price:
    age = (day - fact.date).days if day and fact.date else None
    return Price(
        chip=fact.entity,
        value=fact.number,
        low=fact.number if fact.low is None else fact.low,
        high=fact.number if fact.high is None else fact.high,
        place=fact.place,
        match=match_of(fact.place, place),
        date=fact.date,
        age=age,
        tenure=fact.tenure,
        basis=fact.note,
        source=fact.source,
        fact=fact.id,
        kind=fact.kind,
        recalled=fact.recalled,
        own=fact.known == "own",
        quote=fact.mark,
    )


def match_of(places: tuple[str, ...], asked: str | None) -> str:
    """How the codes that a price holds in answer the place that is asked for: one of `MATCHES`."""
    if asked is None or asked in places:
        return "here"
    within = [asked in members(place) for place in places] + [place in members(asked) for place in places]
    if any(within):
        return "region"
    return "world" if "world" in places else "elsewhere"


def members(region: str) -> tuple[str, ...]:
    """Codes of the countries of a region; none where it is no region."""
    return tuple(REGIONS.get(region, "").split())


def region_code(text: str) -> str | None:
    """The region that a name means (`eu`, `Europe`), or None."""
    plain = text.strip().lower()
    return {**{name.lower(): name for name in REGIONS}, "europe": "EU", "european union": "EU"}.get(plain)


def fallen_back(price: Price, asked: str | None) -> str:
    """What was looked for in vain before a price: `none known in DE or EU: `; nothing where it holds at the place.

    The chain: the country, its region, the world, another place.
    """
    if asked is None or price.match == "here":
        return ""
    missed = [asked]
    if price.match in ("world", "elsewhere"):
        missed += [name for name in REGIONS if asked in members(name)]
    if price.match == "elsewhere":
        missed.append("the world at large")
    *first, last = missed
    return f"none known in {', '.join(first)} or {last}: " if first else f"none known in {last}: "


def _rank(price: Price, place: str | None, tenure: str | None) -> tuple[int, ...]:
    return (
        int(price.match == "elsewhere"),
        int(tenure is not None and price.tenure != tenure),
        int(not price.own),
        0 if price.tenure in RENTED else 1 + _at(TENURES, price.tenure),
        int(price.quote == "hyperscaler"),
        _near(price, place),
        _at(TENURES, price.tenure),
        int(price.recalled),
        QUOTES.get(price.quote, QUARTER) - (price.date.toordinal() if price.date else 0),
    )


def _near(price: Price, place: str | None) -> int:
    """How near a price is to the place that is asked for, or to `ANYWHERE` where none is."""
    if place is not None:
        return MATCHES.index(price.match)
    return min((_at(ANYWHERE, code) for code in price.place), default=len(ANYWHERE))


def _at(order: tuple[str, ...], name: str) -> int:
    """Place of a name in an order; unknown names come last."""
    return order.index(name) if name in order else len(order)
