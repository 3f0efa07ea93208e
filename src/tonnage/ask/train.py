"""What people write of a training run -> what is to be planned."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tonnage.ask import belongs
from tonnage.ask.price import Paid, paid
from tonnage.ask.reading import WordReader
from tonnage.ask.train_words import TrainWords
from tonnage.catalog import Catalog
from tonnage.errors import InputError, Problem
from tonnage.model import load
from tonnage.system import System, accelerator
from tonnage.train import TrainJob, frameworks
from tonnage.train.rl import TAIL

Fleet = tuple[int, str]
"""(how many, of which chip)."""


@dataclass(frozen=True)
class MoveAsked:
    """Where to, when (a share of the tokens, or a date), over what wire [byte/s], and when the run started."""

    fleet: Fleet
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
    fleet: Fleet | None
    stale: bool
    reward: float
    tail: float


@dataclass(frozen=True)
class Recipe:
    """How parameters are kept and updated, and what is fused: fields of `TrainJob` by the same names."""

    lora_rank: int | None
    lora_on: str
    base: str | None
    optimizer: str
    moments: str | None
    master: str
    gradients: str
    offload: tuple[str, ...]
    loss_chunks: int | None
    compiled: bool | None


@dataclass(frozen=True)
class TrainQuestion:
    """A question as read, before a catalogue is opened.

    model: its name or path; fleets, layouts: one for each kind of chips; quoted: price [USD per accelerator-second];
    term: of payment; place, date: where prices are asked, and as of when; software: date of the training software;
    anchor: file of measured runs; the rest: of the job, or beside it.
    """

    model: str
    fleets: tuple[Fleet, ...]
    layouts: tuple[Mapping[str, int], ...]
    quoted: float | None
    term: str | None
    place: str | None
    date: datetime.date | None
    seq: int
    global_batch: int
    tokens: float | None
    precision: str
    task: str
    routing: str
    framework: str | None
    shard_group: int | None
    software: datetime.date | None
    recipe: Recipe
    anchor: Path | None = None
    move: MoveAsked | None = None
    rollout: RolloutAsked | None = None

    def job(self, catalog: Catalog) -> TrainJob:
        """What is to be trained. Raises `InputError` for routing of a model without experts."""
        arch = load(self.model, catalog, self.date)
        if self.routing != "learned" and not arch.moe:
            raise InputError(Problem(f"{arch.title} is dense: no experts to route to", path="routing"))
        return TrainJob(
            arch=arch,
            seq=self.seq,
            global_batch=self.global_batch,
            tokens=self.tokens,
            precision=self.precision,
            task=self.task,
            framework=self.framework,
            date=self.software,
            routing=self.routing,
            shard_group=self.shard_group,
            **self.recipe.__dict__,
        )

    def system(self, fleet: Fleet, catalog: Catalog) -> System:
        """The accelerators of one fleet, as known on the date that is asked for."""
        return System(accelerator(fleet[1], catalog, self.date), fleet[0])

    def paid(self, system: System, catalog: Catalog) -> Paid:
        """What its accelerators are paid at."""
        return paid(catalog, system, self.quoted, self.place, self.date, self.term)


def read(model: str, words: TrainWords, as_of: datetime.date | None = None) -> TrainQuestion:
    """The question that the words put, as of a date. Raises `InputError` with every problem by field."""
    reader = WordReader()
    place = reader.place(words.place, "place")
    fleets = tuple(reader.fleet(text, "on") for text in words.on)
    layouts = reader.layouts(words.layout, len(words.on), "layout")
    quoted = reader.price(words.price)
    term = reader.term(words.term, words.price)
    reader.problems.extend(belongs.astray(words, belongs.TRAIN))
    move = _move(reader, words, as_of)
    rollout = _rollout(reader, words)
    software = reader.date(words.software, "software") or as_of
    question = TrainQuestion(
        model=model,
        fleets=fleets,
        layouts=layouts,
        quoted=quoted,
        term=term,
        place=place,
        date=as_of,
        seq=reader.whole(words.seq, "seq"),
        global_batch=reader.whole(words.global_batch, "global_batch"),
        tokens=reader.optional(words.tokens, "tokens", "tokens"),
        precision=words.precision,
        task=words.task,
        routing=words.routing,
        framework=words.framework,
        shard_group=None if words.shard_group is None else reader.whole(words.shard_group, "shard_group"),
        software=software,
        recipe=_recipe(reader, words),
        anchor=words.anchor,
        move=move,
        rollout=rollout,
    )
    if len(words.on) > 1:
        alone = ("anchor", "move_to", "rollout_tokens")
        reader.problems.extend(_each(words, alone, "goes with one `on`"))
    reader.problems.extend(_framework(words.framework))
    step = question.seq * question.global_batch
    if question.tokens is not None and not reader.problems and question.tokens < step:
        reader.wrong(f"expected at least one step, {step:,} tokens, got {words.tokens}", "tokens")
    reader.done()
    return question


def _recipe(reader: WordReader, words: TrainWords) -> Recipe:
    """Adapters, optimizer, formats, and what the host keeps."""
    return Recipe(
        lora_rank=None if words.lora_rank is None else reader.whole(words.lora_rank, "lora_rank"),
        lora_on=words.lora_on,
        base=words.base,
        optimizer=words.optimizer,
        moments=words.moments,
        master=words.master,
        gradients=words.gradients,
        offload=tuple(part.strip() for part in (words.offload or "").split(",") if part.strip()),
        loss_chunks=None if words.loss_chunks is None else reader.whole(words.loss_chunks, "loss_chunks"),
        compiled=False if words.no_compile else None,
    )


def _each(words: TrainWords, names: tuple[str, ...], text: str) -> list[Problem]:
    """The same problem of every field that is given."""
    return [Problem(text, path=name) for name in names if getattr(words, name) is not None]


def _framework(name: str | None) -> list[Problem]:
    found = None if name is None else frameworks.problem(name)
    return [] if found is None else [found]


def _move(reader: WordReader, words: TrainWords, as_of: datetime.date | None) -> MoveAsked | None:
    """`move_to` and what belongs to it."""
    start = reader.date(words.start, "start") or as_of
    if words.move_to is None:
        return None
    asked = MoveAsked(
        reader.fleet(words.move_to, "move_to"),
        reader.optional(words.move_at, "share", "move_at"),
        reader.date(words.move_on, "move_on"),
        reader.optional(words.move_wire, "bandwidth", "move_wire"),
        start,
    )
    if asked.at is not None and not 0 <= asked.at < 1:
        reader.wrong("expected a share from 0 to under 100 %", "move_at")
    if asked.at is not None and asked.on is not None:
        reader.wrong("goes without `move_at`", "move_on")
    if asked.on is not None and (asked.start is None or asked.on < asked.start):
        reader.wrong("needs `start`" if asked.start is None else "is before the start", "move_on")
    return asked


def _rollout(reader: WordReader, words: TrainWords) -> RolloutAsked | None:
    """`rollout_tokens` and what belongs to it."""
    tokens = reader.optional(words.rollout_tokens, "tokens", "rollout_tokens")
    prompt, reward = reader.whole(words.rollout_prompt, "rollout_prompt"), reader.number(words.reward, "time", "reward")
    if words.rollout_tokens is None:
        return None
    length = reader.whole(words.rollout_length or words.seq, "rollout_length")
    if tokens is not None and not reader.problems and tokens < length:
        reader.wrong(f"expected at least one response, {length:,} tokens, got {words.rollout_tokens}", "rollout_tokens")
    return RolloutAsked(
        tokens or 0.0,
        length,
        prompt,
        None if words.rollout_on is None else reader.fleet(words.rollout_on, "rollout_on"),
        words.rollout_stale,
        reward,
        _tail(reader, words.rollout_tail),
    )


def _tail(reader: WordReader, text: str | None) -> float:
    """Longest over mean response, at least 1."""
    if text is None:
        return TAIL
    value = reader.number(text, "number", "rollout_tail")
    if not 1 <= value <= 100:
        reader.wrong(f"expected 1 to 100, got {value:g}", "rollout_tail")
    return value
