"""Several kinds of accelerators under one service: each by itself, or one kind for prefill and another for decode."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any, TypeVar

from tonnage.errors import Bind, InputError, Outcome, Problem, infeasible
from tonnage.serve.across import across
from tonnage.serve.cost import day, input_costs, per_million
from tonnage.serve.job import Power, Price, ServeJob
from tonnage.serve.plan import ServePlan, plan
from tonnage.serve.points import Traffic
from tonnage.serve.tuning import Constants
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
    if jobs[0].apart:
        return _attention_and_ffn(jobs, systems, levels)
    free = [plan(replace(job, rate=None), one, fitted=own) for job, one, own in zip(jobs, systems, levels, strict=True)]
    found = [] if jobs[0].mode == "disaggregated" else [_beside(jobs, systems, levels, free)]
    if jobs[0].mode in ("auto", "disaggregated") and jobs[0].concurrency is None and jobs[0].batch is None:
        pairs = permutations(range(len(systems)), 2)
        found += [_split(jobs, systems, levels, free, first, second) for first, second in pairs]
    if jobs[0].mode == "disaggregated":
        found.append(_beside(jobs, systems, levels, free))
    good = [one for one in found if one is not None]
    if not good:
        return _refused(jobs[0], systems, free)
    best = max(good, key=lambda one: _merit(jobs[0], one))
    counted = {name: sum(one.search[name] for one in free) for name in ("candidates", "feasible")}
    return replace(best, search={**counted, "seconds": time.perf_counter() - began})


def _merit(job: ServeJob, one: ServePlan) -> float:
    """Throughput; with a rate to carry, speed per user."""
    return -(one.tpot or 0.0) if job.rate is not None else one.requests_per_second or 0.0


def _refused(job: ServeJob, systems: Sequence[System], free: Sequence[ServePlan]) -> ServePlan:
    """What binds each fleet; the nearest service level and its lift are those of the fleet that is nearest to it."""
    served = [one.requests_per_second or 0.0 for one in free]
    if job.rate is not None and any(served):
        text = f"at most {sum(served):.3g} requests/s can be served by all fleets within the other limits"
        bind = Bind(
            "rate", f"{text}, {job.rate:g} are asked for", job.rate / sum(served), f"--rate {sum(served):.3g}/s"
        )
        return replace(free[served.index(max(served))], outcome=infeasible(bind), layout=None, launch=(), variants=())
    order = sorted(range(len(free)), key=lambda i: (free[i].nearest is None, _missed(free[i])))
    binds = [
        replace(bind, text=f"{_brief(systems[i])}: {bind.text}", lift=bind.lift if i == order[0] else None)
        for i in order
        for bind in free[i].outcome.binds
    ]
    return replace(free[order[0]], outcome=infeasible(*binds) if binds else Outcome("memory"))


def _missed(one: ServePlan) -> float:
    """By how much the worst limit is missed."""
    return max((bind.by for bind in one.outcome.binds if bind.by is not None), default=float("inf"))


def _brief(system: System) -> str:
    return system.accelerator.title.partition(" (")[0]


def _attention_and_ffn(
    jobs: Sequence[ServeJob], systems: Sequence[System], levels: Sequence[Constants | None]
) -> ServePlan:
    """Attention on one kind and FFN on the other, whichever way round is better."""
    if len(systems) != 2 or jobs[0].mode != "afd":
        message = "attention and FFN apart are priced for two kinds of accelerators that decode"
        raise InputError(Problem(message, "--afd"))
    found = []
    for first, second in ((0, 1), (1, 0)):
        one = plan(jobs[first], systems[first], fitted=levels[first], ffn=systems[second])
        parts = [_part(systems[first], one, "attention"), _part(systems[second], one, "FFN")]
        parts[1]["layout"] = one.ffn_layout_text
        if not one.outcome.feasible:
            found.append(one)
            continue
        mean = _joined(jobs, systems, [one], one, one.requests_per_second or 0.0, tuple(parts))
        found.append(replace(mean, input_tokens_per_second_per_accelerator=None, cost_per_million_input_tokens=None))
    return max(found, key=lambda one: (one.outcome.feasible, one.requests_per_second or 0.0))


def _beside(
    jobs: Sequence[ServeJob], systems: Sequence[System], levels: Sequence[Constants | None], free: Sequence[ServePlan]
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
    return _joined(jobs, systems, [alone[i] for i in good], alone[lead], rate, parts)


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
    ahead, behind = pair.ahead, pair.behind
    wide = (ahead.ttft_high or 1.0) / (ahead.ttft or 1.0)
    lead = replace(behind, mode="disaggregated", ttft=pair.ttft, ttft_low=pair.ttft / wide, ttft_high=pair.ttft * wide)
    lead = replace(lead, prefill_layout=ahead.layout, prefill_layout_text=ahead.layout_text)
    others = [i for i in range(len(systems)) if i not in (first, second)]
    helping = [i for i in others if free[i].outcome.feasible and jobs[0].rate is None]
    parts = [_part(systems[first], ahead, "prefill"), _part(systems[second], behind, "decode")]
    parts += [_part(systems[i], free[i], free[i].mode) for i in helping]
    parts += [_part(systems[i], behind, "idle") for i in others if i not in helping]
    rate = pair.rate + sum(free[i].requests_per_second or 0.0 for i in helping)
    return _joined(jobs, systems, [ahead, behind, *(free[i] for i in helping)], lead, rate, tuple(parts))


def _part(system: System, found: ServePlan, does: str) -> dict[str, Any]:
    idle, whole = does == "idle", does not in ("attention", "FFN")
    return {
        "chip": system.accelerator.name,
        "title": system.accelerator.title,
        "count": system.count,
        "does": does,
        "layout": None if idle else found.layout_text,
        "prefill_layout": None if idle or does != "disaggregated" else found.prefill_layout_text,
        "weights": found.weights,
        "requests_per_second": 0.0 if idle else found.requests_per_second,
        "tpot": None if idle else found.tpot,
        "ttft": None if idle else found.ttft,
        "cost_per_million_output_tokens": None if idle or not whole else found.cost_per_million_output_tokens,
    }


def _joined(
    jobs: Sequence[ServeJob],
    systems: Sequence[System],
    used: Sequence[ServePlan],
    lead: ServePlan,
    rate: float,
    parts: tuple[dict[str, Any], ...],
) -> ServePlan:
    """The figures of all fleets together; `lead` gives what belongs to one of them."""
    count = float(sum(system.count for system in systems))
    output, given = rate * float(jobs[0].osl) / count, rate * float(jobs[0].isl) / count
    mean, drawn = _mean([job.price for job in jobs], systems), _mean([job.power for job in jobs], systems)
    share = lead.breakdown.get("prefill", 0.0)
    if lead.mode == "disaggregated" and lead.prefill_layout:
        share = next((part["count"] for part in parts if part["does"] == "prefill"), 0.0) / count or share
    wide = (lead.output_tokens_per_second_per_accelerator_high or 1.0) / (
        lead.output_tokens_per_second_per_accelerator or 1.0
    )
    listed = jobs[0].price_list.facts if jobs[0].price_list else ()
    launch = [{"chip": _whose(part, parts, row), **row} for part, one in _working(parts, used) for row in one.launch]
    slowest = max(used, key=lambda one: one.tpot or 0.0)
    return replace(
        lead,
        accelerators=int(count),
        used=sum(one.used for one in used),
        tpot=slowest.tpot,
        tpot_low=slowest.tpot_low,
        tpot_high=slowest.tpot_high,
        requests_per_second=rate,
        output_tokens_per_second_per_accelerator=output,
        output_tokens_per_second_per_accelerator_low=output / wide,
        output_tokens_per_second_per_accelerator_high=output * wide,
        input_tokens_per_second_per_accelerator=given,
        cost_per_million_input_tokens=per_million(mean, share, given),
        cost_per_million_output_tokens=per_million(mean, 1 - share, output),
        price=None if mean is None else "mean of the fleets",
        price_per_accelerator=None if mean is None else mean.value,
        batch_per_accelerator=sum((one.batch_per_accelerator or 0.0) * one.accelerators for one in used) / count,
        **_money(jobs[0], used, mean, drawn, share, rate, count),
        parts=parts,
        launch=tuple(_strangers(launch)),
        variants=(),
        fewest=None,
        sources=tuple(dict.fromkeys(fact for system in systems for fact in (*system.accelerator.facts, *listed))),
    )


def _working(parts: Sequence[dict[str, Any]], used: Sequence[ServePlan]) -> list[tuple[dict[str, Any], ServePlan]]:
    """Fleets that work, each with its plan."""
    busy = [part for part in parts if part["does"] != "idle"]
    return list(zip(busy, used, strict=False)) if len(used) > 1 else [(busy[0], used[0])]


def _strangers(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of two pools, with what stands in the way where their engines differ."""
    apart = {row["engine"] for row in rows if row["role"] in ("prefill", "decode")}
    if len(apart) < 2:
        return list(rows)
    why = (
        f"priced as if {' and '.join(sorted(apart))} handed over the cache in one form, which they do not by themselves"
    )
    return [{**row, "why": row["why"] or why} if row["role"] in ("prefill", "decode") else row for row in rows]


def _whose(part: dict[str, Any], parts: Sequence[dict[str, Any]], row: dict[str, Any]) -> str:
    """The chip that a kind of instance is told to run on."""
    ffn = [one["chip"] for one in parts if one["does"] == "FFN" and row["role"] == "ffn"]
    return str(ffn[0] if ffn else part["chip"])


Each = TypeVar("Each", Price, Power)


def _mean(values: Sequence[Each | None], systems: Sequence[System]) -> Each | None:
    """Mean over all accelerators; None when one of them is not known."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    total = sum(value.value * system.count for value, system in zip(known, systems, strict=True))
    return replace(known[0], value=total / sum(system.count for system in systems))


def _money(
    job: ServeJob,
    used: Sequence[ServePlan],
    price: Price | None,
    power: Power | None,
    share: float,
    rate: float,
    count: float,
) -> dict[str, Any]:
    """Cost of fresh and cached input, energy, and a day at a price list, of all fleets together."""
    isl, hit = float(job.isl), float(job.cache_hit)
    given, output = rate * isl / count, rate * float(job.osl) / count
    fresh_cost, cached_cost = input_costs(price, share, given, hit, _cached(used, hit))
    traffic = Traffic(isl=job.isl, osl=job.osl, hit=job.cache_hit)
    sold = day(job.price_list, price, count, rate, traffic)
    return {
        "cost_per_million_fresh_tokens": fresh_cost,
        "cost_per_million_cached_tokens": cached_cost,
        "energy_per_million_input_tokens": per_million(power, share, given),
        "energy_per_million_output_tokens": per_million(power, 1 - share, output),
        "power": None if power is None else "mean of the fleets",
        "day": None if sold is None else sold.to_json(),
    }


def _cached(used: Sequence[ServePlan], hit: float) -> float | None:
    """Share of prefill's time that cached tokens cost, of the first fleet that prefills."""
    for one in used:
        cached, whole = one.cost_per_million_cached_tokens, one.cost_per_million_input_tokens
        if cached is not None and whole:
            return cached * hit / whole
    return None
