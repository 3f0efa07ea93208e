"""The public record of training runs: what was known of each on a day."""

from __future__ import annotations

import collections
import datetime

import pytest

from tonnage.catalog import Catalog, load
from tonnage.catalog.runs import OUTCOMES, TrainingRun

D = datetime.date


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


def by_id(catalog: Catalog, day: D | None = None) -> dict[str, TrainingRun]:
    return {run.id: run for run in catalog.runs(day)}


def test_r2_was_running_until_its_failure_was_told(catalog: Catalog) -> None:
    """Announced by Reuters on 2025-02-25; that it ran on Ascend and failed became known on 2025-08-14."""
    key = "deepseek-r2-on-ascend"
    assert key not in by_id(catalog, D(2025, 2, 24))
    before = by_id(catalog, D(2025, 8, 13))[key]
    assert (before.outcome, before.announced, before.known_on) == ("running", D(2025, 2, 25), None)
    assert (before.chip, before.stack, before.troubles) == ("", "", ())
    after = by_id(catalog, D(2025, 8, 14))[key]
    assert (after.outcome, after.announced, after.known_on) == ("moved", D(2025, 2, 25), D(2025, 8, 14))
    assert (after.chip, after.stack, after.lab) == ("ascend-910c", "cann", "DeepSeek")
    assert after.moved_to.startswith("NVIDIA")
    assert set(after.troubles) == {"stability", "links", "software"}
    assert after.chips is None and after.sparse is None


def test_a_run_whose_chip_was_announced_has_it_while_it_runs(catalog: Catalog) -> None:
    run = by_id(catalog, D(2024, 1, 1))["olmo-65b-run"]
    assert (run.outcome, run.chip, run.announced) == ("running", "mi250x", D(2023, 5, 11))
    assert by_id(catalog)["olmo-65b-run"].outcome == "abandoned"


def test_every_run_has_what_it_needs(catalog: Catalog) -> None:
    runs = catalog.runs()
    assert len(runs) == 127
    counts = collections.Counter(run.outcome for run in runs)
    assert counts == {
        "completed": 103,
        "abandoned": 8,
        "restarted": 6,
        "moved": 4,
        "running": 4,
        "unfinished": 1,
        "failed": 1,
    }
    assert set(counts) == set(OUTCOMES)
    chips = set(catalog.chips())
    for run in runs:
        assert run.known_on and (run.announced is None or run.announced < run.known_on)
        assert run.lab and (run.chip in chips) != bool(run.chip_other)
        assert run.attested in ("report", "lab", "vendor", "press")
        assert catalog.by_id(run.source).attribute == "outcome"
        assert run.moved_to if run.outcome == "moved" else not run.moved_to


@pytest.mark.parametrize("day", [D(2023, 6, 1), D(2025, 2, 28), D(2026, 5, 1)])
def test_nothing_of_a_run_is_known_before_its_day(catalog: Catalog, day: D) -> None:
    late = by_id(catalog)
    for run in catalog.runs(day):
        known = late[run.id].known_on
        assert run.known_on is None or run.known_on <= day
        assert (run.outcome == "running") == (known is None or known > day or late[run.id].outcome == "running")


@pytest.mark.parametrize(
    ("key", "chips", "tokens", "known_on"),
    [
        ("llama-2-70b-run", None, 2e12, D(2023, 7, 18)),  # the paper does not say how many
        ("telechat3-moe-run", None, None, D(2025, 12, 23)),
        ("bloom-176b-run", 384, 366e9, D(2022, 7, 12)),
        ("deepseek-v3-pretraining", 2048, 14.8e12, D(2024, 12, 26)),
        ("marin-32b-run", 1024, None, D(2025, 10, 31)),  # of a month, the last day
    ],
)
def test_hand_checked_runs(catalog: Catalog, key: str, chips: float | None, tokens: float | None, known_on: D) -> None:
    run = by_id(catalog)[key]
    assert (run.chips, run.known_on) == (chips, known_on)
    assert tokens is None or run.tokens == tokens


def test_a_run_that_began_again_says_how_it_ended(catalog: Catalog) -> None:
    run = by_id(catalog)["opt-175b-run"]
    assert (run.outcome, run.ended_as, run.started) == ("restarted", "completed", D(2021, 11, 5))
    assert {"hardware", "interruptions"} <= set(run.troubles)
    assert "rollbacks" not in by_id(catalog)["deepseek-v3-pretraining"].troubles  # reported as none


def test_runs_by_chip_hold_all_that_is_known_of_them(catalog: Catalog) -> None:
    found = {record.id: record for record in catalog.training_runs("ascend-910c", D(2025, 8, 14))}
    assert found["deepseek-r2-on-ascend"]["lab"].text == "DeepSeek"
    assert "deepseek-r2-on-ascend" not in {r.id for r in catalog.training_runs("ascend-910c", D(2025, 8, 13))}
