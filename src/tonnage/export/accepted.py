"""Whether an engine's own argument parser would take a command line: an argparse built from the engine's flags.

The flags stand in `data/`, each table of one release, drawn from its wheel by `scripts/engine_flags.py`.
"""

from __future__ import annotations

import argparse
import functools
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tonnage.errors import InputError, Problem
from tonnage.files import parse_yaml

DATA = Path(__file__).parent / "data"

TABLES = {"sglang": "sglang", "vllm": "vllm", "vllm-ascend": "vllm", "trtllm": "trtllm"}
"""Whose table an engine's flags are checked by: vLLM Ascend takes vLLM's. TensorRT-LLM's is of its YAML."""

COMMANDS = ("sglang", "vllm", "vllm-ascend")
"""Engines whose table is of a command's flags."""

ASCEND = "--additional-config"
"""The flag of vLLM whose keys are vLLM Ascend's own (`data/vllm-ascend.json`)."""


@dataclass(frozen=True)
class FlagTable:
    """Flags of one release. flags: by name, what each takes; see `scripts/engine_flags.py`."""

    engine: str
    version: str
    released: str
    source: str
    flags: Mapping[str, Mapping[str, Any]]


@functools.cache
def table(engine: str) -> FlagTable:
    """The table that an engine's flags are checked by."""
    return _read(TABLES[engine])


def _read(name: str) -> FlagTable:
    return FlagTable(**json.loads((DATA / f"{name}.json").read_text(encoding="utf-8")))


class EngineParser(argparse.ArgumentParser):
    """A parser that raises what is wrong."""

    def error(self, message: str) -> NoReturn:
        """What is wrong, as `InputError`."""
        raise InputError(Problem(message, where=self.prog))


@functools.cache
def parser(engine: str) -> EngineParser:
    """The parser of an engine's flags; names are not to be shortened, as in the engines."""
    made = EngineParser(prog=engine, add_help=False, allow_abbrev=False)
    if TABLES[engine] == "vllm":
        made.add_argument("model_tag", nargs="?")
    for name, one in table(engine).flags.items():
        if engine == "vllm-ascend" and name == ASCEND:
            one = {**one, "keys": list(_read("vllm-ascend").flags)}
        made.add_argument(name, *one.get("names", ()), **_takes(one))
    return made


def _takes(one: Mapping[str, Any]) -> dict[str, Any]:
    """What a flag takes, as argparse is told it."""
    kind = one["takes"]
    if kind == "flag":
        return {"action": "store_true"}
    if kind == "on/off":
        return {"action": argparse.BooleanOptionalAction}
    if kind == "list":
        return {"nargs": "+"}
    if kind == "choice":
        return {"choices": [str(value) for value in one["choices"]]}
    if kind == "json":
        return {"type": _object(one.get("keys"))}
    return {"type": {"int": int, "float": float}.get(kind, str)}


def _object(keys: list[str] | None) -> Callable[[str], dict[str, Any]]:
    """A reader of an object in JSON that has these keys alone."""

    def read(text: str) -> dict[str, Any]:
        found = json.loads(text)
        unknown = set(found) - set(keys or found)
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown keys: {', '.join(sorted(unknown))}")
        return dict(found)

    return read


def table_takes(engine: str, text: str) -> str:
    """Why an engine would not take a configuration in YAML, by its table; nothing where it would.

    Names and what they take are held to the table; what stands inside an object is not.
    """
    try:
        value = parse_yaml(text, engine).value
    except InputError as error:
        return error.message
    if not isinstance(value, dict):
        return "expected settings with their names"
    flags = table(engine).flags
    for name, given in value.items():
        if name not in flags:
            return f"no setting named {name}"
        kinds = KINDS.get(str(flags[name]["takes"]), (object,))
        fits = isinstance(given, kinds) and (bool in kinds or object in kinds or not isinstance(given, bool))
        if given is not None and not fits:
            return f"{name}: expected {flags[name]['takes']}"
    return ""


KINDS: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "on/off": (bool,),
    "json": (dict,),
}
"""Values of YAML by what a setting takes."""


def parsed(engine: str, flags: str) -> argparse.Namespace:
    """The flags of a command line as its engine reads them. Raises `InputError` for what it would not take."""
    return parser(engine).parse_args(shlex.split(flags))
