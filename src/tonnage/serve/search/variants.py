"""Questions around a plan: how few accelerators carry a load, and what formats and drafts left open would bring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tonnage.serve.job import ACCEPTANCE, ServeJob, Speculation
from tonnage.serve.replica.formats import narrow
from tonnage.serve.result import ServeVariant
from tonnage.serve.search.choice import choose
from tonnage.serve.search.grid import PointGrid, ServeSetting, serve_setting
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


def variants(given: ServeSetting, chosen: PointGrid, grids: Grids) -> tuple[ServeVariant, ...]:
    """What the same layouts would do with a narrower cache, and with drafts of the model's own layers, where the job
    leaves these open. They are shown, never chosen: the one changes what users get, the other
    rests on an acceptance that nobody measured here.
    """
    job = given.job
    cache = narrow(given.service.die)
    mode = chosen.mode if chosen.mode in ("aggregated", "disaggregated") else job.mode
    same = replace(job, mode=mode, chunk=None if chosen.chunk is None else int(chosen.chunk))
    changes: list[tuple[str, str, ServeJob]] = []
    kept = job.engine is None or given.engine.caches is None or cache in given.engine.caches
    if job.kv is None and given.formats.kv == "bf16" and kept:
        changes.append(("kv", cache, replace(same, kv=cache)))
    if job.speculative is None and job.arch.mtp is not None and job.mode != "prefill":
        drafts = Speculation(1, ACCEPTANCE, source="arXiv 2412.19437, section 5.4.3")
        changes.append(("speculate", f"1@{ACCEPTANCE:g}", replace(same, speculative=drafts)))
    rows = []
    for name, value, changed in changes:
        found = best_of(changed, given, given.system.count, grids)
        if found is not None:
            tpot = None if np.isnan(found.tpot) or job.osl < 2 else float(found.tpot)
            rate = float(found.rate) if job.rate is None else min(float(found.rate), job.rate)
            rows.append(ServeVariant(name, value, rate, tpot))
    return tuple(rows)
