"""The best way to serve a model on a system under a service level, and what stands in its way."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tonnage.errors import FEASIBLE, Bind, InputError, Outcome, infeasible
from tonnage.layout import Layout
from tonnage.serve import search
from tonnage.serve.answer import Speeds, breakdown, describe, memory_of, speeds
from tonnage.serve.capacity import fit, show_serving
from tonnage.serve.cost import cached_share, day, input_costs, per_million
from tonnage.serve.job import ServeJob, check
from tonnage.serve.search import Grid, Setting
from tonnage.serve.spread import Doubt, doubt
from tonnage.serve.tuning import Constants
from tonnage.system import System
from tonnage.units import show_time

KEPT = 5


@dataclass(frozen=True)
class ServePlan:
    """A service as it would run. Times [s]; rates per accelerator over all accelerators of the deployment; memory
    [byte] per accelerator. ttft, tpot: means; low, high: 90 % intervals; parts: what each of several fleets does.
    Energy [J]; day: revenue, cost and margin of a day at a price list. Figures that a mode lacks are None.
    """

    outcome: Outcome
    mode: str
    layout: dict[str, int] | None
    layout_text: str
    prefill_layout: dict[str, int] | None
    prefill_layout_text: str | None
    weights: str
    kv: str
    why: str
    engine: str
    accelerators: int
    used: float
    ttft: float | None
    ttft_low: float | None
    ttft_high: float | None
    tpot: float | None
    tpot_low: float | None
    tpot_high: float | None
    output_tokens_per_second_per_accelerator: float | None
    output_tokens_per_second_per_accelerator_low: float | None
    output_tokens_per_second_per_accelerator_high: float | None
    input_tokens_per_second_per_accelerator: float | None
    requests_per_second: float | None
    batch_per_accelerator: float | None
    memory: dict[str, float]
    breakdown: dict[str, float]
    cost_per_million_input_tokens: float | None
    cost_per_million_output_tokens: float | None
    price: str | None
    frontier: tuple[dict[str, Any], ...]
    alternatives: tuple[dict[str, Any], ...]
    search: dict[str, float]
    cost_per_million_fresh_tokens: float | None = None
    cost_per_million_cached_tokens: float | None = None
    energy_per_million_input_tokens: float | None = None
    energy_per_million_output_tokens: float | None = None
    power: str | None = None
    day: dict[str, Any] | None = None
    nearest: dict[str, Any] | None = None
    parts: tuple[dict[str, Any], ...] = ()
    definitions: tuple[str, ...] = ()
    evidence: str = "analytic"
    sources: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Keys of the interface, base units."""
        held = dict(self.__dict__)
        for name in ("outcome", "sources", "evidence"):
            held.pop(name)
        return held | {name: list(held[name]) for name in ("frontier", "alternatives", "parts", "definitions")}


DEFINITIONS = (
    "ttft: mean time from arrival to the first token, queueing included",
    "tpot: mean time per output token of a request after its first",
    "per accelerator: over all accelerators of the deployment, prefill pool and idle ones included",
    "cost: price of all accelerators, split between input and output by the time spent on prefill and decode",
    "cached tokens: cost what attention over them adds to the prefill of fresh ones; keeping them is not priced",
    "energy: power of all accelerators [J], split in the same way",
    "day: every token of a day billed at the price list, against the price of all accelerators for a day",
)


def plan(
    job: ServeJob,
    system: System,
    fixed: Mapping[str, int] | None = None,
    prefill_fixed: Mapping[str, int] | None = None,
    fitted: Constants | None = None,
) -> ServePlan:
    """The layout, batch and mode with the highest throughput that keeps the limits of `job` on `system`.

    fixed, prefill_fixed: what of the layouts is given; fitted: constants to use instead of those that come with
    tonnage, such as `anchored` ones. With a rate or a concurrency, the fastest service that carries
    it. An infeasible plan names what binds, the nearest service level that can be kept, and what would lift it.
    """
    check(job)
    began = time.perf_counter()
    given = search.setting(job, system, fitted)
    grids = _grids(given, fixed, prefill_fixed)
    chosen, grid, candidates, good = _choose(given, grids)
    seconds = time.perf_counter() - began
    counted = {"candidates": candidates, "feasible": good, "seconds": seconds}
    if chosen is None or grid is None:
        return _refused(given, grids, counted, fixed)
    return _answer(given, grids, grid.at(chosen), counted)


def _grids(
    given: Setting, fixed: Mapping[str, int] | None, prefill_fixed: Mapping[str, int] | None
) -> tuple[Grid, ...]:
    job = given.job
    limits = (job.ttft or np.inf, job.tpot or np.inf)
    made: list[Grid | None] = []
    if job.mode in ("auto", "aggregated") and not prefill_fixed:
        made.append(search.aggregated(given, fixed))
    apart = job.mode == "disaggregated" or prefill_fixed or (job.mode == "auto" and not fixed)
    if apart and job.concurrency is None and job.batch is None:
        made.append(_two_pools(given, fixed, prefill_fixed, limits, required=job.mode == "disaggregated"))
    if job.mode == "prefill":
        made.append(search.prefilling(given, fixed, limits[0]))
    if job.mode == "decode":
        made.append(search.decoding(given, fixed))
    return tuple(grid for grid in made if grid is not None)


def _two_pools(
    given: Setting,
    fixed: Mapping[str, int] | None,
    prefill_fixed: Mapping[str, int] | None,
    limits: tuple[float, float],
    required: bool,
) -> Grid | None:
    try:
        return search.disaggregated(given, fixed, prefill_fixed, limits)
    except InputError:
        if required:
            raise
        return None


def feasible(given: Setting, grid: Grid) -> Any:
    """Which points fit in memory and keep every limit."""
    job = given.job
    good = grid.most >= 1
    good = good & (grid.running <= grid.most + 1e-9)
    if job.tpot is not None and grid.mode != "prefill":
        good = good & (grid.tpot <= job.tpot)
    if job.ttft is not None and grid.mode != "decode":
        good = good & (grid.ttft <= job.ttft)
    if job.rate is not None:
        good = good & (grid.rate >= job.rate)
    return good & np.isfinite(grid.rate)


def _choose(given: Setting, grids: tuple[Grid, ...]) -> tuple[int | None, Grid | None, int, int]:
    """(index, grid) of the best point over all modes; how many were tried, how many kept the limits."""
    best: tuple[float, int | None, Grid | None] = (-np.inf, None, None)
    tried = good = 0
    for grid in grids:
        fine = feasible(given, grid)
        tried, good = tried + grid.candidates, good + int(fine.sum())
        if fine.any():
            merit = np.where(fine, _merit(given, grid), -np.inf)
            index = int(np.argmax(merit))
            if merit[index] > best[0]:
                best = (float(merit[index]), index, grid)
    return best[1], best[2], tried, good


def _merit(given: Setting, grid: Grid) -> Any:
    """What is maximised: throughput; with a rate to carry, speed per user (of equals, the smaller instance)."""
    small = 1e-9 * np.asarray(grid.layout.ranks, dtype=float)
    if given.job.rate is not None and grid.mode != "prefill":
        return -grid.tpot - small
    return grid.rate * (1 - small)


def _answer(given: Setting, grids: tuple[Grid, ...], point: Grid, counted: dict[str, float]) -> ServePlan:
    exact = speeds(given, point)
    job, count = given.job, float(given.system.count)
    sigma = doubt(given.system.accelerator, point.mode, _guessed(job), given.fitted)
    rate = exact.rate if job.rate is None else min(exact.rate, job.rate)
    output = rate * float(job.osl) / count if point.mode != "prefill" else None
    given_in = rate * float(job.isl) / count if point.mode != "decode" else None
    prefill_share = exact.prefill_share
    wide = float(np.exp(1.645 * sigma.rate))
    return ServePlan(
        outcome=FEASIBLE,
        mode=point.mode,
        layout=describe(point.layout, float(point.instances)),
        layout_text=show_serving(point.layout, float(point.instances)),
        prefill_layout=None if point.ahead is None else describe(point.ahead, float(point.ahead_instances)),
        prefill_layout_text=None if point.ahead is None else show_serving(point.ahead, float(point.ahead_instances)),
        weights=given.formats.weights,
        kv=given.formats.kv,
        why=given.formats.why,
        engine=given.engine.name,
        accelerators=given.system.count,
        used=exact.used,
        **_bounded("ttft", exact.ttft, sigma.ttft),
        **_bounded("tpot", exact.tpot, sigma.tpot),
        output_tokens_per_second_per_accelerator=output,
        output_tokens_per_second_per_accelerator_low=None if output is None else output / wide,
        output_tokens_per_second_per_accelerator_high=None if output is None else output * wide,
        input_tokens_per_second_per_accelerator=given_in,
        requests_per_second=rate,
        batch_per_accelerator=exact.batch,
        memory=memory_of(given, point),
        breakdown=breakdown(given, exact),
        cost_per_million_input_tokens=per_million(job.price, prefill_share, given_in or 0.0),
        cost_per_million_output_tokens=per_million(job.price, 1 - prefill_share, output or 0.0),
        price=None if job.price is None else job.price.basis,
        **_money(given, point, rate, given_in, output, prefill_share),
        frontier=_frontier(given, grids),
        alternatives=_alternatives(given, grids, point),
        search=counted,
        definitions=DEFINITIONS,
        evidence=sigma.evidence,
        sources=(*given.system.accelerator.facts, *(job.price_list.facts if job.price_list else ())),
    )


def _money(
    given: Setting, point: Grid, rate: float, given_in: float | None, output: float | None, share: float
) -> dict[str, Any]:
    """Cost of fresh and of cached input, energy, and a day at a price list."""
    job, traffic = given.job, given.traffic
    cached = None
    if given_in is not None:
        layout = point.ahead or point.layout
        cached = cached_share(given.service, layout, traffic, given.chunk * float(np.asarray(layout.cp)))
    fresh_cost, cached_cost = input_costs(job.price, share, given_in, float(traffic.hit), cached)
    whole = point.mode in ("aggregated", "disaggregated")
    sold = day(job.price_list, job.price, float(given.system.count), rate if whole else None, traffic)
    return {
        "cost_per_million_fresh_tokens": fresh_cost,
        "cost_per_million_cached_tokens": cached_cost,
        "energy_per_million_input_tokens": per_million(job.power, share, given_in or 0.0),
        "energy_per_million_output_tokens": per_million(job.power, 1 - share, output or 0.0),
        "power": None if job.power is None else job.power.basis,
        "day": None if sold is None else sold.to_json(),
    }


def _guessed(job: ServeJob) -> bool:
    """Whether drafts are accepted at a rate that nobody measured."""
    return job.speculative is not None and bool(job.speculative.source)


def _bounded(name: str, value: float | None, sigma: float) -> dict[str, Any]:
    if value is None or not np.isfinite(value):
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    wide = float(np.exp(1.645 * sigma))
    return {name: value, f"{name}_low": value / wide, f"{name}_high": value * wide}


def _row(given: Setting, point: Grid) -> dict[str, Any]:
    """One point in a table: layout, batch, speed."""
    job, count = given.job, float(given.system.count)
    ahead = None if point.ahead is None else show_serving(point.ahead, float(point.ahead_instances))
    return {
        "mode": point.mode,
        "layout": show_serving(point.layout, float(point.instances)),
        "prefill_layout": ahead,
        "running_per_replica": float(point.running),
        "tpot": float(point.tpot),
        "ttft": float(point.ttft),
        "requests_per_second": float(point.rate),
        "output_tokens_per_second_per_accelerator": float(point.rate * float(job.osl) / count),
        "tokens_per_second_per_user": float(1.0 / point.tpot),
    }


def _frontier(given: Setting, grids: tuple[Grid, ...]) -> tuple[dict[str, Any], ...]:
    """Points that fit in memory and that no other beats in both throughput and speed per user; at most 40."""
    rows: list[tuple[float, float, Grid, int]] = []
    for grid in grids:
        if grid.mode == "prefill":
            continue
        fits = np.flatnonzero((grid.most >= 1) & (grid.running <= grid.most + 1e-9) & np.isfinite(grid.rate))
        edge = fits[search.frontier(grid.rate[fits], 1.0 / grid.tpot[fits])] if fits.size else fits
        rows += [(float(grid.rate[i]), float(1.0 / grid.tpot[i]), grid, int(i)) for i in edge]
    if not rows:
        return ()
    rates, users = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    edge = search.frontier(rates, users)
    step = max(1, -(-len(edge) // 40))
    return tuple(_row(given, rows[i][2].at(rows[i][3])) for i in edge[::step])


def _alternatives(given: Setting, grids: tuple[Grid, ...], chosen: Grid) -> tuple[dict[str, Any], ...]:
    """The best point of each other layout that keeps the limits, best first."""
    found: dict[str, tuple[float, Grid, int]] = {}
    for grid in grids:
        fine = np.flatnonzero(feasible(given, grid))
        merit = _merit(given, grid)
        for i in fine[np.argsort(-merit[fine])][:200]:
            point = grid.at(int(i))
            name = f"{grid.mode} {show_serving(point.layout, 1)} {point.ahead and show_serving(point.ahead, 1)}"
            if name not in found or merit[i] > found[name][0]:
                found[name] = (float(merit[i]), grid, int(i))
    mine = f"{chosen.mode} {show_serving(chosen.layout, 1)} {chosen.ahead and show_serving(chosen.ahead, 1)}"
    best = sorted((row for name, row in found.items() if name != mine), key=lambda row: -row[0])
    return tuple(_row(given, grid.at(i)) for _, grid, i in best[:KEPT])


def _refused(
    given: Setting, grids: tuple[Grid, ...], counted: dict[str, float], fixed: Mapping[str, int] | None
) -> ServePlan:
    """An infeasible plan: what binds, the nearest service level that can be kept, and what would lift it."""
    outcome, near = _reasons(given, grids, fixed)
    empty: dict[str, Any] = dict.fromkeys(
        (
            "ttft",
            "ttft_low",
            "ttft_high",
            "tpot",
            "tpot_low",
            "tpot_high",
            "output_tokens_per_second_per_accelerator",
            "output_tokens_per_second_per_accelerator_low",
            "output_tokens_per_second_per_accelerator_high",
            "input_tokens_per_second_per_accelerator",
            "requests_per_second",
            "batch_per_accelerator",
            "cost_per_million_input_tokens",
            "cost_per_million_output_tokens",
        )
    )
    return ServePlan(
        outcome=outcome,
        mode=given.job.mode,
        layout=None,
        layout_text="",
        prefill_layout=None,
        prefill_layout_text=None,
        weights=given.formats.weights,
        kv=given.formats.kv,
        why=given.formats.why,
        engine=given.engine.name,
        accelerators=given.system.count,
        used=0.0,
        memory={},
        breakdown={},
        price=None,
        frontier=_frontier(given, grids),
        alternatives=(),
        search=counted,
        nearest=near,
        definitions=DEFINITIONS,
        evidence=doubt(given.system.accelerator, "aggregated", False).evidence,
        sources=given.system.accelerator.facts,
        **empty,
    )


def _reasons(
    given: Setting, grids: tuple[Grid, ...], fixed: Mapping[str, int] | None
) -> tuple[Outcome, dict[str, Any] | None]:
    job = given.job
    fits = [(grid, (grid.most >= 1) & (grid.running <= grid.most + 1e-9)) for grid in grids]
    if not any(mask.any() for _, mask in fits):
        return _no_memory(given, fixed), None
    binds = [bind for bind in (_limit(given, fits, name) for name in ("tpot", "ttft", "rate")) if bind is not None]
    point = _nearest(given, fits)
    near = None if point is None else _row(given, point)
    if not binds:
        text = "each limit alone can be kept, all at once cannot"
        binds = [Bind("tpot" if job.tpot else "ttft", text, None, _lift(given, near))]
    binds[0] = replace(binds[0], lift=_lift(given, near))
    return infeasible(*binds), near


def _no_memory(given: Setting, fixed: Mapping[str, int] | None) -> Outcome:
    job = given.job
    fixed = {name: value for name, value in (fixed or {}).items() if name != "cp"}
    fitted = fit(job.arch, given.system, job.weights, job.kv, fixed, context=float(job.isl) + float(job.osl))
    if not fitted.outcome.feasible:
        return fitted.outcome
    text = f"a sequence of {float(job.isl) + float(job.osl):,.0f} tokens does not fit in the cache: at most "
    return infeasible(Bind("memory", text + f"{fitted.max_context:,} do", None, "more chips, or --kv fp8"))


def _limit(given: Setting, fits: list[tuple[Grid, Any]], name: str) -> Bind | None:
    """A limit that no point keeps, by itself; None when some point does."""
    wanted = getattr(given.job, name)
    if wanted is None:
        return None
    values = [getattr(grid, name)[mask] for grid, mask in fits if mask.any()]
    known = np.concatenate([value[np.isfinite(value)] for value in values]) if values else np.array([])
    if not known.size:
        return None
    if name == "rate":
        best = float(known.max())
        text = f"at most {best:.3g} requests/s can be served here, {wanted:g} are asked for"
        return None if best >= wanted else Bind(name, text, wanted / best)
    best = float(known.min())
    text = f"the lowest {name} found here is {show_time(best)}, {show_time(wanted)} is asked for"
    return None if best <= wanted else Bind(name, text, best / wanted)


def _nearest(given: Setting, fits: list[tuple[Grid, Any]]) -> Grid | None:
    """The point whose worst limit is exceeded by the smallest factor."""
    job = given.job
    best: tuple[float, Grid | None] = (np.inf, None)
    for grid, mask in fits:
        excess = np.ones(grid.rate.shape)
        for name, wanted in (("tpot", job.tpot), ("ttft", job.ttft)):
            if wanted is not None:
                value = getattr(grid, name)
                excess = np.maximum(excess, np.where(np.isfinite(value), value / wanted, 1.0))
        if job.rate is not None:
            excess = np.maximum(excess, job.rate / np.maximum(grid.rate, 1e-12))
        excess = np.where(mask, excess, np.inf)
        index = int(np.argmin(excess))
        if excess[index] < best[0]:
            best = (float(excess[index]), grid.at(index))
    return best[1]


def _lift(given: Setting, near: dict[str, Any] | None) -> str | None:
    """The nearest service level that can be kept, as flags."""
    if near is None:
        return None
    job, flags = given.job, []
    if job.tpot is not None:
        flags.append(f"--tpot {show_time(max(near['tpot'], job.tpot) * 1.01).replace(' ', '')}")
    if job.ttft is not None:
        flags.append(f"--ttft {show_time(max(near['ttft'], job.ttft) * 1.01).replace(' ', '')}")
    if job.rate is not None:
        if near["requests_per_second"] < job.rate:
            chips = int(np.ceil(given.system.count * job.rate / near["requests_per_second"]))
            return f"{chips} x {given.system.accelerator.title}, or --rate {near['requests_per_second']:.3g}/s"
        flags.append(f"--rate {job.rate:g}/s")
    return " ".join(flags) + ", the nearest found that can be kept"


__all__ = ["DEFINITIONS", "Doubt", "Layout", "ServePlan", "Speeds", "plan"]
