"""Every layout and batch of a service evaluated in one broadcast: prefill and decode together, or a pool of either."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tonnage.arrays import Numbers
from tonnage.errors import InputError, Problem
from tonnage.layout import Layout
from tonnage.model import unit_operators
from tonnage.serve.replica import loads
from tonnage.serve.replica.points import Point, decode_only, prefill_only, together
from tonnage.serve.search.candidates import CONTEXTS, LayoutCandidates
from tonnage.serve.search.grid import (
    BATCHES,
    FINE,
    Array,
    PointGrid,
    ServeSetting,
    chunks,
    column,
    decoding_room,
    flat,
    held,
    most,
    options,
)


def _batches(given: ServeSetting, found: LayoutCandidates, fits: Array) -> Array:
    """(candidate, batch): the grid, and what fits (of each column of `fits`); or the batch that the job gives."""
    job = given.job
    if job.batch is not None:
        accelerators = found.ranks / given.dies
        return np.asarray(job.batch * accelerators / np.asarray(found.layout.dp))[:, None]
    grid = FINE if job.thorough else BATCHES
    return np.concatenate([np.broadcast_to(grid, (found.size, grid.size)), np.maximum(fits, 1.0)], axis=1)


def evaluate(given: ServeSetting, layout: Layout, running: Numbers, chunk: Numbers | None = None) -> Point:
    """One replica with prefill and decode together, at so many running sequences; chunk: `given.chunk` where None."""
    limit, mixed = given.chunk if chunk is None else chunk, float(given.engine.mixed)
    return together(given.service, layout, given.traffic, running, limit, mixed)


def aggregated(given: ServeSetting, fixed: Mapping[str, int] | None) -> PointGrid:
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
        point, ttft = loads.closed_loop(lambda b: evaluate(given, layout, b), given.traffic, population, high)
    else:
        point = evaluate(given, layout, _batches(given, found, fits)[:, None, :], limit)
        ttft = np.asarray(point.ttft, dtype=float)
    rate = np.asarray(point.rate * replicas, dtype=float)
    late = _late(given, point)
    return flat(found, "aggregated", given, point.running, room, rate, point.tpot, ttft, limit, late)


def _late(given: ServeSetting, point: Point, whats: tuple[str, ...] = ("ttft", "tpot")) -> Array | None:
    """Of the percentiles that are limited, the worst over its limit; None where none is."""
    times = [
        (point.first_token(one.share) if one.what == "ttft" else point.per_token(one.share, given.traffic)) / one.limit
        for one in given.job.late
        if one.what in whats
    ]
    return np.max(np.stack(np.broadcast_arrays(*times)), axis=0) if times else None


def decoding(given: ServeSetting, fixed: Mapping[str, int] | None) -> PointGrid:
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
    none, chunk = np.asarray(np.nan), np.asarray(given.chunk)
    late = _late(given, point, ("tpot",))
    return flat(found, "decode", given, running, fits, rate, point.tpot, none, chunk, late)


def prefilling(given: ServeSetting, fixed: Mapping[str, int] | None, ttft: float = np.inf) -> PointGrid:
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


def _quickest(grid: PointGrid) -> float:
    """Lowest time to the first token of a layout that fits."""
    return float(np.min(np.where(grid.most >= 1, grid.ttft, np.inf), initial=np.inf))


def shares_prompts(given: ServeSetting) -> bool:
    """Whether context parallelism is priced for this model: attention is, the hand-over of recurrent states is not."""
    return not any(operator.kind == "scan" for operator in unit_operators(given.job.arch))


def _prefilling(given: ServeSetting, fixed: Mapping[str, int] | None, contexts: tuple[int, ...]) -> PointGrid:
    """Points of prefill alone for some context-parallel degrees: each chunk, and the shortest that holds a prompt."""
    if contexts != (1,) and not shares_prompts(given):
        raise InputError(Problem("context parallelism is not priced for models with recurrent layers", path="layout"))
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


def _keep(found: LayoutCandidates, fits: Array) -> tuple[LayoutCandidates, Array]:
    """Candidates that fit in memory somehow; all of them when none does, so that there is something to explain."""
    good = (fits >= 1).any(axis=1)
    if good.all() or not good.any():
        return found, fits
    index = np.flatnonzero(good)
    return found.at(index), fits[index]
