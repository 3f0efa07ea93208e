"""What owning an accelerator costs by the hour: wear of its purchase, power and housing, each said with its source.

cost = purchase x (1 - resale) / life + power x (price of electricity + housing)

Of an accelerator with its share of the server and the network. Neglected: staff, taxes, capital; a purchase on credit
costs 10 to 20 % more.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tonnage import units
from tonnage.catalog.prices import Price, match_of
from tonnage.errors import MissingFact

if TYPE_CHECKING:
    from tonnage.catalog.catalog import Catalog
    from tonnage.catalog.facts import Fact

Date = datetime.date

LIFE = 4 * units.YEAR
"""Over which a purchase is written off where nobody says: an assumption; clouds write servers off over five to six
years, lenders to them over four.
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

YUAN = 7.12
"""CNY of one USD where the catalogue has no rate of exchange (`cny/exchange`, 2023)."""

PURCHASES = {
    "price.purchase": (1, AROUND, "accelerator"),
    "price.module8": (8, AROUND, "board of eight"),
    "price.server8": (8, 1.0, "server of eight"),
    "price.system": (1, 1.0, "whole system"),
}
"""Attributes that say what is bought, in USD or with `.cny` behind, the first one known before the others: accelerators
in it, what stands around them over its price (a server brings its own; the network is neglected), and its name.
"""


@dataclass(frozen=True)
class PurchasePrice:
    """What one accelerator costs with what stands around it [USD]; fact: of the catalogue; match: how its place answers
    (`prices.MATCHES`); text: how it comes about.
    """

    low: float
    high: float
    fact: Fact
    match: str
    text: str

    @property
    def value(self) -> float:
        """Middle of its span."""
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Running:
    """Power and housing of one accelerator [USD/s], in words, and the ids of the facts."""

    value: float
    text: str
    facts: tuple[str, ...] = ()


def purchase(
    catalog: Catalog, chip: str, place: str | None, day: Date | None, *, anywhere: bool = False
) -> PurchasePrice | None:
    """The latest price of purchase known on a day that holds at a place; anywhere: or else in another place."""
    known = [fact for fact in catalog.tables.about("prices", chip) if fact.known_on(day)]
    for attribute in PURCHASES:
        facts = [fact for fact in known if fact.attribute.removesuffix(".cny") == attribute]
        fits = [fact for fact in facts if not fact.place or match_of(fact.place, place) != "elsewhere"]
        fits = fits or (facts if anywhere else [])
        if fits:
            return _purchase(max(fits, key=lambda fact: fact.date or Date.min), place, _yuan(catalog, day))
    return None


def _purchase(fact: Fact, place: str | None, yuan: float) -> PurchasePrice:
    many, around, name = PURCHASES[fact.attribute.removesuffix(".cny")]
    dollars = 1.0 if fact.unit == "USD" else yuan
    each = around / many / dollars
    low, high = (fact.number if end is None else end for end in (fact.low, fact.high))
    asked = units.show_money(fact.number) if fact.unit == "USD" else f"{units.show_count(fact.number)} CNY"
    text = f"{name} at {asked} ({fact.source}, {fact.date or 'undated'}, {', '.join(fact.place) or 'no place'})"
    text += "" if dollars == 1.0 else f" at {yuan:g} CNY a USD"
    text += "" if around == 1.0 else f" x {around:g} for its share of server and network (assumed)"
    match = match_of(fact.place, place) if fact.place else "world"
    return PurchasePrice(low * each, high * each, fact, match, text)


def _yuan(catalog: Catalog, day: Date | None) -> float:
    facts = [fact for fact in catalog.all_facts("cny") if fact.attribute == "exchange" and fact.known_on(day)]
    return facts[0].number if facts else YUAN


def running(
    catalog: Catalog,
    chip: str,
    place: str | None,
    day: Date | None,
    power_price: float | None = None,
    hosting: float | None = None,
) -> Running:
    """Power and housing of one accelerator; power_price [USD/J], hosting [USD/s]: as people say, else as known."""
    watts = rated_power(chip, catalog)
    energy, fact = energy_price(catalog, place, day)
    energy = energy if power_price is None else power_price
    if watts is None:
        house = hosting or 0.0
        text = f"housing {units.show_price(house)}" if house else "housing unknown"
        return Running(house, f"power unknown (the catalogue has none for {chip}); {text}")
    power = watts * FACILITY_POWER
    house = power * HOUSING if hosting is None else hosting
    text = f"power {power:,.0f} W at ${energy * 3.6e6:.3f}/kWh; housing {units.show_price(house)}"
    return Running(power * energy + house, text, () if power_price is not None or fact is None else (fact,))


def hourly(price: float, run: float, life: float = LIFE, resale: float = RESALE) -> float:
    """Cost of owning [USD/s] at a price of purchase [USD]."""
    return price * (1 - resale) / life + run


def terms(life: float = LIFE, resale: float = RESALE) -> str:
    """How a purchase is written off, in words."""
    return f"written off over {life / units.YEAR:.3g} years to {units.show_share(resale)}"


def rated_power(chip: str, catalog: Catalog) -> float | None:
    """Rated power of a chip [W], None where the catalogue has none."""
    try:
        return catalog.fact(chip, "power").number
    except MissingFact:
        return None


def energy_price(catalog: Catalog, place: str | None, day: Date | None) -> tuple[float, str | None]:
    """The catalogue's latest price of electricity at the place [USD/J] and its id, or that of industry in the US."""
    facts = [
        fact
        for fact in catalog.tables["power_prices"]
        if fact.attribute == "price.energy" and fact.known_on(day) and place in fact.place
    ]
    best = max(facts, key=lambda fact: fact.date or Date.min, default=None)
    return (ENERGY, None) if best is None else (best.number, best.id)


def owned(catalog: Catalog, chip: str, place: str | None, day: Date | None) -> tuple[Price, ...]:
    """Cost of owning a chip, what holds at the place first: as published, then computed from a purchase."""
    published = catalog.owning(chip, place, day)
    bought = purchase(catalog, chip, place, day, anywhere=True)
    made = () if bought is None else (_computed(catalog, chip, place, day, bought),)
    return tuple(sorted((*published, *made), key=lambda price: price.match == "elsewhere"))


def _computed(catalog: Catalog, chip: str, place: str | None, day: Date | None, bought: PurchasePrice) -> Price:
    fact, run = bought.fact, running(catalog, chip, place, day)
    power = catalog.facts_of(chip).get("power")
    return Price(
        chip=chip,
        value=hourly(bought.value, run.value),
        low=hourly(bought.low, run.value),
        high=hourly(bought.high, run.value),
        place=fact.place,
        match=bought.match,
        date=fact.date,
        age=(day - fact.date).days if day and fact.date else None,
        tenure="owned",
        basis=f"{bought.text}, {terms()}; {run.text}",
        source="computed",
        fact=fact.id,
        kind="estimate",
        recalled=fact.recalled,
        own=fact.known == "own",
        quote="assumed",
        more=(*(() if power is None else (power.id,)), *run.facts),
    )
