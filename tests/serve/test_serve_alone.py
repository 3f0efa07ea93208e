"""One request at a time: its own prompt lies before its first token and slows none of its steps."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import numpy as np
import pytest

from tonnage import catalog
from tonnage.cli import run
from tonnage.model import load
from tonnage.serve import ServeJob, ServePlan, plan
from tonnage.serve.replica.loads import among
from tonnage.serve.replica.points import Point, Traffic
from tonnage.serve.replica.spread import doubt
from tonnage.serve.replica.step import PassTimes
from tonnage.system import System, accelerator

CATALOG = catalog.load()


@functools.cache
def alone(osl: int, concurrency: float, isl: int = 8000, model: str = "qwen3-8b", engine: str = "vllm") -> ServePlan:
    job = ServeJob(arch=load(model, CATALOG), isl=isl, osl=osl, concurrency=concurrency, engine=engine)
    return plan(job, System(accelerator("a100-sxm-80gb", CATALOG), 1))


def tpot(found: ServePlan) -> float:
    assert found.tpot is not None
    return found.tpot.value


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_a_short_answer_comes_as_fast_as_a_long_one_with_one_in_flight(engine: str) -> None:
    """Measured on an A100: 42 ms a token, 44 with 32 tokens of output; it was 79 and 133 here."""
    short, long = (tpot(alone(osl, 1.0, engine=engine)) for osl in (32, 512))
    assert short == pytest.approx(long, rel=44 / 42 - 1)


def test_the_prompts_of_others_hold_a_request_up() -> None:
    steps = [tpot(alone(32, concurrency)) for concurrency in (1.0, 2.0, 4.0, 8.0)]
    assert steps == sorted(steps) and steps[1] > 1.3 * steps[0]


def test_one_in_flight_is_a_first_token_and_then_steps() -> None:
    """Little's law with one request: 1 / rate = time to the first token and the steps."""
    found = alone(128, 1.0)
    assert found.ttft is not None and found.requests_per_second is not None
    circle = found.ttft.value + 127 * tpot(found)
    assert 1 / found.requests_per_second == pytest.approx(circle, rel=0.01)


def test_a_prompt_is_paid_for_that_holds_nothing_up(capsys: pytest.CaptureFixture[str]) -> None:
    words = "serve qwen3-8b --on 1xa100-sxm-80gb --isl 8000 --osl 32 --concurrency 1 --price $2/h --json"
    assert run(words.split()) == 0
    assert json.loads(capsys.readouterr().out)["cost_per_million_input_tokens"] > 0.01


def test_the_first_token_of_an_idle_engine_on_an_a100() -> None:
    """Qwen3-1.7B, 2,048 tokens in, 128 out: 30.9 ms and 5.0 ms a token, measured."""
    found = alone(128, 1.0, isl=2048, model="qwen3-1.7b")
    assert found.ttft is not None and found.tpot is not None
    assert found.ttft.low < 0.0309 < found.ttft.high and found.ttft.value < 1.7 * 0.0309
    assert found.tpot.low < 0.005 < found.tpot.high


def test_what_holds_up_is_of_the_others_by_hand() -> None:
    zero, none = np.asarray(0.0), PassTimes()
    point = Point(1.0, 0.03, 0.03, 0.1, 0.05, 1.0, 0.5, 0.5, 1e3, none, none, 0.02, 0.12, look=0.04)
    traffic = Traffic(1000.0, 101.0)
    one, two, many = (among(point, traffic, population) for population in (1.0, 2.0, 1e6))
    assert one.step == pytest.approx(0.02) and one.wait == pytest.approx(0.05 - 0.04 / 2)
    assert two.step == pytest.approx(0.025) and two.wait == pytest.approx(0.05)
    assert many.step == pytest.approx(0.03) and many.rate == pytest.approx(1 / (100 * 0.03))
    assert among(replace(point, look=zero), traffic, 1.0).wait == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("chip", "word"),
    [
        ("h100-sxm", "interpolated"),
        ("b300-sxm", "interpolated"),
        ("rtx-4090", "extrapolated"),
        ("h20-141gb", "extrapolated"),
        ("mi300x", "extrapolated"),
        ("tpu-v6e", "extrapolated"),
        ("trainium2", "analytic"),
    ],
)
def test_interpolated_where_services_on_the_chip_are_published(chip: str, word: str) -> None:
    assert doubt(accelerator(chip, CATALOG), "aggregated", False).evidence == word
