"""What a chart takes from a saved answer: numbers, words and rows that may not be there.

A saved answer comes from a file, of an earlier version or of anybody: what is not there, or is of another kind, is not
drawn.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping

Body = Mapping[str, object]
"""An answer as JSON: `Reply` in its envelope, or read from a file."""


def at(value: object, *keys: str) -> object:
    """What stands below these keys, or None."""
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def number(value: object, *keys: str) -> float | None:
    """A finite number below these keys, or None."""
    found = at(value, *keys)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not -1e308 <= found <= 1e308:
        return None
    return float(found)


def text(value: object, *keys: str) -> str:
    """Text below these keys, or the empty text."""
    found = at(value, *keys)
    return found if isinstance(found, str) else ""


def day(value: object, *keys: str) -> datetime.date | None:
    """A date below these keys, or None."""
    try:
        return datetime.date.fromisoformat(text(value, *keys))
    except ValueError:
        return None


def rows(value: object, *keys: str) -> list[Mapping[str, object]]:
    """The objects of a list below these keys."""
    found = at(value, *keys)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, (list, tuple)) else []


def numbers(value: object, *keys: str) -> dict[str, float]:
    """Every finite number of an object below these keys, by name."""
    found = at(value, *keys)
    names = found if isinstance(found, Mapping) else {}
    return {str(name): held for name in names if (held := number(names, name)) is not None}
