"""Answers that are kept: the latest in memory, the long ones also on disk, both bounded."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections import OrderedDict
from pathlib import Path

IN_MEMORY, ON_DISK = 200, 60
"""Answers at most."""

KEY = re.compile(r"[0-9a-f]{64}")


class Kept:
    """Answers by key, the latest used last. folder: where long ones are written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held: OrderedDict[str, dict[str, object]] = OrderedDict()

    def get(self, key: str) -> dict[str, object] | None:
        """The answer of a key, if it is kept."""
        if not KEY.fullmatch(key):
            return None
        if key in self.held:
            self.held.move_to_end(key)
            return self.held[key]
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((self.folder / f"{key}.json").read_bytes())
            if isinstance(found, dict):
                self._hold(key, found)
                return found
        return None

    def put(self, key: str, answer: dict[str, object], *, disk: bool) -> None:
        """Keeps an answer."""
        self._hold(key, answer)
        if disk:
            with contextlib.suppress(OSError):
                self.folder.mkdir(parents=True, exist_ok=True)
                new = self.folder / f"{key}.new"
                new.write_text(json.dumps(answer), "utf-8")
                new.replace(self.folder / f"{key}.json")
                self._clear()

    def _hold(self, key: str, answer: dict[str, object]) -> None:
        self.held[key] = answer
        self.held.move_to_end(key)
        while len(self.held) > IN_MEMORY:
            self.held.popitem(last=False)

    def _clear(self) -> None:
        """Takes the oldest away, beyond as many as may be kept."""
        files = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in files[:-ON_DISK]:
            path.unlink(missing_ok=True)


def made_of() -> str:
    """Digest of the program's files as they lie (name, size, time): another program gives other answers."""
    root = Path(__file__).parents[1]
    total = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            seen = path.stat()
            total.update(f"{path.relative_to(root)} {seen.st_size} {seen.st_mtime_ns}\n".encode())
    return total.hexdigest()
