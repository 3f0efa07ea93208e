"""Prefill on one kind of accelerators and decode on another: the pair of points that serves most."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonnage.layout import Layout
from tonnage.serve.job import ServeJob
from tonnage.serve.plan import answer
from tonnage.serve.question import asked_of
from tonnage.serve.replica.pages import sequence_bytes
from tonnage.serve.replica.software import Constants
from tonnage.serve.result import SearchCounts, ServePlan, ServeQuestion
from tonnage.serve.search import modes
from tonnage.serve.search.choice import NEARLY, choose, feasible
from tonnage.serve.search.grid import PointGrid, ServeSetting, serve_setting
from tonnage.serve.search.two_pools import FULL
from tonnage.system import System, needed


@dataclass(frozen=True)
class TwoKinds:
    """prefill, decode: what prefills and what decodes, each by itself; rate: requests/s of both together; ttft: of a
    request that goes through both, queue and transfer of its cache included [s].
    """

    prefill: ServePlan
    decode: ServePlan
    rate: float
    ttft: float


def across(
    jobs: tuple[ServeJob, ServeJob], systems: tuple[System, System], levels: tuple[Constants | None, Constants | None]
) -> TwoKinds | None:
    """The best pair of (prefill, decode) points; None where no pair keeps the limits.

    What decodes is chosen first: the highest throughput that keeps `tpot`, or the lowest `tpot` that carries a rate.
    Then what prefills, with the queue and the transfer as in two pools of one kind (`pairs`). Where prefill is the
    bottleneck what decodes is chosen once more, for the rate that is left.
    """
    first = serve_setting(_prefill(jobs[0]), systems[0], levels[0])
    second = serve_setting(_decode(jobs[1], jobs[1].rate), systems[1], levels[1])
    later = modes.decoding(second, None)
    decode = _chosen(second, later)
    if decode is None:
        return None
    grid = modes.prefilling(first, None, jobs[0].ttft or np.inf)
    most = float(np.max(np.where(feasible(first, grid), grid.rate, 0.0), initial=0.0)) * FULL[-1]
    asked = jobs[1].rate
    if asked is not None and most < asked:
        return None
    if asked is None and 0 < most < float(decode.rate):
        second = serve_setting(_decode(jobs[1], most), systems[1], levels[1])
        decode = _chosen(second, later)
        if decode is None:
            return None
    wanted = float(decode.rate) if asked is None else asked
    found = _prefill_for(first, second, grid, decode, wanted, jobs[0].ttft)
    if found is None or (asked is not None and found[1] < asked * (1 - 1e-9)):
        return None
    index, rate, ttft = found
    counted = SearchCounts(grid.candidates + later.candidates, int(feasible(second, later).sum()))
    prefill_plan, decode_plan = (
        answer(ServeQuestion(own.job, (asked_of(own.job, own.system, own.fitted),)), own, (points,), point, counted)
        for own, points, point in ((first, grid, grid.at(index)), (second, later, decode))
    )
    return TwoKinds(prefill_plan, decode_plan, rate, ttft)


def _prefill(job: ServeJob) -> ServeJob:
    return replace(job, mode="prefill", afd=False, ttft=None, tpot=None, rate=None, concurrency=None, batch=None)


def _decode(job: ServeJob, rate: float | None) -> ServeJob:
    return replace(job, mode="decode", afd=False, ttft=None, rate=rate, concurrency=None)


def _chosen(given: ServeSetting, grid: PointGrid) -> PointGrid | None:
    index, found, _, _ = choose(given, (grid,))
    return None if index is None or found is None else found.at(index)


def _prefill_for(
    first: ServeSetting, second: ServeSetting, grid: PointGrid, decode: PointGrid, wanted: float, limit: float | None
) -> tuple[int, float, float] | None:
    """(index, requests/s, ttft) of the prefill point that carries most of what is wanted within `limit` on ttft; of
    those that carry nearly as much, without a limit, the one with the shortest wait.
    """
    loads = np.array(FULL)[:, None]
    rate = np.minimum(loads * grid.rate, wanted)
    ttft = first_token(first, second, grid, rate, decode)
    fine = feasible(first, grid) & (ttft <= (np.inf if limit is None else limit))
    if not fine.any():
        return None
    best = float(rate[fine].max())
    near = fine & (rate >= best * (NEARLY if limit is None and second.job.rate is None else 1 - 1e-9))
    full, index = np.unravel_index(int(np.argmin(np.where(near, ttft, np.inf))), rate.shape)
    return int(index), float(rate[full, index]), float(ttft[full, index])


def first_token(
    first: ServeSetting, second: ServeSetting, grid: PointGrid, rate: NDArray[np.float64], decode: PointGrid
) -> NDArray[np.float64]:
    """Mean time to the first token [s]: prefill, its queue (M/D/1), admission, the cache over the slower side's NICs,
    and one step of what decodes.
    """
    load = np.minimum(rate / np.maximum(grid.rate, 1e-12), 1 - 1e-9)
    moved = float(sequence_bytes(first.job.arch, first.formats.kv, Layout(), first.traffic.isl))
    nics: Any = np.minimum(
        needed(first.service.die, "nic") * np.asarray(grid.layout.tp),
        needed(second.service.die, "nic") * np.asarray(decode.layout.tp),
    )
    wait = load / (2 * (1 - load)) * grid.ttft
    return np.asarray(grid.ttft + wait + first.service.tuning.admission + moved / nics + decode.tpot, dtype=float)
