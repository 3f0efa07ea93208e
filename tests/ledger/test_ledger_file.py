"""A ledger file is sound or refused, whoever writes to it and whenever a writer dies; an older form loses nothing."""

from __future__ import annotations

import ast
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tonnage import files, ledger
from tonnage.errors import InputError
from tonnage.ledger import file, schema

ROOT = Path(__file__).parents[2]
ROOM = ROOT / "src" / "tonnage" / "ledger"


def answer(number: int, **more: object) -> dict[str, object]:
    """An answer of training with one prediction."""
    head = {"command": "train", "version": "0.1.0", "catalog": "c", "inputs": {"model": f"m{number}"}}
    return head | {"step_time": 2.0 + number, "step_time_low": 1.0 + number, "step_time_high": 4.0 + number} | more


def started(code: str, *words: str) -> subprocess.Popen[str]:
    """A process of its own that runs a piece of Python after `answer` is there."""
    text = "import os, signal, sys\nfrom pathlib import Path\nfrom tonnage import ledger\n"
    text += "from tonnage.ledger import file, schema\n"
    text += (
        "def answer(n): return {'command': 'train', 'version': '1', 'inputs': {'model': f'm{n}'}, 'step_time': 2.0}\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", text + code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def integrity(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        found = str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    connection.close()
    return found


def older(path: Path) -> None:
    """A ledger of form 1, with a plan, its prediction, and two measured rows."""
    connection = sqlite3.connect(path, isolation_level=None)
    schema.apply(connection, 0, 1)
    connection.execute(
        "INSERT INTO plan VALUES (?, '2025-01-01T00:00:00Z', 'train', '0.0.1', NULL, 'm', 'h20-96gb', 8, NULL, '{}')",
        ("a" * 64,),
    )
    connection.execute("INSERT INTO predicted VALUES (?, 'step_time', 2.0, 1.0, 4.0, 0.9)", ("a" * 64,))
    for number in (1, 2):
        connection.execute("INSERT INTO measured VALUES (?, ?, '2025-01-02T00:00:00Z', '', '{}')", (number, "a" * 64))
        connection.execute("INSERT INTO reading VALUES (?, 'step_time', 3.0)", (number,))
    connection.close()


def test_a_new_file_is_of_the_newest_form_in_wal_mode(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    ledger.open(path).close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION == 2
    assert connection.execute("PRAGMA application_id").fetchone()[0] == int.from_bytes(b"tonf", "big")
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    connection.close()
    assert file.is_ledger(path)
    assert [one.name for one in tmp_path.iterdir()] == ["l.sqlite"], "nothing else is left"


def test_an_older_form_is_moved_with_a_copy_and_keeps_every_row(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    older(path)
    with ledger.open(path) as held:
        (plan,) = held.plans()
        assert (plan.id, plan.measured, plan.predicted[0].high) == ("a" * 64, 2, 4.0)
        assert [row.values for row in held.rows()] == [{"step_time": 3.0}] * 2
        assert [row.run for row in held.rows()] == [None, None]
        held.record(answer(1))
        assert len(held.plans()) == 2
    copy = tmp_path / "l.sqlite.v1.bak"
    connection = sqlite3.connect(copy)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
    assert connection.execute("SELECT count(*) FROM measured").fetchone()[0] == 2
    connection.close()
    assert integrity(path) == integrity(copy) == "ok"


def test_reading_an_older_form_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    older(path)
    before = path.read_bytes()
    with ledger.reading(path) as held:
        assert held.plans()[0].measured == 2
        assert held.runs() == ()
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.bak"))


def test_a_file_of_a_form_to_come_is_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    ledger.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 3")
    connection.close()
    for opened in (ledger.open, file.check):
        with pytest.raises(InputError, match=r"written by a newer tonnage \(form 3\); this one reads up to 2"):
            opened(path)


def _database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (text TEXT)")
    connection.commit()
    connection.close()


def _with_trigger(path: Path) -> None:
    ledger.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TRIGGER t AFTER INSERT ON plan BEGIN DELETE FROM plan; END")
    connection.commit()
    connection.close()


def _with_holes(path: Path) -> None:
    with ledger.open(path) as held:
        for number in range(40):
            held.record(answer(number, text="x" * 3000))
    data = bytearray(path.read_bytes())
    data[3 * 4096 : 5 * 4096] = b"\xaa" * 8192
    path.write_bytes(data)


def _cut(path: Path) -> None:
    with ledger.open(path) as held:
        for number in range(40):
            held.record(answer(number, text="x" * 3000))
    path.write_bytes(path.read_bytes()[: 12 * 4096 + 100])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_text("# notes\n" * 100), "not a sound ledger: file is not a database"),
        (_database, "is a database of another program, not a ledger"),
        (_with_trigger, "its tables are not those of form 2"),
        (_with_holes, "is not a sound ledger"),
        (_cut, "is not a sound ledger"),
    ],
    ids=["text", "another program", "a trigger", "holes", "cut"],
)
@pytest.mark.parametrize("opened", [ledger.open, file.to_read, file.check])
def test_a_damaged_or_foreign_file_is_refused_and_left_as_it_is(make, words, opened, tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    make(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=words):
        opened(path)
    assert path.read_bytes() == before


def test_values_that_cannot_be_are_kept_out_and_refused_where_they_came_in(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with ledger.open(path) as held:
        plan = held.record(answer(1))
    connection = sqlite3.connect(path, isolation_level=None)
    bad = {
        "INSERT INTO run VALUES ('r', ?, '2025-02-30')": "run",
        "INSERT INTO predicted VALUES (?, 'mfu', -1.0, NULL, NULL, NULL)": "predicted",
        "INSERT INTO measured VALUES (9, ?, 'soon', '', '{}', NULL)": "measured",
    }
    for statement in bad:
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            connection.execute(statement, (plan,))
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for statement in bad:
        connection.execute(statement, (plan,))
    connection.close()
    with pytest.raises(InputError, match=r"is not a sound ledger: CHECK constraint failed in"):
        ledger.open(path)
    with ledger.reading(path) as held:
        with pytest.raises(InputError, match="is not a sound ledger: a run began on no day"):
            held.runs()
        assert [one.quantity for one in held.plan(plan).predicted] == ["step_time"]


def test_a_folder_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a file that can be replaced"):
        ledger.open(tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        ledger.open(tmp_path / "no" / "l.sqlite")
    with pytest.raises(InputError, match="no such file"), ledger.reading(tmp_path / "l.sqlite"):
        pass


RECORD = """
with ledger.open(sys.argv[1]) as held:
    for n in range(int(sys.argv[2]), int(sys.argv[2]) + int(sys.argv[3])):
        plan = held.record(answer(n))
        ledger.measured(held, plan, {"step_time": 3.0}, source=str(n))
        print(plan, flush=True)
"""


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """Both find an older form: one moves it, the other waits."""
    path = tmp_path / "l.sqlite"
    older(path)
    both = [started(RECORD, str(path), first, "40") for first in ("0", "1000")]
    for one in both:
        _, err = one.communicate(timeout=60)
        assert (one.returncode, err) == (0, "")
    with ledger.reading(path) as held:
        assert len(held.plans()) == 81
        assert {row.source for row in held.rows()} == {""} | {str(n + k) for n in (0, 1000) for k in range(40)}
    assert integrity(path) == "ok"
    assert [one.name for one in tmp_path.glob("*.bak")] == ["l.sqlite.v1.bak"]


def test_a_writer_that_is_killed_leaves_a_sound_file_with_all_it_had_said(tmp_path: Path) -> None:
    path, said = tmp_path / "l.sqlite", []
    ledger.open(path).close()
    pick = random.Random(7)
    for first in ("0", "10000", "20000"):
        one = started(RECORD, str(path), first, "100000")
        assert one.stdout is not None
        said += [one.stdout.readline().strip() for _ in range(pick.randrange(3, 30))]
        one.send_signal(signal.SIGKILL)
        one.communicate(timeout=60)
        assert one.returncode == -signal.SIGKILL
        with ledger.open(path) as held:
            assert set(said) <= {plan.id for plan in held.plans()}
    assert integrity(path) == "ok"


def test_half_a_record_is_none(tmp_path: Path) -> None:
    """Killed between the plan and what it predicts: neither is there."""
    path = tmp_path / "l.sqlite"
    code = """
held = ledger.open(sys.argv[1])
with file.writing(held._connection, held.path):
    held._connection.execute(
        "INSERT INTO plan (id, made, command, version, answer) VALUES ('x', '2025-01-01T00:00:00Z', '', '', '')"
    )
    print("half", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    one = started(code, str(path))
    assert one.communicate(timeout=60)[0] == "half\n"
    assert one.returncode == -signal.SIGKILL
    with ledger.open(path) as held:
        assert held.plans() == ()
        held.record(answer(1))
    assert integrity(path) == "ok"


def test_a_move_to_the_newest_form_that_is_killed_is_made_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    older(path)
    code = """
whole = schema.apply
def half(connection, have, want=2):
    for statement in schema.FORMS[1][:2]:
        connection.execute(statement)
    os.kill(os.getpid(), signal.SIGKILL)
schema.apply(__import__("sqlite3").connect(":memory:", isolation_level=None), 0)
schema.tables(1)
schema.apply = half
ledger.open(sys.argv[1])
"""
    one = started(code, str(path))
    one.communicate(timeout=60)
    assert one.returncode == -signal.SIGKILL
    with ledger.open(path) as held:
        assert held.plans()[0].measured == 2
    assert integrity(path) == "ok"


def test_what_another_process_holds_too_long_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "l.sqlite"
    ledger.open(path).close()
    monkeypatch.setattr(file, "PATIENCE", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ledger.open(path) as held, pytest.raises(InputError, match="another process has been writing to it"):
        held.record(answer(1))
    other.close()


def test_a_file_of_a_folder_that_cannot_be_written_to_is_read(tmp_path: Path) -> None:
    place = tmp_path / "kept"
    place.mkdir()
    with ledger.open(place / "l.sqlite") as held:
        held.record(answer(1))
    place.chmod(0o555)
    try:
        with ledger.reading(place / "l.sqlite") as held:
            assert len(held.plans()) == 1
    finally:
        place.chmod(0o755)
        shutil.rmtree(place)


def statements() -> list[tuple[str, ast.expr]]:
    """First argument of every call that gives SQLite a statement."""
    return [
        (f"{path.name}:{node.lineno}", node.args[0])
        for path in sorted(ROOM.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("execute", "executemany", "executescript")
    ]


def test_no_statement_is_made_of_strings() -> None:
    found = statements()
    assert len(found) > 20
    named = {"statement", "MOST_PAGES"}
    made = [
        where
        for where, text in found
        if not isinstance(text, ast.Constant) and not (isinstance(text, ast.Name) and text.id in named)
    ]
    assert not made


def test_a_form_that_was_released_is_never_changed() -> None:
    """Files of that form are in people's hands: what is to be kept otherwise is a further form."""
    found = tuple(files.digest(statement.encode() for statement in form)[:16] for form in schema.FORMS)
    assert found == ("13ac122354b72070", "762b78794b30472a")
