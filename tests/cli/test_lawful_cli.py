"""`tonnage lawful`: lawful chips by what they do for a model, and the best design within the limits."""

from __future__ import annotations

import json

import pytest

from tonnage.ask.lawful import scaled
from tonnage.catalog import Catalog, load
from tonnage.cli import run
from tonnage.law import Shares
from tonnage.system import accelerator

SMALL = ("lawful", "llama-3.1-8b", "--in", "CN", "--count", "16", "--global-batch", "64")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("lawful") / "a.json"
    assert run([*SMALL, "--day", "2023-11-17", "--from", "h100-sxm", "-o", str(path), "-q"]) == 0
    return path


@pytest.fixture
def h20_day(saved):
    return json.loads(saved.read_text(encoding="utf-8"))


def test_the_chips_are_those_that_the_law_leaves_free_with_the_best_first(h20_day):
    names = [row["chip"] for row in h20_day["chips"]]
    assert "h20-96gb" in names and "ascend-910b" in names
    assert not {"h100-sxm", "h800-sxm", "ascend-910c"} & set(names)
    rates = [row["tokens_per_second_per_accelerator"] or 0 for row in h20_day["chips"]]
    assert rates == sorted(rates, reverse=True) and rates[0] > 0
    assert h20_day["best"]["training"] == names[0]
    serving = {row["chip"]: row["requests_per_second_per_accelerator"] or 0 for row in h20_day["chips"]}
    assert h20_day["best"]["serving"] == max(serving, key=serving.get)
    assert h20_day["command"] == "lawful" and h20_day["outcome"] == "feasible" and h20_day["not_lawful"] > 5


def test_the_design_trains_slower_than_the_chip_and_decodes_nearly_as_fast(h20_day):
    design = h20_day["design"]
    (made,) = design["designs"]
    assert design["from"] == "h100-sxm" and design["rules_met"] == ["us_2023_10_17"]
    assert made["shares"] == {"rate": 0.1515, "bandwidth": 1.0, "link": 1.0} and made["tpp"] < 2400
    assert made["rules_above"] == {"rate": ["us_2023_10_17"]}
    whole = design["whole"]
    kept = made["tokens_per_second_per_accelerator"] / whole["tokens_per_second_per_accelerator"]
    assert 0.1515 < kept < 0.4
    assert design["best"] == {"training": 0, "serving": 0}


def test_the_words_say_limits_as_published(capsys):
    assert run([*SMALL, "--day", "2025-04-16", "--from", "h100-sxm"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "without a licence in CN on 2025-04-16" in text
    assert "41.79% of the memory bandwidth" in text
    assert "more memory bandwidth: Is-informed letters" in text
    assert "could not verify exact text of the letters of April 2025" in text
    assert "not legal advice" in text


def test_as_of_is_a_day_of_knowledge_of_the_rules_too(capsys):
    assert run([*SMALL, "--as-of", "2025-04-10", "--json"]) == 0
    before = {row["chip"] for row in json.loads(capsys.readouterr().out)["chips"]}
    assert run([*SMALL, "--day", "2025-04-10", "--json"]) == 0
    after = {row["chip"] for row in json.loads(capsys.readouterr().out)["chips"]}
    assert "h20-96gb" in before and "h20-96gb" not in after


def test_a_model_that_no_lawful_chip_carries_is_exit_1(capsys, monkeypatch):
    monkeypatch.setattr(Catalog, "chips", lambda self, as_of=None: ("h100-sxm", "h200-sxm"))
    assert run([*SMALL, "--day", "2025-04-16", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["outcome"], found["chips"], found["not_lawful"]) == ("law", [], 2)
    assert "no chip that may come to CN without a licence" in found["binds"][0]["text"]
    assert run([*SMALL, "--day", "2025-04-16"]) == 1
    assert "No chip that may be brought to CN" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--in", "Atlantis"], "--in"),
        (["--in", "CN", "--from", "gaudi"], '--from "gaudi" can mean'),
        (["--in", "CN", "--from", "h999x"], "--from"),
        (["--in", "CN", "--day", "soon"], "--day"),
        (["--in", "CN", "--count", "0"], "--count"),
        (["--in", "CN", "--headquarters", "Atlantis"], "--headquarters"),
    ],
)
def test_what_is_wrong_is_said_with_its_flag(words, said, capsys):
    assert run(["lawful", "llama-3.1-8b", *words]) == 2
    assert said in capsys.readouterr().err


def test_an_answer_is_asked_again(saved, capsys):
    assert run(["rerun", str(saved), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == []


def test_a_design_keeps_all_but_its_shares():
    whole = accelerator("h100-sxm", load())
    made = scaled(whole, Shares(0.5, 0.25, 0.125))
    assert made.rates["bf16"] == 0.5 * whole.rates["bf16"]
    assert (made.bandwidth, made.link) == (0.25 * whole.bandwidth, 0.125 * whole.link)
    assert (made.memory, made.nic, made.domain, made.power) == (whole.memory, whole.nic, whole.domain, whole.power)
    assert scaled(whole, Shares()).rates == whole.rates
