"""A file that an engine or a scheduler reads, and what stands in the way of writing it."""

from __future__ import annotations

from dataclasses import dataclass

from tonnage.errors import InputError, Problem


@dataclass(frozen=True)
class ExportedFile:
    """One file: its name within a folder, its text, whether it is started."""

    name: str
    text: str
    executable: bool = False


class CannotExport(InputError):
    """A plan that an engine cannot be told, and what it cannot."""

    def __init__(self, engine: str, why: str, hint: str = "") -> None:
        super().__init__(Problem(why, path=engine), hint=hint)
