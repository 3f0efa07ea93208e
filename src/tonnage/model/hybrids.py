"""Families that mix kinds of attention, or hold a state: what a configuration of each `model_type` means."""

from __future__ import annotations

from dataclasses import replace

from tonnage.model.architecture import Block, Extra, Ffn, Mixer
from tonnage.model.attention import BlockIndex, Gqa
from tonnage.model.compressed import Compressed
from tonnage.model.config import LARGEST, ConfigReader
from tonnage.model.families import (
    Body,
    Family,
    biased,
    body,
    deepseek_experts,
    gated,
    heads,
    latent,
    qwen_experts,
    top_k,
)
from tonnage.model.ffn import Dense, Moe, Parallel
from tonnage.model.latent import Indexer
from tonnage.model.linear import DELTA, KDA, LIGHTNING, SSD, Recurrent


def qwen3_hybrid(read: ConfigReader) -> Body:
    """Qwen3-Next and Qwen3.5: three layers of gated delta rule, one of gated attention; dense or with experts.

    Qwen3-Next has a layer that predicts ahead and does not say so (github.com/NVIDIA/Model-Optimizer pull request 860).
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    ffn: Ffn = qwen_experts(read) if read.has("num_experts") else gated(read, hidden)
    attention = gated_attention(read, hidden)
    linear = delta_rule(read)
    every = read.whole("full_attention_interval", default=4)
    kinds = read.kinds("layer_types", depth)
    full = [k == "full_attention" for k in kinds] if kinds else [(i + 1) % every == 0 for i in range(depth)]
    layers = [Block(1, attention if whole else linear, ffn) for whole in full]
    ahead = int(read.text("model_type") == "qwen3_next")
    modules = read.whole("mtp_num_hidden_layers", default=ahead, low=0, high=LARGEST["layers"])
    mtp = Block(modules, attention, ffn) if modules else None
    return body(read, layers, hidden, mtp=mtp)


def gated_attention(read: ConfigReader, hidden: int) -> Gqa:
    """Grouped-query attention whose output is scaled by a sigmoid gate from the query projection."""
    bias = read.flag("attention_bias")
    mixer = biased(heads(read, 256), hidden, bias, bias)
    width = mixer.heads * mixer.dim
    query_bias = 2 * mixer.bias[0]
    return replace(mixer, norm=2 * mixer.dim, gate=width, bias=(query_bias, *mixer.bias[1:]))


def delta_rule(read: ConfigReader) -> Recurrent:
    """Qwen's gated delta rule."""
    key_heads = read.whole("linear_num_key_heads", default=16, high=LARGEST["heads"])
    value_heads = read.whole("linear_num_value_heads", default=32, high=LARGEST["heads"])
    key, value = read.whole("linear_key_head_dim", default=128), read.whole("linear_value_head_dim", default=128)
    conv = 2 * key_heads * key + value_heads * value
    return Recurrent(
        rule=DELTA,
        heads=value_heads,
        key_heads=key_heads,
        key=key,
        value=value,
        inputs=conv + value_heads * value + 2 * value_heads,
        conv=conv,
        kernel=read.whole("linear_conv_kernel_dim", default=4),
        gate=value_heads * value,
        vectors=2 * value_heads + value,
    )


def kimi_linear(read: ConfigReader) -> Body:
    """Kimi Linear and K3: three layers of Kimi delta attention, one of latent attention without position encoding.

    K3's attention residuals and activation hold no parameters that are known and are left out; its experts work in a
    latent of `routed_expert_hidden_size`.
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    section = read.section("linear_attn_config") or read
    full = section.numbers("full_attn_layers")
    kinds = read.kinds("layer_types", depth)
    whole = [k == "full_attention" for k in kinds] if kinds else [i + 1 in full for i in range(depth)]
    attention = latent(read, hidden)
    if read.flag("mla_use_output_gate"):
        attention = replace(attention, gate=attention.heads * attention.value)
    linear = kda(read, section)
    first = read.whole("first_k_dense_replace", default=1, low=0)
    moe, dense = _kimi_experts(read), Dense(read.whole("intermediate_size"))
    layers = [Block(1, attention if w else linear, moe if i >= first else dense) for i, w in enumerate(whole)]
    return body(read, layers, hidden)


def kda(
    read: ConfigReader, section: ConfigReader, *, full_rank: bool | None = None, low_rank: bool = True
) -> Recurrent:
    """Kimi's delta attention; low_rank: whether its decay comes through a small inner size."""
    count = section.whole("num_heads", "linear_num_heads", "num_attention_heads", high=LARGEST["heads"])
    dim = section.whole("linear_head_dim", "head_dim")
    width = count * dim
    full_rank = section.flag("use_full_rank_gate") if full_rank is None else full_rank
    through = ((dim, width),) if full_rank else ((dim, width), (dim, width))
    return Recurrent(
        rule=KDA,
        heads=count,
        key_heads=count,
        key=dim,
        value=dim,
        inputs=3 * width + count + (width if full_rank else 0) + (0 if low_rank else width),
        low_rank=through if low_rank else (),
        conv=3 * width,
        kernel=section.whole("short_conv_kernel_size", "linear_conv_kernel_dim", default=4),
        gate=width,
        vectors=width + count + dim,
    )


def _kimi_experts(read: ConfigReader) -> Moe:
    size = read.whole("moe_intermediate_size")
    shared = read.whole("num_shared_experts", "n_shared_experts", default=0, low=0, high=LARGEST["experts"])
    inner = read.whole("routed_expert_hidden_size", default=0, low=0)
    return Moe(
        experts=read.whole("num_experts", "num_local_experts", high=LARGEST["experts"]),
        top_k=top_k(read),
        size=size,
        shared=Dense(size * shared) if shared else None,
        latent=inner,
        latent_norm=inner if read.flag("latent_moe_use_norm") else 0,
    )


def minimax(read: ConfigReader) -> Body:
    """MiniMax-Text-01 and M1 (arXiv 2501.08313): lightning attention, every eighth layer (or as listed) softmax."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    attention = heads(read)
    width = attention.heads * attention.dim
    linear = Recurrent(
        rule=LIGHTNING,
        heads=attention.heads,
        key_heads=attention.heads,
        key=attention.dim,
        value=attention.dim,
        inputs=4 * width,
        gate=width,
        vectors=width,
    )
    moe = Moe(
        experts=read.whole("num_local_experts", "num_experts", high=LARGEST["experts"]),
        top_k=top_k(read),
        size=read.whole("intermediate_size"),
    )
    codes = read.listing("attn_type_list", depth)
    kinds = read.kinds("layer_types", depth)
    full = [code == 1 for code in codes] if codes else [i % 2 == 0 for i in range(depth)]
    full = [kind == "full_attention" for kind in kinds] if kinds else full
    return body(read, [Block(1, attention if whole else linear, moe) for whole in full], hidden)


_LETTERS = {"M": "mamba", "*": "attention", "E": "moe", "-": "mlp"}
_WORDS = {"linear_attention": "mamba", "full_attention": "attention"}


def nemotron_h(read: ConfigReader) -> Body:
    """Nemotron-H and Nemotron 3: each layer is one of Mamba-2, attention, FFN or experts, with one norm."""
    hidden = read.whole("hidden_size")
    listed: list[object] = read.listing("layers_block_type") or list(read.text("hybrid_override_pattern"))
    ahead: list[object] = read.listing("mtp_layers_block_type") or list(read.text("mtp_hybrid_override_pattern"))
    if not listed:
        read.wrong("hybrid_override_pattern", "is missing: which layers are Mamba, attention and experts")
    if read.has("num_hidden_layers") and len(listed) != read.layers():
        read.wrong("num_hidden_layers", f"{read.layers()} layers, but the pattern lists {len(listed)}")
    parts = _nemotron_parts(read, hidden, {_kind(each) for each in (*listed, *ahead)})
    layers = [_nemotron_block(read, parts, _kind(each)) for each in listed]
    modules = read.whole("num_nextn_predict_layers", default=0, low=0, high=LARGEST["layers"])
    mixer = parts.get("attention") if "attention" in map(_kind, ahead) else None
    ffn = parts.get("moe") if "moe" in map(_kind, ahead) else None
    mtp = Block(modules, mixer, ffn) if modules and ahead else None  # type: ignore[arg-type]
    return body(read, layers, hidden, mtp=mtp)


def _kind(entry: object) -> str:
    """What a layer is, by the letter or the word of a pattern."""
    text = str(entry)
    return _LETTERS.get(text) or _WORDS.get(text, text)


def _nemotron_block(read: ConfigReader, parts: dict[str, Mixer | Ffn], kind: str) -> Block:
    """A layer of one part: a mixer or an FFN."""
    part = parts.get(kind)
    if part is None:
        read.wrong("hybrid_override_pattern", f'no layer kind "{kind[:20]}"')
    mixer = kind in ("mamba", "attention")
    return Block(1, part if mixer else None, None if mixer else part, norms=1)  # type: ignore[arg-type]


def _nemotron_parts(read: ConfigReader, hidden: int, kinds: set[str]) -> dict[str, Mixer | Ffn]:
    """The parts that a pattern names, each read once."""
    made: dict[str, Mixer | Ffn] = {}
    if "mamba" in kinds:
        made["mamba"] = state_space(read, hidden)
    if "attention" in kinds:
        made["attention"] = heads(read)
    if "mlp" in kinds:
        made["mlp"] = Dense(read.whole("intermediate_size"), gated=False)
    if "moe" in kinds:
        made["moe"] = _nemotron_experts(read)
    return made


def _nemotron_experts(read: ConfigReader) -> Moe:
    return Moe(
        experts=read.whole("n_routed_experts", high=LARGEST["experts"]),
        top_k=top_k(read),
        size=read.whole("moe_intermediate_size"),
        gated=False,
        shared=Dense(read.whole("moe_shared_expert_intermediate_size"), gated=False),
        latent=read.whole("moe_latent_size", default=0, low=0),
    )


def state_space(read: ConfigReader, hidden: int) -> Recurrent:
    """Mamba-2 under the names of Nemotron-H."""
    count, dim = read.whole("mamba_num_heads", high=LARGEST["heads"]), read.whole("mamba_head_dim")
    groups, size = read.whole("n_groups", high=LARGEST["heads"]), read.whole("ssm_state_size")
    inner, bias = count * dim, read.flag("use_bias")
    conv = inner + 2 * groups * size
    inputs = inner + conv + count
    return Recurrent(
        rule=replace(SSD, chunk=read.whole("chunk_size", default=128)),
        heads=count,
        key_heads=groups,
        key=size,
        value=dim,
        inputs=inputs,
        conv=conv,
        kernel=read.whole("conv_kernel", default=4),
        conv_bias=read.flag("use_conv_bias", True),
        gate=inner,
        vectors=3 * count + inner,
        bias=(inputs, hidden) if bias else (0, 0),
    )


def minimax_m3(read: ConfigReader) -> Body:
    """MiniMax-M3: first layers dense, then block-sparse attention (16 blocks of 128 keys a query) and experts.

    Modules for multi-token prediction are named, but not in the release: 427,040,140,160 values in 23,416 tensors are
    the rest of it (github.com/NVIDIA-NeMo/Megatron-Bridge pull request 5816).
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    section = read.section("sparse_attention_config") or read
    index = BlockIndex(
        heads=section.whole("sparse_num_index_heads", "index_n_heads", high=LARGEST["heads"]),
        dim=section.whole("sparse_index_dim", "index_head_dim"),
        blocks=section.whole("sparse_topk_blocks", "index_topk_blocks"),
        size=section.whole("sparse_block_size", "index_block_size"),
    )
    mixer = heads(read)
    mixer = replace(mixer, norm=2 * mixer.dim if read.flag("use_qk_norm", True) else 0)
    kinds, ffns = read.kinds("layer_types", depth), read.kinds("mlp_layer_types", depth)
    sparse = section.listing("sparse_attention_freq", depth) or [1] * depth
    sparse = [kind == "minimax_m3_sparse" for kind in kinds] if kinds else sparse
    routed = read.listing("moe_layer_freq", depth) or [1] * depth
    routed = [kind == "sparse" for kind in ffns] if ffns else routed
    size, shared = read.whole("shared_intermediate_size"), read.whole("n_shared_experts", default=1, low=0)
    moe = Moe(
        experts=read.whole("num_local_experts", high=LARGEST["experts"]),
        top_k=top_k(read),
        size=read.whole("intermediate_size"),
        shared=Dense(size * shared) if shared else None,
    )
    dense = Dense(read.whole("dense_intermediate_size"))
    layers = [
        Block(1, replace(mixer, index=index) if chosen else mixer, moe if expert else dense)
        for chosen, expert in zip(sparse, routed, strict=True)
    ]
    return body(read, layers, hidden)


def deepseek_v4(read: ConfigReader) -> Body:
    """DeepSeek-V4: windows with compressed long range, hyper-connections instead of one residual stream, experts."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    ratios = read.listing("compress_ratios") or [128, 128, *(4 if i % 2 else 128 for i in range(depth - 2))]
    if len(ratios) < depth:
        read.wrong("compress_ratios", f"has {len(ratios)} entries for {depth} layers")
        ratios = [0] * depth
    streams = read.whole("hc_mult", default=4, high=64)
    mixer, moe = _compressed(read), deepseek_experts(read)
    indexer = Indexer(
        heads=read.whole("index_n_heads", high=LARGEST["heads"]),
        dim=read.whole("index_head_dim"),
        topk=read.whole("index_topk"),
    )
    mixers: dict[object, Compressed] = {
        0: mixer,
        4: replace(mixer, ratio=4, indexer=indexer),
        128: replace(mixer, ratio=128),
    }
    for ratio in sorted({r for r in ratios if r not in mixers}, key=str):
        read.wrong("compress_ratios", f"{str(ratio)[:20]} is not one of 0, 4, 128")
    extras = hyper_connections(hidden, streams)
    layers = [Block(1, mixers.get(ratio, mixer), moe, extras=extras) for ratio in ratios[:depth]]
    modules = read.whole("num_nextn_predict_layers", default=0, low=0, high=LARGEST["layers"])
    mtp = replace(layers[-1], mixer=mixers.get(ratios[-1], mixer), count=modules) if modules else None
    wide = streams * hidden
    collapse = Extra("stream_collapse", streams * wide + streams + 1, n=streams, k=wide, saved=wide)
    return body(read, layers, hidden, mtp=mtp, final_extras=(collapse,))


def _compressed(read: ConfigReader) -> Compressed:
    return Compressed(
        heads=read.whole("num_attention_heads", high=LARGEST["heads"]),
        q_lora=read.whole("q_lora_rank"),
        dim=read.whole("head_dim"),
        rope=read.whole("qk_rope_head_dim", default=64),
        window=read.whole("sliding_window", high=10**9),
        ratio=0,
        groups=read.whole("o_groups", high=LARGEST["heads"]),
        o_lora=read.whole("o_lora_rank"),
    )


def hyper_connections(hidden: int, streams: int) -> tuple[Extra, ...]:
    """Two manifold-constrained hyper-connections a layer (arXiv 2512.24880).

    Mixing weights are made from all streams (a GEMM), then the streams are mixed, collapsed into the layer's input and
    joined by its output: 2 x streams x (streams + 2) x hidden FLOP a token.
    """
    outputs = (2 + streams) * streams
    weight = outputs * streams * hidden + outputs + 3
    mix = 2 * streams * (streams + 2) * hidden
    wide = streams * hidden
    made = []
    for name in ("attention", "ffn"):
        made.append(Extra(f"{name}_streams", weight, n=outputs, k=wide, saved=wide))
        made.append(Extra(f"{name}_mixing", 0, flop=mix, stream=3 * wide + 2 * hidden))
    return tuple(made)


def inkling(read: ConfigReader) -> Body:
    """Inkling's text part: windows and full attention, short convolutions, learned relative positions, experts."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    kernel, relative = read.whole("conv_kernel_size", default=4), read.whole("d_rel")
    window = read.whole("sliding_window_size", high=10**9)
    full = replace(heads(read), window=0)
    local = Gqa(
        heads=read.whole("swa_num_attention_heads", high=LARGEST["heads"]),
        kv_heads=read.whole("swa_num_key_value_heads", high=LARGEST["heads"]),
        dim=read.whole("swa_head_dim"),
        value=read.whole("swa_head_dim"),
        window=window,
    )
    kinds = read.kinds("layer_types", depth) or ["hybrid"] * depth
    sparse = read.kinds("mlp_layer_types", depth) or ["sparse"] * depth
    extent = read.whole("rel_extent")
    blocks = {
        (windowed, routed): _inkling_block(
            read, local if windowed else full, routed, hidden, kernel, relative, window if windowed else extent
        )
        for windowed in (True, False)
        for routed in {kind == "sparse" for kind in sparse}
    }
    layers = [blocks[k == "hybrid_sliding", s == "sparse"] for k, s in zip(kinds, sparse, strict=True)]
    return body(read, layers, hidden, embeddings=(("embedding_norm", hidden),))


def _inkling_block(
    read: ConfigReader, mixer: Gqa, routed: bool, hidden: int, kernel: int, relative: int, extent: int
) -> Block:
    mixer = replace(mixer, norm=2 * mixer.dim, conv=(kernel, mixer.kv_width + 2 * hidden))
    wide = mixer.heads * relative
    extras = (
        Extra("relative_proj", hidden * wide, n=wide, k=hidden),
        Extra("relative_logits", relative * extent, n=mixer.heads * extent, k=relative, saved=wide),
    )
    return Block(1, mixer, _inkling_ffn(read, routed), extras=extras)


def _inkling_ffn(read: ConfigReader, routed: bool) -> Ffn:
    if not routed:
        return Dense(read.whole("intermediate_size"), bias=(0, 1))
    made = deepseek_experts(read)
    shared = read.whole("n_shared_experts", default=0, low=0, high=LARGEST["experts"])
    return replace(made, router_outputs=made.experts + shared, extra_weight=1)


def gemma4(read: ConfigReader) -> Body:
    """Gemma 4's text part: windows and full attention with wider heads, layers that borrow an earlier cache, perhaps
    experts beside the dense FFN, perhaps an embedding for each layer.
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    kinds = read.kinds("layer_types", depth) or ["sliding_attention"] * depth
    borrowing = depth - read.whole("num_kv_shared_layers", default=0, low=0, high=depth)
    per_layer = read.whole("hidden_size_per_layer_input", default=0, low=0)
    extras = per_layer_inputs(hidden, per_layer)
    experts = _gemma_experts(read, hidden) if read.flag("enable_moe_block") else None
    layers = []
    for layer, kind in enumerate(kinds):
        borrowed = layer >= borrowing
        dense = Dense(read.whole("intermediate_size") * (2 if borrowed and read.flag("use_double_wide_mlp") else 1))
        ffn: Ffn = Parallel((dense, experts)) if experts else dense
        mixer = _gemma_attention(own_sizes(read, layer), hidden, kind == "full_attention", borrowed)
        layers.append(Block(1, mixer, ffn, norms=7 if experts else 4, extras=extras))
    table = read.whole("vocab_size_per_layer_input", default=1, high=LARGEST["vocab"]) * depth * per_layer
    more = (("per_layer_embedding", table + per_layer),) if per_layer else ()
    made = body(read, layers, hidden, embeddings=more)
    return replace(made, tied=read.flag("tie_word_embeddings", True))


def own_sizes(read: ConfigReader, layer: int) -> ConfigReader:
    """The configuration of one layer: newer files of transformers give sizes that differ by its number, in two digits
    or more (`per_layer_config`), instead of `global_head_dim`.
    """
    listed = read.section("per_layer_config")
    if listed is None:
        return read
    key = next((key for key in listed.config if key.isdigit() and int(key) == layer), "")
    own = listed.section(key) if key else None
    if own is None:
        return read
    sizes = dict(own.config)
    renamed = {"global_head_dim": "head_dim", "num_global_key_value_heads": "num_key_value_heads"}
    sizes |= {usual: sizes[name] for usual, name in renamed.items() if name in sizes}
    return ConfigReader({**read.config, **sizes}, read.problems, read.place, read.path)


def _gemma_attention(read: ConfigReader, hidden: int, full: bool, borrowed: bool) -> Gqa:
    same = full and read.flag("attention_k_eq_v")
    dim = read.whole("global_head_dim", default=512) if full else read.whole("head_dim")
    kv_heads = read.whole("num_key_value_heads", high=LARGEST["heads"])
    if same:
        kv_heads = read.whole("num_global_key_value_heads", default=kv_heads, high=LARGEST["heads"])
    bias = read.flag("attention_bias")
    mixer = Gqa(
        heads=read.whole("num_attention_heads", high=LARGEST["heads"]),
        kv_heads=kv_heads,
        dim=dim,
        value=dim,
        norm=dim if borrowed else 2 * dim,
        window=0 if full else read.whole("sliding_window", high=10**9),
        keys_are_values=same,
        borrowed=borrowed,
    )
    return biased(mixer, hidden, bias, bias)


def per_layer_inputs(hidden: int, size: int) -> tuple[Extra, ...]:
    """What each layer does with its own small embedding of the token."""
    if not size:
        return ()
    return (
        Extra("per_layer_model_proj", hidden * size, n=size, k=hidden),
        Extra("per_layer_gate", hidden * size, n=size, k=hidden, saved=hidden),
        Extra("per_layer_proj", hidden * size, n=hidden, k=size, saved=size),
        Extra("per_layer_norm", hidden, stream=4 * hidden, saved=hidden),
    )


def _gemma_experts(read: ConfigReader, hidden: int) -> Moe:
    experts = read.whole("num_experts", high=LARGEST["experts"])
    return Moe(
        experts=experts,
        top_k=top_k(read),
        size=read.whole("moe_intermediate_size"),
        extra_weight=hidden + experts,
    )


HYBRIDS: dict[str, Family] = {
    "qwen3_next": qwen3_hybrid,
    "qwen3_5_text": qwen3_hybrid,
    "qwen3_5_moe_text": qwen3_hybrid,
    "kimi_linear": kimi_linear,
    "minimax": minimax,
    "nemotron_h": nemotron_h,
    "minimax_m3_vl": minimax_m3,
    "minimax_m3_vl_text": minimax_m3,
    "deepseek_v4": deepseek_v4,
    "inkling_text": inkling,
    "gemma4_text": gemma4,
}
