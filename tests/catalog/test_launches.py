"""Launches of models: what was said of their day, and when they came, as known on a day."""

from __future__ import annotations

import collections
import datetime

import pytest

from tonnage.catalog import Catalog, load
from tonnage.catalog.launches import Launch

D = datetime.date


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


def by_id(catalog: Catalog, day: D | None = None) -> dict[str, Launch]:
    return {launch.id: launch for launch in catalog.launches(day)}


def test_what_was_said_and_what_came(catalog: Catalog) -> None:
    found = by_id(catalog)
    assert len(found) == 47
    counts = collections.Counter(launch.result for launch in found.values())
    assert counts == {"late": 15, "on time": 13, "never": 7, "no date given": 7, "open": 5}
    grok = found["launch-grok-3"]
    assert (grok.lab, grok.actual, grok.slip) == ("xAI", D(2025, 2, 17), 48)
    assert [said.last for said in grok.statements] == [D(2024, 12, 31), D(2024, 12, 31), D(2025, 2, 27)]
    assert (grok.statements[0].first, grok.statements[1].first) == (D(2024, 12, 1), None)
    assert grok.statements[0].kind == "executive" and "end of 2024" in grok.statements[0].promise


def test_slips_by_hand(catalog: Catalog) -> None:
    found = by_id(catalog)
    slips = {
        "deepseek-r2": 568,
        "deepseek-v4": 63,
        "gpt-5": 7,
        "qwen3": -2,
        "grok-5": 145,
        "kimi-k2": None,
        "mai-1": 454,
    }
    assert {key: found[f"launch-{key}"].slip for key in slips} == slips


def test_statements_and_outcomes_of_later_days_are_not_seen(catalog: Catalog) -> None:
    key = "launch-deepseek-v4"
    assert key not in by_id(catalog, D(2026, 1, 8))
    early = by_id(catalog, D(2026, 2, 27))[key]
    assert [said.last for said in early.statements] == [D(2026, 2, 20)]  # said in February: known when it is over
    assert (early.result, early.actual, early.as_of, early.slip) == ("open", None, D(2026, 2, 27), 7)
    eve = by_id(catalog, D(2026, 4, 23))[key]
    assert (len(eve.statements), eve.actual, eve.result, eve.cause) == (3, None, "open", "")
    day = by_id(catalog, D(2026, 4, 24))[key]
    assert (day.actual, day.result, day.slip, day.what) == (D(2026, 4, 24), "late", 63, "preview with open weights")


def test_never_is_not_known_beforehand(catalog: Catalog) -> None:
    before = by_id(catalog, D(2025, 8, 13))["launch-deepseek-r2"]
    assert (before.result, len(before.statements), before.as_of) == ("open", 2, D(2025, 8, 13))
    assert by_id(catalog, D(2026, 11, 29))["launch-deepseek-r2"].result == "never"


def test_a_launch_without_a_statement_is_known_from_its_day(catalog: Catalog) -> None:
    assert "launch-kimi-k2" not in by_id(catalog, D(2025, 7, 10))
    launch = by_id(catalog, D(2025, 7, 11))["launch-kimi-k2"]
    assert (launch.statements, launch.actual, launch.result) == ((), D(2025, 7, 11), "no date given")


@pytest.mark.parametrize("day", [D(2024, 6, 30), D(2025, 6, 26), None])
def test_every_launch_holds_together(catalog: Catalog, day: D | None) -> None:
    for launch in catalog.launches(day):
        assert launch.lab and launch.model != launch.id
        assert all(day is None or said.said <= day for said in launch.statements)
        assert launch.as_of <= (day or D(2026, 11, 29))
        assert all(said.kind in ("lab", "executive", "press") and said.promise for said in launch.statements)
        assert all(not (said.first and said.last) or said.first <= said.last for said in launch.statements)
        assert (launch.actual is None) or launch.result in ("late", "on time", "no date given")
