"""One setting of a training engine: its name there, its value, and which decision of the plan it is."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tonnage.errors import InputError, Problem

DATA = Path(__file__).parent / "data" / "decisions.toml"

SettingValue = str | int | float | bool | list[str]


@dataclass(frozen=True)
class Setting:
    """value: True for a flag that stands alone; decision: key of `data/decisions.toml`, `yours` where it is the user's
    to fill in, from the environment variable that the value names (`$LR`).
    """

    name: str
    value: SettingValue
    decision: str

    @property
    def why(self) -> str:
        """The line of the plan that decided it, and what it says."""
        return decisions()[self.decision]


@functools.cache
def decisions() -> Mapping[str, str]:
    """Decision -> line of the plan, and why."""
    rows = tomllib.loads(DATA.read_text(encoding="utf-8"))
    return {name: f"{row['line']}: {row['why']}" for name, row in rows["decision"].items()}


@functools.cache
def asked_of_user() -> Mapping[str, str]:
    """Environment variable -> what it is, of what no plan decides."""
    return {str(k): str(v) for k, v in tomllib.loads(DATA.read_text(encoding="utf-8"))["yours"].items()}


def user_owned(made: Iterable[Setting]) -> tuple[str, ...]:
    """Variables that settings name, in the order of their table."""
    text = " ".join(str(one.value) for one in made)
    return tuple(name for name in asked_of_user() if f"${name}" in text or f"${{{name}}}" in text)


def without(made: Iterable[Setting], names: Iterable[str]) -> tuple[Setting, ...]:
    """Settings but for some by name. Raises InputError for a name that stands twice."""
    kept = [one for one in made if one.name not in set(names)]
    twice = {one.name for one in kept if sum(other.name == one.name for other in kept) > 1}
    if twice:
        raise InputError(Problem(f"is set twice: {', '.join(sorted(twice))}"))
    return tuple(kept)
