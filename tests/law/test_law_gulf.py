"""The Gulf from 2023 to 2026: what was asked of whom on which day, and that no day knows of a later one."""

from __future__ import annotations

import datetime
import re

import pytest

from tonnage.catalog import load
from tonnage.law import Buyer, Classification, classify, explain, load_rules, rule_book

Date = datetime.date
CATALOG = load()


def verdict(chip: str, date: str, place: str, buyer: Buyer | None = None) -> Classification:
    day = Date.fromisoformat(date)
    return classify(chip, day, place, catalog=CATALOG, buyer=buyer, known_at=day)


@pytest.mark.parametrize("place", ["AE", "SA"])
@pytest.mark.parametrize(
    ("chip", "date", "status"),
    [
        ("h100-sxm", "2023-08-27", "free"),
        ("h100-sxm", "2023-09-15", "unverified"),  # the filing names no country
        ("mi250x", "2023-09-15", "unverified"),
        ("mi300x", "2023-12-06", "approval"),
        ("h100-sxm", "2023-10-24", "licence"),  # the rule of 2023, made immediate for NVIDIA
        ("h100-sxm", "2023-11-17", "approval"),
        ("h100-sxm", "2024-06-01", "approval"),
        ("h100-sxm", "2025-03-01", "approval"),
        ("h200-sxm", "2025-06-15", "approval"),
        ("gb300", "2025-10-20", "approval"),
        ("a10", "2024-06-01", "free"),  # TPP 2,000 at a density under 3.2
    ],
)
def test_what_is_asked_of_any_buyer_in_the_gulf(place: str, chip: str, date: str, status: str) -> None:
    assert verdict(chip, date, place).status == status


@pytest.mark.parametrize(
    ("name", "place", "date", "status"),
    [
        ("Microsoft", "AE", "2024-12-06", "approval"),
        ("Microsoft", "AE", "2024-12-07", "authorised"),
        ("Microsoft", "AE", "2025-11-02", "authorised"),
        ("Microsoft", "SA", "2025-06-01", "approval"),
        ("G42", "AE", "2024-12-07", "approval"),  # the licence is Microsoft's
        ("G42", "AE", "2025-10-20", "approval"),
        ("Oracle", "AE", "2025-10-08", "approval"),
        ("Oracle", "AE", "2025-10-09", "authorised"),
        ("Humain", "SA", "2025-06-01", "approval"),  # announced, not licensed
        ("Humain", "SA", "2025-11-19", "authorised"),
    ],
)
def test_who_had_a_licence_and_when(name: str, place: str, date: str, status: str) -> None:
    assert verdict("h200-sxm", date, place, Buyer(name, count=1_000)).status == status


@pytest.mark.parametrize(
    ("place", "date", "words"),
    [
        ("AE", "2024-06-01", "slowed"),
        ("SA", "2024-06-01", "slowed"),
        ("AE", "2025-03-01", "second tier"),
        ("SA", "2025-06-15", "18,000 GB300"),
        ("AE", "2025-06-15", "500,000"),
        ("AE", "2025-10-20", "Oracle"),
        ("SA", "2025-12-01", "35,000 GB300"),
        ("AE", "2025-12-01", "35,000 GB300"),
    ],
)
def test_the_record_of_each_day(place: str, date: str, words: str) -> None:
    assert any(words in text for text in verdict("h100-sxm", date, place).notes)


@pytest.mark.parametrize(
    ("place", "date", "words"),
    [
        ("AE", "2024-05-29", "slowed"),
        ("AE", "2025-06-15", "slowed"),
        ("AE", "2025-06-15", "second tier"),
        ("AE", "2025-06-15", "18,000 GB300"),
        ("SA", "2025-06-15", "500,000"),
        ("KZ", "2024-06-01", "slowed"),
    ],
)
def test_what_was_over_or_elsewhere_is_not_told(place: str, date: str, words: str) -> None:
    assert not any(words in text for text in verdict("h100-sxm", date, place).notes)


DAY = re.compile(r"\d{4}-\d\d-\d\d")
SET_AHEAD = {
    "us_2025_11_01_truce": "2026-11-10",
    "us_2025_01_13_diffusion_gulf": "2025-05-15",
    "us_2026_07_10_uae": "2027-04-06",
    "us_2026_07_10_uae_listed": "2027-04-06",
    "us_2026_tariff232_phase2": "2026-07-01",
}
"""Days that a rule itself named ahead."""


def test_no_rule_speaks_of_what_came_after_the_day_on_which_it_is_read() -> None:
    late = []
    for rule in load_rules().rules:
        for day in sorted({rule.announced, *(part.since for part in rule.later)}):
            said = rule.as_said(day)
            pauses = {str(end) for part in rule.pauses if part.announced <= day for end in (part.since, part.until)}
            ends = {str(part.until - datetime.timedelta(days=1)) for part in rule.pauses if part.until}
            known = {str(rule.effective), str(rule.compliance), SET_AHEAD.get(rule.id), *pauses, *ends}
            for text in (rule.title, said.text, said.citation):
                late += [(rule.id, found) for found in DAY.findall(text) if found > str(day) and found not in known]
    assert late == []


def test_the_words_of_a_rule_grow_with_what_was_said_of_it() -> None:
    rule = rule_book().rule("us_2025_01_15_diffusion")
    assert "not enforced" in rule.text
    assert "GAO" in rule.text
    early = rule_book().as_known(Date(2025, 3, 1)).rule(rule.id)
    assert early.text.endswith("in force since 2025-01-13")
    assert "GAO" not in rule_book().as_known(Date(2025, 6, 1)).rule(rule.id).text
    assert rule_book().as_known(Date(2026, 11, 1)).rule(rule.id).text == rule.text
    law = rule_book().as_known(Date(2024, 6, 1)).rule("us_2023_10_17")
    assert law.citation == "88 FR 73458 (FR Doc 2023-23055), amended by 89 FR 23876"


def test_an_answer_of_2025_knows_nothing_of_2026() -> None:
    for place in ("AE", "SA", "CN"):
        found = verdict("h100-sxm", "2025-03-01", place)
        assert not any("2026-" in line for line in explain(found))
