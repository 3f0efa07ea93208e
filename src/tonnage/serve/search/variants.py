"""Questions around a plan: how few accelerators carry a load, and what formats and drafts left open would bring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tonnage.serve.job import ACCEPTANCE, ServeJob, Speculation
from tonnage.serve.replica.afd import plugin_refuses
from tonnage.serve.replica.formats import narrow
from tonnage.serve.result import RefusedPoint, ServeVariant
from tonnage.serve.search.choice import choose, merit_of, row_of
from tonnage.serve.search.grid import PointGrid, ServeSetting, serve_setting, startup
from tonnage.system import System

Grids = Callable[[ServeSetting], tuple[PointGrid, ...]]

TRIES = 8
"""Numbers of accelerators that are tried at most for the fewest."""

MOST = 10**9
"""Accelerators that are looked among."""


def best_of(job: ServeJob, given: ServeSetting, count: int, grids: Grids) -> PointGrid | None:
    """The best point for `job` on `count` accelerators; None when no point keeps its limits."""
    there = serve_setting(job, System(given.system.accelerator, count), given.fitted)
    index, grid, _, _ = choose(there, grids(there))
    return None if index is None or grid is None else grid.at(index)


def fewest(given: ServeSetting, grids: Grids) -> int | None:
    """The fewest accelerators of this kind that carry the rate within the other limits; None where none was found.

    From the requests/s of those there are, in proportion; then up until enough, and down while enough. More are taken
    to carry no less.
    """
    job, wanted = replace(given.job, rate=None, thorough=False), given.job.rate or 0.0
    now = best_of(job, given, given.system.count, grids) if wanted > 0 else None
    if now is None:
        return None

    def carries(count: int) -> bool:
        found = best_of(job, given, count, grids)
        return found is not None and float(found.rate) >= wanted

    count, tries = max(int(np.ceil(given.system.count * wanted / float(now.rate))), 1), 0
    while count > MOST or not carries(count):
        if count > MOST:
            return None
        count, tries = int(np.ceil(count * 1.1)) + 1, tries + 1
        if tries > TRIES:
            return None
    step = max(count // 8, 1)
    while tries < TRIES and step >= 1:
        tries += 1
        if count > step and carries(count - step):
            count -= step
        else:
            step //= 2
    return count


def held_back(given: ServeSetting, chosen: PointGrid | None, grids: Grids) -> RefusedPoint | None:
    """The best point among those that the engine refuses too, where it is one of them and better than what was chosen
    (anything, where nothing was).
    """
    free = replace(given, job=replace(given.job, thorough=False), anything=True)
    index, grid, _, _ = choose(free, grids(free))
    if index is None or grid is None:
        return None
    point = grid.at(index)
    why = _refusal(given, point)
    if why is None or (chosen is not None and merit_of(free, point) <= merit_of(free, chosen)):
        return None
    return RefusedPoint(why, row_of(given, point))


def unstarted(given: ServeSetting, point: PointGrid) -> RefusedPoint | None:
    """A point that the engine does not start, with why; None where it does."""
    why = _refusal(given, point)
    return None if why is None else RefusedPoint(why, row_of(given, point))


def _refusal(given: ServeSetting, point: PointGrid) -> str | None:
    """Why the engine does not start a point; None where it does."""
    if point.ffn is not None and point.micro_batches is not None:
        sides = plugin_refuses(point.layout.ranks, point.ffn.ranks, float(point.micro_batches))
        return next((why for bad, why in sides if np.any(bad)), None)
    whole = [layout for layout in (point.layout, point.prefill) if layout is not None]
    kv = given.formats.kv if given.job.engine is not None else None
    every = (given.engine.refuses(layout, kv, startup(given)) for layout in whole)
    return next((why for why in every if why is not None), None)


def variants(given: ServeSetting, chosen: PointGrid, grids: Grids, free: Grids) -> tuple[ServeVariant, ...]:
    """What the same layouts would do with a narrower cache, and with drafts of the model's own layers, where the job
    leaves these open. They are shown, never chosen: the one changes what users get, the other
    rests on an acceptance that nobody measured here. free: grids of all layouts, for drafts where the engine does not
    start them in those that were chosen.
    """
    job = given.job
    cache = narrow(given.service.die)
    mode = chosen.mode if chosen.mode in ("aggregated", "disaggregated") else job.mode
    same = replace(job, mode=mode, chunk=None if chosen.chunk is None else int(chosen.chunk))
    changes: list[tuple[str, str, ServeJob]] = []
    kept = job.engine is None or given.engine.caches is None or cache in given.engine.caches
    if job.kv is None and given.formats.kv == "bf16" and kept:
        changes.append(("kv", cache, replace(same, kv=cache)))
    staged = any(int(one.pp) > 1 for one in (chosen.layout, chosen.prefill) if one is not None)
    elsewhere = staged and given.engine.can.staged_drafts is False
    if job.speculative is None and job.arch.mtp is not None and job.mode != "prefill":
        drafts = Speculation(1, ACCEPTANCE, source="arXiv 2412.19437, section 5.4.3")
        changes.append(("speculate", f"1@{ACCEPTANCE:g}", replace(same, speculative=drafts)))
    rows = []
    for name, value, changed in changes:
        other = elsewhere and changed.speculative is not None
        found = best_of(replace(changed, thorough=not other), given, given.system.count, free if other else grids)
        if found is not None:
            tpot = None if np.isnan(found.tpot) or job.osl < 2 else float(found.tpot)
            rate = float(found.rate) if job.rate is None else min(float(found.rate), job.rate)
            rows.append(ServeVariant(name, value, rate, tpot, row_of(given, found).where if other else None))
    return tuple(rows)
