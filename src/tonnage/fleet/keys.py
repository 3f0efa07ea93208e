"""What one mapping of a programme file holds, read by its table: every key with the kind of its field."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, overload

from tonnage.fleet.uncertain import Uncertain

T = TypeVar("T")


@dataclass(frozen=True)
class Term:
    """Of a lease. name: the one it is priced by, None where its length says; least: [s] for which it is paid."""

    name: str | None
    least: float


@dataclass(frozen=True)
class Keys:
    """Values by key; a key that is not given, or did not fit, is not there.

    Each accessor is for the kinds of fields it names, and gives the default for a key that is not there. A value of
    another kind is a mistake in this package, never in the file, and raises TypeError.
    """

    held: Mapping[str, object] = field(default_factory=dict)

    def __contains__(self, key: str) -> bool:
        return key in self.held

    def without(self, keys: Collection[str]) -> Keys:
        """All but some keys."""
        return Keys({key: value for key, value in self.held.items() if key not in keys})

    def over(self, other: Keys) -> Keys:
        """These keys, and those of the other that are not among them."""
        return Keys({**other.held, **self.held})

    def raw(self, key: str, default: object = None) -> object:
        """A nested value, as it stands in the file."""
        return self.held.get(key, default)

    @overload
    def uncertain(self, key: str) -> Uncertain | None: ...
    @overload
    def uncertain(self, key: str, default: Uncertain) -> Uncertain: ...
    def uncertain(self, key: str, default: Uncertain | None = None) -> Uncertain | None:
        """A quantity [base unit of its kind] or a date [day number], not known exactly."""
        found = self._of(key, Uncertain)
        return default if found is None else found

    @overload
    def number(self, key: str) -> float | None: ...
    @overload
    def number(self, key: str, default: float) -> float: ...
    def number(self, key: str, default: float | None = None) -> float | None:
        """A quantity that is one number [base unit of its kind]."""
        found = self._of(key, float)
        return default if found is None else found

    @overload
    def text(self, key: str) -> str | None: ...
    @overload
    def text(self, key: str, default: str) -> str: ...
    def text(self, key: str, default: str | None = None) -> str | None:
        """A name or a choice."""
        found = self._of(key, str)
        return default if found is None else found

    @overload
    def date(self, key: str) -> datetime.date | None: ...
    @overload
    def date(self, key: str, default: datetime.date) -> datetime.date: ...
    def date(self, key: str, default: datetime.date | None = None) -> datetime.date | None:
        """A date that is one day."""
        found = self._of(key, datetime.date)
        return default if found is None else found

    def span(self, key: str) -> datetime.date | float | None:
        """A duration [s] or a last day."""
        last = isinstance(self.held.get(key), datetime.date)
        return self.date(key) if last else self.number(key)

    def names(self, key: str) -> tuple[str, ...]:
        """Names; none where the key is not there."""
        return tuple(map(str, self._of(key, tuple) or ()))

    def term(self, key: str) -> Term:
        """A term of a lease; one without name and least time where the key is not there."""
        return self._of(key, Term) or Term(None, 0.0)

    def _of(self, key: str, kind: type[T]) -> T | None:
        value = self.held.get(key)
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"{key} is a {type(value).__name__}, not a {kind.__name__}")
        return value
