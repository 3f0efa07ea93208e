"""Thresholds moved just so far, fees on record, and designs within the limits."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_law_properties import chips, dates, homes, places

from tonnage.catalog import load
from tonnage.law import (
    Arrivals,
    ChipTraits,
    RuleBook,
    Shares,
    classify,
    designed,
    known_fee,
    lawful,
    lawful_designs,
    least_moves,
    limits_above,
    limits_met,
    moves_text,
    rule_book,
    tpp,
    traits,
)
from tonnage.law.moves import above, moved

DATE = datetime.date
BOOK = rule_book()
RULE_2023 = "us_2023_10_17"
LETTER = "us_2025_04_09_h20_letter"


def catches(rule: str, coming: Arrivals, book: RuleBook) -> bool:
    found = [finding for verdict in coming.under(book) for finding in verdict.findings]
    return any(finding.rule == rule and finding.applies is not False for finding in found)


def about(name: str) -> ChipTraits:
    return traits(name, load())


# ---------------------------------------------------------------- thresholds


def test_the_thresholds_that_would_free_h100() -> None:
    moves = least_moves(RULE_2023, Arrivals((about("h100-sxm"),), DATE(2024, 1, 1), "CN"), BOOK)
    assert {(move.metric, move.old, move.new) for move in moves} == {("tpp", 4800, 15840), ("tpp", 1600, 15840)}
    assert moves_text(moves) == "TPP at 15,840 TOPS x bit instead of 4,800 and 1,600"


def test_no_threshold_frees_what_a_rule_names_and_none_has_to_move_for_what_it_does_not_catch() -> None:
    day = DATE(2025, 5, 1)
    assert least_moves(LETTER, Arrivals((about("h20-96gb"),), day, "CN"), BOOK) == ()
    assert least_moves(LETTER, Arrivals((about("h200-sxm"), about("h20-96gb")), day, "CN"), BOOK) == ()
    assert least_moves(LETTER, Arrivals((about("h200-sxm"),), day, "CN"), BOOK)
    assert least_moves(RULE_2023, Arrivals((about("h20-96gb"),), day, "CN"), BOOK) == ()
    assert least_moves("no_such_rule", Arrivals((about("h100-sxm"),), day, "CN"), BOOK) == ()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(chips, min_size=1, max_size=2),
    st.sampled_from([("us_2022_10_07", DATE(2023, 1, 15)), (RULE_2023, DATE(2024, 1, 1)), (LETTER, DATE(2025, 5, 1))]),
)
def test_moved_thresholds_free_every_chip_and_fewer_do_not(some: list[ChipTraits], rule_day: tuple[str, DATE]) -> None:
    rule, day = rule_day
    coming = Arrivals(tuple(some), day, "CN")
    moves = least_moves(rule, coming, BOOK)
    assert bool(moves) is catches(rule, coming, BOOK)
    assert all(move.new > move.old for move in moves)
    assert not catches(rule, coming, moved(rule, moves, BOOK))
    for index in range(len(moves)):
        assert catches(rule, coming, moved(rule, moves[:index] + moves[index + 1 :], BOOK))


FLOORS = [
    ("us_2022_10_07", "bit_tops_2022", 4800),
    (RULE_2023, "tpp", 1600),
    (RULE_2023, "tpp", 2400),
    (RULE_2023, "performance_density", 1.6),
    (RULE_2023, "performance_density", 3.2),
    (LETTER, "memory_bandwidth", 1400),
    (LETTER, "interconnect", 900),
]
"""Thresholds that are only ever asked whether a chip is at or above them."""


@settings(max_examples=100, deadline=None)
@given(chips, dates, st.sampled_from(["CN", "AE", "HK"]), st.floats(0.05, 0.99), st.sampled_from(FLOORS))
def test_a_stricter_threshold_never_frees_a_chip(
    chip: ChipTraits, date: DATE, place: str, share: float, floor: tuple[str, str, float]
) -> None:
    rule, metric, value = floor
    strict = BOOK.with_threshold(rule, metric, value, value * share)
    if lawful(chip, date, place, book=strict).planned:
        assert lawful(chip, date, place, book=BOOK).planned


@given(st.floats(1e-3, 1e6))
def test_the_next_number_above_is_above_and_near(value: float) -> None:
    assert value < above(value) <= value * 1.0021
    assert float(f"{above(value):g}") == above(value)


# ---------------------------------------------------------------- fees


@pytest.mark.parametrize(
    ("chip", "share", "factor"),
    [("h20-96gb", 0.15, 1 / 0.85), ("h200-sxm", 0.25, 1.25), ("h100-sxm", None, None), ("ascend-910c", None, None)],
)
def test_the_fee_on_record(chip: str, share: float | None, factor: float | None) -> None:
    fee = known_fee(about(chip), "CN", None, BOOK)
    assert (fee and fee.share) == share
    assert (fee and fee.factor) == (factor and pytest.approx(factor))


def test_a_fee_that_is_not_known_yet_is_none() -> None:
    assert known_fee(about("h20-96gb"), "CN", None, BOOK.as_known(DATE(2025, 2, 28))) is None


# ---------------------------------------------------------------- designs


def test_the_designs_from_h100_are_those_that_were_built() -> None:
    h100 = about("h100-sxm")
    (h20_like,) = lawful_designs(h100, DATE(2023, 11, 17), "CN")
    assert h20_like == Shares(0.1515, 1.0, 1.0)
    assert (tpp(about("h20-96gb")) or 0) < (tpp(designed(h100, h20_like)) or 0) < 2400
    h800_like, slow = lawful_designs(h100, DATE(2023, 1, 15), "CN")
    assert (h800_like, slow.link) == (Shares(1.0, 1.0, 0.6666), 1.0)
    assert limits_met(h100, DATE(2023, 1, 15), "CN") == ("us_2022_10_07",)
    (later,) = lawful_designs(h100, DATE(2025, 4, 16), "CN")
    assert (designed(h100, later).bandwidth or 0) < 1.4e12
    found = limits_above(h100, later, DATE(2025, 4, 16), "CN")
    assert found == {"rate": (RULE_2023,), "bandwidth": (LETTER,), "link": (LETTER,)}


def test_what_is_lawful_whole_needs_no_design() -> None:
    assert lawful_designs(about("h100-sxm"), DATE(2024, 1, 1), "US") == (Shares(),)
    assert lawful_designs(about("ascend-910c"), DATE(2025, 6, 1), "CN") == (Shares(),)


@settings(max_examples=60, deadline=None)
@given(chips, dates, places, homes, st.sampled_from(["rate", "bandwidth", "link"]))
def test_a_design_is_lawful_by_the_laws_own_classification_and_no_more_of_anything_is(
    chip: ChipTraits, date: DATE, place: str, home: str | None, axis: str
) -> None:
    for shares in lawful_designs(chip, date, place, home):
        new = designed(chip, shares)
        assert lawful(new, date, place, home).planned
        assert classify(new, date, place, home).status in ("free", "exception")
        share = getattr(shares, axis)
        if share < 1:
            more = dataclasses.replace(shares, **{axis: min(1.0, share + 2e-4)})
            assert not lawful(designed(chip, more), date, place, home).planned


@settings(max_examples=60, deadline=None)
@given(chips, dates, places, st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 1))
def test_every_lawful_share_lies_within_a_design(
    chip: ChipTraits, date: DATE, place: str, rate: float, bandwidth: float, link: float
) -> None:
    shares = Shares(rate, bandwidth, link)
    if lawful(designed(chip, shares), date, place).planned:
        slack = Shares(rate - 1e-4, bandwidth - 1e-4, link - 1e-4)
        assert any(slack.within(largest) for largest in lawful_designs(chip, date, place))


def test_what_is_not_known_of_a_chip_costs_it_the_limits_that_need_it() -> None:
    unknown = dataclasses.replace(about("h100-sxm"), die_area_mm2=None)
    (found,) = lawful_designs(unknown, DATE(2023, 11, 17), "CN")
    assert 1590 < (tpp(designed(unknown, found)) or 0) < 1600
