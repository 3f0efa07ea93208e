"""Bytes of released checkpoints against published ones: the bar, and that the board can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tonnage import catalog
from tonnage.errors import InputError
from tonnage.truth.checkpoints import Checkpoint, Checkpoints, accuracy

CATALOG = catalog.load()


@pytest.fixture(scope="module")
def board() -> Checkpoints:
    return accuracy(CATALOG)


def test_exact_sums_are_within_one_in_a_hundred(board: Checkpoints) -> None:
    rows = board.of("sum")
    assert len(rows) >= 51
    assert not [row.name for row in rows if not row.within]


def test_loads_are_within_four_in_a_hundred(board: Checkpoints) -> None:
    rows = board.of("load")
    assert len(rows) >= 7
    assert not [row.name for row in rows if not row.within]


def test_every_row_is_scored_or_says_why_not(board: Checkpoints) -> None:
    assert len(board.rows) + sum(board.skipped.values()) == 72
    assert all(row.source.startswith("http") for row in board.rows)


def test_a_wrong_size_is_outside() -> None:
    row = Checkpoint("x", "sum", 100.0, 102.0, "fp8", "https://example.org")
    assert not row.within
    assert row.error == pytest.approx(0.02)


def test_rows_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"id": "x", "measure": "sum", "published": 16.06e9, "model": "llama-3.1-8b"}))
    found = accuracy(CATALOG, [file])
    assert [row.within for row in found.rows] == [True]
    for wrong in ({"id": "x"}, {"id": "x", "measure": "sum", "published": -1, "model": "y"}, [1]):
        file.write_text(json.dumps(wrong))
        with pytest.raises(InputError, match=r"rows\.jsonl:1"):
            accuracy(CATALOG, [file])
