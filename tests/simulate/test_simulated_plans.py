"""Plans simulated: the simulator agrees with the steady state where both apply, and with what a real engine did."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tonnage.catalog import load as load_catalog
from tonnage.errors import InputError
from tonnage.model import load as load_model
from tonnage.serve import ServeJob, ServePlan, plan
from tonnage.serve.replica.loads import open_loop
from tonnage.serve.search.grid import serve_setting
from tonnage.serve.search.modes import evaluate
from tonnage.simulate.generate import ArrivalProcess, Drawn, generate
from tonnage.simulate.measure import each
from tonnage.simulate.plans import Lengths, service_of
from tonnage.simulate.run import simulate
from tonnage.simulate.service import Simulated
from tonnage.simulate.workload import Workload, workload
from tonnage.system import System, accelerator

LOGS = Path(os.environ.get("TONNAGE_TRACES", "traces")) / "vllm-logs"
"""Logs of vLLM's requests of casys-kaist/LLMServingSim (MIT), which the repository does not have with it."""


def planned(model: str, chip: str, count: int = 1, isl: float = 1000, osl: float = 250, **asked: object) -> ServePlan:
    catalog = load_catalog()
    job = ServeJob(load_model(model, catalog), isl, osl, **asked)  # type: ignore[arg-type]
    return plan(job, System(accelerator(chip, catalog), count))


@pytest.mark.parametrize("share", [0.7, 0.85, 1.0])
@pytest.mark.parametrize(
    ("model", "chip", "count", "engine"),
    [
        ("llama-3.1-8b", "h100-sxm", 1, "vllm"),
        ("qwen3-30b-a3b", "h100-sxm", 1, "sglang"),
        ("llama-3.3-70b", "h200-sxm", 2, "vllm"),
    ],
)
def test_steady_state_within_three_per_cent(model: str, chip: str, count: int, engine: str, share: float) -> None:
    """Fixed lengths that come at a share of the rate that the plan carries; at all of it a little faster, so that what
    leaves is what it can do: throughput and time per token in the middle of the run.
    """
    found = planned(model, chip, count, engine=engine, tpot=0.03, mode="aggregated")
    one = next(i for i in found.instances if i.role == "serve")
    setting = serve_setting(found.job, found.systems[0])
    given = service_of(found)
    replicas = given.deployment.replicas
    full = float(found.requests_per_second or 0.0) / replicas
    chunk, most = float(found.chunk or setting.chunk), float(given.limits.sequences)
    point = open_loop(lambda b: evaluate(setting, one.layout, b, chunk), setting.traffic, np.array(full * share), most)
    alone = replace(given, deployment=replace(given.deployment, replicas=1))
    come = ArrivalProcess("poisson", full * (share if share < 1 else 1.15))
    size = max(5000, 12 * given.limits.sequences)
    load = generate(size, come, Drawn(1000), Drawn(250), seed=2)
    run = simulate(load, alone, fast=False)
    first, last = size // 3, size * 5 // 6
    ends = np.sort(run.finish)
    rate = (last - first) / (ends[last] - ends[first])
    came = (last - first) / (load.arrival[last] - load.arrival[first])
    assert rate == pytest.approx(min(float(np.ravel(point.rate)[0]), full) if share == 1 else came, rel=0.03)
    exact = open_loop(lambda b: evaluate(setting, one.layout, b, chunk), setting.traffic, np.array(rate), most)
    assert float(each(run)["tpot"][first:last].mean()) == pytest.approx(float(np.ravel(exact.tpot)[0]), rel=0.03)


def test_a_plan_read_again_gives_the_same_service() -> None:
    found = planned("llama-3.1-8b", "h100-sxm", tpot=0.03)
    one, other = service_of(found), service_of(ServePlan.from_json(json.loads(json.dumps(found.to_json()))))
    assert one.limits == other.limits and one.deployment == other.deployment and one.prices == other.prices
    assert np.array_equal(one.times[0].base, other.times[0].base) and np.array_equal(
        one.times[0].mix, other.times[0].mix
    )


def test_plans_that_are_half_a_service_are_refused() -> None:
    with pytest.raises(InputError, match="half a service"):
        service_of(planned("llama-3.1-8b", "h100-sxm", tpot=0.03, mode="decode"))
    with pytest.raises(InputError, match="not feasible"):
        service_of(planned("llama-3.1-405b", "h100-sxm", tpot=0.03))


def test_two_pools_are_simulated_as_planned() -> None:
    found = planned("llama-3.1-8b", "h100-sxm", 4, isl=4000, tpot=0.02, mode="disaggregated")
    given = service_of(found)
    assert found.prefill_pool is not None
    assert given.deployment.prefill == found.prefill_pool.instances and given.deployment.move_token > 0


def rows(name: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (LOGS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def logged(name: str, chip: str, running: int, blocks: int | None) -> tuple[Workload, Simulated, float, float]:
    """What came, what is simulated with it, and the means of ttft and tpot that were measured [s]."""
    log = rows(name)
    column = {key: np.array([row[key] for row in log]) for key in log[0] if key != "request_id"}
    come = column["queued_ts"] - column["queued_ts"].min()
    ttft = float((column["first_token_ts"] - column["queued_ts"]).mean())
    tpot = float(((column["last_token_ts"] - column["first_token_ts"]) / (column["output_toks"] - 1)).mean())
    load = workload(come, column["input_toks"], column["output_toks"])
    mean = Lengths(float(load.isl.mean()), float(load.osl.mean()))
    found = planned("llama-3.1-8b", chip, isl=mean.isl, osl=mean.osl, engine="vllm@0.19", running=running, chunk=2048)
    made = service_of(found, mean)
    limits = made.limits if blocks is None else replace(made.limits, blocks=blocks)
    return load, replace(made, limits=limits, deployment=replace(made.deployment, admission=0.0)), ttft, tpot


def errors(case: tuple[Workload, Simulated, float, float], host: float) -> tuple[float, float]:
    """How far mean ttft and tpot are off with so many seconds of the CPU in each step."""
    load, made, ttft, tpot = case
    run = simulate(load, replace(made, times=(made.times[0].with_host(host),)), fast=False)
    times = each(run)
    return float(times["ttft"].mean()) / ttft - 1, float(times["tpot"].mean()) / tpot - 1


@pytest.mark.skipif(not LOGS.is_dir(), reason="TONNAGE_TRACES names no folder with vllm-logs")
def test_the_cpu_time_of_one_real_run_predicts_the_other() -> None:
    """The time of the CPU in a step is chosen on the RTX 4090 (2,588 blocks, as logged), and predicts the PRO 6000."""
    known = logged("RTX4090_Llama-3.1-8B", "rtx-4090", 256, 2588)
    host = min(np.arange(0.0, 2e-3, 1e-4), key=lambda value: sum(map(abs, errors(known, value))))
    ttft, tpot = errors(logged("RTXPRO6000_Llama-3.1-8B", "rtx-pro-6000", 128, None), float(host))
    assert abs(ttft) < 0.15 and abs(tpot) < 0.08
