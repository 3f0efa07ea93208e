"""Plans are values: the same again from their JSON, and the same again from the question that they hold."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from tonnage import catalog, serve
from tonnage.errors import InputError
from tonnage.model import derive, load
from tonnage.serve import (
    ChipPower,
    ChipPrice,
    Deployment,
    FitPlan,
    MeasuredService,
    Pool,
    ServeJob,
    ServePlan,
    Speculation,
    anchored,
    fit,
    fit_again,
    plan,
    plan_again,
    plan_mixed,
    price_list,
)
from tonnage.serve.result import FORMS
from tonnage.system import System, accelerator

CATALOG = catalog.load()
R1 = load("deepseek-r1", CATALOG)
LLAMA = load("meta-llama/Llama-3.1-8B", CATALOG)
H100, H200, H800, ASCEND = (accelerator(name, CATALOG) for name in ("h100-sxm", "h200-sxm", "h800-sxm", "ascend-910c"))


def job(**asked: Any) -> ServeJob:
    return ServeJob(**{"arch": R1, "isl": 4096.0, "osl": 1024.0, "tpot": 0.05, **asked})


def mixed(*systems: System, **asked: Any) -> ServePlan:
    jobs = [job(price=ChipPrice(0.001, "as given"), power=ChipPower(w, "rated"), **asked) for w in (700.0, 400.0)]
    return plan_mixed(jobs, systems)


def calibrated() -> ServePlan:
    case = Deployment("x", LLAMA, H100, "aggregated", Pool(1), 1024.0, 512.0, concurrency=16.0, weights="bf16")
    return plan(job(arch=LLAMA), System(H100, 1), fitted=anchored([MeasuredService(case, tpot=0.02)]))


MADE = {
    "aggregated": lambda: plan(job(mode="aggregated", thorough=True), System(H200, 16)),
    "disaggregated": lambda: plan(job(ttft=2.0, mode="disaggregated"), System(H200, 32)),
    "prefill": lambda: plan(job(osl=1.0, tpot=None, mode="prefill"), System(H200, 16)),
    "decode": lambda: plan(job(mode="decode"), System(H200, 16), {"tp": 1}),
    "afd": lambda: plan(job(mode="afd"), System(H800, 48), {"tp": 1}, ffn_fixed={"tp": 1}),
    "afd on two kinds": lambda: mixed(System(H200, 16), System(H800, 32), mode="afd"),
    "prefill on another kind": lambda: mixed(System(H800, 16), System(ASCEND, 16)),
    "side by side": lambda: mixed(System(H200, 16), System(H800, 16), concurrency=64.0, tpot=None),
    "too slow": lambda: plan(job(tpot=0.001), System(H200, 16)),
    "too large": lambda: plan(job(), System(H100, 2)),
    "too much": lambda: mixed(System(H800, 16), System(ASCEND, 16), rate=1000.0),
    "a rate": lambda: plan(job(rate=2.0, mode="aggregated", thorough=True), System(H200, 16)),
    "one token": lambda: plan(job(osl=1.0, tpot=None), System(H200, 16)),
    "drafts and prices": lambda: plan(
        job(speculative=Speculation(1, 0.85), cache_hit=0.5, price_list=price_list("deepseek-r1", CATALOG)),
        System(H200, 16),
        {"tp": 8},
    ),
    "calibrated": calibrated,
}


@pytest.fixture(scope="module", params=MADE, ids=str)
def made(request: pytest.FixtureRequest) -> ServePlan:
    return MADE[request.param]()


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, float) else []


def test_a_plan_is_the_same_again_from_its_json(made: ServePlan) -> None:
    body = json.loads(json.dumps(made.to_json(), allow_nan=False))
    read = ServePlan.from_json(body)
    assert read == made
    assert {**read.to_json(), "search": None} == {**made.to_json(), "search": None}
    assert all(math.isfinite(number) for number in numbers(body))


def test_a_plan_is_the_same_again_from_its_question(made: ServePlan) -> None:
    assert plan_again(ServePlan.from_json(json.loads(json.dumps(made.to_json())))) == made


def test_a_fit_is_the_same_again() -> None:
    for count in (8, 1):
        found = fit(R1, System(H200, count), kv="fp8", context=32768.0, engine_name="vllm", chunk=4096)
        read = FitPlan.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
        assert read == found and fit_again(read) == found


def test_the_file_of_a_model_is_not_needed_again(tmp_path: Path) -> None:
    config = tmp_path / "mine" / "config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({**LLAMA.config, "num_hidden_layers": 20}))
    found = plan(job(arch=load(config)), System(H100, 1))
    config.unlink()
    again = plan_again(ServePlan.from_json(json.loads(json.dumps(found.to_json()))))
    assert again == found and again.job.arch.depth == 20


def test_an_architecture_keeps_what_was_set_beside_its_configuration() -> None:
    changed = derive(LLAMA, layers=12, precision="fp8", name="mine")
    form = FORMS[type(changed)]
    assert form.read(form.write(changed)) == changed


def test_measurements_are_noted_and_missed_where_they_are_not_there() -> None:
    class Half:
        source = "half as fast, by nobody"

        def factor(self, work: Any, precision: Any = None, *, fused: bool = False) -> tuple[float, float]:
            return 2.0, 1.0

    chip = dataclasses.replace(H100, measured=Half())
    found = plan(job(arch=LLAMA), System(chip, 1))
    assert found.question.fleets[0].measured == "half as fast, by nobody" and found.measured_share == pytest.approx(1.0)
    assert plan_again(found) == found
    read = ServePlan.from_json(json.loads(json.dumps(found.to_json())))
    assert read == found
    with pytest.raises(InputError, match="by nobody"):
        plan_again(read)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("accelerators",), "16"),
        (("question", "job", "arch"), {"name": "x"}),
        (("question", "job", "arch", "config"), {"model_type": "unheard"}),
        (("instances", 0, "layout"), {"tp": 1.5}),
        (("strange",), 1),
    ],
)
def test_what_is_no_plan_is_refused(path: tuple[Any, ...], value: Any) -> None:
    body = json.loads(json.dumps(MADE["decode"]().to_json()))
    inner = body["plan"]
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(InputError):
        ServePlan.from_json(body)
    with pytest.raises(InputError):
        ServePlan.from_json({})


def test_instances_are_what_the_plan_says() -> None:
    found = MADE["prefill on another kind"]()
    assert {one.role: one.chip for one in found.instances} == {
        share.does: share.chip for share in found.shares if share.does != "idle"
    }
    assert found.pool is not None and found.prefill_pool is not None
    held = {one.role: (one.layout, one.count) for one in found.instances}
    assert held == {
        "decode": (found.pool.layout, found.pool.instances),
        "prefill": (found.prefill_pool.layout, found.prefill_pool.instances),
    }
    assert all(name in serve.__all__ for name in ("Instance", "ServeQuestion", "plan_again"))
