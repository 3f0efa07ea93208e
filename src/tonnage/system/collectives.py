"""Time of collectives: latency and bytes over bandwidth, hierarchical, by algorithm.

Model: Hockney 1994 (latency + bytes / bandwidth) with the algorithms of Thakur, Rabenseifner and Gropp 2005 (ring and
recursive halving: a reduction over n ranks moves 2 (n-1)/n of its payload through each) and two protocols as in NCCL:
one of low latency at part of the bandwidth, one of high bandwidth and high latency; the faster is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tonnage.arrays import Ints, Numbers
from tonnage.system.accelerator import Accelerator, needed
from tonnage.system.calibration import Calibration, calibration

Kind = Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "p2p"]
Group = Literal["tp", "ep", "etp", "cp", "pp", "dp", "edp", "fsdp"]


@dataclass(frozen=True)
class Collective:
    """One collective of one rank.

    name: a label for people, by which nothing is decided; group: the degree of the layout whose ranks take part (edp:
    ranks that hold the same expert; fsdp: those that share the weights of a layer), None for one of no layout (a
    measurement); shared: it sums the output of shared experts, which may be added to the routed ones' before.
    payload [byte]: all_reduce: the buffer; all_gather, reduce_scatter: the whole (gathered) buffer; all_to_all: what a
    rank holds to send, one copy of each token; p2p: the message. size: ranks; stride: distance between neighbouring
    ranks of the group in rank order (tp innermost, cp, dp, pp outermost); count: how many of them (layers).
    all_to_all only: copies: destinations of one token (top_k); limit: scale-up domains that one token may visit;
    forwarding: one copy per domain crosses the NIC and is passed on inside.
    All numbers may be arrays that broadcast.
    """

    name: str
    kind: Kind
    payload: Numbers
    size: Numbers | Ints
    stride: Numbers | Ints = 1
    count: Numbers = 1
    copies: Numbers = 1.0
    limit: Numbers = np.inf
    forwarding: bool = True
    group: Group | None = None
    shared: bool = False


def reach(collective: Collective, accelerator: Accelerator) -> tuple[Numbers, Numbers]:
    """(ranks of the group inside one scale-up domain, domains that it spans)."""
    size = np.asarray(collective.size, dtype=float)
    inside = np.clip(np.floor(accelerator.domain * accelerator.dies / np.asarray(collective.stride)), 1.0, size)
    return inside, np.ceil(size / inside)


def wire_bytes(collective: Collective, accelerator: Accelerator) -> tuple[Numbers, Numbers]:
    """Bytes that one rank sends (inside the scale-up domain, through its NIC).

    Reductions and gathers are hierarchical: first inside, then each rank its share across. An all-to-all sends each
    copy to a rank drawn evenly from the group. With `forwarding` a token goes once to each domain that it visits, E = L
    (1 - (1 - 1/L)^copies) of L = min(limit, domains), across NICs, and once to each rank, likewise, over the scale-up
    links (DeepSeek-V3, arXiv 2412.19437 section 3.2.2; DeepEP's normal kernels); without, every copy is sent alone
    (DeepEP's low-latency kernels).
    """
    inside, domains = reach(collective, accelerator)
    payload = np.asarray(collective.payload, dtype=float)
    if collective.kind == "p2p":
        crosses = np.asarray(collective.stride) >= accelerator.domain * accelerator.dies
        alone = np.asarray(collective.size) <= 1
        sent = np.where(alone, 0.0, payload)
        return np.where(crosses, 0.0, sent), np.where(crosses, sent, 0.0)
    if collective.kind == "all_to_all":
        return _exchange_bytes(collective, payload, inside, domains)
    passes = 2.0 if collective.kind == "all_reduce" else 1.0
    return passes * payload * (inside - 1) / inside, passes * payload / inside * (domains - 1) / domains


def _exchange_bytes(
    collective: Collective, payload: Numbers, inside: Numbers, domains: Numbers
) -> tuple[Numbers, Numbers]:
    """(inside, across) of an all-to-all; see `wire_bytes`."""
    copies = np.asarray(collective.copies, dtype=float)
    size = inside * domains
    if not collective.forwarding:
        return payload * copies * (inside - 1) / size, payload * copies * (size - inside) / size
    visited = np.minimum(np.asarray(collective.limit, dtype=float), domains)
    ranks = np.maximum(_distinct(visited * inside, copies), 1.0)
    return payload * ranks * (inside - 1) / inside, payload * _distinct(visited, copies) * (domains - 1) / domains


def _distinct(places: Numbers, copies: Numbers) -> Numbers:
    """Expected different places among `copies` drawn evenly from `places`."""
    return places * (1.0 - (1.0 - 1.0 / places) ** copies)


def collective_time(
    collective: Collective,
    accelerator: Accelerator,
    fitted: Calibration | None = None,
    *,
    fused: bool = False,
) -> Numbers:
    """Time of one collective (not times `count`) [s]; zero for a group of one.

    fused: inference kernels that reduce small buffers inside the domain in one or two shots without a library call.
    Inside and across run one after the other for reductions; an all-to-all pipelines them (the slower counts). Across
    domains a reduction takes log2(domains) latencies (a tree; assumption), an all-to-all one. Congestion of the
    network is neglected: fat trees of one rail per rank. A chip with measurements of its own is priced by them where
    they reach (`measured.Measured`), unless `fitted` is given, which is then used alone.
    Raises `MissingFact` when one of them needs a link or NIC whose bandwidth no source gives.
    """
    measured = accelerator.measured if fitted is None else None
    fitted = fitted or calibration()
    inside_bytes, across_bytes = wire_bytes(collective, accelerator)
    inside, domains = reach(collective, accelerator)
    link, nic = _rate(accelerator, "link", inside_bytes), _rate(accelerator, "nic", across_bytes)
    c = fitted.of("collective")
    exchange = collective.kind in ("all_to_all", "p2p")
    fraction = c["exchange_fraction"] if exchange else c["reduce_fraction"]
    local = _protocols(inside_bytes, link, fraction, c)
    if fused and collective.kind == "all_reduce":
        local = np.minimum(local, _one_shot(collective, link, inside, c))
        local = np.minimum(local, c["fused_latency"] * 2 + inside_bytes / (link * fraction))
    hops = 1.0 if exchange else np.log2(np.maximum(domains, 2.0))
    remote = c["nic_latency"] * hops + across_bytes / (nic * c["nic_fraction"])
    local = np.where(inside_bytes > 0, local, 0.0)
    remote = np.where(across_bytes > 0, remote, 0.0)
    total = np.maximum(local, remote) if collective.kind == "all_to_all" else local + remote
    if collective.kind == "all_to_all" and collective.forwarding:
        total = np.where(total > 0, total + c["forward_latency"], 0.0)
    if measured is not None:
        factor, share = measured.factor(collective, fused=fused)
        total = np.where(share > 0, np.maximum(total * factor, least_time(collective, accelerator)), total)
    return total[()] if isinstance(total, np.ndarray) else total


def least_time(collective: Collective, accelerator: Accelerator) -> Numbers:
    """The least time that a collective can take [s]: its bytes at the links' full rate, no latency.

    A switch that adds (NVLink SHARP) halves what a reduction sends. Raises `MissingFact` as `collective_time` does.
    """
    inside, across = wire_bytes(collective, accelerator)
    share = 0.5 if collective.kind == "all_reduce" else 1.0
    local, remote = inside / _rate(accelerator, "link", inside), across / _rate(accelerator, "nic", across)
    return share * np.maximum(local, remote)


def _protocols(sent: Numbers, link: float, fraction: float, c: dict[str, float]) -> Numbers:
    """The faster of two protocols: low latency at part of the bandwidth, or all of it after a longer start."""
    low = c["latency"] + sent / (link * fraction * c["low_latency_fraction"])
    high = c["bulk_latency"] + sent / (link * fraction)
    return np.minimum(low, high)


def _one_shot(collective: Collective, link: float, inside: Numbers, c: dict[str, float]) -> Numbers:
    """Every rank reads the whole buffer of every other."""
    return c["fused_latency"] + np.asarray(collective.payload) * (inside - 1) / (link * c["reduce_fraction"])


def _rate(accelerator: Accelerator, which: Literal["link", "nic"], sent: Numbers) -> float:
    """Bandwidth of the wire that carries `sent`; any will do where nothing is sent. Raises `MissingFact`."""
    if np.any(np.asarray(sent) > 0):
        return needed(accelerator, which)
    return (accelerator.link if which == "link" else accelerator.nic) or 1.0
