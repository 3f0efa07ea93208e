"""Dense and hybrid families that many people serve: what a configuration of each `model_type` means."""

from __future__ import annotations

from dataclasses import replace

from tonnage.model.architecture import Block, Ffn, Mixer
from tonnage.model.attention import Gqa
from tonnage.model.config import LARGEST, ConfigReader
from tonnage.model.families import Body, Family, biased, body, even_heads, gated, heads, llama, qwen2, uniform, windows
from tonnage.model.ffn import Dense
from tonnage.model.linear import SSD, Recurrent, StateRule
from tonnage.model.mixtures import exaone_windows, experts, normed, sparse
from tonnage.model.others import normed_together


def mimo(read: ConfigReader) -> Body:
    """MiMo-7B: as Qwen2, with layers for multi-token prediction."""
    made = qwen2(read)
    modules = read.whole("num_nextn_predict_layers", default=0, low=0, high=LARGEST["layers"])
    return replace(made, mtp=replace(made.layers[-1], count=modules) if modules else None)


def renamed(read: ConfigReader, **names: str) -> ConfigReader:
    """The configuration with keys of its own under the usual names."""
    known = {usual: read.config[own] for usual, own in names.items() if read.has(own) and not read.has(usual)}
    return ConfigReader({**read.config, **known}, read.problems, read.place, read.path)


def exaone(read: ConfigReader) -> Body:
    """EXAONE 3 and 3.5: as Llama, the number of layers under another name."""
    return llama(renamed(read, num_hidden_layers="num_layers"))


def exaone4(read: ConfigReader) -> Body:
    """EXAONE 4: norms after each part, normalised queries and keys, windows in the larger one."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    mixer, ffn = normed(heads(read)), gated(read, hidden)
    return body(read, [Block(1, replace(mixer, window=span), ffn) for span in exaone_windows(read, depth)], hidden)


def hunyuan_dense(read: ConfigReader) -> Body:
    """Hunyuan's dense models: as Llama, with a norm on each query and key head."""
    hidden, bias = read.whole("hidden_size"), read.flag("attention_bias")
    return uniform(read, hidden, normed(biased(heads(read), hidden, bias, bias)), gated(read, hidden))


def olmo(read: ConfigReader) -> Body:
    """OLMo: norms without parameters."""
    hidden, bias = read.whole("hidden_size"), read.flag("attention_bias")
    block = Block(1, biased(heads(read), hidden, bias, bias), gated(read, hidden), norm_vectors=0)
    return body(read, [block] * read.layers(), hidden, final_norm=0)


def olmo3(read: ConfigReader) -> Body:
    """OLMo 3: as OLMo 2, three windowed layers to one full."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    mixer, ffn = normed_together(read, hidden), gated(read, hidden)
    span = read.whole("sliding_window", default=4096, high=10**9)
    spans = windows(read, depth, span)
    if not read.has("layer_types"):
        spans = [0 if (layer + 1) % 4 == 0 else span for layer in range(depth)]
    return body(read, [Block(1, replace(mixer, window=each), ffn) for each in spans], hidden)


def apertus(read: ConfigReader) -> Body:
    """Apertus: no gate in the FFN, whose activation has two parameters; normalised queries and keys."""
    hidden, bias = read.whole("hidden_size"), read.flag("attention_bias")
    mixer = normed(biased(heads(read), hidden, bias, bias))
    return uniform(read, hidden, mixer, Dense(read.whole("intermediate_size"), gated=False, bias=(2, 0)))


def arcee(read: ConfigReader) -> Body:
    """Arcee: as Llama, squared ReLU without a gate."""
    hidden, bias = read.whole("hidden_size"), read.flag("attention_bias")
    size = read.whole("intermediate_size")
    held = (size, hidden) if read.flag("mlp_bias") else (0, 0)
    return uniform(read, hidden, biased(heads(read), hidden, bias, bias), Dense(size, gated=False, bias=held))


def cohere(read: ConfigReader) -> Body:
    """Command R: attention and FFN side by side behind one norm without bias, tied embeddings."""
    hidden, depth, bias = read.whole("hidden_size"), read.layers(), read.flag("attention_bias")
    mixer = biased(heads(read), hidden, bias, bias)
    if read.flag("use_qk_norm"):
        mixer = replace(mixer, norm=(mixer.heads + mixer.kv_heads) * mixer.dim)
    layers = [
        Block(1, replace(mixer, window=span), gated(read, hidden), norms=1) for span in _cohere_spans(read, depth)
    ]
    made = body(read, layers, hidden)
    return replace(made, tied=read.flag("tie_word_embeddings", True))


def _cohere_spans(read: ConfigReader, depth: int) -> list[int]:
    """Windows of Command R7B and A: three layers to one full; none in the first Command R."""
    if not read.has("sliding_window"):
        return [0] * depth
    span, every = read.whole("sliding_window", high=10**9), read.whole("sliding_window_pattern", default=4)
    if read.has("layer_types"):
        return windows(read, depth, span)
    return [0 if (layer + 1) % every == 0 else span for layer in range(depth)]


def phi(read: ConfigReader) -> Body:
    """Phi-1 and 2: biases everywhere, attention and FFN behind one LayerNorm."""
    hidden, size = read.whole("hidden_size"), read.whole("intermediate_size")
    mixer = biased(heads(read), hidden, True, True)
    block = Block(1, mixer, Dense(size, gated=False, bias=(size, hidden)), norms=1, norm_vectors=2)
    made = body(read, [block] * read.layers(), hidden, final_norm=2 * hidden)
    return replace(made, head_bias=made.vocab)


def starcoder2(read: ConfigReader) -> Body:
    """StarCoder2: LayerNorm, biases, plain FFN, tied embeddings."""
    hidden, size, bias = read.whole("hidden_size"), read.whole("intermediate_size"), read.flag("use_bias", True)
    dense = Dense(size, gated=False, bias=(size, hidden) if bias else (0, 0))
    window = read.whole("sliding_window", default=0, low=0, high=10**9)
    mixer = replace(biased(heads(read), hidden, bias, bias), window=window)
    made = body(read, [Block(1, mixer, dense, norm_vectors=2)] * read.layers(), hidden, final_norm=2 * hidden)
    return replace(made, tied=read.flag("tie_word_embeddings", True))


def stablelm(read: ConfigReader) -> Body:
    """StableLM: LayerNorm with biases, gated FFN."""
    hidden = read.whole("hidden_size")
    mixer = biased(heads(read), hidden, read.flag("use_qkv_bias"), False)
    norms = 1 if read.flag("use_parallel_residual") else 2
    block = Block(1, mixer, gated(read, hidden), norms=norms, norm_vectors=2)
    return body(read, [block] * read.layers(), hidden, final_norm=2 * hidden)


def glm(read: ConfigReader) -> Body:
    """GLM-4-9B as transformers has it: as Llama, biases on query, key and value."""
    hidden = read.whole("hidden_size")
    return uniform(
        read, hidden, biased(heads(read, 128), hidden, read.flag("attention_bias"), False), gated(read, hidden)
    )


def internlm(read: ConfigReader) -> Body:
    """InternLM 2 and 3: as Llama, one switch for biases."""
    hidden = read.whole("hidden_size")
    inputs = read.flag("qkv_bias") or read.flag("bias")
    return uniform(read, hidden, biased(heads(read), hidden, inputs, read.flag("bias")), gated(read, hidden))


def falcon_h1(read: ConfigReader) -> Body:
    """Falcon-H1: Mamba-2 and attention side by side in each layer, taken as two layers, the second with the FFN."""
    hidden = read.whole("hidden_size")
    bias = read.flag("attention_bias")
    attention = biased(heads(read), hidden, bias, bias)
    first = Block(1, mamba2(read, hidden), None, norms=1)
    second = Block(1, attention, gated(read, hidden), norms=1)
    return body(read, [first, second] * read.layers(), hidden)


def mamba2(read: ConfigReader, hidden: int) -> Recurrent:
    """Mamba-2 under the names of Bamba, Falcon-H1 and Granite."""
    expand = read.whole("mamba_expand", default=2, high=1000)
    count = read.whole("mamba_n_heads", high=LARGEST["heads"])
    inner = read.whole("mamba_d_ssm", default=expand * hidden)
    head = max(inner // count, 1)
    if read.config.get("mamba_d_head") != "auto":
        head = read.whole("mamba_d_head", default=head)
    groups, state = read.whole("mamba_n_groups", default=1), read.whole("mamba_d_state", default=128)
    width, conv = count * head, count * head + 2 * groups * state
    inputs = width + conv + count
    norm = width if read.flag("mamba_rms_norm", not read.has("mamba_d_ssm")) else 0
    biases = (inputs, hidden) if read.flag("mamba_proj_bias") else (0, 0)
    return Recurrent(
        rule=SSD,
        heads=count,
        key_heads=groups,
        key=state,
        value=max(head, 1),
        inputs=inputs,
        conv=conv,
        kernel=read.whole("mamba_d_conv", default=4),
        conv_bias=read.flag("mamba_conv_bias", True),
        gate=width,
        vectors=3 * count + norm,
        bias=biases,
    )


def granite_hybrid(read: ConfigReader) -> Body:
    """Granite 4: Mamba-2 and a few layers of attention, experts and a shared FFN, or that alone."""
    hidden, depth, bias = read.whole("hidden_size"), read.layers(), read.flag("attention_bias")
    kinds = read.kinds("layer_types", depth) or read.kinds("layers_block_type", depth)
    if kinds is None:
        read.wrong("layer_types", "is missing: which layers are mamba and which attention")
    attention = biased(heads(read), hidden, bias, bias)
    full = [kind in ("attention", "full_attention") for kind in kinds or ["attention"] * depth]
    linear = mamba2(read, hidden) if not all(full) else None
    shared = read.whole("shared_intermediate_size", default=0, low=0)
    ffn: Ffn = Dense(shared) if shared else gated(read, hidden)
    if read.whole("num_local_experts", default=0, low=0):
        ffn = experts(read, shared=shared, size=read.whole("intermediate_size"))
    return body(read, [Block(1, attention if whole else linear, ffn) for whole in full], hidden)


CONV = StateRule("short-conv", 0.0, 0.0, 0.0, 64)
"""LFM2's gated short convolution: its state is the last inputs, nothing is scanned."""


def lfm2(read: ConfigReader) -> Body:
    """LFM2: gated short convolutions and some layers of normalised attention; experts in the larger ones."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    kinds = read.kinds("layer_types", depth)
    chosen = read.numbers("full_attn_idxs")
    whole = [kind == "full_attention" for kind in kinds] if kinds else [layer in chosen for layer in range(depth)]
    conv = Recurrent(
        rule=CONV,
        heads=1,
        key_heads=0,
        key=0,
        value=hidden,
        inputs=3 * hidden,
        conv=hidden,
        kernel=read.whole("conv_L_cache", default=3),
        conv_bias=read.flag("conv_bias"),
        bias=(3 * hidden, hidden) if read.flag("conv_bias") else (0, 0),
    )
    mixers: list[Mixer] = [normed(heads(read)) if full else conv for full in whole]
    if read.has("num_experts"):
        made = sparse(read, mixers, experts(read, shared=0))
    else:
        ffn = Dense(_lfm2_width(read))
        made = body(read, [Block(1, mixer, ffn) for mixer in mixers], hidden)
    return replace(made, tied=read.flag("tie_word_embeddings", read.flag("tie_embedding", True)))


def _lfm2_width(read: ConfigReader) -> int:
    """Two thirds of the width that is given, rounded up (as Llama 1 had it)."""
    size = read.whole("intermediate_size", "block_ff_dim")
    if not read.flag("block_auto_adjust_ff_dim", True):
        return size
    factor = read.config.get("block_ffn_dim_multiplier", 1.0)
    size = int(2 * size / 3)
    if isinstance(factor, (int, float)) and 0 < factor < 100:
        size = int(factor * size)
    step = read.whole("block_multiple_of", default=256)
    return step * -(-size // step)


def nemotron_nas(read: ConfigReader) -> Body:
    """Llama-Nemotron from a search over blocks (DeciLM): each layer has its own attention or none, and FFN width."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    count = read.whole("num_attention_heads", high=LARGEST["heads"])
    blocks = read.listing("block_configs", depth) or []
    if not blocks:
        read.wrong("block_configs", "is missing: what each layer has")
    layers = []
    for number, entry in enumerate(blocks):
        if not isinstance(entry, dict):
            read.wrong("block_configs", f"layer {number}: expected its attention and ffn")
            continue
        own = ConfigReader(entry, read.problems, read.place, f"block_configs.{number}")
        layers.append(_nas_block(own, hidden, count))
    return body(read, layers or [Block(1, None, Dense(1))], hidden)


def _nas_block(read: ConfigReader, hidden: int, count: int) -> Block:
    attention, ffn = read.section("attention"), read.section("ffn")
    mixer, dense = None, None
    if attention is not None and not attention.flag("no_op") and not attention.flag("replace_with_linear"):
        group = attention.whole("n_heads_in_group", high=LARGEST["heads"])
        dim = even_heads(read, hidden, count)
        if count % group:
            attention.wrong("n_heads_in_group", f"{count} heads cannot be split into groups of {group}")
        mixer = Gqa(heads=count, kv_heads=max(count // group, 1), dim=dim, value=dim)
    if ffn is not None and not ffn.flag("no_op") and not ffn.flag("replace_with_linear"):
        factor = ffn.config.get("ffn_mult")
        width = ffn.whole("intermediate_size", default=0, low=0)
        if not width and isinstance(factor, (int, float)) and 0 < factor < 100:
            width = 256 * -(-int(2 * factor * hidden / 3) // 256)
        elif not width:
            ffn.wrong("ffn_mult", "expected how many times wider the FFN is")
        dense = Dense(max(width, 1))
    return Block(1, mixer, dense, norms=(mixer is not None) + (dense is not None))


SMALLER: dict[str, Family] = {
    "mimo": mimo,
    "exaone": exaone,
    "exaone4": exaone4,
    "hunyuan_v1_dense": hunyuan_dense,
    "olmo": olmo,
    "olmo3": olmo3,
    "apertus": apertus,
    "arcee": arcee,
    "cohere": cohere,
    "cohere2": cohere,
    "phi": phi,
    "starcoder2": starcoder2,
    "stablelm": stablelm,
    "glm": glm,
    "internlm2": internlm,
    "internlm3": internlm,
    "falcon_h1": falcon_h1,
    "granitemoehybrid": granite_hybrid,
    "lfm2": lfm2,
    "lfm2_moe": lfm2,
    "nemotron-nas": nemotron_nas,
    "yi": llama,
    "Yi": llama,
    "baichuan": llama,
    "aquila": llama,
    "internlm": llama,
    "ministral3": llama,
    "minicpm": llama,
    "cwm": llama,
    "qwen2_vl": qwen2,
    "qwen2_5_vl": qwen2,
    "qwen2_vl_text": qwen2,
    "qwen2_5_vl_text": qwen2,
}
"""Readers of these families by `model_type`."""
