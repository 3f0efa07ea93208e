"""Plans as the flags and files of real engines."""

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
