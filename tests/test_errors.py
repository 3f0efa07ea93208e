import pytest

from tonnage.errors import (
    FEASIBLE,
    AmbiguousName,
    Bind,
    InputError,
    MissingFact,
    Problem,
    TonnageError,
    infeasible,
    nearest,
)


def test_every_problem_is_shown_with_place_path_and_suggestion():
    problems = [
        Problem('no chip named "h2o"', "r2.yaml:14:13", "fleet[0].chip", "h20"),
        Problem("expected a whole number", "r2.yaml:15:12", "fleet[0].count"),
    ]
    text = str(InputError(problems))
    assert text.splitlines() == [
        'r2.yaml:14:13  fleet[0].chip: no chip named "h2o"   did you mean "h20"?',
        "r2.yaml:15:12  fleet[0].count: expected a whole number",
    ]


@pytest.mark.parametrize(("error", "code"), [(InputError("x"), 2), (MissingFact("h20", "price"), 3)])
def test_exit_codes(error: TonnageError, code: int):
    assert error.exit_code == code


def test_ambiguous_names_are_input_errors_with_their_choices():
    error = AmbiguousName(Problem('"910" can be read in more than one way'), ["ascend-910b", "ascend-910c"])
    assert isinstance(error, InputError)
    assert error.choices == ("ascend-910b", "ascend-910c")


def test_an_outcome_takes_its_reason_from_the_worst_constraint():
    outcome = infeasible(Bind("memory", "12 GB too much", by=1.15), Bind("tpot", "too slow"))
    assert outcome.reason == "memory"
    assert not outcome.feasible
    assert FEASIBLE.feasible


def test_nearest_finds_close_names_only():
    assert nearest("h2o", ["h20", "b200"]) == "h20"
    assert nearest("H20", ["h20", "b200"]) == "h20"
    assert nearest("zzzz", ["h20", "b200"]) is None
    assert nearest("colour", ["count", "chip"]) is None
