"""Fields of a question as the flags that ask for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

from tonnage.errors import InputError, Problem


def flag(name: str) -> str:
    """`cache_hit` -> `--cache-hit`."""
    return "--" + name.replace("_", "-")


@contextmanager
def as_flags(names: Collection[str]) -> Iterator[None]:
    """Problems of these fields, raised inside, are told with their flags."""
    try:
        yield
    except InputError as error:
        error.problems = tuple(flagged(problem, names) for problem in error.problems)
        error.message = "\n".join(str(problem) for problem in error.problems)
        raise


def flagged(problem: Problem, names: Collection[str]) -> Problem:
    """A problem that names a field as where it is, or as its path, with the flag instead."""
    if problem.where in names:
        return replace(problem, where=flag(problem.where))
    if not problem.where and problem.path in names:
        return replace(problem, where=flag(problem.path), path="")
    return problem
