"""Files of a question: named in the folder that the server was started in, or given as text and kept while it lasts."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from tonnage.errors import Problem

MOST_TEXT = 8_000_000
"""Characters of a file that is given as text."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")
"""A name that a given file may keep: no folder, nothing hidden."""


@dataclass
class QuestionFolder:
    """Where the files of one question lie. start: the folder that the server was started in; problems: what is wrong
    with the files asked for, told together with all else that is.
    """

    start: Path
    problems: list[Problem] = field(default_factory=list)
    _kept: Path | None = None
    _count: int = 0

    def __enter__(self) -> QuestionFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._kept is not None:
            shutil.rmtree(self._kept, ignore_errors=True)
            self._kept = None

    def named(self, where: str, path: str) -> str:
        """A path inside the start folder, as it was written; a problem is noted where it leads elsewhere."""
        if not self._inside(path):
            text = "lies outside the folder that the server was started in, or is hidden; give its text instead"
            self.problems.append(Problem(f'"{path[:80]}" {text}', where))
        return path

    def _inside(self, path: str) -> bool:
        """Whether it, with every link followed, lies in the start folder and no part of it is hidden."""
        try:
            start = self.start.resolve()
            found = (start / path).resolve()
        except (OSError, ValueError, RuntimeError):
            return False
        hidden = (
            any(part.startswith(".") for part in found.relative_to(start).parts) if start in found.parents else True
        )
        return found == start or not hidden

    def given(self, where: str, text: str, name: object, ending: str) -> str:
        """Path of a file with this text. name: what it is called, where that is a plain name."""
        if len(text) > MOST_TEXT:
            self.problems.append(Problem(f"has {len(text):,} characters; {MOST_TEXT:,} at most", where))
            return ""
        if self._kept is None:
            self._kept = Path(tempfile.mkdtemp(prefix="tonnage-asked-"))
        self._count += 1
        own = name if isinstance(name, str) and NAME.fullmatch(name) else f"{where}.{ending}"
        path = self._kept / str(self._count) / own
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8", errors="replace")
        return str(path)

    def json(self, where: str, value: Mapping[str, object]) -> str:
        """Path of a JSON file with this value."""
        try:
            text = json.dumps(value, ensure_ascii=False)
        except (ValueError, RecursionError):
            self.problems.append(Problem("is nested too deeply", where))
            return ""
        return self.given(where, text, None, "json")

    @property
    def root(self) -> Path | None:
        """The folder of what was given, if anything was."""
        return self._kept

    def without(self, value: object) -> object:
        """An answer that names given files by what they are called, not by where they lay."""
        if self._kept is None:
            return value
        own = re.compile(re.escape(str(self._kept)) + r"/\d+/?")
        return _replaced(value, own)


def _replaced(value: object, own: re.Pattern[str]) -> object:
    if isinstance(value, str):
        return own.sub("", value)
    if isinstance(value, list):
        return [_replaced(item, own) for item in value]
    if isinstance(value, dict):
        return {own.sub("", str(key)): _replaced(item, own) for key, item in value.items()}
    return value
