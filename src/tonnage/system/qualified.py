"""Files of measured operators: JSON Lines of operator, shape, format, time, chip, software (docs/method/measured.md).

A file is held against the chip's datasheet: a time that beats it is a mistake in units or counts, and said so. A file
of `tonnage qualify` has a first line that says what was measured (`calibrated.Device`); its rows may name operators
that no plan prices by itself, which are read and passed over.
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

MORE = ("layout", "spread", "wall", "cpu")
"""Fields that a row may have besides: layout of a GEMM's operands; distance of the quartiles over the median; seconds
on the wall and of the processor."""

LAYOUTS = {"NT": "forward", "NN": "dgrad", "TN": "wgrad"}
"""Direction of the pass that multiplies operands of a layout: weights lie output after output."""


@dataclass(frozen=True)
class Kind:
    """One operator of a file. shape: names of its numbers; formats: those it may have; make: the work that plans price,
    None where they price none by itself; usual: format where none is given.
    """

    shape: tuple[str, ...]
    formats: tuple[str, ...]
    make: Callable[..., Sample | Collective] | None = None
    precision: Callable[[str], Precision] = lambda _: Precision()
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


_CACHES = ("bf16", "fp8", "int8", "fp16", "fp32")
_ALL = ("bf16", "fp32", "fp16", "fp8", "int8")
_HEADS = ("heads", "width", "cached")

KINDS: dict[str, Kind] = {
    "gemm": Kind(("m", "n", "k"), tuple(FORMATS), gemm, _weights),
    "grouped_gemm": Kind(("rows", "experts", "n", "k"), tuple(FORMATS), _grouped, _weights),
    "prefill": Kind(
        ("batch", "tokens", *_HEADS), ("bf16", "fp8", "fp16", "fp32"), prefill, lambda name: Precision(attention=name)
    ),
    "decode": Kind(("batch", "context", *_HEADS), _CACHES, decode, lambda name: Precision(cache=name)),
    "all_reduce": Kind(("bytes", "ranks"), ("bf16",), _reduce, lambda _: Precision()),
    "all_to_all": Kind(("bytes", "ranks", "copies"), ("bf16",), _exchange, lambda _: Precision()),
    "bmm": Kind(("batch", "m", "n", "k"), _ALL),
    "prefill_backward": Kind(("batch", "tokens", *_HEADS), _ALL),
    **{name: Kind(("bytes",), _ALL) for name in ("elementwise", "transcendental", "reduction", "copy", "triad")},
    **{name: Kind(("rows", "width"), _ALL) for name in ("norm", "softmax", "cross_entropy", "gather", "scatter")},
    **{name: Kind(("bytes",), _ALL) for name in ("optimiser", "to_device", "to_host")},
    **{name: Kind(("calls",), _ALL) for name in ("launch", "launch_view", "launch_tracked")},
    **{name: Kind(("bytes", "ranks"), _ALL) for name in ("all_gather", "reduce_scatter", "broadcast")},
}
"""Operators of a file. width: query plus value size of a head; cached: elements that a token leaves in the cache;
bytes: read and written, or sent.
"""


@dataclass(frozen=True)
class Row:
    """One measurement: where it stands, which operator in which format, its shape and seconds, and of what; layout: of
    a GEMM's operands, as forward where none is given; spread, wall, cpu: as measured, where the file has them.
    """

    place: str
    operator: str
    format: str
    shape: tuple[float, ...]
    seconds: float
    chip: str
    software: str
    layout: str = ""
    spread: float | None = None
    wall: float | None = None
    cpu: float | None = None


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
        if not rows and not problems and is_header(line):
            continue
        try:
            rows.append(_row(_object(line), f"{path}:{number}"))
        except ValueError as error:
            problems.append(Problem(str(error), f"{path}:{number}"))
    if not rows and not problems:
        problems = [Problem("holds no measurement", str(path))]
    if problems:
        raise InputError(problems)
    return tuple(rows)


def is_header(line: str) -> bool:
    """Whether a line is the first one of a file of `tonnage qualify`."""
    return line.lstrip().startswith('{"tonnage"')


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
    for name in value.keys() - {*FIELDS, *MORE}:
        near = nearest(name[:40], (*FIELDS, *MORE))
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
    layout = value.get("layout", "")
    if layout and (not isinstance(layout, str) or layout not in LAYOUTS or operator != "gemm"):
        raise ValueError(f"layout: expected one of {', '.join(LAYOUTS)}, of a gemm")
    more = [None if value.get(key) is None else _number(value[key], key, 0.0, SECONDS[1]) for key in MORE[1:]]
    return Row(
        place, operator, name, sizes, seconds, _text(value, "chip"), _text(value, "software"), str(layout), *more
    )


def _text(value: Mapping[str, object], name: str, usual: str | None = None) -> str:
    found = value.get(name, usual)
    if not isinstance(found, str) or not 0 < len(found) <= 200:
        raise ValueError(f"{name}: expected a text of 1 to 200 characters")
    return found


def _number(value: object, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{name}: expected a number from {low:g} to {high:g}, got {str(value)[:40]}")
    return float(value)


def qualified(rows: tuple[Row, ...], accelerator: Accelerator, *, cached: bool = False) -> Measured | None:
    """The measurements of a chip; None where no row is of it. Raises InputError for rows that no chip can have done.

    cached: operands may have come from caches, as a processor's do, so that a time may beat the memory.
    """
    own = [row for row in rows if row.chip == accelerator.name and KINDS[row.operator].make is not None]
    if not own:
        return None
    chip = replace(accelerator, measured=None)
    parts: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in own:
        parts[row.operator, row.format, LAYOUTS.get(row.layout, "forward")].append(row)
    samples = [_samples(held, direction) for (*_, direction), held in parts.items()]
    problems = [
        each
        for part, held in zip(samples, parts.values(), strict=True)
        for each in (() if cached else _checked(part, held, chip))
    ]
    if problems:
        raise InputError(problems[:MAX_SHOWN])
    found = grids(samples, chip, believed=True)
    source = "; ".join(sorted({row.software for row in own}))[:200]
    return Measured(f"{chip.name} by {source}", chip, found.get)


def _samples(rows: list[Row], direction: str) -> Samples:
    """Rows of one operator in one format and direction as samples."""
    kind = KINDS[rows[0].operator]
    assert kind.make is not None
    columns = np.array([row.shape for row in rows], dtype=float).T
    work = kind.make(*columns)
    if isinstance(work, Sample) and direction != "forward":
        work = replace(work, direction=direction)
    name, seconds = rows[0].operator, np.array([row.seconds for row in rows])
    return Samples(name, kind.precision(rows[0].format), (work,), seconds, fused=name == "all_reduce")


def _checked(samples: Samples, rows: list[Row], chip: Accelerator) -> list[Problem]:
    """What beats the datasheet."""
    ratio = samples.ideal(chip) / samples.seconds
    fast = np.flatnonzero(ratio * SLACK > 1.0)
    text = "{:.2g} times faster than {}'s datasheet allows: are seconds, bytes and counts as the file's form has them?"
    return [Problem(text.format(float(ratio[i]), chip.name), rows[i].place) for i in fast]
