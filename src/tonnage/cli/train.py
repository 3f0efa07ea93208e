"""`tonnage train MODEL --on 2048xh800`: the best layout to train a model on these chips."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter

from tonnage import units
from tonnage.cli.common import COMMON, Common, Result, finish
from tonnage.cli.reading import place_of
from tonnage.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from tonnage.cli.train_extras import Asked
    from tonnage.train import TrainJob

T = TypeVar("T")


def train(
    model: str,
    /,
    *,
    on: Annotated[tuple[str, ...], Parameter(negative="")],
    tokens: str | None = None,
    seq: str = "4096",
    global_batch: str = "1024",
    precision: str = "bf16",
    task: str = "pretrain",
    layout: str | None = None,
    shard_group: str | None = None,
    software: str | None = None,
    routing: str = "learned",
    framework: str | None = None,
    price: str | None = None,
    place: Annotated[str | None, Parameter(name="--in")] = None,
    anchor: Path | None = None,
    move_to: str | None = None,
    move_at: str | None = None,
    move_on: str | None = None,
    move_wire: str | None = None,
    start: str | None = None,
    rollout_tokens: str | None = None,
    rollout_length: str | None = None,
    rollout_prompt: str = "1k",
    rollout_on: str | None = None,
    rollout_stale: Annotated[bool, Parameter(negative="")] = False,
    rollout_tail: float | None = None,
    reward: str = "0s",
    common: Common = COMMON,
) -> int:
    """The best layout to train a model on these chips: step time, memory, days, cost.

    Parameters
    ----------
    model
        bundled name, config.json, folder with one, or an architecture in YAML.
    on
        chips, such as 2048xh800; may be repeated for a mixed fleet.
    tokens
        tokens of the whole run, such as 14.8T; without it no days and no cost.
    seq
        tokens in a sequence.
    global_batch
        sequences in a step.
    precision
        bf16, fp16, fp8, mxfp8 or nvfp4.
    task
        pretrain, sft or lora.
    layout
        what is fixed, such as tp8,pp16,dp128; the search chooses the rest; of each fleet in turn with " + " between.
    shard_group
        ranks over which ZeRO shards (HSDP), such as 64; all data-parallel ranks by default.
    software
        date of the training software; default --as-of, else the newest known.
    routing
        learned, or forced (benchmarks that balance experts by force).
    framework
        such as Megatron-Core, NeMo or torchtitan; default the newest Megatron-like stack.
    price
        of one accelerator, such as $2.10/h; default the catalogue's best match.
    place
        where the price is asked, such as CN.
    anchor
        JSON Lines of runs measured on these chips; predictions are brought onto them.
    move_to
        chips that the run moves to on the way, such as 2048xh800.
    move_at
        share of the tokens trained before the move, such as 30 %.
    move_on
        date of the move instead; needs --start.
    move_wire
        bandwidth between the two sites, such as 10 GB/s; storage is shared by default.
    start
        date on which the run starts; default --as-of.
    rollout_tokens
        tokens generated in a stage of reinforcement learning, such as 0.5T.
    rollout_length
        tokens of a response; default --seq.
    rollout_prompt
        tokens of a prompt.
    rollout_on
        chips that generate, such as 512xh20; by default those that train, in turns.
    rollout_stale
        responses may be one round old, so that two pools work at the same time.
    rollout_tail
        longest response of a round over the mean; default 2, an assumption.
    reward
        time of scoring in each round that generation does not hide, such as 30s.
    """
    inputs = {name: value for name, value in locals().items() if name != "common"}
    inputs |= {"on": on[0] if len(on) == 1 else list(on), "anchor": None if anchor is None else str(anchor)}
    inputs["in"] = inputs.pop("place")
    inputs["as_of"] = common.as_of
    return _train(inputs, tuple(on), common)


def _train(inputs: dict[str, Any], on: tuple[str, ...], common: Common) -> int:
    """Read every flag, plan, and print."""
    from tonnage.cli import train_extras as extras
    from tonnage.cli import train_fleet, train_rows

    read = Reader([])
    inputs["in"] = place_of(inputs["in"], common, read.problems)
    asked = extras.Asked(
        inputs=inputs,
        fleets=tuple(read.fleet(text, "--on") for text in on),
        layouts=read.layouts(inputs["layout"], len(on)),
        quoted=read.optional(inputs["price"], "price", "--price"),
        move=extras.read_move(read, inputs, common),
        rollout=extras.read_rollout(read, inputs),
        place=inputs["in"],
        date=common.date(),
    )
    fields = _fields(read, inputs, common)
    if len(on) > 1:
        read.problems += [
            Problem("goes with one --on", flag) for flag, given in asked.single().items() if given is not None
        ]
    read.problems += [problem for problem in (_framework(inputs["framework"]),) if problem]
    if read.problems:
        raise InputError(read.problems)
    catalog = common.load_catalog()
    job = _job(inputs["model"], fields, catalog)
    result = train_fleet.result(job, asked, catalog) if len(on) > 1 else _single(job, asked, catalog, train_rows)
    return finish(result, common)


def _single(job: TrainJob, asked: Asked, catalog: Any, rows: Any) -> Result:
    """One kind of accelerators: the plan, then what else was asked of it."""
    from tonnage import train as room
    from tonnage.cli import train_extras as extras
    from tonnage.train.maturity import history

    system = extras.system(asked.fleets[0], catalog, asked)
    found = None if asked.quoted is not None else extras.price(catalog, system, asked)
    paid = found.value if found else asked.quoted
    plan = room.plan(job, system, asked.layouts[0], price=paid)
    anchored = extras.anchored(job, system, asked, catalog)
    if anchored is not None:
        plan = room.leveled(plan, anchored)
    if found:
        plan = replace(plan, sources=(*plan.sources, found.fact))
    answer = rows.answer(job, system, plan, found, asked)
    dated = () if plan.layout is None else history(job, system, plan.layout)
    factor = 1.0 if anchored is None else anchored.ratio
    dated = tuple(replace(one, step_time=one.step_time / factor) for one in dated)
    body = plan.to_json() | {"price": paid, "software": [vars(one) for one in dated]}
    more = [rows.software(plan, dated)]
    if anchored is not None:
        body["anchor"] = vars(anchored)
    sources = list(plan.sources)
    for key, make in (("switch", extras.moved), ("rl", extras.rounds)):
        extra = make(job, system, plan, anchored, asked, catalog) if plan.outcome.feasible else None
        if extra is not None:
            body[key] = extra.body
            more.append(extra.rows)
            sources += extra.sources
            answer = replace(answer, sentence=f"{answer.sentence} {extra.sentence}")
    answer = replace(answer, rows=(*answer.rows, *(row for part in more for row in part)))
    return Result("train", asked.inputs, body, answer, plan.outcome, plan.evidence, tuple(sources), catalog)


def _fields(read: Reader, inputs: dict[str, Any], common: Common) -> dict[str, Any]:
    """What the job is made of, but for the model."""
    when = read.date(inputs["software"], "--software")
    group = inputs["shard_group"]
    return {
        "seq": read.whole(inputs["seq"], "--seq"),
        "global_batch": read.whole(inputs["global_batch"], "--global-batch"),
        "tokens": read.optional(inputs["tokens"], "tokens", "--tokens"),
        "shard_group": None if group is None else read.whole(group, "--shard-group"),
        "date": when or common.date(),
        **{name: inputs[name] for name in ("precision", "task", "routing", "framework")},
    }


def _framework(name: str | None) -> Problem | None:
    from tonnage.train import frameworks

    if name is None or frameworks.known(name):
        return None
    known = frameworks.names()
    return Problem(
        f'"{name[:40]}" is not known; known are {", ".join(known)}', "--framework", suggestion=nearest(name, known)
    )


def _job(model: str, fields: dict[str, Any], catalog: Any) -> TrainJob:
    from tonnage import train as room
    from tonnage.model import load

    return room.TrainJob(arch=load(model, catalog), **fields)


class Reader:
    """Reads flags and keeps every problem, to show them together; what cannot be read counts as 1."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems

    def parsed(self, text: str, flag: str, parse: Callable[[str], T], instead: T) -> T:
        """`parse(text)`, or `instead` with the problem kept."""
        try:
            return parse(text)
        except ValueError as error:
            self.problems.append(Problem(str(error), flag))
            return instead

    def number(self, text: str, kind: str, flag: str) -> float:
        """A quantity in base units."""
        return self.parsed(text, flag, lambda words: units.parse(words, kind), 1.0)

    def optional(self, text: str | None, kind: str, flag: str) -> float | None:
        """The same, or None."""
        return None if text is None else self.number(text, kind, flag)

    def whole(self, text: str, flag: str) -> int:
        """A whole number of at least 1."""
        value = self.number(text, "tokens", flag)
        if not (math.isfinite(value) and value == int(value) and 1 <= value <= 1e9):
            self.problems.append(Problem(f'"{text}" is not a whole number of at least 1', flag))
            return 1
        return int(value)

    def date(self, text: str | None, flag: str) -> Any:
        """A date, or None."""
        return None if text is None else self.parsed(text, flag, units.parse_date, None)

    def fleet(self, text: str, flag: str) -> tuple[int, str]:
        """(count, chip)."""
        return self.parsed(text, flag, units.parse_fleet, (1, ""))

    def layouts(self, text: str | None, fleets: int) -> tuple[dict[str, int], ...]:
        """What is fixed on each fleet: one layout for all, or one of each with ` + ` between."""
        from tonnage.layout import parse_layout

        try:
            found = [parse_layout(part) for part in text.split("+")] if text else [{}]
        except InputError as error:
            self.problems.extend(error.problems)
            return ({},) * fleets
        if len(found) not in (1, fleets):
            self.problems.append(Problem(f"{len(found)} layouts for {fleets} fleets", "--layout"))
        return tuple(found[i % len(found)] for i in range(fleets))
