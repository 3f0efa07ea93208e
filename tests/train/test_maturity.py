"""Software grows up: never slower with newer software, and the published series is kept as published."""

from __future__ import annotations

import datetime

import pytest

from tonnage import catalog
from tonnage.layout import Layout
from tonnage.model import load
from tonnage.system import System, accelerator
from tonnage.train import TrainJob
from tonnage.train.maturity import SERIES, first_months, history

CATALOG = catalog.load()


@pytest.mark.parametrize(("model", "ep"), [("llama-3.1-8b", 1), ("qwen3-30b-a3b", 8)])
def test_newer_software_is_never_slower(model: str, ep: int) -> None:
    job = TrainJob(load(model, CATALOG), 4096, 512, date=datetime.date(2026, 8, 1))
    found = history(job, System(accelerator("h100-sxm", CATALOG), 64), Layout(dp=64, ep=ep), (5, 4, 3, 2, 1, 0))
    times = [dated.step_time for dated in found]
    assert times == sorted(times, reverse=True)
    assert times[0] > times[-1]


def test_the_first_months_on_a_new_chip_follow_the_series() -> None:
    assert first_months(0) == pytest.approx(958 / 4907.8)
    assert first_months(100) == 1.0
    assert [first_months(m) for m in range(16)] == sorted(first_months(m) for m in range(16))
    assert SERIES[0].date < SERIES[-1].date
