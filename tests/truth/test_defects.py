"""A mistake of ours is never a case that cannot be expressed: it is counted apart, shown, and none is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from tonnage import catalog, serve
from tonnage.errors import InputError
from tonnage.report import accuracy as words
from tonnage.report import durations as words_of_durations
from tonnage.report import page
from tonnage.truth import durations, predict_serving, predict_training
from tonnage.truth.board import Board, expressed
from tonnage.truth.cases import Skip, attempt, defects, load_cases
from tonnage.truth.durations_board import Durations
from tonnage.truth.evaluate import bundled
from tonnage.truth.shapes import Library


def raises(error: Exception) -> Any:
    def make(*_: object, **__: object) -> None:
        raise error

    return make


REASONS = {
    "cannot be expressed": (Skip("seq is not given"), "seq is not given", 0),
    "cannot be planned": (InputError("no such layout"), "no such layout", 0),
    "key": (KeyError("tp"), "defect: KeyError in make", 1),
    "type": (TypeError("float"), "defect: TypeError in make", 1),
    "division": (ZeroDivisionError(), "defect: ZeroDivisionError in make", 1),
}


@pytest.mark.parametrize("case", REASONS)
def test_a_defect_is_counted_apart(case: str) -> None:
    error, reason, count = REASONS[case]
    skipped: Counter[str] = Counter()
    assert expressed(["one"], raises(error), skipped) == []
    assert skipped == {reason: 1}
    assert defects(skipped) == count


def test_what_stops_a_person_is_not_a_defect() -> None:
    with pytest.raises(KeyboardInterrupt):
        attempt(raises(KeyboardInterrupt()))  # type: ignore[arg-type]


def test_boards_and_their_words_say_it() -> None:
    lost = Counter({"defect: KeyError in place": 2, "seq is not given": 3})
    for board in (Board("train", (), skipped=lost), Durations(skipped=lost)):
        body = board.to_json()
        assert (body["n_skipped"], body["n_defects"], board.defects) == (5, 2, 2)
        said = words.answer(board) if isinstance(board, Board) else words_of_durations.answer(board)
        assert "A defect of tonnage keeps 2 from being predicted" in said.sentence
    assert page.defects(2)[0] == "**2 without a prediction because of a defect of tonnage.**"
    assert page.defects(0) == [] and words.defects(0) == ""


def some(kind: str, count: int) -> list[dict[str, Any]]:
    return bundled("serve" if kind == "serving" else "train")[:count]


def test_one_case_that_fails_does_not_cost_the_others_their_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(catalog.load())
    ready = predict_serving.prepare(some("serving", 3), library, Counter())
    cases, real = [one.case for one in ready], serve.predict

    def failing(asked: Sequence[Any], *rest: Any) -> Any:
        if any(case is cases[1] for case in asked):
            raise KeyError("tp")
        return real(asked, *rest)

    monkeypatch.setattr(predict_serving.serve, "predict", failing)
    found = predict_serving.answers(cases)
    assert [isinstance(one, str) for one in found] == [False, True, False]
    assert found[1] == "defect: KeyError in failing"


def test_a_defect_of_no_case_alone_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = predict_serving.prepare(some("serving", 2), Library(catalog.load()), Counter())
    real = serve.predict

    def failing(asked: Sequence[Any], *rest: Any) -> Any:
        if len(asked) > 1:
            raise IndexError("rows")
        return real(asked, *rest)

    monkeypatch.setattr(predict_serving.serve, "predict", failing)
    with pytest.raises(IndexError, match="rows"):
        predict_serving.answers([one.case for one in ready])


def test_a_run_that_fails_by_a_defect_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict_training.search, "predict", raises(KeyError("tp")))
    library, skipped = Library(catalog.load()), Counter[str]()
    assert predict_training.predict(some("training", 2), library, skipped).rows == []
    assert skipped == {"defect: KeyError in make": 2}
    assert durations.prepare(list(load_cases("durations"))[:20], library, skipped) == []
    assert defects(skipped) > 2


def test_no_training_case_of_ours_fails_by_a_defect() -> None:
    skipped: Counter[str] = Counter()
    made = predict_training.predict(bundled("train"), Library(catalog.load()), skipped)
    assert len(made.rows) > 300 and defects(skipped) == 0, skipped


def test_no_serving_case_of_ours_fails_by_a_defect() -> None:
    skipped: Counter[str] = Counter()
    ready = predict_serving.prepare(bundled("serve"), Library(catalog.load()), skipped)
    found = predict_serving.answers([one.case for one in ready])
    skipped.update(one for one in found if isinstance(one, str))
    assert len(found) > 2000 and defects(skipped) == 0, skipped


def test_no_duration_of_ours_fails_by_a_defect() -> None:
    skipped: Counter[str] = Counter()
    made = durations.prepare(load_cases("durations"), Library(catalog.load()), skipped)
    assert len(made) > 40 and defects(skipped) == 0, skipped
