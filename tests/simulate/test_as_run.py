"""Finite runs as published: ramp and tail, the process before the engine, what is left to a steady state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tonnage.catalog import load as load_catalog
from tonnage.model import load as load_model
from tonnage.serve import Deployment, Pool, constants, predict
from tonnage.simulate.as_run import finite, is_finite, piles_up, sent
from tonnage.system import accelerator

CATALOG = load_catalog()


def run(**changed: object) -> Deployment:
    """Qwen3-14B on an A100 with vLLM as it comes: 1,000 requests of the lengths of conversations, all at once."""
    case = Deployment(
        "one",
        load_model("qwen3-14b", CATALOG),
        accelerator("a100-sxm-80gb", CATALOG),
        "aggregated",
        Pool(1.0),
        217.0,
        202.0,
        concurrency=1000.0,
        requests=1000.0,
        engine="vllm@0.11.0",
        spread="exponential",
        at_once=True,
        stack="default",
    )
    return replace(case, **changed)  # type: ignore[arg-type]


def test_a_published_run_of_an_untouched_engine() -> None:
    """9.3 requests/s over the whole run, 0.114 s a token; the steady state says 18 requests/s."""
    found = finite(run())
    assert found.rate == pytest.approx(1887 / 202, rel=0.3)
    assert found.tpot == pytest.approx(0.114, rel=0.3)
    steady = predict([run()])[0].output_rate
    assert steady is not None and steady.value > 1.2 * found.rate * 202


def test_a_run_of_many_waves_is_as_fast_as_the_steady_state() -> None:
    """Of equal lengths and forty waves, without a process before the engine: ramp and tail are what is left."""
    even = run(spread="fixed", requests=2560.0, concurrency=64.0, running=64, stack=None)
    found = finite(replace(even, concurrency=2560.0))
    steady = predict([replace(even, at_once=False)])[0].output_rate
    assert steady is not None
    assert 2560 / (found.duration - found.front) * 202 == pytest.approx(steady.value, rel=0.08)


def test_ramp_and_tail_cost_more_of_a_shorter_run() -> None:
    rates = [finite(run(requests=size, concurrency=size)).rate for size in (250.0, 1000.0, 4000.0)]
    assert rates == sorted(rates)


def test_the_process_before_the_engine_takes_its_time_for_each_request() -> None:
    engine = constants().engine["vllm"]["front"]
    found = finite(run())
    assert found.front == pytest.approx(1000 * engine) and found.ttft > found.front


def test_a_limit_of_sequences_is_kept() -> None:
    few, many = finite(run(running=32)), finite(run())
    assert few.rate < 0.6 * many.rate and few.tpot < many.tpot


def test_longest_answers_are_the_tail() -> None:
    assert finite(run(spread="exponential")).rate < finite(run(spread="fixed")).rate


def test_only_whole_runs_that_begin_at_once_are_finite() -> None:
    assert is_finite(run()) and sent(run()) == 1000
    assert not is_finite(run(at_once=False)) and not is_finite(run(rate=2.0)) and not is_finite(run(mode="decode"))
    offline = run(requests=None, concurrency=None)
    assert sent(offline) == 3000 and finite(offline).front == 0


def test_same_run_same_numbers() -> None:
    assert finite(run(requests=200.0)) == finite(run(requests=200.0))
    assert np.isfinite(finite(run(osl=1.0, requests=50.0)).rate)


def test_requests_that_pile_up_are_simulated_one_by_one() -> None:
    """Twice what a replica serves: the steady state knows no queue that grows, the run of so many requests does."""
    case = run(rate=40.0, requests=500.0, concurrency=None, at_once=False, spread="fixed", stack=None)
    steady = predict([case])[0]
    assert steady.output_rate is not None and steady.ttft is not None
    served = steady.output_rate.value * case.pool.count / case.osl
    assert piles_up(case, served) and not piles_up(case, 40.0) and not piles_up(replace(case, requests=None), served)
    assert finite(case).ttft > 1.5 * steady.ttft.value
    calm = replace(case, rate=served / 4)
    first = predict([calm])[0].ttft
    assert first is not None and finite(calm).ttft == pytest.approx(first.value, rel=0.25)
