"""Several programmes, and each in several variants: what is asked of every one of them, in order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tonnage.errors import InputError, Problem

MOST = 1_000
"""Most launches in one sweep."""


@dataclass(frozen=True)
class SweepCase:
    """One launch of a sweep. path: of its programme; changed: leaves of the programme and what they are set to."""

    path: str
    changed: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> str:
        """What is changed, as it was written; empty for the programme as it stands."""
        return ", ".join(f"{key}={value}" for key, value in self.changed)


def cases(paths: Sequence[str], sweeps: Sequence[str]) -> tuple[SweepCase, ...]:
    """Every programme with every combination of what `sweeps` (`KEY=VALUE,VALUE`) list, the last one turning fastest.

    Raises InputError for a sweep that is none, for a key that is swept twice, and for more than `MOST` launches.
    """
    axes = list(_axes(sweeps))
    count = len(paths)
    for axis in axes:
        count *= len(axis)
    if count > MOST:
        raise InputError(Problem(f"{count:,} launches; at most {MOST:,} are taken", path="sweep"))
    return tuple(SweepCase(path, changed) for path in paths for changed in itertools.product(*axes))


def _axes(sweeps: Sequence[str]) -> Iterator[tuple[tuple[str, str], ...]]:
    seen: set[str] = set()
    for text in sweeps:
        key, _, listed = text.partition("=")
        key, values = key.strip(), [value.strip() for value in listed.split(",") if value.strip()]
        if not key or not values:
            raise InputError(Problem(f'expected KEY=VALUE,VALUE, got "{text[:60]}"', path="sweep"))
        if key in seen:
            raise InputError(Problem(f'"{key[:60]}" is swept twice', path="sweep"))
        seen.add(key)
        yield tuple((key, value) for value in values)
