"""`tonnage rerun RESULT.json`: ask again what a saved answer was asked, and say what moved a number."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from tonnage import __version__
from tonnage.ask.saved import read_answer
from tonnage.cli.common import SAVED, Common, SavedOptions, finish
from tonnage.cli.flags import flag
from tonnage.cli.heard import listening
from tonnage.errors import InputError, Outcome, Problem
from tonnage.printable import one_line
from tonnage.report.envelope import Reply, plain

POSITIONAL = {
    "fit": ("model",),
    "train": ("model",),
    "serve": ("model",),
    "launch": ("programme",),
    "show": ("what",),
    "lawful": ("model",),
}
"""Inputs that stand without a flag."""

RECORDED = {"launch": ("set", "catalog")}
"""Inputs of options that every verb has, where a verb writes them into its answer."""

WRITING = {"picture", "ray", "resume", "cache", "run"}
"""Flags that say where to write or to compute, or where a leaf of a programme is from; no answer records them."""


def rerun(result: Path, /, *, common: SavedOptions = SAVED) -> int:
    """Ask again what a saved answer was asked, and say whether a file, the catalogue, the version or the code moved it.

    Parameters
    ----------
    result
        a result saved with `-o FILE.json`.
    """
    from tonnage.report.rerun import answer, moved

    saved = read_answer(result)
    if saved["command"] not in POSITIONAL:
        raise InputError(Problem(f'answers of "{saved["command"]}" cannot be asked again', str(result)))
    problems = strange_inputs(saved)
    if problems:
        raise InputError(Problem(problem.message, str(result), problem.path) for problem in problems)
    catalog = common.load_catalog()
    words = command_words(saved)
    kept = _from_plan(saved, common)
    anew, why = _anew(words)
    if kept is None and anew is None:
        raise InputError(Problem(f"cannot be asked again: {why}", str(result)))
    found = moved(saved, kept, anew, catalog.digest, __version__, why)
    body: dict[str, Any] = {
        "differences": list(found.whole),
        "same_catalog": found.same_catalog,
        "same_version": found.same_version,
    }
    body |= {"moved_by": found.cause, "by_code": list(found.by_code), "by_facts": list(found.by_facts)}
    again: Mapping[str, Any] = anew if anew is not None else {**saved, **(kept or {})}
    body |= {"rerun": dict(again)}
    outcome = Outcome(reason=str(again.get("outcome", "feasible")))
    said = answer(found, " ".join(words))
    return finish(Reply("rerun", {"result": str(result)}, body, said, outcome, catalog=catalog), common)


def _from_plan(saved: dict[str, Any], common: Common) -> Mapping[str, Any] | None:
    """The same question with today's code, from the plan that the answer holds; None where it holds none that can be
    planned: what was saved may have been changed since, by anybody, and values of the right type may make no sense.
    """
    from tonnage.ask.again import asked_again

    if "plan" not in saved:
        return None
    try:
        made: Mapping[str, Any] = plain(asked_again(saved, common.load_catalog()))
    except (InputError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        common.note(f"the saved plan cannot be made again: {one_line(str(error))}")
        return None
    return made


def strange_inputs(saved: dict[str, Any]) -> list[Problem]:
    """What stands among the inputs of a saved answer that its verb does not write there, or that is no value of a flag.

    An answer may come from anybody: nothing in it may make `rerun` write a file or take a word for another flag.
    """
    verb = saved["command"]
    known = {*POSITIONAL[verb], *_recorded(verb)}
    problems = [
        Problem(f"is not among what {verb} is asked", path=f"inputs.{one_line(name, 40)}")
        for name in saved["inputs"]
        if name not in known
    ]
    flags = [name for name, value in saved["inputs"].items() if name in known and _like_flag(value)]
    problems += [Problem("begins like a flag", path=f"inputs.{name}") for name in flags]
    missing = [name for name in POSITIONAL[verb] if not saved["inputs"].get(name)]
    return problems + [Problem("is missing", path=f"inputs.{name}") for name in missing]


def _like_flag(value: object) -> bool:
    """Whether an input, or one of its items, is text that a command line would take for a flag."""
    items = value if isinstance(value, list) else [value]
    return any(isinstance(item, str) and item.startswith("-") for item in items)


def _recorded(verb: str) -> set[str]:
    """Names under which a verb writes its inputs: those of its flags, but for the ones that say where to write."""
    call = getattr(importlib.import_module(f"tonnage.cli.{verb}"), verb)
    names = {"as_of", *RECORDED.get(verb, ())}
    for parameter in inspect.signature(call, eval_str=True).parameters.values():
        kind = parameter.annotation
        if is_dataclass(kind) and kind is not Common:
            names |= {flag(field.name)[2:].replace("-", "_") for field in fields(kind)}
        elif kind is not Common:
            names.add(flag(parameter.name)[2:].replace("-", "_"))
    return names - WRITING


def command_words(saved: dict[str, Any]) -> list[str]:
    """The words of the command line that a saved answer was asked with."""
    inputs = {key: value for key, value in saved["inputs"].items() if value not in (None, False, "", [], ())}
    names = POSITIONAL[saved["command"]]
    words = [saved["command"], *(str(item) for name in names if name in inputs for item in _listed(inputs.pop(name)))]
    for key, value in inputs.items():
        name = "--" + key.replace("_", "-")
        words += [name if item is True else f"{name}={item}" for item in _listed(value)]
    return [*words, f"--seed={saved.get('seed', 0)}"]


def _listed(value: Any) -> Sequence[Any]:
    """One value, or several, as several."""
    return value if isinstance(value, (list, tuple)) else [value]


def _anew(words: list[str]) -> tuple[dict[str, Any] | None, str | None]:
    """The answer to the same words now, with today's files; None and why where there is none."""
    from tonnage.cli import run

    out, told = io.StringIO(), io.StringIO()
    with listening(None), contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
        code = run([*words, "--json", "--quiet", "--ledger=off"])
    if code not in (0, 1):
        return None, " ".join(told.getvalue().split()) or f"exit {code}"
    try:
        answer: dict[str, Any] = json.loads(out.getvalue())
    except ValueError:
        return None, "it gives no answer"
    return answer, None
