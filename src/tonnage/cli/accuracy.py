"""`tonnage accuracy train|serve|durations|capacity|checkpoints|launch`: predictions beside what came of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from tonnage.cli.common import SAVED, SavedOptions, finish
from tonnage.errors import InputError, Problem
from tonnage.report.envelope import Reply

if TYPE_CHECKING:
    from tonnage.catalog import Catalog

CASES = ("train", "serve", "durations", "checkpoints")
"""What can be measured on cases of one's own."""

SCORED = ("train", "serve")
"""What has cases that are not scored."""


def accuracy(
    what: Literal["train", "serve", "durations", "capacity", "checkpoints", "launch"],
    /,
    *,
    cases: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    everything: Annotated[bool, Parameter(name="--all", negative="")] = False,
    kept: Annotated[bool, Parameter(negative="")] = False,
    common: SavedOptions = SAVED,
) -> int:
    """How far predictions are off published results, beside a null model: one constant per chip.

    Parameters
    ----------
    what
        train, serve, durations (accelerator-hours of whole runs), capacity (room for the cache as engines log it),
        checkpoints (bytes of released weights) or launch (the back-test: dates foreseen on a day, as they were last
        played).
    cases
        a JSON Lines file of published results instead of the bundled ones; may be repeated.
    everything
        also the cases that are not scored.
    kept
        the board of train or serve as it was last predicted, at once: it comes with tonnage.
    """
    from tonnage.report.accuracy import answer
    from tonnage.truth.evaluate import accuracy as measure

    unread = [
        flag
        for flag, asked, of in (("--cases", cases, CASES), ("--all", everything, SCORED), ("--kept", kept, SCORED))
        if asked and what not in of
    ]
    if unread:
        raise InputError([Problem(f"means nothing to {what}", flag) for flag in unread])
    if kept and (cases or everything or common.catalog):
        raise InputError(Problem("is of the bundled cases that are scored, with the bundled catalogue", "--kept"))
    catalog = common.load_catalog()
    given = {"what": what, "cases": [str(path) for path in cases], "all": everything}
    if what == "durations":
        from tonnage.report.durations import answer as runs
        from tonnage.truth.durations_board import accuracy as took

        found = took(catalog, cases)
        return finish(Reply("accuracy", given, found.to_json(), runs(found), catalog=catalog), common)
    if what == "capacity":
        from tonnage.report.capacity import answer as rooms
        from tonnage.report.capacity import to_json
        from tonnage.truth.capacity import capacities

        logged = capacities(catalog)
        return finish(Reply("accuracy", given, to_json(logged), rooms(logged), catalog=catalog), common)
    if what == "checkpoints":
        from tonnage.report.checkpoints import answer as sizes
        from tonnage.truth.checkpoints import accuracy as held

        weights = held(catalog, cases)
        return finish(Reply("accuracy", given, weights.to_json(), sizes(weights), catalog=catalog), common)
    if what == "launch":
        from tonnage.report.launches import answer as foreseen
        from tonnage.truth.launches import launches

        played = launches()
        return finish(Reply("accuracy", given, played.to_json(), foreseen(played), catalog=catalog), common)
    if kept:
        return finish(_kept(what, given, catalog), common)
    board = measure(what, catalog, cases, everything)
    return finish(Reply("accuracy", given, board.to_json(), answer(board), catalog=catalog), common)


def _kept(what: str, given: dict[str, Any], catalog: Catalog) -> Reply:
    """The board that comes with tonnage, and of when it is."""
    from tonnage.report.boards import board

    held = board(what)
    of = "" if held.current else "; facts or constants have changed since"
    row = ("predicted", f"{held.made} by tonnage {held.version}{of}; tonnage accuracy {what} predicts again")
    said = dataclasses.replace(held.answer, rows=(*held.answer.rows, row))
    return Reply("accuracy", {**given, "kept": True}, dict(held.body), said, catalog=catalog)
