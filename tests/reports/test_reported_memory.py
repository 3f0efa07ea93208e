"""Public reports of what fits, each with the command that asks for it and the value that was reported.

Tolerances: sums by a release's own list of modules 1 % (files are exact, the report rounds to two digits); what ran or
ran out of memory is a yes or a no. Each configuration is the architecture and the section as the method writes it.
Reports that stand elsewhere are not repeated: tests/cli/test_reports.py and test_reports_speed.py (caches, gpt-oss-120b
on one H100, Ascend, GLM-5 in NVFP4), tests/serve/test_serve_released.py (Gemma 4 31B, Qwen3.6 27B in NVFP4),
tests/serve/test_serve_spread.py (rooms as logged).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., dict[str, Any]]
Release = Callable[..., Path]

LAYERS = "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME"
"""Layers of Nemotron 3 Nano: Mamba-2, experts, attention."""


def nano() -> dict[str, object]:
    """hf_quant_config.json of Nemotron 3 Nano in NVFP4: attention, and the Mamba layer before each, stay in BF16."""
    names = ["lm_head"]
    for number, kind in enumerate(LAYERS):
        before_attention = kind == "M" and LAYERS[number + 1 : number + 2] == "*"
        leaves = ("in_proj", "out_proj") if before_attention else ()
        leaves = ("q_proj", "k_proj", "v_proj", "o_proj") if kind == "*" else leaves
        names += [f"backbone.layers.{number}.mixer.{leaf}" for leaf in leaves]
        names += [f"backbone.layers.{number}.mixer.conv1d"] if kind == "M" else []
    return modelopt("NVFP4", names)


def lightning() -> dict[str, object]:
    """hf_quant_config.json of Nemotron 3.5 Lightning: FP8 Mamba layers, experts and head in NVFP4 without narrow
    activations.
    """
    listed: dict[str, object] = {"lm_head": {"quant_algo": "W4A16_NVFP4", "group_size": 16}}
    for number, kind in enumerate(LAYERS):
        at = f"backbone.layers.{number}.mixer"
        if kind == "M":
            listed |= {f"{at}.{leaf}": {"quant_algo": "FP8"} for leaf in ("in_proj", "out_proj")}
        elif kind == "E":
            where = [*(f"{at}.experts.{expert}" for expert in range(128)), f"{at}.shared_experts"]
            narrow = {"quant_algo": "W4A16_NVFP4", "group_size": 16}
            listed |= {f"{one}.{leaf}": narrow for one in where for leaf in ("up_proj", "down_proj")}
    made = modelopt("MIXED_PRECISION", [])
    made["quantization"]["quantized_layers"] = listed
    return made


def modelopt(algorithm: str, left_out: list[str]) -> dict[str, Any]:
    """As ModelOpt writes it."""
    section = {"quant_algo": algorithm, "kv_cache_quant_algo": "FP8", "group_size": 16, "exclude_modules": left_out}
    return {"producer": {"name": "modelopt"}, "quantization": section}


GATES = [f"model.layers.{number}.mlp.gate" for number in range(94)]


@pytest.mark.parametrize(
    ("model", "beside", "chips", "gigabytes", "within"),
    [
        # D1: 72.7 GB, 134 GB in all, about 19 GB: false noes while the file beside config.json was not read
        ("llama-3.1-70b", modelopt("FP8", ["lm_head"]), "1xh200-sxm", 72.7, 0.002),
        ("qwen3-235b-a22b", modelopt("NVFP4", ["lm_head", *GATES]), "2xb200-sxm", 134.0, 0.01),
        ("nemotron-3-nano", nano(), "1xrtx-5090", 19.3, 0.01),
        # 21.5 GB by the file, 2.7 of them the layer that predicts ahead, which is not loaded without drafts
        ("nemotron-3.5-lightning", lightning(), "1xrtx-5090", 18.9, 0.01),
    ],
    ids=["llama-70b-fp8", "qwen3-235b-nvfp4", "nano-nvfp4", "lightning-nvfp4"],
)
def test_formats_beside_a_configuration(
    ask: Ask, release: Release, model: str, beside: dict[str, object], chips: str, gigabytes: float, within: float
) -> None:
    """Folders of NVIDIA's releases: `hf_quant_config.json` beside a config.json that says nothing of formats."""
    found = ask(f"fit {release(model, {'hf_quant_config.json': beside})} --on {chips} --layout tp{chips[0]}")
    assert found["memory"]["weights"] * float(chips[0]) / 1e9 == pytest.approx(gigabytes, rel=within)


BNB = {"quant_method": "bitsandbytes", "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
LINEAR = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336)
REST = 8_030_261_248 - LINEAR


@pytest.mark.parametrize(
    ("section", "gigabytes", "within"),
    [
        # a public model page: 5.6 GB of files; vLLM holds the blocks' maxima too
        ({**BNB, "load_in_4bit": True, "load_in_8bit": False, "llm_int8_skip_modules": None}, 5.6, 0.02),
        # vllm #14452
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, (LINEAR + 2 * REST) / 1e9, 1e-3),
        ({"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["lm_head"]}, (LINEAR + 2 * REST) / 1e9, 1e-3),
        (
            {"quant_method": "gptq", "bits": 3, "group_size": 128, "desc_act": False},
            (LINEAR * (3 / 8 + (2 + 3 / 8) / 128) + 2 * REST) / 1e9,
            1e-3,
        ),
        (
            {"quant_method": "gptq", "bits": "4", "group_size": 128},
            (LINEAR * (0.5 + 2.5 / 128) + 2 * REST) / 1e9,
            1e-3,
        ),
    ],
    ids=["nf4", "int8", "fbgemm", "gptq-3", "bits-as-text"],
)
def test_methods_that_were_taken_for_bf16(
    ask: Ask, release: Release, section: dict[str, object], gigabytes: float, within: float
) -> None:
    """D3: Llama 3.1 8B by each method on one L4, weights of 16.1 GB before."""
    found = ask(f"fit {release('llama-3.1-8b', quantization_config=section)} --on 1xl4 --engine vllm")
    assert found["memory"]["weights"] / 1e9 == pytest.approx(gigabytes, rel=within)


def test_a_known_layout_under_another_type(ask: Ask, release: Release) -> None:
    """D5: sgl-project/DeepSeek-V4-Flash-FP8 says deepseek_ref and the class of V4: 284.33B, all layers in FP8."""
    section = {"quant_method": "fp8", "fmt": "e4m3", "scale_fmt": "ue8m0", "weight_block_size": [128, 128]}
    known = {"model_type": "deepseek_ref", "architectures": ["DeepseekV4ForCausalLM"], "expert_dtype": None}
    found = ask(f"fit {release('deepseek-v4-flash', quantization_config=section, **known)} --on 8xh200-sxm")
    assert found["params"] == 284_332_230_231
    assert found["memory"]["weights"] * 8 > 284.3e9


@pytest.mark.parametrize(
    ("config", "billions"),
    [
        (
            {"model_type": "glm4_moe_lite", "architectures": ["Glm4MoeLiteForCausalLM"], "num_hidden_layers": 47,
             "hidden_size": 2048, "num_attention_heads": 20, "num_key_value_heads": 20, "intermediate_size": 10240,
             "vocab_size": 154880, "n_routed_experts": 64, "n_shared_experts": 1, "num_experts_per_tok": 4,
             "moe_intermediate_size": 1536, "first_k_dense_replace": 1, "kv_lora_rank": 512, "q_lora_rank": 768,
             "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "v_head_dim": 256, "max_position_embeddings": 202752},
            29.943,
        ),
        (
            {"model_type": "exaone", "architectures": ["ExaoneForCausalLM"], "hidden_size": 4096, "num_layers": 32,
             "intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 102400,
             "max_position_embeddings": 4096},
            7.818,
        ),
        (
            {"model_type": "bailing_moe", "architectures": ["BailingMoeForCausalLM"], "hidden_size": 5376,
             "intermediate_size": 12288, "moe_intermediate_size": 3072, "num_experts": 64, "num_shared_experts": 1,
             "num_attention_heads": 56, "num_experts_per_tok": 4, "num_hidden_layers": 88, "num_key_value_heads": 8,
             "vocab_size": 126464, "head_dim": 128, "max_position_embeddings": 16384},
            290.0,
        ),
        (
            {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"],
             "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
                             "num_hidden_layers": 34, "sliding_window": 1024,
                             "rope_scaling": {"factor": 8.0, "rope_type": "linear"}},
             "vision_config": {"hidden_size": 1152, "image_size": 896, "intermediate_size": 4304,
                               "model_type": "siglip_vision_model", "num_attention_heads": 16,
                               "num_hidden_layers": 27, "patch_size": 14, "vision_use_head": False}},
            4.300,
        ),
        (
            {"model_type": "qwen2_5_vl", "architectures": ["Qwen2_5_VLForConditionalGeneration"], "hidden_size": 3584,
             "intermediate_size": 18944, "num_attention_heads": 28, "num_hidden_layers": 28, "vocab_size": 152064,
             "num_key_value_heads": 4, "max_position_embeddings": 128000, "tie_word_embeddings": False,
             "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
             "vision_config": {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "in_chans": 3,
                               "out_hidden_size": 3584, "patch_size": 14, "spatial_merge_size": 2,
                               "temporal_patch_size": 2}},
            8.292,
        ),
    ],
    ids=["glm-4.7-flash", "exaone-3", "ling-plus", "gemma-3-4b", "qwen2.5-vl-7b"],
)  # fmt: skip
def test_families_that_were_refused(ask: Ask, release: Release, config: dict[str, Any], billions: float) -> None:
    """F5, F6, F7: parameters as the makers publish them (model cards: 30B, 7.8B, 290B, 4.3B, 8.29B), within 1 %: the
    cards round to two or three digits.
    """
    found = ask(f"fit {release(config)} --on 8xh200-sxm")
    assert found["params"] / 1e9 == pytest.approx(billions, rel=0.01)


def test_kimi_k3_runs_on_16_gb200(ask: Ask) -> None:
    """A7, sglang PR 32592: run and measured with TP16, DCP16, EP16; the release is mxfp4 of about 1.5 TB, 115 GB a rank
    with tp8,ep16,dp2 by its file.
    """
    assert ask("fit kimi-k3 --on 16xgb200 --layout tp16,ep16")["weights"] == "mxfp4"
    found = ask("fit kimi-k3 --on 16xgb200 --layout tp8,ep16,dp2")
    assert found["memory"]["weights"] == pytest.approx(115e9, rel=0.01)


def test_a_list_of_every_expert_is_read(ask: Ask, release: Release) -> None:
    """F8: 3 MB of names by module; files up to 16 MB are read."""
    listed = {
        f"model.layers.{layer}.mlp.experts.{expert}.{leaf}_proj": {"quant_algo": "NVFP4", "group_size": 16}
        for layer in range(94)
        for expert in range(128)
        for leaf in ("gate", "up", "down")
    }
    listed |= {
        f"model.layers.{layer}.self_attn.{leaf}_proj": {"quant_algo": "NVFP4", "group_size": 16}
        for layer in range(94)
        for leaf in "qkvo"
    }
    section = {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": listed}
    folder = release("qwen3-235b-a22b", quantization_config=section)
    assert 3e6 < (folder / "config.json").stat().st_size < 16e6
    found = ask(f"fit {folder} --on 2xb200-sxm --layout tp2")
    assert found["memory"]["weights"] * 2 / 1e9 == pytest.approx(134.0, rel=0.01)


def test_yarn_in_the_file_lifts_the_limit_that_binds_without(ask: Ask, release: Release) -> None:
    """A26: 40,960 tokens of Qwen3 32B, and 131,072 with the factor of four that its makers name."""
    words = "--on 8xh200-sxm --context 131072"
    assert ask(f"fit qwen3-32b {words}", 1)["max_context"] <= 40_960
    scaling = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}
    found = ask(f"fit {release('qwen3-32b', rope_scaling=scaling)} {words}")
    assert found["max_context"] == 131_072 and found["max_batch"] >= 1


@pytest.mark.parametrize(
    ("chip", "gigabytes"), [("rtx-3090", 24), ("a40", 48), ("t4", 16), ("a10", 24), ("l40", 48), ("rtx-a6000", 48)]
)
def test_chips_of_small_users(ask: Ask, chip: str, gigabytes: int) -> None:
    """A25: they are known, and a 3B model in 16 bits fits each."""
    found = ask(f"fit llama-3.2-3b --on 1x{chip} --engine vllm --context 4k")
    assert found["memory"]["capacity"] == gigabytes * 1e9
    assert found["max_batch"] >= 1
