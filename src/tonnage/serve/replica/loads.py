"""From the load on a service to how many sequences run: closed loops, arrival rates, and two pools in balance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Numbers
from tonnage.serve.replica.points import Point, PrefillPoint, Traffic
from tonnage.serve.replica.steady import first_tokens, passes, waiting

ROUNDS = 3
HALVINGS = 16
"""Bisections of how many run, in logarithms: from a range of a million down to 0.02 %."""
SHARES = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.12, 0.06, 0.02])
"""Shares of the requests in flight that may be decoding, at which a two-pool loop is evaluated."""


def closed(evaluate: Callable[[Numbers], Point], traffic: Traffic, population: Numbers, most: Numbers) -> Point:
    """The point at which `population` requests circle through a replica, of which `most` can run at once.

    Little's law over one circle: running / population = decode time / (decode time + time to first token). A fixed
    point, for decode time hardly depends on the last few sequences. In lockstep none decodes before all have their
    first token, and then all do.
    """
    running = flying = np.minimum(population, most)
    point = among(evaluate(running), traffic, flying)
    for _ in range(ROUNDS - 1):
        decode = traffic.steps * point.step
        apart = np.minimum(most, population * decode / (decode + point.ttft))
        running = np.where(np.asarray(point.lockstep) > 0, flying, apart)
        point = among(evaluate(running), traffic, flying)
    return point


def among(point: Point, traffic: Traffic, flying: Numbers) -> Point:
    """The point as one of `flying` requests of a closed loop that the engine has taken up sees it.

    A request's own prompt lies before its first token and holds none of its own steps up, so that of what prompts add
    to a step (flying - 1) / flying is added, that of the others (the arrival theorem of closed queueing networks,
    Reiser and Lavenberg 1980). One that comes while no other is in flight finds the scheduler idle and waits for no
    step to end.
    """
    others = np.maximum(np.asarray(flying, dtype=float) - 1.0, 0.0)
    step = point.decode_time + (point.step - point.decode_time) * others / (others + 1.0)
    late = (1.0 - np.minimum(others, 1.0)) * point.look / 2.0
    circle = traffic.steps * step + np.asarray(point.lockstep) * point.ttft
    return replace(
        point,
        step=step,
        tpot=step / traffic.accepted,
        rate=point.running / circle,
        wait=point.wait - late,
    )


def closed_loop(
    evaluate: Callable[[Numbers], Point], traffic: Traffic, population: Numbers, most: Numbers
) -> tuple[Point, NDArray[np.float64]]:
    """The point of a closed loop, and its time to first token [s], queue included where more circle than run."""
    point = closed(evaluate, traffic, population, most)
    waits = np.where(population > most, queued(point, traffic, population), point.ttft)
    return point, np.asarray(waits, dtype=float)


def open_loop(evaluate: Callable[[Numbers], Point], traffic: Traffic, arrival: Numbers, most: Numbers) -> Point:
    """The point at which a replica serves `arrival` requests per second, or as many as it can with `most` running.

    What leaves grows with what runs, so the point is found by bisection between none and `most`.
    """
    high = np.asarray(most + 0.0 * arrival, dtype=float)
    low = np.minimum(1e-3, high)
    for _ in range(HALVINGS):
        middle = np.sqrt(low * high)
        enough = evaluate(middle).rate >= arrival
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return evaluate(high)


def queued(point: Point, traffic: Traffic, population: Numbers) -> Numbers:
    """Mean time to first token [s] when more requests circle than run.

    Little's law: population / rate - decode time.
    """
    decode = traffic.steps * point.step
    return np.maximum(point.ttft, population / point.rate - decode)


def two_pools(
    decode: Callable[[Numbers], Point],
    prefill: PrefillPoint,
    traffic: Traffic,
    population: Numbers,
    most: Numbers,
    servers: Numbers,
    transfer: Numbers,
    admission: Numbers = 0.0,
) -> tuple[Point, Numbers, Numbers]:
    """Two pools with `population` requests in flight per decode replica: (decode point, requests/s, ttft).

    servers: prefill replicas per decode replica; most: sequences that a decode replica holds; transfer, admission: of a
    request, between the pools and before them [s]. All are evaluated on `SHARES` of the population; where running +
    rate x ttft equals the population is found by interpolation.
    """
    grid = np.asarray(population, dtype=float)[..., None] * SHARES
    running = np.minimum(grid, np.asarray(most, dtype=float)[..., None])
    steps = np.broadcast_to(traffic.steps, np.shape(population))[..., None]
    point = decode(running)
    rate = running / (steps * point.step)
    capacity = np.asarray(prefill.capacity * servers)[..., None]
    load = rate / capacity
    own = np.asarray(prefill.prefill)[..., None]
    clients = np.asarray(np.asarray(population, dtype=float) / servers)
    wait = waiting(load, own, clients[..., None])
    begin = np.asarray(prefill.step * passes(clients * traffic.fresh, traffic.fresh, prefill.chunk))
    rounds = np.broadcast_to(traffic.rounds, np.shape(population))[..., None]
    first = first_tokens(np.maximum(begin[..., None], own), wait + own, rounds, 0.0)
    first = first + np.asarray(transfer + np.asarray(admission))[..., None] + point.step
    over = np.maximum(load - 0.999, 0.0)
    total = running + rate * first + over * 1e6 * grid
    share = _crossing(total / np.asarray(population, dtype=float)[..., None])
    found = np.minimum(population * share, most)
    final = decode(found)
    served = np.minimum(found / (traffic.steps * final.step), prefill.capacity * servers)
    first_token = np.maximum(population / served - traffic.steps * final.step, prefill.prefill + transfer + final.step)
    return final, served, first_token


def _crossing(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share at which `ratio`, falling along `SHARES`, passes one; the ends where it never does."""
    below = ratio <= 1.0
    index = np.where(below.any(axis=-1), below.argmax(axis=-1), len(SHARES) - 1)
    before = np.maximum(index - 1, 0)
    high = np.take_along_axis(ratio, before[..., None], -1)[..., 0]
    low = np.take_along_axis(ratio, index[..., None], -1)[..., 0]
    gap = np.where(np.isclose(high, low), 1.0, high - low)
    weight = np.clip((1.0 - low) / gap, 0.0, 1.0)
    return np.asarray(SHARES[index] + weight * (SHARES[before] - SHARES[index]))
