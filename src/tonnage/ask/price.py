"""What accelerators cost and draw, where, and as of when: as people say, or the catalogue's best match."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tonnage import units
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
    term: of payment that was asked for.
    """

    value: float | None
    quote: Price | None = None
    term: str | None = None

    @property
    def note(self) -> str:
        """That another term is quoted than was asked for, before the quote's own; empty where it is that one."""
        return "" if self.quote is None else other_term(self.quote, self.term)

    @property
    def facts(self) -> tuple[str, ...]:
        """Ids of the facts it rests on."""
        return (self.quote.fact,) if self.quote else ()


def place_code(text: str, name: str = "in") -> str:
    """Code of the place that a field names (`china` -> `CN`). Raises `InputError` with the nearest name."""
    from tonnage.law import load_rules

    try:
        return load_rules().places.code(text)
    except InputError as error:
        raise InputError([Problem(p.message, path=name, suggestion=p.suggestion) for p in error.problems]) from None


def other_term(quote: Price, term: str | None) -> str:
    """`no spot price is known: ` before a quote of another term than was asked for; else nothing."""
    return "" if term in (None, quote.tenure) else f"no {term} price is known: "


def best_price(
    catalog: Catalog, system: System, place: str | None, as_of: datetime.date | None, term: str | None = None
) -> Price | None:
    """The catalogue's best match, of a term of payment where one is asked for; None where it has none."""
    prices = catalog.price(system.accelerator.name, place, as_of, term)
    return prices[0] if prices else None


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
    return Paid(None, term=term) if found is None else Paid(found.value, found, term)


def chip_price(
    catalog: Catalog, system: System, place: str | None, as_of: datetime.date | None, term: str | None = None
) -> ChipPrice | None:
    """The catalogue's best match, with its place and date in words."""
    from tonnage.serve import ChipPrice

    best = best_price(catalog, system, place, as_of, term)
    if best is None:
        return None
    text = f"{best.tenure}, {', '.join(best.place) or 'no place'}, {best.date or 'undated'}, {best.kind}"
    return ChipPrice(best.value, other_term(best, term) + text, best.low, best.high, best.fact)


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
