"""A configuration of the catalogue made small: the same architecture, other sizes.

Only numbers are changed: every kind of layer, projection, norm and router is that of the release. Widths are divided by
the scale and brought onto whole multiples; a dense first layer, shared experts and routed ones stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from tonnage.errors import InputError, Problem, nearest

WIDTHS = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
    "q_lora_rank": 32,
    "kv_lora_rank": 32,
    "head_dim": 16,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 16,
    "v_head_dim": 16,
}
"""Keys that are widths, with the multiple on which the small ones lie and below which they do not go."""

HEADS = ("num_attention_heads", "num_key_value_heads")
EXPERTS = ("n_routed_experts", "num_experts", "num_local_experts")
ROUTED = ("num_experts_per_tok", "num_experts_per_token")
FIRST_DENSE = "first_k_dense_replace"

FEWEST_HEADS, FEWEST_EXPERTS, FEWEST_ROUTED = 2, 8, 2
"""The least of each that still is what it is: several heads, a choice among experts, more than one chosen."""

DROPPED = (
    "quantization_config",
    "rope_scaling",
    "auto_map",
    "torch_dtype",
    "dtype",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "num_nextn_predict_layers",
    "layer_types",
    "max_window_layers",
)
"""Keys that say how the release is stored, tokenised or stretched, or that follow the number of layers."""


def scaled(
    config: Mapping[str, object], scale: float, vocab: int, context: int, sizes: Mapping[str, int]
) -> dict[str, object]:
    """The configuration divided by `scale`, with a vocabulary [tokens] and a context [tokens] of its own.

    sizes: keys with sizes of their own, which win. Raises InputError for one that the configuration does not have.
    """
    text = config.get("text_config")
    made = dict(text if isinstance(text, Mapping) else config)
    unknown = [
        Problem("is no size of this model", path=f"sizes.{key}", suggestion=nearest(key, made))
        for key in sizes
        if key not in made
    ]
    if unknown:
        raise InputError(unknown)
    for key, multiple in WIDTHS.items():
        if _whole(made.get(key)):
            made[key] = min(_whole(made[key]), max(multiple, round(_whole(made[key]) / scale / multiple) * multiple))
    _fewer(made, scale)
    for key in DROPPED:
        made.pop(key, None)
    made |= {"vocab_size": vocab, "max_position_embeddings": context, **sizes}
    _together(made)
    return made


def _whole(value: object) -> int:
    """A size of the configuration, 0 where it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _fewer(made: dict[str, object], scale: float) -> None:
    """Heads, layers and experts by the square root of the scale: widths and numbers shrink together."""
    root = max(1.0, scale**0.5)
    dense = min(_whole(made.get(FIRST_DENSE)), 1)
    if FIRST_DENSE in made:
        made[FIRST_DENSE] = dense
    for key in HEADS:
        if _whole(made.get(key)):
            made[key] = min(_whole(made[key]), max(FEWEST_HEADS, round(_whole(made[key]) / scale)))
    made["num_hidden_layers"] = min(
        _whole(made["num_hidden_layers"]), max(dense + 2, round(_whole(made["num_hidden_layers"]) / scale))
    )
    for key in EXPERTS:
        if _whole(made.get(key)):
            made[key] = min(_whole(made[key]), max(FEWEST_EXPERTS, round(_whole(made[key]) / scale)))
    for key in ROUTED:
        if _whole(made.get(key)):
            made[key] = min(_whole(made[key]), max(FEWEST_ROUTED, round(_whole(made[key]) / root)))


def _together(made: dict[str, object]) -> None:
    """Sizes that must divide one another: key heads the query heads, groups the experts, routed at most the experts."""
    heads, keys = (_whole(made.get(key)) for key in HEADS)
    if keys and heads % keys:
        made[HEADS[1]] = next(number for number in range(min(keys, heads), 0, -1) if heads % number == 0)
    experts = next((_whole(made[key]) for key in EXPERTS if _whole(made.get(key))), 0)
    for key in ROUTED:
        if experts and _whole(made.get(key)):
            made[key] = min(_whole(made[key]), max(1, experts // 2))
    if "n_group" in made:
        made |= {"n_group": 1, "topk_group": 1}
    if made.get("topk_method") == "noaux_tc":
        made.setdefault("scoring_func", "sigmoid")  # DeepSeek-V3, arXiv 2412.19437, equation 15; engines read the key
