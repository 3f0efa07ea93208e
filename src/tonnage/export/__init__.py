"""Plans as the flags and files of real engines."""

from tonnage.export.flags import Launch, launch, launches

__all__ = ["Launch", "launch", "launches"]
