"""Verdicts of `tonnage qualify -o verdict.json` in the work folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

DEEP, MOST, LIMIT = 3, 200, 5_000_000
"""Folders below the work folder, files that are told, and bytes of one, at most."""


def _files(work: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for top, below, names in os.walk(work):
        depth = len(Path(top).relative_to(work).parts)
        below[:] = sorted(name for name in below if depth < DEEP and not name.startswith("."))
        for name in sorted(names):
            path = Path(top) / name
            if name.endswith(".json") and not path.is_symlink() and path.stat().st_size < LIMIT:
                found[path.relative_to(work).as_posix().replace("/", "--").removesuffix(".json")] = path
    return found


def listed(work: Path) -> list[dict[str, object]]:
    """Name, device and outcome of each verdict."""
    read = ((name, _verdict(path)) for name, path in _files(work).items())
    kept = [(name, body) for name, body in read if body is not None][:MOST]
    return [{"name": name, "outcome": body.get("outcome"), "verdict": body.get("verdict")} for name, body in kept]


def read(work: Path, name: str) -> dict[str, object] | None:
    """The answer that was saved under a name that is listed; a name is never read as a path."""
    path = _files(work).get(name)
    return None if path is None else _verdict(path)


def _verdict(path: Path) -> dict[str, object] | None:
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) and body.get("command") == "qualify" else None
