"""Several launches at once, and what one launch and several share: who plays the draws, and speeds that are kept."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tonnage.cli.common import Common, check_outputs, finish
from tonnage.cli.flags import as_flags
from tonnage.cli.ledger_file import with_runs
from tonnage.errors import FEASIBLE, InputError, Problem
from tonnage.report.envelope import Reply

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.fleet import Programme
    from tonnage.fleet.pieces import Runner
    from tonnage.fleet.speed_store import FileStore

NAMES = frozenset({"draws", "ray", "set", "sobol", "sweep", "workers"})
"""Fields that have a flag."""


@dataclass(frozen=True)
class SweepRun:
    """How launches are run. ray: an address or none, None without Ray; folder: where pieces are kept; cache: whether
    speeds are; workers: processes, None for as many as are usual.
    """

    draws: int
    ray: tuple[str, ...] | None
    folder: Path | None
    cache: bool
    workers: int | None = None


def swept(paths: Sequence[Path], sweeps: Sequence[str], how: SweepRun, common: Common) -> int:
    """Launch every programme in every variant; told in one table, and whole as JSON.

    All are read before the first is planned, so that what is wrong with any of them is said at once.
    """
    from tonnage.fleet import launch
    from tonnage.fleet.speeds import EnginePlanner
    from tonnage.fleet.sweep import cases
    from tonnage.report.sweep import answer

    check_outputs(common)
    catalog = common.load_catalog()
    with as_flags(NAMES):
        asked = cases([str(path) for path in paths], sweeps)
        programmes = _read([(case.path, dict(case.changed)) for case in asked], catalog, common)
    store, told = speed_store(catalog, how.cache), []
    with opened_runner(how.ray, how.folder, how.workers, how.draws) as runner:
        for number, (case, programme) in enumerate(zip(asked, programmes, strict=True), 1):
            common.note(f"planning {programme.name} {case.words}".rstrip() + f": {number} of {len(asked)}")
            planner = EnginePlanner(programme, catalog, store)
            told.append((case, launch(programme, catalog, common.seed, how.draws, planner, runner=runner)))
        ran = None if how.ray is None and how.folder is None else runner.ran()
    store.save()
    inputs = {"programme": [str(path) for path in paths], "draws": how.draws, "set": list(common.set)}
    inputs |= {"sweep": list(sweeps), "as_of": common.as_of}
    inputs |= {"catalog": str(common.catalog) if common.catalog else None}
    launches = [{"programme": case.path, "changed": dict(case.changed), **plan.to_json()} for case, plan in told]
    outcomes = [plan.outcome for _, plan in told]
    reply = Reply(
        "launch",
        inputs,
        {"launches": launches} | ({"run": ran.to_json()} if ran else {}),
        answer(told, ran),
        FEASIBLE if any(outcome.feasible for outcome in outcomes) else outcomes[0],
        None,
        {source for _, plan in told for source in plan.sources},
        catalog,
    )
    return finish(reply, common)


def _read(asked: Sequence[tuple[str, dict[str, str]]], catalog: Catalog, common: Common) -> list[Programme]:
    """Programmes with what is changed in them. Raises InputError with the problems of all."""
    from tonnage.fleet import read_programme

    found: list[Programme] = []
    problems: list[Problem] = []
    for path, changed in asked:
        try:
            changes = with_runs(Path(path), None, common) | changed
            found.append(read_programme(Path(path), changes, catalog, common.date()))
        except InputError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise InputError(problems)
    return found


def speed_store(catalog: Catalog, cache: bool) -> FileStore:
    """Speeds of earlier runs, where they are to be kept."""
    from tonnage.fleet.speed_store import FileStore, cache_folder

    return FileStore(cache_folder() if cache else None, catalog.digest)


@contextlib.contextmanager
def opened_runner(
    ray: tuple[str, ...] | None, folder: Path | None, workers: int | None, draws: int
) -> Iterator[Runner]:
    """Who plays the draws: this process, several, or Ray; with a folder what is played is kept there."""
    from tonnage.fleet.kept import KeptPieces
    from tonnage.fleet.pieces import InProcess
    from tonnage.fleet.processes import Processes, usual
    from tonnage.fleet.ray_runner import LOCAL, RayRunner

    runner: Runner = InProcess()
    number = usual(draws) if workers is None and ray is None else workers
    with contextlib.ExitStack() as open_:
        with as_flags(NAMES):
            if ray is not None and workers is not None:
                raise InputError(Problem("Ray says how many processes play", path="workers"))
            if number is not None and number != 1:
                runner = open_.enter_context(Processes(number))
            if ray is not None:
                open_.enter_context(contextlib.redirect_stdout(sys.stderr))  # Ray tells of dead workers on stdout
                runner = open_.enter_context(RayRunner(ray[0] if ray else LOCAL))
            runner = runner if folder is None else KeptPieces(folder, runner)
        try:
            yield runner
        except KeyboardInterrupt:
            if folder is None:
                raise
            kept = f"what is played is kept in {folder}: the same command goes on from there; no answer was written"
            raise KeyboardInterrupt(kept) from None
