"""A service as it would run: what was asked, the instances, how fast, in what memory, at what cost, and how sure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tonnage import values
from tonnage.errors import Outcome
from tonnage.interval import Interval, flat
from tonnage.layout import Layout
from tonnage.layout.form import LAYOUT
from tonnage.model.kept import FORMS as MODELS
from tonnage.provenance import Provenance
from tonnage.serve.cost import DayMargin
from tonnage.serve.instances import Instance
from tonnage.serve.job import ChipPower, ChipPrice, ServeJob, asking
from tonnage.serve.pools import PoolLayout
from tonnage.serve.replica.formats import ServeFormats
from tonnage.serve.replica.software import Constants
from tonnage.shown import ShownResult
from tonnage.system import System
from tonnage.values import Plain

FORMS: values.Forms = {**MODELS, Layout: LAYOUT}
"""How what is not kept field by field is kept in a saved plan."""

Body = dict[str, Plain]


@dataclass(frozen=True)
class ServedFleet:
    """Accelerators of one kind, with all that is their own.

    constants: of the engine's software, those that come with tonnage where None; measured: whose measurements their
    operators are priced by, in words. The measurements themselves are not kept in a saved plan.
    """

    system: System
    price: ChipPrice | None = None
    power: ChipPower | None = None
    constants: Constants | None = None
    measured: str | None = None


@dataclass(frozen=True)
class ServeQuestion:
    """All that a plan follows from.

    job: what is asked, with price and power of the first fleet; fleets: that may serve; layout, prefill_layout,
    ffn_layout: what is given of the layouts of ranks that decode, prefill, hold the FFN; ffn: what the FFN ranks lie
    on, where a single fleet has the attention alone.
    """

    job: ServeJob
    fleets: tuple[ServedFleet, ...]
    layout: Mapping[str, int] | None = None
    prefill_layout: Mapping[str, int] | None = None
    ffn_layout: Mapping[str, int] | None = None
    ffn: System | None = None


@dataclass(frozen=True)
class FirstTokens:
    """Times to the first token that half, 90 % and 99 % of the requests do not exceed [s]."""

    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class ServeSpeed:
    """How fast a service is; figures that a mode lacks are None, all of one that cannot be.

    requests: per second, of the whole deployment; ttft, tpot: means [s]; output, input: tokens/s per accelerator, over
    all accelerators of the deployment; batch: sequences per accelerator in flight; late: of first tokens.
    """

    requests: float | None = None
    ttft: Interval | None = None
    tpot: Interval | None = None
    output: Interval | None = None
    input: float | None = None
    batch: float | None = None
    late: FirstTokens | None = None


@dataclass(frozen=True)
class MemoryUse:
    """Memory of an accelerator [byte]. capacity: what its data sheet says; reported: what a program finds on it."""

    weights: float
    kv_cache: float
    activations: float
    buffers: float
    capacity: float
    reported: float

    @property
    def total(self) -> float:
        """All that is used."""
        return self.weights + self.kv_cache + self.activations + self.buffers

    def to_json(self) -> Body:
        """The fields and their total."""
        used: Body = {name: getattr(self, name) for name in ("weights", "kv_cache", "activations", "buffers", "total")}
        return used | {"capacity": self.capacity, "reported": self.reported}


@dataclass(frozen=True)
class FfnSide:
    """FFN ranks that are apart.

    pool: their layout; micro_batches: that take turns between them and the attention ranks; memory: of an accelerator;
    attention_busy, ffn_busy, wire_busy: share of a step that each side and the wire between them works.
    """

    pool: PoolLayout
    micro_batches: int
    memory: MemoryUse
    attention_busy: float
    ffn_busy: float
    wire_busy: float


@dataclass(frozen=True)
class Bill:
    """What a service costs and brings; None where a price, a power or such tokens are missing.

    price, power: of an accelerator, the mean of several fleets; input, output: of a million tokens [USD], fresh,
    cached: of a million input tokens of each kind; input_energy, output_energy: of a million tokens [J]; day:
    at a price list.
    """

    price: ChipPrice | None = None
    power: ChipPower | None = None
    input: float | None = None
    output: float | None = None
    fresh: float | None = None
    cached: float | None = None
    input_energy: float | None = None
    output_energy: float | None = None
    day: DayMargin | None = None


@dataclass(frozen=True)
class PointRow:
    """One operating point in a table; times that it lacks are None.

    layout: of the ranks that decode, prefill_layout: of a prefill pool beside, in words; running: sequences per
    attention replica; tpot, ttft [s]; requests: per second of the deployment; output: tokens/s per accelerator; user:
    tokens/s of one user; chosen: whether it is what the plan takes.
    """

    mode: str
    layout: str
    prefill_layout: str | None
    running: float
    tpot: float | None
    ttft: float | None
    requests: float
    output: float
    user: float | None
    chosen: bool = False

    @property
    def where(self) -> str:
        """Both layouts."""
        return f"{self.prefill_layout} + {self.layout}" if self.prefill_layout else self.layout

    def to_json(self) -> Body:
        """Keys of the interface."""
        return {
            "mode": self.mode,
            "layout": self.layout,
            "prefill_layout": self.prefill_layout,
            "running_per_replica": self.running,
            "tpot": self.tpot,
            "ttft": self.ttft,
            "requests_per_second": self.requests,
            "output_tokens_per_second_per_accelerator": self.output,
            "tokens_per_second_per_user": self.user,
            "chosen": self.chosen,
        }


@dataclass(frozen=True)
class FleetShare:
    """What one of several fleets does: prefill, decode, attention, FFN, idle, or the mode in which it serves alone.

    requests: per second that it can; output_cost: of a million output tokens [USD].
    """

    chip: str
    title: str
    count: int
    does: str
    layout: str | None
    prefill_layout: str | None
    weights: str
    requests: float | None
    tpot: float | None
    ttft: float | None
    output_cost: float | None

    def to_json(self) -> Body:
        """Keys of the interface."""
        named = ("chip", "title", "count", "does", "layout", "prefill_layout", "weights")
        own: Body = {name: getattr(self, name) for name in named}
        speed: Body = {"requests_per_second": self.requests, "tpot": self.tpot, "ttft": self.ttft}
        return own | speed | {"cost_per_million_output_tokens": self.output_cost}


@dataclass(frozen=True)
class ServeVariant:
    """What one change of what the job leaves open would bring: a field of the job, its value, and the speed then.
    where: in which layouts, None for the same.
    """

    field: str
    value: str
    requests: float
    tpot: float | None
    where: str | None = None

    @property
    def change(self) -> str:
        """The change as a flag."""
        return asking(self.field, self.value)

    def to_json(self) -> Body:
        """Keys of the interface."""
        found: Body = {"change": self.change, "requests_per_second": self.requests, "tpot": self.tpot}
        return found | {"layout": self.where}


@dataclass(frozen=True)
class RefusedPoint:
    """The best point that the engine cannot be told to run, where it is better than what was chosen."""

    why: str
    row: PointRow

    def to_json(self) -> Body:
        """Keys of the interface."""
        return {"why": self.why, **self.row.to_json()}


@dataclass(frozen=True)
class SearchCounts:
    """How many points were tried, in all and by kind, how many kept the limits, and how long that took [s]."""

    candidates: int
    feasible: int
    kinds: Mapping[str, int] | None = None
    seconds: float | None = field(default=None, compare=False)

    def to_json(self) -> Body:
        """The fields that are known; seconds is null, for equal questions have equal bytes."""
        kinds: Body = {} if self.kinds is None else {"kinds": dict(self.kinds)}
        return {"candidates": self.candidates, "feasible": self.feasible, **kinds, "seconds": None}


@dataclass(frozen=True)
class ServePlan(ShownResult):
    """The answer to `question`; frozen, and the same again from its JSON (`from_json`).

    outcome: feasible, or what binds; accelerators: of the deployment, used: those at work; instances: every kind of
    engine instance; pool: of the ranks that decode, or serve, or prefill alone, or have the attention (of several
    fleets that serve side by side, of the one that serves most); prefill_pool: beside it; ffn: FFN ranks that are
    apart; chunk: new tokens per step and replica at most, of the ranks that prefill; memory: of an accelerator of
    `pool`; breakdown: shares of a mean step; measured_share: of the time in kernels, what rests on shapes measured on
    the chip; frontier: points that no other beats in throughput and speed per user; alternatives: the next best
    layouts; nearest: to a service level that cannot be kept; shares: what each of several fleets does; variants: what
    a narrower cache or drafts would bring; refused: a better point that the engine does not start; left_out: layouts
    that were not looked at because the catalogue lacks a fact; fewest: accelerators that carry a rate; engine_rules:
    the version whose rules the memory follows.
    """

    question: ServeQuestion
    outcome: Outcome
    mode: str
    formats: ServeFormats
    engine: str
    accelerators: int
    used: float
    instances: tuple[Instance, ...] = ()
    pool: PoolLayout | None = None
    prefill_pool: PoolLayout | None = None
    ffn: FfnSide | None = None
    chunk: int | None = None
    speed: ServeSpeed = ServeSpeed()
    memory: MemoryUse | None = None
    breakdown: Mapping[str, float] = field(default_factory=dict)
    measured_share: float | None = None
    bill: Bill = Bill()
    frontier: tuple[PointRow, ...] = ()
    alternatives: tuple[PointRow, ...] = ()
    nearest: PointRow | None = None
    shares: tuple[FleetShare, ...] = ()
    variants: tuple[ServeVariant, ...] = ()
    fewest: int | None = None
    refused: RefusedPoint | None = None
    left_out: str | None = None
    engine_rules: str = ""
    search: SearchCounts = SearchCounts(0, 0)
    provenance: Provenance = Provenance()

    @property
    def job(self) -> ServeJob:
        """What is asked of the service."""
        return self.question.job

    @property
    def systems(self) -> tuple[System, ...]:
        """What may serve."""
        return tuple(fleet.system for fleet in self.question.fleets)

    @property
    def requests_per_second(self) -> float | None:
        """Requests/s of the whole deployment."""
        return self.speed.requests

    @property
    def ttft(self) -> Interval | None:
        """Mean time to the first token [s]."""
        return self.speed.ttft

    @property
    def tpot(self) -> Interval | None:
        """Mean time per output token after the first [s]."""
        return self.speed.tpot

    @property
    def output_rate(self) -> Interval | None:
        """Output tokens/s per accelerator."""
        return self.speed.output

    @property
    def input_rate(self) -> float | None:
        """Input tokens/s per accelerator."""
        return self.speed.input

    @property
    def layout_text(self) -> str:
        """The layout of `pool` in words; empty without one."""
        return "" if self.pool is None else self.pool.text

    @property
    def prefill_layout_text(self) -> str | None:
        """The layout of a prefill pool in words."""
        return None if self.prefill_pool is None else self.prefill_pool.text

    @property
    def evidence(self) -> str:
        """How near published results are to what was asked."""
        return self.provenance.evidence

    @property
    def sources(self) -> tuple[str, ...]:
        """Ids of the facts that were used."""
        return self.provenance.facts

    def to_json(self) -> Body:
        """Keys of the interface, base units, and under `plan` the whole plan to be read again."""
        return {
            "mode": self.mode,
            **_pools(self),
            **{name: getattr(self.formats, name) for name in ("weights", "kv", "why")},
            "engine": self.engine,
            "engine_rules": self.engine_rules,
            "stack": self.job.stack,
            "accelerators": self.accelerators,
            "used": self.used,
            **_speed(self.speed),
            "measured_share": self.measured_share,
            "chunk": self.chunk,
            "memory": {} if self.memory is None else self.memory.to_json(),
            "breakdown": dict(self.breakdown),
            **_bill(self.bill),
            "frontier": [row.to_json() for row in self.frontier],
            "alternatives": [row.to_json() for row in self.alternatives],
            "search": self.search.to_json(),
            "nearest": None if self.nearest is None else self.nearest.to_json(),
            "parts": [part.to_json() for part in self.shares],
            "variants": [variant.to_json() for variant in self.variants],
            "fewest": self.fewest,
            "refused": None if self.refused is None else self.refused.to_json(),
            "left_out": self.left_out,
            "definitions": list(DEFINITIONS),
            "plan": values.encode(self, FORMS),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Plain]) -> ServePlan:
        """The plan that `to_json` wrote. Raises `InputError` with the path of what does not fit."""
        return values.decode(cls, body.get("plan"), FORMS)

    def sourced(self, facts: tuple[str, ...], catalog: str | None = None, seed: int = 0) -> ServePlan:
        """The plan with further facts, the catalogue and the seed that it was made with."""
        every = tuple(dict.fromkeys((*self.provenance.facts, *facts)))
        return replace(self, provenance=replace(self.provenance, facts=every, catalog=catalog, seed=seed))


def _pools(plan: ServePlan) -> Body:
    """The keys of layouts and pools."""
    own, prefill, ffn = plan.pool, plan.prefill_pool, plan.ffn
    busy: Plain = None if ffn is None else {"attention": ffn.attention_busy, "ffn": ffn.ffn_busy, "wire": ffn.wire_busy}
    return {
        "layout": None if own is None else own.to_json(),
        "layout_text": plan.layout_text,
        "prefill_layout": None if prefill is None else prefill.to_json(),
        "prefill_layout_text": plan.prefill_layout_text,
        "ffn_layout": None if ffn is None else ffn.pool.to_json(),
        "ffn_layout_text": None if ffn is None else ffn.pool.text,
        "micro_batches": None if ffn is None else ffn.micro_batches,
        "ffn_memory": None if ffn is None else ffn.memory.to_json(),
        "busy": busy,
    }


def _speed(found: ServeSpeed) -> Body:
    """The keys of times and rates."""
    late = found.late
    return {
        **flat("ttft", found.ttft),
        "ttft_p50": None if late is None else late.p50,
        "ttft_p90": None if late is None else late.p90,
        "ttft_p99": None if late is None else late.p99,
        **flat("tpot", found.tpot),
        **flat("output_tokens_per_second_per_accelerator", found.output),
        "input_tokens_per_second_per_accelerator": found.input,
        "requests_per_second": found.requests,
        "batch_per_accelerator": found.batch,
    }


def _bill(bill: Bill) -> Body:
    """The keys of cost, energy and the day."""
    return {
        "cost_per_million_input_tokens": bill.input,
        "cost_per_million_output_tokens": bill.output,
        "cost_per_million_fresh_tokens": bill.fresh,
        "cost_per_million_cached_tokens": bill.cached,
        "energy_per_million_input_tokens": bill.input_energy,
        "energy_per_million_output_tokens": bill.output_energy,
        "price": None if bill.price is None else bill.price.basis,
        "price_term": None if bill.price is None else bill.price.term or None,
        "price_per_accelerator": None if bill.price is None else bill.price.value,
        "power": None if bill.power is None else bill.power.basis,
        "day": None if bill.day is None else bill.day.to_json(),
    }


DEFINITIONS = (
    "ttft: mean time from arrival to the first token, queueing included",
    "tpot: mean time per output token of a request after its first",
    "per accelerator: over all accelerators of the deployment, prefill pool and idle ones included",
    "cost: price of all accelerators, split between input and output by the time spent on prefill and decode",
    "cached tokens: cost what attention over them adds to the prefill of fresh ones; keeping them is not priced",
    "attention and FFN apart: a step is the longest of m turns of attention, FFN or wire, and one turn of all in a row",
    "energy: power of all accelerators [J], split in the same way",
    "day: every token of a day billed at the price list, against the price of all accelerators for a day",
)
