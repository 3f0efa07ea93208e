"""Properties for any chip: more of a controlled quantity is never less controlled; margins agree with verdicts."""

from __future__ import annotations

import dataclasses
import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage.law import ChipTraits, classify, rule_book, tpp
from tonnage.law.criteria import holds
from tonnage.law.data import AllOf, AnyOf, Clause, Not

SEVERITY = ("free", "unverified", "exception", "approval", "case-by-case", "licence", "denied")
EDGES = sorted({rule.acts_from for rule in rule_book().rules} | {datetime.date(2021, 1, 1), datetime.date(2026, 11, 1)})

dates = st.sampled_from(EDGES)
places = st.sampled_from(["CN", "HK", "AE", "RU", "SG", "JP", "US"])
homes = st.sampled_from([None, "CN", "US", "AE"])
chips = st.builds(
    lambda fp8, fp16, area, bandwidth, link, datacentre: ChipTraits(
        "any",
        rates=(("fp8", fp8 * 1e12), ("fp16", fp16 * 1e12)),
        die_area_mm2=area,
        bandwidth=bandwidth * 1e9,
        link=link * 1e9,
        datacentre=datacentre,
        designed_in="US",
    ),
    st.floats(1, 5000),
    st.floats(1, 2500),
    st.floats(50, 3000),
    st.floats(50, 10000),
    st.floats(0, 1000),
    st.booleans(),
)


def rank(chip: ChipTraits, date: datetime.date, place: str, home: str | None) -> tuple[int, int]:
    """What a chip needs for sure, and what it may need, by severity. An exception beside a letter that is only reported
    is `unverified`: the exception is sure, and a licence may be needed.
    """
    found = classify(chip, date, place, home)
    sure = max((SEVERITY.index(one.status) for one in found.controlling if one.applies), default=0)
    may = max((SEVERITY.index(one.status) for one in found.controlling if one.applies is None), default=0)
    assert found.status == "unverified" or sure == SEVERITY.index(found.status)
    return sure, max(sure, may)


@settings(max_examples=150, deadline=None)
@given(chips, dates, places, homes, st.floats(1, 10), st.sampled_from(["rates", "bandwidth", "link", "die_area_mm2"]))
def test_more_is_never_less_controlled(
    chip: ChipTraits, date: datetime.date, place: str, home: str | None, factor: float, what: str
) -> None:
    if what == "rates":
        more = dataclasses.replace(chip, rates=tuple((name, rate * factor) for name, rate in chip.rates))
    elif what == "die_area_mm2":
        more = dataclasses.replace(chip, die_area_mm2=(chip.die_area_mm2 or 1) / factor)
    else:
        more = dataclasses.replace(chip, **{what: getattr(chip, what) * factor})
    (sure, may), (sure_more, may_more) = rank(chip, date, place, home), rank(more, date, place, home)
    assert sure_more >= sure and may_more >= may


@settings(max_examples=150, deadline=None)
@given(chips, dates, places, homes, st.sampled_from(["rates", "die_area_mm2"]))
def test_hiding_a_fact_never_frees_a_chip_in_silence(
    chip: ChipTraits, date: datetime.date, place: str, home: str | None, what: str
) -> None:
    hidden = dataclasses.replace(chip, **{what: () if what == "rates" else None})
    full = classify(chip, date, place, home).status
    found = classify(hidden, date, place, home)
    said = any("not known" in text for text in found.could_not_verify)
    assert found.status != "free" or full == "free" or said


@settings(max_examples=150, deadline=None)
@given(chips, dates, places, homes)
def test_the_sign_of_a_margin_agrees_with_the_verdict(
    chip: ChipTraits, date: datetime.date, place: str, home: str | None
) -> None:
    found = classify(chip, date, place, home)
    for margin in found.margins:
        assert margin.margin is not None
        assert margin.holds is (margin.margin >= 0 if "=" in margin.op else margin.margin > 0)
    for finding in found.findings:
        own = {(m.metric, m.op, m.threshold): m.holds for m in finding.margins if m.rule == finding.rule}
        if finding.rule == "us_2023_10_17" and finding.paragraph == "3A090.a" and chip.datacentre:
            dense = own["tpp", ">=", 1600] and own["performance_density", ">=", 5.92]
            assert finding.applies is bool(own["tpp", ">=", 4800] or dense)
        if finding.review == "us_2026_01_15_case_by_case":
            assert all(m.holds for m in finding.margins if m.rule == finding.review)


@settings(max_examples=100, deadline=None)
@given(chips, dates, places, homes)
def test_a_chip_for_the_home_market_needs_no_export_licence(
    chip: ChipTraits, date: datetime.date, place: str, home: str | None
) -> None:
    assert classify(chip, date, "US", home).status == "free"
    assert not classify(dataclasses.replace(chip, designed_in="CN"), date, "CN").licence_needed


@settings(max_examples=100, deadline=None)
@given(chips, st.floats(0.1, 20))
def test_tpp_scales_with_rate_and_not_with_the_order_of_precisions(chip: ChipTraits, factor: float) -> None:
    total = tpp(chip)
    assert total is not None
    scaled = dataclasses.replace(chip, rates=tuple((name, rate * factor) for name, rate in reversed(chip.rates)))
    assert abs((tpp(scaled) or 0) / (total * factor) - 1) < 1e-5
    tf32 = dataclasses.replace(chip, rates=(*chip.rates, ("tf32", 1e18)))
    assert tpp(tf32) == total


def test_three_valued_logic() -> None:
    unknown = ChipTraits("u")
    high, low = Clause("tpp", ">=", 1), Clause("performance_density", ">=", 1)
    known = ChipTraits("k", rates=(("fp8", 1e12),))
    assert holds(high, unknown) is None
    assert holds(Not(high), unknown) is None
    assert holds(AnyOf((high, low)), known) is True  # density unknown, but one part suffices
    assert holds(AllOf((high, low)), known) is None
    assert holds(AllOf((Not(high), low)), known) is False
    assert holds(AnyOf((Not(high), low)), known) is None
