"""Families of the year 2026 that are made of known parts: what a configuration of each `model_type` means.

Shapes as in transformers 5.23, which has a class for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tonnage.model.architecture import Block, Extra, Ffn, Mixer
from tonnage.model.attention import Gqa
from tonnage.model.config import LARGEST, ConfigReader
from tonnage.model.families import Body, Family, biased, body, deepseek_experts, gated, heads, latent, llama, windows
from tonnage.model.ffn import Dense
from tonnage.model.hybrids import gemma4
from tonnage.model.latent import Indexer, Mla
from tonnage.model.linear import Recurrent
from tonnage.model.mixtures import experts, normed, sparse
from tonnage.model.smaller import CONV


def spanned(read: ConfigReader, mixer: Gqa, usual: Sequence[bool]) -> list[Mixer]:
    """The attention of each layer: windows by `layer_types`, or in the layers that are usual (True) where it is not
    given.
    """
    size = read.whole("sliding_window", default=0, low=0, high=10**9)
    given = read.has("layer_types")
    spans = windows(read, len(usual), size) if given else [size if local else 0 for local in usual]
    return [replace(mixer, window=span) for span in spans]


def muse_glimmer(read: ConfigReader) -> Body:
    """Muse Glimmer: gated attention, three windowed layers to one full counted from the last, norms before and after
    each part, none on queries and keys that hold parameters.
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    mixer = heads(read)
    mixer = replace(mixer, gate=mixer.heads * mixer.dim, gate_apart=True)
    usual = [(depth - 1 - layer) % 4 != 0 for layer in range(depth)]
    return body(read, [Block(1, each, gated(read, hidden), norms=4) for each in spanned(read, mixer, usual)], hidden)


def mellum(read: ConfigReader) -> Body:
    """Mellum 2: normalised queries and keys, windows where listed, experts."""
    depth = read.layers()
    return sparse(read, spanned(read, normed(heads(read, 128)), [False] * depth), experts(read, shared=0))


def kolibri(read: ConfigReader) -> Body:
    """Kolibri 1: four windowed layers to one full, norms before and after each part, experts and a shared one."""
    depth = read.layers()
    mixers = spanned(read, normed(heads(read, 128)), [(layer + 1) % 5 != 0 for layer in range(depth)])
    shared = read.whole("shared_expert_intermediate_size", default=0, low=0)
    return sparse(read, mixers, experts(read, shared=shared), norms=4)


def flint(read: ConfigReader) -> Body:
    """Flint: sinks, normalised queries and keys, windows between full layers, first layers dense, experts."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    bias = read.flag("attention_bias")
    mixer = replace(normed(biased(heads(read, 128), hidden, bias, bias)), sinks=True)
    mixers = spanned(read, mixer, [layer > 1 and layer % 4 != 1 and layer != depth - 1 for layer in range(depth)])
    shared = read.whole("shared_expert_intermediate_size", default=0, low=0)
    moe, dense = experts(read, shared=shared), Dense(read.whole("intermediate_size"))
    plain = read.numbers("mlp_only_layers") if read.has("mlp_only_layers") else {0, 1}
    layers = [Block(1, each, dense if layer in plain else moe) for layer, each in enumerate(mixers)]
    return body(read, layers, hidden)


def granite_windowed(read: ConfigReader) -> Body:
    """Granite with windows: one full layer before three windowed ones, sinks, tied embeddings."""
    hidden, depth, bias = read.whole("hidden_size"), read.layers(), read.flag("attention_bias")
    mixer = replace(biased(heads(read), hidden, bias, bias), sinks=True)
    mixers = spanned(read, mixer, [layer % 4 != 0 for layer in range(depth)])
    made = body(read, [Block(1, each, gated(read, hidden)) for each in mixers], hidden)
    return replace(made, tied=read.flag("tie_word_embeddings", True))


def hyperclova(read: ConfigReader) -> Body:
    """HyperCLOVA X: as Llama, with norms after each part too."""
    made = llama(read)
    norms = 4 if read.flag("use_post_norm", True) else 2
    return replace(made, layers=tuple(replace(block, norms=norms) for block in made.layers))


def cohere_moe(read: ConfigReader) -> Body:
    """Command A's mixtures: attention and experts side by side behind one norm, three windowed layers to one full."""
    hidden, depth, bias = read.whole("hidden_size"), read.layers(), read.flag("attention_bias")
    first = read.whole("first_k_dense_replace", default=0, low=0, high=depth)
    every = read.whole("sliding_window_pattern", default=4, high=LARGEST["layers"])
    early = read.whole("prefix_dense_sliding_window_pattern", default=1, high=LARGEST["layers"])
    usual = [(layer + 1) % early != 0 for layer in range(first)]
    usual += [(layer + 1) % every != 0 for layer in range(depth - first)]
    mixers = spanned(read, biased(heads(read, 128), hidden, bias, bias), usual)
    size, wide = read.whole("intermediate_size"), read.whole("prefix_dense_intermediate_size", default=0, low=0)
    moe = experts(read, shared=size * read.whole("num_shared_experts", default=0, low=0), size=size)
    kinds = read.kinds("mlp_layer_types", depth)
    routed = [kind == "sparse" for kind in kinds] if kinds else [layer >= first for layer in range(depth)]
    ffns: list[Ffn] = [moe if chosen else Dense(wide or size) for chosen in routed]
    layers = [Block(1, mixer, ffn, norms=1) for mixer, ffn in zip(mixers, ffns, strict=True)]
    return replace(body(read, layers, hidden), tied=read.flag("tie_word_embeddings", True))


def lfm3(read: ConfigReader) -> Body:
    """LFM3: gated short convolutions, full and windowed attention with a gate a head, norms before and after."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    kinds = read.kinds("layer_types", depth)
    if kinds is None:
        kinds = ["full_attention" if i % 4 == 2 else "conv" if i % 4 or not i else "" for i in range(depth)]
    bias, size = read.flag("attention_bias"), read.whole("sliding_window", default=256, high=10**9)
    mixer = normed(biased(heads(read), hidden, bias, bias))
    mixer = replace(mixer, gate=mixer.heads if read.flag("use_attention_gate", True) else 0)
    conv = Recurrent(
        rule=CONV,
        heads=1,
        key_heads=0,
        key=0,
        value=hidden,
        inputs=3 * hidden,
        conv=hidden,
        kernel=read.whole("conv_L_cache", default=7),
        conv_bias=read.flag("conv_bias"),
        bias=(3 * hidden, hidden) if read.flag("conv_bias") else (0, 0),
    )
    full: dict[str, Mixer] = {"conv": conv, "full_attention": mixer}
    norms = 4 if read.flag("use_sandwich_norm", True) else 2
    ffn = Dense(read.whole("intermediate_size"))
    layers = [Block(1, full.get(str(kind), replace(mixer, window=size)), ffn, norms=norms) for kind in kinds]
    return replace(body(read, layers, hidden), tied=read.flag("tie_word_embeddings", True))


def ernie_vl(read: ConfigReader) -> Body:
    """ERNIE 4.5 VL's text part: experts of its own for text; those for images are counted with the tower."""
    hidden, depth, bias = read.whole("hidden_size"), read.layers(), read.flag("use_bias")
    sizes = read.listing("moe_intermediate_size") or [1536]
    text = ConfigReader({"size": sizes[0]}, read.problems, read.place, read.path).whole("size")
    counts = read.config.get("moe_num_experts")
    total = counts[0] if isinstance(counts, (list, tuple)) and counts else counts
    own = ConfigReader({**read.config, "moe_num_experts": total}, read.problems, read.place, read.path)
    shared = text * read.whole("moe_num_shared_experts", default=0, low=0)
    moe = experts(own, shared=shared, size=text, router_bias=1)
    dense = Dense(read.whole("intermediate_size"))
    kinds = read.kinds("mlp_layer_types", depth)
    routed = [kind == "sparse" for kind in kinds] if kinds else [layer > 0 for layer in range(depth)]
    mixer = biased(heads(read), hidden, bias, bias)
    made = body(read, [Block(1, mixer, moe if chosen else dense) for chosen in routed], hidden)
    return replace(made, tied=read.flag("tie_word_embeddings", True))


def axk1(read: ConfigReader) -> Body:
    """A.X K1: latent attention as DeepSeek-V3, experts with a norm of their own after them."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    kinds = read.kinds("mlp_layer_types", depth)
    first = read.whole("first_k_dense_replace", default=1, low=0, high=depth)
    routed = [kind == "sparse" for kind in kinds] if kinds else [layer >= first for layer in range(depth)]
    mixer, moe = latent(read, hidden), deepseek_experts(read)
    dense = Dense(read.whole("intermediate_size"))
    layers = [Block(1, mixer, moe, norms=3) if chosen else Block(1, mixer, dense) for chosen in routed]
    return body(read, layers, hidden)


def _indexers(read: ConfigReader, mixer: Mla, depth: int, shared: Sequence[bool]) -> list[Mla]:
    """Latent attention of each layer with an indexer, its own or an earlier one's (True) unless the file says it."""
    indexer = Indexer(
        heads=read.whole("index_n_heads", high=LARGEST["heads"]),
        dim=read.whole("index_head_dim"),
        topk=read.whole("index_topk"),
    )
    kinds = read.kinds("indexer_types", depth)
    borrowed = [kind == "shared" for kind in kinds] if kinds else list(shared)
    return [replace(mixer, indexer=replace(indexer, shared=each)) for each in borrowed]


def mistral_large4(read: ConfigReader) -> Body:
    """Mistral Large 4: sparse latent attention from the residual itself, every fourth layer without positions, learned
    scales of the scores.
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    mixers = _indexers(read, latent(read, hidden), depth, [False] * depth)
    placed = read.listing("no_rope_layers", depth) or [(layer + 1) % 4 != 0 for layer in range(depth)]
    sources = read.listing("kv_source_layers", depth) or list(range(depth))
    if sources != list(range(depth)):
        read.wrong("kv_source_layers", "layers that use the latent of another are not read")
    moe, dense = deepseek_experts(read), Dense(read.whole("intermediate_size"))
    first = read.whole("first_k_dense_replace", default=1, low=0, high=depth)
    kinds = read.kinds("mlp_layer_types", depth)
    routed = [kind == "sparse" for kind in kinds] if kinds else [layer >= first for layer in range(depth)]
    layers = []
    for mixer, rotary, chosen in zip(mixers, placed, routed, strict=True):
        own = mixer if rotary else replace(mixer, rope=0, nope=mixer.nope + mixer.rope)
        scales = (Extra("score_scales", 2 * hidden + 2 * (mixer.heads + _index_heads(mixer)), stream=4 * hidden),)
        layers.append(Block(1, own, moe if chosen else dense, extras=scales))
    return body(read, layers, hidden)


def _index_heads(mixer: Mla) -> int:
    return mixer.indexer.heads if mixer.indexer is not None else 0


def hy_v4(read: ConfigReader) -> Body:
    """Hunyuan 4: gated sparse latent attention with sinks, several residual streams that are not mixed, experts."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    mixer = latent(read, hidden)
    mixer = replace(mixer, gate=mixer.heads * mixer.value)
    shared = [layer > 0 and (layer - 1) % 4 != 0 for layer in range(depth)]
    mixers = _indexers(read, mixer, depth, shared)
    streams = read.whole("hc_mult", default=4, high=64)
    wide = streams * hidden
    weight = 2 * streams * wide + 2 * streams + 2
    extras = tuple(Extra(f"{name}_streams", weight, n=2 * streams, k=wide, saved=wide) for name in ("attention", "ffn"))
    extras = (*extras, Extra("sinks", mixer.heads))
    kinds = read.kinds("mlp_layer_types", depth)
    routed = [kind == "sparse" for kind in kinds] if kinds else [layer > 0 for layer in range(depth)]
    moe, dense = deepseek_experts(read), Dense(read.whole("intermediate_size"))
    layers = [
        Block(1, each, moe if chosen else dense, extras=extras) for each, chosen in zip(mixers, routed, strict=True)
    ]
    collapse = Extra("stream_collapse", streams * wide + streams + 1, n=streams, k=wide, saved=wide)
    return body(read, layers, hidden, final_extras=(collapse,))


LATEST: dict[str, Family] = {
    "muse_glimmer_text": muse_glimmer,
    "mellum": mellum,
    "kolibri1": kolibri,
    "flint": flint,
    "granite_swa": granite_windowed,
    "hyperclovax": hyperclova,
    "cohere2_moe": cohere_moe,
    "lfm3": lfm3,
    "ernie4_5_vl_moe_text": ernie_vl,
    "axk1": axk1,
    "mistral_large4_text": mistral_large4,
    "hy_v4": hy_v4,
    "gemma4_unified_text": gemma4,
    "iquestcoder": llama,
}
"""Readers of these families by `model_type`."""
