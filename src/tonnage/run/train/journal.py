"""What happened in a run, one JSON object a line, in the order in which it happened.

A line is written at once; one that a killed process left half is passed over, and so is one that holds something else
than an event does: a folder may come from anybody. A step that was done again, after a resume or a rollback, has
several lines: the last counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FILE = "events.jsonl"

Event = dict[str, Any]

BEGINNING = ("device", "nproc", "precision")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "step": ("step", "stage", "seconds", "cpu_seconds", "spent", "cost", "loss"),
    **dict.fromkeys(("start", "resume", "switch"), BEGINNING),
    "predicted": ("stage", "step_time"),
    "evaluated": ("after", "sampled", "greedy", "length", "n"),
}
"""What an event of a kind holds at least."""

TEXTS = ("event", "stage", "after", "device", "precision", "title")
WHOLE = {"step": 10**12, "nproc": 10**6}
NUMBERS = (
    "at", "seconds", "spent", "cost", "loss", "reward", "length", "kept", "sampled", "greedy", "n", "cpu_seconds",
    "step_time", "step_time_low", "step_time_high", "step_cpu_time",
)  # fmt: skip
"""Keys that are text, whole numbers up to a largest one, and numbers, in every event."""

LARGEST, LATEST = 1e15, 4e9
"""Beyond these a number means nothing; the time of an event is before 2096 [s]."""


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
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and is_event(event):
            yield event


def is_event(event: Event) -> bool:
    """Whether a line holds what an event of its kind does, each of its own type and size."""
    needs = NEEDS.get(event["event"], ()) if isinstance(event.get("event"), str) else ()
    return all(event.get(key) is not None for key in ("event", *needs)) and all(
        _sound(key, value) for key, value in event.items() if value is not None
    )


def _sound(key: str, value: object) -> bool:
    if key in TEXTS:
        return isinstance(value, str) and len(value) <= 200
    if key in WHOLE:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= WHOLE[key]
    if key in NUMBERS:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and -LARGEST <= value <= (LATEST if key == "at" else LARGEST)  # type: ignore[operator]
    return True


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
