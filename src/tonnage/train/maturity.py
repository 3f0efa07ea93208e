"""What the same chips did with earlier software, and may do with later."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace

import numpy as np

from tonnage.layout import Layout
from tonnage.system import System
from tonnage.train.job import NEWEST, TrainJob
from tonnage.train.search import evaluate

YEAR = 365


@dataclass(frozen=True)
class Reading:
    """A published rate [tokens/s for each accelerator] of one configuration, and when."""

    date: datetime.date
    rate: float
    note: str


SERIES = (
    Reading(datetime.date(2025, 5, 1), 958.0, "NVIDIA NeMo 25.04"),
    Reading(datetime.date(2025, 9, 1), 3454.0, "NeMo container 25.09, tokens dropped"),
    Reading(datetime.date(2025, 11, 1), 4018.0, "Megatron-Bridge, NeMo container 25.11, MXFP8"),
    Reading(datetime.date(2026, 8, 1), 4907.8, "Megatron-Bridge, NeMo container 26.08, MXFP8"),
)
"""DeepSeek-V3 on 256 GB200, as NVIDIA's releases print it (docs.nvidia.com, Megatron-Bridge performance summaries): how
far a stack can move in its first 15 months on a new chip. Nothing here is fitted to it."""


def first_months(months: float) -> float:
    """Share of the later rate that a new sparse model reached so many months after the first release for a new chip.

    Between the readings of `SERIES`, on a log scale; 1 from the last on. A reference class of one.
    """
    start = SERIES[0].date
    when = [(reading.date - start).days / 30.4 for reading in SERIES]
    share = [np.log(reading.rate / SERIES[-1].rate) for reading in SERIES]
    return float(np.exp(np.interp(months, when, share)))


@dataclass(frozen=True)
class Dated:
    """Step time of one layout with software of a date [s]."""

    date: datetime.date
    step_time: float


def history(job: TrainJob, system: System, layout: Layout, years: tuple[int, ...] = (3, 2, 1, 0)) -> tuple[Dated, ...]:
    """The same layout with software of earlier years: kernels of the time, what it overlapped, age of sparse layers."""
    last = job.date or NEWEST
    dates = [last - datetime.timedelta(days=YEAR * back) for back in years]
    return tuple(Dated(day, float(evaluate(replace(job, date=day), system, layout).step_time[0])) for day in dates)
