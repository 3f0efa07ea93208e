"""The best way to serve a model on a system under a service level, and what stands in its way."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tonnage.errors import FEASIBLE, InputError, MissingFact, Problem
from tonnage.interval import Interval, around
from tonnage.layout import Layout
from tonnage.serve.cost import cached_share, day, input_costs, per_million
from tonnage.serve.fit import never_started
from tonnage.serve.job import ServeJob, check
from tonnage.serve.length import beyond
from tonnage.serve.pools import PoolLayout
from tonnage.serve.question import asked_of, provenance
from tonnage.serve.refusal import not_as_asked, refused, too_long_for
from tonnage.serve.replica.software import Constants
from tonnage.serve.replica.spread import SpeedSpread, crowded, doubt, in_a_crowd
from tonnage.serve.result import (
    Bill,
    FfnSide,
    FirstTokens,
    SearchCounts,
    ServePlan,
    ServeQuestion,
    ServeSpeed,
)
from tonnage.serve.search import afd, modes
from tonnage.serve.search.choice import alternatives, choose, frontier_of, known
from tonnage.serve.search.grid import PointGrid, ServeSetting, beside, serve_setting
from tonnage.serve.search.point import Speeds, breakdown, instances_of, measured_share, memory_of, speeds
from tonnage.serve.search.two_pools import Pool, disaggregated
from tonnage.serve.search.variants import fewest, held_back, unstarted, variants
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
    question = ServeQuestion(job, (asked_of(job, system, fitted),), fixed, prefill_fixed, ffn_fixed, ffn)
    began = time.perf_counter()
    given = serve_setting(job, system, fitted)
    long = beyond(job)
    if long is not None:
        return too_long_for(question, given, long)
    never = None if job.engine is None else never_started(job.arch, given.service.die, given.formats, given.engine)
    if never is not None:
        return too_long_for(question, given, never)
    if ffn is not None:
        given = replace(given, partner=serve_setting(job, ffn, fitted))
    grids = _grids(given, fixed, prefill_fixed, ffn_fixed)
    chosen, grid, tried, good = choose(given, grids)
    counted = SearchCounts(sum(tried.values()), good, tried, time.perf_counter() - began)

    def again(other: ServeSetting) -> tuple[PointGrid, ...]:
        return _grids(other, fixed, prefill_fixed, ffn_fixed)

    free = ffn is None and not fixed
    few = fewest(given, again) if free and (job.thorough or chosen is None) else None
    if chosen is None or grid is None:
        _joined(given)
        none = refused(question, given, grids, counted, few)
        return replace(none, refused=held_back(given, None, again)) if job.thorough and free else none
    pinned = ffn is None and grid.ffn is None and (fixed or prefill_fixed)
    off = unstarted(given, grid.at(chosen)) if pinned else None
    if off is not None:
        return not_as_asked(question, given, counted, off)
    found = replace(answer(question, given, grids, grid.at(chosen), counted), fewest=few)
    if not (job.thorough and free):
        return found
    shown = beside(given)
    found = replace(found, refused=held_back(shown, grid.at(chosen), again))
    own, prefill_given, ffn_given = _pinned(job, grid.at(chosen))

    def same(other: ServeSetting) -> tuple[PointGrid, ...]:
        return _grids(other, own, prefill_given, ffn_given)

    return replace(found, variants=variants(shown, grid.at(chosen), same, again))


def _joined(given: ServeSetting) -> None:
    """Raises `MissingFact` where wider layouts might do what none of those priced does, but what joins is not known."""
    missing = unjoined(given.service.die, given.ranks)
    if missing is not None:
        needed(given.service.die, missing)


def _left_out(given: ServeSetting) -> str | None:
    """Which layouts were not looked at because a fact is missing, in words."""
    die = given.service.die
    missing = unjoined(die, given.ranks)
    if missing is None:
        return None
    within = 1 if missing == "link" else max(die.domain * die.dies // given.dies, 1)
    where = f"{within:,} accelerator{'s' * (within > 1)}"
    return f"layouts over more than {where}: the catalogue has no {missing} for {die.name}"


def _pinned(job: ServeJob, point: PointGrid) -> tuple[dict[str, int], dict[str, int] | None, dict[str, int] | None]:
    """Layouts of a point as they would be given: own, of a prefill pool, of FFN ranks."""
    named = ("tp", "pp", "ep", "etp") if job.arch.moe else ("tp", "pp")
    apart = point.ffn is not None

    def of(layout: Layout, names: tuple[str, ...]) -> dict[str, int]:
        return {name: int(getattr(layout, name)) for name in names}

    own = of(point.layout, ("tp", "dp") if apart else named)
    prefill_given = None if point.prefill is None else of(point.prefill, named)
    return own, prefill_given, None if point.ffn is None else of(point.ffn, ("tp", "dp"))


def _grids(
    given: ServeSetting,
    fixed: Mapping[str, int] | None,
    prefill_fixed: Mapping[str, int] | None,
    ffn_fixed: Mapping[str, int] | None = None,
) -> tuple[PointGrid, ...]:
    """The operating points of every mode that the job leaves open."""
    job = given.job
    limits = (job.ttft or np.inf, job.tpot or np.inf)

    def units(asked: ServeSetting, layout: Mapping[str, int] | None) -> PointGrid:
        return afd.decoding(asked, layout, ffn_fixed, job.micro_batches)

    made: list[PointGrid | None] = []
    if prefill_fixed and (job.concurrency is not None or job.batch is not None):
        message = "two pools are sized for a rate, or for all they can do, not for a concurrency or a batch"
        raise InputError(Problem(message, path="prefill_layout"))
    if job.mode in ("auto", "aggregated") and not prefill_fixed:
        made.append(modes.aggregated(given, fixed))
    apart = job.mode == "disaggregated" or prefill_fixed or (job.mode == "auto" and not fixed)
    if apart and job.concurrency is None and job.batch is None:
        required = job.mode == "disaggregated" or bool(prefill_fixed)
        decode = units if job.splits_ffn else modes.decoding
        made.append(_two_pools(given, fixed, prefill_fixed, limits, decode, required=required))
    if job.mode == "prefill":
        made.append(modes.prefilling(given, fixed, limits[0]))
    if job.mode == "afd":
        made.append(units(given, fixed))
    if job.mode == "decode":
        made.append(modes.decoding(given, fixed))
    return tuple(grid for grid in made if grid is not None)


def _two_pools(
    given: ServeSetting,
    fixed: Mapping[str, int] | None,
    prefill_fixed: Mapping[str, int] | None,
    limits: tuple[float, float],
    decode: Pool,
    *,
    required: bool,
) -> PointGrid | None:
    """Points of a prefill pool and a decode pool; None where nobody insists on two and there are none."""
    try:
        return disaggregated(given, fixed, prefill_fixed, limits, decode)
    except (InputError, MissingFact):
        if required:
            raise
        return None


def answer(
    question: ServeQuestion, given: ServeSetting, grids: tuple[PointGrid, ...], point: PointGrid, counted: SearchCounts
) -> ServePlan:
    """The plan of one point of `grids`, which give its frontier and alternatives."""
    exact = speeds(given, point)
    sigma = _doubt(given, point)
    if crowded(question.job.arch.moe, exact.batch):
        sigma = in_a_crowd(sigma)
    speed = _speed(given, point, exact, sigma)
    decodes = point.mode in ("decode", "afd")
    return ServePlan(
        question=question,
        outcome=FEASIBLE,
        mode=point.mode,
        formats=given.formats,
        engine=given.engine.name,
        engine_rules=given.engine.rules,
        accelerators=given.accelerators,
        used=exact.used,
        instances=instances_of(given, point),
        pool=PoolLayout(point.layout, int(point.instances)),
        prefill_pool=None if point.prefill is None else PoolLayout(point.prefill, int(point.prefill_instances)),
        ffn=_ffn_side(given, point, exact),
        chunk=None if decodes else int(_chunk(given, point)),
        speed=speed,
        memory=memory_of(given, point),
        breakdown=breakdown(given, exact),
        measured_share=measured_share(given, exact),
        bill=_bill(given, point, speed, exact.prefill_share),
        frontier=frontier_of(given, grids, point),
        alternatives=alternatives(beside(given), grids, point),
        search=counted,
        left_out=_left_out(given),
        provenance=provenance(question, sigma.evidence),
    )


def _speed(given: ServeSetting, point: PointGrid, exact: Speeds, sigma: SpeedSpread) -> ServeSpeed:
    """Rates per accelerator and times, with their intervals."""
    job, count = given.job, float(given.accelerators)
    rate = exact.rate if job.rate is None else min(exact.rate, job.rate)
    return ServeSpeed(
        requests=rate,
        ttft=_around(exact.ttft, sigma.ttft),
        tpot=_around(exact.tpot if job.osl >= 2 else None, sigma.tpot),
        output=_around(rate * float(job.osl) / count if point.mode != "prefill" else None, sigma.rate),
        input=rate * float(job.isl) / count if point.mode not in ("decode", "afd") else None,
        batch=exact.batch,
        late=FirstTokens(*exact.late) if exact.late else None,
    )


def _around(value: float | None, sigma: float) -> Interval | None:
    return None if value is None or known(value) is None else around(value, sigma)


def _bill(given: ServeSetting, point: PointGrid, speed: ServeSpeed, share: float) -> Bill:
    """Cost and energy of tokens, of fresh and of cached input, and a day at a price list.

    share: of all accelerators' time that is prefill.
    """
    job, traffic, cached = given.job, given.traffic, None
    if speed.input is not None:
        layout = point.prefill or point.layout
        cached = cached_share(given.service, layout, traffic, _chunk(given, point) * float(np.asarray(layout.cp)))
    fresh_cost, cached_cost = input_costs(job.price, share, speed.input, float(traffic.hit), cached)
    whole = point.mode in ("aggregated", "disaggregated")
    given_in, output = speed.input or 0.0, 0.0 if speed.output is None else speed.output.value
    return Bill(
        price=job.price,
        power=job.power,
        input=per_million(job.price, share, given_in),
        output=per_million(job.price, 1 - share, output),
        fresh=fresh_cost,
        cached=cached_cost,
        input_energy=per_million(job.power, share, given_in),
        output_energy=per_million(job.power, 1 - share, output),
        day=day(job.price_list, job.price, float(given.accelerators), speed.requests if whole else None, traffic),
    )


def _doubt(given: ServeSetting, point: PointGrid) -> SpeedSpread:
    """The doubt of the point. No published run with attention and FFN apart entered a fit: analytic, half as wide again
    as the same chips serving otherwise, as for chips of a vendor without any.
    """
    untouched = given.job.stack == "default"
    sigma = doubt(given.system.accelerator, point.mode, _guessed(given.job), given.fitted, untouched=untouched)
    if point.ffn is None:
        return sigma
    return SpeedSpread(1.5 * sigma.rate, 1.5 * sigma.tpot, 1.5 * sigma.ttft, "analytic")


def _ffn_side(given: ServeSetting, point: PointGrid, exact: Speeds) -> FfnSide | None:
    """FFN ranks that are apart, and which share of a step each side works."""
    if point.ffn is None or point.micro_batches is None or exact.apart is None:
        return None
    found = exact.apart
    return FfnSide(
        PoolLayout(point.ffn, int(point.instances)),
        int(point.micro_batches),
        afd.ffn_memory(given, point),
        *(float(np.ravel(value)[0]) for value in (found.busy_attention, found.busy_ffn, found.busy_wire)),
    )


def _chunk(given: ServeSetting, point: PointGrid) -> float:
    return given.chunk if point.chunk is None else float(point.chunk)


def _guessed(job: ServeJob) -> bool:
    """Whether drafts are accepted at a rate that nobody measured."""
    return job.speculative is not None and bool(job.speculative.source)
