"""Saved answers, read back within bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tonnage import files
from tonnage.errors import InputError, Problem
from tonnage.provenance import SCHEMA


def read_answer(path: Path) -> dict[str, Any]:
    """A result written with `-o FILE.json` or `--json`. Raises InputError when the file is no such result."""
    value = files.read_json(path).value
    if not isinstance(value, dict) or not {"schema", "command", "inputs"} <= value.keys():
        raise InputError(Problem("not an answer of tonnage: it has no schema, command and inputs", str(path)))
    if value["schema"] != SCHEMA:
        raise InputError(Problem(f'written in schema "{str(value["schema"])[:40]}", this is {SCHEMA}', str(path)))
    return value


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Every leaf of a nested value by its dotted path: `launch.p50`, `binds[0].what`."""
    if isinstance(value, dict):
        pairs = [(f"{path}.{key}" if path else str(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {path: value}
    return {name: leaf for key, item in pairs for name, leaf in leaves(item, key).items()}
