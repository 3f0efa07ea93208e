"""`tonnage rerun RESULT.json`: ask again what a saved answer was asked, and say what changed."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

from tonnage.ask.saved import read_answer
from tonnage.cli.common import COMMON, Common, finish
from tonnage.errors import InputError, Outcome, Problem
from tonnage.report.answer import Answer, Table
from tonnage.report.compare import differences
from tonnage.report.envelope import Reply

POSITIONAL = {"fit": ("model",), "train": ("model",), "serve": ("model",), "launch": ("programme",), "show": ("name",)}


def rerun(result: Path, /, *, common: Common = COMMON) -> int:
    """Ask again what a saved answer was asked, with today's tonnage and catalogue, and say what changed.

    Parameters
    ----------
    result
        a result saved with `-o FILE.json`.
    """
    saved = read_answer(result)
    if saved["command"] not in POSITIONAL:
        raise InputError(Problem(f'answers of "{saved["command"]}" cannot be asked again', str(result)))
    words = command_words(saved)
    again = _ask(words)
    changes = [c for c in differences(saved, again) if c["path"] not in ("catalog",)]
    same = saved.get("catalog") == again.get("catalog")
    sentence = "The answer is the same." if not changes else f"{len(changes)} numbers differ from the saved answer."
    rows = tuple((c["path"], str(c["first"])[:36], str(c["second"])[:36]) for c in changes[:40])
    tables = (Table("changes", ("what", "saved", "now"), rows),) if rows else ()
    known = (("catalogue", "the same" if same else "changed since the answer was saved"), ("command", " ".join(words)))
    answer = Answer(sentence, known, tables, records=tuple(changes))
    body = {"differences": changes, "same_catalog": same, "rerun": again}
    outcome = Outcome(reason=str(again.get("outcome", "feasible")))
    return finish(Reply("rerun", {"result": str(result)}, body, answer, outcome), common)


def command_words(saved: dict[str, Any]) -> list[str]:
    """The words of the command line that a saved answer was asked with."""
    inputs = {key: value for key, value in saved["inputs"].items() if value not in (None, False, [], ())}
    names = POSITIONAL[saved["command"]]
    words = [saved["command"], *(str(inputs.pop(name)) for name in names if name in inputs)]
    for key, value in inputs.items():
        flag = "--" + key.replace("_", "-")
        for item in value if isinstance(value, (list, tuple)) else [value]:
            words += [flag] if item is True else [flag, str(item)]
    return [*words, "--seed", str(saved.get("seed", 0))]


def _ask(words: list[str]) -> dict[str, Any]:
    from tonnage.cli import run

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = run([*words, "--json", "--quiet"])
    if code not in (0, 1):
        sys.exit(code)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer
