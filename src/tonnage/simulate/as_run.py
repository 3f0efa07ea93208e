"""Finite runs as somebody published them: all requests sent at once, so that the mean over the run has a ramp, and a
tail in which the longest answers run almost alone. A steady state is its peak, not its mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tonnage.errors import InputError, Problem
from tonnage.layout import Layout
from tonnage.serve.as_run.deployment import Deployment
from tonnage.serve.as_run.predict import OFFLINE, DeploymentGroup, prepare
from tonnage.serve.replica.points import Traffic
from tonnage.serve.replica.room import rank_memory
from tonnage.serve.replica.software import Constants, Software
from tonnage.serve.replica.step import Service
from tonnage.simulate import compiled
from tonnage.simulate.measure import each
from tonnage.simulate.plans import step_times
from tonnage.simulate.run import simulate
from tonnage.simulate.service import EngineLimits, ReplicaSet, Simulated
from tonnage.simulate.workload import Whole, workload

WIDE = 1.0 / 9.0
"""Half of the range of an evenly spread length over its mean: load generators draw from 80 to 100 % of what is asked
(`--random-range-ratio 0.8`)."""


@dataclass(frozen=True)
class FiniteRun:
    """What a finite run comes to: requests/s of the whole deployment over its whole length, mean times [s], and its
    length [s], of which `front` passes before the first request reaches the engine.
    """

    rate: float
    tpot: float
    ttft: float
    duration: float
    front: float = 0.0


def is_finite(case: Deployment) -> bool:
    """Whether all requests of a case are sent at once, to replicas that serve them whole."""
    return case.at_once and case.mode == "aggregated" and case.rate is None


SERVED = 0.98
"""Share of the requests that come below which they pile up: a steady state within what bisection leaves serves more."""


def piles_up(case: Deployment, rate: float) -> bool:
    """Whether so many requests come at a rate that replicas, which serve `rate` of them a second, fall behind: such a
    run has no steady state, and is as long as its requests are many.
    """
    known = case.rate is not None and case.requests is not None and case.mode == "aggregated"
    return known and rate < SERVED * (case.rate or 0.0)


def _arrivals(case: Deployment, size: int, replicas: float) -> NDArray[np.float64]:
    """When the requests of one replica come [s]: at the start, or one after another at random (Poisson)."""
    if case.rate is None:
        return np.zeros(size)
    gaps = np.random.default_rng(3).exponential(replicas / case.rate, size)
    return np.asarray(np.cumsum(gaps) * (size * replicas / case.rate / gaps.sum()), dtype=float)


def sent(case: Deployment) -> float:
    """Requests of a finite run: as many as are kept in flight where nothing else is said, or as offline tables send."""
    return case.requests or case.concurrency or OFFLINE


def finite(case: Deployment, fitted: Constants | None = None) -> FiniteRun:
    """A finite run, simulated: one attention replica with its share of the requests, for replicas are alike.

    The process before the engine takes turns between all requests that are sent at once (one event loop reads, parses
    and tokenises them), so that they reach the engine together when it is through with all; an offline run has no such
    process. Raises InputError where no
    sequence of the case has room.
    """
    group = prepare([case], fitted)
    service, traffic = _alone(group)
    layout = Layout(**{name: int(np.ravel(value)[0]) for name, value in vars(group.layout).items()})
    limits = _limits(group, service, traffic, layout)
    times = step_times(service, traffic, layout, limits)
    replicas = float(group.replicas[0])
    size = max(round(sent(case) / replicas), 1)
    load = workload(
        _arrivals(case, size, replicas), _lengths(case.isl, case, size, 1), _lengths(max(case.osl, 1.0), case, size, 2)
    )
    tuned = service.tuning
    served = case.rate is None and (case.requests or case.concurrency)
    front = float(np.ravel(tuned.front)[0]) * sent(case) if served else 0.0
    given = ReplicaSet(admission=front + float(np.ravel(tuned.admission)[0]))
    run = simulate(load, Simulated(limits, (times,), given), fast=compiled.installed())
    seen = each(run)
    known = np.isfinite(run.finish)
    if not known.any():
        raise InputError(Problem("no request of this run has room in the cache"))
    tpot = seen["tpot"][known & np.isfinite(seen["tpot"])]
    return FiniteRun(
        rate=float(known.sum()) * replicas / run.duration,
        tpot=float(tpot.mean()) if tpot.size else float("nan"),
        ttft=float(seen["ttft"][known].mean()),
        duration=run.duration,
        front=front,
    )


def _alone(group: DeploymentGroup) -> tuple[Service, Traffic]:
    """The service and traffic of a group of one case, as plain numbers."""
    tuned = Software(**{name: float(np.ravel(value)[0]) for name, value in vars(group.service.tuning).items()})
    flags = ("own_layers", "parallel")
    numbers = {name: float(np.ravel(value)[0]) for name, value in vars(group.traffic).items() if name not in flags}
    traffic = Traffic(**numbers, own_layers=group.traffic.own_layers, parallel=group.traffic.parallel)
    return Service(group.service.arch, group.service.die, group.service.precision, tuned), traffic


def _limits(group: DeploymentGroup, service: Service, traffic: Traffic, layout: Layout) -> EngineLimits:
    """What the engine allows: its sequences and tokens, and the blocks that its cache has room for."""
    engine = group.engines[0]
    room = rank_memory(service, engine, layout, traffic, float(engine.chunk))
    fits = float(np.ravel(room.sequences)[0])
    if fits < 1.0:
        raise InputError(Problem("the weights leave no room for a sequence"))
    most = engine.running * int(np.asarray(layout.pp))
    set_aside = engine.reserved >= 1.0 or room.state_share is not None or room.token is None
    tokens = float(np.ravel(room.tokens)[0])
    return EngineLimits(
        sequences=max(int(min(most, fits) if set_aside else most), 1),
        tokens=max(engine.chunk, most * (1 + int(traffic.drafts))) if engine.mixed else engine.chunk,
        blocks=max(int(tokens // engine.block), 1),
        block=engine.block,
        mixed=bool(engine.mixed),
        drafts=int(traffic.drafts),
        accepted=float(traffic.accepted),
    )


def _lengths(mean: float, case: Deployment, size: int, seed: int) -> Whole:
    """So many lengths with this mean, at even steps of their distribution, in an order that is drawn."""
    shares = (np.arange(size) + 0.5) / size
    made: NDArray[np.float64] = np.ones(size)
    if case.spread == "exponential":
        made = -np.log1p(-shares)
    elif case.spread == "uniform":
        made = 1.0 - WIDE + 2.0 * WIDE * shares
    made = made * (mean / made.mean())
    found: Whole = np.maximum(np.rint(np.random.default_rng(seed).permutation(made)), 1).astype(np.int64)
    return found
