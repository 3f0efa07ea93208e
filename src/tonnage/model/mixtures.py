"""Mixtures of experts that came after those of the bundled models: what their configurations mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tonnage.model.architecture import Block, Mixer
from tonnage.model.attention import Gqa
from tonnage.model.config import LARGEST, ConfigReader
from tonnage.model.families import (
    Body,
    Family,
    biased,
    body,
    deepseek_experts,
    even_heads,
    first_dense,
    heads,
    latent,
    uniform,
    windows,
)
from tonnage.model.ffn import Dense, Moe, Parallel
from tonnage.model.hybrids import kda
from tonnage.model.linear import LIGHTNING, Recurrent


def experts(read: ConfigReader, shared: int | None = None, size: int | None = None, router_bias: int = 0) -> Moe:
    """Routed experts by any of the names in use; shared: width of the shared experts together, if it is known."""
    each = size or read.whole("moe_intermediate_size", "expert_ffn_hidden_size")
    if shared is None:
        count = read.whole("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", default=0, low=0)
        shared = count * read.whole("moe_shared_expert_intermediate_size", default=each, low=0)
    total = read.whole(*EXPERTS, high=LARGEST["experts"])
    chosen = read.whole(*CHOSEN, high=LARGEST["experts"])
    if chosen > total:
        read.wrong(
            next((key for key in CHOSEN if read.has(key)), CHOSEN[0]), f"{chosen} experts a token out of {total}"
        )
    return Moe(total, chosen, each, shared=Dense(shared) if shared else None, router_bias=router_bias * total)


EXPERTS = ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts")
CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", "moe_top_k", "experts_per_token")


def sparse(
    read: ConfigReader, mixers: Sequence[Mixer], moe: Moe, *, norms: int = 2, drafts: Dense | None = None
) -> Body:
    """A body with experts in the layers that `mlp_layer_types`, a list of ones or the count of dense layers say.

    drafts: the FFN of multi-token-prediction layers, where it is not the experts.
    """
    depth, hidden = len(mixers), read.whole("hidden_size")
    routed = _routed(read, depth)
    dense = Dense(read.whole("intermediate_size")) if not all(routed) else None
    layers = [
        Block(1, mixer, moe if chosen else dense, norms=norms) for mixer, chosen in zip(mixers, routed, strict=True)
    ]
    modules = read.whole("num_nextn_predict_layers", default=0, low=0, high=LARGEST["layers"])
    return body(read, layers, hidden, mtp=Block(modules, mixers[-1], drafts or moe) if modules else None)


def _routed(read: ConfigReader, depth: int) -> list[bool]:
    """Which layers have experts."""
    kinds = read.kinds("mlp_layer_types", depth)
    if kinds is not None:
        return [kind == "sparse" for kind in kinds]
    if isinstance(read.config.get("moe_layer_freq"), (list, tuple)):
        return [entry == 1 for entry in read.listing("moe_layer_freq", depth) or []] or [True] * depth
    named = read.text("moe_layers_enum") if isinstance(read.config.get("moe_layers_enum"), str) else ""
    if named:
        chosen = {int(word) for word in named.split(",") if word.strip().isdigit()}
        return [layer in chosen for layer in range(depth)]
    first = read.whole("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index", default=0, low=0)
    if first > depth:
        read.wrong("first_k_dense_replace", f"{first} dense layers are more than the {depth} that there are")
    return [layer >= first for layer in range(depth)]


def normed(mixer: Gqa) -> Gqa:
    """Attention with a norm on each query and key head."""
    return replace(mixer, norm=2 * mixer.dim)


def mimo_v2(read: ConfigReader) -> Body:
    """MiMo-V2: windows with sinks and their own heads, every sixth layer full, experts without shared ones."""
    depth = read.layers()
    pattern = read.listing("hybrid_layer_pattern", depth)
    kinds = read.kinds("layer_types", depth)
    if pattern is None and kinds is None:
        read.wrong("hybrid_layer_pattern", "is missing: which layers have windows")
    spanned = [entry == 1 for entry in pattern] if pattern else [kind == "sliding_attention" for kind in kinds or []]
    spanned = spanned or [False] * depth
    full = _mimo_attention(read, "", 0)
    span = read.whole("sliding_window", "sliding_window_size", high=10**9)
    local = replace(_mimo_attention(read, "swa_", span), sinks=read.flag("add_swa_attention_sink_bias", True))
    full = replace(full, sinks=read.flag("add_full_attention_sink_bias"))
    mixers = [local if window else full for window in spanned]
    return sparse(read, mixers, experts(read), drafts=Dense(read.whole("intermediate_size")))


def _mimo_attention(read: ConfigReader, prefix: str, window: int) -> Gqa:
    """Attention of full layers, or with a prefix of those with windows."""
    count = read.whole(f"{prefix}num_attention_heads", "num_attention_heads", high=LARGEST["heads"])
    kv_heads = read.whole(f"{prefix}num_key_value_heads", "num_key_value_heads", high=LARGEST["heads"])
    dim = read.whole(f"{prefix}head_dim", "head_dim", high=LARGEST["heads"])
    value = read.whole(f"{prefix}v_head_dim", "v_head_dim", default=dim, high=LARGEST["heads"])
    if count % kv_heads:
        read.wrong("num_key_value_heads", f"{count} heads cannot be shared by {kv_heads} key-value heads")
    return Gqa(heads=count, kv_heads=kv_heads, dim=dim, value=value, window=window)


def step3(read: ConfigReader) -> Body:
    """Step-3.5 and 3.7 Flash: full and windowed attention with heads of their own, a gate a head, experts."""
    depth = read.layers()
    other = read.section("attention_other_setting")
    count = read.whole("num_attention_heads", high=LARGEST["heads"])
    local = (other or read).whole("num_attention_heads", default=count, high=LARGEST["heads"])
    local = read.whole("num_sliding_attention_heads", default=local, high=LARGEST["heads"])
    groups = read.whole("num_attention_groups", "num_key_value_heads", high=LARGEST["heads"])
    dim = read.whole("head_dim", high=LARGEST["heads"])
    spans = windows(read, depth, read.whole("sliding_window", default=512, high=10**9))
    mixers = [_step_attention(read, local if span else count, groups, dim, span) for span in spans]
    moe = experts(read, shared=read.whole("share_expert_dim", default=0, low=0))
    return sparse(read, mixers, moe, drafts=Dense(read.whole("intermediate_size")))


def _step_attention(read: ConfigReader, count: int, groups: int, dim: int, window: int) -> Gqa:
    if count % groups:
        read.wrong("num_attention_groups", f"{count} heads cannot be shared by {groups} groups")
    gate = count if read.flag("use_head_wise_attn_gate", True) else 0
    norm = 2 * dim if read.flag("use_qk_norm", True) else 0
    return Gqa(heads=count, kv_heads=groups, dim=dim, value=dim, window=window, gate=gate, norm=norm)


def exaone_moe(read: ConfigReader) -> Body:
    """K-EXAONE: three windowed layers to one full, normalised queries and keys, first layers dense, experts."""
    depth = read.layers()
    mixer = normed(heads(read))
    mixers = [replace(mixer, window=span) for span in exaone_windows(read, depth)]
    return sparse(read, mixers, experts(read))


def exaone_windows(read: ConfigReader, depth: int) -> list[int]:
    """Windows of EXAONE: every so many layers full (`LLLG` or a number); none where no window is given."""
    if not read.has("sliding_window"):
        return [0] * depth
    size = read.whole("sliding_window", high=10**9)
    if read.has("layer_types"):
        return windows(read, depth, size)
    pattern = read.config.get("sliding_window_pattern")
    if isinstance(pattern, str) and pattern:
        return [size if pattern[layer % len(pattern)].upper() == "L" else 0 for layer in range(depth)]
    every = read.whole("sliding_window_pattern", default=4, high=LARGEST["layers"])
    return [0 if (layer + 1) % every == 0 else size for layer in range(depth)]


def hunyuan_moe(read: ConfigReader) -> Body:
    """Hunyuan-A13B and kin: normalised queries and keys, every FFN with experts and shared ones of the same width."""
    mixer = heads(read)
    bias = read.flag("attention_bias")
    mixer = biased(mixer, read.whole("hidden_size"), bias, bias)
    mixer = normed(mixer) if read.flag("use_qk_norm", True) else mixer
    size = _first(read, "moe_intermediate_size") or read.whole("intermediate_size")
    shared = size * (_first(read, "num_shared_expert") or 1) if read.flag("use_mixed_mlp_moe", True) else 0
    moe = Moe(
        experts=read.whole("num_experts", high=LARGEST["experts"]),
        top_k=_first(read, "moe_topk") or read.whole("num_experts_per_tok"),
        size=size,
        shared=Dense(shared) if shared else None,
    )
    return uniform(read, read.whole("hidden_size"), mixer, moe)


def _first(read: ConfigReader, key: str) -> int:
    """A number, or the one that a list has for every layer; 0 where it is not given."""
    value = read.config.get(key)
    if not isinstance(value, (list, tuple)):
        return read.whole(key, default=0, low=0)
    if not value or any(entry != value[0] for entry in value):
        read.wrong(key, "differs from layer to layer, which is not read")
        return 1
    return ConfigReader({key: value[0]}, read.problems, read.place, read.path).whole(key)


def hy_v3(read: ConfigReader) -> Body:
    """Hunyuan 3: normalised queries and keys, first layer dense, experts."""
    mixer = normed(biased(heads(read), read.whole("hidden_size"), read.flag("attention_bias"), False))
    return sparse(read, [mixer] * read.layers(), experts(read))


def bailing(read: ConfigReader) -> Body:
    """Ling and Ring 1 and 2 (bailing_moe): grouped-query attention, in version 2 normalised, experts."""
    hidden = read.whole("hidden_size")
    mixer = biased(heads(read), hidden, read.flag("use_qkv_bias"), read.flag("use_bias"))
    mixer = normed(mixer) if read.flag("use_qk_norm") else mixer
    return sparse(read, [mixer] * read.layers(), experts(read))


def bailing_linear(read: ConfigReader) -> Body:
    """Ring-linear and Ling 2.5: lightning attention, the last of every group full: grouped-query, or latent in 2.5."""
    hidden, depth = read.whole("hidden_size"), read.layers()
    every = read.whole("layer_group_size", high=LARGEST["layers"])
    full: Mixer = latent(read, hidden) if read.has("kv_lora_rank") else normed(heads(read))
    count = read.whole("num_attention_heads", high=LARGEST["heads"])
    dim = read.whole("head_dim", default=even_heads(read, hidden, count), high=LARGEST["heads"])
    width = count * dim
    linear = Recurrent(
        rule=LIGHTNING,
        heads=count,
        key_heads=count,
        key=dim,
        value=dim,
        inputs=4 * width,
        gate=width,
        vectors=width + (2 * dim if read.flag("use_qk_norm") else 0),
    )
    last = depth // every * every
    mixers = [full if (layer + 1) % every == 0 or layer >= last else linear for layer in range(depth)]
    return sparse(read, mixers, experts(read))


def bailing_hybrid(read: ConfigReader) -> Body:
    """Ling 2.5 and 3 share a `model_type`: 3 has Kimi delta attention and gated latent attention."""
    if not any(read.has(key) for key in ("kda_safe_gate", "kda_lower_bound", "short_conv_kernel_size")):
        return bailing_linear(read)
    hidden, depth = read.whole("hidden_size"), read.layers()
    kinds = read.kinds("layer_types", depth)
    every = read.whole("layer_group_size", default=6, high=LARGEST["layers"])
    whole = [k == "full_attention" for k in kinds] if kinds else [(i + 1) % every == 0 for i in range(depth)]
    attention = latent(read, hidden)
    attention = replace(attention, gate=attention.heads)
    linear = replace(kda(read, read, full_rank=True, low_rank=False))
    return sparse(read, [attention if full else linear for full in whole], experts(read))


def ernie_moe(read: ConfigReader) -> Body:
    """ERNIE 4.5 mixtures: as ERNIE 4.5, experts from a layer on, in every so many layers."""
    hidden, depth, bias = read.whole("hidden_size"), read.layers(), read.flag("use_bias")
    mixer = biased(heads(read), hidden, bias, bias)
    first = read.whole("moe_layer_start_index", default=0, low=0)
    end = read.whole("moe_layer_end_index", default=depth - 1, low=-1)
    every = read.whole("moe_layer_interval", default=1, high=LARGEST["layers"])
    end = depth - 1 if end < 0 else end
    moe = experts(read, router_bias=1)
    routed = [(i + 1) % every == 0 and first <= i <= end for i in range(depth)]
    dense = Dense(read.whole("intermediate_size"))
    made = body(read, [Block(1, mixer, moe if chosen else dense) for chosen in routed], hidden)
    return replace(made, tied=read.flag("tie_word_embeddings", True))


def longcat(read: ConfigReader) -> Body:
    """LongCat-Flash (arXiv 2509.01322): each layer is two of latent attention and FFN, experts beside the first.

    Some of the experts do nothing: of those that a token visits, their share is left out.
    """
    hidden, depth = read.whole("hidden_size"), read.layers("num_layers", "num_hidden_layers")
    real = read.whole("n_routed_experts", high=LARGEST["experts"])
    idle = read.whole("zero_expert_num", default=0, low=0, high=LARGEST["experts"])
    chosen = read.whole("moe_topk", "num_experts_per_tok", high=LARGEST["experts"])
    visited = max(round(chosen * real / (real + idle)), 1)
    size = read.whole("expert_ffn_hidden_size", "moe_intermediate_size")
    moe = Moe(real, visited, size, router_outputs=real + idle)
    dense = Dense(read.whole("ffn_hidden_size", "intermediate_size"))
    attention = latent(read, hidden)
    pair = (Block(1, attention, Parallel((dense, moe))), Block(1, attention, dense))
    return body(read, [*pair] * depth, hidden)


def phimoe(read: ConfigReader) -> Body:
    """Phi-3.5-MoE: LayerNorm with biases, every FFN with experts."""
    hidden, bias = read.whole("hidden_size"), read.flag("attention_bias")
    moe = experts(read, shared=0, size=read.whole("intermediate_size"))
    block = Block(1, biased(heads(read), hidden, bias, bias), moe, norm_vectors=2)
    made = body(read, [block] * read.layers(), hidden, final_norm=2 * hidden)
    return replace(made, head_bias=made.vocab if read.flag("lm_head_bias") else 0)


def afmoe(read: ConfigReader) -> Body:
    """Trinity (afmoe): four norms, gated and normalised attention, three windowed layers to one full, experts."""
    depth = read.layers()
    mixer = normed(heads(read))
    mixer = replace(mixer, gate=mixer.heads * mixer.dim, gate_apart=True)
    span, every = read.whole("sliding_window", high=10**9), read.whole("global_attn_every_n_layers", default=4)
    spans = windows(read, depth, span)
    if not read.has("layer_types"):
        spans = [0 if (layer + 1) % every == 0 else span for layer in range(depth)]
    return sparse(read, [replace(mixer, window=each) for each in spans], experts(read, router_bias=1), norms=4)


def laguna(read: ConfigReader) -> Body:
    """Laguna: heads of its own in each layer, a gate a head, windows, experts."""
    depth, plain = read.layers(), heads(read)
    counts = read.listing("num_attention_heads_per_layer", depth) or [plain.heads] * depth
    spans = windows(read, depth, read.whole("sliding_window", default=512, high=10**9))
    if not read.has("layer_types"):
        spans = [0] * depth
    mixers = []
    for count, span in zip(counts, spans, strict=True):
        if isinstance(count, bool) or not isinstance(count, int) or not 0 < count <= 65536 or count % plain.kv_heads:
            read.wrong("num_attention_heads_per_layer", "expected heads that the key-value heads can share")
            count = plain.heads
        mixer = replace(plain, heads=count, gate=count if read.flag("gating", True) else 0, window=span)
        mixers.append(normed(mixer))
    shared = read.whole("shared_expert_intermediate_size", default=0, low=0)
    return sparse(read, mixers, experts(read, shared=shared, router_bias=1))


def granite_moe(read: ConfigReader) -> Body:
    """Granite 3 mixtures: every FFN with experts, and a shared one in some."""
    hidden, bias = read.whole("hidden_size"), read.flag("attention_bias")
    shared = read.whole("shared_intermediate_size", default=0, low=0)
    moe = experts(read, shared=shared, size=read.whole("intermediate_size"))
    return uniform(read, hidden, biased(heads(read), hidden, bias, bias), moe)


def latent_sparse(read: ConfigReader) -> Body:
    """Latent attention with the experts of DeepSeek, whether all layers have them or not.

    GLM-4.7-Flash keeps embedding and head a second time (github.com/NVIDIA-NeMo/Megatron-Bridge, export of its
    layer 47).
    """
    hidden, depth = read.whole("hidden_size"), read.layers()
    return first_dense(read, hidden, depth, [latent(read, hidden)] * depth, tables=True)


def latent_dense(read: ConfigReader) -> Body:
    """Latent attention with dense FFNs (MiniCPM3, Youtu)."""
    hidden = read.whole("hidden_size")
    made = uniform(read, hidden, latent(read, hidden), Dense(read.whole("intermediate_size")))
    return replace(made, tied=read.flag("tie_word_embeddings", True))


def solar(read: ConfigReader) -> Body:
    """Solar Open: grouped-query attention, every FFN with experts and a shared one."""
    hidden, bias = read.whole("hidden_size"), read.flag("attention_bias")
    return uniform(read, hidden, biased(heads(read), hidden, bias, bias), deepseek_experts(read))


MIXTURES: dict[str, Family] = {
    "mimo_v2_flash": mimo_v2,
    "mimo_v2": mimo_v2,
    "step3p5": step3,
    "step3p7": step3,
    "exaone_moe": exaone_moe,
    "hunyuan": hunyuan_moe,
    "hunyuan_v1_moe": hunyuan_moe,
    "hy_v3": hy_v3,
    "bailing_moe": bailing,
    "bailing_moe_v2": bailing,
    "bailing_moe_linear": bailing_linear,
    "bailing_moe_v2_5": bailing_linear,
    "bailing_hybrid": bailing_hybrid,
    "ernie4_5_moe": ernie_moe,
    "longcat_flash": longcat,
    "phimoe": phimoe,
    "afmoe": afmoe,
    "laguna": laguna,
    "granitemoe": granite_moe,
    "granitemoeshared": granite_moe,
    "glm4_moe_lite": latent_sparse,
    "mistral4": latent_sparse,
    "youtu": latent_dense,
    "minicpm3": latent_dense,
    "solar_open": solar,
}
"""Readers of these families by `model_type`."""
