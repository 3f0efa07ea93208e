"""Fields of a question as the flags of the command line, where people see them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

from tonnage.errors import InputError, Problem
from tonnage.report.answer import Answer

RENAMED = {"place": "in", "origin": "from", "launch_file": "from"}
"""Fields whose flag has another name, for `in` is no name in Python."""


def flag(field: str) -> str:
    """`move_to` -> `--move-to`."""
    return "--" + RENAMED.get(field, field).replace("_", "-")


def spoken(text: str, names: Collection[str]) -> str:
    """Fields in backticks as flags."""
    return re.sub(r"`([a-z][a-z0-9_]*)`", lambda found: flag(found[1]) if found[1] in names else found[0], text)


@contextmanager
def as_flags(names: Collection[str]) -> Iterator[None]:
    """Problems of these fields that are raised inside are told with their flags; those of files keep their place."""
    try:
        yield
    except InputError as error:
        error.problems = tuple(flagged(problem, names) for problem in error.problems)
        error.message = "\n".join(str(problem) for problem in error.problems)
        raise


def flagged(problem: Problem, names: Collection[str]) -> Problem:
    """A problem that names a field as where it is, or as its path, with the flag instead."""
    problem = replace(problem, message=spoken(problem.message, names))
    where, space, of = problem.where.partition(" ")
    if where in names:
        return replace(problem, where=flag(where) + space + of)
    field, _, inside = problem.path.partition(".")
    if not problem.where and field in names:
        return replace(problem, where=flag(field), path=inside)
    return problem


def with_flags(answer: Answer, names: Collection[str], *hints: str) -> Answer:
    """An answer whose rows name flags, with next commands."""
    rows = tuple((label, spoken(text, names)) for label, text in answer.rows)
    return replace(answer, rows=rows, hints=hints)
