"""What owning costs, by hand; every chip with a market has a price; one set of bounds for prices."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import pytest

from tonnage.catalog import Catalog, load
from tonnage.catalog.limits import RENT, price_limit
from tonnage.catalog.owning import AROUND, FACILITY_POWER, HOUSING, hourly, owned, purchase, running
from tonnage.errors import InputError, MissingFact
from tonnage.system import accelerator
from tonnage.units import HOUR, YEAR

D = datetime.date
TODAY = D(2026, 11, 29)
MARKETS = {"sold", "rented", "ended", "captive", "announced", "never"}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


def test_owning_is_wear_power_and_housing() -> None:
    """A card of $14,600 that keeps a tenth after four years wears at $0.375 an hour; $0.10 to run it."""
    assert hourly(14_600.0, 0.10 / HOUR) * HOUR == pytest.approx(14_600 * 0.9 / (4 * YEAR / HOUR) + 0.10)
    assert hourly(0.0, 2.0) == 2.0
    assert hourly(100.0, 0.0, life=100.0, resale=0.0) == 1.0


def test_an_ascend_910c_in_china_by_hand(catalog: Catalog) -> None:
    """142,500 CNY at 7.12; 700 W twice over at $0.099/kWh, housed at $217.30 a kW and month."""
    found = owned(catalog, "ascend-910c", "CN", TODAY)[0]
    wear = 142_500 / 7.12 * AROUND * 0.9 / (4 * YEAR)
    watts = 700 * FACILITY_POWER
    assert found.value == pytest.approx(wear + watts * (0.099 / 3.6e6 + HOUSING), rel=2e-3)
    assert (found.tenure, found.match, found.place, found.date) == ("owned", "here", ("CN",), D(2025, 5, 1))
    assert {"ascend-910c/power"} < {found.fact, *found.more}
    for word in ("142k CNY", "prices-dzcnc-may-2025", "assumed", "4 years", "10 %", "/kWh", "housing"):
        assert word in found.basis


def test_the_latest_purchase_known_on_the_day_that_holds_at_the_place(catalog: Catalog) -> None:
    def bought(day: D, place: str | None = "CN", *, anywhere: bool = False) -> str | None:
        found = purchase(catalog, "ascend-910b", place, day, anywhere=anywhere)
        return None if found is None else found.fact.id

    assert bought(D(2025, 3, 1)) == "ascend-910b/price.purchase@2023"
    assert bought(D(2025, 6, 1)) == "ascend-910b/price.purchase.cny@2025-05"
    assert bought(D(2022, 1, 1)) is None
    assert bought(TODAY, "DE") is None
    assert bought(TODAY, "DE", anywhere=True) == "ascend-910b/price.purchase.cny@2025-05"


def test_a_board_of_eight_is_eight_and_a_server_brings_its_own(catalog: Catalog) -> None:
    board = purchase(catalog, "h20-141gb", "CN", TODAY)
    assert board is not None
    assert board.value == pytest.approx(1_050_000 / 7.12 / 8 * AROUND)
    server = purchase(catalog, "b300-sxm", "US", TODAY)
    assert server is not None
    assert server.value == pytest.approx(500_000 / 8)


def test_what_is_not_known_of_running_is_said(catalog: Catalog) -> None:
    assert "power unknown" in running(catalog, "h20-141gb", "CN", TODAY).text
    assert running(catalog, "h20-141gb", "CN", TODAY).value == 0.0
    dear = running(catalog, "h100-sxm", None, TODAY, power_price=1.0 / 3.6e6, hosting=0.0)
    assert dear.value * HOUR == pytest.approx(1.4)


def test_what_is_published_comes_before_what_is_computed(catalog: Catalog) -> None:
    costs = owned(catalog, "h100-sxm", "US", TODAY)
    assert (costs[0].source, costs[-1].source) == ("inferencex-constants", "computed")
    assert owned(catalog, "enflame-l600", "CN", TODAY) == ()
    assert "power unknown" in owned(catalog, "mi308x", "CN", TODAY)[0].basis


def test_every_chip_says_whether_it_has_a_market(catalog: Catalog) -> None:
    assert {catalog.fact(chip, "market").text for chip in catalog.chips()} == MARKETS


def plannable(catalog: Catalog, chip: str) -> bool:
    try:
        accelerator(chip, catalog)
    except MissingFact:
        return False
    return True


def unpriced(catalog: Catalog, markets: set[str]) -> list[str]:
    """Chips that can be planned on, of these markets, without a source of nine months or a cost of owning."""
    found = []
    for chip in catalog.chips():
        ages = [price.age for price in catalog.price(chip, None, TODAY) if price.age is not None]
        fresh = min(ages, default=10**6) <= 274
        if catalog.fact(chip, "market").text in markets and plannable(catalog, chip):
            found += [] if fresh or owned(catalog, chip, None, TODAY) else [chip]
    return found


def test_every_chip_with_a_market_has_a_price_of_nine_months_or_a_cost_of_owning(catalog: Catalog) -> None:
    assert unpriced(catalog, {"sold", "rented"}) == []


def test_what_is_no_longer_made_and_still_priced_is_what_people_use(catalog: Catalog) -> None:
    """The other end of the same count: it can fail, and does for old chips that nobody offers."""
    left = unpriced(catalog, {"ended"})
    assert {"mi210", "a800-pcie", "br100"} <= set(left)
    assert not {"rtx-3090", "t4", "a10", "a30", "a40", "a6000", "rtx-4090", "v100-sxm2-32gb", "mi250x"} & set(left)


@pytest.mark.parametrize("chip", ["gaudi3", "ascend-950pr", "kunlun-p800", "dgx-spark", "trainium3", "tpu-v7"])
def test_a_buyer_finds_a_price(catalog: Catalog, chip: str) -> None:
    assert [*catalog.price(chip, None, TODAY), *owned(catalog, chip, None, TODAY)]


def test_a_price_has_the_same_bounds_wherever_it_is_said() -> None:
    for attribute in ("price.rental", "price.owning"):
        assert replace(price_limit(attribute, "USD/accelerator-s")) == RENT
    assert price_limit("price.purchase", "USD").low > 0
    for value in (0.0, -1.0, 1e30):
        with pytest.raises(ValueError, match=r"not between|more than nothing"):
            RENT.check(value)


@pytest.mark.parametrize(
    ("attribute", "value", "unit"),
    [
        ("price.rental", "-1", "USD/h"),
        ("price.rental", "0", "USD/h"),
        ("price.rental", "1e30", "USD/h"),
        ("price.purchase", "-5", "USD"),
    ],
)
def test_an_overlay_is_held_to_them(tmp_path: Path, attribute: str, value: str, unit: str) -> None:
    (tmp_path / "sources.csv").write_text("key,title,url,via,licence,known\nq,Quotation,,,,\n")
    head = "entity,attribute,value,unit,low,high,source,locator,retrieved,date,kind,note,place,tenure\n"
    (tmp_path / "prices.csv").write_text(f"{head}h100-sxm,{attribute},{value},{unit},,,q,,,,press,,DE,on-demand\n")
    with pytest.raises(InputError, match=r"prices\.csv:2:3"):
        load(tmp_path)


def test_every_chip_that_has_a_buyer_has_a_price(catalog: Catalog) -> None:
    """Whether it can be planned on or not: a source of nine months at most, or a cost of owning."""
    left = []
    for chip in catalog.chips():
        ages = [price.age for price in catalog.price(chip, None, TODAY) if price.age is not None]
        fresh = bool(ages) and min(ages) <= 274
        has_buyer = catalog.fact(chip, "market").text in ("sold", "rented")
        if has_buyer and not fresh and not owned(catalog, chip, None, TODAY):
            left.append(chip)
    assert left == []


@pytest.mark.parametrize("chip", ["thead-m890", "metax-c600", "br166", "wse-3", "mi308x", "a800-sxm-80gb"])
def test_a_price_that_is_assumed_says_so(catalog: Catalog, chip: str) -> None:
    prices = (*catalog.price(chip, None, TODAY), *owned(catalog, chip, None, TODAY))
    assert [price.quote for price in prices[:1]] == ["assumed"]
