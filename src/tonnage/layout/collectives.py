"""The collectives that a layout implies, per layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tonnage.arrays import Ints, Numbers
from tonnage.layout.notation import Layout
from tonnage.layout.sharding import cut_fraction
from tonnage.model.operators import EMBEDDING, HEAD, Operator
from tonnage.system.collectives import Collective, Group, Kind


def collectives(
    operators: Sequence[Operator],
    layout: Layout,
    *,
    sequence_parallel: bool = True,
    activations: float = 2.0,
    dispatch: float = 2.0,
    combine: float = 2.0,
    domain_limit: Numbers = np.inf,
    forwarding: bool = True,
    imbalance: Numbers = 1.0,
) -> tuple[Collective, ...]:
    """Collectives of one forward pass on one rank, from the *uncut* operators; `count` = layers that have each.

    tp: after each row-cut GEMM a reduction over its m x n output: all-reduce, or reduce-scatter and all-gather with
    sequence parallelism (the same bytes; Korthikanti et al. 2022). Embedding: the same; head: all-gather of logits.
    ep: dispatch and combine of each token's copies; inside one tensor-parallel group without sequence parallelism
    tokens are on every rank already and one all-reduce replaces both.
    cp: all-gather of keys and values (ring attention moves the same bytes; Liu et al. 2023, arXiv 2310.01889).

    activations, dispatch, combine: bytes of one element on the wire (dispatch in fp8: 1 + 4/128). domain_limit:
    scale-up domains that one token may visit (node-limited routing, DeepSeek-V3, arXiv 2412.19437 section 2.1.2).
    forwarding: one copy per domain crosses the NIC and is passed on inside (DeepEP normal mode). imbalance: rows of the
    busiest expert rank over the mean.
    """
    found: list[Collective] = []
    for operator in operators:
        found += _of_tensor(operator, layout, sequence_parallel, activations)
        if operator.kind == "grouped_gemm" and operator.role == "down":
            found += _of_experts(
                operator, layout, sequence_parallel, activations, dispatch, combine, domain_limit, forwarding, imbalance
            )
        if operator.kind == "attention":
            found += _of_context(operator, layout, activations)
    return tuple(found)


def _of_tensor(operator: Operator, layout: Layout, sequence_parallel: bool, activations: float) -> list[Collective]:
    """Reductions over tp after a row-cut GEMM, the embedding, and the gather of logits."""
    rows = operator.m / layout.cp
    name, size, count = f"tp.{operator.name}", layout.tp, operator.count
    if operator.cut == "row" and operator.kind == "gemm":
        payload = rows * operator.n * activations
        shared = operator.part == "shared_experts"
        if not sequence_parallel:
            return [Collective(name, "all_reduce", payload, size, 1, count, group="tp", shared=shared)]
        return [
            Collective(name, "reduce_scatter", payload, size, 1, count, group="tp", shared=shared),
            Collective(name, "all_gather", payload, size, 1, count, group="tp", shared=shared),
        ]
    if operator.cut == "vocab" and operator.block == EMBEDDING and operator.kind == "lookup":
        return [Collective(name, "all_reduce", rows * operator.n * activations, size, 1, count, group="tp")]
    if operator.cut == "vocab" and operator.block == HEAD:
        return [Collective(name, "all_gather", rows * operator.n * activations, size, 1, count, group="tp")]
    return []


def _of_experts(
    operator: Operator,
    layout: Layout,
    sequence_parallel: bool,
    activations: float,
    dispatch: float,
    combine: float,
    domain_limit: Numbers,
    forwarding: bool,
    imbalance: Numbers,
) -> list[Collective]:
    """Dispatch and combine over ep (or one all-reduce inside tp), and the cut of one expert over etp."""
    hidden = operator.n
    own = operator.m / layout.cp / layout.tp
    spread = np.asarray(layout.ep, dtype=float) * layout.etp
    inside = (spread <= layout.tp) & (not sequence_parallel)
    count = operator.count
    size = np.where(inside, 1, layout.ep)
    reduce = np.where(inside, layout.tp, 1)
    whole = operator.m / layout.cp * hidden * activations
    found = [Collective("ep.all_reduce", "all_reduce", whole, reduce, 1, count, group="ep")]
    copies = np.minimum(operator.top_k, layout.ep)
    for name, element in (("ep.dispatch", dispatch), ("ep.combine", combine)):
        payload = own * hidden * element * imbalance
        found.append(
            Collective(
                name, "all_to_all", payload, size, layout.etp, count, copies, domain_limit, forwarding, group="ep"
            )
        )
    rows = own * copies * layout.etp * hidden
    etp = np.where(inside, 1, layout.etp)
    found.append(Collective("etp.gather", "all_gather", rows * dispatch, etp, 1, count, group="etp"))
    found.append(Collective("etp.scatter", "reduce_scatter", rows * combine, etp, 1, count, group="etp"))
    return found


def _of_context(operator: Operator, layout: Layout, activations: float) -> list[Collective]:
    """Keys and values of the new tokens, gathered over cp: what each rank of the tensor-parallel group holds."""
    held = operator.cache_write * cut_fraction(layout.tp, operator.heads_limit)
    payload, count = held * activations, operator.count
    return [Collective("cp.keys_values", "all_gather", payload, layout.cp, layout.tp, count, group="cp")]


def pipeline_transfer(
    tokens: Numbers, hidden: Numbers, layout: Layout, *, activations: float = 2.0, sequence_parallel: bool = True
) -> Collective:
    """Activations that one rank sends to the next stage for one micro-batch of `tokens` (whole replica)."""
    share = np.asarray(layout.cp, dtype=float) * (layout.tp if sequence_parallel else 1)
    return Collective(
        "pp.send",
        "p2p",
        tokens * hidden * activations / share,
        np.minimum(layout.pp, 2),
        layout.tp * layout.cp * layout.dp,
        1,
        group="pp",
    )


def gradient_collectives(
    weights: Numbers, expert_weights: Numbers, layout: Layout, *, gradients: float = 4.0, parameters: float = 2.0
) -> tuple[Collective, ...]:
    """Gradient reduction and parameter gather of one step, for elements held by one rank (after tp, pp, ep, etp).

    gradients, parameters: bytes of an element on the wire. Dense gradients are summed over cp x dp, experts' over the
    ranks that hold the same expert: tp * cp * dp / (ep * etp). ZeRO-0 all-reduces; ZeRO-1 and above reduce-scatter and
    all-gather (Rajbhandari et al. 2020, arXiv 1910.02054).
    """
    size, stride = layout.cp * layout.dp, layout.tp
    expert_size = np.maximum(layout.tp * layout.cp * layout.dp // (layout.ep * layout.etp), 1)
    expert_stride = layout.ep * layout.etp
    sharded = np.asarray(layout.zero) >= 1
    found: list[Collective] = []
    sums: tuple[tuple[Group, Numbers, Ints, Ints], ...] = (
        ("dp", weights, size, stride),
        ("edp", expert_weights, expert_size, expert_stride),
    )
    for group, held, ranks, apart in sums:
        whole, parts = np.where(sharded, 1, ranks), np.where(sharded, ranks, 1)
        made: tuple[tuple[Kind, Numbers, Ints], ...] = (
            ("all_reduce", held * gradients, whole),
            ("reduce_scatter", held * gradients, parts),
            ("all_gather", held * parameters, parts),
        )
        found += [Collective(f"{group}.{kind}", kind, sent, over, apart, group=group) for kind, sent, over in made]
    return tuple(found)


def weight_gather(weights: Numbers, layout: Layout, *, parameters: float = 2.0, count: int = 1) -> Collective:
    """ZeRO-3/FSDP gather of one layer's weights before use (elements after tp; once forward, once backward)."""
    size = np.where(np.asarray(layout.zero) == 3, layout.cp * layout.dp, 1)
    return Collective("fsdp.gather", "all_gather", weights * parameters, size, layout.tp, count, group="fsdp")
