"""Lots that may be taken or left, and a budget: equal to brute force, moving the right way, kept by plan and policy."""

from __future__ import annotations

import datetime
import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_best import game
from test_money import LAB, SPEEDS

from tonnage.errors import InputError
from tonnage.fleet import launch, options
from tonnage.fleet.draws import PERIOD, SitePower
from tonnage.fleet.hindsight import best_day
from tonnage.fleet.optimum_case import CaseOptions, best_launch, lasting
from tonnage.fleet.options import cut, search
from tonnage.fleet.paid import run
from tonnage.fleet.programme import Lot
from tonnage.fleet.setting import SettledProgramme
from tonnage.fleet.uncertain import point
from tonnage.report.launch import answer
from tonnage.units import DAY, WEEK

SEEDS = st.integers(0, 100_000)
FREE = CaseOptions(in_order=False)


def signing(seed, most=4, chosen=False):
    """A random play of one draw with its lots: some optional, in units, with terms and notice, some owned; chosen:
    whether places may be tried in an order.
    """
    one, rng = game(seed), np.random.default_rng(seed + 5)
    said = tuple(
        replace(p, hold=np.array([100.0]) if p.hold is None else p.hold, chosen=chosen and p.chosen)
        for p in one.projects
    )  # what rounds hold where nothing is said grows with the lot
    world, values, lots = one.world, {}, []
    for column, name in enumerate(world.lots):
        there = np.flatnonzero(world.available[0, :, column])
        first, last = (int(there[0]), int(there[-1]) + 1) if there.size else (0, 1)
        leased, optional = bool(rng.random() < 0.7), bool(rng.random() < 0.6)
        count = math.ceil(world.available[0, :, column].max(initial=1.0))
        until = last if rng.random() < 0.5 else None
        key = f"fleet.{name}"
        values |= {f"{key}.from": world.start.toordinal() + 7.0 * first, f"{key}.lead": 0.0, f"{key}.spare": 0.0}
        values |= {f"{key}.count": float(count), f"{key}.until": world.start.toordinal() + 7.0 * last}
        lots.append(
            Lot(
                name, "h200-sxm", point(count), "rented" if leased else "owned", point(1.0), "", point(0),
                until=point(0) if until is not None else None, optional=optional,
                step=float(math.ceil(count / 2)) if rng.random() < 0.5 else None,
                term=max(0, last - first - int(rng.integers(1, most))) * WEEK,
                notice=float(rng.integers(0, 3)) * WEEK if rng.random() < 0.6 else None,
            )
        )  # fmt: skip
    world = replace(world, values={name: np.array([value]) for name, value in values.items()})
    return replace(one, world=world, projects=said), tuple(lots)


def searched(one, lots, budget=None):
    return search(one, lots, budget, lambda play, how: best_launch(play, how).last)[0]


# brute force


def paid_by_hand(one, lot, column, units, end, at):
    """[USD]: price x accelerators, day by day, until the launch and as long as the contract binds beyond it."""
    world = one.world
    there = world.available[0, :, column] * (units if lot.step is None else min(units * lot.step / lot.count.median, 1))
    if not there.any():
        return 0.0
    price, horizon = world.price[0, column], world.periods * PERIOD
    at = min(at * PERIOD, horizon)
    first = (world.values[f"fleet.{lot.name}.from"][0] - world.start.toordinal()) * DAY
    until = (world.values[f"fleet.{lot.name}.until"][0] - world.start.toordinal()) * DAY
    last = at
    if lot.tenure == "rented":
        free = max(first + lot.term, at + (lot.notice or 0.0)) if lot.term > 0 else at + (lot.notice or 0.0)
        last = free if lot.until is None else until if lot.notice is None else min(until, free)
    if end is not None:
        last = min(max(last, at), end * PERIOD)
    total = 0.0
    for period, count in enumerate(there):
        total += price * count * max(0.0, min((period + 1) * PERIOD, max(at, last) if end is None else last)
                                     - period * PERIOD)  # fmt: skip
    return total + price * there[-1] * max(0.0, last - max(at, horizon)) * (end is None)


def by_hand(one, lots, budget):
    """The earliest launch that keeps the budget, and the least cost at it: every way to take or leave every lot."""
    whole = lasting(one)
    ways = []
    for column, lot in enumerate(lots):
        there = np.flatnonzero(whole.world.available[0, :, column])
        if not there.size or not (lot.optional or (budget is not None and lot.tenure == "rented")):
            ways.append([(None, None)])
            continue
        first = (one.world.values[f"fleet.{lot.name}.from"][0] - one.world.start.toordinal()) * DAY
        leaves = lot.optional and lot.tenure == "rented" and (lot.until is None or lot.notice is not None)
        ends = [
            end
            for end in range(int(there[0]) + 1, min(int(there[-1]), one.world.periods) + 1)
            if leaves and end * PERIOD >= first + lot.term - 1
        ]
        count = 1 if lot.step is None or not lot.optional else math.ceil(lot.count.median / lot.step)
        ways.append([(0, None), *((n, end) for n in range(1, count + 1) for end in (*ends, None))])
    plans = []
    for chosen in itertools.product(*ways):
        available = whole.world.available.copy()
        for column, (units, end) in enumerate(chosen):
            lot = lots[column]
            if units is not None:
                available[0, :, column] *= units if lot.step is None else min(units * lot.step / lot.count.median, 1)
                if end is not None:
                    available[0, end:, column] = 0
        at = best_launch(replace(whole, world=replace(whole.world, available=available))).last
        if math.isfinite(at):
            plans.append((at, chosen))

    def cost(chosen, at):
        given = ((1 if units is None else units, end) for units, end in chosen)
        steps = [replace(lot, step=None) if units is None or not lot.optional else lot
                 for lot, (units, _) in zip(lots, chosen, strict=True)]  # fmt: skip
        return sum(paid_by_hand(one, lot, i, *way, at) for i, (lot, way) in enumerate(zip(steps, given, strict=True)))

    kept = [at for at, chosen in plans if budget is None or cost(chosen, at) <= budget * (1 + 1e-9)]
    if not kept:
        return math.inf, 0.0
    best = min(kept)
    return best, min(cost(chosen, best) for at, chosen in plans if at <= best + 1e-6)


@given(SEEDS, st.sampled_from([None, 0.3, 0.6, 0.9]))
@settings(max_examples=40, deadline=None)
def test_what_is_signed_for_is_that_of_brute_force(seed, share):
    one, lots = signing(seed, chosen=True)
    free = searched(one, lots)
    top = free.launch(free.tops)
    budget = None if share is None or math.isinf(top) else share * free.cost.total(free.tops, top) + 1.0
    found = searched(one, lots, budget)
    levels = found.soonest(budget)
    at, cost = by_hand(one, lots, budget)
    if levels is None:
        assert math.isinf(at)
        return
    launched = found.launch(levels)
    assert launched == pytest.approx(at, abs=1e-6)
    assert found.cost.total(found.cheapest(launched), launched) == pytest.approx(cost, rel=1e-6, abs=1e-3)
    assert found.proven


# which way it moves


@given(SEEDS)
@settings(max_examples=50, deadline=None)
def test_an_option_a_lower_price_more_or_earlier_is_never_later_nor_dearer(seed):
    one, lots = signing(seed, 12)
    if not any(lot.optional for lot in lots):
        return
    rng = np.random.default_rng(seed + 6)
    column = int(rng.choice([i for i, lot in enumerate(lots) if lot.optional]))
    lot, world = lots[column], one.world
    base = searched(one, lots)
    at = base.launch(base.tops)
    if math.isinf(at):
        return
    least = base.cost.total(base.cheapest(at), at)
    left = world.available.copy()
    left[0, :, column] = 0
    price = world.price.copy()
    price[0, column] *= rng.uniform(0.2, 1)
    values = {**world.values, f"fleet.{lot.name}.count": np.array([3 * lot.count.median])}
    units = replace(lot, step=lot.count.median / (2 if lot.step else 1))  # a last unit that is smaller would grow
    stepped = tuple(units if i == column else other for i, other in enumerate(lots))
    tripled = world.available.copy()
    tripled[0, :, column] *= 3
    stepwise = searched(one, stepped)
    for name, better, worse in (
        ("added", base, searched(replace(one, world=replace(world, available=left)), lots)),
        ("cheaper", searched(replace(one, world=replace(world, price=price)), lots), base),
        ("more", searched(replace(one, world=replace(world, available=tripled, values=values)), stepped), stepwise),
    ):
        then = worse.launch(worse.tops)
        assert better.launch(better.tops) <= then + 1e-6, name
        if math.isfinite(then):
            dear = worse.cost.total(worse.cheapest(then), then)
            assert better.cost.total(better.cheapest(then), then) <= dear * (1 + 1e-9) + 1e-6, name
    assert least <= base.cost.total(base.tops, at) * (1 + 1e-9)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_a_larger_budget_is_never_later_nor_dearer(seed):
    one, lots = signing(seed, chosen=True)
    free = searched(one, lots)
    top = free.launch(free.tops)
    if math.isinf(top):
        return
    most, ats = free.cost.total(free.tops, top), []
    for share in (0.2, 0.5, 0.8, 1.0):
        found = searched(one, lots, share * most)
        levels = found.soonest(share * most)
        ats.append(math.inf if levels is None else found.launch(levels))
        if levels is not None:
            assert found.cost.total(found.cheapest(ats[-1]), ats[-1]) <= share * most * (1 + 1e-6)
    assert all(later <= sooner + 1e-6 for sooner, later in itertools.pairwise(ats))
    assert ats[-1] <= top + 1e-6


# the policy within the same caps


@given(SEEDS, st.floats(0.2, 1.0))
@settings(max_examples=60, deadline=None)
def test_the_policy_is_never_ahead_within_a_budget(seed, share):
    one, lots = signing(seed, chosen=True)
    lots = tuple(replace(lot, optional=False, step=None) for lot in lots)
    free = searched(one, lots)
    top = free.launch(free.tops)
    if math.isinf(top):
        return
    budget = share * free.cost.total(free.tops, top)
    setting = Bare(lots, budget)
    found = run(setting, one).result
    policy = found.launch[-1][0] / DAY
    assert math.isinf(policy) or best_day(one, found.launch, lots, budget) <= policy + 1e-4


class Bare(SettledProgramme):
    """A setting with lots and a budget alone, the last lot the dearest."""

    def __init__(self, lots, budget):
        from types import SimpleNamespace

        object.__setattr__(self, "programme", SimpleNamespace(lots=lots, budget=budget))
        object.__setattr__(self, "serving", {})
        object.__setattr__(self, "training", {})


@given(SEEDS, st.floats(0.1, 0.9))
@settings(max_examples=40, deadline=None)
def test_the_policy_is_never_ahead_within_the_power_of_the_site(seed, share):
    one = game(seed)
    rng = np.random.default_rng(seed + 3)
    each = rng.uniform(500, 1500, len(one.world.lots))
    cap = share * float((one.world.available[0] * each).sum(axis=1).max())
    order = tuple(int(i) for i in rng.permutation(len(each)))
    site = SitePower(cap, each, order, one.world.available)
    lit = replace(one, world=replace(one.world, site=site).with_lots(one.world.available))
    assert (lit.world.available[0] @ each).max() <= cap * (1 + 1e-9)
    result = lit.run()
    policy = result.launch[-1][0] / DAY
    assert math.isinf(policy) or best_day(lit, result.launch) <= policy + 1e-4


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_more_of_a_lot_or_more_power_is_never_later(seed):
    one = game(seed)
    said = tuple(replace(p, hold=np.array([100.0]), chosen=False) for p in one.projects)
    each = np.random.default_rng(seed).uniform(500, 1500, len(one.world.lots))
    most = float((one.world.available[0] * each).sum(axis=1).max())

    def at(share, factor=1.0):
        there = lasting(one).world.available.copy()
        there[0, :, -1] *= factor
        site = SitePower(share * most, each, tuple(range(len(each))), there)
        world = replace(lasting(one).world, site=site).with_lots(there)
        return best_launch(replace(one, projects=said, world=world)).last

    assert at(0.6) <= at(0.4) + 1e-6
    assert at(0.4, 1.5) <= at(0.4) + 1e-6


# a programme


LAB = LAB.replace("2T tokens", "20T tokens").replace("18 months", "3 years").replace("try: [a, b]", "try: [h100-sxm]")
LAB = LAB.replace(", until: 2026-12-28", "").replace("a: 100 %, b: 100 %", "h100-sxm: 100 %")
LAB = "\n".join(line for line in LAB.splitlines() if "lot: b" not in line)
MORE = LAB.replace(
    "models:",
    "  - {lot: more, chip: h100-sxm, count: 1024, price: $2.5/h, from: 2026-05-04, term: 8 weeks, notice: 0 days,"
    " optional: yes, step: 256}\nmodels:",
)


@pytest.fixture
def plan(programme, catalog, written):
    def make(text=MORE, by=None, **sets):
        speeds = written(**SPEEDS, wide=1.0)
        return launch(programme(text, **sets), catalog, draws=20, planner=speeds, what_if=False, by=by)

    return make


def test_an_option_is_taken_if_it_makes_the_launch_earlier_and_left_when_it_is_done(plan):
    found, without = plan(), plan(LAB)
    (option,) = found.base.best.options
    assert option.taken and option.count == 1024 and found.base.best.launch < without.base.best.launch
    assert option.days == pytest.approx((without.base.best.launch - found.base.best.launch).days, abs=1)
    assert option.start == datetime.date(2026, 5, 4) and option.end == found.base.best.launch
    early = plan(models__new__good_enough__rounds="2", models__new__good_enough__each="4 weeks",
                 models__new__good_enough__hold="512").base.best  # fmt: skip
    assert early.options[0].end is not None and early.options[0].end < early.launch - datetime.timedelta(days=40)
    weeks = (found.base.best.launch - option.start).days / 7
    assert option.cost == pytest.approx(1024 * 2.5 * 24 * 7 * weeks, rel=0.02)
    text = " ".join(text for _, text in answer(found).rows)
    assert "leases 1,024 of more (h100-sxm) from 2026-05-04" in text and "without it" in text
    assert {use.lot for use in found.spans} >= {"more"}
    assert found.launch.p50 < without.launch.p50


def test_an_option_that_brings_nothing_is_left_and_is_not_in_the_draws(plan):
    late = plan(fleet__more__from="2028-12-01")
    (option,) = late.base.best.options
    assert not option.taken and option.days == pytest.approx(0.0) and "no earlier" in option.text
    assert "more" not in {use.lot for use in late.spans}
    assert late.money.by_lot[1].total == 0


def test_a_budget_takes_part_of_an_option_or_says_what_all_of_it_would_bring(plan):
    free = plan()
    base = plan(LAB)
    room = base.base.best.signed + 0.5 * (free.base.best.signed - base.base.best.signed)
    part = plan(budget=f"${room:.0f}")
    (option,) = part.base.best.options
    assert option.taken and option.count in (256, 512, 768)
    assert part.base.best.signed <= room and part.base.best.not_kept == ()
    assert free.base.best.launch < part.base.best.launch < base.base.best.launch
    budget = next(limit for limit in part.base.best.limits if limit.kind == "budget")
    assert budget.days > 0 and "the budget of" in budget.text
    whole = plan(MORE.replace(", step: 256", "").replace("notice: 0 days", "until: 2028-01-03"), budget=f"${room:.0f}")
    (left,) = whole.base.best.options
    assert not left.taken and "would bring it" in left.text and left.days > 0
    body = json.loads(json.dumps(part.to_json()))["optimum"]
    assert body["signed_for"] == part.base.best.signed and body["options"][0]["accelerators"] == option.count


def test_the_cheapest_launch_by_a_date_leaves_an_option_that_it_does_not_need(plan):
    without = plan(LAB).base.best.launch
    by = plan(by=without + datetime.timedelta(days=3)).base.best.by
    assert by.launches and not by.options[0].taken and by.options[0].days > 0
    soon = plan(by=plan().base.best.launch + datetime.timedelta(days=1)).base.best.by
    assert soon.launches and soon.options[0].taken and soon.signed > 0
    rows = dict(answer(plan(by=soon.date)).rows)
    assert "options taken: more" in rows[f"by {soon.date}"]


def test_lease_or_buy_is_decided_by_cost_where_both_are_in_time(plan):
    """The same chips on the same day, rented for eight weeks or bought: the lease is cheaper, and taken."""
    bought = MORE.replace(
        "models:",
        "  - {lot: own, chip: h100-sxm, count: 1024, tenure: owned, purchase: $30000, from: 2026-03-01, lead: 64 days,"
        " optional: yes}\nmodels:",
    ).replace("try: [h100-sxm]", "try: [h100-sxm], at_most: 3072")
    more, own = plan(bought).base.best.options
    assert more.taken and not own.taken and "buying" not in more.text
    dear = bought.replace("$2.5/h", "$90/h")
    more, own = plan(dear).base.best.options
    assert own.taken and not more.taken and own.text.startswith("buys 1,024 of own")


def test_bad_options_are_refused_with_their_place(programme):
    for change, said in (
        ({"fleet__a__step": "64"}, "not optional"),
        ({"fleet__more__optional": "perhaps"}, "not one of yes, no"),
        ({"fleet__more__step": "0.5"}, "step"),
    ):
        with pytest.raises(InputError, match=said):
            programme(MORE, **change)
    with pytest.raises(InputError, match="lot in hand"):
        programme(LAB.replace("from: 2026-04-06", "optional: yes"))


def test_all_of_every_lot_is_the_play_as_it_was(plan):
    one, lots = signing(4)
    found = searched(one, lots)
    assert cut(lasting(one), found.cost.found, found.tops).world.available is not None
    assert found.launch(found.tops) == best_launch(lasting(one), FREE).last


@given(SEEDS, st.floats(0.3, 1.0))
@settings(max_examples=25, deadline=None)
def test_a_search_that_is_cut_short_keeps_the_budget_and_says_so(seed, share):
    one, lots = signing(seed, 12)
    free = searched(one, lots)
    top = free.launch(free.tops)
    if math.isinf(top):
        return
    budget = share * free.cost.total(free.tops, top)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options, "MOST_ASKED", -1)
        found = searched(one, lots, budget)
        levels = found.soonest(budget)
        if levels is not None:
            at = found.launch(levels)
            lower = found.lowered(levels, at)
            assert found.cost.total(lower, at) <= found.cost.total(levels, at) <= budget * (1 + 1e-6)
            assert found.launch(lower) <= at + 1e-6
        assert not found.proven or levels == found.tops or levels is None
    exact = searched(one, lots, budget)
    best = exact.soonest(budget)
    assert levels is None or (best is not None and exact.launch(best) <= at + 1e-6)


def test_with_nothing_to_decide_the_launch_is_asked_for_once():
    """The bound without the order of places decides nothing where no lot may be left."""
    from tonnage.fleet.options import SignedCost, SignSearch

    asked = []
    search = SignSearch(lambda levels: asked.append(levels) or 5.0, SignedCost(None, (), ()), lambda _: 1 / 0)
    assert search.soonest(None) == () and search.cheapest(5.0) == () and search.cheapest(4.0) is None
    assert asked == [()]
    assert SignSearch(lambda _: float("inf"), SignedCost(None, (), ())).soonest(None) is None
