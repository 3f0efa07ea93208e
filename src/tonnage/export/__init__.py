"""Plans as the flags and files of real engines."""

from tonnage.export.engines import SERVING, serving_files
from tonnage.export.exported import CannotExport, ExportedFile
from tonnage.export.flags import EngineLaunch, launch, launches

__all__ = ["SERVING", "CannotExport", "EngineLaunch", "ExportedFile", "launch", "launches", "serving_files"]
