"""Figures of an architecture: parameters, cache, FLOP per token. All are read off its operators and layer kinds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from tonnage.arrays import Ints, Numbers
from tonnage.model.architecture import Architecture, operators, unit_operators
from tonnage.model.operators import MTP, Load, Operator, Step


@dataclass(frozen=True)
class Params:
    """Parameters of a model [elements].

    total: what `transformers` counts (no multi-token prediction; encoders included); active: those that multiply one
    token: the experts it visits and the head, not the tables in which it is looked up, as gpt-oss (arXiv 2508.10925,
    table 1) and DeepSeek-V3 (37B) count; mtp: multi-token-prediction layers, without the shared embedding and head;
    embedding: the embedding and head tables (one if tied); encoders: vision and audio towers, in total but not in
    active; by_name: total split by operator.
    """

    total: int
    active: int
    mtp: int
    embedding: int
    encoders: int
    by_name: Mapping[str, int]


@lru_cache(maxsize=256)
def params(arch: Architecture) -> Params:
    """Parameters of `arch`, the sum over its operators of weight x count; counted once for a model."""
    made = unit_operators(arch, mtp=True)
    main = [operator for operator in made if operator.block != MTP]
    encoders = sum(weight for _, weight in arch.encoders)
    by_name: dict[str, int] = {}
    for operator in main:
        if operator.weight:
            by_name[operator.name] = by_name.get(operator.name, 0) + _held(operator)
    return Params(
        total=sum(by_name.values()),
        active=sum(_visited(operator) for operator in main),
        mtp=sum(_held(operator) for operator in made if operator.block == MTP),
        embedding=sum(_held(operator) for operator in main if operator.role in ("embedding", "head")),
        encoders=encoders,
        by_name=by_name,
    )


def _held(operator: Operator) -> int:
    """Parameters of all layers."""
    return round(float(operator.weight)) * operator.count


def _visited(operator: Operator) -> int:
    """Parameters that multiply one token."""
    if operator.kind == "lookup":
        return 0
    share = float(operator.top_k / operator.groups) if operator.kind == "grouped_gemm" else 1.0
    return round(_held(operator) * share)


def cache_elements(arch: Architecture, context: Numbers, tp: Ints = 1) -> Numbers:
    """Elements that one sequence of `context` tokens keeps on one of `tp` ranks: KV cache and recurrent state.

    Windows, compression and shared layers are taken into account; a latent (MLA) is whole on every rank. Multi-token
    prediction's own cache is not included. Array arguments broadcast.
    """
    kept = [block.count * block.mixer.cache(context, tp) for block in arch.blocks if block.mixer is not None]
    return sum(kept, start=context * 0.0) + state_elements(arch, tp)


def cache_bytes(arch: Architecture, context: Numbers, element: float, tp: Ints = 1) -> Numbers:
    """Bytes that one sequence of `context` tokens keeps in the cache of one of `tp` ranks, scales included.

    element: bytes of an element of the format asked for; recurrent state is not included. What a layer keeps in other
    formats than the one asked for (rotary parts, index keys) is told by its mixer. Array arguments broadcast.
    """
    kept = [
        block.count * block.mixer.cache_bytes(context, element, tp) for block in arch.blocks if block.mixer is not None
    ]
    return sum(kept, start=context * 0.0)


def state_elements(arch: Architecture, tp: Ints = 1) -> Numbers:
    """Elements of recurrent state (convolutions included) that one sequence keeps on one of `tp` ranks."""
    return sum((block.count * block.mixer.state(tp) for block in arch.blocks if block.mixer is not None), start=0.0)


def kv_per_token(arch: Architecture) -> float:
    """Elements that one more token adds to the cache while no window is full: all layers, whole model.

    Compressed entries (DeepSeek-V4: one for 4 or 128 tokens) are spread over their tokens: the mean over the first 128.
    """
    return float(cache_elements(arch, 128.0) - state_elements(arch)) / 128.0


@dataclass(frozen=True)
class CacheRow:
    """The cache of one layer kind: its name, layers, elements per layer of KV at a context, and of state, and the bytes
    of that KV.
    """

    kind: str
    layers: int
    kv: float
    state: float
    kv_bytes: float


def cache_table(arch: Architecture, context: float, element: float = 2.0) -> tuple[CacheRow, ...]:
    """The cache by layer kind at a context length, where an element of the cache takes `element` bytes."""
    return tuple(
        CacheRow(
            block.mixer.kind,
            block.count,
            float(block.mixer.cache(context)),
            float(block.mixer.state()),
            float(block.mixer.cache_bytes(context, element)),
        )
        for block in arch.blocks
        if block.mixer is not None
    )


def flop_per_token(arch: Architecture, seq: Numbers, training: bool = False, mtp: bool = False) -> Numbers:
    """Model FLOP of one token in a sequence of `seq`, forward (or forward and backward: three times) [FLOP].

    Model FLOP as MFU wants them (PaLM, arXiv 2204.02311, appendix B) but with attention counted causally: a query
    meets on average (seq + 1) / 2 keys, fewer under a window or a sparse choice; nothing recomputed is counted.
    """
    step = Step((Load(1.0, seq),), seq, mtp=mtp)
    work = sum(operator.flop * operator.count for operator in operators(arch, step))
    return work / seq * (3.0 if training else 1.0)


def checkpoint_bytes(arch: Architecture) -> float:
    """Bytes of the weights as they are released: every part in its format, scales, multi-token prediction and towers
    included [byte].
    """
    made = unit_operators(arch, mtp=True)
    held = sum(_held(one) * arch.release.element(one.part, draft=one.block == MTP) for one in made)
    again = 2.0 * arch.vocab * arch.hidden if arch.mtp is not None and arch.mtp_tables else 0.0
    return held + again * arch.release.plain.element
