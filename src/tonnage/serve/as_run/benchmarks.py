"""A user's measurements from the files that benchmarks write: CSV, and the JSON of vLLM's and SGLang's benchmarks."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tonnage import files, units
from tonnage.errors import InputError, Problem, nearest

Row = Mapping[str, object]
"""A measurement in the form of docs/cases.md: what a file holds is looked at where it is used."""

MAX_FILE = 64 * 2**20
MAX_ROWS = 10_000
MAX_DEPTH = 12
MAX_SHOWN = 20
LARGEST = 1e9

ARRIVALS_KEPT = 0.95
"""Share of the asked rate that is served when arrivals, not the cap on concurrency, set the load."""

_BENCH = ("mean_tpot_ms", "mean_itl_ms", "mean_ttft_ms", "output_throughput", "request_throughput")

_COLUMNS: dict[str, tuple[tuple[str, ...], str, float]] = {
    "concurrency": (("workload", "concurrency"), "number", 1.0),
    "max_concurrency": (("workload", "concurrency"), "number", 1.0),
    "request_rate": (("workload", "request_rate"), "number", 1.0),
    "isl": (("workload", "input_len"), "tokens", 1.0),
    "input_len": (("workload", "input_len"), "tokens", 1.0),
    "osl": (("workload", "output_len"), "tokens", 1.0),
    "output_len": (("workload", "output_len"), "tokens", 1.0),
    "cache_hit": (("workload", "cache_hit"), "share", 1.0),
    "tpot": (("metrics", "tpot"), "time", 1.0),
    "tpot_ms": (("metrics", "tpot"), "number", 1e-3),
    "mean_tpot_ms": (("metrics", "tpot"), "number", 1e-3),
    "itl_ms": (("metrics", "tpot"), "number", 1e-3),
    "mean_itl_ms": (("metrics", "tpot"), "number", 1e-3),
    "ttft": (("metrics", "ttft"), "time", 1.0),
    "ttft_ms": (("metrics", "ttft"), "number", 1e-3),
    "mean_ttft_ms": (("metrics", "ttft"), "number", 1e-3),
    "output_throughput": (("output_throughput",), "number", 1.0),
    "output_tokens_per_second_per_accelerator": (
        ("metrics", "output_tokens_per_second_per_accelerator"),
        "number",
        1.0,
    ),
    "input_tokens_per_second_per_accelerator": (("metrics", "input_tokens_per_second_per_accelerator"), "number", 1.0),
    "count": (("count",), "count", 1.0),
    "tp": (("layout", "tp"), "count", 1.0),
    "pp": (("layout", "pp"), "count", 1.0),
    "dp": (("layout", "dp"), "count", 1.0),
    "ep": (("layout", "ep"), "count", 1.0),
    "etp": (("layout", "moe_tp"), "count", 1.0),
}
"""Columns of a CSV: where each goes, what kind of quantity it is, and its factor to base units."""

_PARTS = ("metrics", "workload", "layout")

_TEXTS = ("id", "chip", "engine", "mode", "weights", "kv")


def read_measured(path: Path) -> tuple[tuple[str, Row], ...]:
    """Measurements of a file -> (place, row in the form of docs/cases.md) for each, with what the file says only.

    `.csv`: one point a line under a line of names; else JSON: one object, a list, or one object a line, each either a
    row of docs/cases.md or what `vllm bench serve --save-result` and `sglang.bench_serving --output-file` write. Totals
    stand in `output_throughput` [token/s of the whole deployment]. Raises InputError with every problem found.
    """
    data = files.read_bytes(path, MAX_FILE)
    if b"\0" in data:
        raise InputError(Problem("binary, expected CSV or JSON", where=str(path)))
    text = data.decode("utf-8-sig", errors="replace")
    pairs, problems = (_csv if path.suffix.lower() == ".csv" else _json)(text, path)
    if not pairs and not problems:
        problems = [Problem("holds no measurement", str(path))]
    if len(pairs) > MAX_ROWS:
        problems.append(Problem(f"more than the {MAX_ROWS:,} measurements that are read", str(path)))
    if problems:
        raise InputError(_few(problems))
    return tuple(pairs)


def _few(problems: list[Problem]) -> list[Problem]:
    more = len(problems) - MAX_SHOWN
    return problems[:MAX_SHOWN] + ([Problem(f"and {more:,} more", problems[0].where)] if more > 0 else [])


def _csv(text: str, path: Path) -> tuple[list[tuple[str, dict[str, Any]]], list[Problem]]:
    """(place, row) of each line of CSV, and what is wrong with it."""
    try:
        lines = list(csv.reader(io.StringIO(text), strict=True))
    except csv.Error as error:
        return [], [Problem(f"is not CSV: {error}", str(path))]
    if not lines:
        return [], []
    names = [cell.strip().lower() for cell in lines[0]]
    problems = _names(names, path)
    if problems:
        return [], problems
    pairs: list[tuple[str, dict[str, Any]]] = []
    for number, cells in enumerate(lines[1:], start=2):
        place = f"{path}:{number}"
        if len(pairs) > MAX_ROWS or not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            problems.append(Problem(f"{len(cells)} cells under {len(names)} names", place))
            continue
        pairs.append((place, _cells(names, cells, place, problems)))
    return pairs, problems


def _names(names: list[str], path: Path) -> list[Problem]:
    known = (*_COLUMNS, *_TEXTS)
    place = f"{path}:1"
    found = [
        Problem(f'no column "{name[:40]}" is known; known: {", ".join(known)}', place, "", nearest(name[:40], known))
        for name in names
        if name not in known
    ]
    targets = [_COLUMNS[name][0] for name in names if name in _COLUMNS]
    if len(set(targets)) < len(targets) or len(set(names)) < len(names):
        found.append(Problem("two columns say the same thing", place))
    return found[:MAX_SHOWN]


def _cells(names: list[str], cells: list[str], place: str, problems: list[Problem]) -> dict[str, Any]:
    """The row of one line; what cannot be read joins the problems."""
    row: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=True):
        value = cell.strip()
        if not value:
            continue
        if name in _TEXTS:
            row[name] = value
            continue
        where, kind, factor = _COLUMNS[name]
        try:
            _put(row, where, _positive(units.parse(value, kind) * factor, zero=name == "cache_hit"))
        except ValueError as error:
            problems.append(Problem(str(error), f"{place} {name}"))
    if "request_rate" in row.get("workload", {}):
        row["workload"]["arrival"] = "poisson"
    return row


def _put(row: dict[str, Any], where: tuple[str, ...], value: Any) -> None:
    for key in where[:-1]:
        row = row.setdefault(key, {})
    row[where[-1]] = value


def _positive(value: float, *, zero: bool = False) -> float:
    if not (math.isfinite(value) and 0 <= value <= LARGEST) or (value == 0 and not zero):
        raise ValueError(f"expected a number above 0 and at most {LARGEST:g}, got {value:g}")
    return value


def _json(text: str, path: Path) -> tuple[list[tuple[str, dict[str, Any]]], list[Problem]]:
    """(place, row) of each object of JSON or JSON Lines, and what is wrong with it."""
    objects: list[tuple[str, Any]] = []
    problems: list[Problem] = []
    try:
        whole = _parse(text)
        objects = (
            [(f"{path}[{i}]", one) for i, one in enumerate(whole)] if isinstance(whole, list) else [(str(path), whole)]
        )
    except ValueError:
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.strip() or len(problems) > MAX_SHOWN or len(objects) > MAX_ROWS:
                continue
            try:
                objects.append((f"{path}:{number}", _parse(line)))
            except ValueError as error:
                problems.append(Problem(f"is not JSON: {error}", f"{path}:{number}"))
    pairs: list[tuple[str, dict[str, Any]]] = []
    for place, one in objects[: MAX_ROWS + 1]:
        try:
            pairs.append((place, _object(one)))
        except ValueError as error:
            problems.append(Problem(str(error), place))
    return pairs, problems


def _parse(text: str) -> Any:
    """JSON, in which SGLang's `Infinity` (no limit on the rate) is allowed. Raises ValueError."""
    try:
        value = json.loads(text, parse_constant=_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for one in level for child in _children(one) if isinstance(child, (dict, list))]
    if level:
        raise ValueError("nested too deeply")
    return value


def _constant(word: str) -> float:
    if word != "Infinity":
        raise ValueError(f"{word} is not a number in JSON")
    return math.inf


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object")
    if "metrics" in value:
        wrong = [name for name in _PARTS if name in value and not isinstance(value[name], dict)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: expected an object")
        return value
    if not any(key in value for key in _BENCH):
        raise ValueError(f"neither a row with metrics (docs/cases.md) nor a benchmark's result ({', '.join(_BENCH)})")
    return _bench(value)


def _bench(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a benchmark wrote, as a row. Its ITL stands for TPOT where that is missing: they agree without drafts."""
    row: dict[str, Any] = {"workload": {}, "metrics": {}}
    completed = _number(result, "completed")
    tokens = ("total_input_tokens", "input_len"), ("total_output_tokens", "output_len")
    for key, name in tokens:
        total = _number(result, key)
        if total is not None and completed is not None:
            row["workload"][name] = total / completed
    row["workload"] |= _load(result, completed)
    tpot = _number(result, "mean_tpot_ms") or _number(result, "mean_itl_ms")
    ttft = _number(result, "mean_ttft_ms")
    row["metrics"] |= {name: each / 1e3 for name, each in (("tpot", tpot), ("ttft", ttft)) if each is not None}
    rate = _number(result, "output_throughput")
    if rate is not None:
        row["output_throughput"] = rate
    return row


def _load(result: Mapping[str, Any], completed: float | None) -> dict[str, Any]:
    """Concurrency of a closed loop, or the rate of arrivals where these set the load; all at once where neither."""
    cap, rate = _number(result, "max_concurrency"), _number(result, "request_rate")
    served = _number(result, "request_throughput")
    kept = rate is not None and (served is None or served >= ARRIVALS_KEPT * rate)
    if rate is not None and (cap is None or kept):
        return {"arrival": "poisson", "request_rate": rate}
    if cap is not None:
        return {"arrival": "closed-loop", "concurrency": cap}
    if completed is None:
        raise ValueError("neither max_concurrency, request_rate nor completed says what the load was")
    return {"arrival": "all-at-once", "num_requests": completed}


def _number(result: Mapping[str, Any], key: str) -> float | None:
    """A positive number; None where it is missing, null, zero or without limit. Raises ValueError for anything else."""
    value = result.get(key)
    if value is None or value in ("inf", "trace") or value == math.inf:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{key}: expected a number, got {str(value)[:40]}")
    if not 0 <= value <= LARGEST * 1e3:
        raise ValueError(f"{key}: expected a number from 0 to {LARGEST * 1e3:g}, got {value:g}")
    return float(value) or None


def complete(row: Row, usual: Row) -> Row:
    """A row with what the command says of everything that the row leaves out; totals become per accelerator."""
    own: dict[str, Any] = dict(row)
    said: dict[str, Any] = dict(usual)
    whole = {key: value for key, value in said.items() if value is not None} | own
    whole["workload"] = {**said["workload"], **own.get("workload", {})}
    whole["metrics"] = dict(own.get("metrics", {}))
    total = whole.pop("output_throughput", None)
    if total is not None:
        whole["metrics"].setdefault("output_tokens_per_second_per_accelerator", total / whole["count"])
    return whole
