"""Runs of `tonnage run train` in the work folder: which there are, and what happens in one as it happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

FILE = "events.jsonl"
"""What a run writes line by line."""

DEEP, MOST = 3, 200
"""How many folders below the work folder runs are looked for, and how many are told."""

EVERY = 0.5
"""Time between two looks at the file [s]."""

CHUNK = 1_000_000
"""Most of the file that is read at a look [byte]."""

TAIL = 20_000_000
"""Of a longer file its last part is told [byte]."""


def folders(work: Path) -> dict[str, Path]:
    """Folders of runs by name, the latest first. Links are not followed."""
    found: list[tuple[float, str, Path]] = []
    for top, below, names in os.walk(work):
        depth = len(Path(top).relative_to(work).parts)
        below[:] = [name for name in below if depth < DEEP and not name.startswith(".")]
        path = Path(top) / FILE
        if FILE in names and not path.is_symlink():
            name = Path(top).relative_to(work).as_posix().replace("/", "--") or "here"
            found.append((path.stat().st_mtime, name, Path(top)))
        if len(found) >= MOST:
            break
    return {name: folder for _, name, folder in sorted(found, key=lambda each: -each[0])}


def listed(work: Path) -> list[dict[str, object]]:
    """Name, time of the last event [s since 1970] and size [byte] of each run."""
    return [
        {"name": name, "at": (folder / FILE).stat().st_mtime, "size": (folder / FILE).stat().st_size}
        for name, folder in folders(work).items()
    ]


def found(work: Path, name: str) -> Path | None:
    """The folder of a run that is listed; a name is never read as a path."""
    return folders(work).get(name)


async def watched(folder: Path, gone: Callable[[], Awaitable[bool]]) -> AsyncIterator[str]:
    """Server-sent events: each whole line of the file, then what is added to it, until nobody looks."""
    at = max(0, (folder / FILE).stat().st_size - TAIL)
    rest, quiet = b"", 0
    while not await gone():
        with contextlib.suppress(OSError):
            part, at = await asyncio.to_thread(_after, folder / FILE, at)
            lines = (rest + part).split(b"\n")
            rest = lines.pop()
            events = [event for line in lines if (event := _event(line)) is not None]
            if events:
                quiet = 0
                yield f"data: {json.dumps(events)}\n\n"
            if len(part) == CHUNK:
                continue
        quiet += 1
        if quiet % 20 == 1:
            yield ": still there\n\n"
        await asyncio.sleep(EVERY)


def _after(path: Path, at: int) -> tuple[bytes, int]:
    """What the file has after a place, and the place after that; from the start again if it was begun anew."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(at if at <= end else 0)
        part = file.read(CHUNK)
        return part, file.tell()


def _event(line: bytes) -> dict[str, object] | None:
    """A line as an event: numbers and short texts of its first level; None for a line that is none."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict):
        return None
    return {str(key)[:60]: value for key, value in event.items() if _small(value)}


def _small(value: object) -> bool:
    if isinstance(value, float):
        return value - value == 0
    return value is None or isinstance(value, (bool, int)) or (isinstance(value, str) and len(value) < 400)
