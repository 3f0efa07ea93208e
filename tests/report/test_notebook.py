"""Results in a notebook: words, charts and tables of every public result, and data frames of them."""

import importlib.util
import json

import pandas
import pyarrow
import pytest
import vl_convert

import tonnage as tn
from tonnage.errors import InputError
from tonnage.qualify.verdict import verdict
from tonnage.report import extras, frames, pictures
from tonnage.report.charts import MIME
from tonnage.report.told import told
from tonnage.shown import ShownResult
from tonnage.train import MixedPlan

MADE: dict[str, ShownResult] = {}


@pytest.fixture
def plans() -> dict[str, ShownResult]:
    """A result of each kind, made once."""
    if not MADE:
        catalog = tn.load_catalog()
        arch, system = tn.load_model("qwen3-8b"), tn.System(tn.accelerator("h100", catalog), 2)
        job = tn.TrainJob(arch, seq=4096, global_batch=64, tokens=1e9)
        MADE["fit"] = tn.fit(arch, system, context=8000)
        MADE["fit, too much"] = tn.fit(tn.load_model("deepseek-r1"), system)
        MADE["serve"] = tn.plan_service(tn.ServeJob(arch, isl=1024, osl=256, tpot=0.05), system)
        MADE["train"] = tn.plan_training(job, tn.System(tn.accelerator("h100", catalog), 16))
        MADE["qualify"] = verdict([], "a device", "qwen3-8b")
    return MADE


@pytest.mark.parametrize("kind", ["fit", "fit, too much", "serve", "train", "qualify"])
def test_a_result_is_shown_in_words_markup_and_charts(kind: str, plans: dict[str, ShownResult]) -> None:
    bundle = plans[kind]._repr_mimebundle_()
    sentence = told(plans[kind]).answer.sentence
    assert str(bundle["text/plain"]).split()[:3] == sentence.split()[:3]
    assert bundle["text/html"] == plans[kind]._repr_html_()
    assert "<strong>" in str(bundle["text/html"])
    assert (MIME in bundle) == bool(tn.charts_of(plans[kind]))
    assert plans[kind]._repr_mimebundle_(include=["text/plain"]).keys() == {"text/plain"}
    assert "text/html" not in plans[kind]._repr_mimebundle_(exclude=["text/html"])


@pytest.mark.parametrize("kind", ["fit", "serve", "train"])
def test_the_charts_of_a_cell_are_one_value_that_vega_lite_takes(kind: str, plans: dict[str, ShownResult]) -> None:
    value = plans[kind]._repr_mimebundle_()[MIME]
    text = json.dumps(value, allow_nan=False)
    assert '"container"' not in text and "width -" not in text
    drawn = vl_convert.vegalite_to_svg(value, vl_version=pictures.VEGA_LITE)
    for chart in tn.charts_of(plans[kind])[:3]:
        assert chart.title in drawn
    assert "NaN" not in drawn


@pytest.mark.parametrize("kind", ["fit", "serve", "train"])
def test_tables_are_given_to_pandas_arrow_and_who_takes_streams(kind: str, plans: dict[str, ShownResult]) -> None:
    plan = plans[kind]
    found = plan.to_frame()
    assert isinstance(found, pandas.DataFrame) and len(found) > 1
    assert found.select_dtypes("number").shape[1] > 0
    table = pyarrow.table(plan)
    assert table.num_rows == len(found) and table.column_names == list(found.columns)


def test_without_pyarrow_a_frame_is_made_all_the_same(
    plans: dict[str, ShownResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = plans["fit"].to_frame()
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pyarrow" else there(name, *rest)
    )
    assert whole.equals(plans["fit"].to_frame())  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="pip install 'tonnage"):
        plans["fit"].__arrow_c_stream__()


def test_without_any_library_of_tables_it_is_said(
    plans: dict[str, ShownResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "FRAMES", ("no_such_library",))
    with pytest.raises(InputError, match="pip install pandas, or polars"):
        plans["fit"].to_frame()


def test_without_vl_convert_the_markup_has_no_pictures(
    plans: dict[str, ShownResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "<svg" in plans["fit"]._repr_html_()
    monkeypatch.setitem(extras.EXTRA, ".svg", "no_such_module")
    assert "<svg" not in plans["fit"]._repr_html_() and "<table>" in plans["fit"]._repr_html_()


def test_results_stay_values(plans: dict[str, ShownResult]) -> None:
    fit = plans["fit"]
    assert isinstance(fit, tn.FitPlan) and fit == tn.FitPlan.from_json(fit.to_json())
    for kind in (tn.FitPlan, tn.ServePlan, tn.TrainPlan, tn.LaunchPlan, MixedPlan):
        assert issubclass(kind, ShownResult) and kind in told.registry
    with pytest.raises(TypeError, match="no result of tonnage: int"):
        told(3)


def test_a_chart_shows_itself(plans: dict[str, ShownResult]) -> None:
    chart = tn.charts_of(plans["fit"])[0]
    bundle = chart._repr_mimebundle_()
    assert str(bundle["text/plain"]).startswith("memory of one accelerator: ")
    assert vl_convert.vegalite_to_svg(bundle[MIME], vl_version=pictures.VEGA_LITE).startswith("<svg")
