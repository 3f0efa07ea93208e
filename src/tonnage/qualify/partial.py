"""What an interrupted qualification leaves beside the file that is to come, and what of it a resumed one takes.

A first line says on which device it was measured: what another device measured is not taken. Files may come from
anybody and from a process that was killed: the last line may be cut off, everything else has to be sound.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tonnage import files
from tonnage.device.kinds import DeviceKind
from tonnage.errors import InputError, Problem
from tonnage.printable import one_line
from tonnage.qualify.bench import Bench
from tonnage.qualify.stability import Soaked
from tonnage.qualify.timing import Timed
from tonnage.system.qualified import KINDS
from tonnage.values import Plain, decode

MARK = "qualify partial"
"""What the first line says that the file is."""

Key = tuple[str, str, tuple[int, ...], str]


def device_line(kind: DeviceKind) -> dict[str, str]:
    """What tells this device from another."""
    torch = importlib.metadata.version("torch")
    return {"device": kind.KIND, "title": kind.title(), "driver": kind.driver(), "torch": torch}


def begin(journal: Path, kind: DeviceKind) -> None:
    """An empty journal of this device."""
    files.write(journal, json.dumps({"tonnage": MARK, **device_line(kind)}) + "\n")


def add(journal: Path, bench: Bench, found: Timed) -> None:
    """One more row, on the disk when this returns."""
    row = {"operator": bench.operator, "format": bench.format, "shape": bench.shape, "layout": bench.layout}
    with journal.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**row, **asdict(found)}) + "\n")
        file.flush()
        os.fsync(file.fileno())


def rows(journal: Path, kind: DeviceKind) -> dict[Key, Timed]:
    """What was measured, by bench; a last line that was cut off is none. Raises InputError: not a journal, damaged, or
    of another device.
    """
    head, *others = files.read_text(journal).split("\n")
    _same(files.parse_json(head, f"{journal}:1"), kind, journal)
    whole = others[:-1]  # after the last line's end there is nothing, or what a killed process was writing
    return dict(_row(line, f"{journal}:{number}") for number, line in enumerate(whole, 2))


def _same(head: Plain, kind: DeviceKind, path: Path) -> None:
    """Raises InputError where the first line is of no journal, or of another device."""
    if not isinstance(head, Mapping) or head.get("tonnage") != MARK:
        raise InputError(Problem("is not what an interrupted qualification leaves; without `resume` it begins anew",
                                 f"{path}:1"))  # fmt: skip
    for name, here in device_line(kind).items():
        if head.get(name) != here:
            text = f'measured with {name} "{one_line(str(head.get(name)), 60)}", this one has "{here}"'
            raise InputError(Problem(f"{text}; without `resume` it begins anew", f"{path}:1"))


def _row(line: str, where: str) -> tuple[Key, Timed]:
    value = files.parse_json(line, where)
    try:
        if not isinstance(value, Mapping):
            raise ValueError("expected an object")
        shape = decode(tuple[int, ...], value.get("shape"))
        operator, form, layout = (decode(str, value.get(name)) for name in ("operator", "format", "layout"))
        names = ("seconds", "wall", "cpu", "spread", "samples")
        found = decode(Timed, {name: value.get(name) for name in names})
    except (InputError, ValueError) as error:
        raise InputError(Problem(f"is no row of a qualification: {str(error)[:200]}", where)) from None
    numbers = (found.seconds, found.wall, found.cpu, found.spread)
    if operator not in KINDS or not all(math.isfinite(one) and 0.0 <= one < 1e9 for one in numbers):
        text = "a time below nothing, or an operator that is none"
        raise InputError(Problem(f"is no row of a qualification: {text}", where))
    if found.seconds <= 0.0:
        raise InputError(Problem("is no row of a qualification: it took no time", where))
    return (operator, form, shape, layout), found


def keep_soak(path: Path, seen: Soaked, kind: DeviceKind) -> None:
    """What a soak saw so far."""
    files.write(path, json.dumps({"tonnage": MARK, **device_line(kind), "seen": asdict(seen)}))


def read_soak(path: Path, kind: DeviceKind) -> Soaked | None:
    """What an earlier soak saw; None where it left nothing. Raises InputError where it is damaged, or of another."""
    if not path.is_file():
        return None
    value = files.parse_json(files.read_text(path, 50_000_000), str(path))
    _same(value, kind, path)
    try:
        seen = decode(Soaked, value["seen"] if isinstance(value, Mapping) else None)
    except (InputError, KeyError) as error:
        raise InputError(Problem(f"is no soak: {str(error)[:200]}", str(path))) from None
    counts = (seen.steps, seen.card_days, seen.wrong, seen.gross, seen.hangs, seen.interruptions, seen.retried)
    numbers = (*counts, *seen.times, seen.first or 0.0)
    if not all(math.isfinite(one) and 0.0 <= one < 1e12 for one in numbers) or max(counts[2:]) > seen.steps + 1:
        raise InputError(Problem("is no soak: a number that nothing can be counted to", str(path)))
    return seen
