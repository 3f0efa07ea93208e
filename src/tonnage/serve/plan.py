"""The best way to serve a model on a system under a service level, and what stands in its way."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tonnage.errors import FEASIBLE, InputError, MissingFact
from tonnage.layout import Layout
from tonnage.serve import afd_search, search
from tonnage.serve.answer import Speeds, breakdown, describe, measured_share, memory_of, speeds
from tonnage.serve.around import fewest, variants
from tonnage.serve.capacity import show_serving
from tonnage.serve.choice import alternatives, choose, frontier_of
from tonnage.serve.cost import cached_share, day, input_costs, per_million
from tonnage.serve.job import ServeJob, check
from tonnage.serve.launch import settings
from tonnage.serve.pairs import Pool, disaggregated
from tonnage.serve.refusal import refused
from tonnage.serve.result import DEFINITIONS, ServePlan
from tonnage.serve.search import Grid, Setting
from tonnage.serve.spread import Doubt, doubt
from tonnage.serve.tuning import Constants
from tonnage.system import System, needed, unjoined


def plan(
    job: ServeJob,
    system: System,
    fixed: Mapping[str, int] | None = None,
    prefill_fixed: Mapping[str, int] | None = None,
    fitted: Constants | None = None,
    *,
    ffn: System | None = None,
    ffn_fixed: Mapping[str, int] | None = None,
) -> ServePlan:
    """The layout, batch and mode with the highest throughput that keeps the limits of `job` on `system`.

    fixed, prefill_fixed, ffn_fixed: what of the layouts is given; ffn: the accelerators that hold the FFN, where
    attention and FFN are apart and on two kinds (`system` then has the attention); fitted: constants to use instead of
    those that come with tonnage, such as `anchored` ones. With a rate or a concurrency, the fastest service that
    carries it. An infeasible plan names what binds, the nearest service level that can be kept, and what would lift it.
    """
    check(job)
    began = time.perf_counter()
    given = search.setting(job, system, fitted)
    if ffn is not None:
        given = replace(given, partner=search.setting(job, ffn, fitted))
    grids = _grids(given, fixed, prefill_fixed, ffn_fixed)
    chosen, grid, tried, good = choose(given, grids)
    counted: dict[str, Any] = {"candidates": sum(tried.values()), "feasible": good, "kinds": tried}
    counted["seconds"] = time.perf_counter() - began

    def again(other: Setting) -> tuple[Grid, ...]:
        return _grids(other, fixed, prefill_fixed, ffn_fixed)

    free = ffn is None and not fixed
    around, refuse = job.thorough and free, chosen is None or grid is None
    few = fewest(given, again) if free and (around or refuse) else None
    if chosen is None or grid is None:
        _joined(given)
        return replace(refused(given, grids, counted, fixed, few), fewest=few)
    found = answer(given, grids, grid.at(chosen), counted)
    if not around:
        return replace(found, fewest=few)
    own, ahead, behind = _pinned(job, grid.at(chosen))

    def same(other: Setting) -> tuple[Grid, ...]:
        return _grids(other, own, ahead, behind)

    return replace(found, fewest=few, variants=variants(given, grid.at(chosen), same))


def _joined(given: Setting) -> None:
    """Raises `MissingFact` where wider layouts might do what none of those priced does, but what joins is not known."""
    missing = unjoined(given.service.die, given.ranks)
    if missing is not None:
        needed(given.service.die, missing)


def _left_out(given: Setting) -> str | None:
    """Which layouts were not looked at because a fact is missing, in words."""
    die = given.service.die
    missing = unjoined(die, given.ranks)
    if missing is None:
        return None
    within = 1 if missing == "link" else max(die.domain * die.dies // given.dies, 1)
    where = f"{within:,} accelerator{'s' * (within > 1)}"
    return f"layouts over more than {where}: the catalogue has no {missing} for {die.name}"


def _pinned(job: ServeJob, point: Grid) -> tuple[dict[str, int], dict[str, int] | None, dict[str, int] | None]:
    """Layouts of a point as they would be given: own, of a prefill pool, of FFN ranks."""
    named = ("tp", "pp", "ep", "etp") if job.arch.moe else ("tp", "pp")
    apart = point.ffn is not None

    def of(layout: Layout, names: tuple[str, ...]) -> dict[str, int]:
        return {name: int(getattr(layout, name)) for name in names}

    own = of(point.layout, ("tp", "dp") if apart else named)
    ahead = None if point.ahead is None else of(point.ahead, named)
    return own, ahead, None if point.ffn is None else of(point.ffn, ("tp", "dp"))


def _grids(
    given: Setting,
    fixed: Mapping[str, int] | None,
    prefill_fixed: Mapping[str, int] | None,
    ffn_fixed: Mapping[str, int] | None = None,
) -> tuple[Grid, ...]:
    job = given.job
    limits = (job.ttft or np.inf, job.tpot or np.inf)

    def units(asked: Setting, layout: Mapping[str, int] | None) -> Grid:
        return afd_search.decoding(asked, layout, ffn_fixed, job.micro_batches)

    made: list[Grid | None] = []
    if job.mode in ("auto", "aggregated") and not prefill_fixed:
        made.append(search.aggregated(given, fixed))
    apart = job.mode == "disaggregated" or prefill_fixed or (job.mode == "auto" and not fixed)
    if apart and job.concurrency is None and job.batch is None:
        required, decode = job.mode == "disaggregated", units if job.apart else search.decoding
        made.append(_two_pools(given, fixed, prefill_fixed, limits, decode, required=required))
    if job.mode == "prefill":
        made.append(search.prefilling(given, fixed, limits[0]))
    if job.mode == "afd":
        made.append(units(given, fixed))
    if job.mode == "decode":
        made.append(search.decoding(given, fixed))
    return tuple(grid for grid in made if grid is not None)


def _two_pools(
    given: Setting,
    fixed: Mapping[str, int] | None,
    prefill_fixed: Mapping[str, int] | None,
    limits: tuple[float, float],
    decode: Pool,
    *,
    required: bool,
) -> Grid | None:
    try:
        return disaggregated(given, fixed, prefill_fixed, limits, decode)
    except (InputError, MissingFact):
        if required:
            raise
        return None


def answer(given: Setting, grids: tuple[Grid, ...], point: Grid, counted: dict[str, Any]) -> ServePlan:
    """The plan of one point of `grids`, which give its frontier and alternatives."""
    exact = speeds(given, point)
    job, count = given.job, float(given.accelerators)
    sigma = _doubt(given, point)
    rate = exact.rate if job.rate is None else min(exact.rate, job.rate)
    output = rate * float(job.osl) / count if point.mode != "prefill" else None
    given_in = rate * float(job.isl) / count if point.mode not in ("decode", "afd") else None
    prefill_share = exact.prefill_share
    wide = float(np.exp(1.645 * sigma.rate))
    return ServePlan(
        outcome=FEASIBLE,
        mode=point.mode,
        layout=describe(point.layout, float(point.instances)),
        layout_text=show_serving(point.layout, float(point.instances)),
        **_ffn_side(given, point, exact),
        prefill_layout=None if point.ahead is None else describe(point.ahead, float(point.ahead_instances)),
        prefill_layout_text=None if point.ahead is None else show_serving(point.ahead, float(point.ahead_instances)),
        weights=given.formats.weights,
        kv=given.formats.kv,
        why=given.formats.why,
        engine=given.engine.name,
        accelerators=given.accelerators,
        used=exact.used,
        **_bounded("ttft", exact.ttft, sigma.ttft),
        ttft_p50=exact.late[0] if exact.late else None,
        ttft_p90=exact.late[1] if exact.late else None,
        ttft_p99=exact.late[2] if exact.late else None,
        **_bounded("tpot", exact.tpot if job.osl >= 2 else None, sigma.tpot),
        output_tokens_per_second_per_accelerator=output,
        output_tokens_per_second_per_accelerator_low=None if output is None else output / wide,
        output_tokens_per_second_per_accelerator_high=None if output is None else output * wide,
        input_tokens_per_second_per_accelerator=given_in,
        requests_per_second=rate,
        chunk=None if point.mode in ("decode", "afd") else int(_chunk(given, point)),
        batch_per_accelerator=exact.batch,
        memory=memory_of(given, point),
        breakdown=breakdown(given, exact),
        measured_share=measured_share(given, exact),
        cost_per_million_input_tokens=per_million(job.price, prefill_share, given_in or 0.0),
        cost_per_million_output_tokens=per_million(job.price, 1 - prefill_share, output or 0.0),
        price=None if job.price is None else job.price.basis,
        price_per_accelerator=None if job.price is None else job.price.value,
        **_money(given, point, rate, given_in, output, prefill_share),
        launch=settings(given, point),
        frontier=frontier_of(given, grids),
        alternatives=alternatives(given, grids, point),
        search=counted,
        left_out=_left_out(given),
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
        cached = cached_share(given.service, layout, traffic, _chunk(given, point) * float(np.asarray(layout.cp)))
    fresh_cost, cached_cost = input_costs(job.price, share, given_in, float(traffic.hit), cached)
    whole = point.mode in ("aggregated", "disaggregated")
    sold = day(job.price_list, job.price, float(given.accelerators), rate if whole else None, traffic)
    return {
        "cost_per_million_fresh_tokens": fresh_cost,
        "cost_per_million_cached_tokens": cached_cost,
        "energy_per_million_input_tokens": per_million(job.power, share, given_in or 0.0),
        "energy_per_million_output_tokens": per_million(job.power, 1 - share, output or 0.0),
        "power": None if job.power is None else job.power.basis,
        "day": None if sold is None else sold.to_json(),
    }


def _doubt(given: Setting, point: Grid) -> Doubt:
    """The doubt of the point. No published run with attention and FFN apart entered a fit: analytic, half as wide again
    as the same chips serving otherwise, as for chips of a vendor without any.
    """
    sigma = doubt(given.system.accelerator, point.mode, _guessed(given.job), given.fitted)
    if point.ffn is None:
        return sigma
    return Doubt(1.5 * sigma.rate, 1.5 * sigma.tpot, 1.5 * sigma.ttft, "analytic")


def _ffn_side(given: Setting, point: Grid, exact: Speeds) -> dict[str, Any]:
    """Layout and memory of FFN ranks that are apart, and which share of a step each side works."""
    if point.ffn is None or point.micro_batches is None or exact.apart is None:
        return {}
    found = exact.apart
    busy = {"attention": found.busy_attention, "ffn": found.busy_ffn, "wire": found.busy_wire}
    return {
        "ffn_layout": describe(point.ffn, float(point.instances)),
        "ffn_layout_text": show_serving(point.ffn, float(point.instances)),
        "micro_batches": int(point.micro_batches),
        "ffn_memory": afd_search.ffn_memory(given, point),
        "busy": {name: float(np.ravel(value)[0]) for name, value in busy.items()},
    }


def _chunk(given: Setting, point: Grid) -> float:
    return given.chunk if point.chunk is None else float(point.chunk)


def _guessed(job: ServeJob) -> bool:
    """Whether drafts are accepted at a rate that nobody measured."""
    return job.speculative is not None and bool(job.speculative.source)


def _bounded(name: str, value: float | None, sigma: float) -> dict[str, Any]:
    if value is None or not np.isfinite(value):
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    wide = float(np.exp(1.645 * sigma))
    return {name: value, f"{name}_low": value / wide, f"{name}_high": value * wide}


__all__ = ["DEFINITIONS", "Doubt", "Layout", "ServePlan", "Speeds", "plan"]
