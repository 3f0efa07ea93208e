"""Saved answers and comparisons as results: in words, charts and tables, as plans are."""

import json
from pathlib import Path

import pandas
import pyarrow
import pytest

import tonnage as tn
from tonnage.ask.simulate import SimulateWords, read
from tonnage.ask.simulated import simulated
from tonnage.cli.answering import answer
from tonnage.errors import InputError
from tonnage.report.charts import MIME
from tonnage.report.saved import Comparison, SavedResult
from tonnage.report.told import told

SERVICE = "model: qwen3-8b\non: 1xh100\nisl: 512\nosl: 64\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit twice, and a simulation, as their verbs save them."""
    found = tmp_path_factory.mktemp("saved")
    (found / "service.yaml").write_text(SERVICE)
    asked = {
        "fit": ["fit", "qwen3-8b", "--on", "1xh100"],
        "fit2": ["fit", "qwen3-8b", "--on", "2xh100"],
        "simulate": ["simulate", str(found / "service.yaml"), "--rate", "4/s", "--requests", "100"],
        "chips": ["show", "chips"],
    }
    for name, argv in asked.items():
        made = answer(argv)
        assert made["code"] == 0, made["errors"]
        (found / f"{name}.json").write_text(json.dumps(made["reply"]))
    return found


def test_a_saved_plan_is_told_as_its_verb_tells_it(folder: Path) -> None:
    result = tn.read_result(folder / "fit.json")
    words = answer(["fit", "qwen3-8b", "--on", "1xh100"])["answer"]
    assert isinstance(words, dict) and told(result).answer.sentence.split(",")[1:] == words["sentence"].split(",")[1:]
    assert [chart.name for chart in tn.charts_of(result)] == ["memory", "cache"]
    bundle = result._repr_mimebundle_()
    assert MIME in bundle and "<strong>" in str(bundle["text/html"])
    found = result.to_frame()
    assert isinstance(found, pandas.DataFrame) and "sequences" in found.columns


def test_a_saved_simulation_is_shown_with_its_charts_and_every_value(folder: Path) -> None:
    result = tn.read_result(str(folder / "simulate.json"))
    said = told(result).answer
    assert said.sentence.startswith("tonnage simulate: feasible (") and "rate 4" in said.sentence
    assert [title for title, _ in said.rows] == ["waits of requests, from the median to P99", "how full it is"]
    bundle = result._repr_mimebundle_()
    assert MIME in bundle and "waits of requests" in str(bundle["text/html"])
    frame = result.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    values = dict(zip(frame["what"], frame["value"], strict=True))
    body = json.loads((folder / "simulate.json").read_text())
    assert float(values["ttft.p95"]) == body["ttft"]["p95"] and "schema" not in values
    assert pyarrow.table(result).num_rows == len(frame)


def test_a_list_that_was_saved_is_shown_too(folder: Path) -> None:
    result = tn.read_result(folder / "chips.json")
    assert [chart.name for chart in tn.charts_of(result)] == ["chips"]
    assert result._repr_html_().startswith('<div class="tonnage">')


def test_a_comparison_is_shown_and_taken_as_a_table(folder: Path) -> None:
    result = tn.compare(folder / "fit.json", tn.read_result(folder / "fit2.json"))
    assert isinstance(result, Comparison)
    rows = {row["path"]: row for row in result.rows}
    assert rows["max_batch"]["ratio"] > 2  # type: ignore[operator]
    assert "inputs.on" in result._repr_html_() or "on" in result._repr_html_()
    frame = result.to_frame()
    assert isinstance(frame, pandas.DataFrame) and {"path", "first", "second"} <= set(frame.columns)
    same = tn.compare(folder / "fit.json", folder / "fit.json")
    assert same.rows == []


def test_plans_that_were_not_saved_are_compared_as_well() -> None:
    arch, chip = tn.load_model("qwen3-8b"), tn.accelerator("h100", tn.load_catalog())
    one, two = (tn.fit(arch, tn.System(chip, count)) for count in (1, 2))
    assert any(row["path"] == "max_batch" for row in tn.compare(one, two).rows)


def test_a_plan_of_another_version_still_has_its_charts(folder: Path) -> None:
    body = json.loads((folder / "fit.json").read_text())
    result = SavedResult({**body, "plan": {"gone": 1}})
    assert told(result).answer.sentence.startswith("tonnage fit: feasible")
    assert tn.charts_of(result)


def test_what_is_no_answer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match="not an answer of tonnage"):
        tn.read_result(tmp_path / "x.json")


def test_the_result_of_a_simulation_shows_itself() -> None:
    plan = tn.plan_service(
        tn.ServeJob(tn.load_model("qwen3-8b"), isl=512, osl=64), tn.System(tn.accelerator("h100", tn.load_catalog()), 1)
    )
    result = simulated(read(SimulateWords(rate="4/s", requests="100")), plan, 0)
    assert told(result).answer.sentence.startswith("100 requests in ")
    assert [chart.name for chart in tn.charts_of(result)] == ["waits", "shares"]
    assert "times of a request" in result._repr_html_() and MIME in result._repr_mimebundle_()
    frame = result.to_frame()
    assert isinstance(frame, pandas.DataFrame) and list(frame["time"]) == ["ttft", "tpot", "e2e", "queueing"]
