"""When a prediction is called interpolated: a published run is near by chip, kind, precision, size, scale, length."""

from __future__ import annotations

import datetime
import math
from dataclasses import replace

import pytest

from tonnage import catalog
from tonnage.layout import Layout
from tonnage.model import load
from tonnage.provenance import Evidence
from tonnage.system import System, accelerator
from tonnage.train import TrainJob
from tonnage.train.evidence import LENGTH, SCALE, SIZE, UNCOMPILED, Apart, apart, doubt, nearest
from tonnage.train.software import fitted

CATALOG = catalog.load()
SAME = Apart(True, True, True, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("model", "precision", "chip", "count", "word"),
    [
        ("deepseek-v3", "fp8", "h800-sxm", 2048, "interpolated"),
        ("llama-3.1-405b", "bf16", "h100-sxm", 16384, "interpolated"),
        ("llama-3.1-8b", "bf16", "h100-sxm", 64, "interpolated"),
        ("llama-3.1-8b", "fp16", "a100-sxm-80gb", 64, "interpolated"),
        ("deepseek-v3", "bf16", "ascend-910b", 1024, "extrapolated"),
        ("deepseek-v3", "bf16", "b300-sxm", 2048, "extrapolated"),
        ("deepseek-v3", "mxfp8", "b300-sxm", 2048, "extrapolated"),
        ("deepseek-v3", "mxfp8", "b300-sxm", 256, "interpolated"),
        ("llama-3.1-8b", "bf16", "b300-sxm", 64, "extrapolated"),
        ("llama-3.1-8b", "bf16", "mi300x", 64, "analytic"),
    ],
)
def test_the_word_by_what_is_published(model: str, precision: str, chip: str, count: int, word: Evidence) -> None:
    asked = TrainJob(load(model, CATALOG), 4096, count, precision=precision)
    assert doubt(asked, System(accelerator(chip, CATALOG), count), Layout(dp=count)).evidence == word


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chip": False}, "another chip"),
        ({"kind": False}, "dense against sparse"),
        ({"precision": False}, "another precision"),
        ({"size": 1.01 * SIZE}, "4 times in parameters"),
        ({"scale": 1.01 * SCALE}, "4 times in accelerators"),
        ({"length": 1.01 * LENGTH}, "8.1 times in tokens of a sequence"),
    ],
)
def test_each_difference_alone_is_too_far_and_is_said(change: dict[str, float], words: str) -> None:
    assert SAME.near and not SAME.words and SAME.distance == 0
    far = replace(SAME, **change)
    assert not far.near and far.words == words and far.distance > 0


def test_factors_up_to_their_thresholds_are_near() -> None:
    assert replace(SAME, size=SIZE, scale=SCALE, length=LENGTH).near


def test_a_near_run_is_shown_before_any_that_is_not() -> None:
    asked = TrainJob(load("llama-3.1-8b", CATALOG), 4096, 512)
    system = System(accelerator("h100-sxm", CATALOG), 64)
    found = nearest(asked, system, fitted().runs)
    assert found is not None and found.apart == apart(asked, system, found.run) and found.apart.near
    assert nearest(asked, system, ()) is None
    others = [run for run in fitted().runs if not apart(asked, system, run).near]
    beyond = nearest(asked, system, others)
    assert beyond is not None and beyond.distance == min(round(apart(asked, system, run).distance, 2) for run in others)


def test_what_is_not_near_is_wider_than_what_is() -> None:
    chip = accelerator("b300-sxm", CATALOG)
    asked = TrainJob(load("deepseek-v3", CATALOG), 4096, 2048, precision="mxfp8")
    near, far = (doubt(asked, System(chip, count), Layout(dp=count)) for count in (256, 2048))
    assert far.spread > near.spread and "another chip" in far.reason


@pytest.mark.parametrize(("model", "kind"), [("llama-3.1-8b", "dense"), ("deepseek-v3", "moe")])
def test_a_date_that_nobody_gave_widens_the_interval_by_what_releases_differ(model: str, kind: str) -> None:
    asked = TrainJob(load(model, CATALOG), 4096, 256, date=datetime.date(2026, 6, 1))
    system, layout = System(accelerator("h100-sxm", CATALOG), 256), Layout(dp=256)
    dated, undated = (doubt(one, system, layout) for one in (asked, replace(asked, date=None)))
    more = fitted().spread[f"{kind}_date"]
    assert undated.spread == pytest.approx(math.hypot(dated.spread, more)) and more > 0.05
    assert "date is not given" in undated.reason and "date" not in dated.reason


def test_releases_of_mixtures_differ_more_than_of_dense_models() -> None:
    assert fitted().spread["moe_date"] > 3 * fitted().spread["dense_date"]


def test_a_run_that_nothing_compiles_is_less_sure() -> None:
    asked = TrainJob(load("llama-3.1-8b", CATALOG), 4096, 256, compiled=True)
    system, layout = System(accelerator("h100-sxm", CATALOG), 256), Layout(dp=256)
    fused, eager = (doubt(one, system, layout) for one in (asked, replace(asked, compiled=False)))
    assert eager.spread == pytest.approx(math.hypot(fused.spread, UNCOMPILED))
    assert "without compiling" in eager.reason
