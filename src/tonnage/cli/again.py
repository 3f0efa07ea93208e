"""The command line that asks a question again, for hints."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

RENAMED = {"in": "place"}


def command_of(
    verb: str, subject: str, inputs: Mapping[str, Any], usual: Mapping[str, Any], without: tuple[str, ...] = ()
) -> str:
    """`tonnage VERB SUBJECT ...` with every input that is not as usual, but for `without`."""
    words = ["tonnage", verb, subject]
    for name, value in inputs.items():
        if name in without or value in (None, False, "", (), []) or value == usual.get(RENAMED.get(name, name)):
            continue
        for item in value if isinstance(value, (list, tuple)) else [value]:
            words += ["--" + name.replace("_", "-"), *([] if item is True else [str(item)])]
    return shlex.join(words)


def command_line(verb: Callable[..., int], inputs: Mapping[str, Any], without: tuple[str, ...] = ()) -> str:
    """`tonnage VERB ...` with every input that is not its default, but for `without`."""
    known = inspect.signature(verb, eval_str=True).parameters
    first = {name for name, parameter in known.items() if parameter.kind is parameter.POSITIONAL_ONLY}
    usual = {name: parameter.default for name, parameter in known.items()}
    for parameter in known.values():
        if is_dataclass(parameter.annotation):
            usual |= {field.name: field.default for field in fields(parameter.annotation)}
    words = ["tonnage", verb.__name__]
    for name, value in inputs.items():
        if name in without or value in (None, False, "", (), []):
            continue
        if name in first:
            words.append(str(value))
        elif value != usual.get(RENAMED.get(name, name), MISSING):
            for item in value if isinstance(value, (list, tuple)) else [value]:
                words += ["--" + name.replace("_", "-"), *([] if item is True else [str(item)])]
    return shlex.join(words)
