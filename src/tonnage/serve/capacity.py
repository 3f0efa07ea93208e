"""Whether a model fits on accelerators, with what context and batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tonnage.errors import FEASIBLE, Bind, Outcome, infeasible
from tonnage.layout import Layout, show_layout
from tonnage.model import Architecture, cache_bytes, cache_table, params
from tonnage.serve.candidates import Candidates, candidates
from tonnage.serve.engines import Engine, engine
from tonnage.serve.memory import STATE_ELEMENT, Memory, memory, sequence_bytes
from tonnage.serve.precision import Formats, formats
from tonnage.system import Accelerator, System, format_of, per_die
from tonnage.units import show_memory

CONTEXT = 8192.0
"""Tokens of a sequence that `max_batch` is counted at, unless another context is asked for."""


@dataclass(frozen=True)
class FitPlan:
    """Whether and how a model fits. Memory figures are per accelerator [byte]."""

    outcome: Outcome
    layout: dict[str, int]
    layout_text: str
    weights: str
    kv: str
    why: str
    engine: str
    memory: dict[str, float]
    max_context: int
    max_batch: int
    context: float
    cached_tokens: float
    kv_bytes_per_token: float
    cache: tuple[dict[str, Any], ...]
    params: int
    mtp_params: int
    active_params: int
    accelerators: int
    evidence: str = "analytic"
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Keys of the interface, base units."""
        held = dict(self.__dict__)
        for name in ("outcome", "sources", "evidence"):
            held.pop(name)
        return held | {"cache": list(self.cache), "notes": list(self.notes)}


def fit(
    arch: Architecture,
    system: System,
    weights: str | None = None,
    kv: str | None = None,
    fixed: Mapping[str, int] | None = None,
    *,
    context: float | None = None,
    engine_name: str | Engine | None = None,
    memory_share: float | None = None,
    chunk: int | None = None,
    running: int | None = None,
) -> FitPlan:
    """Whether `arch` fits on `system`, in the layout that keeps the longest sequence (of those, the most cache).

    engine_name: its name, or the engine itself with other settings. chunk: new tokens in a step at most; running:
    sequences in a step at most, which the trial step of some engines samples all at once; defaults where None.
    max_context: longest single sequence; max_batch: sequences of `context` tokens at once over all accelerators.
    """
    die = per_die(system.accelerator)
    how = formats(arch, die, weights, kv)
    chosen = engine_name if isinstance(engine_name, Engine) else engine(engine_name, die.stack)
    ranks = system.count * system.accelerator.dies
    found = candidates(arch, die, ranks, fixed)
    asked = float(context or CONTEXT)
    chosen = replace(chosen, chunk=chunk or chosen.chunk)
    if running is not None:
        chosen = replace(chosen, running=running, few=None)
    held = _held(arch, die, how, found, chosen, asked, memory_share)
    best = _best(arch, how, found, held)
    plan = _plan(arch, system, how, chosen, found, held, best, asked)
    if plan.outcome.feasible:
        return plan
    count = None if fixed else _fewest(arch, system, how, chosen, asked, memory_share)
    return replace(plan, outcome=infeasible(_lifted(plan.outcome.binds[0], system, count)))


def _fewest(
    arch: Architecture, system: System, how: Formats, chosen: Engine, context: float, share: float | None
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
        if pool > 0 and _longest(arch, how, found.layout.at(best), chosen, pool) >= 1:
            return count
    return None


def _lifted(bind: Bind, system: System, count: int | None) -> Bind:
    """What is missing, with the fewest accelerators that hold it before other ways."""
    ways = [f"{count:,} x {system.accelerator.title}"] if count else []
    return replace(bind, lift=" or ".join([*ways, *([bind.lift] if bind.lift else [])]) or "a chip with more memory")


def _held(
    arch: Architecture,
    die: Accelerator,
    how: Formats,
    found: Candidates,
    chosen: Engine,
    context: float,
    share: float | None,
) -> Memory:
    tokens = float(chosen.chunk)
    return memory(arch, die, how.precision, found.layout, chosen, context=context, tokens=tokens, share=share)


def _token_bytes(arch: Architecture, how: Formats, layout: Layout, at: float = 65536.0) -> Any:
    """Bytes that one more token costs at long context on one rank."""
    more = sequence_bytes(arch, how.kv, layout, 2 * at) - sequence_bytes(arch, how.kv, layout, at)
    return np.maximum(more / at, 1e-9)


def _best(arch: Architecture, how: Formats, found: Candidates, held: Memory) -> int:
    """The candidate with the longest sequence, without a pipeline if one fits so; the one that lacks least if none."""
    pool = np.broadcast_to(held.pool, found.instances.shape)
    longest = pool / np.broadcast_to(_token_bytes(arch, how, found.layout), pool.shape)
    total = longest * found.instances * np.asarray(found.layout.dp)
    order = np.lexsort((-total, -np.round(np.log2(np.maximum(longest, 1.0)), 1), np.asarray(found.layout.pp)))
    fits = [i for i in order if pool[i] > 0]
    return int(fits[0]) if fits else int(np.argmax(pool))


def _plan(
    arch: Architecture,
    system: System,
    how: Formats,
    chosen: Engine,
    found: Candidates,
    held: Memory,
    best: int,
    context: float,
) -> FitPlan:
    dies = system.accelerator.dies
    layout = found.layout.at(best)
    pool = float(np.broadcast_to(held.pool, found.instances.shape)[best])
    weights = float(np.broadcast_to(held.weights, found.instances.shape)[best])
    activations = float(np.broadcast_to(held.activations, found.instances.shape)[best])
    buffers = float(np.broadcast_to(held.buffers, found.instances.shape)[best])
    counted = params(arch)
    instances = float(found.instances[best])
    one = float(sequence_bytes(arch, how.kv, layout, context, chosen.block))
    per_rank = pool / one
    longest = _longest(arch, how, layout, chosen, pool)
    if arch.context:
        longest = min(longest, arch.context)
    figures = {
        "weights": weights * dies,
        "kv_cache": max(pool, 0.0) * dies,
        "activations": activations * dies,
        "buffers": buffers * dies,
        "total": (weights + activations + buffers + max(pool, 0.0)) * dies,
        "capacity": held.labelled * dies,
        "reported": held.capacity * dies,
    }
    outcome = FEASIBLE if longest >= 1 else infeasible(_lack(arch, system, how, figures, -pool * dies))
    fits = outcome.feasible
    token = float(sequence_bytes(arch, how.kv, Layout(), 1.0)) if not fits else 0.0
    return FitPlan(
        outcome=outcome,
        layout=_fields(layout, instances),
        layout_text=show_serving(layout, instances),
        weights=how.weights,
        kv=how.kv,
        why=how.why,
        engine=chosen.name,
        memory=figures,
        max_context=int(longest) if fits else 0,
        max_batch=int(math.floor(per_rank) * layout.dp * instances) if fits else 0,
        context=context,
        cached_tokens=max(pool, 0.0) / float(_token_bytes(arch, how, layout)) * float(layout.dp) * instances,
        kv_bytes_per_token=_spread(arch, how) or token,
        cache=_cache(arch, how, context),
        params=counted.total,
        mtp_params=counted.mtp,
        active_params=counted.active,
        accelerators=system.count,
        sources=(*system.accelerator.facts,),
    )


def _spread(arch: Architecture, how: Formats) -> float:
    """Bytes that one more token adds while no window is full, the mean over the first 128 (compressed entries)."""
    return float(cache_bytes(arch, 128.0, format_of(how.kv).element)) / 128.0


def _longest(arch: Architecture, how: Formats, layout: Layout, chosen: Engine, pool: float) -> int:
    """Longest sequence whose cache fits in `pool`, by bisection over whole blocks."""
    low, high = 0, 1 << 34
    block = chosen.block
    while high - low > block:
        middle = (low + high) // 2 // block * block
        if middle in (low, high):
            break
        fits = float(sequence_bytes(arch, how.kv, layout, float(middle), block)) <= pool
        low, high = (middle, high) if fits else (low, middle)
    return low


def _cache(arch: Architecture, how: Formats, context: float) -> tuple[dict[str, Any], ...]:
    element = format_of(how.kv).element
    return tuple(
        {
            "kind": row.kind,
            "layers": row.layers,
            "kv_bytes": row.kv_bytes * row.layers,
            "state_bytes": row.state * row.layers * STATE_ELEMENT,
        }
        for row in cache_table(arch, context, element)
    )


def _lack(arch: Architecture, system: System, how: Formats, figures: Mapping[str, float], lacking: float) -> Bind:
    """What is missing, and a narrower format that would do."""
    title = system.accelerator.title
    text = (
        f"{arch.title} in {how.weights} needs {show_memory(figures['total'])} on each {title}, "
        f"{show_memory(max(lacking, 0.0))} more than an engine may use"
    )
    room = figures["reported"] * 0.9 - figures["buffers"] - figures["activations"]
    halved = next((name for name in ("fp8", "int8") if name in system.accelerator.rates), "w4a16")
    narrower = {"bf16": halved, "fp16": halved, "fp8": "w4a16", "int8": "w4a16"}.get(how.weights)
    if narrower and figures["weights"] / (1.9 if narrower == "w4a16" else 2) < room:
        return Bind("memory", text, max(lacking, 0.0), f"--weights {narrower}")
    return Bind("memory", text, max(lacking, 0.0))


def _fields(layout: Layout, instances: float) -> dict[str, int]:
    held = {name: int(getattr(layout, name)) for name in ("tp", "pp", "dp", "ep", "etp")}
    return held | {"replicas": int(instances)}


def show_serving(layout: Layout, instances: float) -> str:
    """`tp8,dp1` with what differs from one, and how many copies: `tp1,dp16,ep16 x 2`."""
    text = show_layout(layout).split(",zero")[0]
    pieces = [text, *(f"{n}{getattr(layout, n)}" for n in ("etp",) if getattr(layout, n) != 1 and n not in text)]
    return ",".join(pieces) + (f" x {int(instances)}" if instances > 1 else "")
