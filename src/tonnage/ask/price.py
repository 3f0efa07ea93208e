"""What accelerators cost and draw, where, and as of when: as people say, or the catalogue's best match.

Rents come first: of the country asked for, of its region, of the world. Where none of these is known, what owning
costs; then a rent of another place. The answer says which.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tonnage import units
from tonnage.catalog.owning import owned
from tonnage.catalog.prices import RENTED, fallen_back, region_code
from tonnage.errors import InputError, Problem

if TYPE_CHECKING:
    from tonnage.catalog import Catalog, Price
    from tonnage.serve import ChipPower, ChipPrice
    from tonnage.system import System


TERMS = ("on-demand", "monthly", "1-year", "3-year", "reserved", "spot")
"""Terms of payment that a renter may ask for (`catalog.prices.TENURES` has what owners charge themselves besides)."""


@dataclass(frozen=True)
class Paid:
    """USD per accelerator-second, None where no price is known; quote: of the catalogue, None where people said it;
    term, place: what was asked for.
    """

    value: float | None
    quote: Price | None = None
    term: str | None = None
    place: str | None = None

    @property
    def note(self) -> str:
        """That another term or place is quoted than was asked for, before the quote's own; empty where it is that."""
        return "" if self.quote is None else instead(self.quote, self.term, self.place)

    @property
    def facts(self) -> tuple[str, ...]:
        """Ids of the facts it rests on."""
        return (self.quote.fact, *self.quote.more) if self.quote else ()


def place_code(text: str, name: str = "in") -> str:
    """Code of the place that a field names (`china` -> `CN`, `eu` -> `EU`). Raises `InputError` with the nearest."""
    from tonnage.law import load_rules

    region = region_code(text)
    if region is not None:
        return region
    try:
        return load_rules().places.code(text)
    except InputError as error:
        raise InputError([Problem(p.message, path=name, suggestion=p.suggestion) for p in error.problems]) from None


def instead(quote: Price, term: str | None, place: str | None) -> str:
    """What was looked for in vain before a quote: its term, its place, a rent at all."""
    where = fallen_back(quote, place)
    if quote.tenure == "owned":
        return f"no {term + ' ' if term else ''}rent is known: {where}owning cost: "
    other = quote.tenure != term if term is not None else quote.tenure not in RENTED and not quote.own
    return f"no {term or RENTED[0]} price is known: {where}" if other else where


def best_price(
    catalog: Catalog, system: System, place: str | None, as_of: datetime.date | None, term: str | None = None
) -> Price | None:
    """The catalogue's best match, of a term of payment where one is asked for; None where it has none."""
    chip = system.accelerator.name
    rents = catalog.price(chip, place, as_of, term)
    if rents and rents[0].match != "elsewhere":
        return rents[0]
    found = [*owned(catalog, chip, place, as_of)[:1], *rents[:1]]
    return min(found, key=lambda price: price.match == "elsewhere", default=None)


def paid(
    catalog: Catalog,
    system: System,
    quoted: float | None,
    place: str | None,
    as_of: datetime.date | None,
    term: str | None = None,
) -> Paid:
    """The price that is given, or the catalogue's."""
    if quoted is not None:
        return Paid(quoted)
    found = best_price(catalog, system, place, as_of, term)
    return Paid(None if found is None else found.value, found, term, place)


def chip_price(
    catalog: Catalog, system: System, place: str | None, as_of: datetime.date | None, term: str | None = None
) -> ChipPrice | None:
    """The catalogue's best match, with its place and date in words."""
    from tonnage.serve import ChipPrice

    best = best_price(catalog, system, place, as_of, term)
    if best is None:
        return None
    text = instead(best, term, place) + said(best)
    return ChipPrice(best.value, text, best.low, best.high, best.fact, best.tenure)


def said(price: Price) -> str:
    """Term, place, day and kind of a price in words; of a cost of owning, how it comes about."""
    if price.tenure == "owned" and price.source == "computed":
        return price.basis
    return f"{price.tenure}, {', '.join(price.place) or 'no place'}, {price.date or 'undated'}, {price.kind}"


def chip_power(catalog: Catalog, system: System, share: float | None, as_of: datetime.date | None) -> ChipPower | None:
    """What one accelerator draws: all that is provisioned for it, or a share of its rating; None if not known."""
    from tonnage.serve import ChipPower

    facts = catalog.facts_of(system.accelerator.name, as_of)
    rated, whole = facts.get("power"), facts.get("all_in_power")
    if whole is not None and share is None:
        return ChipPower(whole.number, f"all-in, {units.show_number(whole.number)} W, {whole.source}", whole.id)
    watts = rated.number if rated is not None else system.accelerator.power
    if watts is None:
        return None
    part = 1.0 if share is None else share
    text = f"{part:.0%} of the rated {units.show_number(watts)} W"
    return ChipPower(watts * part, text, "" if rated is None else rated.id)
