"""The fleet's values in words: the one place where causes, activities and what-ifs become sentences."""

from __future__ import annotations

from tonnage.fleet.causes import Activity, Cause


def cause(found: Cause) -> str:
    """`r2: pretrain on ascend`."""
    if found.kind == "rounds":
        does = "rounds until good enough"
    elif found.kind == "waits_for_capacity":
        does = "waits for capacity to serve it"
    elif found.kind == "no_place":
        does = "waits for a place to be trained on, and there is none"
    elif found.kind == "moves":
        does = f"moves to {found.place}"
    elif found.kind == "waits_for_chips":
        does = f"waits for chips of {found.place}"
    else:
        does = f"{'failed attempt' if found.kind == 'failed_attempt' else found.kind} on {found.place}"
    return f"{found.model}: {does}"


def activity(found: Activity) -> str:
    """`serves r1`, `trains r2: pretrain`, `trains r2 (fails)`, `moves r2`, `improves r2`, `available`."""
    if found.kind == "available":
        return "available"
    if found.kind in ("serves", "improves", "moves"):
        return f"{found.kind} {found.model}"
    return f"trains {found.model} (fails)" if found.kind == "fails" else f"trains {found.model}: {found.kind}"
