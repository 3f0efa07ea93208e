"""Families of decoders: what a configuration of each `model_type` means. One function reads one family's layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tonnage.model.architecture import Block, Extra, Ffn, Mixer
from tonnage.model.attention import Gqa
from tonnage.model.config import LARGEST, ConfigReader
from tonnage.model.ffn import Dense, Moe
from tonnage.model.latent import Indexer, Mla


@dataclass(frozen=True)
class Body:
    """What a family reads: one `Block` (count 1) for each layer in order, and what lies around the layers."""

    layers: tuple[Block, ...]
    hidden: int
    vocab: int
    tied: bool = False
    mtp: Block | None = None
    mtp_tables: bool = False
    final_norm: int = 0
    final_extras: tuple[Extra, ...] = ()
    head_bias: int = 0
    context: int = 0
    native_context: int = 0
    embeddings: tuple[tuple[str, int], ...] = ()


Family = Callable[[ConfigReader], Body]


def body(read: ConfigReader, layers: Iterable[Block], hidden: int, **more: object) -> Body:
    """A `Body` with what nearly all families share: RMS norm at the end, context, tied embeddings."""
    native, context = contexts(read)
    made = Body(
        layers=tuple(layers),
        hidden=hidden,
        vocab=read.whole("vocab_size", high=LARGEST["vocab"]),
        tied=read.flag("tie_word_embeddings"),
        final_norm=hidden,
        context=context,
        native_context=native,
    )
    return replace(made, **more)  # type: ignore[arg-type]


LENGTHS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_sequence_length",
    "max_seq_length",
)
"""Keys under which configurations give the longest sequence, in the order in which engines ask."""

STRETCHING = ("yarn", "linear", "dynamic", "ntk")
"""Kinds of `rope_scaling` whose factor multiplies the context; others (llama3, longrope, mrope) have it in already."""


HOLDING = ("default", "llama3", "longrope", "su", "mrope", "proportional", "deepseek_yarn")
"""Kinds whose context is the one that is stated (`transformers` modeling_rope_utils, vLLM `get_rope`)."""


def contexts(read: ConfigReader) -> tuple[int, int]:
    """(tokens before scaling, longest sequence) [tokens], 0 where not known: as engines derive `max_model_len`.

    YaRN multiplies `original_max_position_embeddings` by its factor where that is given (vLLM,
    `_get_and_verify_max_len`).
    """
    limit = read.whole(*LENGTHS, default=0, high=10**9)
    rope = _rope(read)
    if rope is None or not limit:
        return limit, limit
    kind = rope.text("rope_type") or rope.text("type")
    factor = rope.config.get("factor")
    if kind and kind not in (*STRETCHING, *HOLDING):
        rope.wrong(
            "rope_type" if rope.has("rope_type") else "type", f"{kind!r} is no kind of scaling that is known"[:90]
        )
    if kind not in STRETCHING or not rope.has("factor"):
        return limit, limit
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 1 <= factor <= 1e4:
        rope.wrong("factor", f"expected a number from 1 to 10000, got {factor!r}"[:90])
        return limit, limit
    if kind != "yarn":
        return limit, int(limit * factor)
    native = rope.whole("original_max_position_embeddings", default=limit, high=10**9)
    return native, int(native * factor)


def _rope(read: ConfigReader) -> ConfigReader | None:
    """The scaling of rotary positions; that of full attention where each kind of layer has its own."""
    found = read.section("rope_scaling") or read.section("rope_parameters")
    if found is not None and isinstance(found.config.get("full_attention"), Mapping):
        return found.section("full_attention")
    return found


def heads(read: ConfigReader, head_dim: int | None = None) -> Gqa:
    """Plain grouped-query attention without biases: heads, KV heads, head size."""
    count = read.whole("num_attention_heads", high=LARGEST["heads"])
    hidden = read.whole("hidden_size")
    default = head_dim or even_heads(read, hidden, count)
    dim = read.whole("head_dim", default=default, high=LARGEST["heads"])
    kv_heads = read.whole("num_key_value_heads", default=count, high=LARGEST["heads"])
    if count % kv_heads:
        read.wrong("num_key_value_heads", f"{count} heads cannot be shared by {kv_heads} key-value heads")
    return Gqa(heads=count, kv_heads=kv_heads, dim=dim, value=dim)


def even_heads(read: ConfigReader, hidden: int, count: int, key: str = "hidden_size") -> int:
    """The size of a head where none is given: an even share of the width."""
    if hidden % count and not read.has("head_dim"):
        read.wrong(key, f"{hidden} is not a multiple of {count} heads, and no head_dim is given")
    return max(hidden // count, 1)


def biased(attention: Gqa, hidden: int, inputs: bool, output: bool) -> Gqa:
    """The attention with biases on query, key and value (inputs) and on the output."""
    if not inputs and not output:
        return attention
    query = attention.heads * attention.dim if inputs else 0
    return replace(attention, bias=(query, attention.kv_width if inputs else 0, hidden if output else 0))


def windows(read: ConfigReader, depth: int, size: int) -> list[int]:
    """The window of each layer by `layer_types` (0: full attention)."""
    kinds = read.kinds("layer_types", depth)
    if kinds is None:
        return [size] * depth
    return [size if kind == "sliding_attention" else 0 for kind in kinds]


def llama(read: ConfigReader) -> Body:
    """Llama, Mistral and kin: RMS norm, grouped-query attention, gated FFN."""
    hidden, bias = read.whole("hidden_size"), read.flag("attention_bias")
    mixer = biased(heads(read), hidden, bias, bias)
    return uniform(read, hidden, replace(mixer, window=_window(read)), gated(read, hidden))


def qwen2(read: ConfigReader) -> Body:
    """Qwen2 and 2.5: as Llama, with biases on query, key and value."""
    hidden = read.whole("hidden_size")
    return uniform(read, hidden, biased(heads(read), hidden, True, False), gated(read, hidden))


def qwen3(read: ConfigReader) -> Body:
    """Qwen3: as Llama, with a norm on each query and key head."""
    hidden = read.whole("hidden_size")
    return uniform(read, hidden, _qwen3_attention(read, hidden), gated(read, hidden))


def qwen3_moe(read: ConfigReader) -> Body:
    """Qwen3 mixture of experts."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    step = read.whole("decoder_sparse_step", default=1)
    plain = read.numbers("mlp_only_layers")
    mixer, moe = _qwen3_attention(read, hidden, None), qwen_experts(read)
    sparse = [layer not in plain and (layer + 1) % step == 0 for layer in range(depth)]
    dense = gated(read, hidden) if not all(sparse) else moe
    return body(read, [Block(1, mixer, moe if routed else dense) for routed in sparse], hidden)


def qwen_experts(read: ConfigReader) -> Moe:
    """Routed experts under the names that Qwen uses, and its gated shared expert if there is one."""
    shared = read.whole("shared_expert_intermediate_size", default=0, low=0)
    return Moe(
        experts=read.whole("num_experts", "num_local_experts", high=LARGEST["experts"]),
        top_k=top_k(read),
        size=read.whole("moe_intermediate_size"),
        shared=Dense(shared) if shared else None,
        shared_gate=bool(shared),
    )


def _qwen3_attention(read: ConfigReader, hidden: int, dim: int | None = 128) -> Gqa:
    """dim: size of a head where none is given: the dense models' class has one, the mixtures' shares the width."""
    bias = read.flag("attention_bias")
    mixer = biased(heads(read, dim), hidden, bias, bias)
    return replace(mixer, norm=2 * mixer.dim)


def mixtral(read: ConfigReader) -> Body:
    """Mixtral: as Mistral, every FFN a mixture of experts."""
    hidden = read.whole("hidden_size")
    moe = Moe(
        experts=read.whole("num_local_experts", high=LARGEST["experts"]),
        top_k=top_k(read),
        size=read.whole("intermediate_size"),
    )
    return uniform(read, hidden, replace(heads(read), window=_window(read)), moe)


def minimax_m2(read: ConfigReader) -> Body:
    """MiniMax M2 to M2.7: query and key normalised over all heads together, every FFN a mixture of experts.

    Their configurations name three multi-token-prediction modules that the releases do not hold (none of 1,369 tensors:
    github.com/MiniMax-AI/MiniMax-M2.7 issue 16; MiniMax-M2 issue 47, MiniMax-M2.5 issue 8): nothing can be run of them.
    """
    hidden = read.whole("hidden_size")
    mixer = heads(read)
    norm = (mixer.heads + mixer.kv_heads) * mixer.dim if read.flag("use_qk_norm", True) else 0
    moe = Moe(
        experts=read.whole("num_local_experts", high=LARGEST["experts"]),
        top_k=top_k(read),
        size=read.whole("intermediate_size"),
    )
    return uniform(read, hidden, replace(mixer, norm=norm), moe)


def gpt_oss(read: ConfigReader) -> Body:
    """gpt-oss (arXiv 2508.10925): biases everywhere, attention sinks, every other layer windowed, experts in MXFP4."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    bias = read.flag("attention_bias", True)
    mixer = replace(biased(heads(read, 64), hidden, bias, bias), sinks=True)
    size = read.whole("intermediate_size")
    experts = read.whole("num_local_experts", high=LARGEST["experts"])
    moe = Moe(experts=experts, top_k=top_k(read), size=size, bias=(2 * size, hidden), router_bias=experts)
    spans = windows(read, depth, read.whole("sliding_window", default=128))
    if not read.has("layer_types"):
        spans = [span if layer % 2 == 0 else 0 for layer, span in enumerate(spans)]
    return body(read, [Block(1, replace(mixer, window=span), moe) for span in spans], hidden)


def glm4_moe(read: ConfigReader) -> Body:
    """GLM-4.5 and 4.6: grouped-query attention with biases, first layers dense, shared experts, one MTP layer."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    mixer = biased(heads(read), hidden, read.flag("attention_bias"), False)
    if read.flag("use_qk_norm"):
        mixer = replace(mixer, norm=2 * mixer.dim)
    return first_dense(read, hidden, depth, [mixer] * depth)


def deepseek(read: ConfigReader) -> Body:
    """DeepSeek V2, V3 and R1, and Kimi K2: latent attention, first layers dense, fine-grained and shared experts.

    The first DeepSeekMoE, and the language part of DeepSeek-OCR, have grouped-query attention (`use_mla` false).
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    if not read.flag("use_mla", True) or not read.has("kv_lora_rank"):
        bias = read.flag("attention_bias")
        return first_dense(read, hidden, depth, [biased(heads(read), hidden, bias, bias)] * depth)
    return first_dense(read, hidden, depth, [latent(read, hidden)] * depth, tables=True)


def deepseek_sparse(read: ConfigReader) -> Body:
    """DeepSeek V3.2 and GLM-5: latent attention over the keys that a lightning indexer chooses.

    GLM-5.2's layers of type `shared` use the choice of the layer before them.
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    indexer = Indexer(
        heads=read.whole("index_n_heads", high=LARGEST["heads"]),
        dim=read.whole("index_head_dim"),
        topk=read.whole("index_topk"),
    )
    kinds = read.kinds("indexer_types", depth) or ["full"] * depth
    mixer = latent(read, hidden)
    mixers = [replace(mixer, indexer=replace(indexer, shared=kind == "shared")) for kind in kinds]
    return first_dense(read, hidden, depth, mixers, tables=read.text("model_type") == "deepseek_v32")


def latent(read: ConfigReader, hidden: int) -> Mla:
    """Multi-head latent attention."""
    q_lora = read.whole("q_lora_rank", default=0, low=0)
    kv_lora, rope = read.whole("kv_lora_rank"), read.whole("qk_rope_head_dim", low=0)
    bias = read.flag("attention_bias")
    return Mla(
        heads=read.whole("num_attention_heads", high=LARGEST["heads"]),
        q_lora=q_lora,
        kv_lora=kv_lora,
        nope=read.whole("qk_nope_head_dim"),
        rope=rope,
        value=read.whole("v_head_dim"),
        bias=(q_lora + kv_lora + rope, hidden) if bias else (0, 0),
    )


def deepseek_experts(read: ConfigReader) -> Moe:
    """Routed and shared experts under the names that DeepSeek uses; shared experts are one FFN of summed width."""
    size = read.whole("moe_intermediate_size")
    shared = read.whole("n_shared_experts", default=0, low=0, high=LARGEST["experts"])
    return Moe(
        experts=read.whole("n_routed_experts", "num_local_experts", high=LARGEST["experts"]),
        top_k=top_k(read),
        size=size,
        shared=Dense(size * shared) if shared else None,
    )


def first_dense(read: ConfigReader, hidden: int, depth: int, mixers: Sequence[Mixer], *, tables: bool = False) -> Body:
    """A body with a mixer for each layer, experts in all but the first layers, and multi-token prediction.

    tables: whether the releases keep embedding and head a second time with the layer that predicts ahead, unless
    `mtp_tables` says so: all of DeepSeek-V3 do (688,586,727,753 bytes), of GLM-4 some.
    """
    moe, first = deepseek_experts(read), read.whole("first_k_dense_replace", default=0, low=0)
    kinds = read.kinds("mlp_layer_types", depth)
    routed = [kind == "sparse" for kind in kinds] if kinds else _sparse(read, depth, first)
    dense = None if all(routed) else Dense(read.whole("intermediate_size"))
    layers = [Block(1, mixer, moe if chosen else dense) for mixer, chosen in zip(mixers, routed, strict=True)]
    modules = read.whole("num_nextn_predict_layers", default=0, low=0, high=LARGEST["layers"])
    mtp = Block(modules, _own_indexer(mixers[-1]), moe) if modules else None
    return body(read, layers, hidden, mtp=mtp, mtp_tables=read.flag("mtp_tables", tables))


def _sparse(read: ConfigReader, depth: int, first: int) -> list[bool]:
    """Which layers have experts: all after the first, or every so many of them (`moe_layer_freq`)."""
    if first > depth:
        read.wrong("first_k_dense_replace", f"{first} dense layers are more than the {depth} that there are")
    if isinstance(read.config.get("moe_layer_freq"), (list, tuple)):
        return [entry == 1 for entry in read.listing("moe_layer_freq", depth) or [1] * depth]
    every = read.whole("moe_layer_freq", default=1, high=LARGEST["layers"])
    return [layer >= first and layer % every == 0 for layer in range(depth)]


def _own_indexer(mixer: Mixer) -> Mixer:
    """The same attention with an indexer of its own: multi-token prediction follows no layer that has one."""
    if isinstance(mixer, Mla) and mixer.indexer is not None:
        return replace(mixer, indexer=replace(mixer.indexer, shared=False))
    return mixer


def gpt2(read: ConfigReader) -> Body:
    """GPT-2 and GPT-3: LayerNorm, multi-head attention with biases, plain FFN, learned positions."""
    hidden, count = read.whole("n_embd", "hidden_size"), read.whole("n_head", "num_attention_heads")
    positions = read.whole("n_positions", "max_position_embeddings", default=1024, high=10**9)
    dim = even_heads(read, hidden, count, "n_embd" if read.has("n_embd") else "hidden_size")
    mixer = Gqa(heads=count, kv_heads=count, dim=dim, value=dim, bias=(hidden, 2 * hidden, hidden))
    inner = read.whole("n_inner", default=4 * hidden)
    block = Block(1, mixer, Dense(inner, gated=False, bias=(inner, hidden)), norm_vectors=2)
    return Body(
        layers=(block,) * read.layers("n_layer", "num_hidden_layers"),
        hidden=hidden,
        vocab=read.whole("vocab_size", high=LARGEST["vocab"]),
        tied=read.flag("tie_word_embeddings", True),
        final_norm=2 * hidden,
        context=positions,
        embeddings=(("positions", positions * hidden),),
    )


def nemotron(read: ConfigReader) -> Body:
    """Nemotron-4 (arXiv 2406.11704): LayerNorm, squared ReLU without a gate."""
    hidden = read.whole("hidden_size")
    bias, mlp_bias = read.flag("attention_bias"), read.flag("mlp_bias")
    size = read.whole("intermediate_size")
    dense = Dense(size, gated=False, bias=(size, hidden) if mlp_bias else (0, 0))
    block = Block(1, biased(heads(read), hidden, bias, bias), dense, norm_vectors=2)
    return body(read, [block] * read.layers(), hidden, final_norm=2 * hidden)


def gemma(read: ConfigReader) -> Body:
    """Gemma: wide heads, gated FFN, embedding shared with the head."""
    hidden = read.whole("hidden_size")
    made = uniform(read, hidden, heads(read, 256), gated(read, hidden))
    return replace(made, tied=read.flag("tie_word_embeddings", True))


def llama4(read: ConfigReader) -> Body:
    """Llama 4: chunked attention except in every fourth layer; experts, one of them shared, perhaps interleaved."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    bias = read.flag("attention_bias")
    mixer = biased(heads(read, 128), hidden, bias, bias)
    size, step = read.whole("intermediate_size"), read.whole("interleave_moe_layer_step", default=1)
    moe = Moe(
        experts=read.whole("num_local_experts", high=LARGEST["experts"]),
        top_k=top_k(read),
        size=size,
        shared=Dense(size),
    )
    dense = Dense(read.whole("intermediate_size_mlp", default=size))
    chosen = read.numbers("moe_layers") or set(range(step - 1, depth, step))
    chunk = read.whole("attention_chunk_size", default=8192, low=0, high=10**9)
    every = read.whole("no_rope_layer_interval", default=4)
    kinds = read.kinds("layer_types", depth)
    full = [k != "chunked_attention" for k in kinds] if kinds else [(i + 1) % every == 0 for i in range(depth)]
    layers = [
        Block(1, replace(mixer, chunk=0 if whole else chunk), moe if layer in chosen else dense)
        for layer, whole in enumerate(full)
    ]
    return body(read, layers, hidden)


def top_k(read: ConfigReader) -> int:
    """Experts that a token visits, not more than there are."""
    found = read.whole("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "top_k_experts")
    experts = next(
        (read.config[k] for k in ("n_routed_experts", "num_experts", "num_local_experts") if read.has(k)), None
    )
    if isinstance(experts, int) and found > experts:
        read.wrong("num_experts_per_tok", f"{found} experts a token out of {experts}")
    return found


def _window(read: ConfigReader) -> int:
    """The window of all layers, 0 where there is none."""
    if not read.has("sliding_window") or not read.flag("use_sliding_window", True):
        return 0
    return read.whole("sliding_window", low=0, high=10**9)


def gated(read: ConfigReader, hidden: int) -> Dense:
    """A dense gated FFN, with biases if the configuration says so."""
    size = read.whole("intermediate_size")
    return Dense(size, bias=(2 * size, hidden) if read.flag("mlp_bias") else (0, 0))


def uniform(read: ConfigReader, hidden: int, mixer: Mixer, ffn: Ffn) -> Body:
    """A body whose layers are all alike."""
    return body(read, [Block(1, mixer, ffn)] * read.layers(), hidden)


FAMILIES: dict[str, Family] = {
    "llama": llama,
    "mistral": llama,
    "qwen2": qwen2,
    "qwen3": qwen3,
    "qwen3_moe": qwen3_moe,
    "mixtral": mixtral,
    "minimax_m2": minimax_m2,
    "gpt_oss": gpt_oss,
    "glm4_moe": glm4_moe,
    "deepseek": deepseek,
    "deepseek_v2": deepseek,
    "deepseek_v3": deepseek,
    "kimi_k2": deepseek,
    "deepseek_v32": deepseek_sparse,
    "glm_moe_dsa": deepseek_sparse,
    "gpt2": gpt2,
    "nemotron": nemotron,
    "gemma": gemma,
    "llama4_text": llama4,
}
