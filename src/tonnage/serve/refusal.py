"""A service that cannot be: what binds, the nearest service level that can be kept, and what would lift it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tonnage.errors import Bind, Outcome, infeasible
from tonnage.serve.fit import fit
from tonnage.serve.job import asking
from tonnage.serve.question import provenance
from tonnage.serve.replica.spread import doubt
from tonnage.serve.result import PointRow, RefusedPoint, SearchCounts, ServePlan, ServeQuestion
from tonnage.serve.search.choice import frontier_of, row_of
from tonnage.serve.search.grid import PointGrid, ServeSetting, startup
from tonnage.units import show_time


def refused(
    question: ServeQuestion,
    given: ServeSetting,
    grids: tuple[PointGrid, ...],
    counted: SearchCounts,
    few: int | None = None,
) -> ServePlan:
    """An infeasible plan: what binds, the nearest service level that can be kept, and what would lift it."""
    outcome, near = _reasons(given, grids, question.layout, few)
    return ServePlan(
        question=question,
        outcome=outcome,
        mode=given.job.mode,
        formats=given.formats,
        engine=given.engine.name,
        engine_rules=given.engine.rules,
        accelerators=given.system.count,
        used=0.0,
        frontier=frontier_of(given, grids),
        nearest=near,
        fewest=few,
        search=counted,
        provenance=provenance(question, doubt(given.system.accelerator, "aggregated", False).evidence),
    )


def not_as_asked(question: ServeQuestion, given: ServeSetting, counted: SearchCounts, point: RefusedPoint) -> ServePlan:
    """An infeasible plan of layouts that were asked for and that the engine does not start; what they would do."""
    lift = f"another {asking('layout')}, or another {asking('engine')}"
    bind = Bind("layout", f"the layout as asked does not start: {point.why}", None, lift)
    return replace(too_long_for(question, given, bind), search=counted, refused=point)


def too_long_for(question: ServeQuestion, given: ServeSetting, bind: Bind) -> ServePlan:
    """An infeasible plan of requests that the model cannot take: nothing is searched."""
    return ServePlan(
        question=question,
        outcome=infeasible(bind),
        mode=given.job.mode,
        formats=given.formats,
        engine=given.engine.name,
        accelerators=given.system.count,
        used=0.0,
        search=SearchCounts(0, 0),
        provenance=provenance(question, doubt(given.system.accelerator, "aggregated", False).evidence),
    )


def _reasons(
    given: ServeSetting, grids: tuple[PointGrid, ...], fixed: Mapping[str, int] | None, few: int | None
) -> tuple[Outcome, PointRow | None]:
    """What binds, worst first, and the point that comes nearest to the limits."""
    job = given.job
    fits = [(grid, (grid.most >= 1) & (grid.running <= grid.most + 1e-9)) for grid in grids]
    if not any(mask.any() for _, mask in fits):
        return _no_memory(given, fixed), None
    found = [*(_limit(given, fits, name) for name in ("tpot", "ttft", "rate")), _late(given, fits)]
    binds = [bind for bind in found if bind is not None]
    point = _nearest(given, fits)
    near = None if point is None else row_of(given, point)
    if not binds:
        text = "each limit alone can be kept, all at once cannot"
        binds = [Bind("tpot" if job.tpot else "ttft", text, None, None)]
    over = 1.0 if point is None or point.late is None else max(float(point.late), 1.0)
    binds[0] = replace(binds[0], lift=_lift(given, near, few, over))
    return infeasible(*binds), near


def _no_memory(given: ServeSetting, fixed: Mapping[str, int] | None) -> Outcome:
    """Why nothing fits: the weights, the batch asked for, two pools, or one sequence."""
    job = given.job
    fixed = {name: value for name, value in (fixed or {}).items() if name != "cp"}
    fitted = fit(job.arch, given.system, job.weights, job.kv, fixed, context=float(job.isl) + float(job.osl))
    if not fitted.outcome.feasible:
        return fitted.outcome
    if job.batch is not None and fitted.max_batch >= 1:
        most = fitted.max_batch / given.accelerators
        text = f"{job.batch:g} sequences per accelerator are asked for, at most about {most:.3g} fit in its memory"
        return infeasible(Bind("memory", text, job.batch / most, f"{asking('batch', f'{most:.2g}')}, or more chips"))
    if job.mode == "disaggregated" and fitted.max_context >= float(job.isl) + float(job.osl):
        text = f"the model fits once, but not in two pools, on {given.accelerators:,} accelerators"
        return infeasible(Bind("memory", text, None, f"more chips, or without {asking('disaggregate')}"))
    kv = given.formats.kv if job.engine is not None else None
    why = fitted.pool and given.engine.refuses(fitted.pool.layout, kv, startup(given))
    if why and fitted.max_context >= float(job.isl) + float(job.osl):
        lift = f"another {asking('layout')}, or another {asking('engine')}"
        return infeasible(Bind("layout", f"the model fits, but not as asked: {why}", None, lift))
    text = f"a sequence of {float(job.isl) + float(job.osl):,.0f} tokens does not fit in the cache: at most "
    return infeasible(
        Bind("memory", text + f"{fitted.max_context:,} do", None, f"more chips, or {asking('kv', 'fp8')}")
    )


def _limit(given: ServeSetting, fits: list[tuple[PointGrid, NDArray[np.bool_]]], name: str) -> Bind | None:
    """A limit that no point keeps, by itself; None when some point does."""
    wanted = getattr(given.job, name)
    if wanted is None:
        return None
    values = [getattr(grid, name)[mask] for grid, mask in fits if mask.any()]
    known = np.concatenate([value[np.isfinite(value)] for value in values]) if values else np.array([])
    if not known.size:
        return None
    if name == "rate":
        kept = [rate for rate in (_within(given, grid, mask) for grid, mask in fits) if rate > 0]
        best, inside = (max(kept), " within the other limits") if kept else (float(known.max()), "")
        text = f"at most {best:.3g} requests/s can be served here{inside}, {wanted:g} are asked for"
        return None if best >= wanted else Bind(name, text, wanted / best)
    best = float(known.min())
    text = f"the lowest {name.upper()} found here is {show_time(best)}, {show_time(wanted)} is asked for"
    return None if best <= wanted else Bind(name, text, best / wanted)


def _late(given: ServeSetting, fits: list[tuple[PointGrid, NDArray[np.bool_]]]) -> Bind | None:
    """Limits on percentiles that no point keeps; None when some point keeps them."""
    over = [grid.late[mask & np.isfinite(grid.late)] for grid, mask in fits if grid.late is not None]
    known = np.concatenate(over) if over else np.array([])
    if not known.size or known.min() <= 1:
        return None
    asked = " and ".join(asking(one.name, show_time(one.limit).replace(" ", "")) for one in given.job.late)
    least = float(known.min())
    return Bind("late", f"{asked} is exceeded {least:.3g} times at the least", least)


def _within(given: ServeSetting, grid: PointGrid, mask: NDArray[np.bool_]) -> float:
    """Most requests/s of points that keep the limits on time."""
    good = mask
    for name in ("tpot", "ttft"):
        wanted, value = getattr(given.job, name), getattr(grid, name)
        if wanted is not None:
            good = good & ~(value > wanted)
    return float(np.max(np.where(good & np.isfinite(grid.rate), grid.rate, 0.0), initial=0.0))


def _nearest(given: ServeSetting, fits: list[tuple[PointGrid, NDArray[np.bool_]]]) -> PointGrid | None:
    """The point whose worst limit is exceeded by the smallest factor."""
    job = given.job
    best: tuple[float, PointGrid | None] = (np.inf, None)
    for grid, mask in fits:
        excess = np.ones(grid.rate.shape)
        for name, wanted in (("tpot", job.tpot), ("ttft", job.ttft)):
            if wanted is not None:
                value = getattr(grid, name)
                excess = np.maximum(excess, np.where(np.isfinite(value), value / wanted, 1.0))
        if grid.late is not None:
            excess = np.maximum(excess, np.where(np.isfinite(grid.late), grid.late, np.inf))
        if job.rate is not None:
            excess = np.maximum(excess, job.rate / np.maximum(grid.rate, 1e-12))
        excess = np.where(mask, excess, np.inf)
        index = int(np.argmin(excess))
        if excess[index] < best[0]:
            best = (float(excess[index]), grid.at(index))
    return best[1]


def _lift(given: ServeSetting, near: PointRow | None, few: int | None, over: float = 1.0) -> str | None:
    """More accelerators, or the nearest service level that can be kept, as flags; over: by which factor it misses
    percentiles.
    """
    title, asked = given.system.accelerator.title.partition(" (")[0], given.job.rate
    if few is not None and asked is not None:
        return f"{few:,} x {title}, the fewest found that carry {asked:g} requests/s within the limits"
    if near is None:
        return None
    job, flags = given.job, []
    if job.tpot is not None:
        flags.append(asking("tpot", show_time(max(near.tpot or 0.0, job.tpot) * 1.01).replace(" ", "")))
    if job.ttft is not None:
        flags.append(asking("ttft", show_time(max(near.ttft or 0.0, job.ttft) * 1.01).replace(" ", "")))
    flags += [asking(one.name, show_time(one.limit * over * 1.01).replace(" ", "")) for one in job.late]
    if job.rate is not None:
        if near.requests < job.rate:
            flags.append(asking("rate", f"{near.requests:.3g}/s"))
        else:
            flags.append(asking("rate", f"{job.rate:g}/s"))
    return " ".join(flags) + ", the nearest found that can be kept"
