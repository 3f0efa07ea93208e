"""Every way to give attention and FFN ranks of their own, in one broadcast: units, cuts, micro-batches, batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Numbers
from tonnage.errors import InputError, Problem
from tonnage.layout import Layout
from tonnage.serve.replica.afd import (
    BACK,
    THERE,
    TURNS,
    AfdPoint,
    AfdSides,
    AfdTurn,
    alone,
    attention_parts,
    ffn_parts,
    plugin_refuses,
    point,
    side_weights,
    turn,
    wire,
)
from tonnage.serve.replica.engines import fills, redundant
from tonnage.serve.replica.memory import RankMemory, activation_bytes
from tonnage.serve.replica.points import Traffic
from tonnage.serve.result import MemoryUse
from tonnage.serve.search.candidates import LARGEST, experts, starting, tensor_degrees
from tonnage.serve.search.grid import BATCHES, PointGrid, ServeSetting, held

Array = NDArray[np.float64]

MICRO_BATCHES = (1, 2, 3, 4)
"""Micro-batches in turns: 1 is none; 2 where the wire costs nothing, 3 up to Tc = max(Ta, Tf) / 2, 4 up to Tc = max(Ta,
Tf) (`afd.point`); engines that exist take 2 (vLLM's AFD plugin) and 3 (Step-3)."""


@dataclass(frozen=True)
class AfdUnits:
    """Candidates, flat: sides of one unit, and how many units there are."""

    sides: AfdSides
    units: Array

    @property
    def size(self) -> int:
        """How many."""
        return int(self.units.size)


def decoding(
    given: ServeSetting,
    fixed: Mapping[str, int] | None = None,
    ffn_fixed: Mapping[str, int] | None = None,
    micro_batches: int | None = None,
) -> PointGrid:
    """All units, micro-batches and batches of a pool that decodes with attention and FFN apart.

    given.partner: the chips of the FFN ranks where they are another kind. Raises InputError when nothing agrees with
    what is fixed.
    """
    found = _runnable(given, units(given, dict(fixed or {}), dict(ffn_fixed or {})), free=not (fixed or ffn_fixed))
    room = attention_room(given, found.sides.attention)
    most = np.floor(np.minimum(np.asarray(room.sequences, dtype=float), given.engine.running))
    tried = MICRO_BATCHES if given.anything else tuple(m for m in MICRO_BATCHES if m <= TURNS)
    turns = np.asarray([micro_batches] if micro_batches else tried, dtype=float)
    if given.job.batch is not None or given.job.concurrency is not None:
        pick = np.repeat(np.arange(found.size), turns.size)
        found, most, turns = _at(found, pick), most[pick], np.tile(turns, found.size)[:, None, None]
        micro = _asked(given, found, most)[:, None] / turns[:, :, 0]
    else:
        micro = _micro(most, given.job.thorough)
    columns = AfdSides(_wide(found.sides.attention), _wide(found.sides.ffn))
    feed = given.partner or given
    once = _turn(given, columns, micro)
    done = point(given.service, given.traffic, _deep(once), micro[..., None], turns)
    fits = ffn_room(feed, columns, given.traffic, np.asarray(done.running)) >= 0
    return _flat(given, found, done, np.where(fits, most[:, None, None], 0.0), turns)


def _runnable(given: ServeSetting, found: AfdUnits, *, free: bool) -> AfdUnits:
    """Units that vLLM's plugin runs, with both sides on servers equally and whole experts on each rank; all where what
    is fixed leaves none. Raises InputError where there are none among those that are free.
    """
    if given.anything:
        return found
    feed, sides = given.partner or given, found.sides
    good = np.ones(found.size, dtype=np.bool_)
    for bad, _ in plugin_refuses(sides.attention.ranks, sides.ffn.ranks, 1):
        good &= ~np.asarray(bad)
    for side, where in ((sides.attention, given), (sides.ffn, feed)):
        start = starting(where.job.arch, where.system)
        good &= fills(side.ranks, start.server or 1, start.ranks)
    many = experts(given.job.arch)
    good &= redundant(sides.ffn, many) == 0 if many else True
    if good.any():
        return _at(found, np.flatnonzero(good))
    if not free:
        return found
    text = "no unit of attention and FFN ranks fills servers here with at least as many attention ranks (vLLM's plugin)"
    raise InputError(Problem(text, path="afd"))


def attention_room(given: ServeSetting, layout: Layout) -> RankMemory:
    """Memory of an attention rank: as a rank that decodes alone, without the weights of the FFN."""
    whole = Layout(tp=layout.tp, dp=layout.dp, ep=1, etp=layout.tp)
    how, mtp = given.formats.precision, given.traffic.own_layers
    own = side_weights(given.job.arch, how, layout, ffn=False, mtp=mtp)
    tokens: Numbers = 0.0
    for _ in range(2):
        room = held(given, whole, tokens=tokens)
        room = replace(room, weights=own, pool=room.pool + (room.weights - own))
        tokens = np.clip(room.sequences, 0.0, given.engine.running) * (1.0 + np.asarray(given.traffic.drafts))
    return room


def ffn_room(given: ServeSetting, sides: AfdSides, traffic: Traffic, running: Array) -> Array:
    """Bytes that an FFN rank has left with `running` sequences of each attention replica in flight."""
    whole = held(given, Layout(tp=1), decoding=False)
    mtp = given.traffic.own_layers
    own = side_weights(given.job.arch, given.formats.precision, sides.ffn, ffn=True, mtp=mtp)
    layout = AfdSides(_wide(sides.attention), _wide(sides.ffn))
    tokens = running * (1.0 + traffic.drafts) * layout.attention.dp / np.asarray(layout.ffn.dp, dtype=float)
    used = np.asarray(own)[..., None] + activation_bytes(given.job.arch, layout.ffn, tokens) + whole.buffers
    return np.asarray(np.asarray(whole.usable) - used, dtype=float)


def one(given: ServeSetting, chosen: PointGrid) -> tuple[AfdTurn, AfdPoint]:
    """A chosen point evaluated by itself: the same numbers that the search saw."""
    assert chosen.ffn is not None and chosen.micro_batches is not None
    feed, m = given.partner or given, float(chosen.micro_batches)
    micro = float(chosen.running) / m
    once = turn(given.service, feed.service, AfdSides(chosen.layout, chosen.ffn), given.traffic, micro)
    return once, point(given.service, given.traffic, once, micro, m)


def ffn_memory(given: ServeSetting, chosen: PointGrid) -> MemoryUse:
    """Memory of an accelerator with FFN ranks."""
    assert chosen.ffn is not None
    feed = given.partner or given
    sides = AfdSides(chosen.layout, chosen.ffn)
    how, mtp = feed.formats.precision, given.traffic.own_layers
    weights = float(side_weights(feed.job.arch, how, chosen.ffn, ffn=True, mtp=mtp))
    room = held(feed, Layout(tp=1), decoding=False)
    left = float(np.ravel(ffn_room(feed, sides, given.traffic, np.asarray([float(chosen.running)])))[0])
    buffers = float(room.buffers)
    return MemoryUse(
        weights=weights * feed.dies,
        kv_cache=0.0,
        activations=(float(room.usable) - left - weights - buffers) * feed.dies,
        buffers=buffers * feed.dies,
        capacity=room.labelled * feed.dies,
        reported=room.capacity * feed.dies,
    )


def units(given: ServeSetting, fixed: dict[str, int], ffn_fixed: dict[str, int]) -> AfdUnits:
    """Every unit on the ranks there are.

    Units are the whole fleet, its halves, powers of two and multiples of eight; FFN ranks powers of two, multiples of
    eight, and 72, 144, 320; attention ranks what is left, in groups of tp; experts dealt out (ep), or each cut over tp
    (etp), or both.
    """
    arch, feed = given.job.arch, given.partner or given
    tensor, many = tensor_degrees(arch, given.service.die, given.ranks, fixed), experts(arch)
    rows = sorted(
        {
            (tp, dp, *cut, copies)
            for front, back, copies in _fleets(given, fixed, ffn_fixed)
            for cut in _cuts(back, many, feed.service.die.domain, ffn_fixed)
            for tp, dp in _replicas(tensor, front, fixed)
        }
    )
    if not rows:
        there = f"{given.ranks} rank{'s' * (given.ranks != 1)}"
        message = f"no unit of attention and FFN ranks of this model can be had of {there}"
        if wanted := ",".join(f"{name}{value}" for name, value in (fixed | ffn_fixed).items()):
            message += f' that agrees with "{wanted}"'
        raise InputError(Problem(message, path="layout" if fixed else "ffn_layout" if ffn_fixed else "afd"))
    tp, dp, cut, group, ep, etp, copies = np.array(rows, dtype=np.int64).T
    one = np.ones_like(tp)
    attention = Layout(tp=tp, dp=dp, ep=one, etp=one, pp=one, cp=one)
    ffn = Layout(tp=cut, dp=group, ep=ep, etp=etp, pp=one, cp=one)
    return AfdUnits(AfdSides(attention, ffn), copies.astype(float))


def _fleets(
    given: ServeSetting, fixed: Mapping[str, int], ffn_fixed: Mapping[str, int]
) -> Iterator[tuple[int, int, int]]:
    """(attention ranks, FFN ranks, units)."""
    whole = given.ranks
    asked = _asked_ranks(ffn_fixed)
    front = {fixed.get("tp", 1) * fixed["dp"]} if "dp" in fixed else set()
    if given.partner is None:
        front = {ranks + back for ranks in front for back in asked}
    for unit in sorted(_units(whole) | {size for size in front if size <= whole}):
        many = whole // unit
        if given.partner is not None:
            back = given.partner.ranks // many
            sizes = {ranks for ranks in _ffn_ranks(back + 1) | asked if ranks <= back}
            yield from ((unit, ranks, many) for ranks in sizes)
        else:
            yield from ((unit - ranks, ranks, many) for ranks in _ffn_ranks(unit) | asked if ranks < unit)


def _asked_ranks(fixed: Mapping[str, int]) -> set[int]:
    """FFN ranks that a layout names, where it names all that they follow from."""
    if "ep" in fixed:
        return {fixed["ep"] * fixed.get("etp", 1)}
    return {fixed.get("tp", 1) * fixed["dp"]} if "dp" in fixed else set()


def _units(whole: int) -> set[int]:
    """Numbers of ranks of one unit to try (of its attention ranks, where FFN ranks are of another kind)."""
    step = 8 * max(1, whole // 64)
    halves = {whole >> i for i in range(whole.bit_length())}
    every = halves | {1 << i for i in range(whole.bit_length())} | set(range(8, whole, step))
    return {size for size in every if 0 < size <= min(whole, LARGEST)}


def _ffn_ranks(below: int) -> set[int]:
    """Numbers of FFN ranks to try, below so many."""
    step = 8 * max(1, below // 64)
    powers = {1 << i for i in range(below.bit_length())}
    every = powers | set(range(8, below, step)) | {72, 144, 320} | {below - 1}
    return {ranks for ranks in every if 0 < ranks < min(below, LARGEST)}


def _replicas(tensor: list[int], ranks: int, fixed: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    """(tp, dp) of so many attention ranks."""
    for tp in tensor:
        dp = fixed.get("dp", ranks // tp)
        if 1 <= dp <= ranks // tp:
            yield tp, dp


def _cuts(ranks: int, many: int, domain: int, fixed: Mapping[str, int]) -> Iterator[tuple[int, int, int, int]]:
    """(tp, dp, ep, etp) of so many FFN ranks of a model with `many` routed experts a layer."""
    for tp in (1, 2, 4, 8):
        groups = ranks // tp
        if ranks % tp or tp > domain or groups > (many or groups):
            continue
        row = (tp, groups, groups, tp) if many else (tp, groups, 1, 1)
        if all(fixed.get(name, value) == value for name, value in zip(("tp", "dp", "ep", "etp"), row, strict=True)):
            yield row


def _at(found: AfdUnits, index: NDArray[np.int64]) -> AfdUnits:
    return AfdUnits(AfdSides(found.sides.attention.at(index), found.sides.ffn.at(index)), found.units[index])


def _wide(layout: Layout) -> Layout:
    """With one more axis; what is one number stays one."""
    return Layout(**{n: (v if np.ndim(v) == 0 else np.asarray(v)[..., None]) for n, v in layout.__dict__.items()})


def _deep(once: AfdTurn) -> AfdTurn:
    """With one more axis, for micro-batches."""
    times: dict[str, Any] = {
        name: np.asarray(getattr(once, name))[..., None] for name in ("attention", "ffn", "there", "back")
    }
    return replace(once, **times)


def _micro(most: Array, thorough: bool) -> Array:
    """(candidate, size): sequences of a micro-batch: the grid, and what fills the memory in so many turns."""
    full = np.maximum(most[:, None] / np.asarray(MICRO_BATCHES, dtype=float), 1e-3)
    tried = BATCHES if thorough else BATCHES[::2]
    grid = np.broadcast_to(tried, (most.size, tried.size))
    return np.concatenate([np.minimum(grid, np.maximum(most, 1.0)[:, None]), full], axis=1)


def _asked(given: ServeSetting, found: AfdUnits, most: Array) -> Array:
    """Sequences of an attention replica where a batch per accelerator, or a concurrency, is given."""
    job = given.job
    replicas = found.units * found.sides.attention.dp
    if job.batch is not None:
        accelerators = np.asarray(found.sides.attention.ranks) / given.dies
        accelerators = accelerators + np.asarray(found.sides.ffn.ranks) / (given.partner or given).dies
        return np.asarray(job.batch * accelerators * found.units / replicas)
    return np.asarray(np.minimum((job.concurrency or 1.0) / replicas, np.maximum(most, 1.0)))


def _turn(given: ServeSetting, sides: AfdSides, micro: Array) -> AfdTurn:
    """`turn`, with the attention side computed once for rows that do not differ in it."""
    feed = given.partner or given
    tp = np.broadcast_to(np.asarray(sides.attention.tp), (micro.shape[0], 1))
    _, first, again = np.unique(np.concatenate([tp, micro], axis=1), axis=0, return_index=True, return_inverse=True)
    spent = attention_parts(given.service, sides.attention.at(first), given.traffic, micro[first])
    shape = micro[first].shape
    seconds = np.broadcast_to(np.asarray(alone(spent, given.service.tuning)), shape)[again.ravel()]
    fed = ffn_parts(feed.service, sides, given.traffic, micro)
    sent = [wire(given.service, feed.service, sides, given.traffic, micro, element) for element in (THERE, BACK)]
    return AfdTurn(seconds, alone(fed, feed.service.tuning), sent[0], sent[1], spent, fed)


def _flat(given: ServeSetting, found: AfdUnits, done: AfdPoint, most: Array, turns: Array) -> PointGrid:
    """Points over (unit, sequences, batches in turn) as one grid."""
    shape = np.broadcast_shapes(np.shape(done.rate), most.shape, np.shape(turns))

    def spread(value: Numbers) -> Array:
        return np.ravel(np.broadcast_to(value, shape)).astype(float)

    def layouts(layout: Layout) -> Layout:
        fields = {n: np.asarray(v)[:, None, None] for n, v in layout.__dict__.items() if np.ndim(v)}
        return Layout(**{name: spread(value).astype(np.int64) for name, value in fields.items()})

    copies = found.units[:, None, None]
    replicas = copies * np.asarray(found.sides.attention.dp)[:, None, None]
    count = given.system.count + (given.partner.system.count if given.partner else 0)
    return PointGrid(
        mode="afd",
        layout=layouts(found.sides.attention),
        instances=spread(copies),
        prefill=None,
        prefill_instances=np.zeros(int(np.prod(shape))),
        running=spread(done.running),
        most=spread(most),
        rate=spread(done.rate * replicas),
        tpot=spread(done.tpot),
        ttft=np.full(int(np.prod(shape)), np.nan),
        used=np.full(int(np.prod(shape)), float(count)),
        candidates=int(np.prod(shape)),
        ffn=layouts(found.sides.ffn),
        micro_batches=spread(turns),
    )
