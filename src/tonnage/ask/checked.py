"""Limits on percentiles held against a simulation of the plan, and plans for tighter ones where they break."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tonnage.ask.serve import ServeAsked, ServeFound, plan_asked, with_limits
from tonnage.errors import Bind, InputError, Outcome, Problem, infeasible
from tonnage.units import show_time

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.serve import ServePlan
    from tonnage.simulate.measure import PercentileLimit
    from tonnage.simulate.prepare import Happened

REQUESTS = 4000
"""Requests of the simulation: 1 % of them are forty."""

ROUNDS = 5
"""Plans at most, the first with the limits as asked."""

CLOSER = 0.97
"""Share of the limit that would just do by which the next plan is made, so that few rounds are needed (an assumption of
the search: what is answered was simulated)."""


@dataclass(frozen=True)
class SloCheck:
    """What a simulation of the plan that is answered came to. reached: by limit [s]; rate [1/s]; rounds: plans that
    were simulated; planned: the limits that the plan was made for.
    """

    limits: tuple[PercentileLimit, ...]
    reached: tuple[float, ...]
    rate: float
    requests: int
    rounds: int
    planned: tuple[PercentileLimit, ...]

    @property
    def kept(self) -> bool:
        """Whether every limit is."""
        return all(value <= one.limit for one, value in zip(self.limits, self.reached, strict=True))

    @property
    def outcome(self) -> Outcome:
        """Feasible, or the limits that break."""
        broken = [(one, value) for one, value in zip(self.limits, self.reached, strict=True) if value > one.limit]
        binds = [
            Bind(
                one.what,
                f"{one.name} is {show_time(value)} in a simulation of the plan, over {show_time(one.limit)}",
                value / one.limit,
                "more accelerators, or fewer requests",
            )
            for one, value in broken
        ]
        return infeasible(*binds) if binds else Outcome()


def plan_checked(
    model: str,
    asked: ServeAsked,
    catalog: Catalog,
    as_of: datetime.date | None = None,
    seed: int = 0,
    tell: Callable[[str], None] | None = None,
) -> tuple[ServeFound, SloCheck | None]:
    """The best plan whose simulation keeps the limits: where one breaks them, the next is made for limits as much
    tighter as the simulation came out slower. The first plan, with what broke, where no tighter one can be had; without
    a check where the plan itself is infeasible.
    """
    found, first = plan_asked(model, asked, catalog, as_of, seed), None
    if not asked.slo:
        return found, None
    planned = asked.slo
    for number in range(1, ROUNDS + 1):
        if not found.plan.outcome.feasible:
            break
        check = _simulated(found.plan, asked, planned, number, seed)
        first = first or (found, check)
        if check.kept:
            return found, check
        if tell is not None:
            tell(f"plan {number} breaks its limits in simulation; planned again for tighter ones")
        planned = tuple(
            replace(one, limit=one.limit * min(1.0, CLOSER * given.limit / value))
            for one, given, value in zip(planned, asked.slo, check.reached, strict=True)
        )
        found = plan_asked(model, with_limits(asked, planned), catalog, as_of, seed)
    return (found, None) if first is None else first


def _simulated(
    plan: ServePlan, asked: ServeAsked, planned: tuple[PercentileLimit, ...], rounds: int, seed: int
) -> SloCheck:
    from tonnage.simulate.measure import each, reached

    rate = asked.rate or float(plan.requests_per_second or 0.0)
    try:
        run = _run(plan, rate, seed)
    except InputError as error:
        raise InputError(Problem(f"cannot be simulated: {one.message}", path="slo") for one in error.problems) from None
    times = each(run)
    got = tuple(reached(times[one.what], one) for one in asked.slo)
    if not run.done.all():
        got = tuple(float("inf") for _ in got)
    return SloCheck(asked.slo, got, rate, run.load.size, rounds, planned)


def _run(plan: ServePlan, rate: float, seed: int) -> Happened:
    from tonnage.simulate.generate import ArrivalProcess, Drawn, generate
    from tonnage.simulate.plans import service_of
    from tonnage.simulate.run import simulate

    isl, osl = Drawn(float(plan.job.isl)), Drawn(float(plan.job.osl))
    load = generate(REQUESTS, ArrivalProcess("poisson", rate), isl, osl, seed)
    return simulate(load, service_of(plan), seed=seed, fast=False)
