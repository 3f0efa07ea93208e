"""What several verbs read alike."""

from __future__ import annotations

from tonnage.errors import InputError, Problem


def place_problem(text: str | None) -> Problem | None:
    """What is wrong with `--in`; None when it is a country or not given."""
    from tonnage.catalog.rules_data import load_rules

    if text is None:
        return None
    try:
        load_rules().places.code(text)
    except InputError as error:
        first = error.problems[0]
        return Problem(first.message, "--in", suggestion=first.suggestion)
    return None
