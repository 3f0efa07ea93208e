"""The time of one forward pass, by what it is spent on: operators, cut over a layout, priced on a chip."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tonnage.arrays import Ints, Numbers
from tonnage.layout import Layout, collectives, pipeline_transfer, shard
from tonnage.model import MTP, Architecture, Load, Operator, Step, operators
from tonnage.serve.replica.software import Software
from tonnage.system import Accelerator, Collective, Precision, collective_time, operator_time, rate

_CLASS = {"gemm": "gemm", "grouped_gemm": "experts", "attention": "attention", "scan": "attention"}


@dataclass(frozen=True)
class Service:
    """What is served on what: die (one rank's share of an accelerator), precision, and the engine's tuning."""

    arch: Architecture
    die: Accelerator
    precision: Precision
    tuning: Software


@dataclass(frozen=True)
class PassTimes:
    """Seconds of one forward pass on one rank, before the engine's own overhead.

    gemm: dense matrices; experts: routed experts; attention: cores and scans; pointwise: norms, activations, look-ups;
    reduce: collectives of tensor parallelism; exchange: dispatch and combine of expert parallelism; pipeline: sends
    between stages; kernels: how many are launched; sequences: how many the engine's scheduler handles; arithmetic: of
    the routed experts at the datasheet rate; widened: that of dense matrices whose weights are stored narrower than
    they are multiplied; measured: of the first four, what rests on shapes measured on the chip.
    """

    gemm: Numbers = 0.0
    experts: Numbers = 0.0
    attention: Numbers = 0.0
    pointwise: Numbers = 0.0
    reduce: Numbers = 0.0
    exchange: Numbers = 0.0
    pipeline: Numbers = 0.0
    kernels: Numbers = 0.0
    sequences: Numbers = 0.0
    arithmetic: Numbers = 0.0
    widened: Numbers = 0.0
    measured: Numbers = 0.0


@dataclass
class _PricedSteps:
    """Steps that were priced, by all that they depend on; dies by number, for their rates are no key."""

    dies: list[Accelerator] = field(default_factory=list)
    steps: dict[Hashable, PassTimes] = field(default_factory=dict)

    def number(self, die: Accelerator) -> int:
        """The number of a die, a new one's where no die is like it."""
        found = next((number for number, known in enumerate(self.dies) if known is die or known == die), None)
        if found is None:
            self.dies.append(die)
        return len(self.dies) - 1 if found is None else found


_KEPT: ContextVar[_PricedSteps | None] = ContextVar("steps that were priced", default=None)


@contextmanager
def keeping_steps() -> Iterator[None]:
    """Within, no step is priced twice: for those who ask for the same services again with other constants, which change
    what is made of a step's parts, not the parts.
    """
    token = _KEPT.set(_PricedSteps())
    try:
        yield
    finally:
        _KEPT.reset(token)


def _key(value: Numbers | Ints | None) -> Hashable:
    """A number as part of a key; an array by its content."""
    return (value.shape, value.dtype.str, value.tobytes()) if isinstance(value, np.ndarray) else value


def parts(
    service: Service,
    layout: Layout,
    loads: tuple[Load, ...],
    logits: Numbers,
    *,
    passes: Numbers | None = None,
    only: Callable[[Operator], bool] | None = None,
) -> PassTimes:
    """Price one forward pass of `loads` (as one attention replica sees it) on one rank of `layout`.

    passes: how often the multi-token-prediction layers run in it, one token a sequence each time; None: not at all.
    only: which operators run here, where a rank does not have all of a layer (`afd`); None: all.
    """
    kept = _KEPT.get()
    if kept is None or only is not None:
        return _parts(service, layout, loads, logits, passes, only)
    cut = tuple(_key(value) for value in layout.__dict__.values())
    asked = tuple(_key(value) for load in loads for value in (load.sequences, load.new, load.context))
    arch, imbalance = service.arch, _key(service.tuning.imbalance)
    whom = (arch, arch.routing_groups, kept.number(service.die), service.precision, imbalance)
    key = (whom, cut, asked, _key(logits), _key(passes))
    if key not in kept.steps:
        kept.steps[key] = _parts(service, layout, loads, logits, passes, only)
    return kept.steps[key]


def _parts(
    service: Service,
    layout: Layout,
    loads: tuple[Load, ...],
    logits: Numbers,
    passes: Numbers | None,
    only: Callable[[Operator], bool] | None,
) -> PassTimes:
    """As `parts`, priced."""
    whole: Sequence[Operator] = operators(service.arch, Step(loads, logits, passes is not None))
    if only is not None:
        whole = [operator for operator in whole if only(operator)]
    spent = dict.fromkeys(("gemm", "experts", "attention", "pointwise"), np.asarray(0.0))
    launched: Numbers = 0.0
    arithmetic: Numbers = np.asarray(0.0)
    widened: Numbers = np.asarray(0.0)
    measured: Numbers = np.asarray(0.0)
    for operator in shard(whole, layout, sequence_parallel=False, imbalance=service.tuning.imbalance):
        work: Any = operator
        timing = operator_time(work, service.die, service.precision)
        count = operator.count if operator.block != MTP or passes is None else operator.count * passes
        name = _CLASS.get(operator.kind, "pointwise")
        spent[name] = spent[name] + timing.seconds * count
        if service.die.measured is not None:
            measured = measured + timing.seconds * timing.measured * count
        launched = launched + count
        if name == "experts":
            peak = rate(service.die, service.precision.weights(operator.part).compute).value
            arithmetic = arithmetic + operator.flop / peak * count
        elif name == "gemm":
            widened = widened + _widened(operator, service) * count
    reduce, exchange = _communication(service, layout, whole)
    tokens = sum(load.sequences * load.new for load in loads)
    return PassTimes(
        **spent,
        reduce=reduce,
        exchange=exchange,
        pipeline=_sends(service, layout, tokens),
        kernels=launched,
        sequences=sum(load.sequences for load in loads),
        arithmetic=arithmetic,
        widened=widened,
        measured=measured,
    )


def _widened(operator: Operator, service: Service) -> Numbers:
    """Seconds of a dense product's arithmetic at the datasheet rate, where 8- or 4-bit weights are multiplied in 16."""
    form = service.precision.weights(operator.part)
    found = rate(service.die, form.compute)
    wide = form.element < 1.5 and found.runs_in in ("bf16", "fp16")
    return operator.flop / found.value if wide else 0.0


def _communication(service: Service, layout: Layout, whole: Sequence[Operator]) -> tuple[Numbers, Numbers]:
    """Seconds of (tensor-parallel reductions, expert dispatch and combine)."""
    reduce: Numbers = np.asarray(0.0)
    exchange: Numbers = np.asarray(0.0)
    limit = _visited(service, layout)
    found = collectives(whole, layout, sequence_parallel=False, dispatch=1.0 + 4 / 128, combine=2.0, domain_limit=limit)
    for collective in found:
        if np.all(np.asarray(collective.size) <= 1):
            continue
        seconds = _one(_merged(collective, layout), service.die) * collective.count
        if collective.kind == "all_to_all" or collective.group == "etp":
            exchange = exchange + seconds
        else:
            reduce = reduce + seconds
    return reduce, exchange


def _visited(service: Service, layout: Layout) -> Numbers:
    """Scale-up domains that one token may visit: as many groups of experts as its router allows, each spread over
    domains / groups of them where there are more domains than groups.
    """
    groups, kept = service.arch.routing_groups
    if groups == 1:
        return np.inf
    domains = np.asarray(layout.ep, dtype=float) * layout.etp / (service.die.domain * service.die.dies)
    return kept * np.maximum(domains / groups, 1.0)


def _one(collective: Collective, die: Accelerator) -> Numbers:
    """Seconds of one collective. Tokens go to experts by the quicker of DeepEP's two kernels, as engines choose them
    (`--deepep-mode auto`): one copy to each domain, passed on inside (normal, for a prefill's many tokens), or every
    copy straight to its rank (low latency, for a decode step's few).
    """
    forwarded = collective_time(collective, die, fused=True)
    if collective.kind != "all_to_all":
        return forwarded
    return np.minimum(forwarded, collective_time(replace(collective, forwarding=False), die, fused=True))


def _merged(collective: Collective, layout: Layout) -> Collective:
    """Shared experts are summed with the routed ones before one reduction, where tensor parallelism holds both."""
    if not collective.shared:
        return collective
    inside = np.asarray(layout.ep) * layout.etp <= np.asarray(layout.tp)
    return replace(collective, size=np.where(inside, 1, collective.size))


def _sends(service: Service, layout: Layout, tokens: Numbers) -> Numbers:
    if np.all(np.asarray(layout.pp) == 1):
        return 0.0
    send = pipeline_transfer(tokens, service.arch.hidden, layout, sequence_parallel=False)
    return collective_time(send, service.die) * (np.asarray(layout.pp) - 1)


def seconds(spent: PassTimes, tuning: Software, *, prefill: bool = False) -> Numbers:
    """Time of one engine step [s]; prefill: whether it computes prompts, whose kernels no graph holds.

    Device time = sum over classes of (factor in service x time alone); dispatch and combine run beside the rest for
    the share `overlap` of the shorter of the two (two-batch overlap: while one half of the batch computes, the other
    communicates; DeepSeek-V3 report, section 3.4). Without graphs the device waits where the host launches slower than
    it computes. Each step costs the engine's host time besides, partly per sequence.
    """
    compute = (
        tuning.gemm * spent.gemm
        + tuning.widened * spent.widened
        + tuning.experts * spent.experts
        + tuning.crowding * spent.arithmetic
        + tuning.attention * spent.attention
        + tuning.pointwise * spent.pointwise
        + tuning.reduce * spent.reduce
        + spent.pipeline
    )
    exchange = tuning.exchange * spent.exchange
    device = compute + exchange - tuning.overlap * np.minimum(compute, exchange) + tuning.kernel * spent.kernels
    each = np.maximum(tuning.eager, tuning.launch) if prefill else tuning.eager
    launched = np.maximum(tuning.device * device, each * spent.kernels)
    return launched + tuning.host + tuning.sequence * spent.sequences
