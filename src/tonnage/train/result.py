"""Plans of training runs, as values that hold their question, and as JSON.

`plan` under a plan's JSON is the whole value; the other keys are the same in flat words, for people and tables.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal, Self

from tonnage import __version__
from tonnage.errors import InputError, Outcome, Problem
from tonnage.interval import Interval, flat
from tonnage.layout import Layout, show_layout
from tonnage.model.kept import FORMS
from tonnage.provenance import Evidence, Provenance
from tonnage.shown import ShownResult
from tonnage.system import System
from tonnage.train.duration import Duration, duration
from tonnage.train.figures import Body, Figured, TrainFigures, degrees, figures_json
from tonnage.train.job import TrainJob
from tonnage.units import DAY
from tonnage.values import Plain, decode, encode


@dataclass(frozen=True)
class LayoutSearch:
    """How many layouts were looked at, how many fit, and how long it took [s] (which makes no two plans different)."""

    candidates: int
    feasible: int
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class OtherLayout:
    """A layout that is nearly as good: step time [s], slower: over the best one's less 1, memory [byte] of the fullest
    rank, what differs, in words.
    """

    layout: Layout
    step_time: float
    slower: float
    memory: float
    differs: str


@dataclass(frozen=True)
class Level:
    """What a user's own runs say: ratio: measured rate over the predicted one, the median of the runs that count;
    spread: half-width of the 90 % interval of the log of the step time once it is known; runs: how many counted, seen:
    how many were given; like: in what those that counted are like the run that is asked for.
    """

    ratio: float
    spread: float
    runs: int
    seen: int
    like: str


@dataclass(frozen=True)
class Move:
    """How a run is moved; every figure is an assumption to be replaced by the user's own.

    storage: checkpoint bandwidth of either system [byte/s]; wire: between the sites, infinite when they share storage
    [byte/s]; convert: passes over the state to change layout and format; check: tokens trained on both systems to see
    that the loss agrees (DeepSeek-V3 compared FP8 with BF16 over far more: arXiv 2412.19437, appendix B.1); warm_up:
    bringing the software up on the new system [s].
    """

    storage: float = 50e9
    wire: float = math.inf
    convert: float = 2.0
    check: float = 2e9
    warm_up: float = 2 * DAY


@dataclass(frozen=True)
class Switch:
    """Seconds that a move costs by kind, its sum, and when it has paid.

    lost: steps since the last checkpoint; check: tokens trained twice. break_even_tokens: to be trained after the move
    until both choices are level, None when the new system is not faster; break_even: the same in seconds from the move
    on; saved: seconds saved over the rest of the run (negative: lost); cost: USD for idle accelerators of the new
    system, None when unpriced; stay, move: seconds to the end of the run without and with the move, pause included.
    """

    checkpoint: float
    convert: float
    transfer: float
    warm_up: float
    check: float
    lost: float
    total: float
    break_even_tokens: float | None
    break_even: float | None
    saved: float
    cost: float | None
    stay: float
    move: float

    @property
    def worth(self) -> bool:
        """Whether the run ends sooner with the move."""
        return self.saved > 0


@dataclass(frozen=True)
class MoveDates:
    """Of the move, of both ends, and of the break-even; None where the start is not known, or a century away."""

    date: datetime.date | None = None
    end_stay: datetime.date | None = None
    end_move: datetime.date | None = None
    break_even_date: datetime.date | None = None


@dataclass(frozen=True)
class MovePlan:
    """A run that moves to other accelerators on the way.

    after: its plan there; share: of the tokens that is trained when it moves; how; start: of the run, if known;
    switch: what it costs and when it has paid, None where the run cannot be there; latest: share of the run after which
    no move pays, None where none does; cost_stay, cost_move: of the rest of the run [USD], None where unpriced.
    """

    after: TrainPlan
    share: float
    how: Move
    start: datetime.date | None = None
    switch: Switch | None = None
    dates: MoveDates = MoveDates()
    latest: float | None = None
    cost_stay: float | None = None
    cost_move: float | None = None

    def to_json(self) -> Body:
        """The keys of a move."""
        to = f"{self.after.system.count}x{self.after.system.accelerator.name}"
        if self.switch is None:
            outcome = self.after.outcome
            return {"to": to, "outcome": outcome.reason, "bind": outcome.binds[0].text}
        rate = self.after.tokens_per_second
        return {
            **_fields(self.switch),
            **_fields(self.dates),
            "to": to,
            "at": self.share,
            "layout": show_layout(self.after.layout) if self.after.layout else None,
            "step_time": self.after.step_time.value if self.after.step_time else None,
            "tokens_per_second_per_accelerator": rate,
            "worth": self.switch.worth,
            "latest": self.latest,
            "cost_stay": self.cost_stay,
            "cost_move": self.cost_move,
        }


@dataclass(frozen=True)
class Round:
    """One round of GRPO-like training [s]: generation, reward, update, weights to the generating engines; total."""

    generate: float
    reward: float
    update: float
    transfer: float
    total: float


@dataclass(frozen=True)
class Rollouts:
    """How the responses of a round are generated.

    prompt, response: [token] of each; responses: in a round; rate, low, high: generated tokens/s of the whole pool with
    the batch in flight, by the serving model, 90 % interval (0 where it cannot be); pool: the system that generates,
    the training one itself if None; reward: [s] of scoring that generation does not hide; stale: a pool apart may be
    one round ahead of the update; latency: [s] of a token of one response in that batch, no faster than which a
    response comes however many accelerators there are; tail: longest over mean response.
    """

    prompt: float
    response: float
    responses: float
    rate: float
    low: float
    high: float
    pool: System | None = None
    reward: float = 0.0
    stale: bool = False
    latency: float = 0.0
    tail: float = 1.0

    def straggles(self, rate: float) -> float:
        """Seconds from the end of a response of mean length to that of the longest, at another rate of the pool too:
        the latency moves with it.
        """
        return max(self.tail - 1, 0.0) * self.response * self.latency * self.rate / rate

    @property
    def tokens(self) -> float:
        """Tokens generated in a round."""
        return self.responses * self.response


@dataclass(frozen=True)
class Rounds:
    """Equal rounds of a stage. tokens: generated in one; each: its parts [s]; shortest, longest: its length [s] when
    generation and update are both at the fast or the slow end of their intervals; goodput: of all pools together.
    """

    tokens: float
    each: Round
    shortest: float
    longest: float
    goodput: float

    @property
    def rate(self) -> float:
        """Generated tokens/s, goodput included."""
        return self._rate(self.each.total)

    @property
    def interval(self) -> tuple[float, float]:
        """The same at the slow and at the fast end."""
        return self._rate(self.longest), self._rate(self.shortest)

    def _rate(self, seconds: float) -> float:
        return self.tokens / seconds * self.goodput


@dataclass(frozen=True)
class RlPlan:
    """A stage of reinforcement learning.

    tokens: to be generated in all; update: the plan of its training, on sequences of prompt and response; rollouts: how
    responses are generated; engine, layout: of the service that generates them; prices: of the pools, the training one
    first [USD per accelerator-second], None where unpriced; outcome, where: what cannot be, on which half; rounds: None
    then; wall_time [s], cost [USD]: of all rounds.
    """

    tokens: float
    update: TrainPlan
    rollouts: Rollouts
    engine: str
    layout: str
    prices: tuple[float | None, ...]
    outcome: Outcome
    where: str = ""
    rounds: Rounds | None = None
    wall_time: Interval | None = None
    cost: float | None = None

    @property
    def pool(self) -> System:
        """The accelerators that generate."""
        return self.rollouts.pool or self.update.system

    @property
    def pools(self) -> str:
        """How generation and update share accelerators, in words."""
        if self.rollouts.pool is None:
            return "colocated"
        return "split, one round stale" if self.rollouts.stale else "split, in turns"

    @property
    def count(self) -> float:
        """Rounds of the stage."""
        return self.tokens / self.rollouts.tokens

    @property
    def bind(self) -> str:
        """What forbids it, in words."""
        return f"{self.where}: {self.outcome.binds[0].text}" if self.outcome.binds else ""

    def to_json(self) -> Body:
        """The keys of a stage."""
        if self.rounds is None:
            return {"outcome": self.outcome.reason, "bind": self.bind}
        total = Interval(self.rounds.each.total, self.rounds.shortest, self.rounds.longest)
        return {
            **_fields(self.rounds.each),
            **flat("total", total),
            "rounds": self.count,
            **flat("wall_time", self.wall_time),
            "cost": self.cost,
            "pools": self.pools,
            "update_layout": show_layout(self.update.layout) if self.update.layout else None,
            "rollout_layout": self.layout,
            "rollout_engine": self.engine,
            "rollout_tokens_per_second_per_accelerator": self.rollouts.rate / self.pool.count,
            "rollout_chip": self.pool.accelerator.name,
            "rollout_count": self.pool.count,
        }


@dataclass(frozen=True)
class TrainPlan(Figured, ShownResult):
    """The answer of `plan`, with its question: plan it again from `job`, `system`, `fixed`, `price` and `anchor`.

    fixed: what the question fixes of the layout; price: of an accelerator [USD/s], None where unpriced; anchor: the
    level of the user's own runs that its times are brought onto. layout and run are None where nothing divides.
    alternatives: layouts nearly as good; nearest_feasible: a layout that fits where what was asked does not; move, rl:
    what was asked beside it.
    """

    job: TrainJob
    system: System
    outcome: Outcome
    fixed: Mapping[str, int] = field(default_factory=dict)
    price: float | None = None
    layout: Layout | None = None
    run: TrainFigures | None = None
    alternatives: tuple[OtherLayout, ...] = ()
    search: LayoutSearch | None = None
    nearest_feasible: Layout | None = None
    anchor: Level | None = None
    move: MovePlan | None = None
    rl: RlPlan | None = None
    provenance: Provenance = Provenance()

    @property
    def used(self) -> int | None:
        """Accelerators that work; None where there is no layout."""
        return used(self.layout, self.system) if self.layout else None

    @property
    def unused(self) -> int | None:
        """Accelerators left over: spares that are paid for; None where there is no layout."""
        return self.system.count - used(self.layout, self.system) if self.layout else None

    @property
    def whole_rate(self) -> float | None:
        """Tokens a second of the whole run."""
        return self.run.tokens_per_second * self.system.count if self.run else None

    @property
    def duration(self) -> Duration | None:
        """How long such runs took, over their steps; None where the tokens are not given, and for other tasks than
        pre-training, of which no durations are published.
        """
        if self.wall_time is None or self.job.task != "pretrain":
            return None
        working = replace(self.system, count=self.used or self.system.count)
        return duration(self.job, working, self.wall_time, self.evidence)

    def to_json(self) -> Body:
        """The keys of a training answer."""
        took = self.duration
        body: Body = {
            **figures_json(self.run),
            "tokens_per_second": self.whole_rate,
            "used": self.used,
            "unused": self.unused,
            **({} if took is None else took.to_json()),
            "layout": show_layout(self.layout) if self.layout else None,
            "degrees": degrees(self.layout),
            "price": self.price,
            "alternatives": [_other_json(other) for other in self.alternatives],
            "nearest_feasible": show_layout(self.nearest_feasible) if self.nearest_feasible else None,
            "search": search_json(self.search),
        }
        for name, extra in (("switch", self.move), ("rl", self.rl)):
            if extra is not None:
                body[name] = extra.to_json()
        if self.anchor is not None:
            body["anchor"] = _fields(self.anchor)
        return body | {"plan": encode(self, FORMS)}

    @classmethod
    def from_json(cls, body: Mapping[str, Plain]) -> Self:
        """The plan that a JSON answer holds. Raises `InputError` with the path of what is not one."""
        return decode(cls, _kept(body), FORMS)


@dataclass(frozen=True)
class MixedPart:
    """What one system does in a mixed run.

    layout; batch: sequences of each step that it takes; layers: decoder layers that it holds; step_time: its own part
    of a step [s], without waiting for the others; run: its figures with its share alone; place: in the pipeline of
    stages, 0 in groups.
    """

    system: System
    layout: Layout
    batch: int
    layers: int
    step_time: float
    run: TrainFigures
    place: int = 0

    @property
    def used(self) -> int:
        """Accelerators of it that work."""
        return used(self.layout, self.system)


Way = Literal["groups", "stages"]


@dataclass(frozen=True)
class MixedPlan(Figured, ShownResult):
    """A run on unlike systems, with its question: `job`, `systems`, and for each what is fixed and its price.

    way: `groups` (each holds the model and takes sequences of each batch) or `stages` (each holds layers and takes
    every sequence); parts: as the systems, none where it cannot be; run: of all together, rates over all accelerators;
    between: seconds of a step for what crosses from part to part; alone: tokens per second of the best system alone
    with the whole batch, None where none can; why: what the other way loses by, or why it cannot be; other: its tokens
    per second, None where it cannot be.
    """

    job: TrainJob
    systems: tuple[System, ...]
    outcome: Outcome
    fixed: tuple[Mapping[str, int], ...]
    prices: tuple[float | None, ...]
    way: Way
    parts: tuple[MixedPart, ...] = ()
    run: TrainFigures | None = None
    between: float | None = None
    alone: float | None = None
    why: str = ""
    other: float | None = None
    search: LayoutSearch | None = None
    provenance: Provenance = Provenance()

    @property
    def batches(self) -> tuple[int, ...]:
        """Sequences of each step that each part takes."""
        return tuple(part.batch for part in self.parts)

    @property
    def together(self) -> float | None:
        """Tokens per second of all parts together."""
        return self.job.tokens_per_step / self.run.step_time.value if self.run else None

    @property
    def gain(self) -> float | None:
        """Tokens per second over those of the best system alone, less 1; None where none can."""
        if self.together is None or self.alone is None:
            return None
        return self.together / self.alone - 1

    def share(self, part: MixedPart) -> float:
        """Share of each batch, or of the layers."""
        return part.batch / self.job.global_batch if self.way == "groups" else part.layers / self.job.arch.depth

    def cost(self, place: int) -> float | None:
        """What a part costs over the whole run [USD], None where unpriced."""
        price, wall = self.prices[place], self.wall_time
        return None if price is None or wall is None else price * wall.value * self.systems[place].count

    def to_json(self) -> Body:
        """The keys of a training answer, and of each part."""
        return {
            **figures_json(self.run),
            "layout": " + ".join(show_layout(part.layout) for part in self.parts) or None,
            "degrees": None,
            "alternatives": [],
            "nearest_feasible": None,
            "search": search_json(self.search),
            "parts": [self._part(place, part) for place, part in enumerate(self.parts)],
            "way": self.way,
            "between": self.between,
            "why": self.why or None,
            "other": self.other,
            "gain": self.gain,
            "alone": self.alone,
            "plan": encode(self, FORMS),
        }

    def _part(self, place: int, part: MixedPart) -> Body:
        """The keys of one part of a mixed plan."""
        share = self.share(part)
        return {
            "chip": part.system.accelerator.name,
            "count": part.system.count,
            "used": part.used,
            "global_batch": part.batch,
            "share": share,
            "layers": part.layers,
            "place": part.place,
            "step_time": part.step_time,
            "tokens_per_second_per_accelerator": share * (self.together or 0.0) / part.system.count,
            "price": self.prices[place],
            "cost": self.cost(place),
            "layout": show_layout(part.layout),
            "degrees": degrees(part.layout),
            "memory": part.run.memory.to_json(),
            "breakdown": {**part.run.breakdown},
            "mfu": part.run.mfu,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Plain]) -> Self:
        """The plan that a JSON answer holds. Raises `InputError` with the path of what is not one."""
        return decode(cls, _kept(body), FORMS)


def used(layout: Layout, system: System) -> int:
    """Accelerators that a layout works on, each of several ranks where it has several dies."""
    return -(-int(layout.ranks) // system.accelerator.dies)


def provenance(*systems: System, evidence: Evidence = "analytic") -> Provenance:
    """What a plan on these systems rests on, before a catalogue or a price is named."""
    facts = tuple(dict.fromkeys(fact for system in systems for fact in system.accelerator.facts))
    return Provenance(facts=facts, version=__version__, evidence=evidence)


def resting_on(found: Provenance, facts: tuple[str, ...], catalog: str | None) -> Provenance:
    """With further facts (of a price), and the digest of the catalogue that all are from."""
    return replace(found, facts=tuple(dict.fromkeys((*found.facts, *facts))), catalog=catalog)


def _kept(body: Mapping[str, Plain]) -> Plain:
    if "plan" not in body:
        raise InputError(Problem("is missing", path="plan"))
    return body["plan"]


def _fields(value: Level | Switch | MoveDates | Round) -> Body:
    made = {f.name: getattr(value, f.name) for f in fields(value)}
    return {name: encode(item) for name, item in made.items()}


def search_json(found: LayoutSearch | None) -> Body | None:
    """Layouts looked at, those that fit; seconds is null, for equal questions have equal bytes."""
    return {**vars(found), "seconds": None} if found else None


def _other_json(other: OtherLayout) -> Body:
    return {
        "layout": show_layout(other.layout),
        "degrees": degrees(other.layout),
        "step_time": other.step_time,
        "slower": other.slower,
        "memory": other.memory,
        "differs": other.differs,
    }
