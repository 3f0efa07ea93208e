"""One deployment as somebody ran it: what `predict` takes, many at a time, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tonnage.errors import FEASIBLE, Outcome
from tonnage.interval import Interval
from tonnage.provenance import Evidence
from tonnage.serve.job import Stack
from tonnage.system.accelerator import Accelerator

if TYPE_CHECKING:
    from tonnage.model import Architecture


LengthSpread = Literal["fixed", "uniform", "exponential"]
"""How lengths vary: not; evenly from a tenth below the mean to a tenth above, as load generators draw them; or as those
of conversations, about exponentially."""


@dataclass(frozen=True)
class Pool:
    """Like workers that serve together. count: accelerators in all of them; tp: ranks of one attention replica; dp:
    attention replicas (of all workers together, or of one where `workers` is given); pp: pipeline stages; ep: ranks
    that experts are spread over; etp: ranks that one expert is split over, None where not known; workers: copies.
    """

    count: float
    tp: int = 1
    pp: int = 1
    dp: int = 1
    ep: int | None = None
    etp: int | None = None
    workers: int | None = None


@dataclass(frozen=True)
class Deployment:
    """A measured, or imagined, run of one service in steady state.

    id: any; arch, accelerator; mode: aggregated, disaggregated, prefill or decode; pool: its layout (disaggregated:
    of the decode pool); prefill: layout of the prefill pool where there are two; isl, osl: mean tokens; concurrency:
    requests in flight in the whole deployment, None when saturated (as many as fit); batch: sequences per accelerator
    in flight (decode pools); tokens: prompt tokens per accelerator and step (prefill pools); context: mean context of
    decode where stated; rate: requests per second that arrive, where they come at a rate (Poisson); cache_hit: share
    of input found in the prefix cache; weights, kv: formats, None where not stated; engine; drafts: tokens drafted per
    step (0: no speculation, None: on, number unknown); acceptance: of a drafted token; accepted: mean tokens per step;
    random: whether prompts are random tokens (drafts of which are accepted less often than those of real text);
    static: whether one batch runs from beginning to end; requests: how many are sent in all, None where not stated;
    equal: whether all answers are of one length; spread: how lengths vary around their means (`fixed`, `uniform`, or
    `exponential`, as those of conversations do); at_once: whether all requests are sent at the start of a finite run;
    running, chunk: sequences of an attention replica at once, and new tokens of its step, as the engine was told;
    share: of the memory that it was told to use, None where it was not;
    looks: steps between two looks of the scheduler for new requests, as the engine was told, None where it was not;
    prefixes: whether the engine keeps prefixes to take them up again;
    stack: whether the engine ran as it comes (`default`) or was `tuned`, None where not stated; eager: without captured
    graphs; group: where it comes from, not used to predict; date: of the
    software, `YYYY-MM`.
    """

    id: str
    arch: Architecture
    accelerator: Accelerator
    mode: str
    pool: Pool
    isl: float
    osl: float = 1.0
    prefill: Pool | None = None
    concurrency: float | None = None
    batch: float | None = None
    tokens: float | None = None
    context: float | None = None
    rate: float | None = None
    cache_hit: float = 0.0
    weights: str | None = None
    kv: str | None = None
    engine: str | None = None
    drafts: float | None = 0.0
    acceptance: float | None = None
    accepted: float | None = None
    random: bool = False
    static: bool = False
    requests: float | None = None
    equal: bool = False
    spread: LengthSpread = "fixed"
    at_once: bool = False
    running: int | None = None
    chunk: int | None = None
    looks: int | None = None
    share: float | None = None
    prefixes: bool = True
    stack: Stack | None = None
    eager: bool = False
    group: str = ""
    date: str | None = None


@dataclass(frozen=True)
class ServePrediction:
    """What `predict` says of a case. Figures that the mode does not have are None.

    output_rate, input_rate: tokens per second per accelerator, over all accelerators of the deployment; tpot, ttft
    [s]; ceiling: the output rate (prefill pools: input rate) that the bare roofline allows, for the null model;
    evidence: interpolated, extrapolated or analytic; outcome: feasible, or what binds.
    """

    output_rate: Interval | None = None
    input_rate: Interval | None = None
    tpot: Interval | None = None
    ttft: Interval | None = None
    evidence: Evidence = "analytic"
    outcome: Outcome = field(default=FEASIBLE)
