"""Several kinds of accelerators under one service: each by itself, or one kind for prefill and another for decode."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import TypeVar

from tonnage.errors import Bind, InputError, Outcome, Problem, infeasible
from tonnage.interval import within
from tonnage.serve.cost import day, input_costs, per_million
from tonnage.serve.job import ChipPower, ChipPrice, ServeJob, asking
from tonnage.serve.plan import plan
from tonnage.serve.question import asked_of, provenance
from tonnage.serve.replica.points import Traffic
from tonnage.serve.replica.software import Constants
from tonnage.serve.result import Bill, FleetShare, SearchCounts, ServePlan, ServeQuestion
from tonnage.serve.two_kinds import across
from tonnage.system import System


def plan_mixed(
    jobs: Sequence[ServeJob], systems: Sequence[System], fitted: Sequence[Constants | None] | None = None
) -> ServePlan:
    """The better of: every fleet serves by itself, or one prefills for another (requests per second within the limits;
    with a rate to carry, the lowest tpot).

    jobs: the same job for each of `systems`, with the price of its accelerators; fitted: as in `plan`, of each. A rate
    or a concurrency is that of all fleets together. Rates per accelerator are over all accelerators of all fleets; tpot
    is that of the slowest part. `parts` says what each fleet does.
    """
    began = time.perf_counter()
    levels = list(fitted or [None] * len(systems))
    fleets = tuple(asked_of(*each) for each in zip(jobs, systems, levels, strict=True))
    question = ServeQuestion(jobs[0], fleets)
    if jobs[0].splits_ffn:
        return _attention_and_ffn(question, jobs, systems, levels)
    free = [plan(replace(job, rate=None), one, fitted=own) for job, one, own in zip(jobs, systems, levels, strict=True)]
    if all(one.outcome.reason == "context" for one in free):
        return _of_all(question, free[0])
    beside = _beside(question, jobs, systems, levels, free)
    found = [] if jobs[0].mode == "disaggregated" else [beside]
    if jobs[0].mode in ("auto", "disaggregated") and jobs[0].concurrency is None and jobs[0].batch is None:
        pairs = permutations(range(len(systems)), 2)
        found += [_split(question, jobs, systems, levels, free, first, second) for first, second in pairs]
    if jobs[0].mode == "disaggregated":
        found.append(beside)
    good = [one for one in found if one is not None]
    if not good:
        return _refused(question, free)
    best = max(good, key=lambda one: _merit(jobs[0], one))
    tried, kept = sum(one.search.candidates for one in free), sum(one.search.feasible for one in free)
    return replace(best, search=SearchCounts(tried, kept, seconds=time.perf_counter() - began))


def _merit(job: ServeJob, one: ServePlan) -> float:
    """Throughput; with a rate to carry, speed per user."""
    if job.rate is not None:
        return 0.0 if one.tpot is None else -one.tpot.value
    return one.requests_per_second or 0.0


def _refused(question: ServeQuestion, free: Sequence[ServePlan]) -> ServePlan:
    """What binds each fleet; the nearest service level and its lift are those of the fleet that is nearest to it."""
    job, served = question.job, [one.requests_per_second or 0.0 for one in free]
    if job.rate is not None and any(served):
        most = sum(served)
        text = f"at most {most:.3g} requests/s can be served by all fleets within the other limits"
        bind = Bind("rate", f"{text}, {job.rate:g} are asked for", job.rate / most, asking("rate", f"{most:.3g}/s"))
        best = free[served.index(max(served))]
        best = replace(best, outcome=infeasible(bind), pool=None, instances=(), variants=())
        return _of_all(question, best)
    order = sorted(range(len(free)), key=lambda i: (free[i].nearest is None, _missed(free[i])))
    binds = [
        replace(bind, text=f"{_brief(free[i].systems[0])}: {bind.text}", lift=bind.lift if i == order[0] else None)
        for i in order
        for bind in free[i].outcome.binds
    ]
    best = replace(free[order[0]], outcome=infeasible(*binds) if binds else Outcome("memory"))
    return _of_all(question, best)


def _of_all(question: ServeQuestion, one: ServePlan) -> ServePlan:
    """One fleet's plan as the answer to what all are asked."""
    return replace(one, question=question, provenance=provenance(question, one.provenance.evidence))


def _missed(one: ServePlan) -> float:
    """By how much the worst limit is missed."""
    return max((bind.by for bind in one.outcome.binds if bind.by is not None), default=float("inf"))


def _brief(system: System) -> str:
    return system.accelerator.title.partition(" (")[0]


def _attention_and_ffn(
    question: ServeQuestion, jobs: Sequence[ServeJob], systems: Sequence[System], levels: Sequence[Constants | None]
) -> ServePlan:
    """Attention on one kind and FFN on the other, whichever way round is better."""
    if len(systems) != 2 or jobs[0].mode != "afd":
        message = "attention and FFN apart are priced for two kinds of accelerators that decode"
        raise InputError(Problem(message, path="afd"))
    found = []
    for first, second in ((0, 1), (1, 0)):
        one = plan(jobs[first], systems[first], fitted=levels[first], ffn=systems[second])
        parts = [_part(systems[first], one, "attention"), _part(systems[second], one, "FFN")]
        parts[1] = replace(parts[1], layout=None if one.ffn is None else one.ffn.pool.text)
        if not one.outcome.feasible:
            found.append(_of_all(question, one))
            continue
        mean = _joined(question, [one], one, one.requests_per_second or 0.0, tuple(parts))
        found.append(replace(mean, speed=replace(mean.speed, input=None), bill=replace(mean.bill, input=None)))
    return max(found, key=lambda one: (one.outcome.feasible, one.requests_per_second or 0.0))


def _beside(
    question: ServeQuestion,
    jobs: Sequence[ServeJob],
    systems: Sequence[System],
    levels: Sequence[Constants | None],
    free: Sequence[ServePlan],
) -> ServePlan | None:
    """All fleets that can keep the limits, side by side; those that cannot stand idle, and are counted.

    free: their plans with no rate. A rate is shared in proportion to what each can do, so that all are equally busy; a
    concurrency in proportion to the bandwidth of their memories, which is what decode lives on.
    """
    good = [i for i, one in enumerate(free) if one.outcome.feasible]
    alone = list(free)
    if jobs[0].concurrency is not None:
        alone = _sharing(jobs, systems, levels)
        good = [i for i, one in enumerate(alone) if one.outcome.feasible]
    able = sum(alone[i].requests_per_second or 0.0 for i in good)
    if not good or (jobs[0].rate is not None and able < jobs[0].rate):
        return None
    if jobs[0].rate is not None:
        for i in good:
            part = jobs[0].rate * (free[i].requests_per_second or 0.0) / able
            alone[i] = plan(replace(jobs[i], rate=part), systems[i], fitted=levels[i])
        if not all(alone[i].outcome.feasible for i in good):
            return None
    lead = max(good, key=lambda i: alone[i].requests_per_second or 0.0)
    rate = sum(alone[i].requests_per_second or 0.0 for i in good)
    parts = tuple(_part(systems[i], alone[i], alone[i].mode if i in good else "idle") for i in range(len(systems)))
    return _joined(question, [alone[i] for i in good], alone[lead], rate, parts)


def _sharing(
    jobs: Sequence[ServeJob], systems: Sequence[System], levels: Sequence[Constants | None]
) -> list[ServePlan]:
    """Plans of all fleets with their part of the requests in flight."""
    able = [system.count * system.accelerator.bandwidth for system in systems]
    return [
        plan(replace(job, concurrency=max((job.concurrency or 1.0) * own / sum(able), 1.0)), system, fitted=level)
        for job, system, level, own in zip(jobs, systems, levels, able, strict=True)
    ]


def _split(
    question: ServeQuestion,
    jobs: Sequence[ServeJob],
    systems: Sequence[System],
    levels: Sequence[Constants | None],
    free: Sequence[ServePlan],
    first: int,
    second: int,
) -> ServePlan | None:
    """Prefill on one kind, decode on another, and what else can keep the limits beside; None when no pair can.

    A rate is carried by the pair alone.
    """
    pair = across((jobs[first], jobs[second]), (systems[first], systems[second]), (levels[first], levels[second]))
    if pair is None:
        return None
    prefill, decode = pair.prefill, pair.decode
    wide = 1.0 if prefill.ttft is None or not prefill.ttft.value else prefill.ttft.high / prefill.ttft.value
    lead = replace(decode, mode="disaggregated", speed=replace(decode.speed, ttft=within(pair.ttft, wide)))
    lead = replace(lead, prefill_pool=prefill.pool)
    others = [i for i in range(len(systems)) if i not in (first, second)]
    helping = [i for i in others if free[i].outcome.feasible and jobs[0].rate is None]
    parts = [_part(systems[first], prefill, "prefill"), _part(systems[second], decode, "decode")]
    parts += [_part(systems[i], free[i], free[i].mode) for i in helping]
    parts += [_part(systems[i], decode, "idle") for i in others if i not in helping]
    rate = pair.rate + sum(free[i].requests_per_second or 0.0 for i in helping)
    return _joined(question, [prefill, decode, *(free[i] for i in helping)], lead, rate, tuple(parts))


def _part(system: System, found: ServePlan, does: str) -> FleetShare:
    """What one kind of chips does in a plan of several."""
    idle, whole = does == "idle", does not in ("attention", "FFN")
    return FleetShare(
        chip=system.accelerator.name,
        title=system.accelerator.title,
        count=system.count,
        does=does,
        layout=None if idle else found.layout_text,
        prefill_layout=None if idle or does != "disaggregated" else found.prefill_layout_text,
        weights=found.formats.weights,
        requests=0.0 if idle else found.requests_per_second,
        tpot=None if idle or found.tpot is None else found.tpot.value,
        ttft=None if idle or found.ttft is None else found.ttft.value,
        output_cost=None if idle or not whole else found.bill.output,
    )


def _joined(
    question: ServeQuestion, used: Sequence[ServePlan], lead: ServePlan, rate: float, shares: tuple[FleetShare, ...]
) -> ServePlan:
    """The figures of all fleets together; `lead` gives what belongs to one of them."""
    job, count = question.job, float(sum(fleet.system.count for fleet in question.fleets))
    part = lead.breakdown.get("prefill", 0.0)
    if lead.mode == "disaggregated" and lead.prefill_pool is not None:
        part = next((share.count for share in shares if share.does == "prefill"), 0.0) / count or part
    output, given = rate * float(job.osl) / count, rate * float(job.isl) / count
    slowest = max(used, key=lambda one: 0.0 if one.tpot is None else one.tpot.value)
    own = lead.speed.output
    speed = replace(
        lead.speed,
        requests=rate,
        tpot=slowest.tpot,
        output=within(output, 1.0 if own is None or not own.value else own.high / own.value),
        input=given,
        batch=sum((one.speed.batch or 0.0) * one.accelerators for one in used) / count,
    )
    return replace(
        lead,
        question=question,
        accelerators=int(count),
        used=sum(one.used for one in used),
        instances=tuple(each for one in used for each in one.instances),
        speed=speed,
        bill=_bill(question, used, part, rate, count),
        shares=shares,
        variants=(),
        fewest=None,
        provenance=provenance(question, lead.provenance.evidence),
    )


Each = TypeVar("Each", ChipPrice, ChipPower)


def _mean(values: Sequence[Each | None], systems: Sequence[System]) -> Each | None:
    """Mean over all accelerators; None when one of them is not known."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    total = sum(value.value * system.count for value, system in zip(known, systems, strict=True))
    value = total / sum(system.count for system in systems)
    return replace(known[0], value=value, basis="mean of the fleets", source="")


def _bill(question: ServeQuestion, used: Sequence[ServePlan], share: float, rate: float, count: float) -> Bill:
    """Cost and energy of tokens, and a day at a price list, of all fleets together. share: that prefills."""
    job, systems = question.job, [fleet.system for fleet in question.fleets]
    price = _mean([fleet.price for fleet in question.fleets], systems)
    if price is not None and len({fleet.price.term for fleet in question.fleets if fleet.price is not None}) > 1:
        price = replace(price, term="mixed")
    power = _mean([fleet.power for fleet in question.fleets], systems)
    isl, hit = float(job.isl), float(job.cache_hit)
    given, output = rate * isl / count, rate * float(job.osl) / count
    fresh_cost, cached_cost = input_costs(price, share, given, hit, _cached(used, hit))
    return Bill(
        price=price,
        power=power,
        input=per_million(price, share, given),
        output=per_million(price, 1 - share, output),
        fresh=fresh_cost,
        cached=cached_cost,
        input_energy=per_million(power, share, given),
        output_energy=per_million(power, 1 - share, output),
        day=day(job.price_list, price, count, rate, Traffic(isl=job.isl, osl=job.osl, hit=job.cache_hit)),
    )


def _cached(used: Sequence[ServePlan], hit: float) -> float | None:
    """Share of prefill's time that cached tokens cost, of the first fleet that prefills."""
    for one in used:
        if one.bill.cached is not None and one.bill.input:
            return one.bill.cached * hit / one.bill.input
    return None
