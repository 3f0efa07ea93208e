"""`tonnage launch PROGRAMME.yaml`: whether, when and at what cost a programme launches, and what is in the way."""

from __future__ import annotations

import datetime
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tonnage import units
from tonnage.cli.calibration import catalog_with, measured_rows, said
from tonnage.cli.common import COMMON, Common, check_outputs, finish
from tonnage.cli.flags import as_flags
from tonnage.cli.launch_told import ToldPlanner, ToldRunner
from tonnage.cli.ledger_file import with_runs
from tonnage.cli.sweep import NAMES, SweepRun, opened_runner, speed_store, swept
from tonnage.errors import InputError, Problem
from tonnage.report.envelope import Reply

if TYPE_CHECKING:
    from tonnage.fleet import Programme


def launch(
    programme: Path,
    /,
    *more: Path,
    draws: int = 500,
    by: Annotated[str | None, Parameter(negative="")] = None,
    sobol: int = 0,
    no_what_ifs: Annotated[bool, Parameter(negative="")] = False,
    picture: Annotated[Path | None, Parameter(negative="")] = None,
    ray: Annotated[tuple[str, ...] | None, Parameter(negative="", consume_multiple=(0, 1))] = None,
    resume: Annotated[Path | None, Parameter(negative="")] = None,
    sweep: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    workers: int | None = None,
    cache: bool = True,
    run: Annotated[str | None, Parameter(negative="")] = None,
    calibration: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    common: Common = COMMON,
) -> int:
    """Whether, when and at what cost a programme launches: P10, P50, P90; what binds; what moves it; what-ifs.

    Parameters
    ----------
    programme
        a programme file; `tonnage new` writes one to start from.
    more
        further programmes: all are launched, and told in one table.
    draws
        how many times the uncertain inputs are drawn.
    by
        a date: the cheapest launch by then in the base case, or the cheapest lawful change that makes one possible.
    sobol
        Sobol indices of the launch day (which input accounts for which share of its variance) from a base sample of so
        many draws, 16 to 4,096, which is played once for each uncertain input and twice more.
    no_what_ifs
        a first answer in a third of the time: without what-ifs, what binds the best plan and what lies near it.
    picture
        write the timeline as SVG to this file; `-o FILE.svg` does the same.
    ray
        play the draws on Ray: on all processors of this machine, or on the cluster at this address.
    resume
        keep what is played in this folder, and go on from what an interrupted run left there.
    sweep
        KEY=VALUE,VALUE: launch with each of these values of one input (as `--set`, in every combination if it is
        repeated), and tell all in one table.
    workers
        processes that play the draws, this one counted: unless given 2 from 1,000 draws on, where the machine has two
        processors. The answer is the same.
    cache
        keep planned speeds between runs, in the folder that TONNAGE_CACHE names (~/.cache/tonnage unless it is given;
        off: nowhere). The answer is the same.
    run
        a run under way by its name in the ledger, or MODEL=RUN: how much is done, since when and what interrupted it
        are taken from what was measured, and the plan starts on the day of the last measurement.
    calibration
        a file of `tonnage qualify`, measured on these chips; its device can be asked for by its name. May be repeated.
    """
    import dataclasses

    from tonnage.fleet import launch as forecast
    from tonnage.fleet import read_programme
    from tonnage.fleet.launch import check_draws
    from tonnage.fleet.sobol import check_base
    from tonnage.fleet.speeds import EnginePlanner
    from tonnage.report import timeline
    from tonnage.report.launch import answer

    with as_flags(NAMES):
        check_draws(draws)
        check_base(sobol)
    if more or sweep:
        one: dict[str, object] = {"--by": by, "--sobol": sobol, "--no-what-ifs": no_what_ifs, "--picture": picture}
        one |= {"--run": run, "--calibration": calibration}
        _refuse([name for name, given in one.items() if given])
        return swept((programme, *more), sweep, SweepRun(draws, ray, resume, cache, workers), common)
    if picture is not None:
        _check_picture(picture)
        common = dataclasses.replace(common, output=(*common.output, picture))
    check_outputs(common, (".svg",), drawn=True)
    catalog = catalog_with(calibration, common)()
    changes = with_runs(programme, run, common)
    with as_flags(NAMES):
        asked = read_programme(programme, changes, catalog, common.date())
    _begun(asked, draws, sobol, common)
    store = speed_store(catalog, cache)
    planner = ToldPlanner(EnginePlanner(asked, catalog, store))
    day = _day(by, asked)
    ask = functools.partial(forecast, asked, catalog, common.seed, draws, planner, not no_what_ifs, day, sobol)
    with opened_runner(ray, resume, workers, draws) as runner:
        plan = ask(runner=ToldRunner(runner), reasons=not no_what_ifs)
        ran = runner.ran() if ray is not None or resume is not None else None
    store.save()
    inputs: dict[str, Any] = {
        "programme": str(programme),
        "draws": draws,
        "set": [f"{k}={v}" for k, v in changes.items()],
    }
    inputs |= {"by": by} if by else {}
    inputs |= {"as_of": common.as_of, "catalog": str(common.catalog) if common.catalog else None}
    inputs |= {key: value for key, value in (("sobol", sobol), ("no_what_ifs", no_what_ifs)) if value}
    inputs |= said({"calibration": calibration})
    told = answer(plan, str(programme), ran)
    told = dataclasses.replace(told, rows=(*told.rows, *measured_rows(catalog, [lot.chip for lot in asked.lots])))
    reply = Reply(
        "launch",
        inputs,
        plan.to_json() | ({"run": ran.to_json()} if ran else {}),
        told,
        plan.outcome,
        plan.evidence,
        plan.sources,
        catalog,
        {".svg": lambda: timeline.svg(plan)},
    )
    return finish(reply, common)


def _refuse(flags: list[str]) -> None:
    """Raise InputError for flags that are of one launch only."""
    if flags:
        raise InputError([Problem("is of one launch, not of several", where=flag) for flag in flags])


def _day(text: str | None, programme: Programme) -> datetime.date | None:
    """The date of `--by`; InputError if it is none, or outside the horizon."""
    if text is None:
        return None
    try:
        day = units.parse_date(text)
    except ValueError as error:
        raise InputError(Problem(str(error), "--by")) from error
    if not programme.start < day <= programme.end:
        raise InputError(Problem(f"expected a date from {programme.start} to {programme.end}, got {day}", "--by"))
    return day


def _begun(asked: Programme, draws: int, sobol: int, common: Common) -> None:
    """Says what is planned."""
    counted = ((len(asked.lots), "lot"), (len(asked.models), "model"), (draws, "draw"))
    parts = ", ".join(f"{many} {what}{'s' * (many != 1)}" for many, what in counted)
    common.note(f"planning {asked.name}: {parts}")
    if sobol:
        common.note(f"and for Sobol indices {sobol} draws for each uncertain input, and twice more")


def _check_picture(path: Path) -> None:
    """Raise InputError for a picture with another ending than .svg."""
    if path.suffix.lower() != ".svg":
        raise InputError(Problem(f'a picture is written as .svg, not "{path.suffix or path.name}"', "--picture"))
