"""Several kinds of accelerators under one service: each by itself, or one kind for prefill and another for decode."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any, TypeVar

from tonnage.errors import InputError, Outcome, Problem, infeasible
from tonnage.serve.cost import day, input_costs, per_million
from tonnage.serve.job import Power, Price, ServeJob
from tonnage.serve.plan import ServePlan, plan
from tonnage.serve.points import Traffic
from tonnage.serve.tuning import Constants
from tonnage.system import System


def plan_mixed(
    jobs: Sequence[ServeJob], systems: Sequence[System], fitted: Sequence[Constants | None] | None = None
) -> ServePlan:
    """The better of: every fleet serves by itself, or one prefills for another (requests per second within the limits).

    jobs: the same job for each of `systems`, with the price of its accelerators; fitted: as in `plan`, of each.
    Rates per accelerator are over all
    accelerators of all fleets; ttft and tpot are those of the slowest part. With prefill on one kind and decode on
    another, requests per second are the lesser of what the two can do, and the cache goes over the slower NIC. `parts`
    says what each fleet does.
    """
    began = time.perf_counter()
    levels = list(fitted or [None] * len(systems))
    if jobs[0].apart:
        return _attention_and_ffn(jobs, systems, levels)
    alone = [plan(job, system, fitted=own) for job, system, own in zip(jobs, systems, levels, strict=True)]
    best = _beside(jobs, systems, alone)
    for first, second in permutations(range(len(systems)), 2):
        pair = _split(jobs, systems, levels, first, second)
        if pair is not None and (best is None or (pair.requests_per_second or 0) > (best.requests_per_second or 0)):
            best = pair
    if best is None:
        worst = [bind for one in alone for bind in one.outcome.binds]
        return replace(alone[0], outcome=infeasible(*worst) if worst else Outcome("memory"))
    counted = {"candidates": sum(one.search["candidates"] for one in alone)}
    counted["feasible"] = sum(one.search["feasible"] for one in alone)
    return replace(best, search={**counted, "seconds": time.perf_counter() - began})


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


def _beside(jobs: Sequence[ServeJob], systems: Sequence[System], alone: Sequence[ServePlan]) -> ServePlan | None:
    """All fleets that can keep the limits, side by side; those that cannot stand idle, and are counted."""
    good = [i for i, one in enumerate(alone) if one.outcome.feasible]
    if not good:
        return None
    lead = max(good, key=lambda i: alone[i].requests_per_second or 0.0)
    rate = sum(alone[i].requests_per_second or 0.0 for i in good)
    parts = tuple(_part(systems[i], alone[i], alone[i].mode if i in good else "idle") for i in range(len(systems)))
    return _joined(jobs, systems, [alone[i] for i in good], alone[lead], rate, parts)


def _split(
    jobs: Sequence[ServeJob],
    systems: Sequence[System],
    levels: Sequence[Constants | None],
    first: int,
    second: int,
) -> ServePlan | None:
    """Prefill on one kind, decode on the other; None when either cannot keep its limit."""
    prefill = replace(jobs[first], mode="prefill", tpot=None, rate=None, concurrency=None)
    decode = replace(jobs[second], mode="decode", ttft=None, rate=None, concurrency=None)
    ahead = plan(prefill, systems[first], fitted=levels[first])
    behind = plan(decode, systems[second], fitted=levels[second])
    if not (ahead.outcome.feasible and behind.outcome.feasible):
        return None
    able, wanted = ahead.requests_per_second or 0.0, behind.requests_per_second or 0.0
    rate = min(0.9 * able, wanted)
    lead = replace(behind, mode="disaggregated", ttft=ahead.ttft, ttft_low=ahead.ttft_low, ttft_high=ahead.ttft_high)
    lead = replace(lead, prefill_layout=ahead.layout, prefill_layout_text=ahead.layout_text)
    parts = [_part(systems[first], ahead, "prefill"), _part(systems[second], behind, "decode")]
    parts += [_part(s, behind, "idle") for i, s in enumerate(systems) if i not in (first, second)]
    return _joined(jobs, systems, [ahead, behind], lead, rate, tuple(parts))


def _part(system: System, found: ServePlan, does: str) -> dict[str, Any]:
    idle = does == "idle"
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
        "cost_per_million_output_tokens": None if idle else found.cost_per_million_output_tokens,
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
    launch = [{"chip": part["chip"], **row} for part, one in _working(parts, used) for row in one.launch]
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
        **_money(jobs[0], used, mean, drawn, share, rate, count),
        parts=parts,
        launch=tuple(launch),
        variants=(),
        fewest=None,
        sources=tuple(dict.fromkeys(fact for system in systems for fact in (*system.accelerator.facts, *listed))),
    )


def _working(parts: Sequence[dict[str, Any]], used: Sequence[ServePlan]) -> list[tuple[dict[str, Any], ServePlan]]:
    """Fleets that work, each with its plan."""
    busy = [part for part in parts if part["does"] != "idle"]
    return list(zip(busy, used, strict=False)) if len(used) > 1 else [(busy[0], used[0])]


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
