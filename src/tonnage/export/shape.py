"""Sizes of a model in Megatron's words: layers, attention, experts, as the plan counted them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tonnage.export.setting import Setting
from tonnage.export.train_launch import refuse
from tonnage.model.architecture import Architecture, Block
from tonnage.model.attention import Gqa
from tonnage.model.ffn import Dense, Moe
from tonnage.model.latent import Mla
from tonnage.model.linear import Recurrent


def shape(arch: Architecture, engine: str) -> tuple[Setting, ...]:
    """Every size. Raises CannotExport for layers that Megatron-LM's GPT model does not have."""
    _ordinary(arch, engine)
    mixers = [arch.blocks[index].mixer for index in arch.layers]
    attention = [one for one in mixers if isinstance(one, (Gqa, Mla))]
    made = [*_ends(arch), *_attention(attention, engine), *_linear(mixers, engine), *_feed_forward(arch, engine)]
    made += [_said("--mtp-num-layers", arch.mtp.count)] if arch.mtp is not None else []
    return tuple(made)


def _said(name: str, value: int | float | str | bool) -> Setting:
    return Setting(name, value, "shape")


def _ordinary(arch: Architecture, engine: str) -> None:
    """Layers are a mixer and a feed-forward layer with a norm each, and nothing beside."""
    for block in arch.blocks:
        odd = block.mixer is None or block.ffn is None or block.norms != 2 or bool(block.extras)
        refuse(engine, odd, f"layers of {arch.title} ({block.kind}) are not an attention and a feed-forward layer with "
               "a norm before each, which is what GPT's arguments describe")  # fmt: skip
    refuse(engine, bool(arch.encoders or arch.embeddings), f"{arch.title} has encoders or tables beside its layers")


def config(arch: Architecture) -> Mapping[str, object]:
    """What the model's configuration says of its text part."""
    text = arch.config.get("text_config")
    return text if isinstance(text, Mapping) else arch.config


def _ends(arch: Architecture) -> Iterator[Setting]:
    said = config(arch)
    yield _said("--num-layers", arch.depth)
    yield _said("--hidden-size", arch.hidden)
    yield _said("--vocab-size", arch.vocab)
    if not arch.tied:
        yield _said("--untie-embeddings-and-output-weights", True)
    vectors = {block.norm_vectors for block in arch.blocks}
    if vectors == {1}:
        yield _said("--normalization", "RMSNorm")
    yield _said("--position-embedding-type", "rope")
    base = said.get("rope_theta")
    if isinstance(base, (int, float)):
        yield _said("--rotary-base", int(base))
    part = said.get("partial_rotary_factor")
    if isinstance(part, float) and part != 1:
        yield _said("--rotary-percent", part)
    epsilon = said.get("rms_norm_eps")
    if isinstance(epsilon, float):
        yield _said("--norm-epsilon", epsilon)


def _attention(mixers: list[Gqa | Mla], engine: str) -> Iterator[Setting]:
    kinds = set(mixers)
    refuse(engine, len(kinds) != 1, f"attention of {len(kinds)} kinds in one model" if kinds else "no attention")
    (one,) = kinds
    yield _said("--num-attention-heads", one.heads)
    if isinstance(one, Mla):
        refuse(engine, one.gate > 0 or any(one.bias), "latent attention with a gate or biases")
        refuse(engine, one.indexer is not None, "sparse latent attention with an indexer is an experiment there")
        yield _said("--multi-latent-attention", True)
        if one.q_lora:
            yield _said("--q-lora-rank", one.q_lora)
        yield _said("--kv-lora-rank", one.kv_lora)
        yield _said("--qk-head-dim", one.nope)
        yield _said("--qk-pos-emb-head-dim", one.rope)
        yield _said("--v-head-dim", one.value)
        yield _said("--qk-layernorm", True)
        return
    odd = one.window or one.chunk or one.keys_are_values or one.borrowed or one.index or one.conv[1] or one.sinks
    refuse(engine, bool(odd) or one.value != one.dim, f"attention of the kind {one.kind}")
    if one.kv_heads != one.heads:
        yield _said("--group-query-attention", True)
        yield _said("--num-query-groups", one.kv_heads)
    yield _said("--kv-channels", one.dim)
    if one.norm:
        yield _said("--qk-layernorm", True)
    if one.gate:
        refuse(engine, one.gate != one.heads * one.value, "a gate of another width than the output of attention")
        yield _said("--attention-output-gate", True)
    refuse(engine, one.bias[2] > 0, "a bias of the output of attention without one of the feed-forward layers")
    yield _said("--disable-bias-linear", True)
    if one.bias[0]:
        yield _said("--add-qkv-bias", True)


def _linear(mixers: Sequence[object], engine: str) -> Iterator[Setting]:
    """Gated DeltaNet between layers of attention (Megatron-LM, `--experimental-attention-variant`)."""
    kinds = {one for one in mixers if isinstance(one, Recurrent)}
    others = [one for one in mixers if not isinstance(one, (Gqa, Mla, Recurrent))]
    refuse(engine, bool(others) or len(kinds) > 1, "layers of a kind that GPT's arguments do not describe")
    if not kinds:
        return
    (one,) = kinds
    refuse(engine, one.rule.name != "gated-deltanet", f"layers of the kind {one.kind}")
    yield _said("--experimental-attention-variant", "gated_delta_net")
    yield _said("--linear-attention-freq", _pattern([int(isinstance(each, Recurrent)) for each in mixers]))
    yield _said("--linear-conv-kernel-dim", one.kernel)
    yield _said("--linear-key-head-dim", one.key)
    yield _said("--linear-value-head-dim", one.value)
    yield _said("--linear-num-key-heads", one.key_heads)
    yield _said("--linear-num-value-heads", one.heads)


def _pattern(marks: list[int]) -> str:
    """`([0]*3+[1]*58)`: a mark for each layer, equal ones in a row together."""
    parts: list[list[int]] = []
    for mark in marks:
        if parts and parts[-1][0] == mark:
            parts[-1][1] += 1
        else:
            parts.append([mark, 1])
    return "(" + "+".join(f"[{mark}]*{many}" for mark, many in parts) + ")"


def _feed_forward(arch: Architecture, engine: str) -> Iterator[Setting]:
    every = [_ffn(arch.blocks[index], engine) for index in arch.layers]
    dense = {one for one in every if isinstance(one, Dense)}
    mixtures = {one for one in every if isinstance(one, Moe)}
    refuse(engine, len(dense) > 1 or len(mixtures) > 1, "feed-forward layers of several sizes in one model")
    for one in every:
        refuse(engine, any(one.bias), "biases in feed-forward layers")
    for plain in dense:
        yield _said("--ffn-hidden-size", plain.size)
    yield from _activation(arch, [one.gated for one in every], engine)
    for mixture in mixtures:
        yield from _experts(arch, mixture, engine)
        if dense:
            yield _said("--moe-layer-freq", _pattern([int(isinstance(one, Moe)) for one in every]))
        else:
            yield _said("--ffn-hidden-size", mixture.size)


def _activation(arch: Architecture, gated: list[bool], engine: str) -> Iterator[Setting]:
    """The function between the products: SwiGLU, squared ReLU, or GELU, which is Megatron's own."""
    name = config(arch).get("hidden_act", config(arch).get("hidden_activation", "silu"))
    refuse(engine, any(gated) and (not all(gated) or name not in ("silu", "swish")), f"gated layers with {name}")
    refuse(engine, not any(gated) and name not in ("relu2", "gelu", "gelu_pytorch_tanh"), f"layers with {name}")
    if all(gated):
        yield _said("--swiglu", True)
    elif name == "relu2":
        yield _said("--squared-relu", True)


def _ffn(block: Block, engine: str) -> Dense | Moe:
    refuse(engine, not isinstance(block.ffn, (Dense, Moe)), f"feed-forward layers of the kind {block.kind}")
    assert isinstance(block.ffn, (Dense, Moe))
    return block.ffn


def _experts(arch: Architecture, one: Moe, engine: str) -> Iterator[Setting]:
    refuse(engine, bool(one.latent_norm or one.extra_weight or one.router_outputs), "experts with parts of their own")
    yield _said("--num-experts", one.experts)
    yield _said("--moe-router-topk", one.top_k)
    yield _said("--moe-ffn-hidden-size", one.size)
    if one.shared is not None:
        yield _said("--moe-shared-expert-intermediate-size", one.shared.size)
    if one.shared_gate:
        yield _said("--moe-shared-expert-gate", True)
    if one.latent:
        yield _said("--moe-latent-size", one.latent)
    said = config(arch)
    balanced = said.get("topk_method") == "noaux_tc"  # by a bias and sigmoid scores (arXiv 2412.19437, section 2.1.2)
    if balanced or said.get("scoring_func") == "sigmoid":
        yield _said("--moe-router-score-function", "sigmoid")
    if balanced:
        yield _said("--moe-router-enable-expert-bias", True)
    groups, kept = arch.routing_groups
    if groups > 1:
        yield _said("--moe-router-num-groups", groups)
        yield _said("--moe-router-group-topk", kept)
    scale = said.get("routed_scaling_factor")
    if isinstance(scale, (int, float)) and scale != 1:
        yield _said("--moe-router-topk-scaling-factor", float(scale))
