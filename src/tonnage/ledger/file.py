"""The file of a ledger: opened soundly or not at all, moved to the newest form after a copy was kept, written whole.

SQLite in WAL mode: readers never wait for a writer, a writer waits for another up to `PATIENCE`, and what a killed
process had not finished is not there. Statements are constants with parameters.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from tonnage import files
from tonnage.errors import InputError, Problem
from tonnage.ledger import schema

PATIENCE = 30.0
"""Longest wait for another process that writes [s]."""

MOST_PAGES = "PRAGMA max_page_count = 1048576"
"""Bounds the file: 4 GiB, at SQLite's 4,096 bytes a page."""

MOST_TEXT = 16 * 2**20
"""Longest text or statement that SQLite takes or gives [byte]."""

MAGIC = b"SQLite format 3\0"
"""How a file of SQLite begins (https://sqlite.org/fileformat2.html, section 1.2)."""


def is_ledger(path: Path) -> bool:
    """Whether a file is one of SQLite, going by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False


def check(path: Path) -> None:
    """Raises InputError where a ledger could not be written: no sound one is there, and none can be made."""
    if path.exists() and path.is_file() and path.stat().st_size:
        to_read(path).close()
    files.check_target(path)


def to_write(path: Path) -> sqlite3.Connection:
    """An open ledger to write to; made where there is none, of the newest form. Raises InputError."""
    files.check_target(path)
    with told(path):
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        try:
            _guard(connection)
            version = _version(connection, path)
            _journal(connection)
            if version < schema.VERSION:
                _migrate(connection, path, version)
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(MOST_PAGES)
        except BaseException:
            connection.close()
            raise
        return connection


def to_read(path: Path) -> sqlite3.Connection:
    """An open ledger to read from, which writes nothing: one of an older form is brought to the newest in memory."""
    with told(path):
        if not path.is_file():
            message = "no such file" if not path.exists() else "is not a regular file"
            raise InputError(Problem(message, str(path)), hint="a ledger is made when a plan is recorded in it")
        connection = _reader(path)
        try:
            _guard(connection)
            version = _version(connection, path)
            if version < schema.VERSION:
                connection = _in_memory(connection, version)
        except BaseException:
            connection.close()
            raise
        return connection


def _reader(path: Path) -> sqlite3.Connection:
    """Read-only; of a folder that cannot be written to, as a file that nobody changes."""
    uri, log = path.resolve().as_uri(), path.with_name(path.name + "-wal")
    fixed = not os.access(path.resolve().parent, os.W_OK) and not log.exists()
    return sqlite3.connect(
        uri + ("?immutable=1" if fixed else "?mode=ro"), uri=True, timeout=PATIENCE, isolation_level=None
    )


def _in_memory(connection: sqlite3.Connection, version: int) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:", isolation_level=None)
    connection.backup(copy)
    connection.close()
    schema.apply(copy, version)
    return copy


@contextlib.contextmanager
def writing(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """One transaction: all that is written inside is kept, or nothing. Raises InputError with what went wrong."""
    with told(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """What SQLite says of a file as an InputError; the file is left as it is. A wrong use of it is a defect of ours."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except UnicodeDecodeError:
        raise damaged(path, "it holds text that is not UTF-8") from None
    except (sqlite3.Error, OverflowError, MemoryError) as error:
        text = str(error)
        if "locked" in text or "busy" in text:
            message = f"another process has been writing to it for {PATIENCE:g} s"
            hint = "nothing was lost; try again when it has ended"
            raise InputError(Problem(message, str(path)), hint=hint) from None
        if isinstance(error, sqlite3.OperationalError):
            raise InputError(Problem(f"cannot be used as a ledger: {text}", str(path))) from None
        raise damaged(path, text) from None


def damaged(path: Path, reason: str) -> InputError:
    """A file that is no sound ledger."""
    hint = "it is left as it is; record in another file, or put back a copy"
    return InputError(Problem(f"is not a sound ledger: {reason}", str(path)), hint=hint)


def _guard(connection: sqlite3.Connection) -> None:
    """Before a page is believed: nothing in the file's schema may run, and sizes are bounded."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_TEXT)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Form of the file, 0 for an empty one. Raises InputError for a damaged or foreign one, and for one to come."""
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise damaged(path, str(found).replace("\n", " "))
    connection.execute("BEGIN")
    try:
        owner = connection.execute("PRAGMA application_id").fetchone()[0]
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        tables = schema.held(connection)
    finally:
        connection.execute("COMMIT")
    if not tables and version == 0 and owner in (0, schema.APPLICATION):
        return 0
    if owner != schema.APPLICATION:
        raise InputError(Problem("is a database of another program, not a ledger", str(path)), hint="name another file")
    if version > schema.VERSION:
        message = f"written by a newer tonnage (form {version}); this one reads up to {schema.VERSION}"
        raise InputError(Problem(message, str(path)))
    if tables != schema.tables(version):
        raise damaged(path, f"its tables are not those of form {version}")
    return version


def _journal(connection: sqlite3.Connection) -> None:
    """WAL mode. SQLite does not wait by itself while another process makes the same change."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal":
                return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
        if time.monotonic() > end:
            return
        time.sleep(0.01)


def _migrate(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """To the newest form, in one transaction, after a whole check and a copy; by one of several processes."""
    if version:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise damaged(path, str(found).replace("\n", " "))
        _keep_copy(connection, path, version)
    with writing(connection, path):
        have = int(connection.execute("PRAGMA user_version").fetchone()[0])
        schema.apply(connection, have)


def _keep_copy(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """The file as it was, beside it: `NAME.v1.bak`; one that is there already is kept."""
    kept = path.with_name(f"{path.name}.v{version}.bak")
    if kept.exists():
        return
    half = path.with_name(f"{path.name}.v{version}.{os.getpid()}.tmp")
    copy = sqlite3.connect(half, isolation_level=None)
    try:
        connection.backup(copy)
        copy.close()
        half.replace(kept)
    finally:
        copy.close()
        half.unlink(missing_ok=True)
