"""Prices, law and facts that a launch rests on, as they were found wrong, and where each is tested.

| what was wrong | where it is tested |
| --- | --- |
| a price filed under EU serves no country of it | catalog/test_prices.py, fleet/test_money.py |
| three-year estimates where people rent on demand | catalog/test_prices.py, cli/test_reports.py |
| nothing after March 2026; no rent of Ascend, TPU, RTX, Trainium | here, catalog/test_owning.py |
| the affiliates rule `ended`, the diffusion rule `never in force` | law/test_law_updates.py |
| the Gulf, drafts, customs, nothing after 2026-07-14 | law/test_law_updates.py, here |
| an L40 read as an L40S | law/test_law_updates.py, catalog/test_chips_2026.py |
| RTX PRO 6000D refused, MI308X free; 6000D by what was sold | law/test_law_updates.py |
| commercial availability not applied to the verdict | law/test_law_updates.py |
| an RTX 5090 with an exception that is only a doubt | law/test_law_updates.py |
| rates of 910C, 910B1, RTX 6000D that sources doubt | catalog/test_chips_2026.py |
| chips without facts that stop a whole programme | fleet/test_launch.py, catalog/test_chips_2026.py, here |
| chips in use that were missing | here, catalog/test_chips_2026.py |
"""

from __future__ import annotations

import datetime

import pytest

from tonnage import catalog
from tonnage.catalog import Catalog
from tonnage.cli import run

TODAY = datetime.date(2026, 11, 30)


@pytest.fixture(scope="module")
def facts() -> Catalog:
    return catalog.load()


@pytest.mark.parametrize(
    ("name", "key"),
    [
        *((name, name.lower().replace(" ", "-")) for name in (
            "Maia 200", "Maia 100", "MTIA v2", "RTX 5090D", "RTX 5090D V2", "Rubin CPX", "MI430X", "MI440X", "MLU690",
            "Kunlun M100", "BR166", "BI-V150", "WSE-3", "AI200", "Crescent Island", "A10", "A10G", "A30", "A40", "L40",
            "T4", "RTX 3090", "RTX 6000 Ada", "A6000",
        )),
        ("BW1000", "dcu-bw1000"),
    ],
)  # fmt: skip
def test_chips_that_people_have_are_known_by_the_name_that_they_use(
    facts: Catalog, name: str, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert facts.chip(name) == key
    assert run(["show", name, "-q"]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("chip", ["h100-sxm", "h200-sxm", "b200-sxm", "mi300x", "rtx-4090", "tpu-v6e", "trainium2"])
def test_a_chip_with_a_market_has_a_price_of_these_nine_months(facts: Catalog, chip: str) -> None:
    days = [fact.date for fact in facts.tables["prices"] if fact.entity == chip and fact.attribute == "price.rental"]
    newest = max(day for day in days if day is not None)
    assert (TODAY - newest).days <= 275


def test_the_record_of_the_law_goes_on_after_the_summer(capsys: pytest.CaptureFixture[str]) -> None:
    """It said nothing after 2026-07-14."""
    assert run(["show", "rules", "--json", "-q"]) == 0
    assert "us_2026_10_09_h200_state" in capsys.readouterr().out


@pytest.mark.parametrize("chip", ["mtt-s5000", "kunlun-p800", "mi308x", "enflame-l600", "tpu-8i"])
def test_a_chip_of_which_a_fact_is_missing_is_planned_or_the_fact_is_named(
    chip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 and a lost programme; now an answer, or which fact is not known, by its name."""
    code = run(["fit", "qwen3-8b", "--on", f"8x{chip}", "-q"])
    out = capsys.readouterr()
    assert code in (0, 1) or ("error" in out.err and chip in out.err and "no " in out.err)
