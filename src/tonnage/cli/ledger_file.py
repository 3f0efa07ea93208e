"""Which file is the ledger, what is recorded in it, and what the other verbs take from it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tonnage.errors import InputError, Problem

if TYPE_CHECKING:
    from tonnage.cli.common import Common
    from tonnage.ledger import CarriedOut
    from tonnage.report.envelope import Reply

SWITCH = "TONNAGE_LEDGER"
"""Environment variable that names the ledger."""

KEPT = ("fit", "train", "serve", "launch")
"""Verbs whose answers are plans."""

CARRIED = ("run train", "run serve")
"""Verbs that carry plans out: they record a plan for each part, and what was measured of it."""

OFF, USUAL, HERE = Path("off"), Path("default"), Path("ledger")
"""What stands for no ledger, for the one in the user's folder of data, and for the one that is named elsewhere."""


def usual_file() -> Path:
    """The ledger in the user's folder of data (XDG base directories; ~/.local/share unless the environment says)."""
    home = Path("~")
    with contextlib.suppress(RuntimeError):
        home = Path.home()
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "tonnage" / "ledger.sqlite"


def asked_file(common: Common) -> Path | None:
    """The ledger that the flag or the environment names; None where neither does, or says `off`."""
    named = common.ledger or (Path(os.environ[SWITCH]) if os.environ.get(SWITCH) else None)
    if named is None or named == OFF:
        return None
    return usual_file() if named == USUAL else named


def read_file(common: Common) -> Path:
    """The ledger to read from: the named one, else the usual one."""
    return asked_file(common) or usual_file()


def to_write(common: Common) -> Path:
    """The ledger to write to; the folder of the usual one is made. Raises InputError where none is named."""
    path = read_file(common)
    if path == usual_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError(Problem(f"cannot be made: {reason}", str(path.parent))) from None
    return path


def given_problems(common: Common) -> list[Problem]:
    """What is wrong with the file that the flag names, before anything is computed."""
    from tonnage.ledger import check

    path = asked_file(common)
    if path is None or (path == usual_file() and not path.exists()):
        return []
    problems = [
        Problem("is the ledger; write the answer to another file", f"--output {one}")
        for one in common.output
        if one.resolve() == path.resolve()
    ]
    try:
        check(path)
    except InputError as error:
        problems += error.problems
    return problems


def recorded(reply: Reply, common: Common) -> None:
    """Record a plan, and say under which id. Raises InputError where it cannot be, or where there is none."""
    from tonnage import ledger
    from tonnage.report.envelope import envelope, plain

    path = asked_file(common)
    if path is None or reply.command == "ledger" or reply.command in CARRIED:
        return
    if isinstance(reply.body.get("launches"), list):
        common.note("several launches are not recorded: a ledger keeps one at a time")
        return
    if reply.command not in KEPT:
        if common.ledger is not None:
            text = f"{reply.command} is not recorded: a ledger keeps what {', '.join(KEPT)} plan"
            raise InputError(Problem(text, "--ledger"))
        return
    with ledger.open(to_write(common)) as held:
        plan = ledger.record(held, plain(envelope(reply)))
    common.note(f"recorded as plan {plan[:12]} in {path}")


def carried(parts: Sequence[CarriedOut], common: Common) -> None:
    """Record what was carried out, and say under which names. Raises InputError where it cannot be."""
    from tonnage import ledger

    path = asked_file(common)
    if path is None or not parts:
        return
    with ledger.open(to_write(common)) as held:
        for one in parts:
            plan = ledger.keep(held, one)
            common.note(f"recorded as run {one.run} of plan {plan[:12]} in {path}")


def anchor_file(anchor: Path | None, common: Common) -> Path | None:
    """The file of an anchor: `ledger` stands for the ledger."""
    return read_file(common) if anchor == HERE else anchor


def with_runs(programme: Path, run: str | None, common: Common) -> dict[str, str]:
    """What is changed in a programme: as `--set` says, and of each run under way as the ledger has it.

    The plan starts on the day of the last measurement, unless `--set start` says another.
    """
    from tonnage import files
    from tonnage.ask.under_way import named_runs, under_way
    from tonnage.cli.flags import as_flags
    from tonnage.ledger import reading

    said = common.changes()
    if run is None and asked_file(common) is None:
        return said
    with as_flags(("run",)):
        runs = named_runs(files.read_yaml(programme).value, run, programme)
    if not runs:
        return said
    found: dict[str, str] = {}
    with reading(read_file(common)) as ledger:
        for model, name in runs.items():
            seen = under_way(ledger, name)
            many = "" if seen.interruptions is None else f", {seen.interruptions} interruptions"
            common.note(f"{model}: run {name}, {seen.done:.1%} done since {seen.since}, as of {seen.on}{many}")
            found |= seen.changes(model) | {"start": max(found.get("start", ""), seen.on.isoformat())}
    return found | said
