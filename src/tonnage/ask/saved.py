"""Saved answers, read back within bounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tonnage import files
from tonnage.errors import InputError, Problem
from tonnage.printable import one_line
from tonnage.provenance import SCHEMA

LEAVES = 300_000
"""Most values of a saved answer: thirty times those of the largest that our examples make."""


def read_answer(path: Path) -> dict[str, Any]:
    """A result written with `-o FILE.json` or `--json`, or that a report holds (`-o FILE.html`). Raises InputError when
    the file is no such result.
    """
    value = _value(path)
    if not isinstance(value, dict) or not {"schema", "command", "inputs"} <= value.keys():
        raise InputError(Problem("not an answer of tonnage: it has no schema, command and inputs", str(path)))
    if value["schema"] != SCHEMA:
        raise InputError(
            Problem(f'written in schema "{one_line(str(value["schema"]), 40)}", this is {SCHEMA}', str(path))
        )
    problems = [
        Problem(f"expected {what}, got {one_line(repr(value[key]), 40)}", str(path), key)
        for key, (is_one, what) in _HEAD.items()
        if key in value and not is_one(value[key])
    ]
    if _more_than(value, LEAVES):
        problems.append(Problem(f"holds more than the {LEAVES:,} values that an answer may have", str(path)))
    if problems:
        raise InputError(problems)
    return value


OPENING, CLOSING = '<script type="application/json" id="answer">', "</script>"
"""Between which an answer stands in a report."""


def _value(path: Path) -> Any:
    """What the file says: JSON, or the JSON within a page."""
    if path.suffix.lower() != ".html":
        return files.read_json(path).value
    _, opening, rest = files.read_text(path, 50_000_000).partition(OPENING)
    held, closing, _ = rest.partition(CLOSING)
    if not (opening and closing):
        raise InputError(Problem("holds no answer of tonnage; a report written with -o FILE.html does", str(path)))
    return files.parse_json(held, str(path))


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 40


def _is_inputs(value: Any) -> bool:
    """Names with one scalar each, or a list of scalars."""
    return isinstance(value, dict) and all(
        isinstance(item, (str, int, float, bool, type(None)))
        for given in value.values()
        for item in (given if isinstance(given, list) else [given])
    )


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


_HEAD: dict[str, tuple[Callable[[Any], bool], str]] = {
    "command": (_is_word, "the name of a command"),
    "inputs": (_is_inputs, "names with a value or a list of values each"),
    "sources": (_is_names, "a list of ids of facts"),
    "seed": (_is_seed, "a whole number"),
    "outcome": (_is_text, "a word"),
    "catalog": (_is_text, "a digest"),
    "version": (_is_text, "a version"),
    "plan": (lambda value: isinstance(value, dict), "a plan"),
}
"""What every verb that reads an answer relies on."""


def _more_than(value: Any, most: int) -> bool:
    """Whether there are more than `most` values in a nested one."""
    level, seen = [value], 0
    while level:
        item = level.pop()
        seen += 1
        if seen > most:
            return True
        if isinstance(item, dict):
            level.extend(item.values())
        elif isinstance(item, list):
            level.extend(item)
    return False


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Every leaf of a nested value by its dotted path: `launch.p50`, `binds[0].what`."""
    if isinstance(value, dict):
        pairs = [(f"{path}.{key}" if path else str(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {path: value}
    return {name: leaf for key, item in pairs for name, leaf in leaves(item, key).items()}
