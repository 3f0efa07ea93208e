"""Plans as the flags and files of real engines."""

from tonnage.export.flags import EngineLaunch, launch, launches

__all__ = ["EngineLaunch", "launch", "launches"]
