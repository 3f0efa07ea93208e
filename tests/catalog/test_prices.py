"""Which price is taken where nothing is said: its term, its place and its day."""

from __future__ import annotations

import collections
import datetime

import pytest

from tonnage.catalog import Catalog, Fact, Price, load
from tonnage.catalog.prices import MATCHES, QUOTES, REGIONS, TENURES, match_of, ranked
from tonnage.law import load_rules
from tonnage.units import HOUR

D = datetime.date
TODAY = D(2026, 11, 29)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


def rent(
    value: float,
    place: str,
    day: D,
    tenure: str = "on-demand",
    quote: str = "list",
    *,
    chip: str = "x",
    known: str = "",
) -> Fact:
    name = f"{chip}/price.rental@{day}#{value}{tenure}{place}{quote}"
    places = tuple(place.split())
    return Fact(
        name, chip, "price.rental", float(value), "USD/accelerator-s", "s", "press",
        date=day, place=places, tenure=tenure, mark=quote, known=known or "fetched",
    )  # fmt: skip


def best(*facts: Fact, place: str | None = "DE", day: D | None = TODAY, tenure: str | None = None) -> Price:
    return ranked(facts, place, day, tenure)[0]


@pytest.mark.parametrize(
    ("chip", "place", "value", "tenure", "match", "day"),
    [
        ("h100-sxm", "DE", 3.627, "on-demand", "region", D(2026, 10, 1)),
        ("h200-sxm", "DE", 4.732, "on-demand", "region", D(2026, 10, 1)),
        ("h100-sxm", "US", 3.161, "on-demand", "here", D(2026, 9, 8)),
        ("h200-sxm", "US", 3.40, "on-demand", "here", D(2026, 9, 8)),
        ("b200-sxm", "US", 6.316, "on-demand", "here", D(2026, 9, 8)),
        ("b300-sxm", "US", 7.89, "on-demand", "world", D(2026, 10, 5)),
        ("mi300x", "US", 2.59, "on-demand", "here", D(2026, 10, 1)),
        ("h100-sxm", "CN", 1.66, "monthly", "here", D(2024, 11, 1)),
        ("h20-96gb", "CN", 1.10, "monthly", "here", D(2025, 1, 1)),
        ("h100-sxm", "JP", 4.02, "on-demand", "world", D(2026, 10, 5)),  # not AWS in Tokyo at 8.60
        ("tpu-v5e", "NL", 1.56, "on-demand", "here", D(2026, 8, 19)),
        ("tpu-v6e", "US", 2.70, "on-demand", "here", D(2026, 8, 19)),
        ("rtx-4090", "US", 0.3881, "on-demand", "world", D(2026, 10, 1)),
        ("mi355x", "US", 2.95, "on-demand", "here", D(2026, 5, 1)),
        ("gb200", "US", 10.5, "on-demand", "here", D(2026, 9, 25)),
        ("tpu-v7", "US", 12.0, "on-demand", "here", D(2026, 9, 25)),
        ("trainium2", "US", 2.235, "on-demand", "here", D(2026, 5, 21)),
        ("inferentia2", "US", 0.75, "on-demand", "here", D(2026, 5, 19)),
        ("rtx-3090", "DE", 0.1563, "on-demand", "world", D(2026, 10, 1)),
        ("a6000", "DE", 0.652, "on-demand", "region", D(2026, 10, 1)),
        ("l40", "US", 0.4539, "on-demand", "world", D(2026, 10, 1)),
        ("h100-sxm", "EU", 3.627, "on-demand", "here", D(2026, 10, 1)),
        ("rtx-pro-6000", None, 1.4037, "on-demand", "here", D(2026, 10, 1)),  # the world market where no place is asked
    ],
)
def test_the_price_that_is_taken_by_default(
    catalog: Catalog, chip: str, place: str | None, value: float, tenure: str, match: str, day: D
) -> None:
    price = catalog.price(chip, place, TODAY)[0]
    assert price.value * HOUR == pytest.approx(value)
    assert (price.tenure, price.match, price.date) == (tenure, match, day)


RENTS_IN_CHINA = [
    ("ascend-910b", 3.0, 3.5, 4.0),
    ("dcu-bw1000", 3.0, 3.0, 3.0),
    ("mtt-s5000", 8.0, 8.0, 8.0),
    ("mtt-s4000", 1.69, 1.69, 1.69),
    ("bi-v150", 3.0, 3.0, 3.0),
    ("bi-v100", 1.49, 1.49, 1.49),
    ("br166", 4.0, 4.0, 4.0),
]


@pytest.mark.parametrize(("chip", "low", "value", "high"), RENTS_IN_CHINA)
def test_one_domestic_card_by_the_hour_in_china(
    catalog: Catalog, chip: str, low: float, value: float, high: float
) -> None:
    """As read on 2026-07-15, in CNY at 7.12."""
    price = catalog.price(chip, "CN", TODAY)[0]
    assert (price.tenure, price.date) == ("on-demand", D(2026, 7, 15))
    assert [7.12 * HOUR * cost for cost in (price.low, price.value, price.high)] == pytest.approx(
        [low, value, high], abs=0.01
    )
    assert catalog.price(chip, "CN", D(2026, 7, 14)) == ()


@pytest.mark.parametrize("chip", ["ascend-910b", "ascend-910c"])
def test_ascend_is_bought(catalog: Catalog, chip: str) -> None:
    """Of domestic cards in China an average without names is known too."""
    assert catalog.owning(chip, "CN", TODAY) == ()
    costs = {fact.date: fact.number for fact in catalog.all_facts(chip) if fact.attribute == "price.purchase.cny"}
    assert costs[D(2025, 5, 1)] == {"ascend-910b": 90_000, "ascend-910c": 142_500}[chip]
    assert catalog.price("unnamed-domestic", "CN", TODAY)[0].tenure == "on-demand"


@pytest.mark.parametrize(("tenure", "value"), [("1-year", 2.65), ("3-year", 1.3), ("spot", 2.15), ("reserved", 2.24)])
def test_a_term_that_is_asked_for_comes_first(catalog: Catalog, tenure: str, value: float) -> None:
    price = catalog.price("h100-sxm", "US", D(2026, 10, 15), tenure)[0]
    assert (price.tenure, price.match) == (tenure, "here")
    assert price.value * HOUR == pytest.approx(value)


def test_a_price_of_the_eu_serves_its_members() -> None:
    assert [match_of(("EU",), code) for code in ("DE", "FR", "NL", "EU", "GB", "US")] == [
        "region", "region", "region", "here", "elsewhere", "elsewhere"
    ]  # fmt: skip
    assert match_of(("FI", "EU"), "FI") == "here"
    assert match_of(("world", "US"), "DE") == "world"
    assert match_of(("CN",), None) == "here"


def test_regions_are_of_countries_that_exist() -> None:
    codes = load_rules().places.codes
    assert len(REGIONS["EU"].split()) == 27
    for text in REGIONS.values():
        members = text.split()
        assert set(members) <= codes and len(set(members)) == len(members)
        assert "CN" not in members


def test_country_then_region_then_world_then_elsewhere() -> None:
    facts = [rent(4, "US", TODAY), rent(3, "world", TODAY), rent(2, "EU", TODAY), rent(1, "DE", D(2025, 1, 1))]
    found = ranked(facts, "DE", TODAY, None)
    assert [(price.value, price.match) for price in found] == list(zip((1, 2, 3, 4), MATCHES, strict=True))


def test_on_demand_first_and_years_only_where_nothing_else_is_known() -> None:
    old, year = rent(3, "world", D(2024, 1, 1)), rent(1, "DE", TODAY, "3-year")
    assert best(old, year).value == 3
    assert best(year, rent(2, "DE", TODAY, "spot")).tenure == "3-year"
    assert best(year, rent(2, "DE", TODAY, "1-year")).tenure == "1-year"
    assert best(old, rent(2, "DE", D(2023, 1, 1), "monthly")).tenure == "monthly"  # both can be left: the place decides
    assert best(old, year, place="US", tenure="3-year").value == 3  # what does not serve the place comes last
    assert best(old, year, tenure="3-year").value == 1


def test_several_providers_before_one_of_the_same_quarter() -> None:
    index = rent(3, "DE", D(2026, 8, 1), quote="index")
    assert best(index, rent(4, "DE", D(2026, 10, 1))).value == 3
    assert best(index, rent(4, "DE", D(2026, 11, 15))).value == 4
    assert best(index, rent(2, "DE", D(2026, 11, 15), quote="marketplace")).value == 3


def test_hyperscalers_lists_come_after_all_others_that_serve_the_place() -> None:
    dear = rent(12, "DE", TODAY, quote="hyperscaler")
    assert best(dear, rent(4, "world", D(2025, 1, 1))).value == 4
    assert best(dear, rent(4, "US", TODAY)).value == 12


def test_the_users_own_price_comes_first() -> None:
    own = rent(9, "world", D(2020, 1, 1), "3-year", known="own")
    assert best(rent(2, "DE", TODAY), own).own
    assert not best(rent(2, "DE", TODAY), own, tenure="on-demand").own


def test_a_price_of_later_days_is_not_seen(catalog: Catalog) -> None:
    found = catalog.price("h200-sxm", "US", D(2025, 8, 15))
    assert all(price.date and price.date <= D(2025, 8, 15) for price in found)
    assert (found[0].tenure, found[0].date) == ("on-demand", D(2025, 7, 1))


def test_every_price_says_its_term_its_place_its_day_and_how_it_was_come_by(catalog: Catalog) -> None:
    rents = [price for chip in catalog.chips() for price in catalog.price(chip)]
    assert len(rents) > 400
    assert {price.tenure for price in rents} <= set(TENURES)
    assert {price.quote for price in rents} <= set(QUOTES)
    codes = load_rules().places.codes | set(REGIONS) | {"world"}
    assert all(price.date and price.place and set(price.place) <= codes for price in rents)
    assert all(price.low <= price.value <= price.high for price in rents)
    assert collections.Counter(price.quote for price in rents)["index"] > 150


def test_every_chip_with_a_rent_in_the_us_can_be_rented_on_demand_where_that_is_known(catalog: Catalog) -> None:
    for chip in catalog.chips():
        found = catalog.price(chip, "US", TODAY)
        serving = [price for price in found if price.match != "elsewhere"]
        if any(price.tenure == "on-demand" for price in serving):
            assert found[0].tenure in ("on-demand", "monthly")
