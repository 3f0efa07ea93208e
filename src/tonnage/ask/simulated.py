"""A simulation from what was asked: the plan, the workload, the service, and searches for a rate or for replicas."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tonnage.ask.simulate import MOST, REQUESTS, SimulateAsked
from tonnage.errors import InputError, Problem, nearest
from tonnage.shown import ShownResult

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.serve import ServePlan
    from tonnage.simulate.generate import ArrivalProcess
    from tonnage.simulate.measure import PercentileLimit
    from tonnage.simulate.prepare import Happened
    from tonnage.simulate.run import Progress
    from tonnage.simulate.service import Simulated
    from tonnage.simulate.workload import Workload

YAML = (".yaml", ".yml")
"""Endings of files that describe a service in the words of `serve`."""

ROUNDS = 10
"""Requests of each client of a closed loop, where nobody says how many."""


@dataclass(frozen=True)
class SimulatedService(ShownResult):
    """What was simulated: the plan, the service as it ran, the run, and what a search found (`rate`, `replicas`);
    others: plans of the other models on the same replicas.
    """

    plan: ServePlan
    service: Simulated
    run: Happened
    limits: tuple[PercentileLimit, ...]
    searched: str | None = None
    value: float | None = None
    tries: int = 1
    others: tuple[ServePlan, ...] = ()

    @property
    def plans(self) -> tuple[ServePlan, ...]:
        """By model."""
        return (self.plan, *self.others)


DAY = 86400.0
"""Seconds of a day, whose curve is drawn whole where nobody says how many requests."""


def workload_of(
    asked: SimulateAsked, plan: ServePlan, seed: int, rate: float | None = None, progress: Progress | None = None
) -> Workload:
    """The requests: of a trace, like a log, or drawn. rate: instead of what was asked; progress: told of lines read, of
    a number that is not known (0).
    """
    load = _requests(asked, plan, seed, rate, None if progress is None else lambda lines: progress(lines, 0))
    if not asked.priorities:
        return load
    drawn = np.random.default_rng([seed, 3]).choice(len(asked.priorities), load.size, p=np.array(asked.priorities))
    return replace(load, priority=drawn.astype(np.int64))


def _requests(
    asked: SimulateAsked, plan: ServePlan, seed: int, rate: float | None, going: Callable[[int], bool] | None
) -> Workload:
    from tonnage.simulate.generate import Drawn, generate
    from tonnage.simulate.traces import at_rate, like_trace, read_trace

    words, rate = asked.words, rate or asked.rate
    if words.trace is not None:
        load = read_trace(words.trace, going)
        if asked.requests is not None:
            load = load.take(np.arange(min(asked.requests, load.size)))
        return load if rate is None else at_rate(load, rate)
    if words.fit_trace is not None:
        log = read_trace(words.fit_trace, going)
        given = None if asked.how.kind == "poisson" else asked.how
        return like_trace(log, asked.requests or log.size, seed, rate, given)
    how = replace(asked.how, rate=rate or 1.0)
    many = asked.requests or _usual(how, asked.words.find_rate)
    isl = Drawn(asked.isl or float(plan.job.isl), asked.spreads[0], asked.sigmas[0])
    osl = Drawn(asked.osl or float(plan.job.osl), asked.spreads[1], asked.sigmas[1])
    return generate(many, how, isl, osl, seed, asked.sessions)


def _usual(how: ArrivalProcess, search: bool) -> int:
    """Requests where nobody says how many: a round of each client, a whole day, or enough for percentiles."""
    if how.kind == "closed":
        return ROUNDS * how.clients
    return min(max(round(how.rate * DAY), 1), MOST) if how.kind == "day" and not search else REQUESTS


def service_of(asked: SimulateAsked, plan: ServePlan, load: Workload) -> Simulated:
    """The service of the plan with what was asked otherwise, its steps priced at the lengths of the requests."""
    from tonnage.simulate.find import with_replicas
    from tonnage.simulate.plans import Lengths, tier_of
    from tonnage.simulate.plans import service_of as planned
    from tonnage.simulate.service import check

    mean = Lengths(float(load.isl.mean()), float(load.osl.mean()))
    told = plan.job if asked.running is None else replace(plan.job, running=asked.running)
    told = told if asked.chunk is None else replace(told, chunk=asked.chunk)
    question = replace(plan.question, job=told)
    own = replace(plan, question=question, chunk=asked.chunk or plan.chunk)
    found = planned(own, mean, asked.given)
    limits = replace(found.limits, prompt=asked.prompt_chunk, prefix=asked.words.prefix_cache)
    if asked.blocks is not None:
        limits = replace(limits, blocks=asked.blocks)
    behind = [None if one is None else tier_of(own, mean, *one) for one in (asked.host_cache, asked.disk_cache)]
    limits = replace(limits, host=behind[0] or limits.host, disk=behind[1] or limits.disk)
    found = replace(found, limits=limits)
    if asked.host is not None:
        found = replace(found, times=tuple(one.with_host(asked.host) for one in found.times))
    found = found if asked.replicas is None else with_replicas(found, asked.replicas)
    check(found)
    return found


def _raised(asked: SimulateAsked, service: Simulated) -> tuple[str, ...]:
    """What is said where a step has more tokens than were asked for."""
    limits = service.limits
    if asked.chunk is None or limits.tokens <= asked.chunk:
        return ()
    return (
        f"{limits.tokens:,} new tokens a step instead of {asked.chunk:,}: each of {limits.sequences:,} sequences has "
        "one in each step; ask for fewer sequences (`running`)",
    )


def _with_others(
    asked: SimulateAsked, load: Workload, service: Simulated, others: tuple[ServePlan, ...], seed: int
) -> tuple[Workload, Simulated]:
    """The requests and the service of all models on the replicas of the first: as long as its requests come, those of
    the others do, each at its rate.
    """
    from tonnage.simulate.generate import ArrivalProcess, Drawn, generate
    from tonnage.simulate.plans import sharing
    from tonnage.simulate.workload import together

    come = load.arrival[np.isfinite(load.arrival)]
    span = float(np.ptp(come)) if come.size else 0.0
    loads, services = [load], []
    for n, (plan, (path, rate)) in enumerate(zip(others, asked.beside, strict=True), 1):
        how = ArrivalProcess("poisson", rate)
        isl = Drawn(float(plan.job.isl), asked.spreads[0], asked.sigmas[0])
        osl = Drawn(float(plan.job.osl), asked.spreads[1], asked.sigmas[1])
        made = generate(max(round(rate * span), 1), how, isl, osl, seed + n)
        loads.append(made)
        services.append((str(path), service_of(replace(asked, replicas=None), plan, made)))
    load = together(tuple(loads))
    lost = asked.given.switch * load.size / max(span, 1e-9) / service.deployment.replicas
    return load, sharing(service, tuple(services), asked.given.switch, lost)


def simulated(
    asked: SimulateAsked,
    plan: ServePlan,
    seed: int,
    progress: Progress | None = None,
    told: Callable[[str], None] | None = None,
    others: tuple[ServePlan, ...] = (),
) -> SimulatedService:
    """What happens, or the rate or the replicas that are looked for, with what happens there; others: plans of the
    models `beside`.
    """
    from tonnage.simulate import compiled
    from tonnage.simulate.find import fewest_replicas, highest_rate
    from tonnage.simulate.run import WORTH, simulate
    from tonnage.simulate.service import check
    from tonnage.simulate.traces import at_rate

    start = None
    if asked.words.find_rate and asked.rate is None:
        start = plan.requests_per_second or 1.0
    load = workload_of(asked, plan, seed, start, progress)
    service = service_of(asked, plan, load)
    load = replace(load, notes=(*load.notes, *_raised(asked, service)))
    if others:
        load, service = _with_others(asked, load, service, others, seed)
        check(service)
    fast = load.size >= WORTH and compiled.installed()
    if fast and told is not None:
        told("compiling the loop where it is not kept from before (about 10 s)")

    def go(what: Workload, where: Simulated) -> Happened:
        return simulate(what, where, seed=seed, progress=progress)

    if asked.words.find_rate:
        first = start or asked.rate or 1.0
        logged = asked.words.trace or asked.words.fit_trace

        def at(rate: float) -> Workload:
            return at_rate(load, rate) if logged else workload_of(asked, plan, seed, rate)

        found = highest_rate(at, service, asked.limits, first, go)
    elif asked.auto:
        found = fewest_replicas(load, service, asked.limits, go)
    else:
        return SimulatedService(plan, service, go(load, service), asked.limits, others=others)
    what = "rate" if asked.words.find_rate else "replicas"
    return SimulatedService(plan, found.service, found.run, asked.limits, what, found.value, found.tries, others)


def plan_of(
    path: Path, catalog: Callable[[], Catalog], as_of: Callable[[], datetime.date | None], seed: int
) -> ServePlan:
    """The plan of a saved answer of `serve`, or of a service in YAML in the words of `serve`."""
    from tonnage.ask.saved import read_answer
    from tonnage.serve import ServePlan

    if path.suffix.lower() in YAML:
        return _planned(path, catalog(), as_of(), seed)
    saved = read_answer(path)
    if saved["command"] != "serve" or "plan" not in saved:
        raise InputError(Problem(f'is an answer of "{saved["command"]}"; a plan of serve is simulated', str(path)))
    try:
        return ServePlan.from_json(saved)
    except InputError as error:
        raise InputError(Problem(one.message, str(path), one.path) for one in error.problems) from None


def _planned(path: Path, catalog: Catalog, as_of: datetime.date | None, seed: int) -> ServePlan:
    """A service in YAML, planned: `model`, `on`, and any other word of `serve`."""
    from tonnage import files
    from tonnage.ask.serve import ServeWords, plan_asked
    from tonnage.ask.serve import read as read_service

    document = files.read_yaml(path)
    known = {"model": None, **{field.name: field for field in fields(ServeWords)}}
    value = document.value
    if not isinstance(value, dict):
        raise InputError(Problem("expected a service: model, on, and other words of serve", str(path)))
    problems = [
        Problem("no such word", str(path), str(key)[:40], nearest(str(key)[:40], known))
        for key in value
        if key not in known
    ]
    problems += [Problem("is missing", str(path), key) for key in ("model", "on") if not value.get(key)]
    if problems:
        raise InputError(problems)
    words = {key: _word(item) for key, item in value.items() if key not in ("model", "on")}
    on = value["on"] if isinstance(value["on"], list) else [value["on"]]
    asked = ServeWords(on=tuple(str(one) for one in on), **words)
    try:
        return plan_asked(str(value["model"]), read_service(asked), catalog, as_of, seed).plan
    except InputError as error:
        raise InputError(
            Problem(p.message, str(path), p.path or p.where, p.suggestion) for p in error.problems
        ) from None


def _word(value: object) -> Any:
    """A value of YAML as a word: numbers as text, truth as it is."""
    return value if isinstance(value, bool) or value is None else str(value)
