"""Queueing theory where the simulator comes down to it."""

from __future__ import annotations

import numpy as np
import pytest
from given import service

from tonnage.simulate.generate import ArrivalProcess, Drawn, generate
from tonnage.simulate.measure import each
from tonnage.simulate.run import simulate
from tonnage.simulate.workload import Workload

SIZE = 20_000


def wait(load: Workload, sequences: int) -> tuple[float, float]:
    """Mean wait and its Monte Carlo error [s], from batches of the run."""
    waits = each(simulate(load, service(sequences), fast=False))["queueing"]
    batches = waits[: SIZE // 40 * 40].reshape(40, -1).mean(axis=1)
    return float(waits.mean()), float(batches.std() / np.sqrt(40))


@pytest.mark.parametrize("spread", ["fixed", "exponential"])
@pytest.mark.parametrize("load", [0.5, 0.8])
def test_one_sequence_at_a_time_is_pollaczek_and_khinchine(spread: str, load: float) -> None:
    mean = 100.0
    rate = load / (0.01 * (mean - 1))
    drawn = generate(SIZE, ArrivalProcess("poisson", rate), Drawn(1.0), Drawn(mean, spread), seed=3)  # type: ignore[arg-type]
    times = 0.01 * (drawn.osl - 1)
    rho = rate * times.mean()
    theory = rate * (times**2).mean() / (2 * (1 - rho))
    found, error = wait(drawn, 1)
    assert abs(found - theory) < 3 * error + 0.01 * theory


def erlang_c(servers: int, offered: float) -> float:
    """Share of the requests that wait (Erlang's C formula)."""
    terms = [1.0]
    for k in range(1, servers + 1):
        terms.append(terms[-1] * offered / k)
    last = terms[-1] / (1 - offered / servers)
    return last / (sum(terms[:-1]) + last)


@pytest.mark.parametrize(("servers", "load"), [(2, 0.8), (8, 0.9)])
def test_several_sequences_of_one_length_are_m_d_c(servers: int, load: float) -> None:
    """Cosmetatos's approximation of M/D/c (1975), good to a few per cent; an arrival waits half a step besides."""
    length = 0.01 * 199
    rate = load * servers / length
    drawn = generate(SIZE, ArrivalProcess("poisson", rate), Drawn(1.0), Drawn(200.0), seed=5)
    exponential = erlang_c(servers, load * servers) * length / (servers * (1 - load))
    more = (1 - load) * (servers - 1) * (np.sqrt(4 + 5 * servers) - 2) / (16 * load * servers)
    theory = 0.5 * (1 + more) * exponential
    found, error = wait(drawn, servers)
    assert abs(found - 0.005 - theory) < 3 * error + 0.04 * theory
