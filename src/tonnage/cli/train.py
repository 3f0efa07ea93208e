"""`tonnage train MODEL --on 2048xh800`: the best layout to train a model on these chips."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tonnage.ask.train_words import TrainWords
from tonnage.cli.again import command_of
from tonnage.cli.calibration import catalog_with, measured_rows, said
from tonnage.cli.common import COMMON, Common, finish
from tonnage.cli.flags import as_flags, with_flags
from tonnage.cli.launch_file import dated, read_from
from tonnage.cli.ledger_file import anchor_file
from tonnage.report.envelope import Reply

if TYPE_CHECKING:
    from tonnage.ask.train import TrainQuestion
    from tonnage.ask.train_plan import Trained
    from tonnage.catalog import Catalog
    from tonnage.launchfile import Written
    from tonnage.train import TrainJob, TrainPlan


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainOptions(TrainWords):
    """What is asked of a training run.

    Parameters
    ----------
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
        pretrain, sft, lora, or qlora (lora over a base of four bits).
    layout
        what is fixed, such as tp8,pp16,dp128; the search chooses the rest; of each fleet in turn with " + " between.
    shard_group
        ranks over which ZeRO shards (HSDP), such as 64; all data-parallel ranks by default.
    software
        date of the training software; default --as-of, else the newest known.
    routing
        learned, forced (benchmarks that balance experts by force), or dropped (tokens over an expert's capacity are).
    framework
        such as Megatron-Core, NeMo, torchtitan or DeepSpeed; default the newest Megatron-like stack.
    lora_rank
        rank of the adapters; without it what they take is left out.
    lora_on
        what has adapters: attention, all-linear (all but routed experts) or all.
    base
        format that frozen weights are stored in: nf4, fp4 or int8; default 16 bits, of qlora nf4.
    optimizer
        adamw, adamw-8bit, adafactor, lion, muon or sgd.
    moments
        their format: fp32, bf16, fp16 or int8; default the optimizer's own.
    master
        copy of the weights that is updated: fp32, or none (the 16-bit weights are).
    gradients
        their sums: fp32 or bf16.
    offload
        what the host keeps: optimizer, params or activations, with commas between.
    loss_chunks
        parts in which logits and loss are computed one after the other, such as 8; default all at once.
    no_compile
        element-wise operators are not fused.
    price
        of one accelerator, such as $2.10/h; default the catalogue's best match.
    term
        of payment, for the catalogue's price: on-demand, monthly, 1-year, 3-year, reserved or spot; default what can
        be rented and left.
    place
        where the price is asked, such as CN, DE or EU: the country's, else its region's, else the world's; what owning
        costs where no rent is known.
    anchor
        JSON Lines of runs measured on these chips, or a ledger (`ledger`: the one that --ledger names) with such;
        predictions are brought onto them.
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
    calibration
        a file of `tonnage qualify`, measured on these chips; its device can be asked for by its name. May be repeated.
    launch_file
        a launch file of yours to ask of: a script, manifest or configuration of an engine; flags override what it says.
    """

    on: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    place: Annotated[str | None, Parameter(name="--in")] = None
    anchor: Path | None = None
    rollout_stale: Annotated[bool, Parameter(negative="")] = False
    no_compile: Annotated[bool, Parameter(negative="")] = False
    calibration: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    launch_file: Annotated[Path | None, Parameter(name="--from", negative="")] = None


NAMES = frozenset({*(field.name for field in fields(TrainOptions)), "in"})
"""Fields that have a flag."""


UNSAID = TrainOptions()


def train(model: str | None = None, /, *, options: TrainOptions = UNSAID, common: Common = COMMON) -> int:
    """The best layout to train a model on these chips: step time, memory, days, cost.

    Parameters
    ----------
    model
        bundled name, config.json, folder with one, or an architecture in YAML.
    """
    from tonnage.ask import train as ask
    from tonnage.ask.together import chosen, names, with_the_rest

    options = replace(options, anchor=anchor_file(options.anchor, common))
    with as_flags(NAMES):
        model, options, written = read_from(options.launch_file, model, options.on, options, common, train=True)
    common = dated(common, written)
    load = catalog_with(options.calibration, common)
    rest = (*names(model, options.on, load, common.date), lambda: chosen(options, load()))
    with as_flags(NAMES), with_the_rest(lambda: ask.read(model, options), *rest):
        as_of = common.date()
        asked = ask.read(model, options, as_of)
        catalog = load()
        job = asked.job(catalog)
    inputs = _inputs(asked, options, common)
    mixed = len(asked.fleets) > 1
    if written is None or mixed:
        made = _mixed(asked, job, inputs, catalog) if mixed else _single(asked, job, inputs, catalog)[0]
        return finish(made, common)
    reply, plan = _single(asked, job, inputs, catalog)
    return finish(_beside(reply, plan, written, replace(asked, layouts=({},)), job), common)


def _beside(reply: Reply, plan: TrainPlan, written: Written, free: TrainQuestion, job: TrainJob) -> Reply:
    """The reply with what was read of a launch file, and the best layout beside it."""
    from tonnage.ask.train_plan import planned
    from tonnage.report.written import train_change, with_written, written_json

    assert reply.catalog is not None
    change = train_change(plan, planned(free, job, reply.catalog).plan)
    body = {**reply.body, "written": written_json(written, change)}
    return replace(reply, answer=with_written(reply.answer, written, change), body=body)


def _inputs(asked: TrainQuestion, options: TrainOptions, common: Common) -> dict[str, Any]:
    """What was asked, as flags, so that it can be asked again."""
    given = said({field.name: getattr(options, field.name) for field in fields(options)})
    given |= {"on": options.on[0] if len(options.on) == 1 else list(options.on)}
    given |= {"anchor": None if options.anchor is None else str(options.anchor), "in": asked.place}
    del given["place"]
    path = given.pop("launch_file")
    given |= {} if path is None else {"from": str(path)}
    return {"model": asked.model, **given, "as_of": common.as_of}


def _command(inputs: dict[str, Any], **instead: str) -> str:
    """The command without its layout, for hints; with some words instead of its own."""
    usual = {field.name: field.default for field in fields(TrainOptions)}
    given = {name: value for name, value in (inputs | instead).items() if name != "model"}
    return command_of("train", inputs["model"], given, usual, without=("layout",))


def _single(asked: TrainQuestion, job: TrainJob, inputs: dict[str, Any], catalog: Catalog) -> tuple[Reply, TrainPlan]:
    """One kind of accelerators: the plan, then what else was asked of it."""
    from tonnage.ask.train_plan import planned
    from tonnage.report.train import answer

    with as_flags(NAMES):
        found = planned(asked, job, catalog)
    plan, command = found.plan, _command(inputs)
    body: dict[str, Any] = plan.to_json() | {"software": [vars(one) for one in found.software]}
    body |= {"nearby": [vars(one) for one in found.near]}
    if plan.move is not None:
        body["switch"] |= {"to": inputs["move_to"]}
    hints: tuple[str, ...] = (f"{command} --layout {plan.layout}  pins this layout; --json has every number",)
    if not plan.outcome.feasible:
        hints = _ways_out(found, inputs)
    told = with_flags(answer(plan, found.paid.quote, found.software, found.near, found.paid.note), NAMES, *hints)
    told = replace(told, rows=(*told.rows, *measured_rows(catalog, [plan.system.accelerator.name])))
    facts = plan.provenance.facts
    made = Reply("train", inputs, body, told, plan.outcome, plan.evidence, facts, catalog, formats=job.precision)
    return made, plan


def _ways_out(found: Trained, inputs: dict[str, Any]) -> tuple[str, ...]:
    """A command that works, where the one that was asked does not."""
    plan = found.plan
    if plan.nearest_feasible is not None:
        return (f"{_command(inputs)} --layout {plan.nearest_feasible}  fits",)
    if found.enough is not None:
        more = f"{found.enough}x{plan.system.accelerator.name}"
        return (f"{_command(inputs, on=more)}  fits",)
    return ()


def _mixed(asked: TrainQuestion, job: TrainJob, inputs: dict[str, Any], catalog: Catalog) -> Reply:
    """Several kinds together."""
    from tonnage.ask.train_plan import paid_mixed, planned_mixed
    from tonnage.report.train import basis
    from tonnage.report.train_mixed import answer

    with as_flags(NAMES):
        plan = planned_mixed(asked, job, catalog)
    body, command = plan.to_json(), _command(inputs)
    hints: tuple[str, ...] = (f'{command} --layout "{body["layout"]}"  pins these layouts',)
    if not plan.outcome.feasible:
        free = replace(asked, layouts=tuple({} for _ in asked.fleets))
        works = any(asked.layouts) and planned_mixed(free, job, catalog).outcome.feasible
        hints = (f"{command}  (no --layout)",) if works else ()
    title = " + ".join(f"{count:,} {chip}" for count, chip in asked.fleets)
    prices = paid_mixed(asked, catalog) if asked.term else ()
    bases = [price.note + basis(price.quote) if price.quote else "" for price in prices]
    told = with_flags(answer(plan, title, bases), NAMES, *hints)
    told = replace(told, rows=(*told.rows, *measured_rows(catalog, [chip for _, chip in asked.fleets])))
    facts = plan.provenance.facts
    return Reply("train", inputs, body, told, plan.outcome, plan.evidence, facts, catalog, formats=job.precision)
