"""Programmes that come with the page, and one that was edited in it: bounded, parsed like any, its files its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from tonnage import files
from tonnage.errors import InputError, Problem

LIMIT = files.LIMIT
"""Longest programme [byte]."""

NAME = "programme.yaml"
"""What an edited programme is called in its errors."""

BUNDLED = {"mini": "programme.yaml", "r2": "r2.yaml", "eu-lab": "eu-lab.yaml", "cloud": "cloud.yaml"}
"""Programmes to start from."""


def bundled(name: str) -> str:
    """The text of a programme that comes with tonnage."""
    return resources.files("tonnage.fleet").joinpath(f"data/{BUNDLED[name]}").read_text(encoding="utf-8")


def checked(text: str) -> files.Document:
    """The programme as a document. Raises InputError if it is too long, no YAML, or names a file outside its folder."""
    if len(text.encode("utf-8", "replace")) > LIMIT:
        raise InputError(Problem(f"is longer than {LIMIT:,} bytes", NAME))
    document = files.parse_yaml(text, NAME)
    problems = [
        Problem("a programme of the page names no file beyond its folder", document.place(path), _dotted(path))
        for path, value in _texts(document.value)
        if _leaves(value)
    ]
    if problems:
        raise InputError(problems)
    return document


def without(document: files.Document, off: Sequence[str]) -> str:
    """What `--set` says to leave these rules out beside what the programme says of rules."""
    said = document.value.get("rules") if isinstance(document.value, dict) else None
    own = said if isinstance(said, list) else [said] if said else []
    kept = [str(rule) for rule in own if rule != "as-of"]
    return "rules=" + json.dumps([*kept, *(f"without {rule}" for rule in off)])


def _texts(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text of a document, and where it stands."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
    elif isinstance(value, str):
        yield path, value


def _leaves(text: str) -> bool:
    """Whether a text, read as a path, leads out of the folder that it is in."""
    if "\x00" in text:
        return True
    parts = Path(text.replace("\\", "/")).parts
    return bool(parts) and (parts[0].startswith(("/", "~")) or ".." in parts or parts[0][1:2] == ":")


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(map(str, path))
