"""What a plan may count on: stock in the country, deliveries, licences, fees, knowledge."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from tonnage.catalog import load
from tonnage.errors import InputError
from tonnage.law import Lawful, free_windows, lawful, rule_book, traits

Date = datetime.date
CATALOG = load()


def lot(chip: str, date: str, place: str = "CN", **more: Any) -> Lawful:
    return lawful(chip, Date.fromisoformat(date), place, catalog=CATALOG, **more)


def test_a_delivery_after_the_rule_bites_is_not_planned_on() -> None:
    assert lot("h20", "2025-04-08").planned
    late = lot("h20", "2025-04-16")
    assert not late.planned
    assert late.rules == ("us_2025_04_09_h20_letter",)
    assert "a licence is needed" in late.reason
    assert "none is said to be held" in late.reason
    assert late.sources


def test_what_came_before_the_rule_stays_usable() -> None:
    for tenure in ("owned", "rented"):
        held = lot("h20", "2025-08-15", tenure=tenure)
        assert held.planned
        assert held.windows == ((Date(2023, 11, 9), Date(2025, 4, 9)),)
        assert "until 2025-04-09" in held.reason
        assert any(note.startswith("discouraged") for note in held.notes)
    early = lot("h20", "2025-08-15", tenure="owned", acquired=Date(2025, 1, 10))
    assert early.planned
    assert not lot("h20", "2025-08-15", tenure="owned", acquired=Date(2025, 5, 10)).planned


def test_a_chip_that_could_never_come_is_not_planned_on_as_stock() -> None:
    for chip in ("h100-sxm", "b200", "h200-sxm"):
        for tenure in ("owned", "rented"):
            found = lot(chip, "2025-02-28" if chip != "b200" else "2025-12-01", tenure=tenure)
            assert not found.planned, chip
            assert "on no day" in found.reason
    assert lot("a100-sxm-80gb", "2025-02-28", tenure="owned").planned
    assert lot("h800", "2025-02-28", tenure="owned").planned


def test_a_licence_in_hand_makes_a_lot_plannable_and_carries_the_fee() -> None:
    assert not lot("h20", "2025-08-15").planned
    found = lot("h20", "2025-08-15", licence="granted")
    assert found.planned
    assert found.price_factor == pytest.approx(1 / 0.85)
    assert found.price_factor_low == 1.0
    assert lot("h200", "2026-03-20", licence="granted").price_factor == pytest.approx(1.25)
    assert not lot("h20", "2025-08-15", licence="applied").planned


def test_a_hold_at_the_border_stops_even_a_licensed_lot() -> None:
    held = lot("h200", "2026-01-20", licence="granted")
    assert not held.planned
    assert held.rules == ("cn_2026_01_h200_hold",)
    assert lot("h200", "2026-03-20", licence="granted").planned
    assert not lot("h200", "2026-06-20", licence="granted").planned


def test_state_funded_projects_take_no_foreign_chips() -> None:
    assert lot("h20", "2026-02-01", licence="granted").planned
    assert not lot("h20", "2026-02-01", licence="granted", state_funded=True).planned
    assert lot("ascend-910c", "2026-02-01", state_funded=True).planned


def test_a_planner_knows_only_what_was_announced() -> None:
    assert lot("h20", "2025-06-01", known_at=Date(2025, 2, 28)).planned
    assert not lot("h20", "2025-06-01", known_at=Date(2025, 4, 15)).planned
    assert not lot("h20", "2025-06-01").planned


def test_chips_designed_in_china() -> None:
    home = lot("ascend-910c", "2025-06-01")
    assert home.planned
    assert any("General Prohibition 10" in note for note in home.notes)
    abroad = lot("ascend-910c", "2025-06-01", "SG")
    assert not abroad.planned
    assert abroad.rules == ("us_2025_05_13_guidance",)


def test_renting_abroad_what_the_firm_could_not_hold_is_not_planned_on() -> None:
    assert lot("b200", "2026-02-01", "MY").planned
    rented = lot("b200", "2026-02-01", "MY", headquarters="CN", tenure="rented")
    assert not rented.planned
    assert "could not be verified" in rented.reason
    assert lot("h20", "2025-03-01", "MY", headquarters="CN", tenure="rented").planned


def test_exceptions_and_presumptions() -> None:
    assert lot("rtx-4090", "2024-06-01", "AE").planned  # ACA: no notification
    assert not lot("rtx-4090", "2024-06-01").planned  # NAC: notified, may be refused
    assert not lot("h100-sxm", "2024-06-01", "AE").planned  # presumption of approval is no approval
    assert lot("h100-sxm", "2024-06-01", "AE", licence="granted").planned


def test_without_the_h20_rule_the_same_lot_is_planned_on() -> None:
    book = rule_book("without us_2025_04_09_h20_letter")
    found = lot("h20", "2025-06-01", book=book)
    assert found.planned
    assert "without us_2025_04_09_h20_letter" in found.notes


def test_windows_join_and_end_where_rules_bite() -> None:
    book = rule_book()
    h800 = free_windows(traits("h800", CATALOG), Date(2025, 2, 28), "CN", "CN", book)
    assert h800 == ((traits("h800", CATALOG).released, Date(2023, 10, 23)),)
    v100 = free_windows(traits("v100", CATALOG), Date(2025, 2, 28), "CN", "CN", book)
    assert [end for _, end in v100] == [None]


def test_wrong_words_are_refused() -> None:
    with pytest.raises(InputError, match="rented"):
        lot("h20", "2025-03-01", tenure="rent")
    with pytest.raises(InputError, match="granted"):
        lot("h20", "2025-03-01", licence="yes")


def test_json() -> None:
    json.dumps(lot("h20", "2025-08-15").to_json(), allow_nan=False)
