"""`tonnage launch PROGRAMME.yaml`: whether, when and at what cost a programme launches, and what is in the way."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tonnage.cli.common import COMMON, Common, check_outputs, finish
from tonnage.cli.flags import as_flags
from tonnage.errors import InputError, Problem
from tonnage.report.envelope import Reply

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.fleet import LaunchPlan, Programme
    from tonnage.fleet.pieces import Ran, Runner

NAMES = frozenset({"draws", "ray", "set"})
"""Fields that have a flag."""


def launch(
    programme: Path,
    /,
    *,
    draws: int = 500,
    picture: Annotated[Path | None, Parameter(negative="")] = None,
    ray: Annotated[tuple[str, ...] | None, Parameter(negative="", consume_multiple=(0, 1))] = None,
    resume: Annotated[Path | None, Parameter(negative="")] = None,
    common: Common = COMMON,
) -> int:
    """Whether, when and at what cost a programme launches: P10, P50, P90; what binds; what moves it; what-ifs.

    Parameters
    ----------
    programme
        a programme file; `tonnage new` writes one to start from.
    draws
        how many times the uncertain inputs are drawn.
    picture
        write the timeline as SVG to this file; `-o FILE.svg` does the same.
    ray
        play the draws on Ray: on all processors of this machine, or on the cluster at this address.
    resume
        keep what is played in this folder, and go on from what an interrupted run left there.
    """
    import dataclasses

    from tonnage.fleet import read_programme
    from tonnage.fleet.launch import check_draws
    from tonnage.report import timeline
    from tonnage.report.launch import answer

    with as_flags(NAMES):
        check_draws(draws)
    if picture is not None:
        _check_picture(picture)
        common = dataclasses.replace(common, output=(*common.output, picture))
    check_outputs(common, (".svg",))
    catalog = common.load_catalog()
    with as_flags(NAMES):
        asked = read_programme(programme, common.changes(), catalog, common.date())
    common.note(f"planning {asked.name}: {len(asked.lots)} lots, {len(asked.models)} models, {draws} draws")
    plan, ran = _played(asked, catalog, draws, ray, resume, common)
    inputs: dict[str, Any] = {"programme": str(programme), "draws": draws, "set": list(common.set)}
    inputs |= {"as_of": common.as_of, "catalog": str(common.catalog) if common.catalog else None}
    reply = Reply(
        "launch",
        inputs,
        plan.to_json() | ({"run": ran.to_json()} if ran else {}),
        answer(plan, str(programme), ran),
        plan.outcome,
        plan.evidence,
        plan.sources,
        catalog,
        {".svg": lambda: timeline.svg(plan)},
    )
    return finish(reply, common)


def _played(
    asked: Programme, catalog: Catalog, draws: int, ray: tuple[str, ...] | None, folder: Path | None, common: Common
) -> tuple[LaunchPlan, Ran | None]:
    """The plan; and how its draws were played, where that was asked to be in another way than at once in here."""
    from tonnage.fleet import launch as forecast

    if ray is None and folder is None:
        return forecast(asked, catalog, common.seed, draws), None
    with contextlib.ExitStack() as open_:
        runner = _runner(ray, folder, open_)
        try:
            return forecast(asked, catalog, common.seed, draws, runner=runner), runner.ran()
        except KeyboardInterrupt:
            if folder is not None:
                common.note(f"what is played is kept in {folder}: the same command goes on from there")
            raise


def _runner(ray: tuple[str, ...] | None, folder: Path | None, open_: contextlib.ExitStack) -> Runner:
    from tonnage.fleet.kept import KeptPieces
    from tonnage.fleet.pieces import InProcess
    from tonnage.fleet.ray_runner import LOCAL, RayRunner

    runner: Runner = InProcess()
    with as_flags(NAMES):
        if ray is not None:
            open_.enter_context(contextlib.redirect_stdout(sys.stderr))  # Ray tells of dead workers on stdout
            runner = open_.enter_context(RayRunner(ray[0] if ray else LOCAL))
        return runner if folder is None else KeptPieces(folder, runner)


def _check_picture(path: Path) -> None:
    """Raise InputError for a picture with another ending than .svg."""
    if path.suffix.lower() != ".svg":
        raise InputError(Problem(f'a picture is written as .svg, not "{path.suffix or path.name}"', "--picture"))
