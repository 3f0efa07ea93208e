"""The line of an exported file that holds what its flags cannot say: the question that was asked, in one comment.

    # tonnage asked: {"command": "train", "model": "llama-3.1-8b", "words": {...}, "reads": {...}, "files": [...]}

Its words are defaults. `reads` is what the file itself said when it was written, as `--from` reads it: where the file
says something else by now, the file is right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tonnage.launchfile.value import Written
from tonnage.printable import one_line

_LINE = re.compile(r"^# tonnage asked: (\{.{1,20000}\})$", re.MULTILINE)
FIRST = 60_000
"""Characters of a file in which the line is looked for."""

PINNED = ("layout", "prefill_layout")
"""Words that a file says itself: what was asked left them to the search, and the file has what was found."""

NAMED_BY_ENGINE = ("framework",)
"""Words that a file says by being of its engine."""


FOLLOWS = ("running", "context")
"""Words that a file says because an engine wants whole numbers and a longest sequence: they follow from the point,
which need not be a whole number of sequences.
"""


@dataclass(frozen=True)
class Remark:
    """command: serve, fit or train; model; words: fields of the question; reads: what the file says of them; files:
    those that make the plan together, in one folder.
    """

    command: str
    model: str
    words: Mapping[str, str | bool]
    reads: Mapping[str, str | bool]
    files: tuple[str, ...] = ()

    def line(self) -> str:
        """The comment."""
        body = {"command": self.command, "model": self.model, "words": dict(self.words), "reads": dict(self.reads)}
        return f"# tonnage asked: {json.dumps(body | {'files': list(self.files)})}"


def remark_of(text: str) -> Remark | None:
    """The line in a text; None where there is none that can be read. Nothing of it is taken but plain words."""
    found = _LINE.search(text[:FIRST])
    if found is None:
        return None
    try:
        body = json.loads(found[1])
    except (ValueError, RecursionError):
        return None
    command, model = body.get("command"), body.get("model")
    if command not in ("serve", "fit", "train") or not isinstance(model, str):
        return None
    names = body.get("files")
    listed = tuple(name for name in names if _beside(name)) if isinstance(names, list) else ()
    return Remark(command, model, _words(body.get("words")), _words(body.get("reads")), listed[:8])


def _words(value: object) -> dict[str, str | bool]:
    if not isinstance(value, dict):
        return {}
    return {str(k): v for k, v in value.items() if isinstance(v, (str, bool)) and len(str(v)) <= 400}


def _beside(name: object) -> bool:
    """Whether a name is one of a file in the same folder."""
    return isinstance(name, str) and bool(re.fullmatch(r"[A-Za-z0-9][\w.-]{0,60}", name)) and Path(name).name == name


def with_remark(found: Written, remark: Remark) -> Written:
    """What a file says, and for the rest what was asked; where they contradict each other the file is right."""
    words: dict[str, str | bool] = {}
    told = list(found.read)
    for name, value in found.words.items():
        if name in (*NAMED_BY_ENGINE, *FOLLOWS) and remark.reads.get(name) == value:
            continue
        words[name] = value
    for name, value in remark.words.items():
        if name in ("on", "as_of") or (name in PINNED and name in found.words):
            continue
        now, then = found.words.get(name), remark.reads.get(name)
        if now == then:
            words[name] = value
        elif now is None:
            told.append(f"{name} is as the engine has it: the file no longer says what was asked, {_short(value)}")
        else:
            told.append(f"{name} {_short(now)} is the file's, not {_short(value)} as was asked")
    as_of = remark.words.get("as_of")
    told.append("what its flags cannot say is as it was asked when it was exported")
    return replace(
        found, words=words, read=tuple(told), as_of=as_of if isinstance(as_of, str) else None, said=found.words
    )


def _short(value: object) -> str:
    return one_line(str(value), 40)
