"""`tonnage show`: what is known, in words and as JSON, on a day and from a place."""

from __future__ import annotations

import csv
import datetime
import io
import json
from typing import Any

import pytest

from tonnage.catalog import load
from tonnage.catalog.show import age, amount, chip_rows, price_rows, shown, source_rows
from tonnage.cli import run

D = datetime.date
LISTS = """
chips prices rules events supply demand servers runs launches releases api power fleets market cutoffs sources
""".split()  # noqa: SIM905


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(["show", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def ask_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code, out, _ = ask(capsys, *arguments, "--json")
    assert code == 0
    body: dict[str, Any] = json.loads(out)
    return body


def test_h20_in_april_2025_needs_a_licence(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ask(capsys, "h20", "--as-of", "2025-04-16", "--in", "CN")
    assert code == 0
    assert out.startswith("A licence is needed to bring H20")
    for words in ("us_2025_04_09_h20_letter", "148 TFLOP/s", "25 to 50 GB/s", "9 months", "3A090", "TPP 2,368"):
        assert words in out


def test_h20_in_march_2025_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ask(capsys, "h20", "--as-of", "2025-03-01", "--in", "CN")
    assert code == 0
    assert out.startswith("No licence is needed to bring H20")
    assert "2025-04" not in out  # nothing of what was still to come


def test_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    body = ask_json(capsys, "h20", "--as-of", "2025-04-16", "--in", "CN")
    assert (body["schema"], body["command"], body["outcome"]) == ("tonnage/1", "show", "feasible")
    assert body["law"]["licence_needed"] is True
    assert body["catalog"] == load().digest
    rate = next(fact for fact in body["facts"] if fact["attribute"] == "rates.bf16")
    assert (rate["value"], rate["unit"], rate["kind"]) == (148e12, "FLOP/s", "datasheet")
    assert rate["fact"] in body["sources"]
    assert all(fact["source_title"] for fact in body["facts"] + body["prices"])
    assert all(price["date"] <= "2025-04-16" and price["age"] for price in body["prices"])


def test_prices_of_a_country_hold_those_of_its_region_and_the_page_one_of_each_term(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = ask_json(capsys, "prices", "--in", "DE")["prices"]
    assert {row["match"] for row in rows} == {"region", "world"}
    assert all("EU" in row["place"].split() for row in rows if row["match"] == "region")
    rents = [row for row in ask_json(capsys, "h100-sxm")["prices"] if row["what"] == "rent"]
    _, page, _ = ask(capsys, "h100-sxm")
    lines = [line.split() for line in page.splitlines()]
    months = [line for line in lines if line[:1] == ["on-demand"] and line[2:3] == ["US"]]
    assert len(months) == 1 < len([row for row in rents if (row["tenure"], row["place"]) == ("on-demand", "US")])
    assert f"--json has all {len(ask_json(capsys, 'h100-sxm')['prices'])}" in page.replace("\n", " ").replace("  ", " ")


def test_chips_say_what_is_lawful(capsys: pytest.CaptureFixture[str]) -> None:
    april = {
        row["chip"]: row["status"] for row in ask_json(capsys, "chips", "--as-of", "2025-04-16", "--in", "CN")["chips"]
    }
    march = {
        row["chip"]: row["status"] for row in ask_json(capsys, "chips", "--as-of", "2025-03-01", "--in", "CN")["chips"]
    }
    assert (march["h20-96gb"], april["h20-96gb"] != "free") == ("free", True)
    assert march["h800-sxm"] != "free"
    assert march["ascend-910c"] == april["ascend-910c"] == "free"
    assert "b300-sxm" not in april


@pytest.mark.parametrize("what", LISTS)
def test_every_list_answers_in_words_json_and_csv(capsys: pytest.CaptureFixture[str], what: str) -> None:
    code, out, err = ask(capsys, what)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) > 3
    assert ask_json(capsys, what)[what]
    code, text, _ = ask(capsys, what, "--csv")
    assert code == 0
    assert len(list(csv.DictReader(io.StringIO(text)))) >= 4


def test_models_with_their_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["model"]: row for row in ask_json(capsys, "models")["models"]}
    assert len(rows) > 60
    assert rows["deepseek-ai/DeepSeek-R1"]["params"] == pytest.approx(671.0e9, rel=1e-3)
    assert rows["deepseek-ai/DeepSeek-R1"]["active"] == pytest.approx(37e9, rel=0.03)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("deepseek-r1", "model"),
        ("us_2023_10_17", "rule"),
        ("2025-08-14-r2-ascend-failed", "record"),
        ("cloudmatrix-384", "record"),
        ("epoch-ml-hardware", "source"),
        ("h20-96gb/memory", "fact"),
        ("910C", "chip"),
    ],
)
def test_one_thing_by_name(capsys: pytest.CaptureFixture[str], name: str, key: str) -> None:
    assert key in ask_json(capsys, name)
    assert ask(capsys, name)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("h2o",), 2, 'did you mean "h20"'),
        (("rtx",), 2, "rtx-4090"),
        (("910",), 2, "ascend-910c"),
        (("deepsek-r1",), 2, 'did you mean "deepseek-r1"'),
        (("",), 2, "nothing named"),
        (("x" * 5000,), 2, "nothing named"),
        (("h20", "--in", "Chna"), 2, "--in"),
        (("h20", "--as-of", "soon"), 2, "--as-of"),
        (("b300", "--as-of", "2025-01-01"), 3, "2025-08-22"),
        (("2025-08-14-r2-ascend-failed", "--as-of", "2025-02-28"), 3, "known"),
        (("us_2026_01_15", "--as-of", "2025-02-28"), 3, "2025-02-28"),
    ],
)
def test_what_cannot_be_shown(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, words: str
) -> None:
    if arguments[0].startswith("us_2026"):
        from tonnage.law import load_rules

        late = max(load_rules().rules, key=lambda rule: rule.announced)
        arguments = (late.id, *arguments[1:])
    got, out, err = ask(capsys, *arguments)
    assert (got, out) == (code, "")
    assert words in err
    assert "Traceback" not in err


def test_values_in_words() -> None:
    catalog = load()
    assert shown(catalog.fact("h800-sxm", "link")) == "200 GB/s"
    assert shown(catalog.fact("ascend-910b", "rates.bf16")) == "313 TFLOP/s (280 to 400 TFLOP/s)"
    assert shown(catalog.fact("h20-96gb", "datacentre")) == "yes"
    assert shown(catalog.fact("ascend-910c", "released")) == "2025-Q1"
    assert amount(2.0 / 3600, "USD/accelerator-s") == "$2.00/h"
    assert amount(0.28e-6, "USD/token") == "$0.28/M tokens"


def test_age_in_words() -> None:
    day = D(2025, 4, 16)
    assert [age(D(2025, 4, 2), day), age(D(2024, 7, 1), day), age(D(2023, 3, 1), day)] == [
        "14 d",
        "9 months",
        "2.1 years",
    ]
    assert age(None, day) == age(day, None) == ""


def test_rows_have_a_source_each() -> None:
    catalog = load()
    assert all(row["source_title"] for chip in catalog.chips() for row in price_rows(catalog, chip))
    assert sum(row["facts"] for row in source_rows(catalog)) == len(catalog.facts)
    row = next(row for row in chip_rows(catalog) if row["chip"] == "thead-m890")
    assert (row["bandwidth"], row["bandwidth.text"]) == (None, "-")
