"""Small models of the kinds that there are: real classes of transformers, weights drawn, sizes of a laptop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Family = Literal["dense", "grouped", "hybrid", "experts"]

TYPES: dict[Family, str] = {"dense": "llama", "grouped": "qwen3", "hybrid": "qwen3_next", "experts": "deepseek_v3"}
"""transformers' type of each kind: full attention; keys shared by query heads; gated delta rule with experts; latent
attention with experts."""


@dataclass(frozen=True)
class Small:
    """One configuration. use: a step of training, or the tokens of a service; rows, length: of the batch; made:
    tokens that the service generates for each sequence; format: of weights and activations.
    """

    family: Family
    use: Literal["train", "serve"]
    hidden: int
    layers: int
    rows: int
    length: int
    made: int = 8
    format: str = "fp32"
    vocabulary: int = 4096

    @property
    def title(self) -> str:
        """For people."""
        return f"{TYPES[self.family]} {self.hidden}x{self.layers} {self.format}, {self.use} {self.rows}x{self.length}"

    def configuration(self) -> Any:
        """Its configuration, of the class that transformers has for the type."""
        from transformers import AutoConfig

        hidden, heads = self.hidden, max(2, self.hidden // 64)
        given: dict[str, Any] = {
            "vocab_size": self.vocabulary,
            "hidden_size": hidden,
            "intermediate_size": hidden * 11 // 4 // 32 * 32,
            "num_hidden_layers": self.layers,
            "num_attention_heads": heads,
            "num_key_value_heads": heads if self.family in ("dense", "experts") else max(1, heads // 4),
            "max_position_embeddings": 4096,
        }
        if self.family == "hybrid":  # three of four layers, and at least one of each kind
            kinds = ("linear_attention", "full_attention")
            given["layer_types"] = [kinds[i % 4 == 3 or i == self.layers - 1] for i in range(self.layers)]
        return AutoConfig.for_model(TYPES[self.family], **given, **_MORE[self.family](hidden, heads))

    def built(self) -> Any:
        """The model, its weights drawn."""
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.set_verbosity_error()
        sparse = {"experts_implementation": "grouped_mm"} if self.family in ("hybrid", "experts") else {}
        dtype = torch.float32 if self.format == "fp32" else torch.bfloat16
        config = self.configuration()
        return AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa", **sparse)


_MORE: dict[Family, Any] = {
    "dense": lambda hidden, heads: {},
    "grouped": lambda hidden, heads: {"head_dim": 64},
    "hybrid": lambda hidden, heads: {
        "head_dim": 64,
        "linear_num_key_heads": max(1, heads // 2),
        "linear_num_value_heads": 2 * max(1, heads // 2),
        "linear_key_head_dim": 32,
        "linear_value_head_dim": 32,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": hidden // 2,
        "shared_expert_intermediate_size": hidden // 2,
    },
    "experts": lambda hidden, heads: {
        "q_lora_rank": hidden // 2,
        "kv_lora_rank": hidden // 4,
        "qk_rope_head_dim": 16,
        "qk_nope_head_dim": 32,
        "v_head_dim": 32,
        "head_dim": 16,
        "n_routed_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": hidden // 2,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
    },
}
"""What each kind has besides."""


def _several(use: Literal["train", "serve"], sizes: tuple[tuple[int, int, int, int], ...]) -> tuple[Small, ...]:
    return tuple(Small(family, use, *size) for family in TYPES for size in sizes)


FITTED = (*_several("train", ((192, 3, 2, 96),)), *_several("serve", ((192, 3, 2, 96),)))
"""Configurations on which the factor of the framework is fitted (`scripts/fit_framework.py`), and no other."""

QUICK = (Small("grouped", "train", 256, 4, 2, 128), Small("grouped", "serve", 256, 4, 2, 128))
"""Those of a quick check: one run and one service."""

CHECKED = (
    *_several("train", ((256, 4, 2, 128), (384, 4, 4, 64), (512, 2, 1, 256))),
    *_several("serve", ((256, 4, 2, 128), (512, 3, 4, 64))),
    Small("dense", "train", 256, 6, 2, 200, format="bf16"),
    Small("grouped", "train", 512, 3, 2, 128, format="bf16"),
    Small("grouped", "serve", 768, 3, 1, 200, format="bf16"),
    Small("experts", "train", 384, 3, 2, 160, format="bf16"),
)
"""Those of a whole check: none was used for calibration."""
