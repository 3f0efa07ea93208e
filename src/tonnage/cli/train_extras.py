"""What a training run may be asked beside its plan: an anchor, a move to other chips, a stage of RL."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonnage import units
from tonnage.errors import InputError, Problem

if TYPE_CHECKING:
    from tonnage.catalog import Catalog, Price
    from tonnage.cli.common import Common
    from tonnage.cli.train import Reader
    from tonnage.serve import ServePlan
    from tonnage.system import System
    from tonnage.train import Level, Measured, Rollouts, Round, Rounds, Switch, TrainJob, TrainPlan

Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class MoveAsked:
    """Where to, when (a share of the tokens, or a date), over what wire [byte/s], and when the run started."""

    fleet: tuple[int, str]
    at: float | None
    on: datetime.date | None
    wire: float | None
    start: datetime.date | None


@dataclass(frozen=True)
class RolloutAsked:
    """Tokens to generate, tokens of a response and of a prompt, who generates (None: who trains), and how; longest over
    mean response.
    """

    tokens: float
    length: int
    prompt: int
    fleet: tuple[int, str] | None
    stale: bool
    reward: float
    tail: float


@dataclass(frozen=True)
class Asked:
    """A command as read. inputs: as typed; fleets, layouts: one for each `--on`; quoted: price [USD/accelerator-s]."""

    inputs: dict[str, Any]
    fleets: tuple[tuple[int, str], ...]
    layouts: tuple[dict[str, int], ...]
    quoted: float | None
    move: MoveAsked | None
    rollout: RolloutAsked | None
    place: str | None
    date: datetime.date | None

    @property
    def command(self) -> str:
        """The command without its layout, for hints."""
        from tonnage.cli.again import command_line
        from tonnage.cli.train import train

        return command_line(train, self.inputs, without=("layout",))

    def single(self) -> dict[str, Any]:
        """What only a run on one kind of accelerators can be asked."""
        names = ("anchor", "move_to", "rollout_tokens")
        return {"--" + name.replace("_", "-"): self.inputs[name] for name in names}


@dataclass(frozen=True)
class Extra:
    """What an extra question adds to an answer."""

    body: dict[str, Any]
    rows: Rows
    sentence: str
    sources: tuple[str, ...]


def read_move(read: Reader, inputs: dict[str, Any], common: Common) -> MoveAsked | None:
    """`--move-to` and what belongs to it."""
    if inputs["move_to"] is None:
        alone = [name for name in ("move_at", "move_on", "move_wire") if inputs[name] is not None]
        read.problems += [Problem("needs --move-to", "--" + name.replace("_", "-")) for name in alone]
        return None
    asked = MoveAsked(
        read.fleet(inputs["move_to"], "--move-to"),
        read.optional(inputs["move_at"], "share", "--move-at"),
        read.date(inputs["move_on"], "--move-on"),
        read.optional(inputs["move_wire"], "bandwidth", "--move-wire"),
        read.date(inputs["start"], "--start") or common.date(),
    )
    if inputs["tokens"] is None:
        read.problems.append(Problem("needs --tokens, those of the whole run", "--move-to"))
    if asked.at is not None and not 0 <= asked.at < 1:
        read.problems.append(Problem("expected a share from 0 to under 100 %", "--move-at"))
    if asked.at is not None and asked.on is not None:
        read.problems.append(Problem("goes without --move-at", "--move-on"))
    if asked.on is not None and (asked.start is None or asked.on < asked.start):
        text = "needs --start" if asked.start is None else "is before the start"
        read.problems.append(Problem(text, "--move-on"))
    return asked


def read_rollout(read: Reader, inputs: dict[str, Any]) -> RolloutAsked | None:
    """`--rollout-tokens` and what belongs to it."""
    tokens = read.optional(inputs["rollout_tokens"], "tokens", "--rollout-tokens")
    if tokens is None:
        alone = [name for name in ("rollout_length", "rollout_on") if inputs[name] is not None]
        read.problems += [Problem("needs --rollout-tokens", "--" + name.replace("_", "-")) for name in alone]
        return None
    if inputs["rollout_stale"] and inputs["rollout_on"] is None:
        read.problems.append(Problem("needs --rollout-on: one pool works in turns", "--rollout-stale"))
    return RolloutAsked(
        tokens,
        read.whole(inputs["rollout_length"] or inputs["seq"], "--rollout-length"),
        read.whole(inputs["rollout_prompt"], "--rollout-prompt"),
        None if inputs["rollout_on"] is None else read.fleet(inputs["rollout_on"], "--rollout-on"),
        bool(inputs["rollout_stale"]),
        read.number(inputs["reward"], "time", "--reward"),
        _tail(read, inputs["rollout_tail"]),
    )


def _tail(read: Reader, value: float | None) -> float:
    """Longest over mean response, at least 1."""
    from tonnage.train.rl import TAIL

    if value is not None and not 1 <= value <= 100:
        read.problems.append(Problem(f"expected 1 to 100, got {value:g}", "--rollout-tail"))
    return TAIL if value is None else value


def system(fleet: tuple[int, str], catalog: Catalog, asked: Asked) -> System:
    """The accelerators of one fleet, as known on the date that is asked for."""
    from tonnage.system import System, accelerator

    return System(accelerator(fleet[1], catalog, asked.date), fleet[0])


def price(catalog: Catalog, system: System, asked: Asked) -> Price | None:
    """The catalogue's best match, or None."""
    found = catalog.price(system.accelerator.name, asked.place, asked.date)
    return found[0] if found else None


def paid(catalog: Catalog, system: System, asked: Asked) -> tuple[float | None, tuple[str, ...]]:
    """(USD per accelerator-second or None, ids of the facts it rests on)."""
    if asked.quoted is not None:
        return asked.quoted, ()
    found = price(catalog, system, asked)
    return (None, ()) if found is None else (found.value, (found.fact,))


def anchored(job: TrainJob, system: System, asked: Asked, catalog: Catalog) -> Level | None:
    """The level of the user's own runs, or None without `--anchor`."""
    from tonnage.train import level

    if asked.inputs["anchor"] is None:
        return None
    return level(job, system, measured(Path(asked.inputs["anchor"]), job, system, catalog))


def measured(path: Path, job: TrainJob, system: System, catalog: Catalog) -> list[Measured]:
    """Runs of a file; what a row leaves out is taken from the command. Every row that cannot be read is a problem."""
    from tonnage.train import Measured
    from tonnage.truth.cases import Skip, number, read_cases, required
    from tonnage.truth.shapes import Library
    from tonnage.truth.training import training_job

    usual: dict[str, Any] = {
        "model": {"bundled": job.arch.name},
        "chip": system.accelerator.name,
        "count": system.count,
        "precision": job.precision,
        "seq": job.seq,
        "global_batch": job.global_batch,
        "task": job.task,
        "framework": job.framework,
        "date": None if job.date is None else f"{job.date:%Y-%m}",
    }
    library = Library(catalog, {json.dumps(usual["model"], sort_keys=True): job.arch, job.arch.name: job.arch})
    runs, problems = [], []
    read = read_cases(path)
    for reason, line in read.first.items():
        problems.append(Problem(reason, f"{path}:{line}"))
    for line, row in enumerate(read.cases, start=1):
        try:
            whole = _row({key: value for key, value in usual.items() if value is not None} | dict(row), catalog)
            rate = float(required(number(whole, "published"), "published"))
            runs.append(Measured(*training_job(whole, library), rate))
        except Skip as reason:
            problems.append(Problem(str(reason), f"{path}:{line}"))
        except InputError as error:
            problems += [replace(one, where=f"{path}:{line}") for one in error.problems]
    if problems:
        raise InputError(problems, hint="rows are written as in docs/cases.md, with published tokens/s per accelerator")
    return runs


def _row(row: dict[str, Any], catalog: Catalog) -> dict[str, Any]:
    """Short ways to write a row: a model by its name, a chip by a short one, a layout as in `--layout`."""
    from tonnage.layout import RECOMPUTE, SCHEDULE, parse_layout

    if isinstance(row["model"], str):
        row["model"] = {"bundled": row["model"]}
    if isinstance(row["chip"], str):
        row["chip"] = catalog.chip(row["chip"])
    if isinstance(row.get("layout"), str):
        fields: dict[str, Any] = dict(parse_layout(row["layout"], "layout"))
        if "recompute" in fields:
            fields["recompute"] = RECOMPUTE[fields["recompute"]]
        if "schedule" in fields:
            name = SCHEDULE[fields["schedule"]]
            fields["schedule"] = "interleaved-1f1b" if name == "interleaved" else name
        if "mbs" in fields:
            row["micro_batch"] = fields.pop("mbs")
        row["layout"] = fields
    return row


def moved(
    job: TrainJob, system_: System, plan: TrainPlan, level: Level | None, asked: Asked, catalog: Catalog
) -> Extra | None:
    """The run moved to other chips on the way: what that costs, and when it has paid."""
    from tonnage import train as room

    if asked.move is None or job.tokens is None:
        return None
    new = system(asked.move.fleet, catalog, asked)
    (old_price, _), (new_price, facts) = paid(catalog, system_, asked), paid(catalog, new, asked)
    there = room.plan(job, new, price=new_price)
    if level is not None and new.accelerator.name == system_.accelerator.name:
        there = room.leveled(there, level)
    if not there.outcome.feasible:
        text = there.outcome.binds[0].text
        body = {"to": asked.inputs["move_to"], "outcome": there.outcome.reason, "bind": text}
        said = f"It cannot move to {new.count:,} {new.accelerator.title}: {text}."
        return Extra(body, (("switch", said),), said, ())
    wall = float(plan.wall_time or 0.0)
    share = _share(asked.move, wall)
    how = room.Move() if asked.move.wire is None else room.Move(wire=asked.move.wire)
    found = room.switch(job, (system_, plan), (new, there), job.tokens * (1 - share), how, new_price)
    stay = _bill(found.stay, system_, old_price)
    rest = _bill(found.move, new, new_price)
    latest = None if found.break_even_tokens is None else 1 - found.break_even_tokens / job.tokens
    dates = _dates(asked.move.start, share * wall, found)
    body = (
        vars(found)
        | dates
        | {
            "to": asked.inputs["move_to"],
            "at": share,
            "layout": there.to_json()["layout"],
            "step_time": there.step_time,
            "tokens_per_second_per_accelerator": there.tokens_per_second_per_accelerator,
            "worth": found.worth,
            "latest": None if latest is None or latest < 0 else latest,
            "cost_stay": stay,
            "cost_move": rest,
        }
    )
    return Extra(body, _moved_rows(job, new, there, found, body), _moved_sentence(new, found, share), facts)


def _share(move: MoveAsked, wall: float) -> float:
    """Share of the tokens that is trained when the run moves."""
    if move.on is None or move.start is None:
        return move.at or 0.0
    share = (move.on - move.start).days * units.DAY / wall
    if share >= 1:
        ends = move.start + datetime.timedelta(seconds=wall)
        raise InputError(Problem(f"the run has ended by then, on {ends}", "--move-on"))
    return share


def _bill(seconds: float, system: System, price: float | None) -> float | None:
    return None if price is None else price * seconds * system.count


def _dates(start: datetime.date | None, before: float, found: Switch) -> dict[str, Any]:
    """Dates of the move, of the break-even and of both ends, where the start is known."""
    names = {"date": before, "end_stay": before + found.stay, "end_move": before + found.move}
    names["break_even_date"] = before + found.break_even if found.break_even is not None else float("inf")
    made: dict[str, Any] = {}
    for name, seconds in names.items():
        near = start is not None and seconds < 100 * 365 * units.DAY
        made[name] = start + datetime.timedelta(seconds=seconds) if near and start is not None else None
    return made


def _moved_sentence(new: System, found: Switch, share: float) -> str:
    if found.break_even is None:
        return f"Moving to {new.count:,} {new.accelerator.title} never pays: they are not faster."
    after = units.show_time(found.break_even)
    what = "sooner" if found.worth else "later"
    ends = f"the run ends {units.show_time(abs(found.saved))} {what}"
    return (
        f"Moving at {share:.0%} to {new.count:,} {new.accelerator.title}: {ends}; it has paid {after} after the move."
    )


_KINDS = ("checkpoint", "convert", "transfer", "warm_up", "check", "lost")


def _moved_rows(job: TrainJob, new: System, there: TrainPlan, found: Switch, body: dict[str, Any]) -> Rows:
    spent = ", ".join(
        f"{name.replace('_', ' ')} {units.show_time(getattr(found, name))}"
        for name in _KINDS
        if getattr(found, name) > 0
    )
    pays = "never: the new system is not faster"
    if found.break_even_tokens is not None and found.break_even is not None:
        pays = (
            f"{units.show_tokens(found.break_even_tokens)} tokens, {units.show_time(found.break_even)}, after the move"
        )
        if body["break_even_date"]:
            pays += f", on {body['break_even_date']}"
        if body["latest"] is not None:
            pays += f"; a move later than at {body['latest']:.1%} of the run does not pay"
        else:
            pays += "; the run is too short for any move to pay"
    rate = units.show_number(there.tokens_per_second_per_accelerator)
    rows = [
        ("moves to", f"{new.count:,} {new.accelerator.name}, {body['layout']}: {rate} tokens/s per accelerator"),
        ("pause", f"{units.show_time(found.total)}: {spent} (assumptions, see docs/method/training-fleets.md)"),
        ("break-even", pays),
        ("rest", _rest(found, body)),
    ]
    return tuple(rows)


def _rest(found: Switch, body: dict[str, Any]) -> str:
    """Time and money to the end of the run, both ways."""
    texts = []
    for name, seconds in (("stay", found.stay), ("move", found.move)):
        bill, end = body[f"cost_{name}"], body[f"end_{name}"]
        text = f"{units.show_time(seconds)} to {name}" + (f" (ends {end})" if end else "")
        texts.append(text + (", unpriced" if bill is None else f", {units.show_money(bill)}"))
    return "; ".join(texts)


def rounds(
    job: TrainJob, system_: System, plan: TrainPlan, level: Level | None, asked: Asked, catalog: Catalog
) -> Extra | None:
    """A stage of GRPO-like training: one update for each batch of responses."""
    from tonnage import train as room

    want = asked.rollout
    if want is None:
        return None
    pool = system_ if want.fleet is None else system(want.fleet, catalog, asked)
    update = replace(job, seq=want.prompt + want.length, tokens=None)
    trained = room.plan(update, system_)
    trained = trained if level is None else room.leveled(trained, level)
    served = _served(job, pool, want)
    for what, half in (("update", trained), ("generation", served)):
        if not half.outcome.feasible:
            text = f"{what} on {pool.accelerator.name if half is served else system_.accelerator.name}: " + (
                half.outcome.binds[0].text
            )
            body = {"outcome": half.outcome.reason, "bind": text}
            return Extra(body, (("rl", text),), f"Its stage of reinforcement learning cannot be: {text}.", ())
    made = room.rl_rounds(update, system_, trained, _rollouts(job, served, pool, want))
    found, ends = made.each, (made.shortest, made.longest)
    stage = _stage(job, made, (system_,) if want.fleet is None else (system_, pool), want, asked, catalog)
    wall = stage.body["wall_time"]
    body = (
        vars(found)
        | stage.body
        | {
            "total_low": ends[0],
            "total_high": ends[1],
            "wall_time_low": wall * ends[0] / found.total,
            "wall_time_high": wall * ends[1] / found.total,
            "update_layout": trained.to_json()["layout"],
            "rollout_layout": served.layout_text,
            "rollout_engine": served.engine,
            "rollout_tokens_per_second_per_accelerator": served.output_tokens_per_second_per_accelerator,
            "rollout_chip": pool.accelerator.name,
            "rollout_count": pool.count,
        }
    )
    rows = _round_rows(found, body, want, job)
    return Extra(body, rows, stage.sentence, (*stage.sources, *served.sources))


def _stage(
    job: TrainJob, made: Rounds, pools: tuple[System, ...], want: RolloutAsked, asked: Asked, catalog: Catalog
) -> Extra:
    """All rounds of the stage: how many, how long with the goodput of all pools, what they cost."""
    many = want.tokens / (job.global_batch * want.length)
    wall = many * made.each.total / made.goodput
    prices = [paid(catalog, one, asked) for one in pools]
    bills = [_bill(wall, one, value) for one, (value, _) in zip(pools, prices, strict=True)]
    body = {
        "rounds": many,
        "wall_time": wall,
        "cost": None if any(bill is None for bill in bills) else sum(bill or 0.0 for bill in bills),
        "pools": "colocated" if len(pools) == 1 else "split, one round stale" if want.stale else "split, in turns",
    }
    said = f"{units.show_tokens(want.tokens)} rollout tokens take {units.show_time(wall)}, {many:,.0f} rounds of "
    facts = tuple(fact for _, known in prices for fact in known)
    return Extra(body, (), f"{said}{units.show_time(made.each.total)}.", facts)


def _served(job: TrainJob, pool: System, want: RolloutAsked) -> ServePlan:
    """The whole batch of responses in flight on the pool, by the serving model."""
    from tonnage import serve as room

    served = room.ServeJob(
        arch=job.arch, isl=float(want.prompt), osl=float(want.length), concurrency=float(job.global_batch)
    )
    return room.plan(served, pool)


def _rollouts(job: TrainJob, served: ServePlan, pool: System, want: RolloutAsked) -> Rollouts:
    """The batch of responses, generated at the pool's predicted speed."""
    from tonnage.train import Rollouts

    rate = (served.requests_per_second or 0.0) * want.length
    middle = served.output_tokens_per_second_per_accelerator or 1.0
    return Rollouts(
        want.prompt,
        want.length,
        job.global_batch,
        rate,
        rate * ((served.output_tokens_per_second_per_accelerator_low or middle) / middle),
        rate * ((served.output_tokens_per_second_per_accelerator_high or middle) / middle),
        None if want.fleet is None else pool,
        want.reward,
        want.stale,
        served.tpot or 0.0,
        want.tail,
    )


def _round_rows(found: Round, body: dict[str, Any], want: RolloutAsked, job: TrainJob) -> Rows:
    parts = ", ".join(
        f"{name} {units.show_time(getattr(found, name))}"
        for name in ("generate", "reward", "update", "transfer")
        if getattr(found, name) > 0
    )
    rate = units.show_number(body["rollout_tokens_per_second_per_accelerator"] or 0.0)
    span = f"{units.show_time(body['total_low'])} to {units.show_time(body['total_high'])}"
    where = f"{body['rollout_count']:,} {body['rollout_chip']}, {body['rollout_layout']}, {body['rollout_engine']}"
    cost = "unpriced" if body["cost"] is None else units.show_money(body["cost"])
    each = f"{job.global_batch:,} responses of {units.show_tokens(want.length)} tokens on average"
    each += f", the longest {want.tail:g} times"
    return (
        (
            "round",
            f"{units.show_time(found.total)} ({span}): {parts}; {body['pools']}; {each}",
        ),
        ("rollout", f"{rate} tokens/s per accelerator on {where}"),
        ("update", f"{body['update_layout']}, prompts trained on too, one pass and log-probabilities"),
        ("stage", f"{units.show_time(body['wall_time'])}, {body['rounds']:,.0f} rounds, {cost}"),
    )
