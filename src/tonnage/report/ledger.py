"""What a ledger holds, in words and as JSON."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tonnage import units
from tonnage.ledger import (
    QUANTITIES,
    Compared,
    Errors,
    ErrorSummary,
    Foretold,
    MeasuredEntry,
    MeasuredRow,
    Plain,
    PlanEntry,
    RunEntry,
    first_day,
)
from tonnage.report.answer import Answer, Table
from tonnage.units import DAY

Told = tuple[dict[str, Any], Answer]
"""The keys of the JSON answer, and the same in words."""

SHORT = 8
"""Characters of an id that are shown."""

_SHOWN: Mapping[str, Callable[[float], str]] = {
    "time": units.show_time,
    "token_rate": lambda value: f"{units.show_tokens(value)}/s",
    "rate": lambda value: f"{units.show_number(value)}/s",
    "share": units.show_share,
    "money": units.show_money,
    "memory": units.show_memory,
    "tokens": units.show_tokens,
    "count": lambda value: f"{value:,.0f}",
    "number": units.show_number,
}


def shown_value(quantity: str, value: float | None, start: datetime.date | None = None) -> str:
    """A value in the unit that people read; a date where the plan's first day is known."""
    if value is None:
        return "-"
    kind = QUANTITIES[quantity].kind
    if kind == "date":
        return f"day {value / DAY:,.0f}" if start is None else str(start + datetime.timedelta(days=value / DAY))
    return _SHOWN[kind](value)


def listed(plans: Sequence[PlanEntry], runs: Sequence[RunEntry], path: str) -> Told:
    """The newest plans."""
    rows = tuple(
        (one.id[:SHORT], one.made[:16].replace("T", " "), one.command, _about(one), _main(one), str(one.measured))
        for one in plans
    )
    header = ("plan", "recorded, UTC", "verb", "of", "predicted", "measured")
    body: dict[str, Any] = {"plans": [_entry(one) for one in plans], "runs": [_run(one) for one in runs]}
    sentence = f"{_many(len(plans), 'plan')} in {path}, {_many(sum(one.measured for one in plans), 'measured row')}."
    tables = (Table("newest first", header, rows),) if rows else ()
    records = tuple({key: value for key, value in _entry(one).items() if key != "predicted"} for one in plans)
    hints = ("tonnage ledger show PLAN  shows one; tonnage ledger add PLAN --set step_time=3.2s  attaches to it",)
    return body, Answer(sentence, tables=tables, hints=hints if rows else (), records=records)


def shown(plan: PlanEntry, runs: Sequence[RunEntry], rows: Sequence[MeasuredEntry], answer: Plain, last: int) -> Told:
    """One plan: its predictions, and beside them the last that was measured of each."""
    start = first_day(answer)
    newest = {name: value for row in rows for name, value in row.values.items()}
    beside = tuple(_beside(one, newest.get(one.quantity), start) for one in plan.predicted)
    header = ("quantity", "predicted", "from", "to", "last measured", "predicted over measured")
    tables = [Table("predicted", header, beside)]
    log = tuple(
        (row.at[:16].replace("T", " "), row.run or "-", _values(row, start), row.source or "-") for row in rows[-last:]
    )
    if log:
        tables.append(Table("measured", ("at, UTC", "run", "values", "from"), log))
    body = _entry(plan) | {"runs": [_run(one) for one in runs], "rows": [_row(row) for row in rows[-last:]]}
    body["answer"] = answer
    sentence = f"Plan {plan.id[:SHORT]}: {plan.command} {_about(plan)}, recorded {plan.made[:10]} by {plan.version}."
    told = tuple((f"run {one.id}", f"since {one.started}") for one in runs)
    records = tuple(_row(row) | dict(row.values) for row in rows)
    return body, Answer(sentence, told, tuple(tables), records=tuple(_flat(record) for record in records))


def added(plan: PlanEntry, rows: Sequence[MeasuredRow], run: str | None) -> Told:
    """What was attached."""
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    of = f" of run {run}" if run else ""
    sentence = f"Attached {_many(len(rows), 'row')}{of} to plan {plan.id[:SHORT]}: {', '.join(names)}."
    values = {name: [row.values[name] for row in rows if name in row.values] for name in names}
    last = {name: held[-1] for name, held in values.items()}
    lines = tuple(
        (one.quantity, f"{shown_value(one.quantity, last[one.quantity])}, predicted {_with_ends(one)}")
        for one in plan.predicted
        if one.quantity in last
    )
    body: dict[str, Any] = {"id": plan.id, "run": run, "added": len(rows), "values": last, "measured": plan.measured}
    return body, Answer(sentence, lines, hints=("tonnage ledger errors  holds all against what was predicted",))


def scored(found: Errors, last: int) -> Told:
    """Errors by group, and the newest readings in the order of time."""
    body = errors_json(found)
    if not found.rows:
        return body, Answer("Nothing in this ledger was both predicted and measured.")
    tables = [Table(f"errors by {found.by or 'quantity'}", HEADER, tuple(summary_rows(found)))]
    title = "readings in the order of time" + (f", the last {last}" if len(found.rows) > last else "")
    tables.append(Table(title, READINGS, tuple(reading_row(one) for one in found.rows[-last:])))
    plans = len({one.entry.id for one in found.rows})
    sentence = f"{_many(len(found.rows), 'reading')} of {_many(plans, 'plan')} held against what was predicted."
    return body, Answer(sentence, tables=tuple(tables), records=tuple(body["rows"]))


HEADER = ("of", "quantity", "runs", "rows", "median error", "90th", "bias", "inside (meant)")
READINGS = ("day", "run or plan", "of", "quantity", "predicted / measured", "ln ratio, interval")


def summary_rows(found: Errors) -> list[tuple[str, ...]]:
    """A row for each group and quantity."""
    return [(name, *_summary(one)) for name, held in found.groups.items() for one in held]


def _summary(one: ErrorSummary) -> tuple[str, ...]:
    errors = (f"{one.median_abs_error:.1%}", f"{one.p90_abs_error:.1%}", f"{one.bias:+.1%}")
    inside = "-" if one.coverage is None else f"{one.coverage:.0%}"
    meant = "" if one.share is None else f" ({one.share:.0%})"
    return (one.quantity, str(one.runs), str(one.readings), *errors, inside + meant)


def reading_row(one: Compared) -> tuple[str, ...]:
    """One reading beside its prediction."""
    name, inside = one.predicted.quantity, {True: " inside", False: " outside", None: ""}[one.inside]
    head = (one.row.at[:10], one.row.run or one.entry.id[:SHORT], _about(one.entry), name)
    values = f"{shown_value(name, one.predicted.value)} / {shown_value(name, one.measured)}"
    return (*head, values, f"{one.log_error:+.3f}{inside}")


def errors_json(found: Errors) -> dict[str, Any]:
    """Keys of `ledger errors`: `n`, `plans`, `by`, `groups` by name and quantity, `rows` in the order of time."""
    return {
        "n": len(found.rows),
        "plans": len({one.entry.id for one in found.rows}),
        "by": found.by,
        "groups": {name: {one.quantity: _without(one) for one in held} for name, held in found.groups.items()},
        "rows": [_compared(one) for one in found.rows],
    }


def _without(one: ErrorSummary) -> dict[str, Any]:
    return {key: value for key, value in vars(one).items() if key != "quantity"}


def _compared(one: Compared) -> dict[str, Any]:
    about, said = one.entry.subject, one.predicted
    head: dict[str, Any] = {"plan": one.entry.id, "run": one.row.run, "at": one.row.at, "command": one.entry.command}
    head |= {"model": about.model, "chip": about.chip, "count": about.count, "engine": about.engine}
    head |= {"metric": said.quantity, "measured": one.measured, "predicted": said.value}
    head |= {"low": said.low, "high": said.high, "error": math.expm1(one.log_error), "ln_ratio": one.log_error}
    return head | {"inside": one.inside, "version": one.entry.version, "catalog": one.entry.catalog}


def _entry(one: PlanEntry) -> dict[str, Any]:
    predicted = {
        said.quantity: {"value": said.value, "low": said.low, "high": said.high, "share": said.share}
        for said in one.predicted
    }
    head = {"id": one.id, "made": one.made, "of": one.command, "made_by": one.version, "made_with": one.catalog}
    return head | vars(one.subject) | {"measured": one.measured, "predicted": predicted}


def _run(one: RunEntry) -> dict[str, Any]:
    return {"id": one.id, "plan": one.plan, "started": one.started.isoformat()}


def _row(one: MeasuredEntry) -> dict[str, Any]:
    return {"at": one.at, "run": one.run, "source": one.source, "values": dict(one.values)}


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "values"}


def _about(one: PlanEntry) -> str:
    about = one.subject
    chips = " ".join(part for part in (f"{about.count:,}" if about.count else "", about.chip or "") if part)
    engine = f", {about.engine}" if about.engine else ""
    return (about.model or "-") + (f" on {chips}" if chips else "") + engine


def _main(one: PlanEntry) -> str:
    """The first quantity that a plan predicts, in a word."""
    if not one.predicted:
        return "-"
    first = next((said for said in one.predicted if said.quantity in _MAIN), one.predicted[0])
    return f"{first.quantity} {shown_value(first.quantity, first.value)}"


_MAIN = ("step_time", "tpot", "launch")


def _beside(one: Foretold, measured: float | None, start: datetime.date | None) -> tuple[str, ...]:
    ends = (shown_value(one.quantity, value, start) for value in (one.value, one.low, one.high, measured))
    ratio = "-" if measured is None else f"{one.value / measured:.3f}"
    return (one.quantity, *ends, ratio)


def _with_ends(one: Foretold) -> str:
    value, low, high = (shown_value(one.quantity, end) for end in (one.value, one.low, one.high))
    return value if one.low is None else f"{value} ({low} to {high if one.high is not None else 'beyond'})"


def _values(row: MeasuredEntry, start: datetime.date | None) -> str:
    return ", ".join(f"{name} {shown_value(name, value, start)}" for name, value in row.values.items())


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
