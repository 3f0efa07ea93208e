"""Every answer fits its terminal: 80 columns, 120, and a pipe; nothing is painted where nothing can be."""

from __future__ import annotations

import io

import pytest

from tonnage.cli import run

Captured = pytest.CaptureFixture[str]

ASKED = (
    "fit deepseek-r1 --on 8xh200",
    "serve deepseek-r1 --on 32xh200 --tpot 20ms",
    "train deepseek-v3 --on 2048xh800 --tokens 14.8T",
    "lawful qwen3-8b --in CN",
    "show h20",
    "show chips",
    "show rules",
    "show prices",
    "show models",
    "show events",
    "launch examples/r2.yaml --draws 40 -q",
)


@pytest.mark.parametrize("words", ASKED, ids=lambda words: " ".join(words.split()[:2]))
def test_no_line_is_wider_than_what_columns_says(
    words: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(request.config.rootpath)
    for width in (80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        run(words.split())
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) > 4
        assert [line for line in lines if len(line) > width] == []


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
