"""What moved an answer since it was saved: a file of the user's, the catalogue, the version, or the code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tonnage.report.answer import Answer
from tonnage.report.compare import Row, differences, tables

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Moved:
    """Differences from a saved answer by their cause.

    by_code: of the saved question, asked with today's code (of a launch: and today's catalogue); by_facts: what asking
    anew, with today's file and catalogue, changes beyond that; whole: all of them; same_catalog, same_version: as when
    the answer was saved; asked: whether it could be asked anew, and why not.
    """

    by_code: tuple[Row, ...]
    by_facts: tuple[Row, ...]
    whole: tuple[Row, ...]
    same_catalog: bool
    same_version: bool
    asked: str | None = None

    @property
    def cause(self) -> str:
        """What moved the numbers, in words."""
        causes = []
        if self.by_code:
            causes.append("the catalogue or the code" if self.launch and not self.same_catalog else self.code)
        if self.by_facts:
            causes.append("a file" if self.same_catalog or self.launch else "a file or the catalogue")
        return " and ".join(causes) or "nothing"

    launch: bool = False

    @property
    def code(self) -> str:
        """The code, by its version where that tells it apart."""
        return "the code (same version)" if self.same_version else "another version of tonnage"


def moved(saved: Body, from_plan: Body | None, anew: Body | None, catalog: str, version: str, why: str | None) -> Moved:
    """Differences of a saved answer from the same question again (None where it holds no plan), and asked anew (None
    where that cannot be, as `why` says).
    """
    code = () if from_plan is None else _changes(saved, from_plan)
    facts = () if anew is None else _changes(saved if from_plan is None else {**saved, **from_plan}, anew)
    whole = _changes(saved, anew if anew is not None else from_plan or saved)
    same = saved.get("catalog") == catalog
    return Moved(code, facts, whole, same, saved.get("version") == version, why, saved.get("command") == "launch")


def _changes(first: Body, second: Body) -> tuple[Row, ...]:
    """Differences in what both answers have; inputs are left out, for they are asked alike."""
    keys = [key for key in second if key in first and key not in ("inputs", "version")]
    both = ({key: body[key] for key in keys} for body in (first, second))
    return tuple(row for row in differences(*both) if not row["path"].startswith("inputs"))


def answer(found: Moved, command: str) -> Answer:
    """What moved, and by what."""
    count = len(found.whole)
    sentence = "The answer is the same."
    if count:
        sentence = f"{count} {'number differs' if count == 1 else 'numbers differ'} from the saved answer: "
        sentence += f"{found.cause} moved {'it' if count == 1 else 'them'}."
    known = [
        ("catalogue", "the same" if found.same_catalog else "changed since the answer was saved"),
        ("version", "the same" if found.same_version else "another than that of the saved answer"),
        ("code", "gives the same" if not found.by_code else f"{len(found.by_code)} numbers from the saved question"),
        ("command", command),
    ]
    if found.asked:
        known.append(("not asked", found.asked))
    return Answer(sentence, tuple(known), tables(list(found.whole), command.split()[0]), records=found.whole)
