"""Reads mappings of a programme file by their tables; collects every problem with its place instead of stopping."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tonnage import files, units
from tonnage.errors import InputError, Problem, nearest
from tonnage.files import Document, Key, Node
from tonnage.fleet import uncertain
from tonnage.fleet.keys import Keys, Term
from tonnage.fleet.schema import Field, Table
from tonnage.fleet.uncertain import Uncertain

Path = tuple[Key, ...]


def dotted(path: Sequence[Key]) -> str:
    """`("fleet", 0, "chip")` -> `fleet[0].chip`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")[:120]


class ProgrammeReader:
    """Reads one document. `problems` holds what was found to be wrong so far."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def problem(self, path: Path, message: str, suggestion: str | None = None, *, key: bool = False) -> None:
        """Note that something at `path` is wrong."""
        self.problems.append(Problem(message, self.document.place(path, key=key), dotted(path), suggestion))

    def mapping(self, value: object, path: Path, table: Table, what: str) -> Keys:
        """The values of a mapping by its table; nested ones are given as they stand. Missing keys are left out."""
        if not isinstance(value, Mapping):
            self.problem(path, f"expected {what} as a mapping of keys, got {_show(value)}")
            return Keys()
        for key in value:
            if key not in table:
                self.problem((*path, key), "unknown key", nearest(str(key), table), key=True)
        missing = [key for key, field in table.items() if field.required and value.get(key) is None]
        for key in missing:
            self.problem((*path, key), f"{what} needs this key")
        present = ((key, field) for key, field in table.items() if value.get(key) is not None)
        read = {key: self.value(value[key], (*path, key), field) for key, field in present}
        return Keys({key: item for key, item in read.items() if item is not None})

    def value(self, value: object, path: Path, field: Field) -> object:
        """One value by its field; None, with a problem noted, when it does not fit."""
        if field.kind == "nested":
            return value
        try:
            return _READERS.get(field.kind, _quantity)(value, field)
        except _NotThereError as error:
            self.problem(path, str(error), error.suggestion)
        except ValueError as error:
            self.problem(path, str(error))
        return None

    def items(self, value: object, path: Path, what: str) -> list[object]:
        """A list that is not empty; otherwise a problem, and an empty list."""
        if isinstance(value, list) and value:
            return value
        self.problem(path, f"expected a list of {what}, got {_show(value)}")
        return []

    def finish(self) -> None:
        """Raise everything that was found, in the order of the file."""
        if self.problems:
            unique = list(dict.fromkeys(self.problems))
            raise InputError(
                sorted(unique, key=lambda p: _order(p.where)), hint="tonnage new writes a file to start from"
            )


class _NotThereError(ValueError):
    def __init__(self, message: str, suggestion: str | None) -> None:
        super().__init__(message)
        self.suggestion = suggestion


def _order(where: str) -> tuple[int, int]:
    parts = where.rsplit(":", 2)
    return (int(parts[1]), int(parts[2])) if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit() else (0, 0)


def _show(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, (list, Mapping)):
        return "a list" if isinstance(value, list) else "a mapping"
    text = " ".join(str(value).split())
    return f'"{text[:60]}"'


def _quantity(value: object, field: Field) -> Uncertain | float:
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise ValueError(f"expected a quantity, got {_show(value)}")
    found = uncertain.point(0.0, str(value)) if _none(value, field.kind) else uncertain.parse(value, field.kind)
    _bounds(found, field, value)
    if _endless(found):
        found = replace(found, within=(field.low, field.high))
    if field.point:
        if not found.certain:
            raise ValueError(f"expected one number here, got the range {_show(value)}")
        return found.values[0]
    return found


def _none(value: str | float, kind: str) -> bool:
    """Whether a growth is written as a share that is none: `0 %`."""
    if kind != "growth":
        return False
    with contextlib.suppress(ValueError):
        return units.parse(value, "share") == 0
    return False


def _ends(found: Uncertain) -> tuple[float, ...]:
    """What has to lie within the bounds: points and ends; of a distribution without ends the third of the draws in its
    middle, the tails beyond being held at the bounds when it is drawn.
    """
    if found.kind in ("point", "uniform", "triangular", "choice"):
        return found.values
    if _endless(found):
        return tuple(map(float, found.quantile(np.array([1 / 3, 2 / 3]))))
    return found.interval


def _often(found: Uncertain) -> str:
    """That a distribution without ends lies beyond a bound too often to be cut there."""
    return " in over a third of the draws" if _endless(found) else ""


def _endless(found: Uncertain) -> bool:
    """Whether a quantity is a distribution that was written as one, and has no ends."""
    return "(" in found.text and found.kind not in ("point", "uniform", "triangular", "choice")


def _bounds(found: Uncertain, field: Field, value: object) -> None:
    numbers = found.interval if field.kind in ("price", "money") else _ends(found)
    slack = 1e-9 * (max(numbers) - min(numbers))
    if min(numbers) < field.low - slack:
        limit = "negative" if field.low == 0 else f"below {_bound(field.low, field.kind)}"
        raise ValueError(f"{_show(value)} is {limit}{_often(found)}")
    if max(numbers) > field.high + slack:
        limit = f"above {_bound(field.high, field.kind)}, the most that is taken here"
        raise ValueError(f"{_show(value)} is {limit}{_often(found)}")
    if field.whole and found.certain and found.values[0] != int(found.values[0]):
        raise ValueError(f"expected a whole number, got {_show(value)}")


def _bound(value: float, kind: str) -> str:
    if kind == "time":
        return units.show_time(value)
    if kind == "price":
        return units.show_price(value)
    if kind == "money":
        return units.show_money(value)
    if kind == "share":
        return units.show_share(value)
    if kind == "growth":
        return units.show_share(value * units.MONTH) + " a month"
    return units.show_number(value) if value < 1e6 else units.show_count(value)


def _date(value: object, field: Field) -> Uncertain | datetime.date:
    if not isinstance(value, (str, datetime.date, int)) or isinstance(value, bool):
        raise ValueError(f"expected a date such as 2025-04-16, got {_show(value)}")
    found = uncertain.parse_date(value if isinstance(value, datetime.date) else str(value))
    low, high = datetime.date(1990, 1, 1).toordinal(), datetime.date(2100, 1, 1).toordinal()
    if not low <= min(found.interval) <= max(found.interval) <= high:
        raise ValueError(f"{_show(value)} is not between 1990 and 2100")
    if field.point and not found.certain:
        raise ValueError(f"expected one date here, got the range {_show(value)}")
    return datetime.date.fromordinal(int(found.values[0])) if field.point else found


def _span(value: object, field: Field) -> datetime.date | float:
    """A duration [s] or a last day."""
    if isinstance(value, datetime.date):
        return value
    if not isinstance(value, (str, int, float)):
        raise ValueError(f"expected a duration such as 18 months or a last day, got {_show(value)}")
    if units.lacks_unit(value, "time") and not re.fullmatch(r"\d{4}", str(value)):
        raise ValueError(f"{_show(value)} needs its unit, such as 18 months")
    with contextlib.suppress(ValueError):
        return units.parse_date(str(value), end=True)
    try:
        return units.parse(value, "time")
    except ValueError:
        raise ValueError(f"expected a duration such as 18 months or a last day, got {_show(value)}") from None


def _name(value: object, field: Field) -> str:
    if isinstance(value, (Mapping, list)) or value is None:
        raise ValueError(f"expected a name, got {_show(value)}")
    text = str(value).strip()
    if not text or len(text) > 100 or not text.isprintable():
        raise ValueError(f"expected a name of 1 to 100 printable characters, got {_show(value)}")
    return text


def _names(value: object, field: Field) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise ValueError("expected one name or more, got an empty list")
    return tuple(_name(item, field) for item in listed)


def _choice(value: object, field: Field) -> str:
    text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value).strip().lower()
    if text not in field.choices:
        raise _NotThereError(f"{_show(value)} is not one of {', '.join(field.choices)}", nearest(text, field.choices))
    return text


TERMS = {"on-demand": 0.0, "spot": 0.0, "monthly": units.MONTH, "1-year": units.YEAR, "3-year": 3 * units.YEAR}
TERMS |= {"5-year": 5 * units.YEAR, "reserved": units.YEAR}
"""Terms of a lease by name, and the least time [s] for which each is paid: on demand nothing is; a reservation whose
length the source does not say is taken for a year."""


def _term(value: object, field: Field) -> Term:
    text = str(value).strip().lower()
    if text in TERMS:
        return Term(text, TERMS[text])
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise ValueError(f"expected a term such as 1 year or on-demand, got {_show(value)}")
    if units.lacks_unit(value, "time"):
        raise ValueError(f"{_show(value)} needs its unit, such as 1 year")
    try:
        seconds = units.parse(value, "time")
    except ValueError:
        raise _NotThereError(
            f"{_show(value)} is no term: write a time such as 1 year, or one of {', '.join(TERMS)}",
            nearest(text, TERMS),
        ) from None
    _bounds(uncertain.point(seconds), replace(field, kind="time"), value)
    return Term(None, seconds)


_READERS: Mapping[str, Callable[[object, Field], object]] = {
    "date": _date,
    "span": _span,
    "name": _name,
    "names": _names,
    "choice": _choice,
    "term": _term,
}


def override(document: Document, changes: Mapping[str, str]) -> Document:
    """The document with leaves replaced: `fleet.0.count=64`, `fleet.cloud-h20.count=64` (a lot by its name).

    Keys that are not there yet are added to the mapping they belong to. Raises InputError for every change that leads
    nowhere.
    """
    root = document.root
    problems: list[Problem] = []
    for key, text in changes.items():
        where = f"set {key}"
        try:
            new = files.parse_yaml(text, where).root if text.strip() else Node(None, where)
            root = _replace(root, key.replace("[", ".").replace("]", "").split("."), _moved(new, where), key)
        except InputError as error:
            problems.extend(Problem(p.message, where, key, p.suggestion) for p in error.problems)
    if problems:
        raise InputError(problems)
    return Document(files.plain(root), root, document.name)


def _moved(node: Node, where: str) -> Node:
    if isinstance(node.value, dict):
        inside = {key: _moved(child, where) for key, child in node.value.items()}
        return Node(inside, where, dict.fromkeys(inside, where))
    if isinstance(node.value, list):
        return Node([_moved(child, where) for child in node.value], where)
    return Node(node.value, where)


def _replace(node: Node, steps: Sequence[str], new: Node, path: str) -> Node:
    if not steps:
        return new
    head, rest = steps[0], steps[1:]
    if isinstance(node.value, dict):
        child = node.value.get(head, Node({}, new.where, {}))
        inside = {**node.value, head: _replace(child, rest, new, path)}
        return Node(inside, node.where, {head: new.where, **(node.keys or {})})
    if isinstance(node.value, list):
        index = _index(node.value, head)
        inside_list = [_replace(item, rest, new, path) if i == index else item for i, item in enumerate(node.value)]
        return Node(inside_list, node.where)
    raise InputError(Problem(f'there is nothing below "{head}" to set'))


def _index(items: Sequence[Node], step: str) -> int:
    if step.isdigit() and int(step) < len(items):
        return int(step)
    names = [_label(item) for item in items]
    if step in names:
        return names.index(step)
    known: Iterable[str] = (*(name for name in names if name), *map(str, range(len(items))))
    named = ", ".join(name for name in names if name)
    there = f"0 to {len(items) - 1}" + (f", or {named}" if named else "")
    raise InputError(Problem(f'no item "{step[:60]}" here; items are {there}', suggestion=nearest(step, known)))


def _label(item: Node) -> str:
    lot = item.value.get("lot") if isinstance(item.value, dict) else None
    return str(lot.value) if isinstance(lot, Node) else ""
