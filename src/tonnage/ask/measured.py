"""What people write of what they measured -> rows for a ledger: `step_time=3.2s`, files of rows."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tonnage import files, units
from tonnage.catalog import Catalog
from tonnage.errors import InputError, Problem, nearest
from tonnage.ledger import QUANTITIES, MeasuredRow, Plain, PlanEntry, unfit
from tonnage.units import DAY

MAX_FILE = 64 * 2**20
MAX_ROWS = 200_000
MAX_SHOWN = 20

_BETWEEN = re.compile(r",(?=\s*[A-Za-z_]+\s*(?:=|,|$))")
"""Between two pairs: not inside a number such as $1,200."""

CASE = ("published", "metrics", "metric")
"""Keys by which a row is one of docs/cases.md."""


def pairs(texts: Sequence[str], start: datetime.date | None) -> MeasuredRow:
    """`step_time=3.2s,tpot=40ms`. start: first day of the plan, from which dates count. Raises InputError."""
    values: dict[str, float] = {}
    problems: list[Problem] = []
    for text in (part for whole in texts for part in _BETWEEN.split(whole)):
        name, equals, value = (part.strip() for part in text.partition("="))
        try:
            if not equals:
                raise ValueError(f'expected QUANTITY=VALUE, got "{text[:60]}"')
            if name in values:
                raise ValueError("is given twice")
            values[name] = _value(name, value, start)
        except ValueError as error:
            known = name in QUANTITIES or not equals
            problems.append(Problem(str(error), "set", name[:40], None if known else nearest(name[:40], QUANTITIES)))
    problems += [replace(one, where="set") for one in unfit(values)]
    if problems:
        raise InputError(problems, hint=f"quantities: {', '.join(QUANTITIES)}")
    return MeasuredRow(values, {"set": list(texts)})


def _value(name: str, text: str | float, start: datetime.date | None) -> float:
    """A quantity in base units; a date as seconds from the first day of the plan. Raises ValueError."""
    if name not in QUANTITIES:
        raise ValueError("is no quantity that is measured")
    kind = QUANTITIES[name].kind
    if kind == "date":
        if start is None:
            raise ValueError("is of a launch, which this plan is not")
        return (units.parse_date(str(text)) - start).days * DAY
    if isinstance(text, str) and units.lacks_unit(text, kind):
        raise ValueError(f"expected a time with its unit, such as {units.example(kind)}, got {text}")
    return units.parse(text, kind)


def rows(path: Path, plan: PlanEntry, start: datetime.date | None, catalog: Catalog) -> list[MeasuredRow]:
    """Rows of a file: JSON Lines as in docs/cases.md, or with the names of quantities as keys, in base units; of a
    service also what its benchmark wrote. Raises InputError with what is wrong with any of them.
    """
    found: list[MeasuredRow] = []
    problems: list[Problem] = []
    for place, row in _objects(path, plan):
        try:
            _same(row, plan, catalog)
            values = _values(row, plan, start)
            problems += [replace(one, where=place) for one in unfit(values)]
            found.append(MeasuredRow(values, row, _moment(row)))
        except ValueError as error:
            problems.append(Problem(str(error), place))
        except InputError as error:
            problems += [replace(one, where=place) for one in error.problems]
    if problems:
        more = [Problem(f"and {len(problems) - MAX_SHOWN:,} more", str(path))] if len(problems) > MAX_SHOWN else []
        raise InputError([*problems[:MAX_SHOWN], *more], hint="rows are written as in docs/ledger.md")
    return found


def _objects(path: Path, plan: PlanEntry) -> Sequence[tuple[str, Plain]]:
    """(place, row) of each line; a benchmark's own file is read as `serve` reads it for its anchor."""
    from tonnage.serve import read_measured

    if plan.command == "serve" and path.suffix.lower() == ".csv":
        return read_measured(path)
    text = files.read_text(path, MAX_FILE)
    lines = [(f"{path}:{number}", line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(lines) > MAX_ROWS:
        raise InputError(Problem(f"more than the {MAX_ROWS:,} rows that are read", str(path)))
    try:
        found = [(place, files.parse_json(line, place)) for place, line in lines]
    except InputError:
        if plan.command != "serve":
            raise
        return read_measured(path)
    bare = [place for place, row in found if not isinstance(row, dict)]
    if not found or bare:
        raise InputError(Problem("expected a JSON object on each line", bare[0] if bare else str(path)))
    if plan.command == "serve" and not any({*CASE, *QUANTITIES} & row.keys() for _, row in found):
        return read_measured(path)
    return found


def _values(row: Plain, plan: PlanEntry, start: datetime.date | None) -> dict[str, float]:
    """What a row says of quantities. Raises ValueError where it says nothing."""
    given: dict[str, object] = {}
    if any(key in row for key in CASE):
        metrics = row.get("metrics")
        given |= metrics if isinstance(metrics, Mapping) else {}
        name = row.get("metric") or "tokens_per_second_per_accelerator"
        given |= {str(name): row["published"]} if row.get("published") is not None else {}
        total = row.get("output_throughput")
        if isinstance(total, (int, float)) and plan.subject.count:
            given.setdefault("output_tokens_per_second_per_accelerator", total / plan.subject.count)
    else:
        given |= {name: row[name] for name in QUANTITIES if row.get(name) is not None}
    values = {name: _plain(name, value, start) for name, value in given.items() if name in QUANTITIES}
    if not values:
        raise ValueError(f"says nothing of a quantity: {', '.join(QUANTITIES)}")
    return values


def _plain(name: str, value: object, start: datetime.date | None) -> float:
    """A value of a row: a number in base units, text with its unit, or a date."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{name}: expected a number, got {str(value)[:40]}")
    try:
        return _value(name, value, start)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _same(row: Plain, plan: PlanEntry, catalog: Catalog) -> None:
    """Raises ValueError for a row that was measured on other accelerators than the plan's."""
    about = plan.subject
    chip, count = row.get("chip"), row.get("count")
    if isinstance(chip, str) and about.chip is not None and chip != about.chip and catalog.chip(chip) != about.chip:
        raise ValueError(f"measured on {catalog.chip(chip)}; the plan is for {about.chip}")
    if count is not None and about.count is not None and count != about.count:
        raise ValueError(f"measured on {count} accelerators; the plan is for {about.count:,}")


def _moment(row: Plain) -> datetime.datetime | None:
    """When a row was measured, by its key `at`: a date or a moment, UTC unless it says its zone."""
    if row.get("at") is None:
        return None
    return moment(str(row["at"]))


def moment(text: str) -> datetime.datetime:
    """A date or a moment, UTC unless it says its zone. Raises ValueError."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f'"{text[:40]}" is no date or moment; write it like 2025-04-16 or 2025-04-16T08:30Z') from None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
