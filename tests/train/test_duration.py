"""The slip of a run: what moves it, how its interval is made, what is called interpolated."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tonnage import catalog
from tonnage.interval import Interval, around, point
from tonnage.model import load
from tonnage.system import System, accelerator
from tonnage.train.duration import (
    STRANGE,
    Past,
    Properties,
    Slips,
    compound,
    duration,
    fitted,
    properties,
    sentence,
)
from tonnage.train.job import TrainJob
from tonnage.units import decimal_year

H100 = Properties(count=1024, age=4.0, moe=False, params=7e9, vendor="NVIDIA", rate=989e12)


def known(runs: int = 3, **changes: object) -> Slips:
    past = tuple(Past(str(i), f"lab {i}", replace(H100, **changes), 1.4) for i in range(runs))  # type: ignore[arg-type]
    return Slips(0.3, {"fleet": -0.2, "age": -0.1}, 0.2, 0.3, past)


@pytest.fixture(scope="module")
def run() -> tuple[TrainJob, System]:
    facts = catalog.load()
    return TrainJob(load("meta-llama/Llama-2-7b-hf", facts), tokens=2e12), System(accelerator("h100-sxm", facts), 1024)


def test_small_fleets_and_old_chips_slip_less() -> None:
    slips = known()
    assert slips.slip(H100) == pytest.approx(math.exp(0.3 - 0.2))
    assert slips.slip(replace(H100, count=100_000)) == slips.slip(replace(H100, count=1000))
    assert slips.slip(replace(H100, count=100, age=2.0)) == pytest.approx(math.exp(0.3 - 0.2))
    assert slips.slip(replace(H100, age=0.0)) == pytest.approx(math.exp(0.3 + 0.2))
    assert slips.slip(replace(H100, age=-3.0)) == slips.slip(replace(H100, age=0.0))
    assert slips.slip(replace(H100, age=None)) == slips.slip(replace(H100, age=2.0))
    assert slips.slip(replace(H100, age=40.0)) == slips.slip(H100)


def test_no_run_is_shorter_than_its_steps() -> None:
    assert known().slip(replace(H100, count=8)) == 1.0
    assert known().slip(replace(H100, count=1)) == 1.0
    for past in fitted()[0].runs:
        assert fitted()[0].slip(past.properties) >= 1.0


def test_doubts_add_as_squares_each_side_by_itself() -> None:
    wall = Interval(100.0, 100 / math.exp(0.3), 100 * math.exp(0.4))
    slip = around(1.5, 0.0)
    assert compound(wall, slip).low == pytest.approx(1.5 * wall.low)
    wide = compound(wall, Interval(1.5, 1.5 / math.exp(0.4), 1.5 * math.exp(0.3)))
    assert wide.value == pytest.approx(150.0)
    assert math.log(wide.value / wide.low) == pytest.approx(0.5) == math.log(wide.high / wide.value)


def test_interpolated_only_where_three_sources_ran_its_like(run: tuple[TrainJob, System]) -> None:
    """Spread widens on what nobody published, and the words say so."""
    job, system = run
    wall = point(1e6)
    near = duration(job, system, wall, known=known())
    assert near.evidence == "interpolated" and near.slip.sigma == pytest.approx(0.2)
    few = duration(job, system, wall, known=known(2))
    assert few.evidence == "extrapolated" and few.slip.sigma == pytest.approx(0.3)
    sparse = duration(job, system, wall, known=known(moe=True))
    assert sparse.evidence == "extrapolated" and "none of them like this one" in sparse.reason
    older = duration(job, system, wall, known=known(rate=312e12))
    assert older.evidence == "extrapolated" and "generation" in older.reason
    strange = duration(job, system, wall, known=known(vendor="Huawei"))
    assert strange.evidence == "analytic" and strange.slip.sigma == pytest.approx(STRANGE * 0.3)
    assert near.time.value == older.time.value == strange.time.value
    empty = duration(job, system, wall, known=known(0))
    assert empty.evidence == "analytic" and empty.nearest is None


def test_evidence_is_no_better_than_that_of_the_step(run: tuple[TrainJob, System]) -> None:
    found = duration(*run, point(1e6), evidence="analytic", known=known())
    assert found.evidence == "analytic" and found.slip.sigma == pytest.approx(0.2)


def test_properties_of_a_job(run: tuple[TrainJob, System]) -> None:
    job, system = run
    found = properties(job, system)
    assert (found.count, found.vendor, found.moe) == (1024, "NVIDIA", False)
    assert found.params == pytest.approx(6.7e9, rel=0.02) and found.rate == pytest.approx(989e12, rel=0.01)
    chip = system.accelerator
    assert chip.released is not None and chip.released.year in (2022, 2023)
    assert found.age == pytest.approx(decimal_year(job.when) - decimal_year(chip.released))
    assert properties(job, replace(system, accelerator=replace(chip, released=None))).age is None


def test_distance_is_in_e_folds_and_steps() -> None:
    past = Past("a", "b", H100, 1.0)
    assert past.distance(H100) == 0.0
    assert past.distance(replace(H100, params=7e9 * math.e)) == pytest.approx(1.0)
    assert past.distance(replace(H100, count=round(1024 * math.e**2))) == pytest.approx(1.0, rel=1e-3)
    assert past.distance(replace(H100, moe=True)) == past.distance(replace(H100, rate=2250e12)) == 1.0
    assert past.distance(replace(H100, vendor="AMD")) == 2.0


def test_the_keys_and_the_line_of_an_answer(run: tuple[TrainJob, System]) -> None:
    found = duration(*run, around(1e6, 0.1))
    body = found.to_json()
    assert body["duration"] == pytest.approx(1e6 * body["slip"])
    assert body["duration_low"] < body["duration"] < body["duration_high"]
    assert body["slip_low"] < body["slip"] < body["slip_high"] and body["nearest_run"]["id"].startswith("dur-")
    assert sentence(found).startswith("1.3 times their steps; 90 %") and "published runs" in sentence(found)


def test_the_fit_says_how_far_it_is_off_on_what_it_did_not_see() -> None:
    held = fitted()[1]
    assert set(held.constants) == {"level", *H100.features} - {
        name for name in H100.features if name not in held.constants
    }
    out = held.error("source", "all")
    assert 0.9 <= out["median_ratio"] <= 1.1 and 0.85 <= out["inside"] <= 0.95
    assert {"year", "chip generation", "dense or MoE", "chosen anew"} <= set(held.errors)
    assert held.unseen >= held.spread
