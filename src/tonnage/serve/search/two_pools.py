"""Prefill and decode on pools of their own: every pair of a prefill and a decode point, in whole instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonnage.errors import InputError, Problem
from tonnage.layout import Layout
from tonnage.serve.replica.pages import sequence_bytes
from tonnage.serve.search.choice import nearly
from tonnage.serve.search.grid import PointGrid, ServeSetting, frontier
from tonnage.serve.search.modes import decoding, prefilling
from tonnage.system import needed

Array = NDArray[np.float64]
Pool = Callable[[ServeSetting, Mapping[str, int] | None], PointGrid]

FULL = (0.5, 0.75, 0.9)
"""Shares of a prefill pool's capacity that a plan may use: at 0.9 Poisson arrivals wait 4.5 services, at 0.5 half."""

DECODES = (64, 4096)
"""Decode points that are paired at most, in a quick and in a thorough search: those with the most requests per rank,
and the frontier against tpot."""

MANY = (0, 400_000)
"""Pairs of points above which prefill points that cannot win are left out, and then decode points with the fewest
requests per rank; each pair is tried with up to 12 pool sizes."""

KEPT = 3000
"""Pairs that are handed on: the best that keep the limits, and the frontier of all."""


@dataclass(frozen=True)
class Pairs:
    """Points (i of the prefill pool, j of the decode pool) with instances of each; rate [requests/s]; ttft [s]; late:
    of percentiles that are limited, the worst over its limit.
    """

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    number_p: Array
    number_d: Array
    rate: Array
    ttft: Array
    late: Array


def disaggregated(
    given: ServeSetting,
    fixed: Mapping[str, int] | None,
    prefill_fixed: Mapping[str, int] | None,
    limits: tuple[float, float],
    decode: Pool = decoding,
) -> PointGrid | None:
    """Pairs of a prefill and a decode point, instances of both in balance; None where two pools do not fit.

    Raises `MissingFact` where no NIC that could carry the cache is known.

    limits: on ttft and tpot [s]; decode: the pool that decodes. All points that keep their pool's limit are paired;
    where these are more than `MANY` pairs, prefill points are left out that cannot win (`_needed`).
    """
    if given.system.count < 2:
        if prefill_fixed:
            wanted = ",".join(f"{name}{value}" for name, value in prefill_fixed.items())
            needs = prefill_fixed.get("tp", 1) * prefill_fixed.get("pp", 1) * prefill_fixed.get("cp", 1)
            message = (
                f'"{wanted}" needs {needs} ranks for a prefill pool beside one that decodes; there is 1 accelerator'
            )
            raise InputError(Problem(message, path="prefill_layout"))
        return None
    needed(given.service.die, "nic")
    half = replace(given, ranks=given.ranks - given.dies, job=replace(given.job, concurrency=None))
    first = _fit(_prefilling(half, prefill_fixed, limits[0]), "ttft", limits[0])
    later = _decodes(_fit(decode(half, fixed), "tpot", limits[1]), DECODES[given.job.thorough])
    if first.rate.size * later.rate.size > MANY[given.job.thorough]:
        first = first.at(_needed(first, given.chunk))
        later = _decodes(later, max(MANY[given.job.thorough] // max(first.rate.size, 1), DECODES[0]))
    if not first.rate.size or not later.rate.size:
        return None
    made = [_paired(given, first, later, k) for k in range(len(FULL))]
    found = Pairs(**{name: np.concatenate([getattr(one, name) for one in made]) for name in Pairs.__annotations__})
    if not found.rate.size:
        return None
    fine = (found.ttft <= limits[0]) & (found.late <= 1.0) & (found.rate >= (given.job.rate or 0.0))
    tried = found.rate.size + first.candidates + later.candidates
    grid = _grid(given, first, later, _best(given, later, found, fine))
    return replace(grid, candidates=tried, keeping=int(fine.sum()), kinds=_kinds(first, later, found.rate.size))


def _prefilling(half: ServeSetting, fixed: Mapping[str, int] | None, limit: float) -> PointGrid:
    """Points of the prefill pool; what is wrong with its layout is told of it."""
    try:
        return prefilling(half, fixed, limit)
    except InputError as error:
        told = [replace(one, path="prefill_layout") if one.path == "layout" else one for one in error.problems]
        raise InputError(told) from None


def _kinds(first: PointGrid, later: PointGrid, pairs: int) -> dict[str, int]:
    return {"prefill": first.candidates, "decode": later.candidates, "pairs": pairs}


def _fit(grid: PointGrid, name: str, limit: float) -> PointGrid:
    """Points that fit in memory and keep the limit on what `name` says."""
    good = (grid.most >= 1) & (grid.running <= grid.most + 1e-9) & (getattr(grid, name) <= limit)
    return grid.at(np.flatnonzero(good))


def _needed(grid: PointGrid, chunk: float) -> NDArray[np.int64]:
    """Prefill points that no other of as many ranks, the same tp and kind of chunk beats.

    Where another has no less capacity and no longer a prefill, it serves as much with the same numbers of instances, at
    the same tpot and no higher ttft: its pool is no more loaded, and each request is no longer in it.
    """
    each = grid.rate / grid.instances
    usual = np.zeros(grid.rate.size) if grid.chunk is None else (grid.chunk == chunk).astype(float)
    kind = np.stack([grid.ranks, np.asarray(grid.layout.tp, dtype=float), usual], axis=1)
    picked: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    for one in np.unique(kind, axis=0, return_index=True)[0]:
        alike = np.flatnonzero((kind == one).all(axis=1))
        picked.append(alike[frontier(each[alike], -grid.ttft[alike])])
    return np.concatenate(picked)


def _decodes(grid: PointGrid, most: int) -> PointGrid:
    """The best of the points."""
    if grid.rate.size <= most:
        return grid
    each = grid.rate / grid.instances / grid.ranks
    edge = frontier(each, 1.0 / grid.tpot)
    return grid.at(_sorted(np.concatenate([np.argsort(-each)[:most], edge]), grid.rate.size))


def _sorted(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Indices below `size`, each once, rising."""
    here = np.zeros(size, dtype=bool)
    here[index] = True
    return np.flatnonzero(here)


def _numbers(given: ServeSetting, first: PointGrid, later: PointGrid, full: float) -> Iterator[tuple[Array, Array]]:
    """Whole instances of (prefill, decode) of all pairs, four ways: the balance rounded down and up, from either side.

    In 32 bits: what is rounded the wrong way by that is the next of the four.
    """
    one: Any = np.float32
    cost_p, cost_d = (first.ranks / given.dies).astype(one)[:, None], (later.ranks / given.dies).astype(one)[None, :]
    each_p, each_d = (first.rate / first.instances).astype(one)[:, None], (later.rate / later.instances).astype(one)
    ratio = each_d[None, :] / (one(full) * each_p)
    ideal = one(given.accelerators) / (cost_d + cost_p * ratio)
    for number_d in (np.floor(ideal), np.floor(ideal) + one(1)):
        yield np.floor((one(given.accelerators) - number_d * cost_d) / cost_p), number_d
    ideal *= ratio
    for number_p in (np.floor(ideal), np.floor(ideal) + one(1)):
        yield number_p, np.floor((one(given.accelerators) - number_p * cost_p) / cost_d)


def _paired(given: ServeSetting, first: PointGrid, later: PointGrid, k: int) -> Pairs:
    """All pairs with the prefill pool at most `FULL[k]` busy; those that a lower share has already are left out."""
    able, wanted = first.rate / first.instances, later.rate / later.instances
    seen: list[Array] = []
    parts: list[tuple[Any, ...]] = []
    for number_p, number_d in _numbers(given, first, later, FULL[k]):
        new = (number_d >= 1) & (number_p >= 1)
        for other in seen:
            new &= number_d != other
        seen.append(number_d)
        i, j = np.divmod(np.flatnonzero(new), later.rate.size)
        n_p, n_d = number_p[i, j].astype(float), number_d[i, j].astype(float)
        rate = np.minimum(FULL[k] * n_p * able[i], n_d * wanted[j])
        keep = rate > (FULL[k - 1] if k else 0.0) * n_p * able[i]
        parts.append((i[keep], j[keep], n_p[keep], n_d[keep], rate[keep]))
    i, j, n_p, n_d, rate = (np.concatenate(each) for each in zip(*parts, strict=True))
    load = np.minimum(rate / (n_p * able[i]), 1 - 1e-9)
    own = first.ttft[i]
    moved = float(sequence_bytes(given.job.arch, given.formats.kv, Layout(), given.traffic.isl))
    send = (moved / (needed(given.service.die, "nic") * np.asarray(first.layout.tp)))[i]
    wait = load / (2 * (1 - load)) * own
    ttft = own + wait + given.service.tuning.admission + send + later.tpot[j]
    late = _late(given, load, wait, ttft)
    if later.late is not None:
        late = np.maximum(late, later.late[j])
    return Pairs(i, j, n_p, n_d, rate, np.asarray(ttft), late)


def _late(given: ServeSetting, load: Array, wait: Array, ttft: Array) -> Array:
    """Of percentiles of the first token that are limited, the worst over its limit; 0 where none is. Those that queue
    before a prefill pool wait for a time with an exponential tail, as in `point.speeds`.
    """
    worst = np.zeros(load.size)
    for one in given.job.late:
        if one.what == "ttft":
            tail = wait / load * np.maximum(np.log(load / (1.0 - one.share)), 0.0)
            worst = np.maximum(worst, (ttft - wait + tail) / one.limit)
    return worst


def _best(given: ServeSetting, later: PointGrid, found: Pairs, fine: NDArray[np.bool_]) -> Pairs:
    """What a plan may need: the best that keep the limits, the frontier of all, and the one that misses by least."""
    tpot = later.tpot[found.j]
    merit = np.where(fine, found.rate if given.job.rate is None else -tpot, -np.inf)
    best = np.argpartition(-merit, KEPT)[:KEPT] if merit.size > KEPT else np.arange(merit.size)
    least = np.maximum(found.ttft / (given.job.ttft or np.inf), (given.job.rate or 0.0) / found.rate)
    edges = [_edge(found, later, np.arange(merit.size)), np.array([int(np.argmin(least))])]
    edges.append(_edge(found, later, np.flatnonzero(fine)))
    if fine.any():
        near = np.where(merit >= nearly(merit.max()), found.ttft, np.inf)
        edges.append(np.array([int(np.argmin(near))]))
    index = _sorted(np.concatenate([best, *edges]), merit.size)
    return Pairs(**{name: getattr(found, name)[index] for name in Pairs.__annotations__})


def _edge(found: Pairs, later: PointGrid, among: NDArray[np.int64]) -> NDArray[np.int64]:
    """The frontier of requests/s against tpot, which is that of the decode point: of each only the best counts."""
    best, most = np.full(later.rate.size, -1, dtype=np.int64), np.full(later.rate.size, -np.inf)
    np.maximum.at(most, found.j[among], found.rate[among])
    first = among[found.rate[among] >= most[found.j[among]]]
    best[found.j[first]] = first
    kept = best[best >= 0]
    return kept[frontier(found.rate[kept], 1.0 / later.tpot[found.j[kept]])]


def _grid(given: ServeSetting, first: PointGrid, later: PointGrid, found: Pairs) -> PointGrid:
    """Pairs as points of the whole deployment; decode runs as many sequences as are served."""
    prefill, decode = first.at(found.i), later.at(found.j)
    able: Any = found.number_d * decode.rate / decode.instances
    return replace(
        decode,
        mode="disaggregated",
        prefill=prefill.layout,
        prefill_instances=found.number_p,
        instances=found.number_d,
        running=decode.running * found.rate / able,
        rate=found.rate,
        ttft=found.ttft,
        used=np.full(found.rate.size, float(given.accelerators)),
        chunk=prefill.chunk,
        late=found.late if given.job.late else None,
    )
