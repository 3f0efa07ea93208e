"""The back-test as the package has it: of the programmes that are there, as the page of it says, with its chart."""

import hashlib
import re
from pathlib import Path

import pytest

from tonnage import catalog
from tonnage.cli.answering import answer
from tonnage.fleet import read_programme
from tonnage.report.charts import charts_of
from tonnage.report.charts.launches import charts
from tonnage.truth.launches import launches

CATALOG = catalog.load()
ROOT = Path(__file__).parents[2]
FILES = sorted([*ROOT.glob("examples/r2-backtest/*.yaml"), *ROOT.glob("examples/launches-backtest/*.yaml")])
AGAIN = "another programme than was played: `make backtest` plays it again"


def test_every_programme_was_played_as_it_is_now() -> None:
    rows = {row.file: row for row in launches().rows}
    assert set(rows) == {str(path.relative_to(ROOT)) for path in FILES}
    for path in FILES:
        row = rows[str(path.relative_to(ROOT))]
        assert row.digest == hashlib.sha256(path.read_bytes()).hexdigest(), f"{row.file}: {AGAIN}"
        assert row.cut_off == read_programme(path, {}, CATALOG).start


def test_what_came_is_what_the_catalogue_says() -> None:
    board = launches()
    came = {(item.model, item.actual) for item in CATALOG.launches(board.made)}
    for row in board.rows:
        assert (row.event, row.came) in came, f"{row.event}: {AGAIN}"


def test_the_page_of_it_says_the_same() -> None:
    text = (ROOT / "docs" / "backtest.md").read_text("utf-8")
    board = launches()
    for row in board.rows:
        dates = [str(day) if day else "never" for day in (row.forecast.p10, row.forecast.p50, row.forecast.p90)]
        line = " | ".join([str(row.cut_off), *dates])
        assert re.search(rf"{re.escape(line)} .*\| {row.score:.0f} \|", text), row.file
    said = f"Mean CRPS, each story once: {board.score:.0f} days; rival {board.rival_score:.0f}."
    assert said in text and f"Better than the rival in {board.better} of {len(board.stories)} stories." in text
    assert f"Inside 80 %: {board.hits:.1f} of {len(board.stories)} stories" in text


def test_the_picture_of_the_page_shows_the_same() -> None:
    picture = (ROOT / "docs" / "backtest.svg").read_text("utf-8")
    (chart,) = charts(launches().to_json())
    for row in chart.data():
        if "scores" in row:
            assert f">{row['name']}<" in picture and f">{row['scores']}<" in picture, f"{row['name']}: {AGAIN}"


def test_a_story_counts_once() -> None:
    board = launches()
    stories = board.stories
    assert len(stories["after R1"]) == 7 and sum(map(len, stories.values())) == board.planned == len(board.rows)
    own = [sum(row.score for row in rows) / len(rows) for rows in stories.values()]
    assert board.score == pytest.approx(sum(own) / len(own))
    assert board.score != pytest.approx(sum(row.score for row in board.rows) / len(board.rows))


def test_it_is_answered_in_words_in_json_and_as_a_chart() -> None:
    made = answer(["accuracy", "launch"])
    body = made["reply"]
    assert made["code"] == 0 and isinstance(body, dict)
    said = made["answer"]
    assert isinstance(said, dict)
    assert re.match(r"7 announced launches as 13 programmes of their day foresaw them: \d", str(said["sentence"]))
    assert body["n"] == 13 and body["null"]["crps"] > 0 and len(body["rows"]) == 13
    (chart,) = charts_of(body)
    assert chart.name == "back-test"
    rows = [row for row in chart.data() if "scores" in row]
    assert len(rows) == 13
    (behemoth,) = [row for row in rows if "Behemoth" in str(row["name"])]
    assert behemoth["style"] == "alert" and "not by 2026-11-29, outside" in str(behemoth["happened"])
    marks = {(row["name"], row["kind"]): row["day"] for row in chart.data() if "kind" in row}
    assert marks["after R1, 2025-02-28", "came"] == 420 and ("after R1, 2025-06-26", "rival's P50") not in marks


def test_own_cases_mean_nothing_to_it() -> None:
    made = answer(["accuracy", "launch", "--cases", "x.jsonl"])
    assert made["code"] == 2 and "means nothing to launch" in str(made["errors"])
