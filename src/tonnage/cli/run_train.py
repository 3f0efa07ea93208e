"""`tonnage run train PLAN`: a training run carried out, resumed, or moved to other devices."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tonnage import units
from tonnage.cli.common import COMMON, Common, check_outputs, finish, put
from tonnage.cli.ledger_file import carried
from tonnage.errors import FEASIBLE, Bind, InputError, Problem, infeasible, nearest
from tonnage.printable import printable

if TYPE_CHECKING:
    from tonnage.report.envelope import Reply
    from tonnage.run.train.plan import RunPlan

NEEDED = ("torch", "transformers")
"""What the extra brings that every run needs."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunTrainOptions:
    """How a training run is carried out.

    Parameters
    ----------
    into
        folder of the run: its checkpoints, events, curve and model; runs/NAME if not given.
    resume
        go on with the run in that folder, from its newest whole checkpoint.
    device
        cpu, cuda or npu; the plan's if not given. Another than before is a move: numerics are checked first.
    nproc
        processes, one device each; the plan's if not given.
    precision
        fp32, or bf16 products with fp32 weights; the plan's if not given.
    scale
        by how much the model's sizes are divided; the plan's if not given.
    until
        stop after this step, with a checkpoint.
    price
        of one device, such as $2.10/h; the plan's if not given.
    """

    into: Path | None = None
    resume: Annotated[bool, Parameter(negative="")] = False
    device: str | None = None
    nproc: int | None = None
    precision: str | None = None
    scale: float | None = None
    until: int | None = None
    price: str | None = None


def train(plan: Path | None = None, /, *, options: RunTrainOptions = RunTrainOptions(), common: Common = COMMON) -> int:
    """Train a small model of a real architecture: resumed after anything, moved to other devices.

    Parameters
    ----------
    plan
        YAML with model, scale, stages, checkpoint; or an answer of `tonnage train` saved with -o. Not needed to resume.
    """
    from tonnage.report.run_train import line
    from tonnage.run.train import parts
    from tonnage.run.train.start import begun_at, carried_out

    check_outputs(common, (".svg",))
    asked, folder = _asked(plan, options)
    asked = replace(asked, seed=common.seed or asked.seed)
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        raise InputError(f"{', '.join(absent)} not installed", hint='pip install "tonnage[run]"')
    step = begun_at(folder)
    if step is not None and not options.resume:
        raise InputError(
            Problem(f"holds a run (newest checkpoint: step {step})", str(folder)),
            hint="--resume goes on with it; --into begins in another folder",
        )

    def tell(event: dict[str, Any]) -> None:
        if common.json:
            put(json.dumps(event))
        elif not common.quiet and (said := line(event)):
            put(printable(said))

    ended = carried_out(asked, folder, tell, options.until)
    reply = _reply(asked, folder, ended, str(plan) if plan else None)
    code = _in_one_line(reply, replace(common, json=False)) if common.json else finish(reply, common)
    carried(parts.carried(asked, folder), common)
    return code


def _in_one_line(reply: Reply, common: Common) -> int:
    """The answer as the last line, after those of the events; files as everywhere."""
    from tonnage import files
    from tonnage.report.answer import render, to_csv
    from tonnage.report.envelope import envelope, plain, to_json

    drawn = {path: reply.pictures[".svg"]() for path in common.output if path.suffix.lower() == ".svg"}
    csvs = {path: to_csv(reply.answer) for path in common.output if path.suffix.lower() == ".csv"}
    jsons = {path: to_json(reply) for path in common.output if path.suffix.lower() == ".json"}
    known: dict[Path, str] = {**drawn, **csvs, **jsons}
    files.write_all([(path, known.get(path) or render(reply.answer)) for path in common.output])
    put(json.dumps({"event": "answer", **plain(envelope(reply))}))
    return 0 if reply.outcome.feasible else 1


def _asked(path: Path | None, options: RunTrainOptions) -> tuple[RunPlan, Path]:
    """The plan with what the flags change, and its folder."""
    from tonnage.run.train.plan import DEVICES, PRECISIONS, beyond, read_kept, read_plan

    problems = [
        Problem(f'"{given}" is none of {", ".join(choices)}', flag, suggestion=nearest(given, choices))
        for flag, given, choices in (
            ("--device", options.device, DEVICES),
            ("--precision", options.precision, PRECISIONS),
        )
        if given is not None and given not in choices
    ]
    for flag, number in (("--nproc", options.nproc), ("--scale", options.scale), ("--until", options.until)):
        if number is not None and number < 1:
            problems.append(Problem(f"expected at least 1, got {number:g}", flag))
    price = None
    if options.price is not None:
        try:
            price = units.parse(options.price, "price")
        except ValueError as error:
            problems.append(Problem(str(error), "--price"))
    if path is None and not (options.resume and options.into):
        problems.append(Problem("no plan; --resume --into FOLDER goes on with a run without one"))
    if problems:
        raise InputError(problems)
    if path is not None:
        plan = read_plan(path)
        folder = options.into or Path("runs") / plan.name
    else:
        assert options.into is not None
        folder = options.into
        kept = folder / "plan.json"
        if not kept.is_file():
            raise InputError(Problem("holds no run", str(folder)), hint="tonnage run train PLAN begins one")
        plan = read_kept(kept)
    names = ("device", "nproc", "precision", "scale")
    given: dict[str, Any] = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    given |= {} if price is None else {"price": price}
    plan = replace(plan, **given)
    if wrong := beyond(plan):
        raise InputError(replace(one, where=f"--{one.path}", path="") if one.path in given else one for one in wrong)
    return plan, folder


def _reply(plan: RunPlan, folder: Path, ended: Any, path: str | None) -> Reply:
    from tonnage.report.envelope import Reply
    from tonnage.report.run_train import answer
    from tonnage.run.train.curve import svg
    from tonnage.run.train.start import summary

    body = summary(plan, folder, ended)
    picture = svg(folder)
    if body["loss"] is not None:
        (folder / "curve.svg").write_text(picture, "utf-8")
    outcome = FEASIBLE if ended.reason == "feasible" else infeasible(Bind(ended.reason, ended.text, lift=ended.lift))
    inputs = {
        "plan": path,
        "into": str(folder),
        "device": plan.device,
        "nproc": plan.nproc,
        "precision": plan.precision,
    }
    return Reply(
        "run train", inputs, body, answer(body, folder, outcome), outcome, pictures={".svg": lambda: picture},
        seed=plan.seed, formats="",
    )  # fmt: skip
