"""Traces of requests, read line by line: Azure's of 2023 and 2024, BurstGPT, Mooncake, vLLM's benchmark and logs.

A row that cannot be used is left out, counted and told of with its line; a trace of which more than a hundredth cannot
be used is refused. Nothing longer than `LINE` is held, whatever the file.
"""

from __future__ import annotations

import csv
import datetime
import gzip
import itertools
import json
import math
import re
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from tonnage import files
from tonnage.errors import InputError, Problem
from tonnage.printable import one_line
from tonnage.simulate.generate import ArrivalProcess, arrival_times, come
from tonnage.simulate.workload import Real, Workload, workload

LINE = 4_000_000
"""Bytes of a line at most: 400,000 hashes of a prompt."""

ROWS = 20_000_000
"""Rows at most, as many as are simulated."""

LOOKS = 1 << 16
"""Lines between two looks at whether to go on."""

PACKED = 50
"""Bytes of a trace for each packed one at most: public ones have 4 to 20 (Azure 2024, Mooncake), a bomb 1,000."""

BEGINNING = 16_000_000
"""Bytes of a trace from which that is held against it."""

FAILED = "no tokens in or out (a request that failed)"
"""What traces of services have in them (BurstGPT 1.8 %), so that they do not count among rows that cannot be used."""

SHOWN = 5
"""Rows of each kind of fault that are told of with their line."""

TOLERATED = 0.01
"""Share of the rows that may be left out."""

HOPELESS = 100_000
"""Rows that cannot be used after which, where there are no more that can, a file is no trace: reading ends."""

LONGEST = 100_000_000
"""Tokens of a request at most."""

MOONCAKE_UNIT = 512
"""Tokens of a hashed piece of a prompt in Mooncake's traces (github.com/kvcache-ai/Mooncake, README of the traces)."""

Plain = dict[str, object]


@dataclass
class Faults:
    """What was wrong, by kind: how often, and where first."""

    count: Counter[str] = field(default_factory=Counter)
    lines: dict[str, list[int]] = field(default_factory=dict)

    def add(self, kind: str, line: int) -> None:
        """One more."""
        self.count[kind] += 1
        if self.count[kind] <= SHOWN:
            self.lines.setdefault(kind, []).append(line)

    def told(self) -> tuple[str, ...]:
        """Each kind in a sentence."""
        return tuple(self._one(kind) for kind in sorted(self.count))

    def _one(self, kind: str) -> str:
        count, lines = self.count[kind], ", ".join(f"{line:,}" for line in self.lines[kind])
        more = ", ..." if count > SHOWN else ""
        return f"{kind}: {count:,} row{'s' * (count > 1)}, line{'s' * (count > 1)} {lines}{more}"


@dataclass
class Columns:
    """What was read."""

    time: array[float] = field(default_factory=lambda: array("d"))
    isl: array[int] = field(default_factory=lambda: array("q"))
    osl: array[int] = field(default_factory=lambda: array("q"))
    pieces: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    ids: dict[object, int] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    rows: int = 0

    def add(self, line: int, time: float, isl: int, osl: int, pieces: object = None) -> None:
        """One request, or what is wrong with it."""
        fault = _fault(time, isl, osl, pieces)
        if fault is not None:
            self.faults.add(fault, line)
            return
        self.time.append(time)
        self.isl.append(isl)
        self.osl.append(osl)
        listed = pieces if isinstance(pieces, list) else []
        self.pieces.extend(self.ids.setdefault(piece, len(self.ids)) for piece in listed)
        self.sizes.append(len(listed))


def _fault(time: float, isl: int, osl: int, pieces: object) -> str | None:
    if not math.isfinite(time):
        return "no time"
    if isl < 0 or osl < 0:
        return "negative length"
    if isl == 0 or osl == 0:
        return FAILED
    if isl > LONGEST or osl > LONGEST:
        return f"over {LONGEST:,} tokens"
    listed = pieces if isinstance(pieces, list) else []
    if any(not isinstance(piece, (int, str)) for piece in listed):
        return "hash that is neither a number nor text"
    return None


Going = Callable[[int], bool]
"""Told how many lines are read; returns whether to go on."""


def read_trace(path: Path, going: Going | None = None) -> Workload:
    """The requests of a trace, its kind told by its first line. Raises InputError with lines and counts, and
    KeyboardInterrupt where it is not to go on.
    """
    with _open(path) as file:
        found, kind, notes = _read(file, path, going)
    name = one_line(path.name, 60)
    left = sum(found.faults.count.values())
    told = found.faults.told()
    if not found.time or left - found.faults.count[FAILED] > TOLERATED * found.rows or 2 * left > found.rows:
        what = f"{left:,} of {found.rows:,} rows cannot be used" if found.rows else "no row"
        raise InputError([Problem(f"{kind}: {what}", name), *(Problem(one, name) for one in told)])
    if left:
        notes += (f"{left:,} of {found.rows:,} rows left out: {'; '.join(told)}",)
    return _workload(found, f"{name} ({kind})", notes)


def _open(path: Path) -> BinaryIO:
    if not path.is_file():
        files.read_bytes(path, 0)  # says what is wrong with it
        raise InputError(Problem("is not a file", str(path)))
    files.note_read(path)
    try:
        return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise InputError(Problem(f"cannot be read: {(error.strerror or str(error)).lower()}", str(path))) from None


def _look(file: BinaryIO, path: Path, number: int, going: Going | None) -> None:
    """Stops what is not to go on. Raises InputError for what is packed too well to be a trace."""
    if going is not None and not going(number):
        raise KeyboardInterrupt
    if isinstance(file, gzip.GzipFile) and file.tell() > BEGINNING:
        packed = file.fileobj.tell()
        if file.tell() > PACKED * packed:
            raise InputError(Problem(f"unpacks to more than {PACKED} times its size, which no trace does", str(path)))


def lines(file: BinaryIO, path: Path, faults: Faults, going: Going | None) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; one that is too long is passed over in pieces, one that is no text left out."""
    number = 0
    while True:
        number += 1
        if number % LOOKS == 0:
            _look(file, path, number, going)
        raw = file.readline(LINE + 1)
        if not raw:
            return
        if len(raw) > LINE:
            faults.add(f"line of more than {LINE:,} bytes", number)
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(LINE)
                _look(file, path, number, going)
            yield number, ""
            continue
        try:
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            faults.add("no text in UTF-8", number)
            yield number, ""


def _read(file: BinaryIO, path: Path, going: Going | None) -> tuple[Columns, str, tuple[str, ...]]:
    found = Columns()
    try:
        head = file.peek(LINE)[:1] if hasattr(file, "peek") else b""
        rows = lines(file, path, found.faults, going)
        first = next(rows, (0, ""))
        if head == b"{" and not _is_json(first[1]):
            file.close()
            return _bench(path, found)
        if head == b"{":
            _jsonl(first, rows, found, path)
            return found, found_kind(first[1]), ()
        read = _by_header(first[1], str(path))
        for number, text in rows:
            _count(found, path)
            if text:
                _csv(number, text, read, found)
        return found, read.kind, ()
    except (OSError, EOFError, zlib.error) as error:
        found.faults.add(f"truncated or damaged file ({one_line(str(error), 60)})", found.rows + 1)
        found.rows += 1
        return found, "trace", ()


def _count(found: Columns, path: Path) -> None:
    found.rows += 1
    if found.rows > ROWS:
        raise InputError(Problem(f"has more than {ROWS:,} rows", str(path)))
    bad = found.rows - len(found.time)
    if bad > HOPELESS and bad > len(found.time):
        told = [Problem(one, path.name) for one in found.faults.told()]
        raise InputError([Problem(f"{bad:,} of the first {found.rows:,} rows cannot be used", str(path)), *told])


@dataclass(frozen=True)
class Header:
    """Columns of a CSV trace, and how its times are written."""

    kind: str
    time: int
    isl: int
    osl: int
    when: Callable[[str], float]


_MOMENT = re.compile(r"([^.]*?)(?:\.([0-9]*))?(Z|[+-]\d\d:\d\d)?", re.ASCII)
"""A day and a time of day, its decimals, its zone."""


def _iso(text: str) -> float:
    """Seconds of a time of day with any number of decimals; one without a zone is in UTC."""
    parts = _MOMENT.fullmatch(text.strip())
    if parts is None:
        raise ValueError(text)
    moment = datetime.datetime.fromisoformat(parts[1] + (parts[3] or "Z"))
    since = moment - datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
    return since.total_seconds() + (float(f"0.{parts[2]}") if parts[2] else 0.0)


def _by_header(first: str, name: str) -> Header:
    """How a CSV trace is read. Raises InputError where its columns are of no kind that is known."""
    try:
        columns = [column.strip().lower() for column in next(csv.reader([first]), [])]
    except csv.Error:
        columns = []
    if {"timestamp", "contexttokens", "generatedtokens"} <= set(columns):
        time, isl, osl = map(columns.index, ("timestamp", "contexttokens", "generatedtokens"))
        return Header("Azure trace", time, isl, osl, _iso)
    if {"timestamp", "request tokens", "response tokens"} <= set(columns):
        time, isl, osl = map(columns.index, ("timestamp", "request tokens", "response tokens"))
        return Header("BurstGPT trace", time, isl, osl, float)
    message = (
        f'the first line, "{one_line(first, 60)}", is of no trace that is known: Azure (TIMESTAMP, ContextTokens, '
        "GeneratedTokens), BurstGPT (Timestamp, Request tokens, Response tokens), Mooncake (JSON Lines: timestamp, "
        "input_length, output_length), vLLM's benchmark (JSON: input_lens, output_lens)"
    )
    raise InputError(Problem(message, name))


def _csv(number: int, text: str, how: Header, found: Columns) -> None:
    try:
        cells = next(csv.reader([text]))
        time, isl, osl = how.when(cells[how.time]), float(cells[how.isl]), float(cells[how.osl])
        found.add(number, time, _tokens(isl), _tokens(osl))
    except (ValueError, IndexError, StopIteration, csv.Error, OverflowError):
        found.faults.add("bad row", number)


def _tokens(value: object) -> int:
    """A whole number. Raises ValueError where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise ValueError(value)
    return int(value)


KEYS = (
    ("timestamp", "input_length", "output_length", 1e-3, "Mooncake trace"),
    ("arrival_time", "input_toks", "output_toks", 1.0, "vLLM log"),
)
"""Keys of JSON Lines: time, tokens in and out, seconds of a unit of time, kind."""


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict) and _keys(json.loads(text)) is not None
    except (ValueError, RecursionError):
        return False


def _keys(row: Plain) -> tuple[str, str, str, float, str] | None:
    return next((keys for keys in KEYS if set(keys[:3]) <= row.keys()), None)


def found_kind(first: str) -> str:
    """What a JSON Lines trace is, by its first line."""
    keys = _keys(json.loads(first))
    return "trace" if keys is None else keys[4]


def _jsonl(first: tuple[int, str], rows: Iterator[tuple[int, str]], found: Columns, path: Path) -> None:
    for number, text in itertools.chain([first], rows):
        _count(found, path)
        if text:
            _json_row(number, text, found)


def _json_row(number: int, text: str, found: Columns) -> None:
    try:
        row = json.loads(text)
        keys = _keys(row)
        if keys is None:
            raise ValueError(text)
        time = row[keys[0]]
        if isinstance(time, bool) or not isinstance(time, (int, float)):
            raise ValueError(time)
        found.add(number, time * keys[3], _tokens(row[keys[1]]), _tokens(row[keys[2]]), row.get("hash_ids"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        found.faults.add("bad row", number)


def _bench(path: Path, found: Columns) -> tuple[Columns, str, tuple[str, ...]]:
    """What `vllm bench serve --save-result --save-detailed` wrote: lengths, and when requests were sent where it says
    so, else the rate that was asked for.
    """
    value = files.read_json(path).value
    if not isinstance(value, dict) or not {"input_lens", "output_lens"} <= value.keys():
        raise InputError(
            Problem("no JSON of vLLM's benchmark with input_lens and output_lens (--save-detailed)", str(path))
        )
    ins, outs = value["input_lens"], value["output_lens"]
    if not isinstance(ins, list) or not isinstance(outs, list) or len(ins) != len(outs):
        raise InputError(Problem("input_lens and output_lens are not lists of one length", str(path)))
    starts, notes = value.get("start_times"), ()
    if not (isinstance(starts, list) and len(starts) == len(ins)):
        rate = value.get("request_rate")
        known = isinstance(rate, (int, float)) and not isinstance(rate, bool) and 0 < rate < 1e9
        how = ArrivalProcess("poisson", float(rate)) if known else ArrivalProcess("at-once")  # type: ignore[arg-type]
        starts = arrival_times(how, len(ins), np.random.default_rng(0)).tolist()
        notes = (f"no start_times: {f'Poisson at {rate:g}/s' if known else 'all at once'}, as was asked for",)  # type: ignore[assignment]
    for number, (time, isl, osl) in enumerate(zip(starts, ins, outs, strict=True), 1):
        found.rows += 1
        try:
            found.add(number, float(time), _tokens(isl), _tokens(osl))
        except (TypeError, ValueError, OverflowError):
            found.faults.add("bad entry", number)
    return found, "vLLM benchmark", notes


def _workload(found: Columns, name: str, notes: tuple[str, ...]) -> Workload:
    time = np.array(found.time)
    back = np.flatnonzero(np.diff(time) < 0)
    if back.size:
        notes += (f"{back.size:,} rows earlier than the row before them (first: row {back[0] + 2:,}); put in order",)
    made = workload(time - time.min(), np.array(found.isl), np.array(found.osl), name)
    if not found.pieces:
        return _noted(made, notes)
    order = np.argsort(time, kind="stable")
    sizes = np.asarray(found.sizes)
    begin = np.concatenate([[0], np.cumsum(sizes)])
    at = np.concatenate([[0], np.cumsum(sizes[order])]).astype(np.int64)
    take = np.repeat(begin[:-1][order] - at[:-1], sizes[order]) + np.arange(at[-1])
    pieces = np.asarray(found.pieces, dtype=np.int64)[take]
    return _noted(replace(made, pieces=pieces, at=at, unit=MOONCAKE_UNIT), notes)


def _noted(made: Workload, notes: tuple[str, ...]) -> Workload:
    return replace(made, notes=notes)


def at_rate(load: Workload, rate: float) -> Workload:
    """The same requests, their times stretched to a mean rate [1/s]."""
    span = float(load.arrival[-1] - load.arrival[0]) if load.size > 1 else 0.0
    if span <= 0:
        raise InputError(Problem("all requests come at once; they have no rate that could be changed", load.name))
    return replace(load, arrival=load.arrival * ((load.size - 1) / span / rate))


@dataclass(frozen=True)
class TraceFit:
    """What a log says of its requests. rate: mean, per second; cv: coefficient of variation of the times between; isl,
    osl: means; sigma_in, sigma_out: spreads of the logarithms.
    """

    rate: float
    cv: float
    isl: float
    osl: float
    sigma_in: float
    sigma_out: float


def fit_trace(load: Workload) -> TraceFit:
    """The workload of a log, in few numbers."""
    gaps: Real = np.diff(load.arrival)
    span = float(gaps.sum())
    if span <= 0:
        raise InputError(Problem("a log of requests that all come at once says nothing of their rate", load.name))
    mean = float(gaps.mean())
    return TraceFit(
        rate=1.0 / mean,
        cv=max(float(gaps.std()) / mean, 0.01),
        isl=float(load.isl.mean()),
        osl=float(load.osl.mean()),
        sigma_in=float(np.log(load.isl).std()),
        sigma_out=float(np.log(load.osl).std()),
    )


def like_trace(
    load: Workload, size: int, seed: int = 0, rate: float | None = None, how: ArrivalProcess | None = None
) -> Workload:
    """So many new requests of the kind of a log: pairs of lengths drawn from it, gaps of a gamma distribution like its
    own where nobody says how they come.
    """
    rng = np.random.default_rng([seed, 2])
    if how is None or how.kind not in ("closed", "at-once"):
        fit = fit_trace(load)
        how = replace(how or ArrivalProcess("gamma", cv=fit.cv), rate=rate or fit.rate)
    pick = rng.integers(0, load.size, size)
    made = come(load.isl[pick], load.osl[pick], how, rng, f"like {load.name}: ")
    return replace(made, notes=load.notes + made.notes)
