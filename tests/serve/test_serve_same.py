"""One point, one number: what `plan` says of a pinned deployment is what `predict` says of the same run; and tokens are
conserved in every mode."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tonnage import catalog
from tonnage.model import load
from tonnage.serve import Deployment, Pool, ServeJob, ServePrediction, Speculation, plan, predict
from tonnage.serve.result import ServePlan
from tonnage.system import Accelerator, System, accelerator

CATALOG = catalog.load()
MODELS = {name: load(name, CATALOG) for name in ("deepseek-r1", "meta-llama/Llama-3.1-8B", "gpt-oss-120b")}
CHIPS = {name: accelerator(name, CATALOG) for name in ("h100-sxm", "h20", "h200-sxm", "ascend-910c")}
ISL, OSL = 4096.0, 1024.0
LONG = 1e15
"""Requests of a run so long that its start does not count, as in a service."""

PINS = [
    ("meta-llama/Llama-3.1-8B", "h100-sxm", 1, {"tp": 1}, Pool(1, tp=1), "vllm", "bf16"),
    ("meta-llama/Llama-3.1-8B", "h100-sxm", 4, {"tp": 2}, Pool(4, tp=2), "sglang", "bf16"),
    ("gpt-oss-120b", "h100-sxm", 8, {"tp": 8, "ep": 1, "etp": 8}, Pool(8, tp=8, ep=1, etp=8), "vllm", "mxfp4"),
    ("deepseek-r1", "h20", 16, {"tp": 1, "dp": 16, "ep": 16}, Pool(16, tp=1, dp=16, ep=16), "sglang", "fp8"),
    ("deepseek-r1", "h200-sxm", 8, {"tp": 8, "ep": 8}, Pool(8, tp=8, ep=8), "trtllm", "fp8"),
    (
        "deepseek-r1",
        "ascend-910c",
        16,
        {"tp": 4, "dp": 8, "ep": 32},
        Pool(16, tp=4, dp=8, ep=32),
        "vllm-ascend",
        "int8",
    ),
]
Pin = tuple[str, str, int, dict[str, int], Pool, str, str]


def asked(pin: Pin, mode: str, **changed: Any) -> ServePlan:
    model, chip, count, layout, _, engine, weights = pin
    osl = 1.0 if mode == "prefill" else OSL
    job = ServeJob(MODELS[model], ISL, osl, engine=engine, weights=weights, kv="bf16", mode=mode, **changed)
    found = plan(job, System(CHIPS[chip], count), layout)
    assert found.outcome.feasible
    return found


def ran(pin: Pin, mode: str, **changed: Any) -> ServePrediction:
    model, chip, _, _, pool, engine, weights = pin
    osl = 1.0 if mode == "prefill" else OSL
    kinds: dict[str, Any] = {"id": "x", "engine": engine, "weights": weights, "kv": "bf16", "requests": LONG}
    return predict(
        [
            Deployment(
                arch=MODELS[model], accelerator=CHIPS[chip], mode=mode, pool=pool, isl=ISL, osl=osl, **kinds, **changed
            )
        ]
    )[0]


@pytest.mark.parametrize("pin", PINS, ids=lambda pin: f"{pin[0]}-{pin[1]}")
def test_a_pinned_service_is_what_the_same_run_is_predicted_to_be(pin: Pin) -> None:
    planned, predicted = asked(pin, "aggregated", concurrency=48.0), ran(pin, "aggregated", concurrency=48.0)
    assert predicted.tpot and predicted.ttft and predicted.output_rate
    assert planned.tpot.value == pytest.approx(predicted.tpot.value, rel=1e-6)
    assert planned.ttft.value == pytest.approx(predicted.ttft.value, rel=1e-6)
    assert planned.output_rate.value == pytest.approx(predicted.output_rate.value, rel=1e-6)


@pytest.mark.parametrize("pin", PINS, ids=lambda pin: f"{pin[0]}-{pin[1]}")
def test_a_pinned_pool_is_what_the_same_pool_is_predicted_to_be(pin: Pin) -> None:
    decoding, measured = asked(pin, "decode", batch=3.0), ran(pin, "decode", batch=3.0)
    assert measured.tpot and measured.output_rate
    assert decoding.tpot.value == pytest.approx(measured.tpot.value, rel=1e-6)
    assert decoding.output_rate.value == pytest.approx(measured.output_rate.value, rel=1e-6)
    filling, tokens = asked(pin, "prefill", chunk=4096), 4096 * _replicas(pin) / pin[2]
    first = ran(pin, "prefill", tokens=tokens)
    assert first.ttft and first.input_rate
    assert filling.ttft.value == pytest.approx(first.ttft.value, rel=1e-6)
    assert filling.input_rate == pytest.approx(first.input_rate.value, rel=1e-6)


def _replicas(pin: Pin) -> float:
    return pin[2] * CHIPS[pin[1]].dies / pin[3]["tp"]


def test_a_rate_is_met_at_the_batch_that_the_same_run_has() -> None:
    pin = PINS[3]
    busy = asked(pin, "aggregated", batch=4.0)
    again = ran(pin, "aggregated", rate=busy.requests_per_second)
    assert again.tpot and again.ttft
    assert busy.tpot.value == pytest.approx(again.tpot.value, rel=1e-3)
    assert busy.ttft.value == pytest.approx(again.ttft.value, rel=1e-3)


MODES: list[dict[str, Any]] = [
    {"mode": "aggregated"},
    {"mode": "aggregated", "rate": 1.0},
    {"mode": "disaggregated"},
    {"mode": "disaggregated", "rate": 4.0},
    {"mode": "disaggregated", "afd": True},
    {"mode": "aggregated", "speculative": Speculation(1, 0.85)},
    {"mode": "disaggregated", "speculative": Speculation(1, 0.85)},
]


@pytest.mark.parametrize("how", MODES, ids=lambda how: "-".join(how))
def test_prefill_and_decode_tokens_are_those_of_the_same_requests(how: dict[str, Any]) -> None:
    job = ServeJob(MODELS["deepseek-r1"], ISL, OSL, **{"tpot": 0.05, "cache_hit": 0.25, **how})
    found = plan(job, System(CHIPS["h200-sxm"], 32))
    requests, count = found.requests_per_second, found.accelerators
    assert requests and found.tpot and found.speed.batch
    assert (found.input_rate or 0.0) * count == pytest.approx(requests * ISL)
    assert found.output_rate.value * count == pytest.approx(requests * OSL)
    if job.rate is None:  # Little's law: what decodes is requests/s x time of decode
        decoding = found.speed.batch * found.used
        assert decoding == pytest.approx(requests * (OSL - 1) * found.tpot.value, rel=0.03)


@pytest.mark.parametrize("mode", ["decode", "afd"])
def test_what_only_decodes_makes_as_many_tokens_as_run_in_a_step(mode: str) -> None:
    found = plan(ServeJob(MODELS["deepseek-r1"], ISL, OSL, tpot=0.05, mode=mode), System(CHIPS["h200-sxm"], 32))
    assert found.speed.batch and found.tpot and found.requests_per_second
    steps = found.speed.batch * found.used / found.tpot.value
    assert found.requests_per_second * (OSL - 1) == pytest.approx(steps, rel=1e-3)
    assert found.input_rate is None


POOLS = ({"tp": 1, "dp": 16, "ep": 16}, {"tp": 1, "pp": 4, "dp": 4, "ep": 2})


def two_pools(chip: Accelerator, **changed: Any) -> float:
    job = ServeJob(**{"arch": MODELS["deepseek-r1"], "isl": ISL, "osl": OSL, "tpot": 0.05, "ttft": 60.0, **changed})
    found = plan(replace(job, mode="disaggregated"), System(chip, 32), *POOLS)
    return found.requests_per_second or 0.0


@pytest.mark.parametrize("name", ["bandwidth", "link", "nic"])
def test_two_pools_of_better_chips_never_serve_less(name: str) -> None:
    chip = CHIPS["h200-sxm"]
    assert two_pools(replace(chip, **{name: 2 * getattr(chip, name)})) >= two_pools(chip) > 0


def test_longer_prompts_are_never_served_faster_by_two_pools() -> None:
    rates = [two_pools(CHIPS["h200-sxm"], isl=isl) for isl in (1024.0, 4096.0, 16384.0)]
    assert rates == sorted(rates, reverse=True) and rates[-1] > 0


def test_a_larger_batch_makes_more_tokens_at_a_higher_tpot_until_memory_binds() -> None:
    """On 16 H20 a rank has room for under 100 sequences of 4096 + 512 tokens."""
    found = [asked(PINS[3], "decode", batch=batch) for batch in (1.0, 4.0, 16.0, 64.0)]
    rates = [one.output_rate.value for one in found]
    assert rates == sorted(rates) and [one.tpot.value for one in found] == sorted(one.tpot.value for one in found)
    model, chip, count, layout, _, engine, weights = PINS[3]
    job = ServeJob(MODELS[model], ISL, OSL, engine=engine, weights=weights, kv="bf16", mode="decode", batch=256.0)
    assert plan(job, System(CHIPS[chip], count), layout).outcome.reason == "memory"
