"""Exported files in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tonnage.export import ExportedFile
from tonnage.report.answer import Answer


def answer(engine: str, made: Sequence[ExportedFile], folders: Sequence[Path]) -> Answer:
    """What was written, or the files themselves where no folder was named."""
    names = ", ".join(one.name for one in made)
    where = " and ".join(map(str, folders))
    if folders:
        sentence = f"The plan is written for {engine} to {where}: {names}."
        return Answer(sentence, hints=("check.sh loads the running service as the plan says",))

    def shown(width: int) -> tuple[str, ...]:
        return tuple(line for one in made for line in (f"==> {one.name}", *one.text.splitlines(), ""))

    hint = f"tonnage export RESULT.json {engine} -o FOLDER writes them"
    return Answer(f"The plan as files of {engine}: {names}.", picture=shown, hints=(hint,))
