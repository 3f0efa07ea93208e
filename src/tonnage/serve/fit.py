"""Whether a model fits on accelerators, with what context and batch."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tonnage import __version__, values
from tonnage.arrays import Numbers
from tonnage.errors import FEASIBLE, Bind, Outcome, infeasible
from tonnage.layout import Layout
from tonnage.model import Architecture, cache_bytes, cache_table, params
from tonnage.provenance import Provenance
from tonnage.serve.curve import CacheRoom, FitPoint
from tonnage.serve.job import asking
from tonnage.serve.length import too_long
from tonnage.serve.pools import PoolLayout
from tonnage.serve.replica import compressed
from tonnage.serve.replica.engines import CHOSEN, Engine, starting_on
from tonnage.serve.replica.formats import ServeFormats, formats
from tonnage.serve.replica.memory import RankMemory, memory, running_most, usual_step
from tonnage.serve.replica.pages import cached_on, layer_state, sequence_bytes, state_pages
from tonnage.serve.replica.spread import room_doubt
from tonnage.serve.replica.workspaces import chooses
from tonnage.serve.result import FORMS, Body, MemoryUse
from tonnage.serve.search.candidates import LayoutCandidates, candidates, startable, starting
from tonnage.shown import ShownResult
from tonnage.system import Accelerator, System, format_of, per_die
from tonnage.units import show_memory
from tonnage.values import Plain

CONTEXT = 8000.0
"""Tokens of a sequence that `max_batch` is counted at, unless another context is asked for; fewer where the model takes
fewer, or not so many fit."""


@dataclass(frozen=True)
class FitQuestion:
    """All that a plan follows from: the arguments of `fit`. layout: what is fixed of it; drafts: tokens drafted for a
    sequence in a step.
    """

    arch: Architecture
    system: System
    weights: str | None = None
    kv: str | None = None
    layout: Mapping[str, int] | None = None
    context: float | None = None
    engine: Engine | str | None = None
    memory_share: float | None = None
    chunk: int | None = None
    running: int | None = None
    eager: bool = False
    date: datetime.date | None = None
    drafts: int = 0

    @property
    def own_layers(self) -> bool:
        """Whether the model's own extra layers draft."""
        return self.drafts > 0 and self.arch.mtp is not None


@dataclass(frozen=True)
class FitCache:
    """Cache of one sequence in the layers of one kind [byte]: keys and values, and recurrent state."""

    kind: str
    layers: int
    kv_bytes: float
    state_bytes: float

    def to_json(self) -> Body:
        """The fields."""
        return {"kind": self.kind, "layers": self.layers, "kv_bytes": self.kv_bytes, "state_bytes": self.state_bytes}


@dataclass(frozen=True)
class FitPlan(ShownResult):
    """Whether and how a model fits: the answer to `question`.

    pool: its layout; engine_rules: version whose rules these are; memory: of an accelerator; max_context: longest
    single sequence [tokens]; max_batch: sequences of `context` tokens at once over all accelerators; max_running: that
    the engine runs at once unless told; starts_with: sequences at once with which it starts, where that is fewer;
    cached_tokens: over all accelerators in sequences of `context`; cache: of one such sequence; curve: what the cache
    holds at other contexts.
    """

    question: FitQuestion
    outcome: Outcome
    pool: PoolLayout
    formats: ServeFormats
    engine: str
    memory: MemoryUse
    max_context: int
    max_batch: int
    context: float
    cached_tokens: float
    kv_bytes_per_token: float
    cache: tuple[FitCache, ...]
    params: int
    mtp_params: int
    active_params: int
    accelerators: int
    engine_rules: str = ""
    max_running: int = 0
    starts_with: int | None = None
    curve: tuple[FitPoint, ...] = ()
    provenance: Provenance = Provenance()

    @property
    def token_bytes(self) -> float:
        """Bytes of a token on one accelerator: times the tokens on it, the bytes of its cache."""
        replicas = float(self.pool.layout.dp) * self.pool.instances
        return self.memory.kv_cache / max(self.cached_tokens / replicas, 1e-9)

    @property
    def tokens_each(self) -> float:
        """Tokens in the cache of one attention replica."""
        return self.cached_tokens / (float(self.pool.layout.dp) * self.pool.instances)

    @property
    def room_doubt(self) -> float:
        """Bytes of an accelerator by which the room for the cache may be off, nine times in ten."""
        return room_doubt(compressed.kept(self.question.arch)) * self.question.system.accelerator.dies

    @property
    def room(self) -> tuple[float, float]:
        """Least and most bytes of the cache on an accelerator, nine times in ten; never more than weights leave."""
        held = self.memory
        most = held.kv_cache + held.activations + held.buffers
        return max(held.kv_cache - self.room_doubt, 0.0), min(held.kv_cache + self.room_doubt, most)

    @property
    def layout_text(self) -> str:
        """The layout in words."""
        return self.pool.text

    def to_json(self) -> Body:
        """Keys of the interface, base units, and under `plan` the whole plan to be read again."""
        named = ("max_context", "max_batch", "context", "cached_tokens", "kv_bytes_per_token")
        counted = ("params", "mtp_params", "active_params", "accelerators")
        layout: Body = {**self.pool.to_json()}
        return {
            "layout": layout,
            "layout_text": self.pool.text,
            **{name: getattr(self.formats, name) for name in ("weights", "kv", "why")},
            "engine": self.engine,
            "engine_rules": self.engine_rules,
            "max_running": self.max_running,
            "starts_with": self.starts_with,
            "memory": self.memory.to_json(),
            "kv_cache_low": self.room[0],
            "kv_cache_high": self.room[1],
            **{name: getattr(self, name) for name in named},
            "cache": [row.to_json() for row in self.cache],
            "curve": [row.to_json() for row in self.curve],
            **{name: getattr(self, name) for name in counted},
            "notes": [],
            "plan": values.encode(self, FORMS),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Plain]) -> FitPlan:
        """The plan that `to_json` wrote. Raises `InputError` with the path of what does not fit."""
        return values.decode(cls, body.get("plan"), FORMS)


def fit_again(plan: FitPlan) -> FitPlan:
    """The plan made once more from its question; its catalogue and seed stay."""
    q = plan.question
    made = fit(
        q.arch,
        q.system,
        q.weights,
        q.kv,
        q.layout,
        context=q.context,
        engine_name=q.engine,
        memory_share=q.memory_share,
        chunk=q.chunk,
        running=q.running,
        eager=q.eager,
        date=q.date,
        drafts=q.drafts,
    )
    known = plan.provenance
    return replace(made, provenance=replace(made.provenance, catalog=known.catalog, seed=known.seed))


def fit(
    arch: Architecture,
    system: System,
    weights: str | None = None,
    kv: str | None = None,
    fixed: Mapping[str, int] | None = None,
    *,
    context: float | None = None,
    engine_name: Engine | str | None = None,
    memory_share: float | None = None,
    chunk: int | None = None,
    running: int | None = None,
    eager: bool = False,
    date: datetime.date | None = None,
    drafts: int = 0,
) -> FitPlan:
    """Whether `arch` fits on `system`, in the layout that keeps the longest sequence (of those, the most cache).

    engine_name: its name, with a version or not (`vllm@0.11`), or the engine itself with other settings; date: of the
    software where it has none. chunk: new tokens in a step at most; running: sequences in a step at most, which the
    trial step of some engines samples all at once; defaults where None; eager: no captured graphs; drafts: tokens
    drafted for a sequence in a step, by the model's own extra layers or by a model that is not counted.
    max_context: longest single sequence; max_batch: sequences of `context` tokens at once over all accelerators. Where
    a context is asked for, the engine is told to expect no longer one.
    """
    die = per_die(system.accelerator)
    how = formats(arch, die, weights, kv)
    named = engine_name.name if isinstance(engine_name, Engine) else engine_name
    runs = starting_on(named, system.accelerator, date=date)
    chosen = engine_name if isinstance(engine_name, Engine) else runs
    ranks = system.count * system.accelerator.dies
    found = candidates(arch, die, ranks, fixed)
    start = starting(arch, system, drafts=drafts > 0, weights=weights)
    found = startable(arch, die, found, chosen, fixed, None, start)
    asked = min(CONTEXT, arch.context or CONTEXT) if context is None else float(context)
    question = FitQuestion(
        arch, system, weights, kv, fixed, context, engine_name, memory_share, chunk, running, eager, date, drafts
    )
    chosen = chosen.told(chunk, running, eager=eager)
    cached = cached_on(arch, die.generation)
    held = _held(cached, die, how, found, chosen, asked, memory_share, context, question.drafts)
    best = _best(arch, how, found, held)
    plan = _plan(question, asked, how, chosen, found, held, best)
    bind = None if engine_name is None or not plan.outcome.feasible else never_started(arch, die, how, chosen)
    if bind is not None:
        return replace(plan, outcome=infeasible(bind))
    why = chosen.refuses(found.layout.at(best), None, start) if plan.outcome.feasible else None
    if why is not None:
        lift = f"another {asking('layout')}, or another {asking('engine')}"
        return replace(plan, outcome=infeasible(Bind("layout", f"the model fits, but not as asked: {why}", None, lift)))
    if context is None and plan.outcome.feasible and not plan.max_batch:
        plan = _plan(question, float(plan.max_context), how, chosen, found, held, best)
    if plan.outcome.feasible or plan.max_context:
        return plan
    count = None if fixed else _fewest(arch, system, how, chosen, asked, memory_share)
    return replace(plan, outcome=infeasible(_lifted(plan.outcome.binds[0], system, count)))


def _fewest(
    arch: Architecture, system: System, how: ServeFormats, chosen: Engine, context: float, share: float | None
) -> int | None:
    """The fewest accelerators, more than there are, on which one token fits: counts up to two domains, then domains."""
    die, domain = per_die(system.accelerator), max(int(system.accelerator.domain), 1)
    counts = [n for n in range(1, 2 * min(domain, 32) + 1) if n > system.count]
    counts += [n * domain for n in range(1, 129) if n * domain > max(system.count, 2 * min(domain, 32))]
    for count in counts:
        found = candidates(arch, die, count * system.accelerator.dies, None)
        held = _held(arch, die, how, found, chosen, context, share)
        best = _best(arch, how, found, held)
        pool = float(np.broadcast_to(held.pool, found.instances.shape)[best])
        room = CacheRoom(arch, die, how.precision, found.layout.at(best), chosen, share)
        if pool > 0 and room.longest() >= 1:
            return count
    return None


def _lifted(bind: Bind, system: System, count: int | None) -> Bind:
    """What is missing, with the fewest accelerators that hold it before other ways."""
    ways = [f"{count:,} x {system.accelerator.title}"] if count else []
    return replace(bind, lift=" or ".join([*ways, *([bind.lift] if bind.lift else [])]) or "a chip with more memory")


def _held(
    arch: Architecture,
    die: Accelerator,
    how: ServeFormats,
    found: LayoutCandidates,
    chosen: Engine,
    context: float,
    share: float | None,
    longest: float | None = None,
    drafts: int = 0,
) -> RankMemory:
    return memory(
        arch,
        die,
        how.precision,
        found.layout,
        chosen,
        context=context,
        tokens=usual_step(chosen, die),
        drafts=drafts,
        mtp=drafts > 0 and arch.mtp is not None,
        share=share,
        longest=longest,
    )


def _token_bytes(arch: Architecture, how: ServeFormats, layout: Layout, at: float = 65536.0) -> Numbers:
    """Bytes that one more token costs at long context on one rank."""
    more = sequence_bytes(arch, how.kv, layout, 2 * at) - sequence_bytes(arch, how.kv, layout, at)
    return np.maximum(more / at, 1e-9)


def _best(arch: Architecture, how: ServeFormats, found: LayoutCandidates, held: RankMemory) -> int:
    """The candidate with the longest sequence, without a pipeline if one fits so; the one that lacks least if none."""
    pool = np.broadcast_to(held.pool, found.instances.shape)
    longest = pool / np.broadcast_to(_token_bytes(arch, how, found.layout), pool.shape)
    total = longest * found.instances * np.asarray(found.layout.dp)
    order = np.lexsort((-total, -np.round(np.log2(np.maximum(longest, 1.0)), 1), np.asarray(found.layout.pp)))
    fits = [i for i in order if pool[i] > 0]
    return int(fits[0]) if fits else int(np.argmax(pool))


def _plan(
    question: FitQuestion,
    context: float,
    how: ServeFormats,
    chosen: Engine,
    found: LayoutCandidates,
    held: RankMemory,
    best: int,
) -> FitPlan:
    """The plan of the best layout: its memory on the fullest accelerator, the longest sequence and how many of
    `context` tokens fit.
    """
    system = question.system
    arch = cached_on(question.arch, system.accelerator.generation)
    layout, instances = found.layout.at(best), float(found.instances[best])
    pool, weights, activations, buffers = (
        float(np.broadcast_to(each, found.instances.shape)[best])
        for each in (held.pool, held.weights, held.activations, held.buffers)
    )
    die, replicas = per_die(system.accelerator), float(layout.dp) * instances
    room = CacheRoom(
        arch, die, how.precision, layout, chosen, question.memory_share, replicas, question.context, question.drafts
    )
    longest = min(room.longest(), arch.context or 1 << 34)
    dies = system.accelerator.dies
    figures = MemoryUse(
        weights * dies,
        max(pool, 0.0) * dies,
        activations * dies,
        buffers * dies,
        held.labelled * dies,
        held.capacity * dies,
    )
    outcome = FEASIBLE if longest >= 1 else infeasible(_lack(arch, system, how, figures, -pool * dies))
    fits, counted = outcome.feasible, params(arch)
    token = float(sequence_bytes(arch, how.kv, Layout(), 1.0)) if not fits else 0.0
    pages = state_pages(arch, how.kv, layout, chosen, pool) if chosen.state_pages and not question.eager else None
    running, here = int(np.max(np.asarray(running_most(arch, chosen, die, question.drafts)))), room.at(context)
    per_rank = min(math.floor(here.sequences / replicas), running)
    most = int(per_rank * replicas) if fits else 0
    if fits and question.context is not None:
        outcome = _of_context(question, context, int(longest), most)
    starts = int(pages) if fits and pages is not None and pages < running else None
    if outcome.feasible and starts is not None and question.running is not None:
        outcome = infeasible(_paged(chosen, question.running, starts))
    return FitPlan(
        question=question,
        outcome=outcome,
        pool=PoolLayout(layout, int(instances)),
        formats=how,
        engine=chosen.name,
        memory=figures,
        max_context=int(longest) if fits else 0,
        max_batch=most,
        context=context,
        cached_tokens=here.tokens,
        kv_bytes_per_token=_spread(arch, how) or token,
        cache=_cache(arch, how, context),
        params=int(counted.total),
        mtp_params=int(counted.mtp),
        active_params=int(counted.active),
        accelerators=system.count,
        engine_rules=chosen.rules,
        max_running=int(running * replicas),
        starts_with=starts,
        curve=room.curve() if fits else (),
        provenance=Provenance(system.accelerator.facts, version=__version__),
    )


def never_started(arch: Architecture, chip: Accelerator, how: ServeFormats, engine: Engine) -> Bind | None:
    """Why an engine starts a model in a format on a chip in no layout; None where it starts."""
    held = "fp8" if how.weights == "w8a16" and arch.precision.startswith("fp8") else how.weights
    why = engine.never((held, CHOSEN) if chooses(arch) else (held,), chip)
    return None if why is None else Bind("engine", why, None, f"another {asking('engine')}, or other chips")


def _paged(engine: Engine, running: int, pages: int) -> Bind:
    """Sequences at once that were asked for, more than there are pages for their states."""
    text = f"{engine.name} starts only with a page of states for each of {running:,} sequences; its cache has {pages:,}"
    return Bind("running", text, running / max(pages, 1), f"{asking('running', str(pages))}, or more chips")


def _of_context(question: FitQuestion, context: float, longest: int, most: int) -> Outcome:
    """Whether one sequence of the context that was asked for can be: within the model's limit and in the cache."""
    long = too_long(question.arch, context, asking("context", f"{question.arch.context}"))
    if long is not None:
        return infeasible(long)
    if most:
        return FEASIBLE
    text = f"a sequence of {context:,.0f} tokens does not fit in the cache: at most {longest:,} do"
    narrower = "" if question.kv in ("fp8", "int8") else f", {asking('kv', 'fp8')}"
    return infeasible(
        Bind("memory", text, context / longest, f"{asking('context', f'{longest}')}{narrower} or more chips")
    )


def _spread(arch: Architecture, how: ServeFormats) -> float:
    """Bytes that one more token adds while no window is full, the mean over the first 128 (compressed entries)."""
    return float(cache_bytes(arch, 128.0, format_of(how.kv).element)) / 128.0


def _cache(arch: Architecture, how: ServeFormats, context: float) -> tuple[FitCache, ...]:
    element, blocks = format_of(how.kv).element, [block for block in arch.blocks if block.mixer is not None]
    return tuple(
        FitCache(
            row.kind, row.layers, float(row.kv_bytes * row.layers), float(layer_state(block, Layout())) * row.layers
        )
        for row, block in zip(cache_table(arch, context, element), blocks, strict=True)
    )


def _lack(arch: Architecture, system: System, how: ServeFormats, figures: MemoryUse, lacking: float) -> Bind:
    """What is missing, and a narrower format that would do."""
    title = system.accelerator.title
    text = (
        f"{arch.title} in {how.weights} needs {show_memory(figures.total)} on each {title}, "
        f"{show_memory(max(lacking, 0.0))} more than an engine may use"
    )
    room = figures.reported * 0.9 - figures.buffers - figures.activations
    halved = next((name for name in ("fp8", "int8") if name in system.accelerator.rates), "w4a16")
    narrower = {"bf16": halved, "fp16": halved, "fp8": "w4a16", "int8": "w4a16"}.get(how.weights)
    if narrower and figures.weights / (1.9 if narrower == "w4a16" else 2) < room:
        return Bind("memory", text, max(lacking, 0.0), asking("weights", narrower))
    return Bind("memory", text, max(lacking, 0.0))
