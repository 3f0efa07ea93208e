"""The story of R2, end to end on speeds from train and serve: as committed, in time, and as it should be."""

from __future__ import annotations

import datetime
import json
import os
import time
from pathlib import Path

import pytest

from tonnage.cli import run

ROOT = Path(__file__).parents[2]
DATE = datetime.date.fromisoformat


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Words, JSON, picture and CPU seconds of `tonnage launch examples/r2.yaml`."""
    folder = tmp_path_factory.mktemp("r2")
    names = [folder / f"r2.{ending}" for ending in ("out", "json", "svg")]
    before, began = Path.cwd(), time.process_time()
    os.chdir(ROOT)
    try:
        code = run(["launch", "examples/r2.yaml", "-q", *(word for name in names for word in ("-o", str(name)))])
    finally:
        os.chdir(before)
    spent = time.process_time() - began
    words, body, picture = (name.read_text(encoding="utf-8") for name in names)
    return code, words, json.loads(body), picture, spent


def test_the_committed_output_is_what_it_prints(told):
    """Write it again with: tonnage launch examples/r2.yaml -q -o examples/r2.out -o examples/r2.svg."""
    _, words, _, picture, _ = told
    assert words == (ROOT / "examples" / "r2.out").read_text(encoding="utf-8")
    assert picture == (ROOT / "examples" / "r2.svg").read_text(encoding="utf-8")


def test_it_is_feasible_and_planned_in_time(told):
    code, _, body, _, spent = told
    assert code == 0 and body["outcome"] == "feasible"
    assert body["draws"] == 500 and spent < 20


def test_the_dates_are_in_order_and_plausible(told):
    """May 2025 was the plan and was missed; V3.2 came in December 2025, V4 in April 2026: before P90 (never).

    By the horizon it is a toss-up (46 to 55 % by what Ascend's services were taken to reach, docs/lab.md), so that the
    median is near the horizon, or behind it.
    """
    launch = told[2]["launch"]
    assert DATE("2025-06-01") < DATE(launch["p10"]) < DATE("2025-12-01") and launch["p90"] is None
    assert launch["p50"] is None or DATE("2026-04-24") < DATE(launch["p50"]) < DATE("2026-08-30")
    assert 0.4 <= launch["probability_by_horizon"] <= 0.6


def test_may_2025_was_out_of_reach(told):
    early = [row for row in told[2]["distribution"] if row["date"] and DATE(row["date"]) <= DATE("2025-05-31")]
    assert not early


def test_the_h20_rule_is_applied_and_said(told):
    body = told[2]
    assert body["not_lawful"][0]["lot"] == "cloud-h20"
    assert body["rules_applied"][0]["rule"] == "us_2025_04_09_h20_letter"


def test_the_what_ifs_of_the_story_are_there(told):
    found = {item["key"]: item for item in told[2]["alternatives"]}
    keys = {"without:us_2025_04_09_h20_letter", "twice:ascend", "train:r2:own-h800", "flat:r1"}
    assert keys <= set(found)
    launch = told[2]["launch"]
    assert found["train:r2:own-h800"]["probability_by_horizon"] > launch["probability_by_horizon"] + 0.1
    for key in keys:
        shift = found[key]["shift_days"]
        assert shift is None or shift <= 0
        assert found[key]["probability_by_horizon"] >= launch["probability_by_horizon"] - 0.02


def test_no_speed_is_a_constant(told):
    speeds = told[2]["throughputs"]
    assert {(s["use"], s["chip"]) for s in speeds} >= {
        ("serve", "h20-96gb"), ("serve", "ascend-910c"), ("pretrain", "h800-sxm"), ("pretrain", "ascend-910c"),
    }  # fmt: skip
    for speed in speeds:
        assert speed["low"] < speed["rate"] < speed["high"] and speed["layout"], speed


def test_every_input_of_the_story_has_its_comment():
    text = (ROOT / "examples" / "r2.yaml").read_text(encoding="utf-8")
    assert text.count("#") >= 25 and "assumption" in text and "2025" in text


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"\xff\xfe\x00", "UTF-8"), (b"a: &a [*a]\n", "anchor"), (b"[" * 5000, "nested"), (b"", "empty")],
)
def test_a_file_that_is_no_programme_ends_in_a_sentence(tmp_path, capsys, content, expected):
    path = tmp_path / "p.yaml"
    path.write_bytes(content)
    assert run(["launch", str(path), "-o", str(tmp_path / "out.json")]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_what_would_lift_it_is_not_a_horizon_that_it_has_already(told):
    """The base case launches within the horizon: what helps the other draws is a place to train, not a later end."""
    lift = told[2]["binds"][0]["lift"]
    assert lift and "horizon to" not in lift and lift in " ".join(told[1].split())
