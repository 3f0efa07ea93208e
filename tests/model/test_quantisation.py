"""Quantisation sections of every method: the format of every part, and the bytes with their scales."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tonnage.errors import InputError
from tonnage.model import Architecture, build, checkpoint_bytes, load, params
from tonnage.model.modules import compiled
from tonnage.model.quantisation import METHODS

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 100,
}
MIXTURE: dict[str, Any] = {
    "model_type": "qwen3_moe",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 100,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
}


def quantised(section: Any, base: dict[str, Any] = LLAMA) -> Architecture:
    return build(base | {"quantization_config": section}, name="x")


def kinds(arch: Architecture) -> dict[str, str]:
    return {each.part: each.main.kind for each in arch.release.parts}


def group(bits: int, kind: str = "int", **more: Any) -> dict[str, Any]:
    return {"weights": {"num_bits": bits, "type": kind, **more}, "targets": ["Linear"]}


def tensors(**groups: Any) -> dict[str, Any]:
    return {"quant_method": "compressed-tensors", "config_groups": groups, "ignore": ["lm_head"]}


EIGHT = {"num_bits": 8, "type": "int"}
FLOAT8 = {"num_bits": 8, "type": "float"}
# section, kind of the linear layers, bytes of one of their elements: bits / 8 and scales (and zeros) by hand
METHOD_CASES: dict[str, tuple[dict[str, Any], str, float]] = {
    "fp8": ({"quant_method": "fp8"}, "fp8", 1.0),
    "fp8 in blocks": ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8_block", 1 + 4 / 16384),
    "fbgemm": ({"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["lm_head"]}, "fp8", 1.0),
    "gptq 2": ({"quant_method": "gptq", "bits": 2, "group_size": 64}, "w4a16", 2 / 8 + 2.25 / 64),
    "gptq 3": ({"quant_method": "gptq", "bits": 3, "group_size": 128}, "w4a16", 3 / 8 + (2 + 3 / 8) / 128),
    "gptq 4 as text": ({"quant_method": "gptq", "bits": "4", "group_size": "128"}, "w4a16", 0.5 + 2.5 / 128),
    "gptq 8": ({"quant_method": "gptq", "bits": 8, "group_size": -1}, "w8a16", 1.0),
    "awq": ({"quant_method": "awq", "w_bit": 4, "q_group_size": 128}, "w4a16", 0.5 + 2.5 / 128),
    "awq without zeros": ({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": False}, "w4a16", 17 / 32),
    "moe_wna16": ({"quant_method": "moe_wna16", "bits": 4, "group_size": 128}, "w4a16", 0.5 + 2.5 / 128),
    "auto-round": ({"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True}, "w4a16", 0.5 + 2 / 128),
    "auto-round mxfp": (
        {"quant_method": "auto-round", "bits": 4, "group_size": 32, "data_type": "mx_fp"},
        "mxfp4",
        17 / 32,
    ),
    "nf4": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        "w4a16",
        0.5 + 4 / 64,
    ),
    "nf4 double": (
        {"load_in_4bit": True, "bnb_4bit_use_double_quant": True, "quant_method": "bitsandbytes"},
        "w4a16",
        0.5 + 1 / 64 + 4 / (64 * 256),
    ),
    "llm.int8": ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "w8a16", 1.0),
    "hqq": (
        {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}},
        "w4a16",
        0.5 + 4 / 64,
    ),
    "aqlm": (
        {"quant_method": "aqlm", "in_group_size": 8, "num_codebooks": 1, "nbits_per_codebook": 16},
        "w4a16",
        2 / 8,
    ),
    "quark fp8": (
        {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}, "input_tensors": {}}},
        "fp8",
        1.0,
    ),
    "quark mxfp4": (
        {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4", "group_size": 32}}},
        "mxfp4",
        17 / 32,
    ),
    "torchao int4": (
        {"quant_method": "torchao", "quant_type": "int4_weight_only", "quant_type_kwargs": {"group_size": 64}},
        "w4a16",
        0.5 + 2.5 / 64,
    ),
    "torchao class": (
        {"quant_type": {"default": {"_type": "Float8DynamicActivationFloat8WeightConfig", "_data": {}}}},
        "fp8",
        1.0,
    ),
    "torchao int8": ({"quant_method": "torchao", "quant_type": "int8_dynamic_activation_int8_weight"}, "int8", 1.0),
    "w8a8": (tensors(g=group(8) | {"input_activations": EIGHT}), "int8", 1.0),
    "w8a16": (tensors(g=group(8) | {"input_activations": None}), "w8a16", 1.0),
    "w4a16": (tensors(g=group(4, group_size=32)), "w4a16", 0.5 + 2 / 32),
    "w4a8": (tensors(g=group(4, group_size=128) | {"input_activations": EIGHT}), "w4a8", 0.5 + 2 / 128),
    "fp8 dynamic": (tensors(g=group(8, "float") | {"input_activations": FLOAT8}), "fp8", 1.0),
    "fp8 weights only": (tensors(g=group(8, "float") | {"input_activations": None}), "w8a16", 1.0),
    "mxfp4 by format": (
        tensors(g=group(4, "float") | {"input_activations": None}) | {"format": "mxfp4-pack-quantized"},
        "mxfp4",
        17 / 32,
    ),
    "nvfp4": (tensors(g=group(4, "float", group_size=16) | {"input_activations": {"num_bits": 4}}), "nvfp4", 9 / 16),
    "nvfp4 weights only": (
        tensors(g=group(4, "float", group_size=16) | {"input_activations": None}),
        "w4a16",
        9 / 16,
    ),
    "modelopt": ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4", 9 / 16),
    "modelopt W4A8_AWQ": ({"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"}, "w4a8", 0.5 + 2 / 128),
    "modelopt mxfp8": ({"quant_method": "modelopt_mxfp8", "quant_algo": "MXFP8"}, "mxfp8", 1 + 1 / 32),
    "ascend": ({"quant_method": "ascend", "quantize": "w8a8_dynamic"}, "int8", 1.0),
    "mlx": ({"bits": 4, "group_size": 64}, "w4a16", 0.5 + 4 / 64),
    "gguf": ({"quant_method": "gguf", "type": "Q6_K"}, "w8a16", 210 / 256),
    "quanto": ({"quant_method": "quanto", "weights": "int4"}, "w4a16", 0.5 + 2.5 / 128),
    "deepspeedfp": ({"quant_method": "deepspeedfp", "bits": 8}, "w8a16", 1 + 3 / 512),
    "fp_quant": ({"quant_method": "fp_quant", "forward_dtype": "mxfp4"}, "mxfp4", 17 / 32),
    "blockwise int8": ({"quant_method": "blockwise_int8"}, "int8", 1 + 4 / 16384),
}


@pytest.mark.parametrize("case", METHOD_CASES)
def test_each_method(case: str) -> None:
    section, kind, element = METHOD_CASES[case]
    arch = quantised(section)
    for part in ("attention", "ffn"):
        found = arch.release.of(part)  # type: ignore[arg-type]
        assert found is not None
        assert (found.main.kind, found.element) == (kind, pytest.approx(element))
    tables = arch.release.element("embedding")
    quantises_tables = arch.release.method in ("mlx", "gguf")
    assert (tables < 2) == quantises_tables


def test_every_name_of_a_method_is_lower_case() -> None:
    assert all(name == name.lower() for name in METHODS)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"quant_method": "zip"}, "zip"),
        ({"quant_method": "gptqq", "bits": 4}, "gptq"),
        ({}, "quant_method"),
        ({"quant_method": "gptq", "bits": -4}, "bits"),
        ({"quant_method": "gptq", "bits": "four"}, "bits"),
        ({"quant_method": "gptq", "bits": 40}, "bits"),
        ({"quant_method": "modelopt", "quant_algo": "W2A1"}, "W2A1"),
        ({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}, "quantized_layers"),
        ({"quant_method": "bitsandbytes"}, "load_in_4bit"),
        ({"quant_method": "compressed-tensors"}, "config_groups"),
        ({"quant_method": "torchao", "quant_type": "float3_magic"}, "quant_type"),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "int3"}}}, "dtype"),
        ({"quant_method": "ascend"}, "quant_model_description"),
        ({"quant_method": "gguf", "type": "UD-Q4_K_XL"}, "type"),
        ("x", "keys and values"),
        (5, "keys and values"),
        ([], "keys and values"),
    ],
)
def test_what_is_not_known_is_refused(section: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        quantised(section)


@pytest.mark.parametrize("dtype", ["int8", "float8_e4m3fn", "zzz", 5])
def test_a_dtype_that_is_none_is_refused(dtype: Any) -> None:
    with pytest.raises(InputError, match="torch_dtype"):
        build(LLAMA | {"torch_dtype": dtype}, name="x")


def test_problems_of_a_section_are_told_with_those_of_sizes() -> None:
    with pytest.raises(InputError) as caught:
        quantised({"quant_method": "nope"}, LLAMA | {"hidden_size": -1})
    assert {problem.path for problem in caught.value.problems} >= {"hidden_size", "quantization_config.quant_method"}


def test_attention_left_in_bf16_by_pattern() -> None:
    """The kind of a 31B in NVFP4 whose attention is in `ignore`, layer by layer."""
    ignore = ["lm_head", *(f"model.language_model.layers.{i}.self_attn*" for i in range(4)), "model.vision_tower*"]
    section = {
        "quant_method": "modelopt",
        "quant_algo": "NVFP4",
        "config_groups": {"g": group(4, "float")},
        "ignore": ignore,
    }
    assert kinds(quantised(section))["attention"] == "bf16"
    assert kinds(quantised(section))["ffn"] == "nvfp4"


def test_two_groups_with_names() -> None:
    """FP8 attention and four-bit FFN and head, each layer by name: the first group does not speak for all."""
    attention = [f"model.layers.{i}.self_attn.{leaf}_proj" for i in range(4) for leaf in "qkvo"]
    mlp = [f"model.layers.{i}.mlp.{leaf}_proj" for i in range(4) for leaf in ("gate", "up", "down")]
    section = tensors(
        a={"weights": FLOAT8, "input_activations": FLOAT8, "targets": attention},
        b={
            "weights": {"num_bits": 4, "type": "float", "group_size": 16},
            "input_activations": None,
            "targets": [*mlp, "lm_head"],
        },
    ) | {"ignore": ["mtp*"]}
    arch = quantised(section)
    assert kinds(arch) | {"embedding": ""} == {
        "attention": "fp8",
        "ffn": "w4a16",
        "head": "w4a16",
        "norm": "bf16",
        "embedding": "",
    }
    linear = 4 * (4 * 64 * 64 + 9 / 16 * 3 * 64 * 128)
    assert checkpoint_bytes(arch) == 2 * (64 * 100 + 9 * 64) + 9 / 16 * 64 * 100 + linear


def test_layers_that_differ_give_their_shares() -> None:
    """One of four layers stays plain: the mean of the part is exact."""
    arch = quantised({"quant_method": "fp8", "modules_to_not_convert": ["model.layers.2.mlp"]})
    found = arch.release.of("ffn")
    assert found is not None
    assert found.element == (3 * 1.0 + 2.0) / 4
    assert arch.release.said == "attention fp8; ffn 75% fp8 + 25% bf16; others bf16"


def test_experts_in_four_bits_leave_the_rest() -> None:
    ignore = ["lm_head", r"re:.*self_attn.*", r"re:.*shared_experts.*", r"re:.*mlp\.(gate|up|gate_up|down)_proj.*"]
    arch = quantised(tensors(g=group(4, group_size=32)) | {"ignore": ignore}, MIXTURE)
    assert kinds(arch)["experts"] == "w4a16"
    assert kinds(arch)["attention"] == kinds(arch)["router"] == "bf16"
    dense = ["model.layers.0.mlp", "lm_head"]
    assert kinds(quantised({"quant_method": "fp8", "modules_to_not_convert": dense}))["attention"] == "fp8"


def test_expert_dtype_of_deepseek_v4() -> None:
    found = kinds(load("deepseek-v4-flash"))
    assert (found["attention"], found["experts"]) == ("fp8_block", "mxfp4")
    assert kinds(load("deepseek-v4-pro"))["shared_experts"] == "fp8_block"


def test_kimi_k3_is_mxfp4() -> None:
    arch = load("kimi-k3")
    assert arch.expert_precision == "mxfp4"
    assert 1.5e12 < checkpoint_bytes(arch) < 1.6e12


def test_lists_of_layers_without_one_of_ours_are_refused() -> None:
    section = {"quant_method": "modelopt", "quantized_layers": {"decoder.7.thing": {"quant_algo": "FP8"}}}
    with pytest.raises(InputError, match=r"none of the 1 names"):
        quantised(section)


def test_mlx_settings_of_one_module() -> None:
    section = {"bits": 4, "group_size": 64, "model.layers.0.mlp.gate": {"bits": 8, "group_size": 64}, "lm_head": False}
    arch = quantised(section, MIXTURE)
    assert arch.release.element("head") == 2.0
    assert kinds(arch)["router"] == "bf16"
    assert arch.release.element("router") == pytest.approx((1 + 4 / 64 + 3 * 2) / 4)


def test_expressions_that_could_take_long_are_not_run() -> None:
    assert compiled("(a+)+$") is None
    assert compiled(".*.*.*.*.*.*x") is None
    assert compiled("(") is None
    assert compiled(r".*mlp\.experts\.\d+\..*") is not None


BESIDE: dict[str, tuple[str, Any, str, float]] = {
    "modelopt": (
        "hf_quant_config.json",
        {"quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}},
        "modelopt",
        9 / 16,
    ),
    "gptq": ("quantize_config.json", {"bits": 4, "group_size": 128, "desc_act": False}, "gptq", 0.5 + 2.5 / 128),
    "awq": ("quant_config.json", {"w_bit": 4, "q_group_size": 128, "zero_point": True}, "awq", 0.5 + 2.5 / 128),
    "ascend": (
        "quant_model_description.json",
        {
            "model_quant_type": "W8A8_DYNAMIC",
            **{
                f"model.layers.{i}.mlp.{leaf}.weight": "W8A8_DYNAMIC"
                for i in range(4)
                for leaf in ("gate_proj", "up_proj", "down_proj")
            },
            **{f"model.layers.{i}.self_attn.{leaf}_proj.weight": "W8A8" for i in range(4) for leaf in "qkvo"},
            "lm_head.weight": "FLOAT",
        },
        "ascend",
        1.0,
    ),
    "recipe": (
        "recipe.yaml",
        "s:\n  m:\n    GPTQModifier:\n      ignore: [lm_head]\n      scheme: W4A16\n      targets: [Linear]\n",
        "compressed-tensors",
        0.5 + 2 / 128,
    ),
}


@pytest.mark.parametrize("case", BESIDE)
def test_files_beside_a_configuration_are_read(case: str, tmp_path: Path) -> None:
    name, content, method, element = BESIDE[case]
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    arch = load(tmp_path)
    assert arch.release.method == method
    assert arch.release.element("ffn") == pytest.approx(element)
    assert arch.release.element("attention") == pytest.approx(element)
    assert name in arch.source
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | {"quantization_config": {"quant_method": "fp8"}}))
    assert load(tmp_path).release.method == "fp8"


def test_a_problem_beside_is_told_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / "hf_quant_config.json").write_text('{"quantization": {"quant_algo": "ZIP"}}')
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert "hf_quant_config.json" in caught.value.problems[0].where


def test_files_of_megabytes_are_read(tmp_path: Path) -> None:
    """A list of every expert's format, as releases of large mixtures have."""
    names = [
        f"model.layers.{i}.mlp.experts.{e}.{leaf}_proj"
        for i in range(4)
        for e in range(4000)
        for leaf in ("up", "down")
    ]
    section = {
        "quant_method": "modelopt",
        "quant_algo": "NVFP4",
        "quantized_layers": {name: {"quant_algo": "NVFP4"} for name in names},
    }
    (tmp_path / "config.json").write_text(json.dumps(MIXTURE | {"quantization_config": section}))
    assert (tmp_path / "config.json").stat().st_size > 2_000_000
    assert kinds(load(tmp_path))["experts"] == "nvfp4"


def test_parameters_are_not_touched_by_formats() -> None:
    assert params(quantised({"quant_method": "fp8"})).total == params(build(LLAMA, name="x")).total
