"""Files of measured operators: JSON Lines of operator, shape, format, time, chip, software (docs/method/measured.md).

A file is held against the chip's datasheet: a time that beats it is a mistake in units or counts, and said so.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tonnage import files
from tonnage.arrays import Floats
from tonnage.errors import InputError, Problem, nearest
from tonnage.system.accelerator import Accelerator
from tonnage.system.collectives import Collective
from tonnage.system.measured import Measured, grids
from tonnage.system.precision import FORMATS, Precision
from tonnage.system.samples import SLACK, Sample, Samples, decode, gemm, grouped, prefill

MAX_FILE = 64 * 2**20
MAX_ROWS = 500_000
MAX_SHOWN = 20
LARGEST = 1e12
SECONDS = (1e-8, 1e4)
"""Least and most seconds of one operator."""

FIELDS = ("operator", "shape", "format", "seconds", "chip", "software")


@dataclass(frozen=True)
class Kind:
    """One operator of a file. shape: names of its numbers; formats: those it may have; usual: where none is given."""

    shape: tuple[str, ...]
    formats: tuple[str, ...]
    make: Callable[..., Sample | Collective]
    precision: Callable[[str], Precision]
    usual: str = "bf16"


def _grouped(rows: Floats, experts: Floats, n: Floats, k: Floats) -> Sample:
    """As `grouped`, with no more experts touched than there are rows."""
    return grouped(rows, np.minimum(experts, np.maximum(rows, 1.0)), n, k)


def _reduce(payload: Floats, ranks: Floats) -> Collective:
    return Collective("all_reduce", "all_reduce", payload, ranks)


def _exchange(payload: Floats, ranks: Floats, copies: Floats) -> Collective:
    return Collective("all_to_all", "all_to_all", payload, ranks, copies=copies)


def _weights(name: str) -> Precision:
    return Precision(linear=name)


_CACHES = ("bf16", "fp8", "int8")
_HEADS = ("heads", "width", "cached")

KINDS: dict[str, Kind] = {
    "gemm": Kind(("m", "n", "k"), tuple(FORMATS), gemm, _weights),
    "grouped_gemm": Kind(("rows", "experts", "n", "k"), tuple(FORMATS), _grouped, _weights),
    "prefill": Kind(("batch", "tokens", *_HEADS), ("bf16", "fp8"), prefill, lambda name: Precision(attention=name)),
    "decode": Kind(("batch", "context", *_HEADS), _CACHES, decode, lambda name: Precision(cache=name)),
    "all_reduce": Kind(("bytes", "ranks"), ("bf16",), _reduce, lambda _: Precision()),
    "all_to_all": Kind(("bytes", "ranks", "copies"), ("bf16",), _exchange, lambda _: Precision()),
}
"""Operators of a file. width: query plus value size of a head; cached: elements that a token leaves in the cache."""


@dataclass(frozen=True)
class Row:
    """One measurement: where it stands, which operator in which format, its shape and seconds, and of what."""

    place: str
    operator: str
    format: str
    shape: tuple[float, ...]
    seconds: float
    chip: str
    software: str


def read_qualified(path: Path) -> tuple[Row, ...]:
    """The measurements of a file. Raises InputError with the place of every problem (the first MAX_SHOWN of them)."""
    data = files.read_bytes(path, MAX_FILE)
    if b"\0" in data:
        raise InputError(Problem("binary, expected JSON Lines", where=str(path)))
    rows: list[Row] = []
    problems: list[Problem] = []
    for number, line in enumerate(data.decode("utf-8-sig", errors="replace").split("\n"), start=1):
        if not line.strip():
            continue
        if len(problems) >= MAX_SHOWN or len(rows) >= MAX_ROWS:
            problems.append(Problem("and perhaps more: reading stopped here", f"{path}:{number}"))
            break
        try:
            rows.append(_row(_object(line), f"{path}:{number}"))
        except ValueError as error:
            problems.append(Problem(str(error), f"{path}:{number}"))
    if not rows and not problems:
        problems = [Problem("holds no measurement", str(path))]
    if problems:
        raise InputError(problems)
    return tuple(rows)


def _object(line: str) -> dict[str, object]:
    """One line as an object with known fields."""
    try:
        value = json.loads(line, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg}") from None
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object")
    for name in value.keys() - set(FIELDS):
        near = nearest(name[:40], FIELDS)
        raise ValueError(f'no field "{name[:40]}" is known' + (f'; did you mean "{near}"?' if near else ""))
    return value


def _refuse(word: str) -> float:
    """NaN and infinities are no JSON."""
    raise ValueError(f"{word} is not a number in JSON")


def _row(value: Mapping[str, object], place: str) -> Row:
    """One measurement, checked."""
    operator = _text(value, "operator")
    if operator not in KINDS:
        raise ValueError(f'operator: "{operator[:40]}" is not one of {", ".join(KINDS)}')
    kind = KINDS[operator]
    name = _text(value, "format", kind.usual)
    if name not in kind.formats:
        raise ValueError(f'format: "{name[:40]}" is not one of {", ".join(kind.formats)}')
    shape = value.get("shape")
    if not isinstance(shape, dict) or set(shape) != set(kind.shape):
        raise ValueError(f"shape: expected {', '.join(kind.shape)}")
    sizes = tuple(_number(shape[each], f"shape.{each}", 1.0, LARGEST) for each in kind.shape)
    seconds = _number(value.get("seconds"), "seconds", *SECONDS)
    return Row(place, operator, name, sizes, seconds, _text(value, "chip"), _text(value, "software"))


def _text(value: Mapping[str, object], name: str, usual: str | None = None) -> str:
    found = value.get(name, usual)
    if not isinstance(found, str) or not 0 < len(found) <= 200:
        raise ValueError(f"{name}: expected a text of 1 to 200 characters")
    return found


def _number(value: object, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{name}: expected a number from {low:g} to {high:g}, got {str(value)[:40]}")
    return float(value)


def qualified(rows: tuple[Row, ...], accelerator: Accelerator) -> Measured | None:
    """The measurements of a chip; None where no row is of it. Raises InputError for rows that no chip can have done."""
    own = [row for row in rows if row.chip == accelerator.name]
    if not own:
        return None
    chip = replace(accelerator, measured=None)
    parts: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in own:
        parts[row.operator, row.format].append(row)
    samples = [_samples(held) for held in parts.values()]
    problems = [each for part, held in zip(samples, parts.values(), strict=True) for each in _checked(part, held, chip)]
    if problems:
        raise InputError(problems[:MAX_SHOWN])
    found = grids(samples, chip, believed=True)
    source = "; ".join(sorted({row.software for row in own}))[:200]
    return Measured(f"{chip.name} by {source}", chip, found.get)


def _samples(rows: list[Row]) -> Samples:
    """Rows of one operator in one format as samples."""
    kind = KINDS[rows[0].operator]
    columns = np.array([row.shape for row in rows], dtype=float).T
    work = kind.make(*columns)
    name, seconds = rows[0].operator, np.array([row.seconds for row in rows])
    return Samples(name, kind.precision(rows[0].format), (work,), seconds, fused=name == "all_reduce")


def _checked(samples: Samples, rows: list[Row], chip: Accelerator) -> list[Problem]:
    """What beats the datasheet."""
    ratio = samples.ideal(chip) / samples.seconds
    fast = np.flatnonzero(ratio * SLACK > 1.0)
    text = "{:.2g} times faster than {}'s datasheet allows: are seconds, bytes and counts as the file's form has them?"
    return [Problem(text.format(float(ratio[i]), chip.name), rows[i].place) for i in fast]
