"""What a training plan is written for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tonnage.errors import InputError, Problem, nearest
from tonnage.export import megatron
from tonnage.export.exported import CannotExport, ExportedFile
from tonnage.export.train_tables import version as known_version
from tonnage.train.result import TrainPlan

TRAINING: Mapping[str, Callable[[TrainPlan], tuple[ExportedFile, ...]]] = {
    "megatron": megatron.files,
}
"""What trains, and what writes its files."""


def training_files(plan: TrainPlan, engine: str, version: str | None = None) -> tuple[ExportedFile, ...]:
    """The files of a run for an engine, and the script that checks its log.

    version: of the engine; settings are known of one release each. Raises InputError for a name that is not known, and
    CannotExport where the engine cannot be told what the plan decided.
    """
    if engine not in TRAINING:
        raise InputError(Problem(f'"{engine[:40]}" is not one of {", ".join(TRAINING)}', suggestion=nearest(engine, TRAINING)))
    if version is not None and version != known_version(engine):
        why = f"settings of {engine} {version} are not known here; those of {known_version(engine)} are"
        raise CannotExport(engine, why)
    return TRAINING[engine](plan)
