"""`tonnage compare A.json B.json`: what differs between two saved answers."""

from __future__ import annotations

from pathlib import Path

from tonnage.ask.saved import read_answer
from tonnage.cli.common import SAVED, SavedOptions, check_outputs, finish
from tonnage.report.envelope import Reply


def compare(first: Path, second: Path, /, *, common: SavedOptions = SAVED) -> int:
    """What differs between two saved answers: which inputs changed, then the results, largest first.

    Parameters
    ----------
    first
        a result saved with `-o FILE.json`.
    second
        another one.
    """
    from tonnage.report.compare import answer, differences

    check_outputs(common, drawn=True)
    answers = read_answer(first), read_answer(second)
    changes = differences(*answers)
    given = {"first": str(first), "second": str(second)}
    commands = (str(answers[0]["command"])[:40], str(answers[1]["command"])[:40])
    return finish(Reply("compare", given, {"differences": changes}, answer(commands, changes)), common)
