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
from tonnage.catalog import owning as costs
from tonnage.catalog.owning import LIFE, RESALE
from tonnage.catalog.prices import fallen_back
from tonnage.fleet.programme import Purchase, Quote
from tonnage.fleet.uncertain import Uncertain, between, point

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.catalog.prices import Price


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
            basis = fallen_back(found, where.code or None) + found.basis
            return _looked_up(replace(found, basis=basis), lot, "rent")
    return Priced(None)


def instead_of_rent(chip: str, lot: str, where: Market) -> Priced:
    """What owning costs, in place of a rent where none is known: a renter pays no less for long."""
    found = owning(chip, lot, where, Owning())
    if found.price is None:
        found = from_purchase(chip, lot, where, Owning(), anywhere=True) or found
    if found.price is None:
        return found
    text = "what owning costs, in place of a rent, which is not known"
    quotes = tuple(
        replace(quote, basis=f"{text}; {quote.basis}" if quote.basis else text) if quote.what == "owning" else quote
        for quote in found.quotes
    )
    return replace(found, quotes=quotes, note=f"{text}: {found.note}")


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


def from_purchase(chip: str, lot: str, where: Market, terms: Owning, *, anywhere: bool = False) -> Priced | None:
    """What owning costs at the catalogue's latest price of purchase, None where it has none at the place; anywhere: or
    else in another place.
    """
    found = costs.purchase(where.catalog, chip, where.code or None, where.known, anywhere=anywhere)
    if found is None:
        return None
    fact = found.fact
    low, high = (fact.number if end is None else end for end in (fact.low, fact.high))
    if fact.attribute != "price.purchase":
        low, high = found.low, found.high
    quote = Quote(lot, chip, "purchase", low, high, "", fact.place, fact.date, fact.source, fact.note)
    made = _bought(chip, lot, where, terms, between(found.low, found.high), quote)
    return replace(made, facts=(fact.id,))


def _in_place(quote: Quote) -> Quote:
    text = "its rent, in place of a cost of owning, which is not known"
    return replace(quote, basis=f"{text}; {quote.basis}" if quote.basis else text)


def _bought(chip: str, lot: str, where: Market, terms: Owning, price: Uncertain, quote: Quote) -> Priced:
    """Wear of the purchase, power and housing."""
    life, resale = terms.life, terms.resale
    run = costs.running(where.catalog, chip, where.code or None, where.known, terms.power_price, terms.hosting)
    low, high = (costs.hourly(end, run.value, life, resale) for end in price.interval)
    cost = point(low) if price.certain else between(low, high)
    whole = f"{costs.terms(life, resale)}; {run.text}"
    made = Quote(lot, chip, "owning", *cost.interval, source="computed", basis=whole)
    note = f"bought at {units.show_money(price.median)}, {whole}"
    return Priced(cost, (quote, made), note, (), Purchase(price.median, life, resale))
