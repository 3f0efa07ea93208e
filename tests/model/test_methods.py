"""Methods of quantisation that engines load, each as bytes of an element of a linear layer."""

from __future__ import annotations

from typing import Any

import pytest

from tonnage.errors import InputError
from tonnage.model import build, load

BASE = dict(load("llama-3.1-8b").config)
"""Llama-3.1-8B: 224 linear matrices."""


def element(section: dict[str, Any], part: str = "ffn") -> float:
    """Bytes of an element of a part."""
    found = build({**BASE, "quantization_config": section}, name="x")
    return found.release.element(part)  # type: ignore[arg-type]


CASES: list[tuple[str, dict[str, Any], float]] = [
    ("bitnet", {"quant_method": "bitnet", "linear_class": "bitlinear"}, 0.25),
    ("gemma-4bit", {"quant_method": "gemma", "num_bits": 4}, 0.5),
    ("higgs", {"quant_method": "higgs", "bits": 4, "group_size": 256}, 0.5 + 2 / 256),
    ("sinq", {"quant_method": "sinq", "nbits": 4, "group_size": 64}, 0.5 + 4 / 64),
    ("metal", {"quant_method": "metal", "bits": 4, "group_size": 64}, 0.5 + 4 / 64),
    ("fouroversix", {"quant_method": "fouroversix"}, 0.5 + 1 / 16),
    ("humming", {"quant_method": "humming", "bits": 4, "group_size": 128}, 0.5 + 2 / 128),
    ("fp8-per-block", {"quant_method": "fp8_per_block"}, 1 + 4 / 128**2),
    ("int8-channel", {"quant_method": "int8_per_channel_weight_only"}, 1.0),
    ("fp8-blocks-of-32", {"quant_method": "fp8", "weight_block_size": [32, 32], "scale_fmt": "ue8m0"}, 1 + 1 / 1024),
    (
        "quark-mxfp6",
        {
            "quant_method": "quark",
            "global_quant_config": {
                "weight": {"dtype": "fp6_e2m3", "group_size": 32, "qscheme": "per_group"},
                "input_tensors": {"dtype": "fp6_e2m3"},
            },
        },
        0.75 + 1 / 32,
    ),
    (
        "compressed-mxfp6",
        {
            "quant_method": "compressed-tensors",
            "config_groups": {
                "g": {
                    "targets": ["Linear"],
                    "weights": {"num_bits": 6, "type": "float", "group_size": 32},
                    "input_activations": None,
                }
            },
        },
        0.75 + 1 / 32,
    ),
    (
        "auto-round-mxfp8",
        {"quant_method": "auto-round", "bits": 8, "group_size": 32, "data_type": "mx_fp"},
        1 + 1 / 32,
    ),
    (
        "auto-round-nvfp4",
        {"quant_method": "auto-round", "bits": 4, "group_size": 16, "data_type": "nv_fp4_with_static_gs"},
        0.5 + 1 / 16,
    ),
    (
        "auto-round-fp8-blocks",
        {
            "quant_method": "auto-round",
            "bits": 8,
            "group_size": [128, 128],
            "data_type": "fp",
            "packing_format": "auto_round:fp8",
        },
        1 + 4 / 128**2,
    ),
    ("auto-round-w2", {"quant_method": "auto-round", "bits": 2, "group_size": 32, "sym": True}, 0.25 + 2 / 32),
    (
        "vptq",
        {
            "quant_method": "vptq",
            "shared_layer_config": {
                name: {"vector_lens": [-1, 8], "num_centroids": [-1, 65536], "num_res_centroids": [-1, 256]}
                for name in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
            },
        },
        (16 / 8 + 8 / 8) / 8,
    ),
]


@pytest.mark.parametrize(("section", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_bytes_of_an_element(section: dict[str, Any], wanted: float) -> None:
    assert element(section) == pytest.approx(wanted, rel=1e-6)


def test_auto_round_gives_modules_their_own_data_type() -> None:
    section = {
        "quant_method": "auto-round",
        "bits": 4,
        "group_size": 128,
        "sym": True,
        "extra_config": {
            **{
                f"model.layers.{n}.mlp.down_proj": {"bits": 8, "group_size": 32, "data_type": "mx_fp"}
                for n in range(32)
            },
            ".*self_attn.*": {"bits": 16, "data_type": "fp"},
        },
    }
    int4, mx = 0.5 + 2 / 128, 1 + 1 / 32
    assert element(section) == pytest.approx((2 * int4 + mx) / 3, rel=1e-6)
    assert element(section, "attention") == 2.0


def test_gemma_patterns_of_modules() -> None:
    section = {"quant_method": "gemma", "num_bits": 4, "module_quant_configs": {r"self_attn\.": {"num_bits": 8}}}
    assert element(section) == 0.5
    assert element(section, "attention") == 1.0


def test_ascend_without_a_description_leaves_what_modelslim_leaves() -> None:
    qwen = dict(load("qwen3.8-27b").config)
    found = build({**qwen, "quantization_config": {"quant_method": "ascend", "quantize": "W8A8_DYNAMIC"}}, name="x")
    assert found.release.element("ffn") == 1.0
    assert 1.0 < found.release.element("attention") < 1.5


@pytest.mark.parametrize(("method", "engine"), [("exl2", "ExLlamaV2"), ("exl3", "ExLlamaV3")])
def test_formats_of_other_engines_are_refused_with_what_loads_them(method: str, engine: str) -> None:
    with pytest.raises(InputError, match=engine):
        build({**BASE, "quantization_config": {"quant_method": method, "bits": 4.0}}, name="x")


def test_blocks_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(InputError, match="weight_block_size"):
        build({**BASE, "quantization_config": {"quant_method": "fp8", "weight_block_size": [32]}}, name="x")


def test_the_first_deepseek_has_plain_attention() -> None:
    config = {
        "model_type": "deepseek_v2",
        "use_mla": False,
        "kv_lora_rank": None,
        "hidden_size": 1280,
        "intermediate_size": 6848,
        "moe_intermediate_size": 896,
        "num_hidden_layers": 12,
        "num_attention_heads": 10,
        "num_key_value_heads": 10,
        "n_routed_experts": 64,
        "n_shared_experts": 2,
        "num_experts_per_tok": 6,
        "first_k_dense_replace": 1,
        "vocab_size": 129280,
    }
    assert build(config, name="ocr").blocks[0].kind == "mha+dense"
