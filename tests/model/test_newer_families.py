"""Families beyond the bundled models: parameters are those of transformers on the meta device, exactly."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from tonnage.model import build, params

SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 100,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
TYPES = {"layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]}
SPARSE = {"mlp_layer_types": ["dense", "sparse", "sparse", "sparse"]}
MOE = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "num_shared_experts": 1}
LATENT = {
    "kv_lora_rank": 16,
    "q_lora_rank": 12,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
    "num_key_value_heads": 4,
}
ROUTED = {"n_routed_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "n_shared_experts": 1}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 2, "mamba_expand": 2}

KINDS: dict[str, dict[str, Any]] = {
    "mimo_v2_flash": ROUTED
    | TYPES
    | SPARSE
    | {
        "v_head_dim": 12,
        "n_shared_experts": None,
        "sliding_window": 8,
        "swa_num_key_value_heads": 4,
        "swa_head_dim": 16,
        "swa_v_head_dim": 12,
    },
    "exaone4": TYPES | {"sliding_window": 8},
    "exaone_moe": MOE | TYPES | SPARSE | {"sliding_window": 8, "num_shared_experts": 2},
    "hunyuan_v1_dense": {"attention_bias": True},
    "hunyuan_v1_moe": {"num_experts": 6, "moe_topk": 2},
    "hy_v3": MOE | SPARSE,
    "bailing_hybrid": MOE
    | LATENT
    | {
        "q_lora_rank": None,
        "num_experts_per_token": 2,
        "num_expert_group": 1,
        "topk_group": 1,
        "first_k_dense_replace": 1,
        "mlp_layer_types": None,
        "layer_types": None,
        "linear_head_dim": 8,
        "linear_num_heads": 4,
        "layer_group_size": 4,
        "short_conv_kernel_size": 4,
        "num_nextn_predict_layers": 0,
    },
    "ernie4_5_moe": {
        "moe_num_experts": 6,
        "moe_k": 2,
        "moe_intermediate_size": 24,
        "moe_num_shared_experts": 2,
        "moe_layer_start_index": 1,
        "moe_layer_end_index": 3,
    },
    "phimoe": {"num_local_experts": 6, "num_experts_per_tok": 2, "attention_bias": True, "lm_head_bias": True},
    "afmoe": MOE | TYPES | {"sliding_window": 8, "num_dense_layers": 1, "num_shared_experts": 2},
    "laguna": MOE
    | SPARSE
    | TYPES
    | {"num_attention_heads_per_layer": [4, 8, 8, 4], "shared_expert_intermediate_size": 20, "sliding_window": 8},
    "granitemoe": {"num_local_experts": 6, "num_experts_per_tok": 2},
    "granitemoeshared": {"num_local_experts": 6, "num_experts_per_tok": 2, "shared_intermediate_size": 20},
    "glm4_moe_lite": LATENT | ROUTED | SPARSE | {"head_dim": 4, "num_nextn_predict_layers": 0},
    "youtu": LATENT,
    "minicpm3": LATENT,
    "solar_open": ROUTED,
    "olmo": {"num_key_value_heads": 4},
    "olmo3": TYPES,
    "apertus": {},
    "arcee": {"mlp_bias": True},
    "cohere": {"tie_word_embeddings": True},
    "cohere2": TYPES | {"sliding_window": 8},
    "phi": {},
    "starcoder2": {},
    "stablelm": {"use_qkv_bias": True},
    "glm": {"attention_bias": True},
    "internlm3": {},
    "ministral3": {},
    "falcon_h1": MAMBA | {"mamba_d_ssm": 128},
    "granitemoehybrid": MAMBA
    | {
        "layer_types": ["linear_attention", "linear_attention", "full_attention", "linear_attention"],
        "num_local_experts": 6,
        "num_experts_per_tok": 2,
        "shared_intermediate_size": 20,
    },
    "lfm2": {"layer_types": ["conv", "conv", "full_attention", "conv"], "block_auto_adjust_ff_dim": True},
    "lfm2_moe": MOE | {"layer_types": ["conv", "conv", "full_attention", "conv"], "num_dense_layers": 1},
}


def counted(kind: str, cls: str = "AutoModelForCausalLM") -> tuple[dict[str, Any], int]:
    """The configuration that transformers makes of a small one, and the parameters of its model."""
    import torch
    import transformers

    settings = transformers.AutoConfig.for_model(kind, **json.loads(json.dumps(SMALL | KINDS[kind])))
    with torch.device("meta"):
        model = getattr(transformers, cls).from_config(settings)
    return settings.to_dict(), sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_total_is_that_of_transformers(kind: str) -> None:
    config, total = counted(kind)
    assert params(build(SMALL | KINDS[kind] | {"model_type": kind}, name=kind)).total == total
    plain = {key: value for key, value in config.items() if key not in ("dtype", "torch_dtype")}
    assert params(build(plain | {"model_type": kind}, name=kind)).total == total
