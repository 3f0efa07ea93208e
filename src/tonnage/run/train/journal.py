"""What happened in a run, one JSON object a line, in the order in which it happened.

A line is written at once; one that a killed process left half is passed over. A step that was done again, after a
resume or a rollback, has several lines: the last counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = "events.jsonl"

Event = dict[str, Any]


def append(folder: Path, event: Event) -> None:
    """Adds an event. A disk that is full loses the line, not the run."""
    try:
        with (folder / FILE).open("ab") as file:
            ended = file.tell() == 0 or _ends_line(folder / FILE)
            file.write((b"" if ended else b"\n") + json.dumps(event).encode() + b"\n")
    except OSError:
        return


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def events(folder: Path) -> Iterator[Event]:
    """All whole events of a run."""
    path = folder / FILE
    if not path.exists():
        return
    for line in path.read_text("utf-8", "replace").split("\n"):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def steps(folder: Path) -> dict[int, Event]:
    """The last line of each step, in order of steps."""
    found = {event["step"]: event for event in events(folder) if event.get("event") == "step"}
    return dict(sorted(found.items()))


def losses(folder: Path) -> dict[int, float]:
    """Loss by step."""
    return {step: event["loss"] for step, event in steps(folder).items()}


def counts(folder: Path) -> dict[str, int]:
    """How often each kind of trouble was seen."""
    kinds = ("nan", "spike", "silent", "rollback", "skipped", "damaged", "save_failed", "hang", "resume", "switch")
    seen = [event.get("event") for event in events(folder)]
    return {kind: seen.count(kind) for kind in kinds if kind in seen}
