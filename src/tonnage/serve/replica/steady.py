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

from tonnage.arrays import Ints, Numbers


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


def lump(running: Numbers, fresh: Numbers, steps: Numbers, limit: Numbers, polls: Numbers = 0.0) -> Numbers:
    """Prefill tokens in a step that has any [token], at most the engine's limit.

    Requests return at random steps, running / steps of them in each (Poisson), and the scheduler takes up what came in
    the 2 x polls + 1 steps since it last looked: of a lump that is not empty, the mean is m / (1 - exp(-m)).
    """
    mean = arrivals(running, steps, polls)
    most = np.maximum(np.asarray(running, dtype=float), 1.0)
    lumps: Numbers = np.minimum(limit, fresh * np.minimum(mean / -np.expm1(-mean), most))
    return lumps


def arrivals(running: Numbers, steps: Numbers, polls: Numbers) -> Numbers:
    """Requests that come between two looks of the scheduler, 2 x polls + 1 steps apart on average."""
    return np.maximum(running / steps * (1.0 + 2.0 * np.asarray(polls)), 1e-9)


def busy(flow: Flow) -> Numbers:
    """Steps with prefill per decode step: running x fresh / (steps x chunk). Above 1 prefill is what limits."""
    return flow.running * flow.fresh / (flow.steps * flow.chunk)


def held_up(share: Numbers, replicas: Ints, together: Numbers) -> Numbers:
    """Steps in which a replica waits for prefill, its own or that of another replica that it shares experts with.

    Replicas that deal out experts step together, so that a prefill on one holds up all. If they prefilled at random,
    1 - (1 - share)^replicas of the steps would; a scheduler that lets them prefill at the same time keeps it at
    `share`. together: 0 the former, 1 the latter.
    """
    inside = np.minimum(share, 1.0)
    random = 1.0 - (1.0 - inside) ** np.asarray(replicas, dtype=float)
    waits: Numbers = share + (1.0 - np.asarray(together)) * np.maximum(random - inside, 0.0)
    return waits


def step_time(flow: Flow, decode: Numbers, extra: Numbers, waits: Numbers) -> Numbers:
    """Mean time between two steps of a running request [s]: decode + share of steps held up x what prefill adds."""
    return decode + waits * extra


def after_first(step: Numbers, decode: Numbers, lockstep: Numbers) -> Numbers:
    """Mean time between two steps of a request after its first token [s].

    Where requests begin and end together (lockstep), their prompts are prefilled one after another before any decodes:
    the first waits for all others, the last for none, so that half of what prompts add lies before a first token.
    """
    seen: Numbers = decode + (step - decode) * (1.0 - np.asarray(lockstep) / 2.0)
    return seen


def request_rate(flow: Flow, step: Numbers) -> Numbers:
    """Requests per second that leave a replica: running / (steps x step)."""
    return flow.running / (flow.steps * step)


def passes(tokens: Numbers, fresh: Numbers, limit: Numbers) -> Numbers:
    """Steps with prefill until the mean request of a lump of `tokens` has its first token.

    Prompts are taken up in order, `limit` tokens a step: the mean is halfway between the first prompt, which takes
    `own` steps of its own, and the last.
    """
    own = np.maximum(fresh / limit, 1.0)
    return np.maximum(own, (tokens / limit + own) / 2.0)


@dataclass(frozen=True)
class Batch:
    """How prompts are prefilled: fresh: tokens of one; limit: tokens in a step at most; chunk: tokens in the step that
    was priced; time: how long it takes [s]; extra: its part that grows with its tokens [s]; stages: of the pipeline.
    """

    fresh: Numbers
    limit: Numbers
    chunk: Numbers
    time: Numbers
    extra: Numbers
    stages: Numbers


def prefill_time(batch: Batch, tokens: Numbers) -> Numbers:
    """Time from the start of a lump of `tokens` to the first token of its mean request [s]."""
    each = batch.time + batch.extra * (np.minimum(tokens, batch.limit) / batch.chunk - 1.0)
    return through(passes(tokens, batch.fresh, batch.limit), each, batch.stages)


def through(steps: Numbers, each: Numbers, stages: Numbers) -> Numbers:
    """Time of so many steps one after the other [s]; stages of a pipeline work on different ones at once."""
    return each * (1.0 + (steps - 1.0) / stages)


def waiting(load: Numbers, service: Numbers, population: Numbers) -> Numbers:
    """Mean time that a request waits for prompts before its own [s].

    load: share of time that prefill takes; service: time of one prefill [s]; population: requests in the loop. M/D/1
    (Pollaczek-Khinchine, load / (2 (1 - load)) services); at most half of the others, which all wait together.
    """
    bounded = np.minimum(load, 1 - 1e-9)
    others = np.maximum(np.asarray(population, dtype=float) - 1.0, 0.0)
    mean: Numbers = np.minimum(bounded / (2 * (1 - bounded)), others / 2) * service
    return mean


def first_tokens(wave: Numbers, after: Numbers, rounds: Numbers, lockstep: Numbers) -> Numbers:
    """Mean time to a first token [s] over a run in which every client asks `rounds` times.

    wave: of the first round, in which all ask at once; after: in the others, when they return one by one. lockstep: 1
    where they never part: answers are equally long and prefill stops decoding, so that all end in the same step.
    """
    share = np.where(np.asarray(lockstep) > 0, 1.0, 1.0 / np.maximum(rounds, 1.0))
    return share * wave + (1.0 - share) * after
