"""What an accelerator costs by the hour: its rent, or what owning it costs. Nothing is free, and each price says what
it is: of what, by which term, where and when.

What an owned accelerator costs is, in this order: the programme's `price`; its `purchase`; what the catalogue has
published as the whole cost of owning; a purchase price of the catalogue; and, where none of these is known, its rent.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tonnage import units
from tonnage.catalog.prices import match_of
from tonnage.errors import MissingFact
from tonnage.fleet.programme import Purchase, Quote
from tonnage.fleet.uncertain import Uncertain, between, point

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.catalog.facts import Fact
    from tonnage.catalog.prices import Price

LIFE = 4 * units.YEAR
"""Over which a purchase is written off unless the programme says: an assumption; clouds write servers off over five to
six years, lenders to them over four.
"""

RESALE = 0.1
"""Share of a purchase that is left after its life: an assumption."""

AROUND = 1.25
"""What stands around bought accelerators (their share of servers and network) over the price of the bare ones: an
assumption. A server of eight H100 is put at 250,000 USD in the catalogue, the accelerators at 26,500 each.
"""

FACILITY_POWER = 2.0
"""Power of the site over the rated power of its accelerators: 1.82 for the server (DGX H100 datasheet: 10.2 kW, eight
accelerators of 700 W), 1.1 for cooling (an assumption).
"""

HOUSING = 217.30 / 1e3 / units.MONTH
"""Rent of a data centre [USD/W-s], power apart: 217.30 USD per kW and month, CBRE's average of the world's markets in
the first quarter of 2025 (Global Data Center Trends 2025).
"""

ENERGY = 0.091 / 3.6e6
"""Price of electricity [USD/J] where the catalogue has none for the place: United States, industry (EIA, 2025)."""


@dataclass(frozen=True)
class Priced:
    """price: [USD/accelerator-s], None where none is known; quotes: where it is from; note: the same in words; facts:
    ids; bought: the purchase behind it, where one is known; owning: of a rent, what owning would cost.
    """

    price: Uncertain | None
    quotes: tuple[Quote, ...] = ()
    note: str = "no price known"
    facts: tuple[str, ...] = ()
    bought: Purchase | None = None
    owning: Uncertain | None = None


@dataclass(frozen=True)
class Owning:
    """What a programme says of owning a lot: purchase: [USD] of one accelerator with what stands around it; life: [s];
    resale: share; power_price: [USD/J]; hosting: [USD/s] of one accelerator, power apart. None: as the catalogue
    has it.
    """

    purchase: Uncertain | None = None
    life: float = LIFE
    resale: float = RESALE
    power_price: float | None = None
    hosting: float | None = None


@dataclass(frozen=True)
class Market:
    """Where and when: place: code; known: the day of knowledge."""

    catalog: Catalog
    code: str
    known: datetime.date


def rent(chip: str, lot: str, where: Market, term: str | None) -> Priced:
    """The rent of a chip at a place: the catalogue's best match; a price that holds only elsewhere is none."""
    for found in where.catalog.price(chip, where.code or None, where.known, term):
        if found.match != "elsewhere":
            return _looked_up(found, lot, "rent")
    return Priced(None)


def _looked_up(found: Price, lot: str, what: str) -> Priced:
    note = f"{found.tenure} price of {found.date}, {found.source}"
    quote = Quote(
        lot,
        found.chip,
        what,
        found.low,
        found.high,
        found.tenure,
        found.place,
        found.date,
        found.source,
        found.basis,
    )
    return Priced(between(found.low, found.high, note), (quote,), note, (found.fact,))


def owning(chip: str, lot: str, where: Market, terms: Owning) -> Priced:
    """What owning a chip costs."""
    if terms.purchase is not None:
        quote = Quote(lot, chip, "purchase", *terms.purchase.interval)
        return _bought(chip, lot, where, terms, terms.purchase, quote)
    published = [
        price for price in where.catalog.owning(chip, where.code or None, where.known) if price.match != "elsewhere"
    ]
    made = from_purchase(chip, lot, where, terms)
    if published:
        return replace(_looked_up(published[0], lot, "owning"), bought=made.bought if made else None)
    if made is not None:
        return made
    found = rent(chip, lot, where, None)
    quotes = tuple(_in_place(quote) for quote in found.quotes)
    return Priced(found.price, quotes, found.note, found.facts)


def from_purchase(chip: str, lot: str, where: Market, terms: Owning) -> Priced | None:
    """What owning costs at the catalogue's latest price of purchase, None where it has none."""
    fact = _purchase(chip, where)
    if fact is None:
        return None
    low, high = _ends(fact)
    quote = Quote(lot, chip, "purchase", low, high, "", fact.place, fact.date, fact.source, fact.note)
    made = _bought(chip, lot, where, terms, between(low * AROUND, high * AROUND), quote)
    return replace(made, facts=(fact.id,))


def _in_place(quote: Quote) -> Quote:
    text = "its rent, in place of a cost of owning, which is not known"
    return replace(quote, basis=f"{text}; {quote.basis}" if quote.basis else text)


def _ends(fact: Fact) -> tuple[float, float]:
    return (fact.number if fact.low is None else fact.low, fact.number if fact.high is None else fact.high)


def _purchase(chip: str, where: Market) -> Fact | None:
    """The latest purchase price known [USD] that holds at the place, or anywhere but in another place."""
    facts = [
        fact
        for fact in where.catalog.tables.about("prices", chip)
        if fact.attribute == "price.purchase" and fact.known_on(where.known)
    ]
    fits = [fact for fact in facts if not fact.place or match_of(fact.place, where.code or None) != "elsewhere"]
    return max(fits, key=lambda fact: fact.date or datetime.date.min, default=None)


def _bought(chip: str, lot: str, where: Market, terms: Owning, price: Uncertain, quote: Quote) -> Priced:
    """Wear of the purchase, power and housing."""
    life, resale = terms.life, terms.resale
    running, text = _running(chip, where, terms)
    wear = (1 - resale) / life
    low, high = price.interval
    cost = point(low * wear + running) if price.certain else between(low * wear + running, high * wear + running)
    whole = f"written off over {life / units.YEAR:.3g} years to {units.show_share(resale)}; {text}"
    made = Quote(lot, chip, "owning", *cost.interval, source="computed", basis=whole)
    note = f"bought at {units.show_money(price.median)}, {whole}"
    return Priced(cost, (quote, made), note, (), Purchase(price.median, life, resale))


def _running(chip: str, where: Market, terms: Owning) -> tuple[float, str]:
    """Power and housing of one accelerator [USD/s], and how they are counted."""
    watts = accelerator_power(chip, where.catalog)
    energy = energy_price(where) if terms.power_price is None else terms.power_price
    if watts is None:
        house = terms.hosting or 0.0
        text = f"housing {units.show_price(house)}" if house else "housing unknown"
        return house, f"power unknown (the catalogue has none for {chip}); {text}"
    power = watts * FACILITY_POWER
    house = power * HOUSING if terms.hosting is None else terms.hosting
    per_kwh = f"${energy * 3.6e6:.3f}/kWh"
    return power * energy + house, f"power {power:,.0f} W at {per_kwh}; housing {units.show_price(house)}"


def accelerator_power(chip: str, catalog: Catalog) -> float | None:
    """Rated power of a chip [W], None where the catalogue has none."""
    try:
        return catalog.fact(chip, "power").number
    except MissingFact:
        return None


def energy_price(where: Market) -> float:
    """The catalogue's latest price of electricity at the place [USD/J], or that of industry in the United States."""
    facts = [
        fact
        for fact in where.catalog.tables["power_prices"]
        if fact.attribute == "price.energy" and fact.known_on(where.known) and where.code in fact.place
    ]
    best = max(facts, key=lambda fact: fact.date or datetime.date.min, default=None)
    return ENERGY if best is None else best.number
