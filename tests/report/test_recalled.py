"""Recalled facts are said in the answers that rest on them, and only there."""

from __future__ import annotations

import pytest

from tonnage.catalog import load
from tonnage.cli import run
from tonnage.report.recalled import MOST, recalled_row

CATALOG = load()


def recalled(entity: str) -> list[str]:
    return [fact.id for fact in CATALOG.all_facts(entity) if fact.recalled]


def test_only_recalled_facts_of_the_answer_are_named() -> None:
    entity = next(fact.entity for fact in CATALOG.facts if fact.recalled and fact.attribute == "link")
    assert recalled_row([f"{entity}/link"], CATALOG)[0][1].endswith(
        f"1 fact that is recalled, not re-read: {entity} link"
    )
    read = next(fact.id for fact in CATALOG.facts if not fact.recalled)
    assert recalled_row([read], CATALOG) == ()
    assert recalled_row([], CATALOG) == ()
    assert recalled_row([f"{entity}/link"], None) == ()


def test_many_are_counted() -> None:
    ids = [fact.id for fact in CATALOG.facts if fact.recalled]
    ids = [name for name in ids if not name.endswith(("rates.fp64", "rates.fp64_tensor"))]
    text = recalled_row(ids, CATALOG)[0][1]
    assert f"{len(ids)} facts" in text
    assert text.endswith(f"and {len(ids) - MOST} more")


def test_rates_of_formats_that_were_not_used_are_left_out() -> None:
    chip = next(name for name in CATALOG.chips() if {f"{name}/rates.int8", f"{name}/rates.bf16"} <= set(recalled(name)))
    ids = [f"{chip}/rates.{name}" for name in ("bf16", "int8")]
    assert "2 facts" in recalled_row(ids, CATALOG)[0][1]
    assert recalled_row(ids, CATALOG, "bf16")[0][1].endswith(f"{chip} rates.bf16")
    assert "2 facts" in recalled_row(ids, CATALOG, "int8 bf16")[0][1]
    assert recalled_row(ids, CATALOG, "") == ()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "gemma-3-27b-run"], True),
        (["fit", "qwen3-8b", "--on", "8xh100-sxm"], False),
    ],
)
def test_answers_say_it(words: list[str], said: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "-q"]) == 0
    assert ("recalled, not re-read:" in capsys.readouterr().out) is said
