"""`tonnage qualify`: this device measured, and whether it is fit for training, for inference only, or for neither."""

from __future__ import annotations

import importlib.util
import math
import statistics
from collections import Counter
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from cyclopts import Parameter

from tonnage.cli.common import COMMON, Common, check_outputs, finish
from tonnage.cli.flags import as_flags
from tonnage.cli.progress import Bar
from tonnage.errors import FEASIBLE, Bind, InputError, Problem, infeasible, nearest

if TYPE_CHECKING:
    from tonnage.catalog import Catalog
    from tonnage.qualify.carried import Qualification, Qualified
    from tonnage.qualify.loop import Looped
    from tonnage.qualify.shapes import Effort
    from tonnage.qualify.speed import Clockings
    from tonnage.report.answer import Answer
    from tonnage.report.envelope import Reply

NEEDED = ("torch", "transformers")
"""What the extra brings."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class QualifyOptions:
    """What is qualified, how thoroughly, and for which run.

    Parameters
    ----------
    device
        cpu, cuda (NVIDIA and AMD), npu, musa or xpu.
    quick
        minutes (the default): enough for a calibration, and to find what is broken.
    standard
        about an hour.
    soak
        days: steps done twice for so long, such as 3d or 12h.
    model
        whose operators must be right: bundled name, config.json, or a folder with one.
    cards
        accelerators of the run that is planned.
    days
        how long it takes.
    replay
        how often it does a step twice to find silent errors, such as 12h; none where it does not. A day is assumed, and
        said.
    nproc
        processes, one device each, for collectives and for cards that are not like the others.
    into
        the calibration file, for --calibration of the other verbs.
    resume
        go on with what an interrupted run has measured for that file.
    name
        key of the device in the calibration, such as my-card; by default what it calls itself.
    check
        also predict small runs and services, run them, and show both.
    report
        write the verdict as one HTML page.
    """

    device: str = "cpu"
    quick: Annotated[bool, Parameter(negative="")] = False
    standard: Annotated[bool, Parameter(negative="")] = False
    soak: str | None = None
    model: str = "deepseek-v3"
    cards: int = 1
    days: float = 1.0
    replay: str | None = None
    nproc: int = 1
    into: Path = Path("calibration.jsonl")
    resume: Annotated[bool, Parameter(negative="")] = False
    name: str | None = None
    check: Annotated[bool, Parameter(negative="")] = False
    report: Path | None = None


NAMES = frozenset(field.name for field in fields(QualifyOptions))
"""Fields that have a flag."""


def qualify(*, options: QualifyOptions = QualifyOptions(), common: Common = COMMON) -> int:
    """Measure this device: fit for training, inference only, or unfit; and the calibration that plans use."""
    from tonnage import files

    check_outputs(common, drawn=True)
    catalog = common.load_catalog()
    asked = _asked(options, catalog, common.seed)
    for path in (asked.into, *filter(None, [options.report])):
        files.check_target(path)
    from tonnage.qualify.carried import carried_out, problems

    with as_flags(NAMES):
        if found := problems(asked):
            raise InputError(found)
    bar = Bar(common.quiet, "qualify")
    _planned(asked, common)
    try:
        with as_flags(NAMES):
            done = carried_out(asked, catalog, bar.at)
    except KeyboardInterrupt:
        text = f"no verdict; the same words with --resume go on with what was measured for {asked.into}"
        raise KeyboardInterrupt(text) from None
    finally:
        bar.end()
    if common.ledger is not None and done.loop:
        _recorded(done, common)
    if options.report is not None:
        from tonnage.report.qualify import page

        files.write_all([(options.report, page(done.verdict))])
    return finish(_reply(asked, options, done, catalog), replace(common, ledger=None))


def _planned(asked: Qualification, common: Common) -> None:
    """How long a soak would have to be for the run that is planned, before anything else."""
    common.note(asked.run.text)


def _asked(options: QualifyOptions, catalog: Catalog, seed: int) -> Qualification:
    from tonnage import units
    from tonnage.device.kinds import KINDS
    from tonnage.model import load

    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        raise InputError(f"{', '.join(absent)} not installed", hint='pip install "tonnage[qualify]"')
    wrong = []
    if options.device not in KINDS:
        text = f'"{options.device}" is none of {", ".join(KINDS)}'
        wrong.append(Problem(text, "--device", suggestion=nearest(options.device, KINDS)))
    for flag, number in (("--nproc", options.nproc), ("--cards", options.cards), ("--days", options.days)):
        if not 0 < number <= 1e7 or (flag != "--days" and number < 1):
            wrong.append(Problem(f"expected a number above zero, got {number:g}", flag))
    chosen = [name for name in ("quick", "standard", "soak") if getattr(options, name)]
    if len(chosen) > 1:
        wrong.append(Problem(f"goes without --{chosen[0]}", f"--{chosen[1]}"))
    from tonnage.qualify.carried import Qualification
    from tonnage.qualify.stability import REPLAY

    seconds = _span(options.soak, "--soak", wrong)
    none = options.replay is not None and options.replay.strip().lower() == "none"
    often = None if none else _span(options.replay, "--replay", wrong)
    if often is not None and often <= 0:
        wrong.append(Problem("expected a time above zero, or none", "--replay"))
    if wrong:
        raise InputError(wrong)
    replay = None if none else REPLAY if often is None else often / units.DAY
    effort = cast("Effort", chosen[0] if chosen else "quick")
    return Qualification(
        options.device, effort, load(options.model, catalog), options.into, options.nproc, options.cards, options.days,
        options.resume, options.check, seconds, options.name, seed, replay,
    )  # fmt: skip


def _span(text: str | None, flag: str, wrong: list[Problem]) -> float | None:
    """A time that a flag says [s]; notes what is wrong with it."""
    from tonnage import units

    if text is None:
        return None
    try:
        return units.parse(text, "time")
    except ValueError as error:
        wrong.append(Problem(str(error), flag))
    return None


def _reply(asked: Qualification, options: QualifyOptions, done: Qualified, catalog: Catalog) -> Reply:
    from tonnage.report.envelope import Reply

    inputs = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    found = done.verdict
    outcome = FEASIBLE
    if found.verdict == "unfit":
        outcome = infeasible(*(Bind("unfit", text) for text in found.binds))
    body: dict[str, Any] = {"verdict": found.to_json(), "calibration": str(asked.into), "device": done.device.to_json()}
    body |= {"speed": _speeds(done), "check": [one.to_json() for one in done.loop]}
    said = _answer(asked, options, done)
    return Reply("qualify", inputs, body, said, outcome, catalog=catalog, formats="")


def _speeds(done: Qualified) -> dict[str, Any]:
    held = done.clockings
    return {
        "benches": len(held.held),
        "seconds": held.seconds,
        "spread": held.spread,
        "steal": held.steal,
        "waited": held.waited,
        "noisy": held.noisy,
        "clocks": list(held.clocks),
        "missing": [f"{one.bench.key}: {one.why}" for one in held.held if one.timed is None],
    }


def _answer(asked: Qualification, options: QualifyOptions, done: Qualified) -> Answer:
    """In words: the verdict, what it rests on, what is missing, the next command."""
    from tonnage import units
    from tonnage.report.answer import Answer, Table
    from tonnage.report.qualify import asked_for

    found, device, held = done.verdict, done.device, done.clockings
    rates = ", ".join(f"{name} {rate / 1e9:,.0f} GFLOP/s" for name, rate in device.rates.items())
    rows = [
        ("device", f"{device.title} ({device.device}); {device.driver}; {device.software}"),
        ("for", asked_for(found)),
        ("speed", f"{rates}; memory {device.bandwidth / 1e9:,.1f} GB/s ({units.show_memory(device.memory)})"),
        ("noise", _noise(held)),
    ]
    if options.replay is None:
        rows.append(("assumed", f"{asked.run.detector}; --replay says how often, or none"))
    rows += [("binds", text) for text in found.binds] + [("missing", text) for text in found.missing]
    many = Counter(gate.state for gate in found.gates)
    rows.append(("gates", ", ".join(f"{count} {state}" for state, count in many.most_common())))
    others = tuple((gate.name, gate.part, gate.needed, gate.state) for gate in found.gates if gate.state != "pass")
    note = "every gate with its numbers: --json, or --report FILE.html"
    tables = [Table("gates that did not pass", ("gate", "part", "for", "state"), others, note)] if others else []
    if done.loop:
        rows.append(("check", _loop_said(done.loop)))
        tables.append(_loop_table(done.loop))
    hints = [f"tonnage serve qwen3-0.6b --on 1x{device.chip} --calibration {asked.into}  plans with what was measured"]
    if found.trains == "unknown" and not found.binds:
        hints.append(f"tonnage qualify {_soak_words(asked, options)}  soaks as long as the planned run asks for")
    sentence = f"{device.title}: {found.sentence}"
    good = found.verdict in ("fit for training", "inference only")
    return Answer(sentence, tuple(rows), tuple(tables), hints=tuple(hints), feasible=good)


def _soak_words(asked: Qualification, options: QualifyOptions) -> str:
    """The flags of a soak that shows what the planned run bears: a tenth longer than it must be, in whole hours."""
    from tonnage import units

    hours = math.ceil(1.1 * asked.run.soak * units.DAY / units.HOUR / asked.processes)
    said: dict[str, tuple[object, object]] = {
        "--nproc": (options.nproc, 1),
        "--cards": (options.cards, 1),
        "--days": (options.days, 1.0),
    }
    said["--model"] = (options.model, QualifyOptions.model)
    more = [
        f"{flag} {value:g}" if isinstance(value, float) else f"{flag} {value}"
        for flag, (value, usual) in said.items()
        if value != usual
    ]
    return " ".join((f"--device {asked.device} --soak {hours}h", *more, f"--into {asked.into}"))


def _noise(held: Clockings) -> str:
    text = f"medians spread by {held.spread:.1%}; others took {max(held.steal, held.waited):.1%} of the time"
    return text + (": too much for a verdict" if held.noisy else "")


def _loop_said(loop: tuple[Looped, ...]) -> str:
    from tonnage.qualify.timing import STEAL

    errors = [abs(one.error) for one in loop]
    text = f"{len(loop)} predictions: off by {statistics.median(errors):.0%} in the median, {max(errors):.0%} at most"
    noisy = sum(one.waited > STEAL for one in loop)
    return text + (f"; others worked on the machine during {noisy} of them" if noisy else "")


def _loop_table(loop: tuple[Looped, ...]) -> Any:
    from tonnage.report.answer import Table

    rows = tuple(
        (one.small.title, one.quantity, f"{one.predicted * 1e3:.2f}", f"{one.measured * 1e3:.2f}", f"{one.error:+.0%}")
        for one in loop
    )
    return Table("predicted, then run", ("model", "what", "predicted, ms", "measured, ms", "off by"), rows)


def _recorded(done: Qualified, common: Common) -> None:
    """Each prediction of the closed loop as a plan, and what was measured as its row."""
    from tonnage import __version__, ledger
    from tonnage.cli.ledger_file import to_write

    with ledger.open(to_write(common)) as book:
        for small in dict.fromkeys(one.small for one in done.loop):
            found = [one for one in done.loop if one.small == small]
            system = {"accelerator": {"name": done.device.chip}, "count": 1}
            answer = {
                "command": small.use,
                "version": __version__,
                "inputs": {"model": small.title},
                "plan": {"system": system},
                "engine": "transformers",
                **{one.quantity: one.predicted for one in found},
            }
            key = book.record(answer)
            row = {one.quantity: one.measured for one in found}
            book.measured(
                key,
                [ledger.MeasuredRow(row, {**row, "calibration": done.device.date.isoformat()})],
                source="tonnage qualify --check",
            )
    common.note(f"{len(done.loop)} predictions with what was measured recorded in {to_write(common)}")
