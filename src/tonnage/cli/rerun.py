"""`tonnage rerun RESULT.json`: ask again what a saved answer was asked, and say what moved a number."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tonnage import __version__
from tonnage.ask.saved import read_answer
from tonnage.cli.common import COMMON, Common, finish
from tonnage.errors import InputError, Outcome, Problem
from tonnage.report.envelope import Reply, plain

POSITIONAL = {
    "fit": ("model",),
    "train": ("model",),
    "serve": ("model",),
    "launch": ("programme",),
    "show": ("name",),
    "lawful": ("model",),
}


def rerun(result: Path, /, *, common: Common = COMMON) -> int:
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
    """The same question with today's code, from the plan that the answer holds; None where it holds none."""
    from tonnage.ask.again import asked_again

    if "plan" not in saved:
        return None
    try:
        made: Mapping[str, Any] = plain(asked_again(saved, common.load_catalog()))
    except InputError as error:
        common.note(f"the saved plan cannot be made again: {error.message}")
        return None
    return made


def command_words(saved: dict[str, Any]) -> list[str]:
    """The words of the command line that a saved answer was asked with."""
    inputs = {key: value for key, value in saved["inputs"].items() if value not in (None, False, [], ())}
    names = POSITIONAL[saved["command"]]
    words = [saved["command"], *(str(item) for name in names if name in inputs for item in _listed(inputs.pop(name)))]
    for key, value in inputs.items():
        flag = "--" + key.replace("_", "-")
        for item in _listed(value):
            words += [flag] if item is True else [flag, str(item)]
    return [*words, "--seed", str(saved.get("seed", 0))]


def _listed(value: Any) -> Sequence[Any]:
    """One value, or several, as several."""
    return value if isinstance(value, (list, tuple)) else [value]


def _anew(words: list[str]) -> tuple[dict[str, Any] | None, str | None]:
    """The answer to the same words now, with today's files; None and why where there is none."""
    from tonnage.cli import run

    out, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
        code = run([*words, "--json", "--quiet"])
    if code not in (0, 1):
        return None, " ".join(told.getvalue().split()) or f"exit {code}"
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer, None
