"""How late first tokens are: percentiles of a service whose requests come by themselves."""

from __future__ import annotations

import math

import pytest

from tonnage import catalog
from tonnage.model import load
from tonnage.serve import ServeJob, plan
from tonnage.serve.plan import ServePlan
from tonnage.system import System, accelerator

CATALOG = catalog.load()
H100 = System(accelerator("h100-sxm", CATALOG), 4)
LLAMA = load("meta-llama/Llama-3.1-8B", CATALOG)


def served(**asked: object) -> ServePlan:
    usual: dict[str, object] = {"isl": 2048.0, "osl": 256.0, "mode": "aggregated"}
    return plan(ServeJob(LLAMA, **{**usual, **asked}), H100, {"tp": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["aggregated", "disaggregated"])
def test_percentiles_are_in_order_and_the_mean_is_among_them(mode: str) -> None:
    found = served(mode=mode, rate=20.0)
    assert found.ttft and found.speed.late
    assert found.speed.late.p50 <= found.speed.late.p90 <= found.speed.late.p99
    assert found.speed.late.p50 * 0.9 <= found.ttft.value <= found.speed.late.p99


def test_the_tail_grows_faster_than_the_middle_near_saturation() -> None:
    idle, busy = served(rate=4.0), served(rate=40.0)
    assert idle.speed.late and busy.speed.late
    assert busy.speed.late.p99 / busy.speed.late.p50 > idle.speed.late.p99 / idle.speed.late.p50


def test_an_idle_service_has_no_queue_in_its_tail() -> None:
    found = served(rate=0.01)
    assert found.ttft and found.speed.late
    assert math.isclose(found.speed.late.p99, found.ttft.value, rel_tol=0.5)


def test_a_closed_loop_has_none() -> None:
    assert served(concurrency=64.0).speed.late is None
