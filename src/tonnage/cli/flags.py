"""Fields of a question as the flags of the command line, where people see them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tonnage.errors import InputError, Problem
from tonnage.report.answer import Answer

NAMES = {"place": "in"}
"""Fields whose flag has another name, for `in` is no name in Python."""


def flag(field: str) -> str:
    """`move_to` -> `--move-to`."""
    return "--" + NAMES.get(field, field).replace("_", "-")


def spoken(text: str) -> str:
    """Fields in backticks as flags."""
    return re.sub(r"`([a-z_]+)`", lambda found: flag(found[1]), text)


@contextmanager
def flags() -> Iterator[None]:
    """Problems of fields that are raised inside name the flags; those of files keep their place."""
    try:
        yield
    except InputError as error:
        raise InputError([_flagged(problem) for problem in error.problems], hint=error.hint) from None


def _flagged(problem: Problem) -> Problem:
    if problem.where or not problem.path:
        return problem
    field, _, inside = problem.path.partition(".")
    return replace(problem, message=spoken(problem.message), where=flag(field), path=inside)


def with_flags(answer: Answer, *hints: str) -> Answer:
    """An answer whose rows name flags, with next commands."""
    rows = tuple((label, spoken(text)) for label, text in answer.rows)
    return replace(answer, rows=rows, hints=hints)
