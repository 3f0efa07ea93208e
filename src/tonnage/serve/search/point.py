"""A chosen point in full: its instances, its speeds evaluated once more, its memory, and where its time goes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tonnage.arrays import Numbers
from tonnage.layout import Layout
from tonnage.model import is_published
from tonnage.serve.instances import AfdUnit, Instance, Role
from tonnage.serve.replica.afd import AfdPoint, AfdTurn
from tonnage.serve.replica.loads import among
from tonnage.serve.replica.memory import RankMemory
from tonnage.serve.replica.points import decode_only, prefill_only
from tonnage.serve.replica.software import Software
from tonnage.serve.replica.step import PassTimes
from tonnage.serve.result import MemoryUse
from tonnage.serve.search import afd
from tonnage.serve.search.candidates import starting
from tonnage.serve.search.grid import PointGrid, ServeSetting, decoding_room, held
from tonnage.serve.search.modes import evaluate
from tonnage.serve.search.slots import slots


@dataclass(frozen=True)
class Speeds:
    """What a point does.

    rate: requests/s of the deployment; batch: sequences per accelerator that decode; used: accelerators at work;
    prefill_share: of all accelerators' time; decode, mixed: what steps without and with prefill are spent on; weight:
    steps with prefill per decode step; turn, apart: of attention and FFN on ranks of their own; late: times to first
    tokens that half, 90 % and 99 % of the requests do not exceed [s], where they come by themselves.
    """

    rate: float
    tpot: float | None
    ttft: float | None
    batch: float | None
    used: float
    prefill_share: float
    decode: PassTimes | None
    mixed: PassTimes | None
    weight: float
    turn: AfdTurn | None = None
    apart: AfdPoint | None = None
    late: tuple[float, ...] = ()


LATE = (0.5, 0.9, 0.99)
"""Shares of requests whose times to the first token are told."""


def speeds(given: ServeSetting, point: PointGrid) -> Speeds:
    """The point evaluated by itself: the same number that the search saw."""
    mine = _used(given, point)
    replicas = float(point.instances) * float(point.layout.dp)
    running = float(point.running)
    limit = given.chunk if point.chunk is None else float(point.chunk)
    if point.mode == "prefill":
        chunk = min(limit * float(np.asarray(point.layout.cp)), running * float(given.traffic.fresh))
        alone = prefill_only(given.service, point.layout, given.traffic, chunk)
        rate = float(alone.capacity) * replicas
        return Speeds(rate, None, float(alone.prefill), None, mine, 1.0, None, alone.spent, 1.0)
    batch = running * replicas / max(mine, 1e-9)
    if point.mode == "decode":
        found = decode_only(given.service, point.layout, given.traffic, running)
        return Speeds(float(found.rate) * replicas, float(found.tpot), None, batch, mine, 0.0, found.decode, None, 0.0)
    if point.mode == "afd":
        turn, apart = afd.one(given, point)
        rate = _number(apart.rate) * replicas
        return Speeds(rate, _number(apart.tpot), None, batch, mine, 0.0, None, None, 0.0, turn, apart)
    if point.mode == "disaggregated":
        assert point.prefill is not None
        prefill = float(np.asarray(point.prefill.ranks, dtype=float)) / given.dies * float(point.prefill_instances)
        every = running * replicas / max(mine + prefill, 1e-9)
        share = prefill / (mine + prefill)
        rate, ttft = float(point.rate), float(point.ttft)
        if point.ffn is not None:
            turn, apart = afd.one(given, point)
            tpot = _number(apart.tpot)
            return Speeds(rate, tpot, ttft, every, mine + prefill, share, None, None, 0.0, turn, apart)
        found = decode_only(given.service, point.layout, given.traffic, running)
        late = _late_apart(given, point)
        return Speeds(rate, float(found.tpot), ttft, every, mine + prefill, share, found.decode, None, 0.0, late=late)
    found = evaluate(given, point.layout, running, limit)
    share = 1.0 - float(found.decode_time / found.step)
    if given.job.concurrency is not None:
        found = among(found, given.traffic, min(given.job.concurrency / replicas, max(float(point.most), 1.0)))
    return Speeds(
        float(found.rate) * replicas,
        float(found.tpot),
        float(point.ttft),
        batch,
        mine,
        max(share, 0.0),
        found.decode,
        found.mixed,
        float(found.busy),
        late=() if given.job.concurrency is not None else tuple(_number(found.first_token(share)) for share in LATE),
    )


def _late_apart(given: ServeSetting, point: PointGrid) -> tuple[float, ...]:
    """As `Point.first_token`: of those that queue before a prefill pool, the wait has an exponential tail."""
    if given.job.concurrency is not None or point.prefill is None:
        return ()
    chunk = given.chunk if point.chunk is None else float(point.chunk)
    prefill = prefill_only(given.service, point.prefill, given.traffic, min(chunk, float(given.traffic.fresh)))
    servers = float(point.prefill_instances) * float(point.prefill.dp)
    load = min(max(_number(point.rate / (prefill.capacity * servers)), 1e-9), 1.0 - 1e-9)
    mean = load / (2.0 * (1.0 - load)) * _number(prefill.prefill)
    tails = (mean / load * max(np.log(load / (1.0 - share)), 0.0) for share in LATE)
    return tuple(float(point.ttft) - mean + tail for tail in tails)


def _number(value: Numbers) -> float:
    return float(np.ravel(value)[0])


def _used(given: ServeSetting, point: PointGrid) -> float:
    """Accelerators of all instances that decode, or prefill where there is no other pool."""
    ranks = float(np.asarray(point.layout.ranks, dtype=float)) / given.dies
    if point.ffn is not None:
        ranks += float(np.asarray(point.ffn.ranks, dtype=float)) / (given.partner or given).dies
    return ranks * float(point.instances)


def instances_of(given: ServeSetting, point: PointGrid) -> tuple[Instance, ...]:
    """Every kind of instance of a chosen point, with as many sequences as each may run at once."""
    more = slots(given, point)
    every = _instances(given, point)
    return tuple(one if one.running is None or more is None else replace(one, slots=more) for one in every)


def _instances(given: ServeSetting, point: PointGrid) -> tuple[Instance, ...]:
    """Every kind of instance of a chosen point."""
    chunk = int(given.chunk if point.chunk is None else float(point.chunk))
    running, count = float(point.running), int(point.instances)
    if point.mode == "prefill":
        return (_one(given, "prefill", point.layout, count, None, chunk),)
    if point.mode == "aggregated":
        return (_one(given, "serve", point.layout, count, running, chunk),)
    found: tuple[Instance, ...] = ()
    if point.prefill is not None:
        found = (_one(given, "prefill", point.prefill, int(point.prefill_instances), None, chunk),)
    if point.ffn is None or point.micro_batches is None:
        return (*found, _one(given, "decode", point.layout, count, running, None))
    unit = AfdUnit(int(point.layout.ranks), int(point.ffn.ranks), int(point.micro_batches))
    return (
        *found,
        replace(_one(given, "attention", point.layout, count, running, None, unit), paired=point.prefill is not None),
        _one(given, "ffn", point.ffn, count, None, None, unit),
    )


def _one(
    given: ServeSetting,
    role: Role,
    layout: Layout,
    count: int,
    running: float | None,
    chunk: int | None,
    unit: AfdUnit | None = None,
) -> Instance:
    """What one engine of a point is started as."""
    chips = given.partner if role == "ffn" and given.partner is not None else given
    arch = given.job.arch
    online, converted = told_formats(given)
    start = starting(arch, chips.system, weights=chips.job.weights)
    return Instance(
        role=role,
        chip=chips.system.accelerator.name,
        stack=given.service.die.stack,
        engine=given.engine.name,
        layout=layout,
        count=count,
        weights=given.formats.weights,
        kv=given.formats.kv,
        running=running,
        chunk=chunk,
        drafts=int(np.asarray(given.traffic.drafts)),
        own_layers=given.traffic.own_layers and arch.drafter is None,
        draft=None if arch.drafter is None else arch.drafter.kind,
        draft_model=None if arch.drafter is None or not is_published(arch.drafter.name) else arch.drafter.name,
        memory_share=_share(given, role, layout, chunk),
        eager=given.job.eager,
        afd=unit,
        model=arch.name if is_published(arch.name) and converted is None else "$MODEL",
        online=online,
        converted=converted,
        context=_context(given),
        experts=start.experts,
        server=start.server,
        dies=given.dies,
        generation=given.service.die.generation,
        whole=start.ranks,
        blocks=start.blocks,
    )


ONLINE = ("fp8",)
"""Formats that engines bring 16-bit weights into while they load them (`--quantization fp8` of SGLang and vLLM)."""

CONTEXTS = 1024
"""Tokens that the longest sequence is rounded up to."""


def told_formats(given: ServeSetting) -> tuple[str | None, str | None]:
    """(format that the engine makes of the weights, format that they have to be in); None: as released."""
    arch, taken = given.job.arch, given.formats.weights
    released = (arch.expert_precision if arch.moe else arch.precision).removesuffix("_block")
    widened = taken == "w8a16" and released == "fp8" and given.job.weights is None  # by the kernel (Marlin)
    if taken == released or widened:
        return None, None
    if taken in ONLINE and released in ("bf16", "fp16") and given.engine.name in ("sglang", "vllm"):
        return taken, None
    return None, taken


def _context(given: ServeSetting) -> int:
    """Tokens of the longest sequence: a mean request in whole thousands, as far as the model goes."""
    tokens = math.ceil((float(given.job.isl) + float(given.job.osl)) / CONTEXTS) * CONTEXTS
    most = given.job.arch.context
    return int(min(tokens, most) if most else tokens)


def _share(given: ServeSetting, role: Role, layout: Layout, chunk: int | None) -> float | None:
    """Share of the memory that an engine is told: as asked, its default, or what its own rule comes to here."""
    known = given.job.memory_share or given.engine.memory_share
    if known is not None or role in ("attention", "ffn"):
        return known
    if role == "decode":
        room = decoding_room(given, layout)
    else:
        room = held(given, replace(layout, cp=1), decoding=role != "prefill", tokens=float(chunk or given.chunk))
    free = room.capacity - _number(room.buffers)
    return math.floor(1000 * _number(room.usable) / free) / 1000


def memory_of(given: ServeSetting, point: PointGrid) -> MemoryUse:
    """Memory per accelerator with the sequences that run."""
    room = _room(given, point)
    return MemoryUse(
        weights=_number(room.weights) * given.dies,
        kv_cache=_number(room.sequence) * float(point.running) * given.dies,
        activations=_number(room.activations) * given.dies,
        buffers=_number(room.buffers) * given.dies,
        capacity=room.labelled * given.dies,
        reported=room.capacity * given.dies,
    )


def _room(given: ServeSetting, point: PointGrid) -> RankMemory:
    """Memory of a rank that decodes, or prefills where that is all it does."""
    if point.ffn is not None:
        return afd.attention_room(given, point.layout)
    if point.mode in ("decode", "disaggregated"):
        return decoding_room(given, point.layout)
    chunk = given.chunk if point.chunk is None else float(point.chunk)
    return held(given, replace(point.layout, cp=1), decoding=point.mode != "prefill", tokens=chunk)


def _terms(spent: PassTimes, tuning: Software) -> dict[str, Numbers]:
    """Seconds of one step by name; they add up to `step.seconds`."""
    exchange = tuning.exchange * spent.exchange
    rows = {
        "dense_gemm": tuning.gemm * spent.gemm,
        "experts": tuning.experts * spent.experts + tuning.crowding * spent.arithmetic,
        "attention": tuning.attention * spent.attention,
        "pointwise": tuning.pointwise * spent.pointwise,
        "tensor_parallel_communication": tuning.reduce * spent.reduce,
        "pipeline_communication": spent.pipeline,
    }
    hidden = tuning.overlap * np.minimum(sum(rows.values()), exchange)
    rows["expert_parallel_communication"] = exchange - hidden
    rows["kernel_launches"] = tuning.kernel * spent.kernels
    rows = {name: value * tuning.device for name, value in rows.items()}
    rows["kernel_launches"] += np.maximum(tuning.eager * spent.kernels - sum(rows.values()), 0.0)
    rows["engine_host"] = tuning.host + tuning.sequence * spent.sequences
    return rows


def breakdown(given: ServeSetting, found: Speeds) -> dict[str, float]:
    """Shares of a mean step: decode by class, and what prefill adds."""
    tuning = given.service.tuning
    if found.turn is not None and found.apart is not None:
        return _apart(given, found.turn, found.apart)
    spent = found.decode if found.decode is not None else found.mixed
    if spent is None:
        return {}
    rows = {name: float(np.ravel(value)[0]) for name, value in _terms(spent, tuning).items()}
    if found.mixed is not None and found.decode is not None:
        share = min(max(found.prefill_share, 0.0), 0.999)
        rows["prefill"] = sum(rows.values()) * share / (1 - share)
    total = sum(rows.values())
    return {name: value / total for name, value in rows.items() if value > 0}


def measured_share(given: ServeSetting, found: Speeds) -> float | None:
    """Share of the time in kernels, collectives not counted, that rests on shapes measured on the chip; None where the
    chip has no measurements, and with attention and FFN apart.
    """
    steps = [(part, often) for part, often in ((found.decode, 1.0), (found.mixed, found.weight)) if part is not None]
    if given.service.die.measured is None or not steps:
        return None
    whole = sum(_number(part.gemm + part.experts + part.attention + part.pointwise) * often for part, often in steps)
    return sum(_number(part.measured) * often for part, often in steps) / whole


def _apart(given: ServeSetting, turn: AfdTurn, found: AfdPoint) -> dict[str, float]:
    """Shares of a step with attention and FFN apart, of what holds it up: the side or wire that is always busy, or all
    in a row where a single micro-batch takes as long as all.
    """
    tuning = given.service.tuning
    host = _number(tuning.host + tuning.sequence * found.running)
    held = {"attention_ranks": turn.attention, "ffn_ranks": turn.ffn, "wire": np.maximum(turn.there, turn.back)}
    device = _number(found.step) - host
    rows = {name: _number(value) for name, value in held.items()}
    busiest = max(rows, key=lambda name: rows[name])
    if _number(turn.serial) < device * (1 - 1e-9):
        rows = {busiest: device}
    else:
        rows["wire"] = _number(turn.there + turn.back)
    rows["engine_host"] = host
    return {name: value / sum(rows.values()) for name, value in rows.items() if value > 0}
