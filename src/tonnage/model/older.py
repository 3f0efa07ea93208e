"""Families that engines still load, and those whose makers' own code names their sizes otherwise: what a configuration
of each `model_type` means.
"""

from __future__ import annotations

from dataclasses import replace

from tonnage.model.architecture import Block, Extra, Ffn, Mixer
from tonnage.model.attention import Gqa
from tonnage.model.config import LARGEST, ConfigReader
from tonnage.model.families import Body, Family, biased, body, even_heads, first_dense, gated, heads, latent, llama
from tonnage.model.ffn import Dense, Moe
from tonnage.model.hybrids import state_space
from tonnage.model.latest import spanned
from tonnage.model.linear import Recurrent, StateRule
from tonnage.model.mixtures import experts, normed, sparse
from tonnage.model.smaller import mamba2, renamed

SELECTIVE = StateRule("mamba", 6.0, 0.0, 0.0, 1)
"""Selective scan (Mamba, arXiv 2312.00752): the state decayed, written and read by every token."""


def selective(hidden: int, inner: int, state: int, kernel: int, bias: bool, more: int) -> Recurrent:
    """Mamba's mixer: each channel has a state of its own; more: elements of further vectors."""
    return Recurrent(
        rule=SELECTIVE,
        heads=inner,
        key_heads=1,
        key=state,
        value=1,
        inputs=2 * inner,
        conv=inner,
        kernel=kernel,
        conv_bias=True,
        gate=inner,
        vectors=inner * state + inner + more,
        bias=(2 * inner, hidden) if bias else (0, 0),
    )


def _through_rank(inner: int, rank: int, state: int) -> Extra:
    """Step size, input and output of a state made from its channel: two projections through a small rank."""
    wide = rank + 2 * state
    return Extra("state_proj", inner * wide + (rank + 1) * inner, n=wide + rank, k=inner)


def mamba(read: ConfigReader) -> Body:
    """Mamba and Falcon Mamba: a selective scan and nothing else in each layer."""
    hidden = read.whole("hidden_size", "d_model")
    inner = read.whole("intermediate_size", default=hidden * read.whole("expand", default=2, high=1000))
    state, rank = read.whole("state_size", default=16), read.whole("time_step_rank", default=-(-hidden // 16))
    mixer = selective(hidden, inner, state, read.whole("conv_kernel", default=4), read.flag("use_bias"), 0)
    block = Block(1, mixer, None, norms=1, extras=(_through_rank(inner, rank, state),))
    made = body(read, [block] * read.layers("num_hidden_layers", "n_layer"), hidden)
    return replace(made, tied=read.flag("tie_word_embeddings", True))


def mamba_2(read: ConfigReader) -> Body:
    """Mamba-2 and nothing else in each layer."""
    own = renamed(read, mamba_num_heads="num_heads", mamba_head_dim="head_dim", ssm_state_size="state_size")
    hidden = read.whole("hidden_size")
    return body(read, [Block(1, state_space(own, hidden), None, norms=1)] * read.layers(), hidden)


def jamba(read: ConfigReader) -> Body:
    """Jamba: one layer of attention to seven of Mamba, experts in every other FFN."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    inner = hidden * read.whole("mamba_expand", default=2, high=1000)
    state, rank = read.whole("mamba_d_state", default=16), read.whole("mamba_dt_rank", default=-(-hidden // 16))
    kernel = read.whole("mamba_d_conv", default=4)
    linear = selective(hidden, inner, state, kernel, read.flag("mamba_proj_bias"), rank + 2 * state)
    every, offset = read.whole("attn_layer_period", default=8), read.whole("attn_layer_offset", default=4, low=0)
    routed, first = read.whole("expert_layer_period", default=2), read.whole("expert_layer_offset", default=1, low=0)
    size = read.whole("intermediate_size")
    count = read.whole("num_experts", default=16, high=LARGEST["experts"])
    moe: Ffn = experts(read, shared=0, size=size) if count > 1 else Dense(size)
    extra, attention, dense = (_through_rank(inner, rank, state),), heads(read), Dense(size)
    layers = []
    for layer in range(depth):
        full = layer % every == offset
        ffn = moe if layer % routed == first else dense
        layers.append(Block(1, attention if full else linear, ffn, extras=() if full else extra))
    return body(read, layers, hidden)


def bamba(read: ConfigReader) -> Body:
    """Bamba: Mamba-2, and attention in the layers that are listed."""
    hidden, depth, bias = read.whole("hidden_size"), read.layers(), read.flag("attention_bias")
    full = read.numbers("attn_layer_indices")
    attention, ffn = biased(heads(read), hidden, bias, bias), gated(read, hidden)
    linear = mamba2(read, hidden)
    return body(read, [Block(1, attention if layer in full else linear, ffn) for layer in range(depth)], hidden)


def falcon(read: ConfigReader) -> Body:
    """Falcon: attention and a plain FFN side by side, one or a few key-value heads, LayerNorm, tied embeddings."""
    hidden, bias = read.whole("hidden_size"), read.flag("bias")
    count = read.whole("num_attention_heads", "n_head", high=LARGEST["heads"])
    new = read.flag("new_decoder_architecture") or read.has("n_head_kv")
    kv_heads = read.whole("num_kv_heads", "n_head_kv", default=count, high=LARGEST["heads"]) if new else count
    kv_heads = 1 if not new and read.flag("multi_query", True) else kv_heads
    dim = even_heads(read, hidden, count)
    mixer = biased(Gqa(heads=count, kv_heads=kv_heads, dim=dim, value=dim), hidden, bias, bias)
    size = read.whole("ffn_hidden_size", default=4 * hidden)
    dense = Dense(size, gated=False, bias=(size, hidden) if bias else (0, 0))
    norms = 2 if not read.flag("parallel_attn", True) else read.whole("num_ln_in_parallel_attn", default=1 + new)
    block = Block(1, mixer, dense, norms=norms, norm_vectors=2)
    made = body(read, [block] * read.layers("num_hidden_layers", "n_layer"), hidden, final_norm=2 * hidden)
    return replace(made, tied=read.flag("tie_word_embeddings", True))


def _plain(read: ConfigReader, hidden: int, mixer: Gqa, size: int, depth: int, **more: object) -> Body:
    """LayerNorm, attention and a plain FFN with biases."""
    block = Block(1, mixer, Dense(size, gated=False, bias=(size, hidden)), norm_vectors=2)
    made = body(read, [block] * depth, hidden, final_norm=2 * hidden, **more)
    return replace(made, tied=read.flag("tie_word_embeddings", True))


def _multi_head(read: ConfigReader, hidden: int, count: int, key: str, kv_heads: int = 0) -> Gqa:
    dim = even_heads(read, hidden, count, key)
    return Gqa(heads=count, kv_heads=kv_heads or count, dim=dim, value=dim)


def opt(read: ConfigReader) -> Body:
    """OPT: learned positions, biases everywhere."""
    hidden, narrow = read.whole("hidden_size"), read.whole("word_embed_proj_dim", default=0, low=0)
    positions = read.whole("max_position_embeddings", default=2048, high=10**9)
    count = read.whole("num_attention_heads", high=LARGEST["heads"])
    mixer = biased(_multi_head(read, hidden, count, "hidden_size"), hidden, True, True)
    tables = (("positions", (positions + 2) * hidden),)
    made = _plain(read, hidden, mixer, read.whole("ffn_dim"), read.layers(), embeddings=tables)
    if not narrow or narrow == hidden:
        return made
    spare = 2 * narrow * hidden - made.vocab * (hidden - narrow)  # a narrower table, and a matrix on either side
    return replace(made, embeddings=(*made.embeddings, ("narrow_table", spare)), final_norm=0)


def bloom(read: ConfigReader) -> Body:
    """BLOOM: a norm behind the embedding, biases everywhere."""
    hidden = read.whole("hidden_size", "n_embed")
    count = read.whole("n_head", "num_attention_heads", high=LARGEST["heads"])
    mixer = biased(_multi_head(read, hidden, count, "hidden_size"), hidden, True, True)
    depth = read.layers("n_layer", "num_hidden_layers")
    return _plain(read, hidden, mixer, 4 * hidden, depth, embeddings=(("embedding_norm", 2 * hidden),))


def mpt(read: ConfigReader) -> Body:
    """MPT: LayerNorm without biases, plain FFN, positions by ALiBi."""
    hidden, count = read.whole("d_model"), read.whole("n_heads", high=LARGEST["heads"])
    attention = read.section("attn_config") or read
    kv_heads = attention.whole("kv_n_heads", default=count, high=LARGEST["heads"])
    mixer = _multi_head(read, hidden, count, "d_model", kv_heads)
    size = hidden * read.whole("expansion_ratio", default=4, high=1000)
    made = body(read, [Block(1, mixer, Dense(size, gated=False))] * read.layers("n_layers"), hidden)
    return replace(made, tied=read.flag("tie_word_embeddings", True))


def gptj(read: ConfigReader) -> Body:
    """GPT-J: attention without biases and an FFN with them, side by side behind one norm."""
    hidden, count = read.whole("n_embd", "hidden_size"), read.whole("n_head", "num_attention_heads")
    size = read.whole("n_inner", default=4 * hidden)
    mixer = _multi_head(read, hidden, count, "n_embd")
    block = Block(1, mixer, Dense(size, gated=False, bias=(size, hidden)), norms=1, norm_vectors=2)
    made = body(read, [block] * read.layers("n_layer", "num_hidden_layers"), hidden, final_norm=2 * hidden)
    return replace(made, head_bias=made.vocab)


def gpt_bigcode(read: ConfigReader) -> Body:
    """StarCoder: one key-value head, learned positions, biases everywhere."""
    hidden, count = read.whole("n_embd", "hidden_size"), read.whole("n_head", "num_attention_heads")
    positions = read.whole("n_positions", "max_position_embeddings", default=1024, high=10**9)
    kv_heads = 1 if read.flag("multi_query", True) else count
    mixer = biased(_multi_head(read, hidden, count, "n_embd", kv_heads), hidden, True, True)
    size = read.whole("n_inner", default=4 * hidden)
    tables = (("positions", positions * hidden),)
    return _plain(read, hidden, mixer, size, read.layers("n_layer", "num_hidden_layers"), embeddings=tables)


def gpt_neo(read: ConfigReader) -> Body:
    """GPT-Neo: every other layer windowed, learned positions, a bias on the attention's output alone."""
    hidden, count = read.whole("hidden_size"), read.whole("num_heads", "num_attention_heads")
    depth, span = read.layers("num_layers", "num_hidden_layers"), read.whole("window_size", default=256, high=10**9)
    mixer = biased(_multi_head(read, hidden, count, "hidden_size"), hidden, False, True)
    size = read.whole("intermediate_size", default=4 * hidden)
    positions = read.whole("max_position_embeddings", default=2048, high=10**9)
    dense = Dense(size, gated=False, bias=(size, hidden))
    kinds = read.listing("attention_layers", depth) or ["local" if layer % 2 else "global" for layer in range(depth)]
    layers = [Block(1, replace(mixer, window=span if kind == "local" else 0), dense, norm_vectors=2) for kind in kinds]
    made = body(read, layers, hidden, final_norm=2 * hidden, embeddings=(("positions", positions * hidden),))
    return replace(made, tied=read.flag("tie_word_embeddings", True))


def persimmon(read: ConfigReader) -> Body:
    """Persimmon and Fuyu: LayerNorm, queries and keys too, biases, squared ReLU."""
    hidden, size = read.whole("hidden_size"), read.whole("intermediate_size")
    mixer = biased(heads(read), hidden, True, True)
    mixer = replace(mixer, norm=4 * mixer.dim if read.flag("qk_layernorm", True) else 0)
    block = Block(1, mixer, Dense(size, gated=False, bias=(size, hidden)), norm_vectors=2)
    return body(read, [block] * read.layers(), hidden, final_norm=2 * hidden)


def jais2(read: ConfigReader) -> Body:
    """Jais 2: LayerNorm, squared ReLU without a gate, biases."""
    hidden, bias = read.whole("hidden_size"), read.flag("attention_bias", True)
    size = read.whole("intermediate_size")
    held = (size, hidden) if read.flag("mlp_bias", True) else (0, 0)
    block = Block(1, biased(heads(read), hidden, bias, bias), Dense(size, gated=False, bias=held), norm_vectors=2)
    return body(read, [block] * read.layers(), hidden, final_norm=2 * hidden)


def orion(read: ConfigReader) -> Body:
    """Orion: as Llama with LayerNorm."""
    made = llama(read)
    layers = tuple(replace(block, norm_vectors=2) for block in made.layers)
    return replace(made, layers=layers, final_norm=2 * made.hidden)


def nanochat(read: ConfigReader) -> Body:
    """nanochat: norms without parameters, squared ReLU without a gate."""
    hidden, bias = read.whole("hidden_size"), read.flag("attention_bias")
    dense = Dense(read.whole("intermediate_size"), gated=False)
    block = Block(1, biased(heads(read), hidden, bias, bias), dense, norm_vectors=0)
    return body(read, [block] * read.layers(), hidden, final_norm=0)


def ungated(read: ConfigReader) -> Body:
    """As Llama, squared ReLU without a gate (Cosmos 3 Edge)."""
    hidden, bias = read.whole("hidden_size"), read.flag("attention_bias")
    dense = Dense(read.whole("intermediate_size"), gated=False)
    return body(read, [Block(1, biased(heads(read), hidden, bias, bias), dense)] * read.layers(), hidden)


def bitnet(read: ConfigReader) -> Body:
    """BitNet: as Llama, with norms inside attention and FFN."""
    hidden, size, bias = read.whole("hidden_size"), read.whole("intermediate_size"), read.flag("attention_bias")
    inner = Extra("inner_norms", hidden + size, stream=2 * (hidden + size))
    block = Block(1, biased(heads(read), hidden, bias, bias), Dense(size), extras=(inner,))
    return body(read, [block] * read.layers(), hidden)


def vaultgemma(read: ConfigReader) -> Body:
    """VaultGemma: as Gemma 2 without norms after each part."""
    hidden, depth, bias = read.whole("hidden_size"), read.layers(), read.flag("attention_bias")
    mixers = spanned(read, biased(heads(read, 256), hidden, bias, bias), [layer % 2 == 0 for layer in range(depth)])
    made = body(read, [Block(1, mixer, gated(read, hidden)) for mixer in mixers], hidden)
    return replace(made, tied=read.flag("tie_word_embeddings", True))


def mllama(read: ConfigReader) -> Body:
    """Llama 3.2 Vision's text part: as Llama, layers between that look at an image and that text alone passes by."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    crossing = read.numbers("cross_attention_layers")
    mixer, ffn = heads(read), gated(read, hidden)
    held = 2 * hidden * mixer.dim * (mixer.heads + mixer.kv_heads) + 2 * mixer.dim + 2
    cross = Block(1, None, ffn, extras=(Extra("cross_attention", held),))
    layers = [cross if layer in crossing else Block(1, mixer, ffn) for layer in range(depth)]
    return body(read, layers, hidden, embeddings=(("image_tokens", 8 * hidden),))


def dbrx(read: ConfigReader) -> Body:
    """DBRX: LayerNorm without biases, every FFN with experts."""
    hidden, count = read.whole("d_model", "hidden_size"), read.whole("n_heads", high=LARGEST["heads"])
    attention, ffn = read.section("attn_config") or read, read.section("ffn_config") or read
    mixer = _multi_head(read, hidden, count, "d_model", attention.whole("kv_n_heads", default=8))
    own = renamed(ffn, moe_intermediate_size="ffn_hidden_size")
    block = Block(1, mixer, experts(own, shared=0))
    return body(read, [block] * read.layers("n_layers", "num_hidden_layers"), hidden)


def aria(read: ConfigReader) -> Body:
    """Aria's text part: as Llama, every FFN with experts and shared ones."""
    hidden, bias, size = read.whole("hidden_size"), read.flag("attention_bias"), read.whole("intermediate_size")
    shared = size * read.whole("moe_num_shared_experts", default=2, low=0)
    block = Block(1, biased(heads(read), hidden, bias, bias), experts(read, shared=shared, size=size))
    return body(read, [block] * read.layers(), hidden)


def molmo2(read: ConfigReader) -> Body:
    """Molmo 2's text part: as Qwen3, with rows of the embedding for images."""
    hidden, bias = read.whole("hidden_size"), read.flag("attention_bias")
    mixer = biased(heads(read), hidden, bias, bias)
    mixer = normed(mixer) if read.text("qk_norm_type", "qwen3") == "qwen3" else mixer
    rows = read.whole("additional_vocab_size", default=128, low=0)
    block = Block(1, mixer, gated(read, hidden))
    return body(read, [block] * read.layers(), hidden, embeddings=(("image_tokens", rows * hidden),))


def voxtral_realtime(read: ConfigReader) -> Body:
    """Voxtral Realtime's text part: as Llama, norms that depend on the delay."""
    made = llama(read)
    delay = Extra("delay_norm", 2 * 32 * made.hidden, n=32, k=2 * made.hidden)
    layers = tuple(replace(block, extras=(delay,)) for block in made.layers)
    return replace(made, layers=layers, tied=read.flag("tie_word_embeddings", True))


def chatglm(read: ConfigReader) -> Body:
    """ChatGLM 2 and 3, GLM-4-9B in its makers' code: as Llama, few key-value heads, biases on queries, keys, values."""
    hidden, count = read.whole("hidden_size"), read.whole("num_attention_heads", high=LARGEST["heads"])
    kv_heads = read.whole("multi_query_group_num", default=count) if read.flag("multi_query_attention") else count
    dim = read.whole("kv_channels", default=even_heads(read, hidden, count), high=LARGEST["heads"])
    bias = read.flag("add_bias_linear")
    mixer = Gqa(heads=count, kv_heads=kv_heads, dim=dim, value=dim)
    mixer = biased(mixer, hidden, bias or read.flag("add_qkv_bias"), bias)
    own = renamed(read, vocab_size="padded_vocab_size")
    block = Block(1, mixer, Dense(read.whole("ffn_hidden_size")))
    return body(own, [block] * read.layers("num_layers", "num_hidden_layers"), hidden)


def qwen_1(read: ConfigReader) -> Body:
    """The first Qwen: as Llama, biases on queries, keys and values; the width that is given is that of both halves."""
    hidden, count = read.whole("hidden_size"), read.whole("num_attention_heads", high=LARGEST["heads"])
    dim = read.whole("kv_channels", default=even_heads(read, hidden, count), high=LARGEST["heads"])
    mixer = biased(Gqa(heads=count, kv_heads=count, dim=dim, value=dim), hidden, True, False)
    block = Block(1, mixer, Dense(max(read.whole("intermediate_size") // 2, 1)))
    return body(read, [block] * read.layers(), hidden)


def step_3(read: ConfigReader) -> Body:
    """Step3 (arXiv 2507.19427): queries of 64 heads through a shared rank, one key-value head, first layers and the
    last dense, experts with a shared one.
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    count, dim = read.whole("num_attention_heads", default=64), read.whole("head_dim", default=256)
    groups = read.whole("num_attention_groups", default=1, high=LARGEST["heads"])
    rank = read.whole("share_q_dim", default=2048)
    mixer = Gqa(heads=count, kv_heads=groups, dim=dim, value=dim, norm=rank, low_rank=rank)
    listed = read.config.get("moe_layers_enum")
    chosen = set(listed) if isinstance(listed, (list, tuple)) else set()
    if isinstance(listed, str):
        chosen = {int(word) for word in listed.split(",") if word.strip().isdigit()}
    chosen = chosen or set(range(4, depth - 1))
    moe = experts(read, shared=read.whole("share_expert_dim", default=0, low=0))
    dense = Dense(read.whole("intermediate_size"))
    return body(read, [Block(1, mixer, moe if layer in chosen else dense) for layer in range(depth)], hidden)


def pangu_ultra(read: ConfigReader) -> Body:
    """Pangu Ultra MoE (openPangu): as DeepSeek-V3, with norms after each part too."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    own = renamed(
        read,
        kv_lora_rank="attention_kv_lora_dim",
        q_lora_rank="attention_q_lora_dim",
        qk_nope_head_dim="attention_qk_dim",
        qk_rope_head_dim="attention_qk_rope_dim",
        v_head_dim="attention_v_dim",
        n_routed_experts="num_routed_experts",
        n_shared_experts="num_shared_experts",
        first_k_dense_replace="num_dense_layers",
        num_nextn_predict_layers="num_mtp_layers",
    )
    made = first_dense(own, hidden, depth, [latent(own, hidden)] * depth, tables=True)
    norms = 4 if read.flag("sandwich_norm", True) else 2
    return replace(made, layers=tuple(replace(block, norms=norms) for block in made.layers))


def pangu_dense(read: ConfigReader) -> Body:
    """Pangu's dense models: as Llama, one switch for the biases of attention."""
    hidden, bias = read.whole("hidden_size"), read.flag("bias", read.flag("attention_bias"))
    block = Block(1, biased(heads(read), hidden, bias, bias), gated(read, hidden))
    return body(read, [block] * read.layers(), hidden)


def sarvam_mla(read: ConfigReader) -> Body:
    """Sarvam's latent mixtures: as DeepSeek-V3, experts under Qwen's names."""
    hidden = read.whole("hidden_size")
    mixers: list[Mixer] = [latent(read, hidden)] * read.layers()
    size = read.whole("moe_shared_expert_intermediate_size", default=0, low=0)
    return sparse(read, mixers, experts(read, shared=size * read.whole("num_shared_experts", default=1, low=0)))


def grok_1(read: ConfigReader) -> Body:
    """Grok-1: norms before and after each part, every FFN with experts."""
    hidden = read.whole("hidden_size")
    moe = Moe(
        experts=read.whole("num_local_experts", "num_experts", default=8, high=LARGEST["experts"]),
        top_k=read.whole("num_experts_per_tok", "num_selected_experts", default=2),
        size=read.whole("moe_intermediate_size", "intermediate_size"),
    )
    made = body(read, [Block(1, heads(read), moe, norms=4)] * read.layers(), hidden)
    return replace(made, tied=read.flag("tie_word_embeddings", True))


OLDER: dict[str, Family] = {
    "mamba": mamba,
    "falcon_mamba": mamba,
    "mamba2": mamba_2,
    "jamba": jamba,
    "bamba": bamba,
    "falcon": falcon,
    "RefinedWeb": falcon,
    "RefinedWebModel": falcon,
    "opt": opt,
    "bloom": bloom,
    "mpt": mpt,
    "gptj": gptj,
    "gpt_bigcode": gpt_bigcode,
    "gpt_neo": gpt_neo,
    "persimmon": persimmon,
    "jais2": jais2,
    "orion": orion,
    "nanochat": nanochat,
    "cosmos3_edge_text": ungated,
    "bitnet": bitnet,
    "vaultgemma": vaultgemma,
    "mllama_text_model": mllama,
    "dbrx": dbrx,
    "aria_text": aria,
    "molmo2_text": molmo2,
    "voxtral_realtime_text": voxtral_realtime,
    "chatglm": chatglm,
    "qwen": qwen_1,
    "step3_text": step_3,
    "pangu_ultra_moe": pangu_ultra,
    "openpangu_ultra_moe": pangu_ultra,
    "PanguEmbedded": pangu_dense,
    "sarvam_mla": sarvam_mla,
    "grok-1": grok_1,
    "helium": llama,
    "granite_docling_text": llama,
}
"""Readers of these families by `model_type`."""
