"""Families beyond those of the bundled models: what a configuration of each `model_type` means."""

from __future__ import annotations

from dataclasses import replace

from tonnage.model.architecture import Block, Ffn
from tonnage.model.attention import Gqa
from tonnage.model.config import LARGEST, ConfigReader
from tonnage.model.families import (
    Body,
    Family,
    biased,
    body,
    first_dense,
    gated,
    heads,
    llama,
    qwen3,
    qwen3_moe,
    qwen_experts,
    top_k,
    uniform,
    windows,
)
from tonnage.model.ffn import Dense, Moe


def qwen2_moe(read: ConfigReader) -> Body:
    """Qwen1.5 and Qwen2 mixtures of experts: biases on query, key and value, a gated shared expert."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    step, plain = read.whole("decoder_sparse_step", default=1), read.numbers("mlp_only_layers")
    mixer, moe = biased(heads(read), hidden, read.flag("qkv_bias", True), False), qwen_experts(read)
    sparse = [layer not in plain and (layer + 1) % step == 0 for layer in range(depth)]
    dense: Ffn = moe if all(sparse) else gated(read, hidden)
    return body(read, [Block(1, mixer, moe if routed else dense) for routed in sparse], hidden)


def gemma2(read: ConfigReader) -> Body:
    """Gemma 2: every other layer windowed, norms before and after each part."""
    return _sandwiched(read, normed=False, every=2)


def gemma3(read: ConfigReader) -> Body:
    """Gemma 3's text part: five windowed layers to one full, queries and keys normalised."""
    return _sandwiched(read, normed=True, every=read.whole("sliding_window_pattern", default=6))


def _sandwiched(read: ConfigReader, normed: bool, every: int) -> Body:
    """Gemma 2 and 3: norms before and after each part, every so many layers full attention, the others windowed."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    bias = read.flag("attention_bias")
    mixer = biased(heads(read, 256), hidden, bias, bias)
    mixer = replace(mixer, norm=2 * mixer.dim if normed else 0)
    span = read.whole("sliding_window", default=4096, high=10**9)
    spans = windows(read, depth, span)
    if not read.has("layer_types"):
        spans = [0 if (layer + 1) % every == 0 else span for layer in range(depth)]
    ffn = gated(read, hidden)
    layers = [Block(1, replace(mixer, window=each), ffn, norms=4) for each in spans]
    made = body(read, layers, hidden)
    # Gemma 3's limit is the stretched one: engines leave its factor out
    return replace(made, tied=read.flag("tie_word_embeddings", True), context=made.native_context)


def olmo2(read: ConfigReader) -> Body:
    """OLMo 2: norms after each part, query and key normalised over all heads together."""
    hidden = read.whole("hidden_size")
    return uniform(read, hidden, normed_together(read, hidden), gated(read, hidden))


def olmoe(read: ConfigReader) -> Body:
    """OLMoE: as OLMo 2, every FFN a mixture of experts."""
    hidden = read.whole("hidden_size")
    experts = read.whole("num_experts", "num_local_experts", high=LARGEST["experts"])
    moe = Moe(experts=experts, top_k=top_k(read), size=read.whole("intermediate_size"))
    return uniform(read, hidden, normed_together(read, hidden), moe)


def normed_together(read: ConfigReader, hidden: int) -> Gqa:
    """Attention whose queries and keys are normalised over all heads together."""
    bias = read.flag("attention_bias")
    mixer = biased(heads(read), hidden, bias, bias)
    return replace(mixer, norm=(mixer.heads + mixer.kv_heads) * mixer.dim)


def seed_oss(read: ConfigReader) -> Body:
    """Seed-OSS: as Llama, with separate switches for the biases of inputs and output."""
    hidden = read.whole("hidden_size")
    inputs, output = read.flag("attention_bias", True), read.flag("attention_out_bias")
    return uniform(read, hidden, biased(heads(read, 128), hidden, inputs, output), gated(read, hidden))


def ernie(read: ConfigReader) -> Body:
    """Ernie 4.5: as Llama, one switch for all biases."""
    hidden, bias = read.whole("hidden_size"), read.flag("use_bias")
    size = read.whole("intermediate_size")
    ffn = Dense(size, bias=(2 * size, hidden) if bias else (0, 0))
    made = uniform(read, hidden, biased(heads(read, 128), hidden, bias, bias), ffn)
    return replace(made, tied=read.flag("tie_word_embeddings", True))


def dots1(read: ConfigReader) -> Body:
    """dots.llm1: first layers dense, shared experts, normalised queries and keys."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    bias = read.flag("attention_bias")
    mixer = biased(heads(read), hidden, bias, bias)
    return first_dense(read, hidden, depth, [replace(mixer, norm=2 * mixer.dim)] * depth)


def glm4(read: ConfigReader) -> Body:
    """GLM-4-0414: norms before and after each part, biases on query, key and value."""
    hidden = read.whole("hidden_size")
    mixer = biased(heads(read, 128), hidden, read.flag("attention_bias"), False)
    return body(read, [Block(1, mixer, gated(read, hidden), norms=4)] * read.layers(), hidden)


def glm_ocr(read: ConfigReader) -> Body:
    """GLM-OCR's text part: as GLM-4-0414 without biases."""
    hidden = read.whole("hidden_size")
    return body(read, [Block(1, heads(read), gated(read, hidden), norms=4)] * read.layers(), hidden)


def gpt_neox(read: ConfigReader) -> Body:
    """GPT-NeoX and Pythia: LayerNorm, multi-head attention and plain FFN with biases."""
    hidden, bias = read.whole("hidden_size"), read.flag("attention_bias", True)
    size = read.whole("intermediate_size")
    block = Block(
        1,
        biased(heads(read), hidden, bias, bias),
        Dense(size, gated=False, bias=(size, hidden)),
        norm_vectors=2,
    )
    return body(read, [block] * read.layers(), hidden, final_norm=2 * hidden)


OTHERS: dict[str, Family] = {
    "qwen2_moe": qwen2_moe,
    "phi3": llama,
    "granite": llama,
    "smollm3": llama,
    "ministral": llama,
    "gemma2": gemma2,
    "gemma3_text": gemma3,
    "olmo2": olmo2,
    "olmoe": olmoe,
    "seed_oss": seed_oss,
    "ernie4_5": ernie,
    "dots1": dots1,
    "glm4": glm4,
    "glm_ocr_text": glm_ocr,
    "gpt_neox": gpt_neox,
    "qwen3_vl_text": qwen3,
    "qwen3_vl_moe_text": qwen3_moe,
}
"""Readers of further families by `model_type`."""
