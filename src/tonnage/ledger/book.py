"""Plans, runs and what was measured, kept in one file and read back."""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tonnage import files
from tonnage.errors import AmbiguousName, InputError, Problem, nearest
from tonnage.ledger import file
from tonnage.ledger.quantities import QUANTITIES, Foretold, Plain, foretold
from tonnage.ledger.subject import Subject, subject

MOST_ANSWER = 8 * 2**20
"""Longest answer that is kept [character]."""

MOST_ROW = 2**20
"""Longest measured row that is kept [character]."""

MOST_ROWS = 200_000
"""Most rows that are attached at once."""

SHORTEST = 4
"""Characters of an id by which a plan can be named."""

LEAST, MOST = 1e-30, 1e30
"""Smallest and largest number of a quantity, in base units."""

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


@dataclass(frozen=True)
class PlanEntry:
    """A recorded plan. made: when it was recorded, UTC; measured: rows that were measured of it."""

    id: str
    made: str
    command: str
    version: str
    catalog: str | None
    subject: Subject
    predicted: tuple[Foretold, ...] = ()
    measured: int = 0


@dataclass(frozen=True)
class RunEntry:
    """A run of a plan, and the day on which it began."""

    id: str
    plan: str
    started: datetime.date


@dataclass(frozen=True)
class MeasuredEntry:
    """One measured row. at: when, UTC; source: who says so; values: what was read, by quantity, in base units; row:
    the row as it was given.
    """

    plan: str
    run: str | None
    at: str
    source: str
    values: Mapping[str, float]
    row: Plain = field(default_factory=dict)


@dataclass(frozen=True)
class MeasuredRow:
    """A row to attach. values: numbers by quantity, in base units; row: as it was given; at: when, now unless given."""

    values: Mapping[str, float]
    row: Plain = field(default_factory=dict)
    at: datetime.datetime | None = None


class Ledger:
    """An open ledger file. Used as a context, it is closed at its end."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what is recorded is in it already."""
        self._connection.close()

    # in

    def record(self, answer: Plain, made: datetime.datetime | None = None) -> str:
        """Keep an answer (as JSON has it) and what it predicts; its id. The same answer is kept once."""
        text = _packed(answer)
        if len(text) > MOST_ANSWER:
            raise InputError(Problem(f"an answer of more than {MOST_ANSWER:,} characters is not kept", str(self.path)))
        key, about = files.digest([text.encode()]), subject(answer)
        head = (str(answer.get("command")), str(answer.get("version")), _optional(answer.get("catalog")))
        values = (key, _utc(made), *head, about.model, about.chip, about.count, about.engine, text)
        found = [(key, one.quantity, one.value, one.low, one.high, one.share) for one in foretold(answer)]
        with file.writing(self._connection, self.path):
            done = self._connection.execute(
                "INSERT OR IGNORE INTO plan (id, made, command, version, catalog, model, chip, count, engine, answer)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            if done.rowcount:
                self._connection.executemany(
                    "INSERT INTO predicted (plan, quantity, value, low, high, share) VALUES (?, ?, ?, ?, ?, ?)", found
                )
        return key

    def begin(self, plan: str, run: str, started: datetime.date) -> RunEntry:
        """Name a run of a plan. The same run is named once; of another plan, or of another day, it is refused."""
        if not RUN_NAME.fullmatch(run):
            raise InputError(Problem("expected letters, digits, dots and dashes, at most 60", path="run"))
        entry = RunEntry(run, self.plan(plan).id, started)
        with file.writing(self._connection, self.path):
            self._connection.execute(
                "INSERT OR IGNORE INTO run (id, plan, started) VALUES (?, ?, ?)", (run, entry.plan, started.isoformat())
            )
        held = self.run(run)
        if held != entry:
            text = f'"{run}" is a run of plan {held.plan[:12]} that began on {held.started}'
            raise InputError(Problem(text, path="run"))
        return held

    def measured(self, plan: str, rows: Sequence[MeasuredRow], run: str | None = None, source: str = "") -> int:
        """Attach rows to a plan, all or none, as measured in a run of it if one is named. How many were attached."""
        key = self.plan(plan).id
        if run is not None and self.run(run).plan != key:
            raise InputError(Problem(f'"{run}" is a run of plan {self.run(run).plan[:12]}', path="run"))
        packed = [_packed(one.row) for one in rows]
        problems = [problem for one in rows for problem in unfit(one.values)]
        problems += [Problem(f"longer than {MOST_ROW:,} characters", path="row") for t in packed if len(t) > MOST_ROW]
        if len(rows) > MOST_ROWS:
            problems.append(Problem(f"more than {MOST_ROWS:,} rows at once"))
        if problems:
            raise InputError(problems[:20])
        with file.writing(self._connection, self.path):
            for one, text in zip(rows, packed, strict=True):
                made = self._connection.execute(
                    "INSERT INTO measured (plan, run, at, source, row) VALUES (?, ?, ?, ?, ?)",
                    (key, run, _utc(one.at), source[:500], text),
                )
                self._connection.executemany(
                    "INSERT INTO reading (measured, quantity, value) VALUES (?, ?, ?)",
                    [(made.lastrowid, name, float(value)) for name, value in one.values.items()],
                )
        return len(rows)

    # out

    def plans(self, last: int | None = None) -> tuple[PlanEntry, ...]:
        """The newest plans, newest first; all of them unless `last` says how many."""
        with file.told(self.path):
            rows = self._connection.execute(
                "SELECT p.id, made, command, version, catalog, model, chip, count, engine,"
                " (SELECT count(*) FROM measured AS m WHERE m.plan = p.id)"
                " FROM plan AS p ORDER BY made DESC, p.rowid DESC LIMIT ?",
                (-1 if last is None else last,),
            ).fetchall()
            return tuple(self._made(row) for row in rows)

    def plan(self, name: str) -> PlanEntry:
        """The plan whose id begins so. Raises InputError where there is none, or several."""
        with file.told(self.path):
            ids = [
                str(row[0])
                for row in self._connection.execute(
                    "SELECT id FROM plan WHERE substr(id, 1, ?) = ? ORDER BY id LIMIT 9", (len(name), name)
                )
            ]
        if len(ids) == 1 and len(name) >= SHORTEST:
            return self._entry(ids[0])
        if not ids:
            close = nearest(name, [entry.id[: max(len(name), 12)] for entry in self.plans(1000)])
            raise InputError(Problem(f'no plan "{name[:64]}" in {self.path}', suggestion=close), hint=_LISTS)
        short = [key[:12] for key in ids]
        raise AmbiguousName(Problem(f'"{name}" begins several ids: {", ".join(short)}'), short, hint=_LISTS)

    def _entry(self, key: str) -> PlanEntry:
        with file.told(self.path):
            row = self._connection.execute(
                "SELECT id, made, command, version, catalog, model, chip, count, engine,"
                " (SELECT count(*) FROM measured WHERE plan = plan.id) FROM plan WHERE id = ?",
                (key,),
            ).fetchone()
            return self._made(row)

    def _made(self, row: Sequence[Any]) -> PlanEntry:
        key, made, command, version, catalog, model, chip, count, engine, many = row
        about = Subject(model, chip, count, engine)
        return PlanEntry(key, made, command, version, catalog, about, self._predicted(key), many)

    def _predicted(self, plan: str) -> tuple[Foretold, ...]:
        rows = self._connection.execute(
            "SELECT quantity, value, low, high, share FROM predicted WHERE plan = ?", (plan,)
        )
        found = {row[0]: Foretold(*row) for row in rows if row[1] > 0}
        self._sound(end for row in found.values() for end in (row.value, row.low, row.high, row.share))
        return tuple(found[name] for name in QUANTITIES if name in found)

    def answer(self, plan: str) -> Plain:
        """The whole answer of a plan. Raises InputError where it is not what was recorded."""
        key = self.plan(plan).id
        with file.told(self.path):
            text = str(self._connection.execute("SELECT answer FROM plan WHERE id = ?", (key,)).fetchone()[0])
        if files.digest([text.encode()]) != key:
            raise file.damaged(self.path, f"plan {key[:12]} is not what was recorded")
        found: Plain = files.parse_json(text, str(self.path))
        return found

    def runs(self, plan: str | None = None) -> tuple[RunEntry, ...]:
        """All runs, or those of one plan, in the order of their first day."""
        with file.told(self.path):
            rows = self._connection.execute(
                "SELECT id, plan, started FROM run WHERE ? IS NULL OR plan = ? ORDER BY started, id", (plan, plan)
            ).fetchall()
            try:
                return tuple(RunEntry(key, of, datetime.date.fromisoformat(day)) for key, of, day in rows)
            except ValueError as error:
                raise file.damaged(self.path, f"a run began on no day: {error}") from None

    def run(self, name: str) -> RunEntry:
        """A run by its name. Raises InputError with the nearest one where there is none."""
        runs = {one.id: one for one in self.runs()}
        if name not in runs:
            raise InputError(Problem(f'no run "{name[:60]}" in {self.path}', suggestion=nearest(name, runs)))
        return runs[name]

    def rows(self, plan: str | None = None, run: str | None = None) -> tuple[MeasuredEntry, ...]:
        """What was measured, in the order of time: of all plans, of one, of one run. Quantities that a newer tonnage
        measured and this one does not know are left out.
        """
        with file.told(self.path):
            rows = self._connection.execute(
                "SELECT id, plan, run, at, source, row FROM measured"
                " WHERE (?1 IS NULL OR plan = ?1) AND (?2 IS NULL OR run = ?2) ORDER BY at, id",
                (plan, run),
            ).fetchall()
            readings: dict[int, dict[str, float]] = {}
            for key, quantity, value in self._connection.execute(
                "SELECT measured, quantity, value FROM reading JOIN measured ON measured.id = measured"
                " WHERE (?1 IS NULL OR plan = ?1) AND (?2 IS NULL OR run = ?2) ORDER BY measured, reading.rowid",
                (plan, run),
            ):
                if quantity in QUANTITIES:
                    readings.setdefault(key, {})[quantity] = value
        self._sound(value for held in readings.values() for value in held.values())
        return tuple(
            MeasuredEntry(of, by, at, source, readings.get(key, {}), self._row(text))
            for key, of, by, at, source, text in rows
        )

    def _sound(self, values: Iterable[float | None]) -> None:
        """Raises InputError for a number that nothing can be held against: the file may be from elsewhere."""
        wrong = next((value for value in values if value is not None and not 0 <= value <= MOST), None)
        if wrong is not None:
            raise file.damaged(self.path, f"it holds {wrong:g}, which is no quantity")

    def _row(self, text: str) -> Plain:
        found = files.parse_json(text, str(self.path))
        if not isinstance(found, dict):
            raise file.damaged(self.path, "a measured row is no JSON object")
        return found


_LISTS = "tonnage ledger lists the plans"


def _packed(value: Plain) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _optional(value: object) -> str | None:
    return None if value is None else str(value)


def _utc(moment: datetime.datetime | None) -> str:
    """`2026-11-30T02:44:05Z`; now unless a moment is given."""
    now = moment or datetime.datetime.now(datetime.UTC)
    return now.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def unfit(values: Mapping[str, float]) -> Iterator[Problem]:
    """What is no quantity, or no value of it: a ratio needs a number above zero, progress one that is not below."""
    for name, value in values.items():
        if name not in QUANTITIES:
            yield Problem("is no quantity that is measured", path=name[:60], suggestion=nearest(name[:60], QUANTITIES))
        elif not (0 if QUANTITIES[name].progress else LEAST) <= value <= MOST:
            yield Problem(f"expected a number above zero, got {value:g}", path=name)
        elif QUANTITIES[name].kind == "share" and value > 1:
            yield Problem(f"expected a share of at most 100 %, got {value:g}", path=name)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Ledger]:
    """A ledger to read from; nothing is written."""
    held = Ledger(path, file.to_read(path))
    try:
        yield held
    finally:
        held.close()
