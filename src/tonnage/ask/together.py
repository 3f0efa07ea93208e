"""Everything that is wrong with a question, told at once: its numbers, its model, its chips, its engine."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from tonnage import units
from tonnage.errors import InputError, Problem, TonnageError

if TYPE_CHECKING:
    from tonnage.ask.train_words import TrainWords
    from tonnage.catalog import Catalog

Check = Callable[[], object]
"""Looks at one part of a question; raises `InputError` with what is wrong there."""


@contextmanager
def with_the_rest(*checks: Check) -> Iterator[None]:
    """Where something inside is wrong, looks at the rest of the question too, and raises all problems together.

    What is right costs nothing: the checks run only after an `InputError`.
    """
    try:
        yield
    except InputError as error:
        problems = list(error.problems)
        for check in checks:
            for problem in _wrong(check):
                if problem not in problems:
                    problems = [other for other in problems if other != replace(problem, where="", path="")]
                    problems.append(problem)
        if tuple(problems) == tuple(error.problems):
            raise
        raise InputError(problems, hint=error.hint) from None


def _wrong(check: Check) -> tuple[Problem, ...]:
    try:
        check()
    except InputError as error:
        return error.problems
    except (TonnageError, ValueError):
        return ()
    return ()


def names(
    model: str,
    fleets: Sequence[str],
    catalog: Callable[[], Catalog],
    as_of: Callable[[], datetime.date | None],
    field: str = "on",
) -> tuple[Check, ...]:
    """Checks of the names in a question: its model, the chips of each fleet (of a field), its date."""

    def known(text: str) -> Check:
        return lambda: catalog().chip(units.parse_fleet(text)[1], field)

    def loaded() -> object:
        from tonnage.model import load

        return load(model, catalog())

    return (as_of, loaded, *map(known, fleets))


CHOICES = (
    "precision", "task", "framework", "routing", "lora_on", "base", "optimizer", "moments", "master", "gradients",
)  # fmt: skip
"""Words of a training run that are one of several."""


def chosen(words: TrainWords, catalog: Catalog) -> None:
    """Raises InputError for each choice of a training run that is none, whatever its model and its numbers are."""
    from tonnage.model import load
    from tonnage.train import TrainJob

    named = {name: getattr(words, name) for name in CHOICES}
    offload = tuple(part.strip() for part in (words.offload or "").split(",") if part.strip())
    TrainJob(load(catalog.models()[0], catalog), offload=offload, **named)
