"""Every layout and batch of a service evaluated in one broadcast, together or with prefill apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from tonnage.serve.memory import Memory, memory, sequence_bytes
from tonnage.serve.points import Point, Traffic, decode_only, prefill_only, together
from tonnage.serve.precision import Formats, formats
from tonnage.serve.step import Service
from tonnage.serve.tuning import Constants, constants, independent, tuning
from tonnage.system import System, per_die

Array = NDArray[np.float64]

BATCHES = np.unique(np.round(np.geomspace(1, 4096, 81))).astype(float)
"""Sequences per attention replica that a search tries; what fits in memory at most is tried besides."""

FULL = (0.5, 0.75, 0.9)
"""Shares of a prefill pool's capacity that a plan may use: at 0.9 Poisson arrivals wait 4.5 services, at 0.5 half."""


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
    deployment; used: accelerators in it; ffn, micro_batches: of FFN ranks that are apart (`afd`).
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
    chosen = engine(job.engine, die.vendor)
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


def held(given: Setting, layout: Layout, *, decoding: bool = True) -> Memory:
    """Memory of one rank; a pool that only prefills keeps a prompt's cache until it is sent."""
    job = given.job
    later = given.engine.reserved * given.traffic.osl if decoding else 0.0
    return memory(
        job.arch,
        given.service.die,
        given.formats.precision,
        layout,
        given.engine,
        context=given.traffic.isl + later,
        tokens=given.chunk,
        mtp=given.traffic.own_layers,
        share=job.memory_share,
    )


def most(given: Setting, layout: Layout) -> Array:
    """Sequences that run at once on an attention replica: by memory, and by the engine's limit."""
    fits = np.floor(np.asarray(held(given, layout).sequences, dtype=float))
    return np.asarray(np.minimum(fits, given.engine.running * np.asarray(layout.pp)))


def column(layout: Layout) -> Layout:
    """A layout of arrays with one more axis, for batches."""
    return Layout(**{name: np.asarray(value)[..., None] for name, value in layout.__dict__.items()})


def _batches(given: Setting, found: Candidates, fits: Array) -> Array:
    """(candidate, batch): the grid up to what fits, and what fits; or the batch that the job gives."""
    job = given.job
    if job.batch is not None:
        accelerators = found.ranks / given.dies
        return np.asarray(job.batch * accelerators / np.asarray(found.layout.dp))[:, None]
    grid = np.broadcast_to(BATCHES, (found.size, BATCHES.size))
    return np.concatenate([np.minimum(grid, np.maximum(fits, 1.0)[:, None]), np.maximum(fits, 1.0)[:, None]], axis=1)


def evaluate(given: Setting, layout: Layout, running: Any) -> Point:
    """One replica with prefill and decode together, at so many running sequences."""
    mixed = float(given.engine.mixed)
    return together(given.service, layout, given.traffic, running, given.chunk, mixed)


def aggregated(given: Setting, fixed: Mapping[str, int] | None) -> Grid:
    """All layouts and batches with prefill and decode on the same ranks."""
    found = candidates(given.job.arch, given.service.die, given.ranks, fixed)
    fits = most(given, found.layout)
    found, fits = _keep(found, fits)
    replicas = (found.instances * np.asarray(found.layout.dp))[:, None]
    layout = column(found.layout)
    if given.job.concurrency is not None:
        population = np.maximum(given.job.concurrency / replicas, 1e-9)
        limit = np.maximum(fits, 1.0)[:, None]
        point = loop.closed(lambda b: evaluate(given, layout, b), given.traffic, population, limit)
        over = population > limit
        ttft = np.asarray(np.where(over, loop.queued(point, given.traffic, population), point.ttft), dtype=float)
    else:
        point = evaluate(given, layout, _batches(given, found, fits))
        ttft = point.ttft
    running = np.asarray(np.broadcast_to(point.running, point.tpot.shape))
    return _flat(
        given, found, "aggregated", running, fits, np.asarray(point.rate * replicas, dtype=float), point.tpot, ttft
    )


def decoding(given: Setting, fixed: Mapping[str, int] | None) -> Grid:
    """All layouts and batches of a pool that only decodes."""
    found = candidates(given.job.arch, given.service.die, given.ranks, fixed)
    fits = most(given, found.layout)
    found, fits = _keep(found, fits)
    replicas = (found.instances * np.asarray(found.layout.dp))[:, None]
    if given.job.concurrency is not None:
        running = np.minimum(given.job.concurrency / replicas, np.maximum(fits, 1.0)[:, None])
    else:
        running = _batches(given, found, fits)
    point = decode_only(given.service, column(found.layout), given.traffic, running)
    nothing = np.full(point.tpot.shape, np.nan)
    return _flat(given, found, "decode", running, fits, point.rate * replicas, point.tpot, nothing)


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
    found = candidates(given.job.arch, given.service.die, given.ranks, fixed, contexts)
    room = held(given, replace(found.layout, cp=1), decoding=False)
    fits = np.broadcast_to(np.floor(np.asarray(room.sequences, dtype=float)), found.instances.shape)
    found, fits = _keep(found, fits)
    largest = given.chunk * np.broadcast_to(np.asarray(found.layout.cp, dtype=float), found.instances.shape)
    chunk = np.stack([np.minimum(largest, float(given.traffic.fresh)), largest], axis=1)
    point = prefill_only(given.service, column(found.layout), given.traffic, chunk)
    replicas = (found.instances * np.asarray(found.layout.dp))[:, None]
    nothing = np.full(point.step.shape, np.nan)
    running = np.asarray(np.maximum(chunk / given.traffic.fresh, 1.0))
    return _flat(given, found, "prefill", running, fits, point.capacity * replicas, nothing, point.prefill)


def _keep(found: Candidates, fits: Array) -> tuple[Candidates, Array]:
    """Candidates that fit in memory; all of them when none does, so that there is something to explain."""
    good = fits >= 1
    if good.all() or not good.any():
        return found, fits
    index = np.flatnonzero(good)
    layout = Layout(**{n: (v if np.ndim(v) == 0 else np.asarray(v)[index]) for n, v in found.layout.__dict__.items()})
    return Candidates(layout, found.instances[index]), fits[index]


def _flat(
    given: Setting, found: Candidates, mode: str, running: Array, fits: Array, rate: Array, tpot: Array, ttft: Array
) -> Grid:
    shape = np.broadcast_shapes(running.shape, tpot.shape, rate.shape)

    def spread(value: Any) -> Array:
        return np.ravel(np.broadcast_to(value, shape)).astype(float)

    fields = {name: spread(np.asarray(value)[..., None]) for name, value in _arrays(found).items()}
    layout = Layout(**{name: value.astype(np.int64) for name, value in fields.items()})
    used = np.full(shape, float(given.system.count))
    instances = spread(found.instances[:, None])
    return Grid(
        mode,
        layout,
        instances,
        None,
        np.zeros(instances.shape),
        spread(running),
        spread(fits[:, None]),
        spread(rate),
        spread(tpot),
        spread(ttft),
        spread(used),
        int(np.prod(shape)),
    )


def _arrays(found: Candidates) -> dict[str, Any]:
    shape = found.instances.shape
    return {name: np.broadcast_to(getattr(found.layout, name), shape) for name in ("tp", "pp", "dp", "ep", "etp", "cp")}


def disaggregated(
    given: Setting,
    fixed: Mapping[str, int] | None,
    prefill_fixed: Mapping[str, int] | None,
    limits: tuple[float, float],
    decode: Callable[[Setting, Mapping[str, int] | None], Grid] | None = None,
) -> Grid | None:
    """Pairs of a prefill and a decode layout, with instances of each in balance; None where two pools do not fit.

    Of each pool's layouts only the best few are paired: prefill by requests per accelerator under the limit on ttft,
    decode points on the frontier of requests per accelerator and tpot. decode: the pool that decodes, `decoding` where
    None.
    """
    if given.system.count < 2:
        return None
    half = replace(given, ranks=given.ranks - given.dies)
    first, later = (
        _front_prefill(half, prefill_fixed, limits[0]),
        _front_decode(half, fixed, limits[1], decode or decoding),
    )
    if first is None or later is None:
        return None
    made = [_pair(given, first, later, full) for full in FULL]
    return _joined([grid for grid in made if grid is not None])


def _front_prefill(given: Setting, fixed: Mapping[str, int] | None, ttft: float) -> Grid | None:
    grid = prefilling(replace(given, job=replace(given.job, concurrency=None)), fixed, ttft)
    good = np.flatnonzero((grid.most >= 1) & (grid.ttft <= ttft))
    if not good.size:
        return None
    each = (grid.rate / grid.instances / grid.ranks)[good]
    order = good[np.argsort(-each)]
    return grid.at(order[:12])


def _front_decode(
    given: Setting,
    fixed: Mapping[str, int] | None,
    tpot: float,
    decode: Callable[[Setting, Mapping[str, int] | None], Grid],
) -> Grid | None:
    grid = decode(replace(given, job=replace(given.job, concurrency=None)), fixed)
    good = np.flatnonzero((grid.most >= 1) & (grid.tpot <= tpot))
    if not good.size:
        return None
    each = (grid.rate / grid.instances / grid.ranks)[good]
    small = np.argsort(-each)[:60]
    edge = frontier(each, 1.0 / grid.tpot[good])
    return grid.at(good[np.unique(np.concatenate([small, edge]))])


def frontier(first: Array, second: Array) -> NDArray[np.int64]:
    """Indices of the points that no other beats in both (larger is better), by falling `first`."""
    order = np.lexsort((-second, -first))
    best = np.maximum.accumulate(np.concatenate([[-np.inf], second[order][:-1]]))
    return np.asarray(order[second[order] > best])


def _joined(grids: list[Grid]) -> Grid | None:
    """Several sets of paired points as one."""
    if not grids:
        return None
    head = grids[0]
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(grid, name) for grid in grids])
        for name, value in head.__dict__.items()
        if isinstance(value, np.ndarray)
    }
    layouts: dict[str, Any] = {
        name: _layouts([getattr(grid, name) for grid in grids])
        for name, value in head.__dict__.items()
        if isinstance(value, Layout)
    }
    return replace(head, **arrays, **layouts, candidates=sum(grid.candidates for grid in grids))


def _layouts(layouts: list[Layout]) -> Layout:
    names = ("tp", "pp", "dp", "ep", "etp", "cp")
    return Layout(**{name: np.concatenate([getattr(one, name) for one in layouts]) for name in names})


def _pair(given: Setting, first: Grid, later: Grid, full: float) -> Grid | None:
    """All pairs, with whole instances: as many decode instances as balance, the rest prefill, both ways of rounding."""
    cost_p = (first.ranks / given.dies)[:, None, None]
    cost_d = (later.ranks / given.dies)[None, :, None]
    each_p = (full * first.rate / first.instances)[:, None, None]
    each_d = (later.rate / later.instances)[None, :, None]
    ideal = given.system.count / (cost_d + cost_p * each_d / each_p)
    number_d = np.maximum(np.concatenate([np.floor(ideal), np.ceil(ideal)], axis=2), 1.0)
    number_p = np.floor((given.system.count - number_d * cost_d) / cost_p)
    rate = np.minimum(number_p * each_p, number_d * each_d)
    good = np.flatnonzero(np.ravel(rate) > 0)
    if not good.size:
        return None
    i, j, k = np.unravel_index(good, rate.shape)
    ahead, behind = first.at(i), later.at(j)
    served = rate[i, j, k]
    share = served / (number_d[i, j, k] * each_d[0, j, 0])
    running = behind.running * share
    load = served / (number_p[i, j, k] * each_p[i, 0, 0] / full)
    wait = load / (2 * (1 - np.minimum(load, 1 - 1e-9))) * ahead.ttft
    moved = float(sequence_bytes(given.job.arch, given.formats.kv, Layout(), given.traffic.isl))
    send = moved / (given.service.die.nic * np.asarray(ahead.layout.tp))
    ttft = ahead.ttft + wait + given.service.tuning.admission + send + behind.tpot
    return replace(
        behind,
        mode="disaggregated",
        ahead=ahead.layout,
        ahead_instances=number_p[i, j, k],
        instances=number_d[i, j, k],
        running=running,
        rate=served,
        ttft=ttft,
        used=np.full(served.shape, float(given.system.count)),
        candidates=rate.size + (first.candidates + later.candidates if full == FULL[0] else 0),
    )
