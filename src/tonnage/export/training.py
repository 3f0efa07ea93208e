"""What a training plan is written for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tonnage import __version__
from tonnage.errors import InputError, Problem, nearest
from tonnage.export import bridge, megatron, mindspeed, run_plan, step_check, torchtitan, verl
from tonnage.export.exported import CannotExport, ExportedFile
from tonnage.export.train_tables import version as known_version
from tonnage.train.result import TrainPlan

TRAINING: Mapping[str, Callable[[TrainPlan], tuple[ExportedFile, ...]]] = {
    "megatron": megatron.files,
    "bridge": bridge.files,
    "torchtitan": torchtitan.files,
    "mindspeed": mindspeed.files,
    "verl": verl.files,
    "run": run_plan.files,
}
"""What trains, and what writes its files."""


def training_files(plan: TrainPlan, engine: str, version: str | None = None) -> tuple[ExportedFile, ...]:
    """The files of a run for an engine, and the script that checks its log.

    version: of the engine; settings are known of one release each. Raises InputError for a name that is not known, and
    CannotExport where the engine cannot be told what the plan decided.
    """
    if engine not in TRAINING:
        raise InputError(
            Problem(f'"{engine[:40]}" is not one of {", ".join(TRAINING)}', suggestion=nearest(engine, TRAINING))
        )
    if version is not None and version != _version(engine):
        raise CannotExport(
            engine, f"settings of {engine} {version} are not known here; those of {_version(engine)} are"
        )
    return (*TRAINING[engine](plan), *step_check.files(plan, engine))


def _version(engine: str) -> str:
    """The release that files are for: of `run` this one."""
    return __version__ if engine == run_plan.NAME else known_version(engine)
