"""Published, measured results: the bundled ones, and any file of the same form.

A case is a dict in the published schema (docs/cases.md): base units, a key that its source does not give is
absent. Bundled cases keep the title, address and place of their source.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from tonnage import files
from tonnage.errors import InputError, Problem, TonnageError
from tonnage.truth.table import Row, read_table

T = TypeVar("T")

KINDS = ("training", "serving", "silicon", "durations")
DATA = Path(__file__).parent / "data"

MAX_FILE = 256 * 2**20
MAX_LINE = 2**20
MAX_ROWS = 200_000
MAX_DEPTH = 12


class Skip(Exception):  # a value of control flow, not an error of the user's
    """A case that cannot be used; its text is the reason, the same for all cases of that kind."""


DEFECT = "defect: "
"""How the reason of a case begins that tonnage itself failed on: a mistake of ours, never of the case."""


def attempt(make: Callable[[], T]) -> T:
    """What `make` gives. Raises Skip where a case cannot be expressed; and, so that one case does not cost the others
    their prediction, where tonnage itself fails: such a reason begins with `DEFECT`, and boards count it apart.
    """
    try:
        return make()
    except Skip:
        raise
    except TonnageError as error:
        raise Skip(error.message[:90]) from None
    except Exception as error:
        raise Skip(f"{DEFECT}{type(error).__name__} in {_place(error)}") from error


def _place(error: Exception) -> str:
    """The function that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "an unknown place" if trace is None else trace.tb_frame.f_code.co_name


def defects(skipped: Counter[str]) -> int:
    """Cases without a prediction because of a defect of ours."""
    return sum(count for reason, count in skipped.items() if reason.startswith(DEFECT))


KNOWN = frozenset({"id", "published", "metrics", "workload", "model", "accelerator_hours"})
"""Keys of which a published result has one at least."""


@dataclass(frozen=True)
class CaseFile:
    """Cases read from a file, and how many lines were left out by reason (with the first line number of each)."""

    cases: tuple[Row, ...]
    skipped: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)


@cache
def load_cases(kind: str) -> tuple[Row, ...]:
    """Bundled cases of a kind, one of `KINDS`. Shared between callers: not to be changed."""
    if kind not in KINDS:
        raise InputError(Problem(f'"{kind}" is not one of {", ".join(KINDS)}'))
    sources = {row.pop("key"): row for row in read_table(DATA / "sources.csv")}
    models = {row.pop("key"): row for row in read_table(DATA / "models.csv")} if kind == "training" else {}
    cases = []
    for row in read_table(DATA / f"{kind}.csv"):
        row["source"] = {**sources[row["source"].pop("ref")], **row["source"]}
        if models:
            row["model"] = dict(models[row["model"]])
        cases.append(row)
    return tuple(cases)


def read_cases(path: Path) -> CaseFile:
    """Cases of a JSON Lines file. Lines that cannot be read are left out with a reason, never a failure.

    Raises InputError when the file is missing, a directory, too large, or holds no JSON object at all.
    """
    lines = _text(path).split("\n")
    cases: list[Row] = []
    skipped: Counter[str] = Counter()
    first: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            cases.append(_parse_line(line, full=len(cases) >= MAX_ROWS))
        except Skip as reason:
            skipped[str(reason)] += 1
            first.setdefault(str(reason), number)
    if not cases:
        hint = "one JSON object per line, in the form described in docs/cases.md"
        raise InputError(Problem("no line of this file is a JSON object: not JSON Lines", where=str(path)), hint=hint)
    if not any(KNOWN & case.keys() for case in cases):
        hint = "rows have the keys of docs/cases.md"
        message = f"no row of this file has one of {', '.join(sorted(KNOWN))}: not published results"
        raise InputError(Problem(message, where=str(path)), hint=hint)
    return CaseFile(tuple(cases), skipped, first)


def _text(path: Path) -> str:
    data = files.read_bytes(path, MAX_FILE)
    if b"\0" in data:
        raise InputError(Problem("binary, expected a JSON Lines file", where=str(path)))
    return data.decode("utf-8-sig", errors="replace")


def _parse_line(line: str, full: bool) -> Row:
    if full:
        raise Skip(f"beyond the first {MAX_ROWS} rows")
    if len(line) > MAX_LINE:
        raise Skip("line is longer than 1 MiB")
    try:
        row = json.loads(line, parse_constant=_not_finite, object_pairs_hook=_no_repeats)
    except (ValueError, RecursionError) as error:
        raise Skip(str(error) if isinstance(error, _ReasonError) else "not valid JSON") from None
    if not isinstance(row, dict):
        raise Skip("not a JSON object")
    if _depth(row) > MAX_DEPTH:
        raise Skip("nested too deeply")
    return row


class _ReasonError(ValueError):
    """A reason of our own raised inside the JSON parser."""


def _not_finite(_: str) -> Any:
    raise _ReasonError("holds a number that is not finite")


def _no_repeats(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise _ReasonError("a key is given twice")
    return row


def _depth(value: Any, limit: int = MAX_DEPTH + 1) -> int:
    if limit == 0 or not isinstance(value, (dict, list)):
        return 0
    inside = value.values() if isinstance(value, dict) else value
    return 1 + max((_depth(item, limit - 1) for item in inside), default=0)


def number(case: Row, *keys: str, positive: bool = True) -> float | None:
    """The finite number at a dotted place of a case; None where absent. Raises Skip when it is something else."""
    value = at(case, *keys)
    if value is None:
        return None
    bad = (
        isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e30 or not math.isfinite(value)
    )
    if bad or (positive and value <= 0) or value < 0:
        raise Skip(f"{'.'.join(keys)} is not a {'positive ' if positive else ''}number")
    return float(value)


def whole(case: Row, *keys: str, least: int = 1) -> int | None:
    """The whole number at a dotted place of a case; None where absent. Raises Skip when it is something else."""
    value = number(case, *keys, positive=least > 0)
    if value is None:
        return None
    if value != int(value) or value < least or value > 1e15:
        raise Skip(f"{'.'.join(keys)} is not a whole number")
    return int(value)


def text(case: Row, *keys: str) -> str | None:
    """The string at a dotted place of a case; None where absent. Raises Skip when it is something else."""
    value = at(case, *keys)
    if value is not None and not (isinstance(value, str) and 0 < len(value) <= 500):
        raise Skip(f"{'.'.join(keys)} is not a string")
    return value


def at(case: Row, *keys: str) -> Any:
    """Whatever stands at a dotted place of a case; None where absent. Raises Skip when a parent is not an object."""
    value: Any = case
    for depth, key in enumerate(keys):
        if not isinstance(value, dict):
            raise Skip(f"{'.'.join(keys[:depth])} is not an object")
        value = value.get(key)
        if value is None:
            return None
    return value


def required(value: Any, name: str) -> Any:
    """`value`, or Skip when it is absent."""
    if value is None:
        raise Skip(f"{name} is not given")
    return value
