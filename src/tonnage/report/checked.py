"""What a simulation of a plan said of its limits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tonnage import units
from tonnage.report.answer import Answer

if TYPE_CHECKING:
    from tonnage.ask.checked import SloCheck
    from tonnage.values import Plain


def with_check(answer: Answer, check: SloCheck) -> Answer:
    """The answer with what was simulated; the sentence is that of the simulation where it breaks a limit."""
    got = ", ".join(
        f"{one.name} {units.show_time(value)} of {units.show_time(one.limit)}"
        for one, value in zip(check.limits, check.reached, strict=True)
    )
    text = f"{check.requests:,} requests at {check.rate:.4g}/s: {got}"
    if check.rounds > 1:
        limits = ", ".join(f"{one.name} {units.show_time(one.limit)}" for one in check.planned)
        text += f"; planned for {limits}, as plans for the limits themselves broke them"
    answer = replace(answer, rows=(*answer.rows, ("simulated", text)))
    if check.kept:
        return answer
    return replace(answer, sentence=f"No: {check.outcome.binds[0].text}.", feasible=False)


def check_json(check: SloCheck) -> dict[str, Plain]:
    """The same as keys of the JSON."""
    return {
        "requests": check.requests,
        "rate": check.rate,
        "kept": check.kept,
        "plans": check.rounds,
        "limits": [
            {"what": one.what, "percentile": one.key, "limit": one.limit, "reached": value, "planned": made.limit}
            for one, value, made in zip(check.limits, check.reached, check.planned, strict=True)
        ],
    }
