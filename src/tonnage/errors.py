"""The exception tree, and the values that explain an answer.

    TonnageError                 anything tonnage raises on purpose
     |- InputError               what the user gave is wrong (exit 2); holds every problem found, not the first
     |   '- AmbiguousName        a name that can be read in more than one way
     |- MissingFact              the catalogue does not know something that the answer needs (exit 3)
     '- UnsupportedModel         an architecture whose `model_type` tonnage does not know (exit 2)

An infeasible plan is not an exception: it is an `Outcome` that names what binds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an input.

    where: `file:line:column`, a flag (`--on`) or an empty string; path: dotted path inside the input
    (`fleet[0].chip`); message: what is wrong; suggestion: the nearest valid name, if there is one.
    """

    message: str
    where: str = ""
    path: str = ""
    suggestion: str | None = None

    def __str__(self) -> str:
        place = "  ".join(part for part in (self.where, f"{self.path}:" if self.path else "") if part)
        advice = f'   did you mean "{self.suggestion}"?' if self.suggestion else ""
        return f"{place} {self.message}{advice}".strip()


class TonnageError(Exception):
    """Anything tonnage raises on purpose. `exit_code` is what the command line returns."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(TonnageError):
    """What the user gave is wrong. All problems are collected and shown together."""

    exit_code = 2

    def __init__(self, problems: Problem | Iterable[Problem] | str, *, hint: str | None = None) -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems), hint=hint)


class AmbiguousName(InputError):
    """A name that can be read in more than one way; `choices` lists the readings."""

    def __init__(self, problem: Problem, choices: Iterable[str], *, hint: str | None = None) -> None:
        self.choices = tuple(choices)
        super().__init__(problem, hint=hint)


class UnsupportedModel(InputError):
    """An architecture whose `model_type` tonnage does not know; the message says what would be needed."""


class MissingFact(TonnageError):
    """The catalogue does not know something that the answer needs. Never replaced by a silent default."""

    exit_code = 3

    def __init__(self, entity: str, attribute: str, *, hint: str | None = None) -> None:
        self.entity, self.attribute = entity, attribute
        super().__init__(f"the catalogue has no {attribute} for {entity}", hint=hint)


@dataclass(frozen=True)
class Bind:
    """One constraint that limits or forbids a plan.

    what: its name (`memory`, `tpot`, `divisibility`, `supply` ...); by: how much is missing, as a ratio or in base
    units, if that has a meaning; text: one sentence; lift: the cheapest change that lifts it, as a sentence.
    """

    what: str
    text: str
    by: float | None = None
    lift: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How a question ended: `feasible`, or the name of what binds with every binding constraint, worst first."""

    reason: str = "feasible"
    binds: tuple[Bind, ...] = ()

    @property
    def feasible(self) -> bool:
        """Whether the plan can be."""
        return self.reason == "feasible"


FEASIBLE = Outcome()


def infeasible(*binds: Bind) -> Outcome:
    """Outcome of a plan that cannot be; its reason is the first constraint's name."""
    return Outcome(reason=binds[0].what, binds=binds)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Closest of `names` to `name`, or None when nothing is close."""
    import difflib

    lowered = {candidate.lower(): candidate for candidate in names}
    found = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5 if len(name) < 4 else 0.6)
    return lowered[found[0]] if found else None
