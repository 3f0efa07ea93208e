"""What every verb shares: its options, and the way from a result to the screen, to JSON, to CSV and to a file."""

from __future__ import annotations

import contextlib
import datetime
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tonnage import units
from tonnage.cli import progress
from tonnage.cli.contents import contents
from tonnage.cli.heard import listener
from tonnage.cli.wide import columns
from tonnage.errors import InputError, Problem
from tonnage.printable import encodable, printable
from tonnage.report.answer import WIDTH, Answer, render, to_csv
from tonnage.report.envelope import Reply, to_json
from tonnage.report.extras import missing
from tonnage.report.names import with_names

if TYPE_CHECKING:
    from tonnage.catalog import Catalog

ENDINGS = (".json", ".csv", ".txt", ".out", ".md", ".html", ".parquet")
"""Endings of the files that any result can be written to."""

DRAWN = (".svg", ".png")
"""Endings of the files that a result with charts can be written to besides."""


SEEDS = 2**63
"""How many seeds there are."""


UNASKED = Parameter(show=False, parse=False)
"""Of an option that means nothing to a verb: it is not offered, and refused."""


@Parameter(name="*", group="Everywhere")
@dataclass(frozen=True)
class Common:
    """Options that every verb takes.

    Parameters
    ----------
    json
        print the result as JSON instead of words.
    csv
        print the result's table as CSV.
    output
        also write to this file; its ending decides: .html is a report in one file with charts, .svg and .png a chart,
        .json, .csv, .md, .parquet, .txt.
    chart
        which chart a .svg or .png shows, by its name; the first unless given.
    seed
        seed of everything drawn at random.
    set
        change one input, KEY=VALUE: a leaf of the programme (launch), a flag (the others); what was measured (ledger);
        may be repeated.
    catalog
        folder of facts of your own, looked at before ours.
    ledger
        file in which plans are recorded with what they predict (fit, train, serve, launch) and what run measured, and
        that `tonnage ledger` reads; default the one that TONNAGE_LEDGER names; `default`: the one in your folder of
        data; `off`: none.
    as_of
        use only what was known on this date.
    quiet
        no notes on stderr.
    verbose
        more notes on stderr.
    bars
        pictures in characters (memory, a step, the frontier, waiting): on a terminal unless --no-bars; --bars anywhere.
    color
        colour, when stdout is a terminal.
    """

    json: bool = False
    csv: bool = False
    output: Annotated[tuple[Path, ...], Parameter(name=["--output", "-o"], negative="")] = ()
    chart: Annotated[str | None, Parameter(negative="")] = None
    seed: int = 0
    set: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    catalog: Path | None = None
    ledger: Annotated[Path | None, Parameter(negative="")] = None
    as_of: str | None = None
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False
    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"], negative="")] = False
    bars: bool | None = None
    color: bool = True

    def __post_init__(self) -> None:
        """Refuses, before anything is computed, two formats at once and files that could not be written."""
        from tonnage import files

        problems = (
            [Problem("--json and --csv cannot both be printed; write one with -o")] if self.json and self.csv else []
        )
        if not 0 <= self.seed < SEEDS:
            problems.append(Problem(f"expected a whole number from 0 to {SEEDS - 1:,}", "--seed"))
        for path in self.output:
            if not path.suffix and path.is_dir():
                continue  # a folder to write into, or an ending that the verb refuses
            try:
                files.check_target(path)
            except InputError as error:
                problems += error.problems
        if self.ledger is not None:
            from tonnage.cli.ledger_file import given_problems

            problems += given_problems(self)
        problems += self._unheard() + self._extras()
        if problems:
            raise InputError(problems)

    def _unheard(self) -> list[Problem]:
        """What would write a file while somebody listens to the answer instead (`tonnage.cli.heard`)."""
        heard = listener()
        if heard is None:
            return []
        found = [
            Problem("the answer is a value here, and no file is written", f"--output {path}") for path in self.output
        ]
        if self.ledger is not None and heard.verb != "ledger" and str(self.ledger) != "off":
            found.append(Problem("plans are not recorded from here; use it on the command line", "--ledger"))
        return found

    def _extras(self) -> list[Problem]:
        """What has to be installed for the files asked for, and a chart picked for none."""
        pictures = [path for path in self.output if path.suffix.lower() in DRAWN]
        found = [
            Problem(text, f"--output {path}")
            for path in self.output
            if path.suffix.lower() != ".svg" and (text := missing(path.suffix.lower())) is not None
        ]
        if self.chart is not None and not pictures:
            found.append(Problem("picks the chart of a .svg or .png; write one with -o", "--chart"))
        return found

    def date(self) -> datetime.date | None:
        """The date of `--as-of`, or None."""
        if self.as_of is None:
            return None
        try:
            return units.parse_date(self.as_of)
        except ValueError as error:
            raise InputError(Problem(str(error), "--as-of")) from None

    def changes(self) -> dict[str, str]:
        """`--set KEY=VALUE` pairs; raises InputError for every one that is not a pair."""
        pairs = [text.partition("=") for text in self.set]
        problems = [Problem(f'expected KEY=VALUE, got "{k}"', "--set") for k, equals, _ in pairs if not (equals and k)]
        if problems:
            raise InputError(problems)
        return {key.strip(): value.strip() for key, _, value in pairs}

    def load_catalog(self) -> Catalog:
        """The catalogue, with the overlay of `--catalog` before it."""
        from tonnage import catalog

        return catalog.load(self.catalog)

    def note(self, text: str) -> None:
        """Talk, on stderr, unless `-q`."""
        if not self.quiet:
            tell(text)

    def place(self, text: str, flag: str = "--in") -> str:
        """Code of the place that a flag names (`china` -> `CN`). Raises InputError with the nearest name."""
        from tonnage.ask.price import place_code

        return place_code(text, flag)


@Parameter(name="*", group="Everywhere")
@dataclass(frozen=True)
class SavedOptions(Common):
    """The same for verbs that ask nothing anew: no seed, nothing to change, no day.

    Parameters
    ----------
    json
        print the result as JSON instead of words.
    csv
        print the result's table as CSV.
    output
        also write to this file; its ending decides: .html, .json, .csv, .md, .parquet, .txt; .svg and .png where the
        answer has charts.
    chart
        which chart a .svg or .png shows, by its name; the first unless given.
    catalog
        folder of facts of your own, looked at before ours.
    quiet
        no notes on stderr.
    verbose
        more notes on stderr.
    bars
        pictures in characters (memory, a step, the frontier, waiting): on a terminal unless --no-bars; --bars anywhere.
    color
        colour, when stdout is a terminal.
    """

    seed: Annotated[int, UNASKED] = 0
    set: Annotated[tuple[str, ...], UNASKED] = ()
    as_of: Annotated[str | None, UNASKED] = None


@Parameter(name="*", group="Everywhere")
@dataclass(frozen=True)
class PlainOptions(SavedOptions):
    """The same for verbs that write a text of their own.

    Parameters
    ----------
    output
        also write to this file.
    quiet
        no notes on stderr.
    verbose
        more notes on stderr.
    color
        colour, when stdout is a terminal.
    """

    json: Annotated[bool, UNASKED] = False
    csv: Annotated[bool, UNASKED] = False
    chart: Annotated[str | None, UNASKED] = None
    bars: Annotated[bool | None, UNASKED] = None
    catalog: Annotated[Path | None, UNASKED] = None


def tell(text: str) -> None:
    """A line on stderr, or to who listens instead; lost without a word when nobody can hear it."""
    heard = listener()
    if heard is not None:
        heard.notes.append(text)
        return
    progress.clear()
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(encodable(printable(text), sys.stderr.encoding), file=sys.stderr)


COMMON, SAVED, PLAIN = Common(), SavedOptions(), PlainOptions()


def finish(reply: Reply, common: Common) -> int:
    """Print a reply as asked for, write the files asked for, and return the exit code (0 feasible, 1 infeasible).

    Recalled facts that it rests on are said in its last row.

    Every file is made before the first is written, and written before anything is printed: all of them or none.
    """
    from tonnage import files
    from tonnage.report.recalled import recalled_row

    check_outputs(common, tuple(reply.pictures), drawn=_charted(reply, common))
    check_inputs_kept(common, reply)
    rows = (*reply.answer.rows, *recalled_row(reply.sources, reply.catalog, reply.formats))
    reply = with_names(replace(reply, seed=common.seed, answer=replace(reply.answer, rows=rows)))
    heard = listener()
    if heard is not None:
        heard.reply = reply
        return 0 if reply.outcome.feasible else 1
    problem = _recorded(reply, common)
    files.write_all([(path, contents(path, reply, common.chart)) for path in common.output])
    if common.json:
        text = to_json(reply)
    elif common.csv:
        text = to_csv(reply.answer)
    else:
        text = render(
            _pictured(reply, common),
            saved=tuple(str(path) for path in common.output),
            color=_color(common),
            width=columns(WIDTH),
        )
    put(text)
    if problem is not None:
        raise problem
    return 0 if reply.outcome.feasible else 1


def _pictured(reply: Reply, common: Common) -> Answer:
    """The answer with pictures in characters, where they are asked for or somebody looks."""
    shows = sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if not (shows if common.bars is None else common.bars):
        return reply.answer
    from tonnage.report.drawn import has_blocks, with_pictures
    from tonnage.report.envelope import envelope, plain

    body = plain(envelope(reply))
    return with_pictures(reply.answer, body, blocks=has_blocks(sys.stdout.encoding if sys.stdout else None))


def _recorded(reply: Reply, common: Common) -> InputError | None:
    """Record a plan where that was asked; what went wrong is told after the answer, which it does not cost."""
    if common.ledger is None and not os.environ.get("TONNAGE_LEDGER"):
        return None
    from tonnage.cli.ledger_file import recorded

    try:
        recorded(reply, common)
    except InputError as error:
        return error
    return None


def _charted(reply: Reply, common: Common) -> bool:
    """Whether a picture is asked for, and there is a chart to draw."""
    if not any(path.suffix.lower() in DRAWN for path in common.output):
        return False
    from tonnage.report.charts import charts_of

    return bool(charts_of(reply))


def check_outputs(common: Common, pictures: Iterable[str] = (), *, drawn: bool = False) -> None:
    """Raises InputError for every `-o` whose ending cannot be written; a verb calls it before it computes.

    pictures: endings that the verb can draw besides (`.svg`); drawn: whether it has charts. Folders and rights are
    checked when `Common` is made.
    """
    endings = tuple(dict.fromkeys((*ENDINGS, *pictures, *(DRAWN if drawn else ()))))
    listed = ", ".join(ending for ending in endings if ending != ".out")
    problems = [
        Problem(f'cannot write "{path.suffix or path.name}" files here; endings: {listed}', f"--output {path}")
        for path in common.output
        if path.suffix.lower() not in endings
    ]
    if drawn and ".svg" not in pictures and (text := missing(".svg")) is not None:
        problems += [Problem(text, f"--output {path}") for path in common.output if path.suffix.lower() == ".svg"]
    if problems:
        raise InputError(problems)


def check_inputs_kept(common: Common, reply: Reply) -> None:
    """Raises InputError for every `-o` that would replace a file that was read, or one in a folder that was."""
    from tonnage import files

    given = [item for value in reply.inputs.values() for item in (value if isinstance(value, list) else [value])]
    read = [Path(item) for item in [*given, common.catalog] if isinstance(item, (str, Path)) and str(item)]
    problems = [
        Problem("is a file that was read; write the answer to another", f"--output {path}")
        for path in common.output
        if files.was_read(path) or any(_is(path, other) for other in read)
    ]
    if problems:
        raise InputError(problems)


def _is(path: Path, other: Path) -> bool:
    """Whether an existing path is the other one, or lies in it."""
    try:
        return path.exists() and (path.samefile(other) or (other.is_dir() and path.parent.samefile(other)))
    except (OSError, ValueError):
        return False


def put(text: str) -> None:
    """Print a reply, or give it to who listens. Raises InputError when standard output is closed or full."""
    heard = listener()
    if heard is not None:
        heard.texts.append(text)
        return
    progress.quiet()
    if sys.stdout is None:
        raise InputError(Problem("is closed", "standard output"))
    text = encodable(text, sys.stdout.encoding)
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(Problem(f"cannot be written: {reason}", "standard output")) from None


def _color(common: Common) -> bool:
    """Whether to paint: on a terminal that can, and nobody asked for none (https://no-color.org)."""
    shows = sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return common.color and shows and not os.environ.get("NO_COLOR")
