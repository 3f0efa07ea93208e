"""Decode with the attention of every layer on some ranks and its FFN on others (attention-FFN disaggregation, AFD).

Step-3 (arXiv 2507.19427), MegaScale-Infer (arXiv 2504.02263) and xDeepServe (arXiv 2508.02520) serve so: attention
ranks hold the cache and all weights but those of the FFN (dense, routed and shared experts), FFN ranks hold those.
In each layer every token is sent from its attention rank to the FFN ranks of its experts, and back. The batch of an
attention replica is cut into m micro-batches that take turns (ping-pong), so that both sides and the network work at
the same time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tonnage.arrays import Flags, Ints, Numbers
from tonnage.layout import Layout, collectives, shard
from tonnage.model import MTP, Architecture, Load, Operator, Step, operators, unit_operators
from tonnage.serve.replica.memory import held_bytes
from tonnage.serve.replica.points import Traffic
from tonnage.serve.replica.software import Software
from tonnage.serve.replica.step import PassTimes, Service, parts, seconds
from tonnage.system import Collective, Precision, collective_time

THERE, BACK = 1.0 + 4 / 128, 2.0
"""Bytes of an element on the wire: FP8 with a scale for each 128 to the FFN, BF16 back, as dispatch and combine."""


TURNS = 2
"""Micro-batches in turns at most of the software that users can have: vLLM's plugin (README of
github.com/vllm-project/afd-plugin, 2026-11; `--enable-dbo`)."""


def plugin_refuses(attention: Ints, ffn: Ints, micro_batches: Numbers) -> tuple[tuple[Flags, str], ...]:
    """(where it holds, why) of each unit that vLLM's plugin cannot run: ranks of each side, micro-batches in turns."""
    turns = np.asarray(micro_batches)
    few = "vLLM's plugin needs as many attention ranks as FFN ranks or more"
    many = f"vLLM's plugin takes two micro-batches in turns, not {np.max(turns):.0f}"
    return ((turns > TURNS, many), (np.asarray(attention) < np.asarray(ffn), few))


@dataclass(frozen=True)
class AfdSides:
    """One unit: attention: tp ranks of each of dp replicas; ffn: the ranks that hold the FFN weights of a layer, dp
    groups of tp ranks with experts over ep x etp; both may be arrays of one shape.
    """

    attention: Layout
    ffn: Layout

    @property
    def ranks(self) -> Ints:
        """Ranks of both sides."""
        return self.attention.ranks + self.ffn.ranks


@dataclass(frozen=True)
class AfdTurn:
    """One micro-batch once through all layers [s], without the engine: on the attention ranks, on the FFN ranks, on the
    wire to the FFN and back; and what the two sides spend it on.
    """

    attention: Numbers
    ffn: Numbers
    there: Numbers
    back: Numbers
    attention_parts: PassTimes
    ffn_parts: PassTimes

    @property
    def serial(self) -> Numbers:
        """Time of a micro-batch that never waits."""
        return self.attention + self.ffn + self.there + self.back


@dataclass(frozen=True)
class AfdPoint:
    """Speed of one attention replica of a unit: running sequences, time between steps [s], per output token [s],
    requests/s; and the shares of a step that attention ranks, FFN ranks and the busier direction of the wire work.
    """

    running: Numbers
    step: Numbers
    tpot: Numbers
    rate: Numbers
    busy_attention: Numbers
    busy_ffn: Numbers
    busy_wire: Numbers


def on_ffn(operator: Operator) -> bool:
    """Whether an operator runs on the FFN ranks: dense FFN, routed and shared experts. The router stays with attention,
    as do norms, embedding and head.
    """
    return operator.part in ("ffn", "experts", "shared_experts")


def on_attention(operator: Operator) -> bool:
    """All other operators."""
    return not on_ffn(operator)


def turn(attend: Service, feed: Service, sides: AfdSides, traffic: Traffic, micro: Numbers) -> AfdTurn:
    """A micro-batch of `micro` sequences of every attention replica, once through all layers.

    attend, feed: the same model on the chips of the attention and of the FFN ranks.
    """
    spent = attention_parts(attend, sides.attention, traffic, micro)
    fed = ffn_parts(feed, sides, traffic, micro)
    there, back = (wire(attend, feed, sides, traffic, micro, element) for element in (THERE, BACK))
    return AfdTurn(alone(spent, attend.tuning), alone(fed, feed.tuning), there, back, spent, fed)


def alone(spent: PassTimes, tuning: Software) -> Numbers:
    """Seconds on the chip: no engine, and nothing of the side itself hides its exchange."""
    return seconds(spent, replace(tuning, host=0.0, sequence=0.0, overlap=0.0))


def attention_parts(service: Service, layout: Layout, traffic: Traffic, micro: Numbers) -> PassTimes:
    """What an attention rank does for a micro-batch of its replica."""
    load = _load(traffic, micro)
    return parts(service, layout, (load,), load.sequences * load.new, passes=_passes(traffic), only=on_attention)


def ffn_parts(service: Service, sides: AfdSides, traffic: Traffic, micro: Numbers) -> PassTimes:
    """What an FFN rank does for a micro-batch of all attention replicas.

    Each of the FFN side's dp groups takes an even share of the tokens; `shard` gathers those that meet in an expert.
    Of its collectives only what one expert cut over etp ranks needs is left: dispatch and combine are `wire`.
    """
    load = _load(traffic, np.asarray(micro) * sides.attention.dp / np.asarray(sides.ffn.dp, dtype=float))
    spent = parts(service, sides.ffn, (load,), 0.0, passes=_passes(traffic), only=on_ffn)
    whole = [o for o in operators(service.arch, Step((load,), 0.0, _passes(traffic) is not None)) if on_ffn(o)]
    inner: Numbers = np.asarray(0.0)
    for one in collectives(whole, sides.ffn, sequence_parallel=False, dispatch=THERE, combine=BACK):
        if one.group == "etp":
            inner = inner + collective_time(one, service.die, fused=True) * one.count
    return replace(spent, exchange=inner)


def _load(traffic: Traffic, sequences: Numbers) -> Load:
    new = 1.0 + np.asarray(traffic.drafts, dtype=float)
    return Load(np.asarray(sequences, dtype=float), new, np.asarray(traffic.seen, dtype=float))


def _passes(traffic: Traffic) -> Numbers | None:
    return traffic.passes


def visits(arch: Architecture, traffic: Traffic) -> list[tuple[Numbers, float]]:
    """(layers, copies of a token) of every kind of layer that has an FFN: top_k copies of routed experts, else one."""
    copies: dict[int, float] = {}
    layers: dict[int, Numbers] = {}
    for operator in filter(on_ffn, unit_operators(arch, mtp=traffic.own_layers)):
        wanted = float(operator.top_k) if operator.kind == "grouped_gemm" else 1.0
        copies[operator.block] = max(copies.get(operator.block, 1.0), wanted)
        layers[operator.block] = operator.count * ((traffic.passes or 0.0) if operator.block == MTP else 1)
    return [(layers[block], copies[block]) for block in copies]


def wire(attend: Service, feed: Service, sides: AfdSides, traffic: Traffic, micro: Numbers, element: float) -> Numbers:
    """Seconds on the wire in one direction, all layers.

    An attention rank sends its share of its replica's tokens, an FFN rank receives its share of all tokens; a token of
    k copies goes to D (1 - (1 - 1/D)^k) of the FFN side's D scale-up domains through the NICs, once each, and is passed
    on over the links inside to every rank that holds one of its experts. Where a unit lies inside one domain, links
    carry all. The slowest of the three counts. The way back is the same, partial sums added inside a domain first.
    """
    domain = feed.die.domain * feed.die.dies
    ranks = np.asarray(sides.ffn.ranks, dtype=float)
    inside = (np.asarray(sides.ranks) <= domain) & (attend.die.name == feed.die.name)
    domains = np.ceil(ranks / domain)
    groups = ranks / sides.ffn.etp if attend.arch.moe else np.asarray(sides.ffn.dp, dtype=float)
    each = np.asarray(micro) * (1.0 + np.asarray(traffic.drafts)) * attend.arch.hidden * element
    arrive = each * sides.attention.dp / ranks
    total: Numbers = np.asarray(0.0)
    for layers, copies in visits(attend.arch, traffic):
        reached = ranks / groups * _distinct(groups, copies)
        crossing = np.where(inside, reached, _distinct(domains, copies))
        sent = _sent(each / sides.attention.tp * crossing, attend, inside)
        taken = _sent(arrive * crossing, feed, inside)
        passed = _sent(arrive * reached, feed, True)
        total = total + layers * np.maximum(np.maximum(sent, taken), passed)
    return total


def _distinct(places: Numbers, copies: float) -> Numbers:
    """Expected different places among `copies` drawn evenly."""
    return places * (1.0 - (1.0 - 1.0 / np.asarray(places, dtype=float)) ** copies)


def _sent(payload: Numbers, service: Service, inside: Flags) -> Numbers:
    """Seconds of a message of one rank, over its link or its NIC, slowed in service as dispatch and combine are."""
    far = service.die.domain * service.die.dies
    message = Collective("afd", "p2p", payload, 2, np.where(inside, 1, far))
    return collective_time(message, service.die) * service.tuning.exchange * service.tuning.device


def point(service: Service, traffic: Traffic, once: AfdTurn, micro: Numbers, micro_batches: Numbers) -> AfdPoint:
    """The speed of an attention replica with `micro_batches` of `micro` sequences in turns.

    Attention and FFN ranks and each direction of the wire take one micro-batch after another, and a micro-batch needs
    all four once a step, so that no step is shorter than

        max(m A, m F, m T, m B, A + F + T + B)

    with A, F, T, B the times of one micro-batch through all layers. Per layer and micro-batch that is the condition
    max(Ta, Tf, (Ta + Tf + 2 Tc) / m) of MegaScale-Infer (arXiv 2504.02263, section 4.1): the wire is hidden when
    m >= 2 (1 + Tc / max(Ta, Tf)) with both sides in balance, three micro-batches for Tc up to half of the larger. The
    bound is reached when layers are alike; unlike layers (a few dense ones first) are neglected. The engine's host time
    is spent once a step, by the attention ranks, as without AFD.
    """
    m = np.asarray(micro_batches, dtype=float)
    wired = np.maximum(once.there, once.back)
    busiest = np.maximum(np.maximum(once.attention, once.ffn), wired)
    device = np.maximum(m * busiest, once.serial)
    running = m * micro
    step = device + service.tuning.host + service.tuning.sequence * running
    rate = running / (traffic.steps * step)
    tpot = step / traffic.accepted
    shares = [m * value / step for value in (once.attention, once.ffn, wired)]
    return AfdPoint(running, step, tpot, rate, shares[0], shares[1], shares[2])


def side_weights(arch: Architecture, precision: Precision, layout: Layout, *, ffn: bool, mtp: bool = False) -> Numbers:
    """Weights that one rank of a side holds [byte]."""
    step = Step((Load(1.0, 1.0, 1.0),), 1.0, mtp)
    local = shard([o for o in operators(arch, step) if on_ffn(o) == ffn], layout, sequence_parallel=False)
    return sum((held_bytes(o, precision) for o in local), np.asarray(0.0))
