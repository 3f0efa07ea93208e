"""Continuous batching in steady state: from step times to the speed and the waiting time of a request.

Everything is per attention replica (one tensor-parallel group, with its pipeline): `running` sequences decode at once.
A request computes its `fresh` input tokens once (what the prefix cache does not hold) and then takes `steps` decode
steps, so that each decode step brings, on average, `running / steps` new requests, whose prefill is either mixed into
decode steps in chunks (Sarathi-Serve, arXiv 2403.02310) or run as steps of its own. Both cost the same in this balance:
the time that a step with prefill takes over one without (`extra`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tonnage.model.operators import Numbers


@dataclass(frozen=True)
class Flow:
    """What a replica is asked to do.

    running: sequences that decode at once; fresh: input tokens to compute per request; steps: decode steps per
    request (output tokens over tokens gained per step); chunk: prefill tokens in a step that has any.
    """

    running: Numbers
    fresh: Numbers
    steps: Numbers
    chunk: Numbers


def lump(running: Numbers, fresh: Numbers, steps: Numbers, limit: Numbers) -> Numbers:
    """Prefill tokens in a step that has any [token]: one prompt, or what arrives in a step if that is more, at most
    the engine's limit.
    """
    return np.minimum(limit, np.maximum(fresh, running * fresh / steps))


def busy(flow: Flow) -> Numbers:
    """Steps with prefill per decode step: running x fresh / (steps x chunk). Above 1 prefill is what limits."""
    return flow.running * flow.fresh / (flow.steps * flow.chunk)


def held_up(share: Numbers, replicas: Numbers, together: Numbers) -> Numbers:
    """Steps in which a replica waits for prefill, its own or that of another replica that it shares experts with.

    Replicas that deal out experts step together, so that a prefill on one holds up all. If they prefilled at random,
    1 - (1 - share)^replicas of the steps would; a scheduler that lets them prefill at the same time keeps it at
    `share`. together: 0 the former, 1 the latter.
    """
    inside = np.minimum(share, 1.0)
    random = 1.0 - (1.0 - inside) ** np.asarray(replicas, dtype=float)
    return share + (1.0 - np.asarray(together)) * np.maximum(random - inside, 0.0)


def step_time(flow: Flow, decode: Numbers, extra: Numbers, waits: Numbers) -> Numbers:
    """Mean time between two steps of a running request [s]: decode + share of steps held up x what prefill adds."""
    return decode + waits * extra


def request_rate(flow: Flow, step: Numbers) -> Numbers:
    """Requests per second that leave a replica: running / (steps x step)."""
    return flow.running / (flow.steps * step)


def prefill_time(flow: Flow, decode: Numbers, extra: Numbers) -> Numbers:
    """Time from the start of a request's prefill to its first token [s]: its chunks, each a step with prefill."""
    chunks = np.maximum(1.0, flow.fresh / flow.chunk)
    return chunks * (decode + extra)


def waiting(load: Numbers, service: Numbers, population: Numbers, burst: Numbers) -> Numbers:
    """Mean time that a request waits for prefill to take it up [s].

    load: share of prefill's time in use; service: time of one prefill [s]; population: requests in the loop.
    M/D/1 (Pollaczek-Khinchine, load / (2 (1 - load)) services), times `burst` for arrivals that come in lumps, such as
    those of a benchmark that starts all its requests at once; at most half the population, which all waited together.
    """
    bounded = np.minimum(load, 1 - 1e-9)
    queue = np.minimum(burst * bounded / (2 * (1 - bounded)), population / 2)
    return queue * service
