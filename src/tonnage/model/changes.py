"""Sizes changed in a configuration: `layers: 80` means the same for every family."""

from __future__ import annotations

from collections.abc import Mapping

from tonnage.errors import Problem, nearest
from tonnage.model.config import Place

NAMES: dict[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers", "n_layer"),
    "hidden": ("hidden_size", "n_embd"),
    "heads": ("num_attention_heads", "n_head"),
    "kv_heads": ("num_key_value_heads",),
    "head_dim": ("head_dim",),
    "ffn": ("intermediate_size", "n_inner"),
    "experts": ("n_routed_experts", "num_experts", "num_local_experts"),
    "expert_ffn": ("moe_intermediate_size", "intermediate_size"),
    "top_k": ("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "top_k_experts"),
    "shared_experts": ("n_shared_experts", "num_shared_experts"),
    "dense_layers": ("first_k_dense_replace",),
    "vocab": ("vocab_size",),
    "context": ("max_position_embeddings", "n_positions"),
    "window": ("sliding_window",),
    "mtp": ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules"),
}
"""What people call a size, and the keys that mean it in a config.json."""


def change(
    config: Mapping[str, object], changes: Mapping[str, object], problems: list[Problem], place: Place
) -> dict[str, object]:
    """The configuration with `changes` made; unknown keys go to `problems` with the nearest known one."""
    text = config.get("text_config")
    inner = dict(text) if isinstance(text, Mapping) else dict(config)
    depth = _depth(inner)
    for key, value in changes.items():
        found = [name for name in (key, *NAMES.get(key, ())) if name in inner]
        if not found:
            known = {*(name for name, keys in NAMES.items() if any(k in inner for k in keys)), *inner}
            message = f"no size `{key}` in a {inner.get('model_type', 'model')}"
            problems.append(Problem(message, place(key), key, nearest(key, known)))
            continue
        for name in found if key in ("heads", "top_k") else found[:1]:
            if key == "heads" and inner.get("num_key_value_heads") == inner.get(name) and "kv_heads" not in changes:
                inner["num_key_value_heads"] = value
            inner[name] = value
    _stretch(inner, depth, set(changes))
    return {**config, "text_config": inner} if isinstance(text, Mapping) else inner


def _depth(config: Mapping[str, object]) -> int:
    """The number of layers that a configuration gives, 0 where it gives none."""
    values = (config.get(key) for key in NAMES["layers"])
    return next((value for value in values if isinstance(value, int)), 0)


def _stretch(config: dict[str, object], before: int, given: set[str]) -> None:
    """Lists of one entry a layer follow the number of layers: cut short, or continued with their last period."""
    after = _depth(config)
    if isinstance(after, bool) or not 0 < after <= 10_000 or after == before or not before:
        return
    for key, value in config.items():
        if key in given:
            continue
        if isinstance(value, list) and len(value) in (before, before + 1):
            config[key] = _continued(value[:before], after) + value[before:]
        elif isinstance(value, str) and len(value) == before and key.endswith("pattern"):
            config[key] = "".join(map(str, _continued(list(value), after)))


def _continued(values: list[object], length: int) -> list[object]:
    """A list cut to `length`, or continued with its last period."""
    period = _period(values)
    return [
        values[i] if i < len(values) else values[len(values) - period + (i - len(values)) % period]
        for i in range(length)
    ]


def _period(values: list[object]) -> int:
    """The shortest rhythm in which the second half of a list goes on."""
    half = values[len(values) // 2 :]
    return next((p for p in range(1, len(half)) if all(half[i] == half[i - p] for i in range(p, len(half)))), 1)
