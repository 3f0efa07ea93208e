"""Pictures in characters: as wide as the terminal, in the characters that it has, and never in a pipe unasked."""

from __future__ import annotations

import copy
import io
import sys
from typing import Any

import pytest

from tonnage.cli import run
from tonnage.cli.answering import answer
from tonnage.report.answer import Answer, Table
from tonnage.report.drawn import EIGHTHS, HEIGHT, STEP, bar, bars, drawn, has_blocks, with_pictures
from tonnage.report.drawn import TextBar as Row

FIT = ["fit", "deepseek-r1", "--on", "8xh20"]


def reply(*words: str) -> dict[str, Any]:
    found = answer(words)["reply"]
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def bodies() -> dict[str, dict[str, Any]]:
    times = {"p50": 1.0, "p90": 2.0, "p95": 3.0, "p99": 4.0, "mean": 1.5}
    return {
        "fit": reply(*FIT),
        "serve": reply("serve", "deepseek-r1", "--on", "16xh20"),
        "train": reply("train", "llama-3.1-8b", "--on", "64xh100", "--tokens", "1T"),
        "simulate": {"command": "simulate", "ttft": times, "tpot": {**times, "p99": None}, "e2e": {}},
    }


def test_a_bar_is_as_long_as_its_share() -> None:
    assert bar(0.5, 8, blocks=True) == "████" and bar(0.5, 8, blocks=False) == "####"
    assert bar(1 / 16, 8, blocks=True) == "▌" and bar(1 / 16, 8, blocks=False) == "#"
    assert bar(1e-9, 8, blocks=True) == "▏" and bar(1e-9, 8, blocks=False) == "#"
    assert bar(0.0, 8, blocks=True) == bar(-1.0, 8, blocks=False) == ""
    assert bar(7.0, 8, blocks=True) == "████████"


def test_bars_line_up_and_give_way_to_their_figures() -> None:
    rows = (Row("weights", 3.0, "3 GB"), Row("cache", 1.0, "1 GB"))
    assert bars("memory", rows, 29, 4.0, blocks=False) == [
        "memory", "  weights  #########     3 GB", "  cache    ###           1 GB"
    ]  # fmt: skip
    assert bars("memory", rows, 20, 4.0, blocks=False) == ["memory", "  weights  3 GB", "  cache    1 GB"]
    assert max(len(line) for line in bars("memory", rows, 300, 4.0, blocks=True)) < 90


@pytest.mark.parametrize("verb", ["fit", "serve", "train", "simulate"])
@pytest.mark.parametrize("width", [40, 60, 80, 118, 240])
def test_no_line_is_wider_than_the_terminal(verb: str, width: int, bodies: dict[str, dict[str, Any]]) -> None:
    for blocks in (True, False):
        lines = drawn(bodies[verb], width, blocks=blocks)
        assert lines and max(map(len, lines)) <= width
        assert blocks or all(line.isascii() for line in lines)


def test_memory_adds_up_to_what_there_is(bodies: dict[str, dict[str, Any]]) -> None:
    lines = drawn(bodies["fit"], 100)
    held = bodies["fit"]["memory"]
    assert lines[0] == "memory of one accelerator: 99.4 GB of 102 GB"
    assert [line.split("  ")[1] for line in lines[1:]] == ["weights", "kv cache", "activations", "buffers", "free"]
    there = held["reported"]  # more is used than the label says
    assert "90.7 GB, 89 %" in lines[1] and lines[1].count("█") == int(60 * held["weights"] / there)
    over = copy.deepcopy(bodies["fit"])
    over["memory"]["total"] = 1.5 * held["capacity"]
    assert any(line.startswith("  too much") for line in drawn(over, 100))


def test_a_step_is_told_the_most_first(bodies: dict[str, dict[str, Any]]) -> None:
    lines = list(drawn(bodies["train"], 100))
    rows = lines[lines.index(STEP) + 1 :]
    shares = [float(row.rsplit(", ", 1)[1].removesuffix(" %")) for row in rows]
    assert shares == sorted(shares, reverse=True) and 97 < sum(shares) < 103


def test_the_frontier_marks_the_plan_and_says_its_marks(bodies: dict[str, dict[str, Any]]) -> None:
    lines = list(drawn(bodies["serve"], 100))
    at = next(index for index, line in enumerate(lines) if line.startswith("frontier:"))
    assert "@ this plan" in lines[at + 1] and "o aggregated" in lines[at + 1]
    plot = lines[at + 2 : at + 2 + HEIGHT]
    assert sum(line.count("@") for line in plot) == 1
    assert sum(line.count("o") for line in plot) > 5
    assert plot[-1].lstrip().startswith("0 |")


def test_waiting_is_told_by_percentile(bodies: dict[str, dict[str, Any]]) -> None:
    lines = drawn(bodies["simulate"], 80, blocks=False)
    assert [line.split()[0] for line in lines if line.startswith("  ")] == [
        "p50",
        "p90",
        "p95",
        "p99",
        "p50",
        "p90",
        "p95",
    ]


STRANGE: dict[str, Any] = {
    "nothing": {},
    "memory of text": {"memory": {"weights": "x", "capacity": None}},
    "not finite": {"memory": {"weights": float("nan"), "capacity": float("inf"), "total": 1.0}},
    "a list": {"memory": [1], "breakdown": "x", "frontier": {"a": 1}},
    "points of nothing": {"frontier": [None, 3, {"tokens_per_second_per_user": "x"}] * 3},
    "a breakdown of zeros": {"breakdown": {"a": 0.0, "b": -1.0}},
}


@pytest.mark.parametrize("case", STRANGE)
def test_what_is_not_there_is_not_drawn(case: str) -> None:
    assert drawn(STRANGE[case], 80) == ()
    plain = Answer("Yes.")
    assert with_pictures(plain, STRANGE[case], blocks=True) is plain


def test_names_move_no_cursor() -> None:
    lines = drawn({"breakdown": {"a\x1b[2J": 1.0, "b": 2.0}}, 80)
    assert "\x1b" not in "".join(lines)


def test_a_table_that_says_the_same_gives_way(bodies: dict[str, dict[str, Any]]) -> None:
    made = Answer("Yes.", tables=(Table(STEP, ("a",), (("b",),)), Table("else", ("a",), (("b",),))))
    shown = with_pictures(made, bodies["train"], blocks=True)
    assert [table.title for table in shown.tables] == ["else"] and shown.picture is not None
    own = Answer("Yes.", picture=lambda width: ("own",))
    assert with_pictures(own, bodies["train"], blocks=True) is own


@pytest.mark.parametrize(
    ("encoding", "able"), [("utf-8", True), ("ascii", False), ("latin-1", False), ("no-such", False), (None, False)]
)
def test_an_encoding_without_blocks_is_known(encoding: str | None, able: bool) -> None:
    assert has_blocks(encoding) is able


class Screen(io.TextIOWrapper):
    """A stdout that is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, encoding: str, *words: str, terminal: bool = True) -> str:
    held = io.BytesIO()
    out = (Screen if terminal else io.TextIOWrapper)(held, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "70")
    assert run([*FIT, "-q", *words]) == 0
    out.flush()
    return held.getvalue().decode(encoding)


def test_pictures_are_for_who_looks_or_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    title = "memory of one accelerator"
    screen = shown(monkeypatch, "utf-8")
    assert title in screen and EIGHTHS[8] in screen
    assert all(len(line) <= 80 for line in screen.splitlines())
    assert title not in shown(monkeypatch, "utf-8", "--no-bars")
    assert title not in shown(monkeypatch, "utf-8", terminal=False)
    asked = shown(monkeypatch, "ascii", "--bars", terminal=False)
    assert title in asked and "####" in asked
    assert title not in shown(monkeypatch, "utf-8", "--json")
