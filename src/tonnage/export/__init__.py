"""Plans as the flags and files of real engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonnage.lazily import opened

if TYPE_CHECKING:
    from tonnage.export.engines import SERVING, serving_files
    from tonnage.export.exported import CannotExport, ExportedFile
    from tonnage.export.flags import EngineLaunch, launch, launches
    from tonnage.export.training import TRAINING, training_files

__all__ = [
    "SERVING",
    "TRAINING",
    "CannotExport",
    "EngineLaunch",
    "ExportedFile",
    "launch",
    "launches",
    "serving_files",
    "training_files",
]

opened(
    __name__,
    {
        "engines": "SERVING serving_files",
        "exported": "CannotExport ExportedFile",
        "flags": "EngineLaunch launch launches",
        "training": "TRAINING training_files",
    },
)
