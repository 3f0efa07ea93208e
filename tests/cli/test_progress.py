"""How far a command is: a line on a terminal that is taken away again, nothing in a pipe."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tonnage.cli import LASTING, VERBS, progress, run
from tonnage.cli.heard import Heard, listening
from tonnage.cli.progress import Bar, Ticker, clear, doing, quiet, working

ROOT = Path(__file__).parents[2]
PROGRAMME = str(ROOT / "tests/report/small.yaml")


class Terminal(io.StringIO):
    """A stderr that is looked at."""

    def isatty(self) -> bool:
        return True


Looked = Callable[[], Terminal]


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Looked:
    """A terminal in place of stderr from when it is asked for, and no patience."""

    def begin() -> Terminal:
        made = Terminal()
        monkeypatch.setattr(sys, "stderr", made)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(progress, "PATIENCE", 0.0)
        monkeypatch.setattr(progress, "BETWEEN", 0.005)
        return made

    return begin


def _until(found: Terminal, text: str) -> None:
    """Wait for a line, at most ten seconds."""
    end = time.monotonic() + 10
    while text not in found.getvalue() and time.monotonic() < end:
        time.sleep(0.002)


def test_a_line_says_what_is_done_and_is_taken_away(looked: Looked) -> None:
    terminal = looked()
    with working("launch"):
        _until(terminal, "launch: 0 s")
        doing("playing draws")
        _until(terminal, "launch: playing draws, 0 s")
    found = terminal.getvalue()
    assert found.startswith("\rlaunch: 0 s\x1b[K")
    assert "\rlaunch: playing draws, 0 s\x1b[K" in found
    assert found.endswith("\r\x1b[K")


def test_nothing_is_said_of_what_is_quick(looked: Looked, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = looked()
    monkeypatch.setattr(progress, "PATIENCE", 60.0)
    with working("fit"):
        doing("all of it")
    assert terminal.getvalue() == ""


def test_the_line_gives_way_to_others(looked: Looked) -> None:
    terminal = looked()
    with working("launch"):
        _until(terminal, "launch: 0 s")
        clear()
        assert terminal.getvalue().endswith("\r\x1b[K")
        quiet()
        held = terminal.getvalue()
        time.sleep(0.05)
        assert terminal.getvalue() == held, "the answer is printed now"


@pytest.mark.parametrize("how", ["no terminal", "asked for none", "dumb"])
def test_who_does_not_look_sees_nothing(how: str, looked: Looked, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = looked()
    out = io.StringIO() if how == "no terminal" else terminal
    monkeypatch.setattr(sys, "stderr", out)
    if how == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    with working("launch", shown=how != "asked for none"):
        time.sleep(0.03)
    assert out.getvalue() == ""


def test_who_listens_is_told_how_long_it_takes(looked: Looked) -> None:
    terminal = looked()
    steps: list[dict[str, object]] = []
    with listening(Heard("launch", steps.append)), working("launch"):
        doing("playing draws")
        end = time.monotonic() + 10
        while not any(step["what"] == "playing draws" for step in steps) and time.monotonic() < end:
            time.sleep(0.002)
    assert all(step["of"] == 0 and 0 <= step["done"] < 10 for step in steps)
    assert terminal.getvalue() == ""


def test_a_bar_ends_the_line_and_fits_its_terminal(looked: Looked) -> None:
    terminal = looked()
    with working("simulate"):
        bar = Bar(False, "simulate")
        bar.at(3, 9, "a step with a long name " * 4)
        bar.end()
    lines = re.findall(r"\r(.*?)\x1b\[K", terminal.getvalue())
    assert all(len(line) < 80 for line in lines)
    assert any(line.startswith("simulate [########....") for line in lines)
    assert lines[-1] == ""


def test_a_stream_that_is_gone_stops_nothing(looked: Looked) -> None:
    terminal = looked()
    ticker = Ticker("fit", None)
    ticker.begin()
    _until(terminal, "fit: 0 s")
    terminal.close()
    ticker.end()


def _on_a_terminal(*words: str) -> str:
    """What a command writes to stderr when that is a terminal."""
    main, other = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tonnage", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=other, env=environment, cwd=ROOT) as done:
        os.close(other)
        found = b""
        while select.select([main], [], [], 120)[0]:
            try:
                more = os.read(main, 4096)
            except OSError:
                break
            found += more
            if not more:
                break
    os.close(main)
    assert done.returncode == 0, found
    return found.decode()


def test_a_launch_says_on_a_terminal_what_it_does() -> None:
    found = _on_a_terminal("launch", PROGRAMME, "--draws", "20", "--no-cache")
    assert re.search(r"\rlaunch: (planning speeds|playing draws) \(\d[\d,]* so far\), \d+ s\x1b\[K", found)
    assert found.endswith("\r\x1b[K")


@pytest.mark.parametrize("words", [(), ("-q",), ("--quiet",), ("--json",)])
def test_a_verb_says_that_it_works_unless_it_is_to_be_quiet(
    words: tuple[str, ...], looked: Looked, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = looked()
    assert run(["fit", "deepseek-r1", "--on", "8xh200", *words]) == 0
    assert ("\rfit: 0 s\x1b[K" in terminal.getvalue()) == (not {"-q", "--quiet"} & {*words})
    assert capsys.readouterr().out


def test_every_verb_that_can_take_long_says_so() -> None:
    assert set(VERBS) > LASTING
    assert {"launch", "serve", "train", "simulate", "accuracy", "fit", "rerun", "lawful"} & LASTING == set()
