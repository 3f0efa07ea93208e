"""Money as it is paid: leases from their first to their last day, idle time, what is owned, caps, and where prices are
from.
"""

from dataclasses import replace

import pytest

from tonnage.errors import InputError
from tonnage.fleet import launch
from tonnage.report.launch import answer

HOUR = 3600.0
LAB = """
name: lab
start: 2026-02-02
horizon: 18 months
place: US
fleet:
  - {lot: a, chip: h100-sxm, count: 2048, price: $2/h, from: 2026-04-06, until: 2026-12-28}
  - {lot: b, chip: h200-sxm, count: 1024, price: $3/h, from: 2026-06-01}
models:
  new:
    model: llama-3.1-70b
    train: {stages: [{pretrain: 2T tokens}], try: [a, b]}
rules: as-of
assumptions: {slip: 1, readiness: {a: 100 %, b: 100 %}}
"""
IDLE = LAB.replace("models:", "  - {lot: c, chip: h200-sxm, count: 2048, price: $3/h, from: 2026-04-06}\nmodels:", 1)
SPEEDS = {"train": {"h100-sxm": 300.0, "h200-sxm": 350.0}}


@pytest.fixture
def plan(programme, catalog, written):
    def play(text=LAB, draws=20, **sets):
        return launch(programme(text, **sets), catalog, draws=draws, planner=written(**SPEEDS, wide=1.0), what_if=False)

    return play


def days_to(plan):
    return plan.days[0]


def lot(plan, name):
    return next(found for found in plan.money.by_lot if found.lot == name)


def test_a_lease_is_paid_from_its_first_day_used_or_not(plan):
    found = plan()
    days = days_to(found)
    held = 2048 * (days - 63) * 24 * 2
    assert lot(found, "a").total == pytest.approx(held, rel=0.02)
    assert lot(found, "a").training == pytest.approx(found.cost.p50)


def test_idle_accelerators_cost_their_hours_times_their_price(plan):
    without, with_idle = plan(), plan(IDLE)
    assert with_idle.launch == without.launch
    added = with_idle.money.total.p50 - without.money.total.p50
    hours = (days_to(without) - 63) * 24
    assert added == pytest.approx(2048 * hours * 3, rel=0.02)
    assert lot(with_idle, "c").idle == pytest.approx(added)
    assert with_idle.cost == without.cost


def test_a_longer_lease_costs_more(plan):
    first, longer = plan(), plan(fleet__a__until="2027-07-26")
    assert longer.launch == first.launch
    assert longer.money.total == first.money.total
    assert longer.money.committed.p50 - first.money.committed.p50 == pytest.approx(2048 * 24 * 2 * 210, rel=1e-3)


def test_notice_and_term_say_when_a_lease_can_be_left(plan):
    bound, week = plan(), plan(fleet__a__notice="1 week")
    assert week.money.committed.p50 == pytest.approx(2048 * 7 * 24 * 2, rel=1e-6)
    assert bound.money.committed.p50 > week.money.committed.p50
    term = plan(fleet__a__notice="1 week", fleet__a__term="6 months")
    assert week.money.committed.p50 < term.money.committed.p50 < bound.money.committed.p50


def test_a_lease_without_a_last_day_can_be_left_at_once_unless_it_has_a_term(plan):
    assert lot(plan(fleet__a__notice="0 days"), "b").committed == 0
    year = plan(fleet__b__from="2026-03-02", fleet__b__term="1 year")
    left = 365.25 - (days_to(year) - 28)
    assert lot(year, "b").committed == pytest.approx(1024 * left * 24 * 3, rel=0.01)


@pytest.mark.parametrize("change", [{"fleet__a__price": "$1/h"}, {"fleet__b__price": "$1/h"}])
def test_a_lower_price_is_never_dearer(plan, change):
    assert plan(**change).money.whole <= plan().money.whole


def test_parts_add_up_to_what_is_paid(plan, written, programme, catalog):
    found = launch(programme(), catalog, draws=40, planner=written(**STORY_SPEEDS), what_if=False)
    for part in found.money.by_lot:
        assert part.total == pytest.approx(part.training + part.service + part.idle)
    assert found.money.total.p10 <= found.money.total.p50 <= found.money.total.p90
    assert found.to_json()["cost"]["by_lot"][0]["total"] > 0


STORY_SPEEDS = {
    "serve": {"h800-sxm": 0.8, "h20-96gb": 0.3, "ascend-910c": 0.6},
    "train": {"h800-sxm": 900.0, "h20-96gb": 150.0, "ascend-910c": 600.0},
}


# what is owned


def test_what_is_owned_costs_its_purchase_power_and_housing(plan):
    keys = {"purchase": "$40,000", "life": "4 years", "resale": "0 %", "power_price": "$0.1/kWh", "hosting": "$0.2/h"}
    text = LAB.replace("price: $2/h, from: 2026-04-06, until: 2026-12-28", "tenure: owned")
    found = plan(text, **{f"fleet__a__{key}": value for key, value in keys.items()})
    hourly = 40_000 / (4 * 8766) + 700 * 2 / 1000 * 0.1 + 0.2
    assert found.money.by_lot[0].total == pytest.approx(2048 * days_to(found) * 24 * hourly, rel=0.01)
    assert found.money.by_lot[0].committed == 0


def test_what_is_bought_for_the_plan_is_not_written_off_at_the_launch(plan):
    text = LAB.replace("price: $2/h, from: 2026-04-06, until: 2026-12-28", "tenure: owned, from: 2026-02-02")
    keys = {"purchase": "$40,000", "life": "4 years", "resale": "20 %", "lead": "9 weeks"}
    found = plan(text, **{f"fleet__a__{key}": value for key, value in keys.items()})
    left = 4 * 365.25 - (days_to(found) - 63)
    assert found.money.by_lot[0].committed == pytest.approx(2048 * 32_000 * left / (4 * 365.25), rel=1e-6)
    assert found.launch == plan().launch


def test_nothing_that_is_owned_is_free(programme):
    text = LAB.replace("price: $2/h, from: 2026-04-06, until: 2026-12-28", "tenure: owned")
    lots = programme(text).lots
    assert lots[0].price.median * HOUR > 0.5
    assert lots[0].quotes[0].what in ("owning", "purchase")


# where prices are from


def test_a_european_lot_has_a_european_price(programme):
    text = LAB.replace("place: US", "place: DE").replace("2026-", "2027-").replace("price: $3/h, ", "")
    found = programme(text).lots[1]
    assert found.quotes[0].term == "on-demand"
    assert "EU" in found.quotes[0].place


def test_a_lease_of_a_year_is_priced_by_the_year(programme):
    text = LAB.replace("price: $2/h, ", "").replace("2026-", "2027-")
    assert programme(text).lots[0].quotes[0].term == "on-demand"
    assert programme(text, fleet__a__until="2028-06-01").lots[0].quotes[0].term == "1-year"
    assert programme(text, fleet__a__term="1-year").lots[0].quotes[0].term == "1-year"


def test_every_price_is_printed_with_term_place_date_and_source(plan):
    text = LAB.replace("price: $2/h, ", "").replace("2026-", "2027-")
    found = plan(text)
    table = next(table for table in answer(found).tables if table.title == "prices")
    quote = found.money.quotes[0]
    assert table.rows[0][3:7] == (quote.term, " ".join(quote.place), str(quote.date), quote.source)
    assert all(table.rows[0][3:7])
    assert found.to_json()["prices"][0]["source"] == quote.source


def test_keys_of_a_lease_are_refused_for_what_is_owned(programme):
    with pytest.raises(InputError, match="says nothing of an owned lot"):
        programme(LAB, fleet__a__tenure="owned", fleet__a__term="1 year")
    with pytest.raises(InputError, match="says nothing of a rented lot"):
        programme(LAB, fleet__a__purchase="$30,000")
    with pytest.raises(InputError, match='did you mean "on-demand"'):
        programme(LAB, fleet__a__term="on-demnd")


# caps


def test_a_budget_leaves_away_what_is_not_needed(plan):
    free = plan(IDLE)
    bound = plan(IDLE, budget=f"${plan().money.whole * 1.1:.0f}")
    assert bound.launch == free.launch
    assert dict(bound.money.not_leased) == {"c": 1.0}
    assert bound.money.whole < free.money.whole


def test_a_budget_that_is_too_small_is_named(plan):
    found = plan(budget="$100,000")
    assert not found.outcome.feasible
    assert found.outcome.binds[0].what == "budget"
    assert "more than the budget of $100k" in found.outcome.binds[0].text


def test_a_larger_budget_is_never_later(plan):
    budgets = [1e6, 5e6, 1e7, 3e7, 1e8]
    chances = [plan(IDLE, budget=f"${budget:.0f}").probability for budget in budgets]
    assert chances == sorted(chances)
    assert (chances[0], chances[-1]) == (0, 1)


def test_a_site_has_only_its_power(plan):
    free, bound = plan(), plan(power="1.4336 MW")
    used = max(use.accelerators for use in bound.timeline)
    assert used <= 1024
    assert days_to(bound) > days_to(free)


@pytest.mark.parametrize("price", ["$-2/h", "$0/h", "$1e30/h"])
def test_a_price_is_refused_by_the_bounds_of_everywhere(programme, price):
    with pytest.raises(InputError, match="price"):
        programme(LAB.replace("price: $2/h", f"price: {price}", 1))


def test_a_lot_in_the_eu_has_its_prices_and_says_whose_rules(programme):
    text = LAB.replace("place: US", "place: EU").replace("price: $3/h, ", "")
    read = programme(text)
    assert read.place == "DE"
    assert any("prices of EU; rules as in DE" in note for note in read.notes)
    assert read.lots[1].quotes[0].place in (("EU",), ("US", "EU"))
    alike = programme(text.replace("place: EU", "place: DE"))
    said = [[replace(quote, basis="") for quote in one.lots[1].quotes] for one in (alike, read)]
    assert said[0] == said[1]
    assert not any("rules as in" in note for note in alike.notes)


def test_a_rented_lot_without_a_known_rent_costs_what_owning_does(programme):
    text = (
        LAB.replace("place: US", "place: CN")
        .replace("chip: h200-sxm", "chip: ascend-910c")
        .replace("price: $3/h, ", "")
    )
    lot = programme(text).lots[1]
    what = {quote.what: quote for quote in lot.quotes}
    assert set(what) == {"purchase", "owning"}
    assert what["owning"].basis.startswith("what owning costs, in place of a rent, which is not known")
    assert what["purchase"].place == ("CN",)
    assert 0.8 < lot.price.median * HOUR < 1.8
    abroad = programme(text.replace("place: CN", "place: DE")).lots[1]
    assert [quote.place for quote in abroad.quotes if quote.what == "purchase"] == [("CN",)]


def test_names_of_several_products_are_said_once(programme):
    read = programme(LAB.replace("h100-sxm", "h100").replace("h200-sxm", "h200"))
    assert [note for note in read.notes if note.startswith("read:")] == ['read: "h100" as h100-sxm, "h200" as h200-sxm']
