"""`tonnage accuracy train|serve`: predictions held against published, measured results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from tonnage.cli.common import COMMON, Common, finish
from tonnage.report.envelope import Reply


def accuracy(
    what: Literal["train", "serve"],
    /,
    *,
    cases: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    everything: Annotated[bool, Parameter(name="--all", negative="")] = False,
    common: Common = COMMON,
) -> int:
    """How far predictions are off published results, beside a null model: one constant per chip.

    Parameters
    ----------
    what
        train or serve.
    cases
        a JSON Lines file of published results instead of the bundled ones; may be repeated.
    everything
        also the cases that are not scored.
    """
    from tonnage.report.accuracy import answer
    from tonnage.truth.evaluate import accuracy as measure

    catalog = common.load_catalog()
    board = measure(what, catalog, cases, everything)
    given = {"what": what, "cases": [str(path) for path in cases], "all": everything}
    return finish(Reply("accuracy", given, board.to_json(), answer(board), catalog=catalog), common)
