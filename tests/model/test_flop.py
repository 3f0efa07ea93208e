"""FLOP of every operator class against torch's flop counter on small random models of each kind.

Convention: GEMMs are compared exactly. The eager attention of transformers multiplies the full square of new tokens by
keys; tonnage counts the pairs that the mask leaves. So the expected count replaces each core's mean keys by all keys.
Left out on both sides, by name: rotary angles (a matrix product by 1 in transformers), recurrent scans and short
convolutions (python loops or vendor kernels in transformers; their projections are compared).
"""

from __future__ import annotations

import os
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from tonnage.model import Architecture, Load, Operator, Step, build, operators, params

BATCH, LENGTH = 2, 24
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 80,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 20}
LATENT = {
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
    "num_key_value_heads": 4,
    "n_routed_experts": 6,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 20,
    "n_shared_experts": 2,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}
DELTA = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
    "shared_expert_intermediate_size": 12,
}
MAMBA = {
    "hybrid_override_pattern": "ME*-",
    "num_hidden_layers": 4,
    "mamba_num_heads": 4,
    "mamba_head_dim": 8,
    "n_groups": 2,
    "ssm_state_size": 8,
    "conv_kernel": 4,
    "chunk_size": 8,
    "n_routed_experts": 6,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 20,
    "moe_shared_expert_intermediate_size": 24,
    "moe_latent_size": 16,
    "n_group": 1,
    "topk_group": 1,
}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {"attention_bias": True, "mlp_bias": True},
    "mistral": {"sliding_window": 5},
    "qwen2": {},
    "qwen3": {"head_dim": 12},
    "gemma": {"head_dim": 16, "tie_word_embeddings": True},
    "gpt2": {"n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 64, "vocab_size": 80},
    "nemotron": {},
    "mixtral": {"num_local_experts": 6, "num_experts_per_tok": 3},
    "qwen3_moe": EXPERTS,
    "gpt_oss": {"num_local_experts": 6, "num_experts_per_tok": 3, "sliding_window": 5},
    "glm4_moe": LATENT | {"attention_bias": True, "use_qk_norm": True},
    "minimax_m2": {"num_local_experts": 6, "num_experts_per_tok": 3},
    "llama4_text": {
        "num_local_experts": 6,
        "num_experts_per_tok": 2,
        "intermediate_size_mlp": 40,
        "interleave_moe_layer_step": 2,
    },
    "deepseek_v2": LATENT | {"q_lora_rank": None, "topk_method": "greedy"},
    "deepseek_v3": LATENT | {"q_lora_rank": 12, "head_dim": 4},
    "deepseek_v32": LATENT | {"q_lora_rank": 12, "index_n_heads": 3, "index_head_dim": 8, "index_topk": 32},
    "glm_moe_dsa": LATENT | {"q_lora_rank": 12, "index_n_heads": 3, "index_head_dim": 8, "index_topk": 32},
    "deepseek_v4": LATENT
    | {
        "num_key_value_heads": 1,
        "n_shared_experts": 1,
        "intermediate_size": 20,
        "q_lora_rank": 12,
        "num_hidden_layers": 3,
        "compress_ratios": [0, 4, 128],
        "num_hash_layers": 1,
        "hc_mult": 3,
        "sliding_window": 5,
        "o_groups": 2,
        "o_lora_rank": 6,
        "index_n_heads": 3,
        "index_head_dim": 8,
        "index_topk": 4,
        "swiglu_limit": 10.0,
    },
    "kimi_linear": LATENT
    | {
        "num_experts": 6,
        "num_experts_per_token": 3,
        "num_shared_experts": 1,
        "num_hidden_layers": 3,
        "linear_attn_config": {
            "full_attn_layers": [3],
            "kda_layers": [1, 2],
            "num_heads": 4,
            "head_dim": 8,
            "short_conv_kernel_size": 4,
        },
    },
    "inkling_text": LATENT
    | {
        "d_rel": 4,
        "rel_extent": 16,
        "sliding_window_size": 5,
        "swa_num_attention_heads": 4,
        "swa_num_key_value_heads": 2,
        "swa_head_dim": 8,
        "layer_types": ["hybrid_sliding", "hybrid"],
        "mlp_layer_types": ["dense", "sparse"],
    },
    "qwen3_next": EXPERTS | DELTA,
    "qwen3_5_text": DELTA,
    "nemotron_h": MAMBA,
    "minimax": {"num_local_experts": 6, "num_experts_per_tok": 3, "block_size": 8},
    "minimax_m3_vl_text": {
        "dense_intermediate_size": 40,
        "shared_intermediate_size": 20,
        "num_local_experts": 6,
        "num_experts_per_tok": 3,
        "index_n_heads": 2,
        "index_head_dim": 8,
        "index_block_size": 4,
        "index_topk_blocks": 2,
        "layer_types": ["full_attention", "minimax_m3_sparse"],
        "mlp_layer_types": ["dense", "sparse"],
    },
    "qwen2_moe": EXPERTS | {"shared_expert_intermediate_size": 12},
    "phi3": {"head_dim": 8},
    "granite": {},
    "smollm3": {},
    "ministral": {"sliding_window": 5},
    "gemma2": {"sliding_window": 5, "tie_word_embeddings": True},
    "gemma3_text": {"sliding_window": 5, "tie_word_embeddings": True},
    "olmo2": {},
    "olmoe": {"num_experts": 6, "num_experts_per_tok": 3},
    "seed_oss": {"attention_bias": True, "attention_out_bias": True},
    "ernie4_5": {"use_bias": True},
    "dots1": LATENT,
    "glm4": {"attention_bias": True},
    "gpt_neox": {"num_key_value_heads": 4},
    "gemma4_text": {
        "layer_types": ["sliding_attention", "full_attention"],
        "global_head_dim": 16,
        "sliding_window": 5,
        "enable_moe_block": True,
        "top_k_experts": 3,
        "num_experts": 6,
        "moe_intermediate_size": 20,
        "hidden_size_per_layer_input": 4,
        "vocab_size_per_layer_input": 80,
        "tie_word_embeddings": True,
    },
}


def tiny(kind: str) -> dict[str, Any]:
    return SMALL | KINDS[kind] | {"model_type": kind}


def counted(kind: str) -> tuple[float, int]:
    """FLOP of one forward pass by torch's counter, without rotary angles and recurrent scans; and the parameters."""
    import torch
    import transformers
    from torch.utils.flop_counter import FlopCounterMode

    config = transformers.AutoConfig.for_model(kind, **{k: v for k, v in tiny(kind).items() if k != "model_type"})
    config._experts_implementation = "eager"
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    modules = dict(model.named_modules())
    with torch.no_grad(), FlopCounterMode(display=False, depth=None) as counter:
        model(torch.randint(3, 80, (BATCH, LENGTH)), use_cache=False)
    totals = {path.split(".", 1)[-1]: sum(ops.values()) for path, ops in counter.get_flop_counts().items()}
    left_out = 0.0
    for path, total in totals.items():
        module = modules.get(path)
        if module is None:
            continue
        recurrent = any(word in type(module).__name__ for word in ("Delta", "Mamba2", "Lightning"))
        if any(word in type(module).__name__ for word in ("Rotary", "Conv1d", "ShortConvolution")):
            left_out += total
        elif recurrent:
            left_out += total - sum(totals.get(f"{path}.{name}", 0.0) for name, _ in module.named_children())
    return totals["Global"] - left_out, sum(parameter.numel() for parameter in model.parameters())


def expected(arch: Architecture, operator: Operator) -> float:
    """FLOP of an operator as the eager implementation computes it."""
    mixer = arch.blocks[operator.block].mixer if operator.block >= 0 else None
    if operator.kind == "attention":
        ratio = getattr(mixer, "ratio", 0)
        entries = LENGTH // ratio if ratio else 0
        keys = entries if ratio and operator.name == "index" else LENGTH + entries
        return float(2.0 * operator.m * keys * operator.groups * operator.k * operator.count)
    if operator.name.endswith(
        "_mixing"
    ):  # of the mixing of streams, the counter sees the product of streams by streams
        streams = arch.config["hc_mult"]
        return float(operator.m * 2 * streams * streams * arch.hidden * operator.count)
    if (
        operator.kind == "grouped_gemm" and arch.model_type == "llama4_text"
    ):  # transformers runs every expert on all rows
        return float(operator.flop * operator.groups / operator.top_k * operator.count)
    compared = operator.kind in ("gemm", "grouped_gemm") or operator.name == "shared_gate"
    return float(operator.flop * operator.count) if compared else 0.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_flop_and_parameters_are_those_counted(kind: str) -> None:
    arch = build(tiny(kind), name=kind)
    made = operators(arch, Step((Load(float(BATCH), float(LENGTH)),), float(BATCH * LENGTH)))
    assert (sum(expected(arch, op) for op in made), params(arch).total) == counted(kind)


def test_causal_pairs_are_half_of_the_square_and_the_diagonal() -> None:
    arch = build(tiny("llama"), name="llama")
    made = operators(arch, Step((Load(1.0, float(LENGTH)),), 1.0))
    core = next(op for op in made if op.name == "core")
    assert core.flop == 2 * (8 + 8) * 4 * LENGTH * (LENGTH + 1) / 2
