"""Boards that come with tonnage are of this version: its facts, its constants and what it predicts with them."""

import json
from collections import Counter

import pytest

from tonnage import catalog
from tonnage.cli import answering
from tonnage.report import boards
from tonnage.report.answer import Answer, Table
from tonnage.truth import predict_serving, predict_training
from tonnage.truth.evaluate import bundled
from tonnage.truth.shapes import Library

PREDICTORS = {"train": predict_training, "serve": predict_serving}
EVERY = {"train": 40, "serve": 300}
"""Which of the cases are predicted again: every so many."""


@pytest.mark.parametrize("what", PREDICTORS)
def test_a_kept_board_is_of_the_constants_that_are_there(what):
    assert boards.board(what).current, "make accuracy makes the boards again"


@pytest.mark.parametrize("what", PREDICTORS)
def test_cases_that_are_predicted_again_are_as_kept(what):
    kept = {(row["id"], row["metric"]): row for row in boards.board(what).body["rows"]}
    library = Library(catalog.load())
    made = PREDICTORS[what].predict(bundled(what)[:: EVERY[what]], library, Counter(), False)
    assert len(made.rows) > 5
    for row in made.rows:
        held = kept[row.id, row.metric]
        assert held["published"] == pytest.approx(row.published, rel=1e-5)
        assert (held["predicted"], held["low"], held["high"]) == pytest.approx(
            (row.predicted, row.low, row.high), rel=1e-5
        ), "make accuracy makes the boards again"


def test_a_board_is_packed_and_read_as_it_was(monkeypatch):
    row = {"id": "a", "group": "one", "predicted": 1.23456789, "low": None, "null": 2.0}
    ranged = row | {"id": "b", "published_low": 1.0, "published_high": 2.0, "error_to_range": 0.0}
    answer = Answer("so far off", (("x", "1"),), (Table("t", ("a",), (("1",),), "n"),), hints=("h",))
    text = boards.packed({"serve": ({"n": 2, "rows": [row, ranged]}, answer)}, "2026-01-02", "9")
    monkeypatch.setattr(boards, "_held", lambda: json.loads(text))
    held = boards.board("serve")
    assert held.body == {"n": 2, "rows": [row | {"predicted": 1.23457}, ranged | {"predicted": 1.23457}]}
    assert (held.answer.sentence, held.answer.rows, held.answer.tables) == (answer.sentence, answer.rows, answer.tables)
    assert (held.made, held.version, held.current) == ("2026-01-02", "9", True)
    monkeypatch.setattr(boards, "constants", lambda: "others")
    assert not boards.board("serve").current


def test_a_fact_that_changes_makes_a_board_one_of_other_constants(monkeypatch):
    before = boards.constants.__wrapped__()
    monkeypatch.setattr(boards, "RESTS_ON", boards.RESTS_ON[1:])
    assert boards.constants.__wrapped__() != before == boards.constants()


def test_the_board_is_answered_at_once_and_says_of_when_it_is():
    said = answering.answer(["accuracy", "train", "--kept"])
    assert said["code"] == 0 and said["reply"]["inputs"]["kept"] is True
    assert said["answer"]["rows"][-1]["text"].endswith("tonnage accuracy train predicts again")
    assert [chart["name"] for chart in said["charts"]][:1] == ["predicted-tokens-per-second-per-accelerator"]


@pytest.mark.parametrize(
    "words", [["serve", "--all"], ["serve", "--cases=x.jsonl"], ["durations"], ["capacity"], ["launch"]]
)
def test_only_a_whole_board_of_train_or_serve_is_kept(words):
    said = answering.answer(["accuracy", *words, "--kept"])
    assert said["code"] == 2 and "--kept" in json.dumps(said["errors"])
