"""A plan made once more from the question that it holds."""

from __future__ import annotations

from dataclasses import replace

from tonnage.errors import InputError, Problem
from tonnage.serve.fleets import plan_mixed
from tonnage.serve.plan import plan
from tonnage.serve.result import ServePlan


def plan_again(found: ServePlan) -> ServePlan:
    """The plan that the question of `found` leads to now; its catalogue and seed stay.

    Nothing but the plan is needed. Raises `InputError` where it rests on measured operators that it does not have with
    it, as after it was read from JSON.
    """
    asked = found.question
    lost = [f.measured for f in asked.fleets if f.measured is not None and f.system.accelerator.measured is None]
    if lost:
        raise InputError(Problem(f"rests on measurements that a saved plan does not keep: {'; '.join(lost)}"))
    first = asked.fleets[0]
    if len(asked.fleets) > 1:
        jobs = [replace(asked.job, price=fleet.price, power=fleet.power) for fleet in asked.fleets]
        made = plan_mixed(jobs, [fleet.system for fleet in asked.fleets], [fleet.constants for fleet in asked.fleets])
    else:
        made = plan(
            asked.job,
            first.system,
            asked.layout,
            asked.prefill_layout,
            first.constants,
            ffn=asked.ffn,
            ffn_fixed=asked.ffn_layout,
        )
    return made.sourced((), found.provenance.catalog, found.provenance.seed)
