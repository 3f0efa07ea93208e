"""From a plan of a service to what is simulated: step times as integers, the room of the cache, the engine's limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Numbers
from tonnage.errors import InputError, Problem
from tonnage.layout import Layout
from tonnage.model import Load
from tonnage.serve.instances import Instance
from tonnage.serve.replica.memory import running_most
from tonnage.serve.replica.pages import sequence_bytes
from tonnage.serve.replica.points import Traffic, decode_parts
from tonnage.serve.replica.step import PassTimes, Service, parts, seconds
from tonnage.serve.result import ServePlan
from tonnage.serve.search.grid import ServeSetting, decoding_room, held, serve_setting
from tonnage.simulate.service import PICO, CacheTier, EngineLimits, ReplicaSet, Simulated, StepTables, Whole
from tonnage.simulate.state import WHOLE

NEAR, FAR = 0.5, 1.5
"""Contexts, as shares of the mean one, between which the time of a decode step is taken to be affine."""

GRID = 129
"""Numbers of new tokens that a step is priced at; those between are interpolated."""

LOOK = 4096.0
"""Tokens before a chunk of a prompt from which the cost of looking back is taken."""


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of a request, in and out, for which step times are taken."""

    isl: float
    osl: float


def service_of(plan: ServePlan, lengths: Lengths | None = None, given: ReplicaSet | None = None) -> Simulated:
    """What a plan runs, to be simulated; lengths: of the requests, those of the plan where None; given: how requests
    find replicas, whose number follows from the plan. Raises InputError for a plan that cannot be simulated.
    """
    simulable(plan)
    setting = _for(plan, lengths)
    one = next(i for i in plan.instances if i.role in ("serve", "decode"))
    before = next((i for i in plan.instances if i.role == "prefill"), None)
    replicas = _replicas(one)
    prefill = 0 if before is None else _replicas(before)
    base = ReplicaSet() if given is None else given
    moved = _moved(setting, before)
    limits = limits_of(plan, setting, one, before)
    times = step_times(setting.service, setting.traffic, one.layout, limits)
    tuned = setting.service.tuning
    deployment = replace(
        base,
        replicas=replicas,
        prefill=prefill,
        admission=base.admission or float(np.ravel(tuned.admission)[0]),
        move_token=base.move_token or moved,
    )
    price = None if plan.bill.price is None else plan.bill.price.value
    each = plan.accelerators / (replicas + prefill)
    return Simulated(limits, (times,), deployment, None if price is None else price * each, each)


def simulable(plan: ServePlan) -> None:
    """Raises InputError for plans whose replicas are not alike, or that do half of the work."""
    why = None
    if not plan.outcome.feasible:
        why = f"is not feasible ({plan.outcome.reason})"
    elif len(plan.question.fleets) > 1 or plan.shares:
        why = "is of several kinds of chips"
    elif plan.ffn is not None:
        why = "keeps attention and FFN apart"
    elif plan.mode not in ("aggregated", "disaggregated"):
        why = f'is of mode "{plan.mode}", which is half a service'
    if why is not None:
        raise InputError(Problem(f"the plan {why}; plans of one kind of chips that serve whole requests are simulated"))


def _replicas(one: Instance) -> int:
    """Attention replicas of all instances: each has a scheduler and a cache of its own."""
    return one.count * int(np.asarray(one.layout.dp))


def _for(plan: ServePlan, lengths: Lengths | None) -> ServeSetting:
    """The setting of the plan's question, with requests of these lengths that come by themselves."""
    job = replace(plan.job, concurrency=None, cache_hit=0.0)
    if lengths is not None:
        job = replace(job, isl=max(lengths.isl, 1.0), osl=max(lengths.osl, 1.0))
    fleet = plan.question.fleets[0]
    if fleet.measured is not None and fleet.system.accelerator.measured is None:
        raise InputError(Problem(f"rests on measurements that a saved plan does not keep: {fleet.measured}"))
    return serve_setting(job, fleet.system, fleet.constants)


def limits_of(plan: ServePlan, setting: ServeSetting, one: Instance, before: Instance | None) -> EngineLimits:
    """What the engine allows. Sequences at once: as told; else those that the plan runs, where it is to do all it can;
    else the engine's default, for the mean of a rate is no limit.
    """
    chunk = int(plan.chunk or setting.chunk)
    decoding = one.role == "decode"
    if decoding:
        room = decoding_room(setting, one.layout)
    else:
        room = held(setting, replace(one.layout, cp=1), tokens=float(chunk))
    tokens = int(float(np.ravel(room.tokens)[0]))
    engine, job = setting.engine, setting.job
    default = running_most(job.arch, engine, setting.service.die, setting.traffic.drafts)
    most = int(float(np.ravel(default)[0])) * int(np.asarray(one.layout.pp))
    if job.running is not None:
        most = job.running
    elif job.rate is None and not job.late and one.running is not None:
        most = min(most, max(int(np.ceil(one.running)), 1))
    if tokens < engine.block:
        raise InputError(Problem("no room is left for a cache"))
    mixed = bool(engine.mixed) or before is not None
    return EngineLimits(
        sequences=max(most, 1),
        tokens=max(chunk, most * (1 + int(setting.traffic.drafts))) if mixed else chunk,
        blocks=tokens // engine.block,
        block=engine.block,
        mixed=mixed,
        drafts=int(setting.traffic.drafts),
        accepted=float(setting.traffic.accepted),
    )


def _moved(setting: ServeSetting, before: Instance | None) -> float:
    """Time of a token of cache between two pools [s]: over one NIC of each rank that prefills."""
    nic = setting.service.die.nic
    if before is None or nic is None:
        return 0.0
    return _token_bytes(setting) / (nic * float(np.asarray(before.layout.tp)))


def _token_bytes(setting: ServeSetting) -> float:
    """Mean bytes that a prompt's token has in the cache, of all ranks together, each kept once."""
    kept = sequence_bytes(setting.job.arch, setting.formats.kv, Layout(), setting.traffic.isl)
    return float(np.ravel(kept)[0]) / float(setting.traffic.isl)


def tier_of(plan: ServePlan, lengths: Lengths, memory: float, bandwidth: float) -> CacheTier:
    """What so much memory of a replica holds of prompts [byte], and how fast it comes back [byte/s]."""
    each = _token_bytes(_for(plan, lengths))
    return CacheTier(int(memory / each), each / bandwidth)


def sharing(first: Simulated, others: tuple[tuple[str, Simulated], ...], switch: float, lost: float) -> Simulated:
    """Models that share the replicas of the first: each replica has one at a time. Raises InputError where a replica
    of one is not of as many accelerators as that of the other, or steps are not of one kind; others: with their names;
    switch: time to load another model [s]; lost: requests that come to a replica in that time, which a router sets
    against it beside the usual few.
    """
    problems = [
        Problem(
            f"a replica is of {other.accelerators:g} accelerators, that of the first plan of {first.accelerators:g}; "
            "plan it with the same layout",
            name,
        )
        for name, other in others
        if other.accelerators != first.accelerators
    ]
    problems += [
        Problem(
            f"differs from the first plan in pipeline stages: {other.times[0].stages}, {first.times[0].stages}", name
        )
        for name, other in others
        if other.times[0].stages != first.times[0].stages
    ]
    if problems:
        raise InputError(problems)
    return replace(
        first,
        times=(*first.times, *(one.times[0] for _, one in others)),
        others=tuple(one.limits for _, one in others),
        deployment=replace(first.deployment, switch=switch, stay=first.deployment.stay + round(lost)),
    )


def step_times(service: Service, traffic: Traffic, layout: Layout, limits: EngineLimits) -> StepTables:
    """The library's own step model as tables of integers.

    A decode step of D sequences is taken at two contexts and affine between: base[D] + slope[D] x (sum of contexts).
    A step of n new tokens of prompts is taken without what they look at: mix[n]; what they look at costs `pairs` each.
    With pipeline stages each works on a part of the sequences at a time, so that D are priced as D / pp.
    """
    tuned = service.tuning
    host, sequence = (float(np.ravel(value)[0]) for value in (tuned.host, tuned.sequence))
    stages = int(np.asarray(layout.pp))
    base, slope = _decode(service, traffic, layout, limits)
    mix, pairs = _prefill(service, traffic, layout, limits)
    return StepTables(
        base=_ps(np.concatenate([[0.0], base])),
        slope=_ps(np.concatenate([[0.0], slope])),
        mix=_ps(mix),
        pairs=round(pairs * PICO * WHOLE),
        host=round(host * PICO),
        sequence=round(sequence * PICO),
        crowd=float(np.ravel(tuned.interference)[0]),
        stages=stages,
    )


def _ps(values: NDArray[np.float64]) -> Whole:
    return np.rint(np.maximum(values, 0.0) * PICO).astype(np.int64)


def _seconds(service: Service, spent: PassTimes, size: int, *, prefill: bool = False) -> NDArray[np.float64]:
    each = np.asarray(seconds(spent, service.tuning, prefill=prefill), dtype=float)
    found: NDArray[np.float64] = np.broadcast_to(each, (size,))
    return found


def _decode(
    service: Service, traffic: Traffic, layout: Layout, limits: EngineLimits
) -> tuple[NDArray[np.float64], ...]:
    """(time without context, for each token of context) of 1, 2, ... sequences [s]."""
    counts = np.arange(1, limits.sequences + 1, dtype=float)
    seen = float(np.ravel(traffic.seen)[0])
    near, far = max(seen * NEAR, 1.0), seen * FAR + 1.0

    def at(context: float) -> NDArray[np.float64]:
        here = replace(traffic, context=context)
        running = np.maximum(counts, float(np.asarray(layout.pp)))
        return _seconds(service, decode_parts(service, layout, here, running), counts.size)

    first, last = at(near), at(far)
    slope = np.maximum(last - first, 0.0) / ((far - near) * np.maximum(counts, float(np.asarray(layout.pp))))
    return first - slope * counts * near, slope


def _prefill(
    service: Service, traffic: Traffic, layout: Layout, limits: EngineLimits
) -> tuple[NDArray[np.float64], float]:
    """(time of a step of so many new tokens that look at nothing, of a token that looks at another) [s]."""
    most = limits.tokens + limits.sequences * (1 + limits.drafts) + 2
    tokens = np.unique(np.round(np.geomspace(1, most, GRID)))
    passes = 1.0 if traffic.own_layers else None

    def at(new: Numbers, prompts: Numbers, before: float) -> PassTimes:
        load = Load(prompts, new, before)
        return parts(service, layout, (load,), prompts, passes=passes)

    mean = float(np.ravel(traffic.isl)[0])
    new = np.minimum(tokens, max(min(mean, limits.tokens), 1.0))
    prompts = tokens / new
    whole = _seconds(service, at(new, prompts, 0.0), tokens.size, prefill=True)
    chunk = np.array([max(min(mean, limits.tokens), 1.0)])
    far, near = (_seconds(service, at(chunk, np.array([1.0]), b), 1)[0] for b in (LOOK, 0.0))
    pairs = max(float(far - near), 0.0) / (float(chunk[0]) * LOOK)
    sequence = float(np.ravel(service.tuning.sequence)[0])
    alone = whole - pairs * prompts * new * new / 2 - sequence * prompts
    alone = np.maximum.accumulate(np.maximum(alone, 0.0))
    return np.interp(np.arange(most), tokens, alone), pairs
