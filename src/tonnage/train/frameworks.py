"""Training frameworks by name, from the catalogue of software: which kernels, what is fused, what is hidden."""

from __future__ import annotations

from functools import cache

from tonnage.catalog.software import Framework, named, software
from tonnage.errors import InputError, Problem, nearest

DEFAULT = "nemo"
"""Framework where none is named: the newest Megatron-like stack."""

UNKNOWN = "unknown"
"""Framework of a published run whose own is not known here."""


@cache
def canonical(framework: str) -> str | None:
    """The name that is meant by a name or alias; None where it is none."""
    return named(framework, ((one.name, one.aliases) for one in software().frameworks.values()))


def published(framework: str) -> str:
    """The framework under whose results a source prints `framework`; `unknown` where nobody has looked it up."""
    every = software().frameworks.values()
    return named(framework, ((one.name, (*one.aliases, *one.published)) for one in every)) or UNKNOWN


def names() -> tuple[str, ...]:
    """Names of the frameworks that are known."""
    return tuple(software().frameworks)


def problem(framework: str) -> Problem | None:
    """What is wrong with a name; None where it is known."""
    if canonical(framework) is not None:
        return None
    known = names()
    every = (*known, *(alias for one in software().frameworks.values() for alias in one.aliases))
    message = f'"{framework[:40]}" is not known; known are {", ".join(known)}'
    return Problem(message, path="framework", suggestion=nearest(framework[:40], every))


def traits(framework: str | None) -> Framework:
    """What a framework does; `DEFAULT`'s traits without a name. Raises InputError for a name that is not known."""
    name = canonical(DEFAULT if framework is None else framework)
    if name is None:
        raise InputError([wrong] if (wrong := problem(framework or "")) else [])
    return software().frameworks[name]
