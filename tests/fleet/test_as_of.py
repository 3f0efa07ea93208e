"""As of a day means that day: nothing later is used, kind by kind; and what cannot be known is said."""

import datetime

import pytest

from tonnage.cli import run
from tonnage.errors import InputError
from tonnage.fleet import launch
from tonnage.report.launch import answer

DAY = datetime.date(2025, 2, 28)
SPEEDS = {
    "serve": {"h800-sxm": 0.8, "h20-96gb": 0.3, "ascend-910c": 0.6},
    "train": {"h800-sxm": 900.0, "h20-96gb": 150.0, "ascend-910c": 600.0},
}


def test_a_model_that_was_released_later_is_refused(programme):
    with pytest.raises(InputError, match="deepseek-v4-pro was released on 2026-04-24, and was not known on 2025-02-28"):
        programme(as_of=DAY, models__r1__model="deepseek-v4-pro")
    assert programme(models__r1__model="deepseek-v4-pro", start="2026-05-04", rules="as-of").models


def test_what_a_later_model_is_made_from_is_refused_too(programme):
    with pytest.raises(InputError, match="was not known on 2025-02-28"):
        programme(as_of=DAY, models__r2__model="{like: deepseek-v4-pro, layers: 60}")


def test_a_model_of_no_known_date_passes_and_is_said(programme, catalog, written):
    read = programme(as_of=DAY, models__r1__model="glm-5")
    assert any("no release date of glm-5" in note for note in read.notes)
    found = launch(read, catalog, draws=20, planner=written(**SPEEDS), what_if=False)
    assert any("glm-5" in text for text in found.assumptions)


@pytest.mark.parametrize(
    "command",
    [
        "serve deepseek-v4-pro --on 16xh800",
        "fit deepseek-v4-pro --on 16xh800",
        "train deepseek-v4-pro --on 2048xh800",
    ],
)
def test_every_command_refuses_a_later_model(command, capsys):
    assert run([*command.split(), "--as-of", "2025-02-28"]) == 2
    assert "was released on 2026-04-24" in capsys.readouterr().err


def test_a_later_model_is_not_shown(capsys):
    assert run(["show", "deepseek-v4-pro", "--as-of", "2025-02-28"]) == 3
    assert "was released on 2026-04-24" in capsys.readouterr().err


def test_a_later_chip_is_refused(programme):
    with pytest.raises(InputError, match="was not known on 2025-02-28"):
        programme(as_of=DAY, fleet__2__chip="ascend-950pr", fleet__2__from="2025-03-01")


def test_no_later_price_is_used(programme, catalog):
    found = programme(as_of=DAY)
    dates = [quote.date for lot in found.lots for quote in lot.quotes if quote.date]
    assert dates and max(dates) <= DAY


def test_no_later_run_and_no_later_rule_is_used(programme, catalog, written):
    found = launch(programme(as_of=DAY), catalog, draws=20, planner=written(**SPEEDS), what_if=False)
    runs = [item.run for ready in found.readiness.values() for item in ready.evidence]
    assert runs and max(run.known_on for run in runs) <= DAY
    assert found.rules_applied == ()


def test_what_cannot_be_known_as_of_then_is_said(programme, catalog, written):
    found = launch(programme(as_of=DAY), catalog, draws=20, planner=written(**SPEEDS), what_if=False)
    assert "not as of then: constants fitted on later runs" in str(answer(found).rows)
    now = launch(programme(), catalog, draws=20, planner=written(**SPEEDS), what_if=False)
    assert "not as of then" not in str(answer(now).rows)
