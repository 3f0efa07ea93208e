"""Published tables that the training model must reproduce, and what the fit says of itself."""

from __future__ import annotations

import functools
import importlib.resources
import json
from typing import Any

import numpy as np
import pytest

from tonnage import catalog
from tonnage.train import TrainPlan, predict
from tonnage.train.software import BOUNDS, TrainSoftware, fitted
from tonnage.truth import training
from tonnage.truth.cases import load_cases
from tonnage.truth.shapes import Library

LIBRARY = Library(catalog.load())


@functools.cache
def cases() -> dict[str, Any]:
    return {row["id"]: row for row in load_cases("training")}


@functools.cache
def predicted(name: str) -> tuple[TrainPlan, float]:
    """The plan of a case and predicted over published; nought off inside a published range."""
    row = cases()[name]
    job, system, fixed = training.training_job(row, LIBRARY)
    plan = predict(job, system, fixed)
    figure = training.figure(row, job.arch.moe)
    assert plan.run is not None
    rate = plan.run.tokens_per_second
    low, high = figure.published_low or figure.published, figure.published_high or figure.published
    return plan, float(rate / np.clip(rate, low, high))


def errors(start: str) -> np.ndarray:
    return np.array([predicted(name)[1] - 1 for name in sorted(cases()) if name.startswith(start)])


def test_megatron_sc21_table_1() -> None:
    found = np.abs(errors("megatron-sc21-gpt"))
    assert found.size == 10
    assert found.mean() < 0.035 and found.max() < 0.08, "arXiv 2104.04473: a constant rate is 5.4 % off"


def test_megatron_sc21_order_of_rates() -> None:
    names = [name for name in sorted(cases()) if name.startswith("megatron-sc21-gpt")]
    plans = [predicted(name) for name in names]
    flops = [plan.run.model_flops_per_second for plan, _ in plans]
    published = [flop / ratio for flop, (_, ratio) in zip(flops, plans, strict=True)]
    ranks = [np.argsort(np.argsort(values)) for values in (flops, published)]
    assert np.corrcoef(*ranks)[0, 1] > 0.6


def test_korthikanti_table_5() -> None:
    found = np.abs(errors("korthikanti"))
    assert found.size == 8
    assert found.mean() < 0.08, "arXiv 2205.05198"


@pytest.mark.parametrize(
    ("name", "within"),
    [
        ("llama3-405b-8192h100-seq8192", 0.06),
        ("llama3-405b-16384h100-seq8192", 0.06),
        ("llama3-405b-16384h100-seq131072", 0.10),
        ("deepseek-v3-2048h800", 0.12),
    ],
)
def test_headline_runs_fit_and_are_as_fast_as_published(name: str, within: float) -> None:
    plan, ratio = predicted(name)
    assert plan.outcome.feasible
    assert abs(ratio - 1) < within


def test_llama_405b_scales_as_published() -> None:
    small, large = (predicted(f"llama3-405b-{n}h100-seq8192")[0] for n in (8192, 16384))
    ratio = large.tokens_per_second / small.tokens_per_second
    assert ratio == pytest.approx(0.93, abs=0.04)


def test_memory_of_torchtitan_runs_where_the_micro_batch_is_known() -> None:
    rows = [row for row in cases().values() if row.get("memory_per_accelerator") and row.get("micro_batch")]
    rows = [row for row in rows if row.get("curated") and row["group"] == "torchtitan"]
    off = []
    for row in rows:
        held = predicted(row["id"])[0].memory
        assert held is not None
        off.append(abs(held.total / row["memory_per_accelerator"] - 1))
    assert len(off) >= 10
    assert np.median(off) < 0.08


def test_the_share_of_each_mechanism_of_deepseek_v3_is_shown() -> None:
    plan, _ = predicted("deepseek-v3-2048h800")
    shares = {name: value / plan.run.step_time.value for name, value in plan.breakdown.items()}
    assert 0.01 < shares["bubble"] < 0.12, "published: 2.06 s of 19.93 s (arXiv 2505.09343, table 4)"
    assert shares["expert_parallel"] < 0.2, "all-to-all is mostly hidden by DualPipe"


def test_constants_lie_within_their_bounds_and_every_fold_is_kept() -> None:
    held = fitted()
    for name, (low, high) in BOUNDS.items():
        assert low <= getattr(held.constants, name) <= high, name
    text = importlib.resources.files("tonnage.train").joinpath("data/software.json").read_text(encoding="utf-8")
    for folds in ("folds", "chip_folds"):
        assert all(set(fold) == set(TrainSoftware.__dataclass_fields__) for fold in json.loads(text)[folds].values())
    sources = {cases()[run.id]["group"] for run in held.runs}
    assert sources == set(held.folds)


def test_left_out_errors_that_the_fit_recorded() -> None:
    errors = fitted().errors
    source, chip = errors["source_left_out"], errors["chip_left_out"]
    assert source["all"]["median"] < 0.09 and source["all"]["p90"] < 0.27
    assert source["dense"]["median"] < 0.075 and source["moe"]["median"] < 0.15
    assert chip["all"]["median"] < 0.12 and chip["all"]["p90"] < 0.28
