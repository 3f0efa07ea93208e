"""Plans hold their question: they come back from their JSON, and are planned again with every file gone."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tonnage import catalog, model
from tonnage.errors import InputError
from tonnage.layout import parse_layout
from tonnage.system import System, accelerator
from tonnage.train import (
    Level,
    MixedPlan,
    Move,
    Rollouts,
    TrainJob,
    TrainPlan,
    leveled,
    mixed,
    mixed_again,
    move,
    plan,
    plan_again,
    stage,
)
from tonnage.train.result import resting_on

CATALOG = catalog.load()
ARCH = model.load("llama-3.1-8b", CATALOG)
JOB = TrainJob(ARCH, 4096, 512, 1e12)
H100 = System(accelerator("h100-sxm", CATALOG), 64)
H20 = System(accelerator("h20", CATALOG), 64)
PRICE = 2.0 / 3600
FIXED = parse_layout("tp1,cp1,pp1,mbs1,zero1")
LEVEL = Level(0.8, 0.16, 1, 2, "of this model on this chip")


@functools.cache
def plain() -> TrainPlan:
    made = plan(JOB, H100, parse_layout("tp2,recompute=none"), price=PRICE)
    return replace(made, provenance=resting_on(made.provenance, ("price-1",), "digest"))


def moved() -> TrainPlan:
    there = plan(JOB, replace(H100, count=256), price=PRICE)
    return replace(plain(), move=move(plain(), there, share=0.3, how=Move(wire=math.inf)))


def in_rounds() -> TrainPlan:
    update = plan(replace(JOB, seq=3000, tokens=None), H100)
    rollouts = Rollouts(1000, 2000, 512, 2e5, 1.5e5, 2.5e5, H20, 5.0, True)
    return replace(plain(), rl=stage(1e10, update, rollouts, ("vllm", "tp1,dp64", update.outcome), (PRICE, None)))


def no_rounds() -> TrainPlan:
    made = in_rounds()
    assert made.rl is not None
    refused = plan(JOB, replace(H100, count=1)).outcome
    rollouts = replace(made.rl.rollouts, rate=0.0, low=0.0, high=0.0)
    return replace(made, rl=stage(1e10, made.rl.update, rollouts, ("", "", refused), (PRICE, None)))


PLANS: dict[str, Callable[[], TrainPlan]] = {
    "plain": plain,
    "nothing divides": lambda: plan(JOB, H100, parse_layout("tp2,pp3,dp5"), price=PRICE),
    "nothing fits": lambda: plan(TrainJob(model.load("llama-3.1-405b", CATALOG)), H100, price=PRICE),
    "without tokens": lambda: plan(replace(JOB, tokens=None), H20),
    "anchored": lambda: leveled(plain(), LEVEL),
    "moved": moved,
    "moved to too few": lambda: replace(plain(), move=move(plain(), plan(JOB, replace(H100, count=1)))),
    "reinforcement learning": in_rounds,
    "reinforcement learning that cannot be": no_rounds,
}
LARGE = TrainJob(model.load("llama-3.1-405b", CATALOG), 4096, 256)
MIXED: dict[str, Callable[[], MixedPlan]] = {
    "groups": lambda: mixed(JOB, (H100, H20), (FIXED, FIXED), (PRICE, None)),
    "stages": lambda: mixed(
        TrainJob(model.load("llama-3.1-405b", CATALOG), 4096, 256), (replace(H100, count=256), H20)
    ),
    "neither": lambda: mixed(LARGE, (replace(H100, count=4), H20)),
}


@pytest.fixture
def files_gone(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on no file can be opened, and nothing can be looked up."""

    def gone(*_: object, **__: object) -> None:
        raise AssertionError("a plan is planned from itself alone")

    def go() -> None:
        for where in ("builtins.open", "pathlib.Path.open", "tonnage.catalog.load", "tonnage.model.load"):
            monkeypatch.setattr(where, gone)

    return go


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_comes_back_from_its_json_and_is_planned_again(name: str, files_gone: Callable[[], None]) -> None:
    made = PLANS[name]()
    text = json.dumps(made.to_json(), allow_nan=False)
    files_gone()
    kept = TrainPlan.from_json(json.loads(text))
    assert kept == made
    assert kept.to_json() == made.to_json() | {"search": kept.to_json()["search"]}
    assert plan_again(kept) == made


@pytest.mark.parametrize("name", MIXED)
def test_a_mixed_plan_comes_back_from_its_json_and_is_planned_again(name: str, files_gone: Callable[[], None]) -> None:
    made = MIXED[name]()
    assert made.way == ("stages" if name == "stages" else "groups") and (made.run is None) == (name == "neither")
    text = json.dumps(made.to_json(), allow_nan=False)
    files_gone()
    kept = MixedPlan.from_json(json.loads(text))
    assert kept == made
    assert mixed_again(kept) == made


def test_the_kinds_are_what_they_are_called() -> None:
    assert PLANS["nothing divides"]().run is None
    assert PLANS["nothing fits"]().outcome.reason == "memory"
    assert moved().move and moved().move.switch  # type: ignore[union-attr]
    assert no_rounds().rl.rounds is None  # type: ignore[union-attr]
    assert no_rounds().rl.where == "generation on h20-96gb"  # type: ignore[union-attr]


def test_a_model_of_ones_own_is_in_its_plan(tmp_path: Path, files_gone: Callable[[], None]) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text("like: llama-3.1-8b\nlayers: 16\ntitle: Ours\n", encoding="utf-8")
    made = plan(replace(JOB, arch=model.load(path, CATALOG)), H100)
    text = json.dumps(made.to_json())
    path.unlink()
    files_gone()
    assert plan_again(TrainPlan.from_json(json.loads(text))) == made


def test_what_is_no_plan_is_refused_with_its_path() -> None:
    body = json.loads(json.dumps(plain().to_json()))
    with pytest.raises(InputError, match="plan: is missing"):
        TrainPlan.from_json({"layout": "tp1"})
    body["plan"]["job"]["seq"] = "many"
    with pytest.raises(InputError, match=r"job\.seq: expected a whole number"):
        TrainPlan.from_json(body)


def test_no_figure_is_made_up_where_there_is_no_layout() -> None:
    refused = PLANS["nothing divides"]()
    assert refused.step_time is None and refused.memory is None and refused.bill is None and refused.mfu is None
    assert all(value is None for key, value in refused.to_json().items() if key.startswith(("step", "mfu", "wall")))
