"""How many sequences an engine is told that it may run at once: as many as the limits let it, not the mean."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tonnage import catalog
from tonnage.export import launches
from tonnage.export.words import DISPATCHED, dispatched
from tonnage.model import load
from tonnage.serve import ServeJob, plan
from tonnage.system import System, accelerator

KNOWN = catalog.load()
JOB = ServeJob(load("llama-3.1-8b", KNOWN), 1024.0, 500.0, tpot=0.03, mode="aggregated")
SYSTEM = System(accelerator("h100-sxm", KNOWN), 8)
TOLD = {
    "vllm": r"--max-num-seqs (\d+)",
    "sglang": r"--max-running-requests (\d+)",
    "trtllm": r'"max_batch_size": (\d+)',
}


def told(engine: str, **more: object) -> tuple[int, float]:
    found = plan(replace(JOB, engine=engine, **more), SYSTEM, {"tp": 8})
    one = found.instances[-1]
    match = re.search(TOLD[engine], launches(found)[-1].flags or "")
    assert match
    return int(match[1]), one.running or 0.0


@pytest.mark.parametrize("engine", TOLD)
def test_at_a_rate_bursts_may_run_up_to_the_limit(engine: str) -> None:
    sequences, running = told(engine, rate=5.0)
    most, full = told(engine)
    assert running < 9 and sequences > 20 * running
    assert full * 0.9 <= sequences <= most * 1.15


@pytest.mark.parametrize("engine", TOLD)
def test_a_closed_loop_is_told_what_is_in_flight(engine: str) -> None:
    sequences, running = told(engine, concurrency=16.0)
    assert sequences == 16 and running == pytest.approx(16.0, abs=1.0)


def test_a_most_that_was_asked_for_holds_at_a_rate() -> None:
    assert told("vllm", rate=5.0, running=40)[0] == 40


def test_kernels_of_few_tokens_are_not_sent_more_than_they_take() -> None:
    job = ServeJob(load("deepseek-r1", KNOWN), 64.0, 64.0, tpot=0.5, rate=2.0, engine="sglang", mode="aggregated")
    found = plan(job, System(accelerator("b200-sxm", KNOWN), 32), {"tp": 1, "dp": 32, "ep": 32})
    (one,) = found.instances
    assert one.running < 100 < dispatched(one) == DISPATCHED[1] < one.slots


def test_all_that_is_kept_in_flight_may_run() -> None:
    sequences, running = told("vllm", concurrency=100.0)
    assert running < 100 == sequences
