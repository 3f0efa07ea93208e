"""The longest sequence by a model's own limit and its scaling, sizes that no model can have, and what is filled in."""

from __future__ import annotations

from typing import Any

import pytest

from tonnage.errors import InputError, UnsupportedModel
from tonnage.model import build, derive, load, params

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "max_position_embeddings": 40960,
}


@pytest.mark.parametrize(
    ("rope", "native", "context"),
    [
        (None, 40960, 40960),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, 32768, 131072),
        ({"type": "yarn", "factor": 2.0}, 40960, 81920),
        ({"rope_type": "linear", "factor": 2}, 40960, 81920),
        ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}, 40960, 40960),
        ({"type": "longrope", "long_factor": [1.0]}, 40960, 40960),
        ({"type": "mrope", "mrope_section": [16, 24, 24]}, 40960, 40960),
    ],
)
@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_scaling_of_positions(rope: Any, native: int, context: int, key: str) -> None:
    arch = build(LLAMA | {key: rope}, name="x")
    assert (arch.native_context, arch.context) == (native, context)


@pytest.mark.parametrize("factor", ["four", -2, 1e9, True])
def test_a_factor_that_is_none_is_refused(factor: Any) -> None:
    with pytest.raises(InputError, match="factor"):
        build(LLAMA | {"rope_scaling": {"rope_type": "yarn", "factor": factor}}, name="x")


def test_gemma_3_keeps_its_limit() -> None:
    text = {"model_type": "gemma3_text", "hidden_size": 64, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}
    assert build({"model_type": "gemma3", "text_config": text}, name="x").context == 131072


def test_names_of_longer_releases() -> None:
    assert load("Qwen/Qwen3-235B-A22B").context == 40960
    assert load("Qwen/Qwen3-235B-A22B-Instruct-2507").context == 262144
    assert load("qwen3-30b-a3b-thinking-2507").context == 262144
    assert load("llama-3.3-70b").title == "Llama-3.3-70B-Instruct"
    assert load("zai-org/GLM-5-FP8").precision == "fp8_block"


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("llama-3.1-8b", {"hidden_size": 4097}, "multiple of 32 heads"),
        ("llama-3.1-8b", {"hidden_size": 2}, "multiple of 32 heads"),
        ("gpt-oss-20b", {"layer_types": ["zzz"] * 24}, "no kind of layer"),
        ("gpt-oss-20b", {"layer_types": [1] * 24}, "no kind of layer"),
        ("gpt-oss-20b", {"layer_types": ["sliding_atention"] * 24}, "sliding_attention"),
        ("deepseek-v2", {"moe_layer_freq": "x"}, "moe_layer_freq"),
        ("deepseek-v2", {"first_k_dense_replace": 61}, "more than the 60"),
        ("glm-5", {"first_k_dense_replace": 99}, "more than the 78"),
    ],
)
def test_sizes_that_no_model_has(name: str, changes: dict[str, Any], said: str) -> None:
    config = dict(load(name).config) | changes
    config.pop("head_dim", None) if "hidden_size" in changes else None
    with pytest.raises(InputError, match=said):
        build(config, name="x")


def test_experts_in_every_second_layer() -> None:
    """60 layers, the first dense: layers 2, 4 ... 58 have experts."""
    base = load("deepseek-v2")
    half = derive(base, moe_layer_freq=2)
    routed = [block.count for block in half.blocks if block.ffn is not None and block.ffn.routed]
    assert sum(routed) == 29
    assert params(half).total < 0.55 * params(base).total


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["DeepseekV4ForCausalLM"], "deepseek_v4"),
        (["YiForCausalLM"], "llama"),
        (["BailingMoeV2ForCausalLM"], "bailing_moe_v2"),
    ],
)
def test_classes_are_asked_where_the_type_is_new(names: list[str], kind: str) -> None:
    config = dict(load("deepseek-v4-flash").config) if kind == "deepseek_v4" else dict(LLAMA)
    if kind == "bailing_moe_v2":
        config |= {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "use_qk_norm": True}
    config |= {"model_type": "something_new", "architectures": names}
    assert build(config, name="x").model_type == kind


def test_a_new_type_without_a_known_class_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="SomethingForCausalLM"):
        build(LLAMA | {"model_type": "something_new", "architectures": ["SomethingForCausalLM"]}, name="x")


def test_towers_that_are_not_known_are_left_out_and_said() -> None:
    whole = {"model_type": "janus", "text_config": LLAMA, "vision_config": {"hidden_size": 10}, "audio_config": {}}
    arch = build(whole, name="x")
    assert arch.left_out == ("the vision tower", "the audio tower")
    assert params(arch).total == params(build(LLAMA, name="x")).total


GEMMA = {
    "model_type": "gemma3",
    "text_config": {
        "model_type": "gemma3_text",
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "num_hidden_layers": 34,
    },
    "vision_config": {
        "model_type": "siglip_vision_model",
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "image_size": 896,
        "patch_size": 14,
        "vision_use_head": False,
    },
}
QWEN = {
    "model_type": "qwen2_5_vl",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
    "vision_config": {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("config", [GEMMA, QWEN], ids=["gemma-3-4b", "qwen2.5-vl-7b"])
def test_what_a_release_leaves_out_is_filled_as_transformers_does(config: dict[str, Any]) -> None:
    import torch
    import transformers

    settings = transformers.AutoConfig.for_model(**config)
    with torch.device("meta"):
        model = transformers.AutoModelForImageTextToText.from_config(settings)
    assert params(build(config, name="x")).total == sum(parameter.numel() for parameter in model.parameters())


def test_defaults_are_those_of_transformers() -> None:
    import json
    from importlib import resources

    import transformers

    held = json.loads(resources.files("tonnage.model").joinpath("data/defaults.json").read_text("utf-8"))
    for kind in ("gemma3_text", "qwen3_moe", "deepseek_v3", "mixtral"):
        known = transformers.AutoConfig.for_model(kind).to_dict()
        assert {key: known[key] for key in held[kind]} == held[kind]
