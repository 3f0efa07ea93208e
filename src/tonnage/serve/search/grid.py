"""Every layout and batch of a service evaluated in one broadcast, together or with prefill apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Index, Numbers, distinct
from tonnage.catalog.software import software
from tonnage.layout import Layout
from tonnage.serve.job import ServeJob
from tonnage.serve.replica.engines import Engine, Startup, starting_on
from tonnage.serve.replica.formats import ServeFormats, formats
from tonnage.serve.replica.memory import RankMemory, as_it_comes, usual_step
from tonnage.serve.replica.pages import cached_on
from tonnage.serve.replica.points import Traffic
from tonnage.serve.replica.room import decode_rank_memory, rank_memory
from tonnage.serve.replica.software import EAGER, Constants, constants, independent, tuning
from tonnage.serve.replica.step import Service
from tonnage.serve.search.candidates import LayoutCandidates, candidates, startable, starting
from tonnage.system import Accelerator, System, needed, per_die, unjoined

Array = NDArray[np.float64]

BATCHES = distinct(np.round(np.geomspace(1, 4096, 81)))
"""Sequences per attention replica that a search tries; what fits in memory at most is tried besides."""

FINE = distinct(np.round(np.geomspace(1, 4096, 161)))
"""The same of a thorough search."""

CHUNKS = (2048.0, 4096.0, 8192.0, 16384.0, 32768.0)
"""New tokens per step and attention replica that a thorough search tries, beside the engine's default."""


@dataclass(frozen=True)
class ServeSetting:
    """What a job means on a system: formats, engine, tuning, traffic, ranks."""

    job: ServeJob
    system: System
    service: Service
    formats: ServeFormats
    engine: Engine
    traffic: Traffic
    ranks: int
    chunk: float
    fitted: Constants
    partner: ServeSetting | None = None
    """The same job on the chips of the FFN ranks, where these are another kind (`afd`)."""
    anything: bool = False
    """Whether layouts that the engine refuses are looked at too, to tell what they would bring."""

    @property
    def dies(self) -> int:
        """Ranks in one accelerator."""
        return self.system.accelerator.dies

    @property
    def accelerators(self) -> int:
        """All accelerators of the deployment."""
        return self.system.count + (self.partner.system.count if self.partner else 0)


@dataclass(frozen=True)
class PointGrid:
    """Operating points on (candidate, batch), flattened: what each would do with the whole system.

    layout: of the ranks that decode (of the attention ranks, where FFN ranks are apart), or prefill in a pool of its
    own; prefill: of a prefill pool beside; running, most: sequences per attention replica; rate: requests/s of the
    whole deployment; used: accelerators in it; ffn, micro_batches: of FFN ranks that are apart (`afd`); chunk: new
    tokens per step and replica at most, of the ranks that prefill. candidates: points tried, `kinds` says of which
    kind; keeping: how many of them keep the limits, where not all of them are held here; late: percentiles that are
    limited, the worst over its limit.
    """

    mode: str
    layout: Layout
    instances: Array
    prefill: Layout | None
    prefill_instances: Array
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
    late: Array | None = None

    def at(self, index: Index) -> PointGrid:
        """One point, or those of an array of indices."""
        pick: dict[str, Any] = {n: v[index] for n, v in self.__dict__.items() if isinstance(v, np.ndarray)}
        layouts: dict[str, Any] = {n: v.at(index) for n, v in self.__dict__.items() if isinstance(v, Layout)}
        return replace(self, **pick, **layouts)

    @property
    def ranks(self) -> Array:
        """Ranks of one instance that decode or prefill, FFN ranks included; those of a prefill pool beside are not."""
        own = np.asarray(self.layout.ranks, dtype=float)
        return own if self.ffn is None else own + np.asarray(self.ffn.ranks, dtype=float)


def serve_setting(job: ServeJob, system: System, fitted: Constants | None = None) -> ServeSetting:
    """Formats, engine and tuning of a job on a system."""
    die = per_die(system.accelerator)
    how = formats(job.arch, die, job.weights, job.kv)
    chosen = starting_on(job.engine, system.accelerator, afd=job.splits_ffn, date=job.date)
    untouched = job.stack == "default"
    if untouched:
        chosen = as_it_comes(chosen, job.arch, die, drafts=job.speculative is not None)
    chosen = chosen.told(job.chunk, job.running, eager=job.eager)
    tuned = tuning((chosen,), die, how.precision, fitted, [untouched])
    plain = {name: float(np.ravel(value)[0]) for name, value in tuned.__dict__.items()}
    if job.imbalance is not None:
        plain["imbalance"] = job.imbalance
    if job.eager:
        plain["eager"] = EAGER
    fixed = replace(tuned, **plain)
    service = Service(
        cached_on(job.arch, die.generation),
        die,
        how.precision,
        fixed if job.concurrency is not None else independent(fixed),
    )
    drafts = job.speculative
    traffic = Traffic(
        isl=float(job.isl),
        osl=float(job.osl),
        hit=float(job.cache_hit),
        drafts=0.0 if drafts is None else drafts.tokens,
        accepted=1.0 if drafts is None else drafts.accepted,
        own_layers=drafts is not None and (drafts.method == "mtp" or job.arch.drafter is not None),
        parallel=job.arch.drafter is not None and job.arch.drafter.parallel,
    )
    ranks = system.count * system.accelerator.dies
    chunk = float(job.chunk or usual_step(chosen, die))
    return ServeSetting(job, system, service, how, chosen, traffic, ranks, chunk, fitted or constants())


def held(given: ServeSetting, layout: Layout, *, decoding: bool = True, tokens: Numbers | None = None) -> RankMemory:
    """Memory of one rank; a pool that only prefills keeps a prompt's cache until it is sent. tokens: in a step at most,
    the engine's chunk where None.
    """
    limit, share = given.chunk if tokens is None else tokens, given.job.memory_share
    return rank_memory(given.service, given.engine, layout, given.traffic, limit, decoding=decoding, share=share)


def most(given: ServeSetting, layout: Layout, room: RankMemory) -> Array:
    """Sequences that run at once on an attention replica: by memory, and by the engine's limit."""
    fits = np.floor(np.asarray(room.sequences, dtype=float))
    return np.asarray(np.minimum(fits, given.engine.running * np.asarray(layout.pp)))


def decoding_room(given: ServeSetting, layout: Layout) -> RankMemory:
    """Memory of one rank of a pool that only decodes: it keeps no room for the tokens of a prompt."""
    return decode_rank_memory(given.service, given.engine, layout, given.traffic, share=given.job.memory_share)


def chunks(given: ServeSetting) -> Array:
    """New tokens per step and replica to try: the one given, or the engine's default; `CHUNKS` if thorough."""
    told = given.job.chunk is not None or given.job.stack == "default"
    if told or given.job.concurrency is not None or not given.job.thorough:
        return np.array([given.chunk])
    return distinct(np.array([given.chunk, *CHUNKS]))


def column(layout: Layout) -> Layout:
    """A layout of arrays with one more axis, for batches."""
    return Layout(**{name: np.asarray(value)[..., None] for name, value in layout.__dict__.items()})


def options(given: ServeSetting, fixed: Mapping[str, int] | None, contexts: tuple[int, ...] = (1,)) -> LayoutCandidates:
    """Layouts that the engine can be told to run; all where what is fixed leaves none, or where `given.anything` asks
    what it would do if it ran them. Raises InputError where it runs none of those that are free, and where an instance
    with experts dealt out as fixed would not lie in servers equally.
    """
    found = joined(candidates(given.job.arch, given.service.die, given.ranks, fixed, contexts), given.service.die)
    found = known_then(found, given)
    if given.anything:
        return found
    kv = given.formats.kv if given.job.engine is not None else None
    return startable(given.job.arch, given.service.die, found, given.engine, fixed, kv, startup(given))


def beside(given: ServeSetting) -> ServeSetting:
    """The setting of what is shown beside the chosen point: within the bounds that an answer says it assumed."""
    job = given.job
    if job.ttft is not None or job.soon is None:
        return given
    return replace(given, job=replace(job, ttft=job.soon, usual_ttft=True))


def startup(given: ServeSetting) -> Startup:
    """What decides beside the layout whether the engine starts."""
    drafts = bool(np.any(np.asarray(given.traffic.drafts) > 0))
    return starting(given.job.arch, given.system, drafts=drafts, weights=given.job.weights)


NARROW = 16
"""Ranks over which experts were dealt out before software did so over many servers: two of eight, or one of sixteen."""


def known_then(found: LayoutCandidates, given: ServeSetting) -> LayoutCandidates:
    """Layouts that the software of the job's date could run: experts over many servers from a day on, by stack."""
    wide = software().wide_experts.get(given.service.die.stack or "")
    if given.job.date is None or wide is None or given.job.date >= wide.since:
        return found
    good = np.flatnonzero(np.broadcast_to(np.asarray(found.layout.ep) <= NARROW, found.instances.shape))
    return found.at(good) if good.size else found


def joined(found: LayoutCandidates, die: Accelerator) -> LayoutCandidates:
    """Layouts that need no link and no NIC whose bandwidth is unknown. Raises `MissingFact` where every one does."""
    if die.link is not None and die.nic is not None:
        return found
    missing = [unjoined(die, int(ranks)) for ranks in np.broadcast_to(found.ranks, found.instances.shape)]
    good = np.flatnonzero([fact is None for fact in missing])
    if not good.size and missing[0] is not None:
        needed(die, missing[0])
    return found.at(good) if good.size < found.size else found


def flat(
    found: LayoutCandidates,
    mode: str,
    given: ServeSetting,
    running: Numbers,
    fits: Array,
    rate: Array,
    tpot: Numbers,
    ttft: Array,
    chunk: Array,
    late: Numbers | None = None,
) -> PointGrid:
    """Points of (candidate, ...) as a flat grid."""
    shape = rate.shape

    def spread(value: Numbers) -> Array:
        return np.ravel(np.broadcast_to(value, shape)).astype(float)

    def rows(value: Numbers | NDArray[np.int64]) -> Array:
        return spread(np.reshape(value, (-1, *[1] * (len(shape) - 1))))

    layout = Layout(**{name: rows(value).astype(np.int64) for name, value in _arrays(found).items()})
    return PointGrid(
        mode=mode,
        layout=layout,
        instances=rows(found.instances),
        prefill=None,
        prefill_instances=np.zeros(rate.size),
        running=spread(running),
        most=spread(fits),
        rate=spread(rate),
        tpot=spread(tpot),
        ttft=spread(ttft),
        used=np.full(rate.size, float(given.system.count)),
        candidates=rate.size,
        chunk=spread(chunk),
        late=None if late is None else spread(late),
    )


def _arrays(found: LayoutCandidates) -> dict[str, NDArray[np.int64]]:
    shape = found.instances.shape
    return {name: np.broadcast_to(getattr(found.layout, name), shape) for name in ("tp", "pp", "dp", "ep", "etp", "cp")}


def frontier(first: Array, second: Array) -> NDArray[np.int64]:
    """Indices of the points that no other beats in both (larger is better), by falling `first`."""
    order = np.lexsort((-second, -first))
    best = np.maximum.accumulate(np.concatenate([[-np.inf], second[order][:-1]]))
    return np.asarray(order[second[order] > best])
