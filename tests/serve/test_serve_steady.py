"""Balances of continuous batching, waits for a first token, and loops that must close."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage import catalog
from tonnage.serve import predict
from tonnage.serve.as_run.deployment import Deployment, Pool
from tonnage.serve.as_run.predict import prepare
from tonnage.serve.job import Speculation
from tonnage.serve.replica import loads, steady
from tonnage.serve.replica.points import Point, Traffic, together
from tonnage.simulate.as_run import finite
from tonnage.truth.shapes import Library

some = st.floats(1.0, 1e4)


@given(running=some, fresh=some, steps=some, chunk=some, decode=st.floats(1e-3, 0.1), extra=st.floats(0, 1))
def test_prefill_tokens_equal_those_of_the_requests_that_leave(
    running: float, fresh: float, steps: float, chunk: float, decode: float, extra: float
) -> None:
    """Prefill tokens per second = requests per second x fresh tokens of each."""
    flow = steady.Flow(running, fresh, steps, chunk)
    step = steady.step_time(flow, decode, extra, steady.busy(flow))
    rate = steady.request_rate(flow, step)
    assert steady.busy(flow) * chunk / step == pytest.approx(rate * fresh)
    assert rate * steps == pytest.approx(running / step)


@given(share=st.floats(0, 3), replicas=st.integers(1, 64), together=st.floats(0, 1))
def test_replicas_never_wait_less_than_for_their_own_prefill(share: float, replicas: int, together: float) -> None:
    assert share <= steady.held_up(share, replicas, together) <= max(share, 1.0) + 1e-12
    assert steady.held_up(share, 1, together) == pytest.approx(share)


def test_accepted_tokens_are_a_geometric_sum() -> None:
    assert Speculation(1, 0.85).accepted == pytest.approx(1.85)
    assert Speculation(3, 0.5).accepted == pytest.approx(1 + 0.5 + 0.25 + 0.125)
    assert Speculation(2, 0.0).accepted == pytest.approx(1.0)


def test_waiting_is_that_of_md1_and_never_more_than_half_the_others() -> None:
    assert steady.waiting(0.5, 1.0, 1e9) == pytest.approx(0.5)
    assert steady.waiting(0.0, 1.0, 1e9) == 0.0
    assert steady.waiting(0.999, 2.0, 11.0) == pytest.approx(10.0)
    assert steady.waiting(0.999, 2.0, 1.0) == 0.0


def test_mean_lump_is_that_of_poisson_arrivals_that_are_not_none() -> None:
    """Drawn at random: 30 run, 100 steps each, looked for every five steps."""
    draws = np.random.default_rng(1).poisson(30 / 100 * 5, 400_000)
    assert steady.lump(30.0, 1.0, 100.0, 1e9, polls=2.0) == pytest.approx(draws[draws > 0].mean(), rel=0.01)
    assert steady.lump(1.0, 700.0, 1e6, 8192.0) == pytest.approx(700.0)
    assert steady.lump(1e4, 700.0, 10.0, 8192.0) == 8192.0


@given(prompts=st.integers(1, 200), per_step=st.integers(1, 16))
def test_a_wave_of_whole_prompts_passes_as_counted(prompts: int, per_step: int) -> None:
    """Prompts in order, so many a step: the mean step in which they end, to half a step."""
    counted = np.mean([-(-i // per_step) for i in range(1, prompts + 1)])
    assert steady.passes(prompts * 100.0, 100.0, per_step * 100.0) == pytest.approx(counted, abs=0.5)


def test_a_run_mixes_its_first_wave_and_the_rest() -> None:
    assert steady.first_tokens(10.0, 1.0, 10.0, 0.0) == pytest.approx(0.1 * 10 + 0.9 * 1)
    assert steady.first_tokens(10.0, 1.0, 10.0, 1.0) == 10.0
    assert steady.first_tokens(10.0, 1.0, np.inf, 0.0) == 1.0


def test_crossing_interpolates() -> None:
    ratio = (2.0 * loads.SHARES)[None, :]
    assert loads._crossing(ratio)[0] == pytest.approx(0.5)
    assert loads._crossing(np.zeros((1, loads.SHARES.size)))[0] == 1.0


@cache
def _case(engine: str = "vllm", **changes: Any) -> Deployment:
    library = Library(catalog.load())
    arch, chip = library.model("meta-llama/Llama-3.1-8B"), library.chip("h100-sxm")
    made = Deployment(
        "one", arch, chip, "aggregated", Pool(1), 1000.0, 500.0, concurrency=16.0, weights="bf16", engine=engine
    )
    return replace(made, **changes)


def _point(case: Deployment, running: Any, bandwidth: float = 1.0) -> Point:
    chip = replace(case.accelerator, bandwidth=case.accelerator.bandwidth * bandwidth)
    group = prepare([replace(case, accelerator=chip)])
    kind = group.engines[0]
    return together(
        group.service, group.layout, Traffic(case.isl, case.osl), running, float(kind.chunk), float(kind.mixed)
    )


def _ttft(**changes: Any) -> float:
    found = predict([_case(**changes)])[0].ttft
    assert found is not None
    return found.value


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_first_tokens_come_later_under_load_and_percentiles_in_order(engine: str) -> None:
    point = _point(_case(engine), np.geomspace(1, 300, 12))
    assert np.all(np.diff(point.ttft) > 0)
    half, most, nearly = (point.first_token(share) for share in (0.5, 0.9, 0.99))
    assert np.all(half <= most)
    assert np.all(most <= nearly)
    assert np.all(half <= point.ttft * 1.0001)


@given(more=st.floats(1.05, 4.0))
@settings(deadline=None, max_examples=10)
def test_more_bandwidth_is_never_slower(more: float) -> None:
    running = np.geomspace(1, 300, 6)
    point, better = _point(_case(), running), _point(_case(), running, more)
    assert np.all(np.asarray(better.ttft) <= np.asarray(point.ttft) * (1 + 1e-9))
    assert np.all(np.asarray(better.tpot) < np.asarray(point.tpot))


def test_a_single_request_waits_for_nobody() -> None:
    point = _point(_case(), np.array([1.0]))
    assert point.queue[0] == 0.0
    assert _ttft(concurrency=1.0) == pytest.approx(_ttft(concurrency=1.0, requests=1e6))


def test_a_longer_run_dilutes_its_start() -> None:
    short, usual, long = (_ttft(concurrency=64.0, requests=64.0 * rounds) for rounds in (1, 10, 1000))
    assert short > usual > long
    assert usual == pytest.approx(_ttft(concurrency=64.0))


def test_answers_of_one_length_keep_the_wave_where_prefill_stops_decoding() -> None:
    """SGLang's do; where chunks ride in decode steps, requests taken up in different steps stay apart."""
    assert _ttft(engine="sglang", concurrency=64.0, equal=True) > 2 * _ttft(engine="sglang", concurrency=64.0)
    assert _ttft(engine="vllm", concurrency=64.0, equal=True) == _ttft(engine="vllm", concurrency=64.0)


@settings(deadline=None, max_examples=10)
@given(share=st.floats(0.02, 0.97))
def test_open_loop_serves_what_arrives(share: float) -> None:
    """Up to saturation: what leaves is what comes, at any load."""

    def evaluate(running: Any) -> Point:
        return _point(_case(), running)

    most = np.array([200.0])
    arrival = share * np.asarray(evaluate(most).rate)
    point = loads.open_loop(evaluate, Traffic(1000.0, 500.0), arrival, most)
    assert np.asarray(point.rate) == pytest.approx(arrival, rel=0.01)
    over = loads.open_loop(evaluate, Traffic(1000.0, 500.0), 10 * arrival / share, most)
    assert float(np.asarray(over.running)[0]) == pytest.approx(200.0)


def test_in_lockstep_half_of_the_prefill_lies_before_a_first_token() -> None:
    """Answers of one length where prefill stops decoding: simulated, such a loop has the same rate and the same mean
    time per token.
    """
    case = _case("sglang", concurrency=32.0, equal=True, requests=64.0)
    found = predict([case])[0]
    run = finite(replace(case, at_once=True, requests=32.0))
    assert found.tpot is not None and found.output_rate is not None
    assert found.tpot.value == pytest.approx(run.tpot, rel=0.05)
    assert found.output_rate.value == pytest.approx(32 * case.osl / (run.duration - run.front), rel=0.05)


def test_after_the_first_token_half_of_what_prompts_add_is_left_in_lockstep() -> None:
    assert steady.after_first(30.0, 20.0, 0.0) == pytest.approx(30.0)
    assert steady.after_first(30.0, 20.0, 1.0) == pytest.approx(25.0)
