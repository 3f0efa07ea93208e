"""Every layout and batch of a service evaluated in one broadcast, together or with prefill apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonnage.errors import InputError, Problem
from tonnage.layout import Layout
from tonnage.model import Load, Step, operators
from tonnage.serve import loop
from tonnage.serve.candidates import CONTEXTS, Candidates, candidates
from tonnage.serve.engines import Engine, engine
from tonnage.serve.job import ServeJob
from tonnage.serve.memory import Memory, decode_memory, memory
from tonnage.serve.points import Point, Traffic, decode_only, prefill_only, together
from tonnage.serve.precision import Formats, formats
from tonnage.serve.step import Service
from tonnage.serve.tuning import Constants, constants, independent, tuning
from tonnage.system import Accelerator, System, needed, per_die, unjoined

Array = NDArray[np.float64]

BATCHES = np.unique(np.round(np.geomspace(1, 4096, 81))).astype(float)
"""Sequences per attention replica that a search tries; what fits in memory at most is tried besides."""

FINE = np.unique(np.round(np.geomspace(1, 4096, 161))).astype(float)
"""The same of a thorough search."""

CHUNKS = (2048.0, 4096.0, 8192.0, 16384.0, 32768.0)
"""New tokens per step and attention replica that a thorough search tries, beside the engine's default."""


@dataclass(frozen=True)
class Setting:
    """What a job means on a system: formats, engine, tuning, traffic, ranks."""

    job: ServeJob
    system: System
    service: Service
    formats: Formats
    engine: Engine
    traffic: Traffic
    ranks: int
    chunk: float
    fitted: Constants
    partner: Setting | None = None
    """The same job on the chips of the FFN ranks, where these are another kind (`afd`)."""

    @property
    def dies(self) -> int:
        """Ranks in one accelerator."""
        return self.system.accelerator.dies

    @property
    def accelerators(self) -> int:
        """All accelerators of the deployment."""
        return self.system.count + (self.partner.system.count if self.partner else 0)


@dataclass(frozen=True)
class Grid:
    """Operating points on (candidate, batch), flattened: what each would do with the whole system.

    layout: of the ranks that decode (of the attention ranks, where FFN ranks are apart), or prefill in a pool of its
    own; ahead: of a prefill pool beside; running, most: sequences per attention replica; rate: requests/s of the whole
    deployment; used: accelerators in it; ffn, micro_batches: of FFN ranks that are apart (`afd`); chunk: new tokens per
    step and replica at most, of the ranks that prefill. candidates: points tried, `kinds` says of which kind; keeping:
    how many of them keep the limits, where not all of them are held here.
    """

    mode: str
    layout: Layout
    instances: Array
    ahead: Layout | None
    ahead_instances: Array
    running: Array
    most: Array
    rate: Array
    tpot: Array
    ttft: Array
    used: Array
    candidates: int
    ffn: Layout | None = None
    micro_batches: Array | None = None
    chunk: Array | None = None
    keeping: int | None = None
    kinds: Mapping[str, int] | None = None

    def at(self, index: Any) -> Grid:
        """One point, or those of an array of indices."""
        pick: dict[str, Any] = {n: v[index] for n, v in self.__dict__.items() if isinstance(v, np.ndarray)}
        layouts: dict[str, Any] = {n: v.at(index) for n, v in self.__dict__.items() if isinstance(v, Layout)}
        return replace(self, **pick, **layouts)

    @property
    def ranks(self) -> Array:
        """Ranks of one instance that decode or prefill, FFN ranks included; those of a prefill pool beside are not."""
        own = np.asarray(self.layout.ranks, dtype=float)
        return own if self.ffn is None else own + np.asarray(self.ffn.ranks, dtype=float)


def setting(job: ServeJob, system: System, fitted: Constants | None = None) -> Setting:
    """Formats, engine and tuning of a job on a system."""
    die = per_die(system.accelerator)
    how = formats(job.arch, die, job.weights, job.kv)
    chosen = engine(job.engine, die.stack)
    tuned = tuning((chosen,), die, how.precision, fitted)
    plain = {name: float(np.ravel(value)[0]) for name, value in tuned.__dict__.items()}
    if job.imbalance is not None:
        plain["imbalance"] = job.imbalance
    fixed = replace(tuned, **plain)
    service = Service(job.arch, die, how.precision, fixed if job.concurrency is not None else independent(fixed))
    drafts = job.speculative
    traffic = Traffic(
        isl=float(job.isl),
        osl=float(job.osl),
        hit=float(job.cache_hit),
        drafts=0.0 if drafts is None else drafts.tokens,
        accepted=1.0 if drafts is None else drafts.accepted,
        own_layers=drafts is not None and drafts.method == "mtp",
    )
    ranks = system.count * system.accelerator.dies
    chunk = float(job.chunk or chosen.chunk)
    return Setting(job, system, service, how, chosen, traffic, ranks, chunk, fitted or constants())


def held(given: Setting, layout: Layout, *, decoding: bool = True, tokens: Any = None) -> Memory:
    """Memory of one rank; a pool that only prefills keeps a prompt's cache until it is sent. tokens: in a step at most,
    the engine's chunk where None.
    """
    job = given.job
    later = given.engine.reserved * given.traffic.osl if decoding else 0.0
    return memory(
        job.arch,
        given.service.die,
        given.formats.precision,
        layout,
        given.engine,
        context=given.traffic.isl + later,
        tokens=given.chunk if tokens is None else tokens,
        mtp=given.traffic.own_layers,
        share=job.memory_share,
    )


def most(given: Setting, layout: Layout, room: Memory) -> Array:
    """Sequences that run at once on an attention replica: by memory, and by the engine's limit."""
    fits = np.floor(np.asarray(room.decoding(given.service.tuning.filled), dtype=float))
    return np.asarray(np.minimum(fits, given.engine.running * np.asarray(layout.pp)))


def decoding_room(given: Setting, layout: Layout) -> Memory:
    """Memory of one rank of a pool that only decodes: it keeps no room for the tokens of a prompt."""
    traffic = given.traffic
    return decode_memory(
        given.job.arch,
        given.service.die,
        given.formats.precision,
        layout,
        given.engine,
        context=traffic.isl + given.engine.reserved * traffic.osl,
        drafts=traffic.drafts,
        mtp=traffic.own_layers,
        share=given.job.memory_share,
    )


def chunks(given: Setting) -> Array:
    """New tokens per step and replica to try: the one given, or the engine's default; `CHUNKS` if thorough."""
    if given.job.chunk is not None or given.job.concurrency is not None or not given.job.thorough:
        return np.array([given.chunk])
    return np.unique([given.chunk, *CHUNKS])


def column(layout: Layout) -> Layout:
    """A layout of arrays with one more axis, for batches."""
    return Layout(**{name: np.asarray(value)[..., None] for name, value in layout.__dict__.items()})


def _batches(given: Setting, found: Candidates, fits: Array) -> Array:
    """(candidate, batch): the grid, and what fits (of each column of `fits`); or the batch that the job gives."""
    job = given.job
    if job.batch is not None:
        accelerators = found.ranks / given.dies
        return np.asarray(job.batch * accelerators / np.asarray(found.layout.dp))[:, None]
    grid = FINE if job.thorough else BATCHES
    return np.concatenate([np.broadcast_to(grid, (found.size, grid.size)), np.maximum(fits, 1.0)], axis=1)


def options(given: Setting, fixed: Mapping[str, int] | None, contexts: tuple[int, ...] = (1,)) -> Candidates:
    """Layouts that an engine asked for can be told to run; all where what is fixed leaves none. Raises InputError where
    it runs none of those that are free.
    """
    found = joined(candidates(given.job.arch, given.service.die, given.ranks, fixed, contexts), given.service.die)
    if given.job.engine is None:
        return found
    good = np.broadcast_to(given.engine.runs(found.layout, given.formats.kv), found.instances.shape)
    if not good.any() and not fixed:
        why = given.engine.refuses(found.layout.at(0), given.formats.kv)
        raise InputError(Problem(why or f"{given.engine.name} runs none of these layouts", "--engine"))
    return _at(found, np.flatnonzero(good)) if good.any() else found


def joined(found: Candidates, die: Accelerator) -> Candidates:
    """Layouts that need no link and no NIC whose bandwidth is unknown. Raises `MissingFact` where every one does."""
    if die.link is not None and die.nic is not None:
        return found
    missing = [unjoined(die, int(ranks)) for ranks in np.broadcast_to(found.ranks, found.instances.shape)]
    good = np.flatnonzero([fact is None for fact in missing])
    if not good.size and missing[0] is not None:
        needed(die, missing[0])
    return _at(found, good) if good.size < found.size else found


def _at(found: Candidates, index: NDArray[np.int64]) -> Candidates:
    layout = Layout(**{n: (v if np.ndim(v) == 0 else np.asarray(v)[index]) for n, v in found.layout.__dict__.items()})
    return Candidates(layout, found.instances[index])


def evaluate(given: Setting, layout: Layout, running: Any, chunk: Any = None) -> Point:
    """One replica with prefill and decode together, at so many running sequences; chunk: `given.chunk` where None."""
    limit, mixed = given.chunk if chunk is None else chunk, float(given.engine.mixed)
    return together(given.service, layout, given.traffic, running, limit, mixed)


def aggregated(given: Setting, fixed: Mapping[str, int] | None) -> Grid:
    """All layouts, chunks and batches with prefill and decode on the same ranks."""
    found = options(given, fixed)
    limits = chunks(given)
    layouts = column(found.layout)
    fits = most(given, layouts, held(given, layouts, tokens=limits))
    fits = np.broadcast_to(fits, (found.size, limits.size))
    found, fits = _keep(found, fits)
    replicas = (found.instances * np.asarray(found.layout.dp))[:, None, None]
    layout, limit, room = column(column(found.layout)), limits[:, None], fits[:, :, None]
    if given.job.concurrency is not None:
        population, high = np.maximum(given.job.concurrency / replicas, 1e-9), np.maximum(room, 1.0)
        point = loop.closed(lambda b: evaluate(given, layout, b), given.traffic, population, high)
        over = population > high
        ttft = np.asarray(np.where(over, loop.queued(point, given.traffic, population), point.ttft), dtype=float)
    else:
        point = evaluate(given, layout, _batches(given, found, fits)[:, None, :], limit)
        ttft = np.asarray(point.ttft, dtype=float)
    rate = np.asarray(point.rate * replicas, dtype=float)
    return flat(found, "aggregated", given, point.running, room, rate, point.tpot, ttft, limit)


def decoding(given: Setting, fixed: Mapping[str, int] | None) -> Grid:
    """All layouts and batches of a pool that only decodes."""
    found = options(given, fixed)
    fits = most(given, found.layout, decoding_room(given, found.layout))
    fits = np.broadcast_to(fits, found.instances.shape)[:, None]
    found, fits = _keep(found, fits)
    replicas = (found.instances * np.asarray(found.layout.dp))[:, None]
    if given.job.concurrency is not None:
        running = np.minimum(given.job.concurrency / replicas, np.maximum(fits, 1.0))
    else:
        running = _batches(given, found, fits)
    point = decode_only(given.service, column(found.layout), given.traffic, running)
    rate = np.asarray(point.rate * replicas, dtype=float)
    return flat(found, "decode", given, running, fits, rate, point.tpot, np.asarray(np.nan), np.asarray(given.chunk))


def prefilling(given: Setting, fixed: Mapping[str, int] | None, ttft: float = np.inf) -> Grid:
    """All layouts of a pool that only prefills, at steps of one prompt and of the engine's largest.

    Where none of them keeps `ttft`, and where `fixed` says so, the ranks of a replica share prompts (context
    parallelism): tokens are cut over cp, keys and values gathered.
    """
    asked = (fixed or {}).get("cp")
    grid = _prefilling(given, fixed, (asked or 1,))
    if asked is not None or _quickest(grid) <= ttft or not shares_prompts(given):
        return grid
    try:
        wide = _prefilling(given, fixed, CONTEXTS)
    except InputError:
        return grid
    return wide if _quickest(wide) < _quickest(grid) else grid


def _quickest(grid: Grid) -> float:
    """Lowest time to the first token of a layout that fits."""
    return float(np.min(np.where(grid.most >= 1, grid.ttft, np.inf), initial=np.inf))


def shares_prompts(given: Setting) -> bool:
    """Whether context parallelism is priced for this model: attention is, the hand-over of recurrent states is not."""
    one = Step((Load(1.0, 1.0),), 1.0)
    return not any(operator.kind == "scan" for operator in operators(given.job.arch, one))


def _prefilling(given: Setting, fixed: Mapping[str, int] | None, contexts: tuple[int, ...]) -> Grid:
    if contexts != (1,) and not shares_prompts(given):
        raise InputError(Problem("context parallelism is not priced for models with recurrent layers", "--layout"))
    found = options(given, fixed, contexts)
    limits, fresh = chunks(given), float(given.traffic.fresh)
    room = held(given, column(replace(found.layout, cp=1)), decoding=False, tokens=limits)
    fits = np.broadcast_to(np.floor(np.asarray(room.sequences, dtype=float)), (found.size, limits.size))
    found, fits = _keep(found, fits)
    shared = np.broadcast_to(np.asarray(found.layout.cp, dtype=float), found.instances.shape)[:, None]
    largest = limits * shared
    least = np.minimum((largest < fresh).sum(axis=1), limits.size - 1)[:, None]
    tokens = np.concatenate([largest, np.minimum(fresh, np.take_along_axis(largest, least, 1))], axis=1)
    fits = np.concatenate([fits, np.take_along_axis(fits, least, 1)], axis=1)
    limit = np.concatenate([np.broadcast_to(limits, largest.shape), limits[least]], axis=1)
    point = prefill_only(given.service, column(found.layout), given.traffic, tokens)
    rate = np.asarray(point.capacity * (found.instances * np.asarray(found.layout.dp))[:, None], dtype=float)
    running = np.maximum(tokens / fresh, 1.0)
    return flat(found, "prefill", given, running, fits, rate, np.asarray(np.nan), np.asarray(point.prefill), limit)


def _keep(found: Candidates, fits: Array) -> tuple[Candidates, Array]:
    """Candidates that fit in memory somehow; all of them when none does, so that there is something to explain."""
    good = (fits >= 1).any(axis=1)
    if good.all() or not good.any():
        return found, fits
    index = np.flatnonzero(good)
    return _at(found, index), fits[index]


def flat(
    found: Candidates,
    mode: str,
    given: Setting,
    running: Any,
    fits: Array,
    rate: Array,
    tpot: Any,
    ttft: Array,
    chunk: Array,
) -> Grid:
    """Points of (candidate, ...) as a flat grid."""
    shape = rate.shape

    def spread(value: Any) -> Array:
        return np.ravel(np.broadcast_to(value, shape)).astype(float)

    def rows(value: Any) -> Array:
        return spread(np.reshape(value, (-1, *[1] * (len(shape) - 1))))

    layout = Layout(**{name: rows(value).astype(np.int64) for name, value in _arrays(found).items()})
    return Grid(
        mode=mode,
        layout=layout,
        instances=rows(found.instances),
        ahead=None,
        ahead_instances=np.zeros(rate.size),
        running=spread(running),
        most=spread(fits),
        rate=spread(rate),
        tpot=spread(tpot),
        ttft=spread(ttft),
        used=np.full(rate.size, float(given.system.count)),
        candidates=rate.size,
        chunk=spread(chunk),
    )


def _arrays(found: Candidates) -> dict[str, Any]:
    shape = found.instances.shape
    return {name: np.broadcast_to(getattr(found.layout, name), shape) for name in ("tp", "pp", "dp", "ep", "etp", "cp")}


def frontier(first: Array, second: Array) -> NDArray[np.int64]:
    """Indices of the points that no other beats in both (larger is better), by falling `first`."""
    order = np.lexsort((-second, -first))
    best = np.maximum.accumulate(np.concatenate([[-np.inf], second[order][:-1]]))
    return np.asarray(order[second[order] > best])
