"""The form of a ledger file: its tables, and how an older form becomes the newest.

Each form is a list of statements that make it from the one before; a new file takes them all. A statement once released
is never changed: what is to be kept otherwise is a further form.
"""

from __future__ import annotations

import sqlite3
from functools import cache

APPLICATION = 1_953_459_814
"""`application_id` of a ledger in the header of the file: the bytes `tonf`."""

_PLANS = (
    """CREATE TABLE plan (
        id TEXT PRIMARY KEY, made TEXT NOT NULL CHECK (made IS strftime('%Y-%m-%dT%H:%M:%SZ', made, '+0 days')),
        command TEXT NOT NULL, version TEXT NOT NULL, catalog TEXT,
        model TEXT, chip TEXT, count INTEGER, engine TEXT, answer TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE predicted (
        plan TEXT NOT NULL REFERENCES plan (id), quantity TEXT NOT NULL,
        value REAL NOT NULL CHECK (value > 0), low REAL CHECK (low > 0), high REAL CHECK (high > 0), share REAL,
        PRIMARY KEY (plan, quantity)
    ) STRICT""",
    """CREATE TABLE measured (
        id INTEGER PRIMARY KEY, plan TEXT NOT NULL REFERENCES plan (id),
        at TEXT NOT NULL CHECK (at IS strftime('%Y-%m-%dT%H:%M:%SZ', at, '+0 days')),
        source TEXT NOT NULL, row TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE reading (
        measured INTEGER NOT NULL REFERENCES measured (id), quantity TEXT NOT NULL,
        value REAL NOT NULL CHECK (value >= 0), PRIMARY KEY (measured, quantity)
    ) STRICT""",
    "CREATE INDEX measured_plan ON measured (plan)",
    "PRAGMA application_id = 1953459814",
    "PRAGMA user_version = 1",
)
"""Plans, what they predicted, and what was measured of them."""

_RUNS = (
    """CREATE TABLE run (
        id TEXT PRIMARY KEY, plan TEXT NOT NULL REFERENCES plan (id),
        started TEXT NOT NULL CHECK (started IS date(started, '+0 days'))
    ) STRICT""",
    "ALTER TABLE measured ADD COLUMN run TEXT REFERENCES run (id)",
    "CREATE INDEX measured_run ON measured (run)",
    "PRAGMA user_version = 2",
)
"""Runs: several of one plan, each with the day on which it began."""

FORMS = (_PLANS, _RUNS)
VERSION = len(FORMS)
"""Newest form."""


def apply(connection: sqlite3.Connection, have: int, want: int = VERSION) -> None:
    """Bring a file from one form to another, in one transaction that the caller has begun."""
    for form in FORMS[have:want]:
        for statement in form:
            connection.execute(statement)


@cache
def tables(version: int) -> frozenset[tuple[str, str, str]]:
    """(kind, name, statement) of all that a file of this form holds: no more, no less."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        apply(connection, 0, version)
        return held(connection)
    finally:
        connection.close()


def held(connection: sqlite3.Connection) -> frozenset[tuple[str, str, str]]:
    """The same of an open file; indices that SQLite makes by itself have no statement."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return frozenset((str(kind), str(name), str(sql)) for kind, name, sql in rows)
