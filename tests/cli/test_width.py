"""Every answer fits its terminal: 80 columns, 120, and a pipe; nothing is painted where nothing can be."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tonnage.cli import VERBS, run

Captured = pytest.CaptureFixture[str]

ASKED = (
    "fit deepseek-r1 --on 8xh200",
    "serve deepseek-r1 --on 32xh200 --tpot 20ms",
    "train deepseek-v3 --on 2048xh800 --tokens 14.8T",
    "lawful qwen3-8b --in CN",
    "show h20",
    "show h20 --in DE --headquarters CN",
    "show chips",
    "show chips --in CN",
    "show rules",
    "show prices",
    "show models",
    "show events",
    "show runs",
    "show us_2023_10_17",
    "show qwen3-235b",
    "fit deepseek-v4-flash --on 8xh200 --bars",
    "serve deepseek-v3 --on 32xh800 --afd --layout tp1 --ffn-layout tp1,dp16 --bars",
    "serve gpt-oss-120b --on 8xh200 --isl 300k --osl 1k",
    "train llama-3.1-70b --on 8xh100 --task sft --tokens 100M",
    "train llama-3.1-70b --on 128xh100 --on 128xh200 --layout tp4,pp4,zero1,mbs1 --tokens 100B",
    "accuracy capacity",
    "launch examples/r2.yaml --draws 40 -q",
)

OF_FILES = (
    "compare {serve} {train}",
    "compare {train} {train}",
    "sources {serve}",
    "rerun {fit}",
    "ledger --ledger {ledger}",
    "simulate {serve} --requests 200 --rate 1/s --bars",
)
"""Likewise of saved answers."""


@pytest.mark.parametrize("words", ASKED, ids=lambda words: " ".join(words.split()[:2]))
def test_no_line_is_wider_than_what_columns_says(
    words: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(request.config.rootpath)
    for width in (60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        run(words.split())
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) > 4
        assert [line for line in lines if len(line) > width] == []


@pytest.mark.parametrize("verb", [*VERBS, "run serve", "run train", ""])
def test_help_fits_and_is_not_ragged(verb: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence was broken where its source is: a line of one word in the midst of it."""
    for width in (60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        assert run([*verb.split(), "--help"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line for line in lines if len(line) > width or line != line.rstrip()] == []
        words = "\n".join(lines).partition("\nExamples:")[0].splitlines()
        for line, after in itertools.pairwise(words):
            begun, goes_on = line.strip(), after.startswith(" " * 6) and not after.strip().startswith("-")
            if begun and goes_on and line.startswith(" " * 6):
                first = after.split()[0]
                assert len(line) + 1 + len(first) > width, (line, after)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Answers on file, by command."""
    folder = tmp_path_factory.mktemp("saved")
    asked = {
        "fit": "fit qwen3-8b --on 1xh20",
        "serve": "serve deepseek-r1 --on 16xh20 --tpot 50ms",
        "train": "train llama-3.1-8b --on 64xh100-sxm --layout tp1,pp1,zero1 --tokens 100B",
    }
    for name, words in asked.items():
        kept = ["-o", str(folder / f"{name}.json"), "--ledger", str(folder / "ledger.jsonl")]
        assert run([*words.split(), "-q", *kept]) == 0
    return {name: str(folder / f"{name}.json") for name in asked} | {"ledger": str(folder / "ledger.jsonl")}


@pytest.mark.parametrize("words", OF_FILES, ids=lambda words: " ".join(words.split()[:2]))
def test_what_is_told_of_files_fits_too(
    words: str, saved: dict[str, str], capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for width in (60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        capsys.readouterr()
        assert run([*words.format(**saved).split(), "-q"]) in (0, 1), capsys.readouterr().err
        lines = capsys.readouterr().out.splitlines()
        assert lines and [line for line in lines if len(line) > width] == []


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
@pytest.mark.parametrize("wide", [80, 120])
def test_a_terminal_is_asked_how_wide_it_is(wide: int) -> None:
    """Without COLUMNS; paint is not counted, and a dumb terminal gets none."""
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, wide, 0, 0))
    code = "import sys; from tonnage.cli import main; main(sys.argv[1:])"
    words = ["serve", "qwen3-32b", "--on", "8xh100", "--layout", "tp4", "-q"]
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")} | {"TERM": "dumb"}
    with os.fdopen(master, "rb", buffering=0) as reader:
        done = subprocess.Popen([sys.executable, "-c", code, *words], stdout=slave, stderr=slave, env=env)
        os.close(slave)
        told = b""
        while True:
            try:
                piece = reader.read(65536)
            except OSError:
                break
            if not piece:
                break
            told += piece
        assert done.wait() == 0
    text = told.decode("utf-8")
    lines = text.replace("\r", "").splitlines()
    assert "\x1b" not in text and lines[0].startswith("Yes")
    assert wide - 20 < max(map(len, lines)) <= wide


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("name", "value", "painted"),
    [("TERM", "xterm-256color", True), ("TERM", "dumb", False), ("NO_COLOR", "1", False)],
)
def test_only_a_terminal_that_can_is_painted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, painted: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    out = _Terminal()
    monkeypatch.setattr("sys.stdout", out)
    assert run(["fit", "qwen3-0.6b", "--on", "1xh20"]) == 0
    assert ("\x1b[" in out.getvalue()) is painted
