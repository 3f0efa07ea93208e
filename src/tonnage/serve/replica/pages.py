"""What one sequence holds of a rank's cache as an engine keeps it: keys alive, pages of one size, or pools by kind.

A plain model (every layer keeps every token alike) holds the same under all three, rounded up to blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tonnage.arrays import Numbers
from tonnage.layout import Layout
from tonnage.model import Architecture, Block, cache_bytes
from tonnage.model.attention import Gqa
from tonnage.model.latent import Mla
from tonnage.model.linear import Recurrent
from tonnage.serve.replica import compressed
from tonnage.serve.replica.engines import Engine
from tonnage.system import format_of

STATE_ELEMENT = 4.0
"""Bytes of an element of recurrent state: engines keep it in FP32 (vLLM `mamba_ssm_cache_dtype`, default of the
Qwen3-Next and Nemotron-H configurations)."""

CONV_ELEMENT = 2.0
"""Bytes of an element of the convolution's last inputs, kept in the model's own 16 bits (vLLM
`gated_delta_net_state_dtype`: the state's type is for the recurrence alone)."""

TOLERATED = 1.5
"""Layers of the largest kind over those of the smallest up to which groups are padded to the largest instead of cut
to the smallest (vLLM `_get_kv_cache_groups_uniform_page_size`; 1.25 until 0.15)."""


LATENT = 64
"""Tokens that a page of latents holds a multiple of, as its kernels take them (vLLM `v1/attention/backends/mla`):
beside states of 1.09 MB a page of Kimi-Linear has 960 tokens, where 16 would do with 944
(github.com/vllm-project/vllm/issues/28228)."""


@dataclass(frozen=True)
class LayerKind:
    """Layers that keep the same: how many, bytes of a token in one on a rank (0: none), the keys they may see (inf:
    all), whether in fixed chunks, bytes of a sequence's state, and tokens that a page holds a multiple of (1: the
    engine's own).
    """

    layers: int
    token: Numbers
    window: float
    chunked: bool
    state: Numbers
    aligned: int = 1


@dataclass(frozen=True)
class Asked:
    """What a sequence is held for: its tokens; new tokens of a step at most on its replica; drafts: tokens drafted for
    it in a step; mtp: the model's own extra layers keep theirs too; start: what the engine wants free for it when it
    starts, where that is more than it counts of the sequences that run at once.
    """

    context: Numbers
    step: Numbers = 0.0
    drafts: Numbers = 0.0
    mtp: bool = False
    start: bool = False


def sequence_bytes(
    arch: Architecture, kv: str, layout: Layout, context: Numbers, block: int = 1, *, mtp: bool = False
) -> Numbers:
    """KV cache and recurrent state of one sequence of `context` tokens that are alive on one rank [byte].

    The context is rounded up to whole blocks; a multi-token-prediction layer adds its own cache (one layer's).
    """
    rounded = np.ceil(np.asarray(context, dtype=float) / block) * block
    kept = cache_bytes(arch, rounded, format_of(kv).element, layout.tp)
    if mtp and arch.drafter is not None:
        kept = kept + sum(
            block.count * block.mixer.cache_bytes(rounded, format_of(kv).element, layout.tp)
            for block in arch.drafting
            if block.mixer is not None
        )
        return kept * _stage(arch, layout) + state_bytes(arch, layout)
    extra = 1 + arch.mtp.count / arch.depth if mtp and arch.mtp is not None else 1.0
    return kept * extra * _stage(arch, layout) + state_bytes(arch, layout)


def _stage(arch: Architecture, layout: Layout) -> Numbers:
    """Share of the layers on the fullest pipeline stage."""
    share: Numbers = np.ceil(arch.depth / np.asarray(layout.pp, dtype=float)) / arch.depth
    return share


def held(arch: Architecture, kv: str, layout: Layout, engine: Engine, asked: Asked) -> Numbers:
    """Bytes that a sequence holds on one rank of `layout` in an engine's cache."""
    element = format_of(kv).element
    if engine.cache in ("pages", "pools") and compressed.kept(arch):
        if engine.cache == "pools":
            return compressed.pools(arch, element, engine, asked.context, asked.mtp) * _stage(arch, layout)
        made = compressed.pages if asked.start else compressed.shared_pages
        return made(arch, element, asked.context, _in_flight(engine, asked), asked.mtp) * _stage(arch, layout)
    kinds = layer_kinds(arch, element, layout, mtp=asked.mtp)
    if engine.cache == "pages" and engine.chunks == "kept" and any(kind.chunked for kind in kinds):
        return paged([_whole(kind) for kind in kinds], engine, asked) * _stage(arch, layout)
    if engine.cache == "whole" and any(kind.window < np.inf for kind in kinds):
        return _kept(kinds, engine, asked) * _stage(arch, layout) + engine.states * state_bytes(arch, layout)
    if engine.cache in ("alive", "whole") or not mixed(kinds):
        alive = sequence_bytes(arch, kv, layout, asked.context, engine.block, mtp=asked.mtp)
        return alive + (engine.states - 1) * state_bytes(arch, layout)
    if engine.cache == "pages":
        return paged(kinds, engine, asked) * _stage(arch, layout)
    return pooled(kinds, engine, asked) * _stage(arch, layout) + engine.states * state_bytes(arch, layout)


def _kept(kinds: list[LayerKind], engine: Engine, asked: Asked) -> Numbers:
    """Keys of every token in every layer, windows too: what TensorRT-LLM keeps unless it is told a window."""
    rounded = np.ceil(np.asarray(asked.context, dtype=float) / engine.block) * engine.block
    tokens: Numbers = rounded * sum((kind.layers * kind.token for kind in kinds), start=np.asarray(0.0))
    return tokens


def _whole(kind: LayerKind) -> LayerKind:
    """A kind whose chunks are kept like all keys."""
    return replace(kind, window=np.inf, chunked=False) if kind.chunked else kind


PLAIN_SPARSE = ("blackwell",)
"""Generations whose kernels for sparse latent attention keep an 8-bit cache as one value an element, 576 bytes a token
at DeepSeek-V3.2's sizes: vLLM's FLASHINFER_MLA_SPARSE, the one for SM100, refuses the layout of 656
(`vllm/v1/attention/backends/mla/flashinfer_mla_sparse.py` of 0.32; SGLang's cookbook takes the same TensorRT-LLM
kernels on B200). Those of SM90 and SM120 want it."""


def cached_on(arch: Architecture, generation: str | None) -> Architecture:
    """The model with its cache as kernels of a generation of chips keep it."""
    if generation not in PLAIN_SPARSE:
        return arch
    blocks = tuple(_plain(block) for block in arch.blocks)
    return replace(arch, blocks=blocks, mtp=None if arch.mtp is None else _plain(arch.mtp))


def _plain(block: Block) -> Block:
    mixer = block.mixer
    if not isinstance(mixer, Mla) or mixer.indexer is None:
        return block
    return replace(block, mixer=replace(mixer, plain=True))


def state_bytes(arch: Architecture, layout: Layout) -> Numbers:
    """One recurrent state of a sequence on one rank [byte]."""
    states = [layer_state(block, layout) * block.count for block in arch.blocks]
    return sum(states, start=np.asarray(0.0)) * _stage(arch, layout)


def token_bytes(arch: Architecture, kv: str, layout: Layout, engine: Engine, *, mtp: bool = False) -> Numbers | None:
    """Bytes of a token of the cache on one rank, where that is one figure for every context; None where it is not."""
    element = format_of(kv).element
    if compressed.kept(arch):
        if engine.cache != "pools":
            return None
        return compressed.pool_token(arch, element, engine, mtp) * _stage(arch, layout)
    kinds = [kind for kind in layer_kinds(arch, element, layout, mtp=mtp) if np.any(kind.token)]
    if engine.cache == "whole" or all(kind.window == np.inf for kind in kinds):
        stateful = engine.cache == "pages" and np.any(state_bytes(arch, layout))
        return None if stateful else sum(kind.layers * kind.token for kind in kinds) * _stage(arch, layout)
    return _cell(kinds, engine) * _stage(arch, layout) if engine.cache == "pools" else None


def layer_kinds(arch: Architecture, element: float, layout: Layout, *, mtp: bool = False) -> list[LayerKind]:
    """Kinds of layers by what they keep, those that borrow another's cache left out."""
    found: dict[tuple[str, float, float, bool, float], LayerKind] = {}
    blocks = [(block, block.count) for block in arch.blocks]
    blocks += [(block, block.count) for block in arch.drafting] if mtp else []
    for block, count in blocks:
        if block.mixer is None or not count:
            continue
        one = _kind(block, element, layout)
        whole = _kind(block, element, Layout())
        key = (type(block.mixer).__name__, float(whole.token), one.window, one.chunked, float(whole.state))
        if key[1] or key[4]:
            before = found[key].layers if key in found else 0
            found[key] = replace(one, layers=before + count)
    return list(found.values())


def _kind(block: Block, element: float, layout: Layout) -> LayerKind:
    mixer = block.mixer
    assert mixer is not None
    window, chunked = np.inf, False
    if isinstance(mixer, Gqa) and (mixer.window or mixer.chunk):
        window, chunked = float(mixer.window or mixer.chunk), bool(mixer.chunk)
    elif isinstance(mixer, Mla) and mixer.window:
        window = float(mixer.window)
    token = mixer.cache_bytes(np.asarray(1.0), element, layout.tp)
    aligned = LATENT if isinstance(mixer, Mla) else 1
    return LayerKind(1, token, window, chunked, layer_state(block, layout), aligned)


def layer_state(block: Block, layout: Layout) -> Numbers:
    """Bytes of a sequence's state in one layer of a block."""
    mixer = block.mixer
    if mixer is None:
        return 0.0
    elements = mixer.state(layout.tp)
    if not isinstance(mixer, Recurrent):
        return elements * CONV_ELEMENT
    inputs = float(mixer.conv * max(mixer.kernel - 1, 0))
    whole = inputs + float(mixer.heads * mixer.key * mixer.value)
    return elements * (inputs * CONV_ELEMENT + (whole - inputs) * STATE_ELEMENT) / whole


def mixed(kinds: list[LayerKind]) -> bool:
    """Whether layers keep different things, so that an engine has to share its memory between kinds."""
    return any(kind.window < np.inf or not np.any(kind.token) for kind in kinds)


def _in_flight(engine: Engine, asked: Asked) -> Numbers:
    """New tokens that a window still holds: those of the steps in flight."""
    return engine.flight * np.asarray(asked.step, dtype=float)


def paged(kinds: list[LayerKind], engine: Engine, asked: Asked) -> Numbers:
    """Pages of one size (vLLM `kv_cache_utils.py`): layers of a kind are cut into groups of as many layers each; each
    group has its own table of pages, and a page serves one layer of each place of a group.

    A window holds its keys and the new tokens of the steps in flight, and a page more, as it may start inside of one; a
    state takes a page, and one for each drafted token. Where there are states, a page of keys is made as large as one.
    """
    page, size = _page(kinds, engine), group_size(kinds)
    blocks: Numbers = np.asarray(0.0)
    for kind in kinds:
        blocks = blocks + np.ceil(kind.layers / size) * _needed(kind, page, engine, asked)
    return size * page * blocks


def group_size(kinds: list[LayerKind]) -> int:
    """Layers of each group."""
    counts = [kind.layers for kind in kinds]
    return max(counts) if max(counts) < TOLERATED * min(counts) else min(counts)


def state_pages(arch: Architecture, kv: str, layout: Layout, engine: Engine, pool: Numbers) -> Numbers | None:
    """Pages in the cache of a model that keeps states, each of which holds one of them in every layer of a group; None
    for other models, and for engines that do not share their memory by pages.
    """
    kinds = layer_kinds(arch, format_of(kv).element, layout)
    if engine.cache != "pages" or compressed.kept(arch) or all(np.any(kind.token) for kind in kinds):
        return None
    found: Numbers = np.floor(pool / (group_size(kinds) * _page(kinds, engine) * _stage(arch, layout)))
    return found


def spread_tokens(kinds: list[LayerKind], engine: Engine, pool: Numbers) -> Numbers:
    """Tokens that vLLM until 0.20 said a pool holds: its pages over all groups alike, in the smallest page's tokens."""
    page, size = _page(kinds, engine), group_size(kinds)
    groups = sum(np.ceil(kind.layers / size) for kind in kinds)
    least = np.minimum.reduce([np.floor(page / kind.token) for kind in kinds if np.any(kind.token)])
    found: Numbers = np.floor(pool / (size * page) / groups) * least
    return found


def _page(kinds: list[LayerKind], engine: Engine) -> Numbers:
    """Bytes of a page of one layer."""
    block, page = _block(kinds, engine), np.asarray(1.0)
    for kind in kinds:
        page = np.maximum(page, np.where(np.any(kind.token), block * kind.token, kind.state))
    return page


def _block(kinds: list[LayerKind], engine: Engine) -> Numbers:
    """Tokens of a page of the layers that see all: the engine's own, or as many as fill a page with a state."""
    state: Numbers = np.asarray(0.0)
    for kind in kinds:
        state = np.maximum(state, np.where(np.any(kind.token), 0.0, kind.state))
    whole = [kind for kind in kinds if np.any(kind.token) and kind.window == np.inf]
    if not np.any(state) or not whole:
        return engine.block
    widest = np.maximum.reduce([np.asarray(kind.token) for kind in whole])
    step = max([engine.block, *(kind.aligned for kind in whole)])
    found: Numbers = np.maximum(np.ceil(state / widest / step) * step, step)
    return found


def _needed(kind: LayerKind, page: Numbers, engine: Engine, asked: Asked) -> Numbers:
    """Pages of one group for a sequence."""
    if not np.any(kind.token):
        return engine.states + np.asarray(asked.drafts, dtype=float)
    tokens = np.floor(page / kind.token)
    context = np.asarray(asked.context, dtype=float)
    if kind.window == np.inf:
        return np.ceil(context / tokens)
    alive = np.minimum(kind.window - (not kind.chunked) + _in_flight(engine, asked), context)
    needed: Numbers = np.ceil(alive / tokens) + (not kind.chunked)
    return needed


def pooled(kinds: list[LayerKind], engine: Engine, asked: Asked) -> Numbers:
    """Pools by kind (SGLang `pool_configurator.py`): that of the windows has `window_share` of the tokens of the full
    one, so that a sequence takes the larger of its shares of the two.
    """
    cell: Numbers = _cell(kinds, engine)
    context = np.asarray(asked.context, dtype=float)
    widest = max((kind.window for kind in kinds if np.any(kind.token) and kind.window < np.inf), default=0.0)
    if all(kind.window < np.inf for kind in kinds if np.any(kind.token)):
        near: Numbers = np.minimum(context, widest) * cell
        return near
    taken: Numbers = np.maximum(context, np.minimum(context, widest) / engine.window_share) * cell
    return taken


def _cell(kinds: list[LayerKind], engine: Engine) -> Numbers:
    """Bytes of a token of the full pool, the windows' share included."""
    full = sum((kind.layers * kind.token for kind in kinds if kind.window == np.inf), start=np.asarray(0.0))
    near = sum((kind.layers * kind.token for kind in kinds if kind.window < np.inf), start=np.asarray(0.0))
    return full + engine.window_share * near if np.any(full) else near
