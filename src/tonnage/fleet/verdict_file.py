"""Verdict files of `tonnage qualify`, as a programme names them.

They are parsed and never executed; the word of a file has to be what its gates say.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tonnage import files
from tonnage.errors import InputError, nearest
from tonnage.fleet import schema
from tonnage.fleet.judged import SAID, Judged, Word

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.fleet.reading import ProgrammeReader
    from tonnage.qualify.verdict import Verdict

Date = datetime.date

OF_FILE: Mapping[str, Word] = {
    "fit for training": "fit",
    "inference only": "inference only",
    "unfit": "unfit",
    "unknown": "unknown",
}
"""The same in the words of verdict files."""

OF_SIZE = ("interruptions", "undetected")
"""Subjects of gates whose limits follow from the size of the run that was asked about."""

MOST_BESIDE = 500
"""Most files beside a programme that are looked at for the nearest name."""

LARGEST = 4_000_000
"""Largest verdict file that is read [byte]: one has some 200 gates of 300 bytes."""


class VerdictReader:
    """Reads the verdicts of a programme; notes problems in its reader, and in `notes` what adds nothing."""

    def __init__(self, read: ProgrammeReader, folder: Path, catalog: Catalog, known: Date) -> None:
        self.read, self.folder, self.catalog, self.known = read, folder, catalog, known
        self.notes: list[str] = []

    def judged(self, key: str, said: object, chip: str | None) -> Judged | None:
        """The verdict that a programme holds of a lot or chip; None where it adds nothing, or a problem was noted."""
        path = ("assumptions", "verdicts", key)
        if not isinstance(said, Mapping):
            word = self.read.value(said, path, schema.Field("choice", "", choices=SAID))
            return next((Judged(fit) for fit in SAID if fit == word), None)
        name = self.read.mapping(said, path, schema.VERDICT, "a verdict").text("file")
        if name is None:
            return None
        try:
            return self._used(key, read_verdict(self.folder / name, name, chip, self.catalog))
        except InputError as error:
            for problem in error.problems:
                where = f"{problem.where}: " if problem.where else ""
                self.read.problem((*path, "file"), where + problem.message, problem.suggestion or self._beside(name))
        return None

    def _beside(self, name: str) -> str | None:
        """The nearest name of a file beside the programme, where there is none of that name."""
        if (self.folder / name).exists() or not self.folder.is_dir():
            return None
        return nearest(name, sorted(each.name for each in itertools.islice(self.folder.glob("*.json"), MOST_BESIDE)))

    def _used(self, key: str, found: Judged) -> Judged | None:
        """A verdict, unless it says nothing or is later than the day of knowledge; these are noted."""
        of = f"the verdict of {found.file} on {key}"
        if found.date is not None and found.date > self.known:
            self.notes.append(f"{of} is of {found.date}, after {self.known}: it is not used")
            return None
        if found.word == "unknown":
            self.notes.append(f"{of} is unknown: it adds nothing")
            return None
        return found


def read_verdict(path: Path, name: str, chip: str | None, catalog: Catalog) -> Judged:
    """The verdict of a file. name: as the programme calls it; chip: that it has to be of, None where that is not known.

    Raises InputError where the file is no verdict, has no date, or is of another chip.
    """
    body = files.parse_json(files.read_text(path, LARGEST), name)
    found = _verdict_of(body, name)
    held = body.get("device") if isinstance(body.get("device"), dict) else {}
    other = str(held.get("chip", ""))
    if chip is not None and other in catalog.chips() and other != chip:
        raise InputError(f"{name} is a verdict on {other}, not on {chip}")
    try:
        date = Date.fromisoformat(found.date)
    except ValueError:
        raise InputError(f"{name} has no date") from None
    params, sparse = _size(found.model, catalog)
    failed = [gate for gate in found.gates if gate.state == "fail" and gate.decides]
    alone = bool(failed) and all(gate.subject in OF_SIZE for gate in failed)
    return Judged(
        OF_FILE[found.verdict], name, found.device, found.software, date, found.model, found.cards, found.days,
        found.binds[:8], alone, params, sparse,
    )  # fmt: skip


def _verdict_of(body: object, name: str) -> Verdict:
    """The verdict in an answer of `tonnage qualify --json`, or alone."""
    from tonnage.qualify.verdict import from_json

    inside = body.get("verdict") if isinstance(body, dict) else None
    try:
        return from_json(inside if isinstance(inside, dict) else body)  # type: ignore[arg-type]
    except InputError as error:
        problem = error.problems[0]
        raise InputError(f"{name}: {problem.path} {problem.message}".replace(":  ", ": ")) from None


def _size(name: str, catalog: Catalog) -> tuple[float | None, bool | None]:
    """Parameters of a model and whether it is sparse, where the catalogue knows it."""
    from tonnage import model

    if not model.is_bundled(name, catalog):
        return None, None
    found = model.load(name, catalog)
    return float(model.params(found).total), bool(found.moe)
