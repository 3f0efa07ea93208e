"""A mapping of the front's file, asked key by key: typed values with bounds, and every problem at its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tonnage import units
from tonnage.errors import InputError, Problem, nearest
from tonnage.files import Document, Key

LONGEST_NAME = 100
"""Characters of a name in the file."""


@dataclass
class FilePlace:
    """One mapping and where it stands. Keys that were never asked for are unknown: `done` says so."""

    document: Document
    problems: list[Problem]
    value: dict[str, object]
    path: tuple[Key, ...] = ()
    asked: list[str] = field(default_factory=list)

    def fail(self, key: Key | None, message: str, suggestion: str | None = None, *, at_key: bool = False) -> None:
        """Note what is wrong with the value of a key, or with the mapping."""
        path = self.path if key is None else (*self.path, key)
        self.problems.append(Problem(message, self.document.place(path, key=at_key), dotted(path), suggestion))

    def get(self, key: str) -> object:
        """The value as it stands; None where there is none."""
        self.asked.append(key)
        return self.value.get(key)

    def has(self, key: str) -> bool:
        """Whether the key is given."""
        return self.get(key) is not None

    def text(self, key: str, default: str | None = None, among: Sequence[str] = ()) -> str:
        """A text, perhaps one of several."""
        value = self.get(key)
        if value is None:
            if default is None:
                self.fail(None, f'the key "{key}" is missing')
            return default or ""
        if not isinstance(value, str) or not value.strip():
            self.fail(key, f"expected a text, got {shown(value)}")
            return default or ""
        if among and value not in among:
            self.fail(key, f"{shown(value)} is none of {', '.join(among)}", nearest(value, among))
        return value.strip()

    def number(self, key: str, kind: str, default: float, low: float, high: float) -> float:
        """A quantity as people write it, within bounds, in the base unit of its kind."""
        value = self.get(key)
        if value is None:
            return default
        try:
            found = self._parsed(value, kind)
        except ValueError as error:
            self.fail(key, str(error))
            return default
        if not low <= found <= high:
            self.fail(key, f"{shown(value)} is not between {_written(low, kind)} and {_written(high, kind)}")
            return default
        return found

    def _parsed(self, value: object, kind: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError(f"expected a quantity such as {units.example(kind)}, got {shown(value)}")
        if units.lacks_unit(value, kind):
            raise ValueError(f"{shown(value)} needs its unit, such as {units.example(kind)}")
        return units.parse(value, kind)

    def count(self, key: str, default: int, low: int = 1, high: int = 1_000_000) -> int:
        """A whole number within bounds."""
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fail(key, f"expected a whole number from {low:,} to {high:,}, got {shown(value)}")
            return default
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fail(key, f"expected true or false, got {shown(value)}")
            return default
        return value

    def below(self, key: str) -> FilePlace:
        """The mapping under a key; an empty one where there is none."""
        value = self.get(key)
        if value is not None and not isinstance(value, dict):
            self.fail(key, f"expected a mapping of keys, got {shown(value)}")
        return FilePlace(self.document, self.problems, value if isinstance(value, dict) else {}, (*self.path, key))

    def named(self, key: str) -> list[tuple[str, FilePlace]]:
        """Mappings by name under a key."""
        outer = self.below(key)
        found = []
        for name in outer.value:
            if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
                outer.fail(name, "expected a name of 1 to 100 printable characters", at_key=True)
            found.append((name, outer.below(name)))
        return found

    def items(self, key: str) -> list[FilePlace]:
        """Mappings in a list under a key."""
        value = self.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.fail(key, f"expected a list, got {shown(value)}")
            return []
        found = []
        for index, item in enumerate(value):
            path = (*self.path, key, index)
            if isinstance(item, dict):
                found.append(FilePlace(self.document, self.problems, item, path))
            else:
                where = self.document.place(path)
                self.problems.append(Problem(f"expected a mapping of keys, got {shown(item)}", where, dotted(path)))
        return found

    def words(self, key: str) -> tuple[str, ...]:
        """A list of texts; numbers are taken as they are written."""
        value = self.get(key)
        items = value if isinstance(value, list) else [] if value is None else [value]
        if any(not isinstance(item, (str, int, float)) or isinstance(item, bool) for item in items):
            self.fail(key, f"expected a list of texts, got {shown(value)}")
            return ()
        return tuple(str(item) for item in items)

    def done(self) -> None:
        """Note every key that is given and was not asked for."""
        for key in self.value:
            if key not in self.asked:
                self.fail(key, "unknown key", nearest(key, self.asked), at_key=True)


def dotted(path: Sequence[Key]) -> str:
    """`("models", "r", "steps", 0)` -> `models.r.steps[0]`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")[:120]


def shown(value: object) -> str:
    """A value of the file as an error quotes it."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a mapping"
    return "nothing" if value is None else f'"{" ".join(str(value).split())[:60]}"'


def _written(value: float, kind: str) -> str:
    if kind == "time":
        return units.show_time(value)
    return units.show_share(value) if kind == "share" else f"{value:,g}"


def finish(problems: Sequence[Problem]) -> None:
    """Raise everything that was found, in the order of the file."""
    if problems:
        hint = "docs/run-serve.md has a file to start from"
        raise InputError(sorted(dict.fromkeys(problems), key=lambda one: _order(one.where)), hint=hint)


def _order(where: str) -> tuple[int, int]:
    parts = where.rsplit(":", 2)
    return (int(parts[1]), int(parts[2])) if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit() else (0, 0)
