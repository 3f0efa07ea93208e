"""Families of late 2026: what a configuration of each `model_type` means. Shapes as in transformers 5.23."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tonnage.model.architecture import Block, Extra, Ffn, Mixer
from tonnage.model.attention import BlockIndex, Gqa
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
from tonnage.model.ffn import Dense, Moe
from tonnage.model.hybrids import delta_rule, gated_attention, hyper_connections, kda, own_sizes, per_layer_inputs
from tonnage.model.latent import Indexer
from tonnage.model.latest import spanned
from tonnage.model.linear import DELTA, Recurrent
from tonnage.model.mixtures import experts, normed, sparse
from tonnage.model.others import normed_together

SPARSE = ("indexed_attention", "deepseek_sparse_attention", "full_attention")
"""Words for a layer whose keys an indexer chooses."""


def _indexer(read: ConfigReader, pool: int = 1) -> Indexer:
    """The lightning indexer under DeepSeek's names; pool: tokens that share a key of it."""
    return Indexer(
        heads=read.whole("index_n_heads", high=LARGEST["heads"]),
        dim=read.whole("index_head_dim"),
        topk=read.whole("index_topk"),
        pool=pool,
    )


def _routed(read: ConfigReader, depth: int, first: int) -> list[bool]:
    """Which layers have experts: as listed, or all after the first ones."""
    kinds = read.kinds("mlp_layer_types", depth)
    if kinds is not None:
        return [kind == "sparse" for kind in kinds]
    start = read.whole("first_k_dense_replace", default=first, low=0, high=depth)
    return [layer >= start for layer in range(depth)]


def glm5_next(read: ConfigReader) -> Body:
    """GLM-5.3-Flash: three layers of Kimi delta attention to one of sparse latent attention without positions, whose
    index keys are pooled, four residual streams, first layers dense, experts.
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    section = read.section("linear_attn_config") or read
    pool = read.whole("index_kpool", default=16, high=1024)
    sparse_mixer = replace(latent(read, hidden), indexer=_indexer(read, pool))
    kinds = read.kinds("layer_types", depth)
    whole = [kind in SPARSE for kind in kinds] if kinds else [(layer + 1) % 4 == 0 for layer in range(depth)]
    dim = sparse_mixer.indexer.dim if sparse_mixer.indexer else 0
    streams = hyper_connections(hidden, read.whole("hc_mult", default=4, high=64))
    pooled = Extra("index_pool", pool * dim + dim * hidden, n=dim, k=hidden)
    linear, moe = kda(read, section), deepseek_experts(read)
    dense = Dense(read.whole("intermediate_size"))
    layers = []
    for full, chosen in zip(whole, _routed(read, depth, 3), strict=True):
        mixer: Mixer = sparse_mixer if full else linear
        layers.append(Block(1, mixer, moe if chosen else dense, extras=(*streams, pooled) if full else streams))
    modules = read.whole("num_nextn_predict_layers", default=0, low=0, high=LARGEST["layers"])
    mtp = Block(modules, sparse_mixer, moe, extras=(pooled,)) if modules else None
    return body(read, layers, hidden, mtp=mtp)


def dots3_note(read: ConfigReader) -> Body:
    """dots3.note: latent attention with a gate a head, sparse in some layers and windowed, with sizes of its own, in
    the others; first layer dense, experts.
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    span = read.whole("sliding_window", high=10**9)
    kinds = read.kinds("layer_types", depth)
    full = [kind in SPARSE for kind in kinds] if kinds else [True] * depth
    mixers = []
    for layer, chosen in enumerate(full):
        mixer = latent(own_sizes(read, layer), hidden)
        mixer = replace(mixer, gate=mixer.heads, norm=mixer.rope)
        mixers.append(replace(mixer, indexer=_indexer(read)) if chosen else replace(mixer, window=span))
    size = read.whole("shared_experts_intermediate_size", default=0, low=0)
    return sparse(read, mixers, experts(read, shared=size or None))


def axk2(read: ConfigReader) -> Body:
    """A.X K2: sparse latent attention whose queries and gate come from the query's latent before and after its norm,
    norms with a small gate of their own, first layer dense, experts.
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    mixer = replace(latent(read, hidden), indexer=_indexer(read))
    wide = mixer.heads * (mixer.nope + mixer.rope + mixer.value)
    more = 2 * mixer.q_lora * wide - mixer.q_lora * mixer.heads * (mixer.nope + mixer.rope)
    gate = Extra("query_gate", more, n=more // max(mixer.q_lora, 1), k=mixer.q_lora)
    rank = read.whole("gated_norm_rank", default=16)
    norm = Extra("norm_gate", 2 * rank * hidden, n=rank, k=2 * hidden)
    moe, dense = deepseek_experts(read), Dense(read.whole("intermediate_size"))
    layers = []
    for chosen in _routed(read, depth, 1):
        norms = (norm, norm) if chosen else (norm,)
        layers.append(Block(1, mixer, moe if chosen else dense, extras=(gate, *norms)))
    return body(read, layers, hidden)


def inkling2(read: ConfigReader) -> Body:
    """Inkling 2's text part: gated attention with learned relative positions, short convolutions, sinks made from the
    token, a residual that each layer chooses from those of earlier blocks, experts.
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    kernel, relative = read.whole("conv_kernel_size", default=4), read.whole("d_rel")
    every = read.whole("n_layers_per_attn_res_block", default=6, high=LARGEST["layers"])
    span = read.whole("sliding_window_size", high=10**9)
    kinds = read.kinds("layer_types", depth) or ["hybrid"] * depth
    full = heads(read)
    local = Gqa(
        heads=read.whole("swa_num_attention_heads", high=LARGEST["heads"]),
        kv_heads=read.whole("swa_num_key_value_heads", high=LARGEST["heads"]),
        dim=read.whole("swa_head_dim"),
        value=read.whole("swa_head_dim"),
    )
    layers = []
    moe = deepseek_experts(read)
    for layer, kind in enumerate(kinds):
        windowed = kind == "hybrid_sliding"
        mixer = local if windowed else full
        mixer = replace(mixer, window=span if windowed else 0, gate=mixer.heads * mixer.dim, gate_apart=True)
        extent = span if windowed else read.whole("rel_extent")
        layers.append(_inkling2_block(mixer, moe, hidden, kernel, relative, extent, first=layer == 0))
    final = (Extra("final_choice", hidden, stream=2 * hidden * max(depth // every, 1)),)
    return body(read, layers, hidden, final_extras=final, embeddings=(("embedding_norm", hidden),))


def _inkling2_block(
    mixer: Gqa, moe: Moe, hidden: int, kernel: int, relative: int, extent: int, *, first: bool
) -> Block:
    """One layer; the full ones choose an input each for queries, keys and values, and their convolutions' weights."""
    apart = not mixer.window
    wide = mixer.heads * relative
    held = mixer.heads * (mixer.dim + relative)
    choices = hidden * (1 + (3 if apart else 0 if first else 1))
    extras = [
        Extra("relative_proj", hidden * wide, n=wide, k=hidden),
        Extra("relative_logits", relative * extent, n=mixer.heads * extent, k=relative, saved=wide),
        Extra("sink_proj", hidden * mixer.heads, n=mixer.heads, k=hidden),
        Extra("score_scales", held + choices + (2 * hidden if apart else 0), stream=4 * hidden),
    ]
    if apart:
        outputs = 2 * kernel * mixer.kv_heads
        extras.append(Extra("convolution_weights", outputs * hidden, n=outputs, k=hidden))
    mixer = replace(mixer, conv=(kernel, mixer.kv_width + 2 * hidden))
    return Block(1, mixer, moe, extras=tuple(extras))


def muse_spark(read: ConfigReader) -> Body:
    """Muse Spark: gated attention, three windowed layers to one full, gates on the residual, experts in a latent."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    mixer = heads(read)
    mixer = replace(mixer, gate=mixer.heads * mixer.dim, gate_apart=True)
    inner = read.whole("moe_hidden_size", default=hidden)
    moe = Moe(
        experts=read.whole("num_local_experts", "num_experts", high=LARGEST["experts"]),
        top_k=top_k(read),
        size=read.whole("moe_intermediate_size"),
        latent=inner,
        latent_norm=2 * inner,
    )
    gates = Extra("residual_gates", 2 * hidden, stream=6 * hidden)
    mixers = spanned(read, mixer, [layer % 4 != 1 for layer in range(depth)])
    routed = _routed(read, depth, 0)
    dense = moe if all(routed) else gated(read, hidden)
    layers = [
        Block(1, each, moe if chosen else dense, norms=3, extras=(gates,))
        for each, chosen in zip(mixers, routed, strict=True)
    ]
    return body(read, layers, hidden)


def beam(read: ConfigReader) -> Body:
    """Beam: gated and normalised attention, five windowed layers to one full, norms before and after, experts."""
    depth = read.layers()
    mixer = normed(heads(read))
    mixer = replace(mixer, gate=mixer.heads * mixer.dim, gate_apart=True, sinks=True)  # a bias of the gate a head
    mixers = spanned(read, mixer, [(layer + 1) % 6 != 0 for layer in range(depth)])
    return sparse(read, mixers, experts(read), norms=4)


def qwen4_exp(read: ConfigReader) -> Body:
    """Qwen3.8-Flash-Next (Qwen4-Exp): three layers of gated delta rule to one of block-sparse gated attention, four
    residual streams mixed at low rank, experts, and in some layers large tables looked up by n-grams.
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    attention, linear, moe = gated_attention(read, hidden), delta_rule(read), qwen_experts(read)
    if read.has("indexer_n_heads"):
        attention = replace(attention, index=_qwen_index(read))
    kinds = read.kinds("layer_types", depth)
    every = read.whole("full_attention_interval", default=4, high=LARGEST["layers"])
    full = [k != "linear_attention" for k in kinds] if kinds else [(i + 1) % every == 0 for i in range(depth)]
    streams, rank = read.whole("hc_count", default=4, high=64), read.whole("hc_lowrank", default=320)
    wide = streams * hidden
    mixing = Extra("stream_mixing", 2 * (wide + 2 * rank * wide + streams * wide), n=2 * rank + streams, k=2 * wide)
    tables = sorted(read.numbers("ple_layer_ids"))
    ngram = _ngram_extras(read, hidden, streams) if tables else ()
    layers = []
    for layer, whole in enumerate(full):
        extras = (mixing, *ngram) if layer + 1 in tables else (mixing,)
        layers.append(Block(1, attention if whole else linear, moe, norms=0, extras=extras))
    modules = read.whole("mtp_num_hidden_layers", default=0, low=0, high=LARGEST["layers"])
    mtp = Block(modules, attention, moe, norms=0, extras=(mixing,)) if modules else None
    last = (Extra("stream_collapse", wide + 2 * rank * wide, n=2 * rank, k=wide, saved=wide),)
    rows = [(f"ngram_table_{number}", size) for number, size in enumerate(_ngram_tables(read, hidden, len(tables)))]
    return body(read, layers, hidden, mtp=mtp, final_norm=0, final_extras=last, embeddings=tuple(rows))


def _qwen_index(read: ConfigReader) -> BlockIndex:
    """The indexer of Qwen's sparse attention: keys averaged over blocks, the best of which are kept whole."""
    size = read.whole("indexer_compress_ratio", high=10**6)
    return BlockIndex(
        heads=read.whole("indexer_n_heads", high=LARGEST["heads"]),
        dim=read.whole("indexer_head_dim"),
        blocks=max(read.whole("indexer_budget") // size, 1),
        size=size,
        pooled=True,
    )


def _ngram_extras(read: ConfigReader, hidden: int, streams: int) -> tuple[Extra, ...]:
    """What a layer does with the rows of its n-grams: projections to the streams, norms, a short convolution."""
    size, wide = read.whole("ple_embed_dim", default=hidden), streams * hidden
    kernel = read.whole("ple_conv_kernel_size", default=4, high=1024)
    return (
        Extra("ngram_proj", size * (wide + hidden), n=wide + hidden, k=size, saved=size),
        Extra("ngram_conv", 3 * wide + kernel * wide, flop=2 * kernel * wide, stream=4 * wide, saved=wide),
    )


def _ngram_tables(read: ConfigReader, hidden: int, count: int) -> list[int]:
    """Elements of each layer's table: for every head of every n-gram a prime number of rows, each larger than the one
    before, together rounded up.
    """
    heads_each = read.whole("heads_per_ngram", default=8, high=1024) * (read.whole("ngram_size", default=3) - 1)
    base = read.whole("ngram_vocab_size_base", default=20_000_000, high=10**9)
    step = read.whole("make_ngram_vocab_size_divisible_by", default=128)
    width = read.whole("ple_embed_dim", default=hidden) // max(heads_each, 1)
    if heads_each < 1 or heads_each * count > 10_000:
        read.wrong("heads_per_ngram", f"{heads_each} heads in {count} layers are not read")
        return []
    primes = _primes(base, heads_each * count)
    sums = [sum(primes[layer * heads_each : (layer + 1) * heads_each]) for layer in range(count)]
    return [-(-rows // step) * step * width for rows in sums]


def _primes(start: int, count: int) -> list[int]:
    """The first `count` primes that are not under `start`."""
    found: list[int] = []
    value = max(start, 2)
    while len(found) < count:
        if value == 2 or (value % 2 and all(value % divisor for divisor in range(3, int(value**0.5) + 1, 2))):
            found.append(value)
        value += 1
    return found


def gemma3n(read: ConfigReader) -> Body:
    """Gemma 3n: an embedding for each layer, four predictions of the residual (AltUp) and a low-rank branch (LAuReL)
    beside attention; later layers borrow an earlier cache.
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    borrowing = depth - read.whole("num_kv_shared_layers", default=15, low=0, high=depth)
    small = read.whole("hidden_size_per_layer_input", default=256)
    streams, rank = read.whole("altup_num_inputs", default=4, high=64), read.whole("laurel_rank", default=64)
    altup = streams * streams + streams**3 + streams * hidden + 2 * hidden
    extras = (
        *per_layer_inputs(hidden, small),
        Extra("altup", altup, n=streams, k=hidden, stream=4 * streams * hidden),
        Extra("laurel", 2 * rank * hidden + hidden, n=rank, k=2 * hidden),
    )
    mixer = heads(read, 256)
    spans = spanned(read, mixer, [(layer + 1) % 5 != 0 for layer in range(depth)])
    sizes = read.listing("intermediate_size", depth) if isinstance(read.config.get("intermediate_size"), list) else None
    layers = []
    for layer, each in enumerate(spans):
        borrowed = layer >= borrowing
        size = sizes[layer] if sizes else read.config.get("intermediate_size")
        width = ConfigReader({"intermediate_size": size}, read.problems, read.place, read.path)
        own = replace(each, borrowed=borrowed, norm=mixer.dim * (1 if borrowed else 2))  # type: ignore[type-var]
        layers.append(Block(1, own, Dense(width.whole("intermediate_size")), norms=4, extras=extras))
    table = read.whole("vocab_size_per_layer_input", default=262144, high=LARGEST["vocab"]) * depth * small
    between = 2 * (streams - 1) * hidden * hidden
    more = (("per_layer_embedding", table + small), ("altup_projections", between))
    return replace(body(read, layers, hidden, embeddings=more), tied=read.flag("tie_word_embeddings", True))


def olmo_hybrid(read: ConfigReader) -> Body:
    """OLMo Hybrid: gated delta rule behind a norm, every fourth layer attention normalised after."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    kinds = read.kinds("layer_types", depth)
    full = [k != "linear_attention" for k in kinds] if kinds else [(i + 1) % 4 == 0 for i in range(depth)]
    attention, ffn = normed_together(read, hidden), gated(read, hidden)
    linear = _olmo_delta(read)
    return body(read, [Block(1, attention if whole else linear, ffn) for whole in full], hidden)


def _olmo_delta(read: ConfigReader) -> Recurrent:
    count = read.whole("linear_num_value_heads", default=30, high=LARGEST["heads"])
    key, value = read.whole("linear_key_head_dim", default=96), read.whole("linear_value_head_dim", default=192)
    keys = read.whole("linear_num_key_heads", default=count, high=LARGEST["heads"])
    conv = 2 * keys * key + count * value
    return Recurrent(
        rule=DELTA,
        heads=count,
        key_heads=keys,
        key=key,
        value=value,
        inputs=conv + count * value + 2 * count,
        conv=conv,
        kernel=read.whole("linear_conv_kernel_dim", default=4),
        gate=count * value,
        vectors=2 * count + value,
    )


def flex_olmo(read: ConfigReader) -> Body:
    """FlexOlmo: as OLMo 2, every FFN a mixture of experts."""
    hidden = read.whole("hidden_size")
    moe = experts(read, shared=0, size=read.whole("intermediate_size"))
    return body(read, [Block(1, normed_together(read, hidden), moe)] * read.layers(), hidden)


def granite_moe_windowed(read: ConfigReader) -> Body:
    """Granite's mixtures with windows: one full layer before three windowed ones, sinks."""
    hidden, depth, bias = read.whole("hidden_size"), read.layers(), read.flag("attention_bias")
    mixer = replace(biased(heads(read), hidden, bias, bias), sinks=True)
    mixers = spanned(read, mixer, [layer % 4 != 0 for layer in range(depth)])
    shared = read.whole("shared_intermediate_size", default=0, low=0)
    moe: Ffn = experts(read, shared=shared, size=read.whole("intermediate_size"))
    return body(read, [Block(1, each, moe) for each in mixers], hidden)


def unlimited_ocr(read: ConfigReader) -> Body:
    """Unlimited-OCR's text part: every layer sees the image and a window of text; first layer dense, experts."""
    hidden, bias = read.whole("hidden_size"), read.flag("attention_bias")
    mixer = biased(heads(read), hidden, bias, bias)
    mixers: Sequence[Mixer] = [mixer] * read.layers()
    return sparse(read, mixers, deepseek_experts(read))


def zaya(read: ConfigReader) -> Body:
    """Zaya: attention in a compressed width whose queries and keys pass two convolutions, half of the values a token
    late, a router that is an MLP with a memory of the layer before, experts, scaled residuals.
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    plain = heads(read)
    channels = (plain.heads + plain.kv_heads) * plain.dim
    first, second = (read.whole(key, default=2, high=1024) for key in ("cca_time0", "cca_time1"))
    held = channels * first + channels + channels * plain.dim * second + channels + plain.kv_heads
    small, count = read.whole("router_hidden_size", default=256), read.whole("num_experts", high=LARGEST["experts"])
    router = small * hidden + small + small + 2 * (small * small + small) + (count + 1) * small
    moe = Moe(
        experts=count,
        top_k=read.whole("num_experts_per_tok", default=1),
        size=read.whole("moe_intermediate_size"),
        extra_weight=router - count * hidden,
    )
    made: list[Block] = []
    for layer in range(depth):
        state = small if layer else 0
        extras = (
            Extra(
                "query_key_convolutions", held, flop=2 * channels * (first + plain.dim * second), stream=4 * channels
            ),
            Extra("residual_scales", 8 * hidden + state, stream=8 * hidden),
        )
        made.append(Block(1, plain, moe, extras=extras))
    made_body = body(read, made, hidden, embeddings=(("embedding_scales", 2 * hidden),))
    return replace(made_body, tied=read.flag("tie_word_embeddings", True))


NEWEST: dict[str, Family] = {
    "glm5_next_text": glm5_next,
    "dots3_note_text": dots3_note,
    "axk2": axk2,
    "inkling2_text": inkling2,
    "muse_spark_text": muse_spark,
    "beam": beam,
    "qwen4_exp_text": qwen4_exp,
    "qwen3_8_flash_next_text": qwen4_exp,
    "gemma3n_text": gemma3n,
    "olmo_hybrid": olmo_hybrid,
    "flex_olmo": flex_olmo,
    "granitemoe_swa": granite_moe_windowed,
    "unlimited_ocr_text": unlimited_ocr,
    "zaya": zaya,
}
"""Readers of these families by `model_type`."""
