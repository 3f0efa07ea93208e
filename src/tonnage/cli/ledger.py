"""`tonnage ledger [list|show|add|errors]`: predicted against happened."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from tonnage.cli.common import COMMON, Common, check_outputs, finish
from tonnage.cli.flags import as_flags
from tonnage.cli.ledger_file import read_file, to_write
from tonnage.errors import InputError, Problem
from tonnage.report.envelope import Reply

if TYPE_CHECKING:
    from tonnage.ledger import Ledger, MeasuredRow, PlanEntry
    from tonnage.report.answer import Answer


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LedgerOptions:
    """What is attached, and how it is told.

    Parameters
    ----------
    measured
        JSON Lines of what was measured, as in docs/ledger.md; of a service also what its benchmark wrote.
    run
        name of the run that it was measured in; a new name needs --since.
    since
        day on which that run began.
    at
        day, or moment, of what --set says; now unless given.
    by
        tell errors by chip, engine, model or month.
    last
        how many plans, or rows, are told, the newest.
    """

    measured: Annotated[Path | None, Parameter(negative="")] = None
    run: Annotated[str | None, Parameter(negative="")] = None
    since: str | None = None
    at: str | None = None
    by: Literal["chip", "engine", "model", "month"] | None = None
    last: int = 50


OPTIONS = LedgerOptions()
NAMES = frozenset({"measured", "run", "since", "at", "by", "last", "set"})
"""Fields that have a flag."""

TAKES = {
    "list": ("last",),
    "show": ("last",),
    "errors": ("by", "last"),
    "add": ("measured", "run", "since", "at"),
}
"""Options of each word."""


def ledger(
    what: Literal["list", "show", "add", "errors"] = "list",
    plan: str | None = None,
    /,
    *,
    options: LedgerOptions = OPTIONS,
    common: Common = COMMON,
) -> int:
    """Predicted against happened: plans that were recorded with --ledger, and what was measured of them.

    Parameters
    ----------
    what
        list the plans; show one; add what was measured of one (--set QUANTITY=VALUE or --measured FILE); errors of all.
    plan
        id of the plan, or its first characters, for show and add.
    """
    from tonnage.ledger import reading

    check_outputs(common, drawn=True)
    _check(what, plan, options, common)
    given: dict[str, Any] = {"what": what, "plan": plan, **vars(options), "set": list(common.set)}
    given["measured"] = None if options.measured is None else str(options.measured)
    with as_flags(NAMES):
        if what == "add":
            body, answer = _add(str(plan), options, common)
            path = to_write(common)
        else:
            path = read_file(common)
            with reading(path) as held:
                body, answer = _told(what, plan, options, held)
    return finish(Reply("ledger", given | {"ledger": str(path)}, body, answer), common)


def _check(what: str, plan: str | None, options: LedgerOptions, common: Common) -> None:
    """Raises InputError for options that a word does not take, and for what it lacks."""
    usual = vars(OPTIONS)
    strange = [name for name, value in vars(options).items() if value != usual[name] and name not in TAKES[what]]
    strange += ["set"] if common.set and what != "add" else []
    problems = [Problem(f"does not go with ledger {what}", f"--{name}") for name in strange]
    if what in ("show", "add") and plan is None:
        problems.append(Problem(f"ledger {what} needs the id of a plan"))
    if what in ("list", "errors") and plan is not None:
        problems.append(Problem(f'"{plan[:40]}" is not expected after ledger {what}'))
    if what == "add" and (options.measured is None) == (not common.set):
        problems.append(Problem("expected one of --measured FILE and --set QUANTITY=VALUE"))
    if not 1 <= options.last <= 1_000_000:
        problems.append(Problem("expected 1 to 1,000,000", "--last"))
    if problems:
        raise InputError(problems, hint="tonnage ledger --help")


def _told(what: str, plan: str | None, options: LedgerOptions, held: Ledger) -> tuple[dict[str, Any], Answer]:
    from tonnage.ledger import errors
    from tonnage.report import ledger as report

    if what == "show":
        entry = held.plan(str(plan))
        return report.shown(entry, held.runs(entry.id), held.rows(entry.id), held.answer(entry.id), options.last)
    if what == "errors":
        return report.scored(errors(held, options.by), options.last)
    return report.listed(held.plans(options.last), held.runs(), str(held.path))


def _add(plan: str, options: LedgerOptions, common: Common) -> tuple[dict[str, Any], Answer]:
    """Attach what was measured, all of it or nothing."""
    from tonnage import ledger
    from tonnage.report.ledger import added

    with ledger.reading(read_file(common)) as seen:
        entry = seen.plan(plan)
        rows = _rows(seen, entry, options, common)
        known = {one.id for one in seen.runs()}
    since = _day(options.since)
    if options.run is not None and options.run not in known and since is None:
        raise InputError(Problem("is a new run: say the day on which it began", "run"), hint="--since 2025-03-01")
    if since is not None and options.run is None:
        raise InputError(Problem("needs --run, the name of the run that began then", "since"))
    source = "" if options.measured is None else str(options.measured)
    with ledger.open(to_write(common)) as held:
        if options.run is not None and since is not None:
            held.begin(entry.id, options.run, since)
        held.measured(entry.id, rows, options.run, source)
        return added(held.plan(entry.id), rows, options.run)


def _rows(held: Ledger, entry: PlanEntry, options: LedgerOptions, common: Common) -> list[MeasuredRow]:
    from dataclasses import replace

    from tonnage.ask.measured import moment, pairs, rows
    from tonnage.ledger import first_day

    start = first_day(held.answer(entry.id))
    if options.measured is not None:
        return rows(options.measured, entry, start, common.load_catalog())
    try:
        at = None if options.at is None else moment(options.at)
    except ValueError as error:
        raise InputError(Problem(str(error), "at")) from None
    return [replace(pairs(common.set, start), at=at)]


def _day(text: str | None) -> datetime.date | None:
    from tonnage import units

    try:
        return None if text is None else units.parse_date(text)
    except ValueError as error:
        raise InputError(Problem(str(error), "since")) from None
