"""Operating points: how fast a replica is with so many sequences running, together or with prefill apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tonnage.arrays import Ints, Numbers
from tonnage.layout import Layout
from tonnage.model import Load
from tonnage.serve.replica import steady
from tonnage.serve.replica.software import Software
from tonnage.serve.replica.step import PassTimes, Service, parts, seconds


@dataclass(frozen=True)
class Traffic:
    """What a mean request is. isl, osl: tokens in and out; hit: share of the input in the prefix cache; drafts: tokens
    drafted per decode step; accepted: tokens gained per decode step; context: mean context of decode where it is known;
    own_layers: whether layers that draft are run and held, the model's own or of one beside it; parallel: whether one
    pass of them drafts all tokens. How requests come: rounds: how
    often each client of a closed loop asks (infinite: a service, whose start does not count); equal: 1 where all
    answers are of one length, 0 where lengths differ.
    """

    isl: Numbers
    osl: Numbers
    hit: Numbers = 0.0
    drafts: Numbers = 0.0
    accepted: Numbers = 1.0
    context: Numbers | None = None
    own_layers: bool = False
    rounds: Numbers = np.inf
    equal: Numbers = 0.0
    parallel: bool = False

    @property
    def passes(self) -> Numbers | None:
        """Passes of the layers that draft in a decode step; None where there are none."""
        if not self.own_layers:
            return None
        return np.minimum(np.asarray(self.drafts, dtype=float), 1.0) if self.parallel else self.drafts

    @property
    def fresh(self) -> Numbers:
        """Input tokens to compute: all that the cache does not hold, at least one."""
        return np.maximum(self.isl * (1.0 - np.asarray(self.hit)), 1.0)

    @property
    def steps(self) -> Numbers:
        """Decode steps of a request; the first token comes from prefill."""
        return np.maximum(self.osl - 1.0, 1.0) / self.accepted

    @property
    def seen(self) -> Numbers:
        """Mean context of a decoding sequence: input and half of the output."""
        return self.isl + np.asarray(self.osl) / 2.0 if self.context is None else self.context


@dataclass(frozen=True)
class Wave:
    """All prompts of a closed loop at once: their tokens, and what the fullest step of their prefill is spent on."""

    tokens: Numbers
    spent: PassTimes


@dataclass(frozen=True)
class Point:
    """Speed of one attention replica (arrays).

    running: sequences decoding; step: mean time between steps [s]; tpot: per output token [s]; prefill: time of one
    request's prefill, without waiting [s]; wait: before it starts [s]; rate: requests/s; busy: steps with prefill per
    decode step; load: share of time that prefill takes; chunk: prefill tokens in a step that has any; decode, mixed:
    what steps without and with prefill are spent on; decode_time, mixed_time: their times [s]; wave: the start of a
    run; queue: mean wait for the prompts of others, part of `wait` [s]; look: time between two looks of the scheduler
    for new requests [s]; lockstep: 1 where all that run begin and end together (`steady.after_first`), else 0.
    """

    running: Numbers
    step: Numbers
    tpot: Numbers
    prefill: Numbers
    wait: Numbers
    rate: Numbers
    busy: Numbers
    load: Numbers
    chunk: Numbers
    decode: PassTimes
    mixed: PassTimes
    decode_time: Numbers
    mixed_time: Numbers
    wave: Wave | None = None
    queue: Numbers = 0.0
    look: Numbers = 0.0
    lockstep: Numbers = 0.0

    @property
    def ttft(self) -> Numbers:
        """Time to the first token [s]."""
        return self.wait + self.prefill

    def first_token(self, share: float) -> Numbers:
        """Time to the first token that `share` of the requests of a service do not exceed [s].

        A request comes at any time between two looks of the scheduler; `load` of them queue, for a time with an
        exponential tail (Kingman's heavy-traffic limit). The two quantiles are added, as if both were late at once.
        """
        load = np.minimum(np.maximum(self.load, 1e-9), 1.0)
        tail = self.queue / load * np.maximum(np.log(load / (1.0 - share)), 0.0)
        return self.ttft - self.queue + tail + (share - 0.5) * self.look

    def per_token(self, share: float, traffic: Traffic) -> Numbers:
        """Time per output token of a request that `share` of the requests do not exceed [s].

        A request takes n steps, a part f of them with somebody's prefill, which adds d to a step: the mean over its
        steps varies by d * sqrt(f * (1 - f) / n), normally for many steps. Batches that swell and drafts that are
        rejected in a row are not counted.
        """
        part = np.clip(self.busy, 0.0, 1.0)
        from statistics import NormalDist

        more = np.maximum(self.step - self.decode_time, 0.0) / np.maximum(part, 1e-9)
        spread = more * np.sqrt(part * (1.0 - part) / np.maximum(traffic.steps, 1.0))
        late: Numbers = self.tpot + NormalDist().inv_cdf(share) * spread / traffic.accepted
        return late


def decode_load(traffic: Traffic, running: Numbers) -> Load:
    """The decoding sequences of one step; at least one, for the slowest replica always has one."""
    new = 1.0 + np.asarray(traffic.drafts, dtype=float)
    return Load(np.maximum(np.asarray(running, dtype=float), 1.0), new, np.asarray(traffic.seen, dtype=float))


def prefill_load(traffic: Traffic, chunk: Numbers) -> Load:
    """The prompts of a step with `chunk` prefill tokens: whole ones, or an average chunk of one."""
    new = np.minimum(np.asarray(traffic.fresh, dtype=float), chunk)
    before = traffic.isl - traffic.fresh + (traffic.fresh - new) / 2.0
    return Load(chunk / new, new, before)


def decode_parts(service: Service, layout: Layout, traffic: Traffic, running: Numbers) -> PassTimes:
    """A pure decode step; with pipeline stages, of one of the micro-batches that fill them."""
    load = decode_load(traffic, np.asarray(running) / layout.pp)
    return parts(service, layout, (load,), load.sequences * load.new, passes=traffic.passes)


def prefill_parts(service: Service, layout: Layout, traffic: Traffic, chunk: Numbers) -> PassTimes:
    """A pure prefill step."""
    load = prefill_load(traffic, chunk)
    return parts(service, layout, (load,), load.sequences, passes=1.0 if traffic.own_layers else None)


def mixed_parts(
    service: Service, layout: Layout, traffic: Traffic, running: Numbers, chunk: Numbers, mixed: Numbers
) -> PassTimes:
    """A step with `chunk` prefill tokens; where `mixed`, the decoding sequences ride in it."""
    decode = decode_load(traffic, np.asarray(running) / layout.pp)
    riding = Load(decode.sequences * np.asarray(mixed, dtype=float), decode.new, decode.context)
    prefill = prefill_load(traffic, chunk)
    logits = riding.sequences * riding.new + prefill.sequences
    return parts(service, layout, (riding, prefill), logits, passes=traffic.passes)


def together(
    service: Service,
    layout: Layout,
    traffic: Traffic,
    running: Numbers,
    limit: Numbers,
    mixed: Numbers,
    clients: Numbers | None = None,
) -> Point:
    """Prefill and decode on the same ranks; limit: prefill tokens in a step at most; mixed: whether chunks of prefill
    ride in decode steps (vLLM, TensorRT-LLM) or have steps of their own (SGLang); clients: how many begin at once,
    where a run's start counts.
    """
    chunk = steady.lump(running, traffic.fresh, traffic.steps, limit, service.tuning.polls)
    decode = decode_parts(service, layout, traffic, running)
    both = mixed_parts(service, layout, traffic, running, chunk, mixed)
    wave = None
    if clients is not None:
        tokens = np.maximum(clients, 1.0) * traffic.fresh
        all_at_once = mixed_parts(service, layout, traffic, running, np.minimum(limit, tokens), mixed)
        wave = Wave(tokens, all_at_once)
    return combine(service.tuning, traffic, layout, running, chunk, mixed, decode, both, limit, wave)


def combine(
    tuning: Software,
    traffic: Traffic,
    layout: Layout,
    running: Numbers,
    chunk: Numbers,
    mixed: Numbers,
    decode: PassTimes,
    both: PassTimes,
    limit: Numbers | None = None,
    wave: Wave | None = None,
) -> Point:
    """The operating point from its two kinds of step. Stages of a pipeline work on micro-batches at the same time, so
    a prefill step holds the others up for its share of one stage only.
    """
    decode_time = seconds(decode, tuning)
    mixed_time = seconds(both, tuning, prefill=True)
    stages = np.asarray(layout.pp, dtype=float)
    extra = np.maximum(mixed_time - np.asarray(mixed) * decode_time, 0.0) / stages
    flow = steady.Flow(running, traffic.fresh, traffic.steps, chunk)
    waits = steady.held_up(steady.busy(flow), layout.dp, tuning.together)
    step = steady.step_time(flow, decode_time, extra * tuning.interference, waits)
    rate = steady.request_rate(flow, step)
    lockstep = np.asarray(traffic.equal) * (1.0 - np.asarray(mixed)) if wave is not None else np.asarray(0.0)
    load = rate * (traffic.fresh / chunk) * extra
    full = chunk if limit is None else limit
    look = (1.0 + 2.0 * np.asarray(tuning.polls)) * step
    others = np.minimum(steady.arrivals(running, traffic.steps, tuning.polls), np.maximum(running - 1.0, 0.0))
    batch = steady.Batch(traffic.fresh, full, chunk, mixed_time, extra * stages, stages)
    own = steady.prefill_time(batch, traffic.fresh)
    queue = steady.waiting(load, own, running)
    ttft = steady.prefill_time(batch, (1.0 + others) * traffic.fresh) + queue
    if wave is not None:
        steps = steady.passes(wave.tokens, traffic.fresh, full)
        first = steady.through(steps, seconds(wave.spent, tuning, prefill=True), stages)
        ttft = steady.first_tokens(first, ttft, traffic.rounds, lockstep)
    seen = steady.after_first(step, decode_time, lockstep)
    return Point(
        running=running,
        step=seen,
        tpot=seen / traffic.accepted,
        prefill=own,
        wait=np.maximum(ttft - own, 0.0) + look / 2.0 + tuning.admission,
        rate=rate,
        busy=steady.busy(flow),
        load=load,
        chunk=chunk,
        decode=decode,
        mixed=both,
        decode_time=decode_time,
        mixed_time=mixed_time,
        wave=wave,
        queue=queue,
        look=look,
        lockstep=lockstep,
    )


@dataclass(frozen=True)
class PrefillPoint:
    """Speed of one attention replica that only prefills. step: time of a step of `chunk` tokens [s]; prefill: time of
    one request without waiting [s]; capacity: requests/s at most; spent: what a step is spent on.
    """

    chunk: Numbers
    step: Numbers
    prefill: Numbers
    capacity: Numbers
    spent: PassTimes


def prefill_only(service: Service, layout: Layout, traffic: Traffic, chunk: Numbers) -> PrefillPoint:
    """A replica that prefills `chunk` tokens at a time."""
    spent = prefill_parts(service, layout, traffic, chunk)
    return prefill_point(service.tuning, traffic, layout.pp, chunk, spent)


def prefill_point(tuning: Software, traffic: Traffic, pp: Ints, chunk: Numbers, spent: PassTimes) -> PrefillPoint:
    """The speed of a prefill replica from its step; stages of a pipeline work at the same time."""
    step = seconds(spent, tuning, prefill=True)
    stages = np.asarray(pp, dtype=float)
    chunks = np.maximum(1.0, traffic.fresh / chunk)
    return PrefillPoint(
        chunk, step, steady.through(chunks, step, stages), chunk / traffic.fresh / (step / stages), spent
    )


def decode_only(service: Service, layout: Layout, traffic: Traffic, running: Numbers) -> Point:
    """A replica that only decodes."""
    spent = decode_parts(service, layout, traffic, running)
    return decode_point(service.tuning, traffic, running, spent)


def decode_point(tuning: Software, traffic: Traffic, running: Numbers, spent: PassTimes) -> Point:
    """The speed of a decode replica from its step."""
    step = seconds(spent, tuning)
    zero = np.zeros_like(step)
    rate = running / (traffic.steps * step)
    return Point(running, step, step / traffic.accepted, zero, zero, rate, zero, zero, zero, spent, spent, step, step)
