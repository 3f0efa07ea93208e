"""What a front leaves in a ledger: of each release what its plan predicts, and what its clients had."""

from __future__ import annotations

import datetime

from tonnage import __version__, files
from tonnage.errors import InputError
from tonnage.ledger import CarriedOut, Plain, run_name
from tonnage.provenance import SCHEMA
from tonnage.run.serve.config import Front, Offered, ServedRelease
from tonnage.run.serve.measured import TIMES
from tonnage.run.serve.state import FrontState

HOW = ("answered", "failed", "cut off", "taken back", "refused", "left by the client")
"""How attempts end, as the metrics count them."""


def carried(state: FrontState, file: str, began: datetime.datetime) -> tuple[CarriedOut, ...]:
    """A plan and a run for each release that is offered, with what was measured so far."""
    return tuple(_release(state, one, release, file, began) for one in state.front.models for release in one.releases)


def _release(
    state: FrontState, one: Offered, release: ServedRelease, file: str, began: datetime.datetime
) -> CarriedOut:
    name = run_name(f"{one.name[:20]}", f"{release.name[:16]}", f"{began:%Y%m%d-%H%M%S}")
    seen = state.answered.of(one.name, release.name)
    told = seen.percentiles()
    values = {key: told[f"{key}_p50"] for key in TIMES if told.get(f"{key}_p50", 0.0) > 0}
    counts = {
        how.replace(" ", "_"): state.metrics.value(
            "tonnage_attempts_total", model=one.name, release=release.name, outcome=how
        )
        for how in HOW
    }
    tries = counts["answered"] + counts["failed"] + counts["cut_off"]
    row: dict[str, object] = {"answers": seen.answered, **told, **counts}
    row["errors"] = (counts["failed"] + counts["cut_off"]) / tries if tries else 0.0
    row["share"] = state.answered.shares(one.name).get(release.name, 0.0)
    return CarriedOut(planned(state.front, one, release), name, began.date(), values, row, file)


def planned(front: Front, one: Offered, release: ServedRelease) -> Plain:
    """The saved answer that a release was planned with; what the front's file says of it where there is none."""
    for source in release.replicas:
        if source.plan is not None:
            try:
                held = files.read_json(source.plan).value
            except InputError:
                continue
            if isinstance(held, dict):
                return held
    engines = {source.kind for source in release.replicas}
    return {
        "schema": SCHEMA,
        "command": "run serve",
        "version": __version__,
        "inputs": {"model": release.model, "offered": one.name, "release": release.name},
        "engine": " + ".join(sorted(engines)),
        **dict(release.predicted),
    }
