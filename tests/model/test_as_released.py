"""What releases hold beside what their configurations say, and sections that name modules: by hand and by size."""

from __future__ import annotations

from typing import Any

import pytest

from tonnage import catalog
from tonnage.errors import InputError
from tonnage.model import Architecture, build, checkpoint_bytes, load, params

CATALOG = catalog.load()
ATTENTION = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024)
FFN = 32 * 3 * 4096 * 14336
TABLE = 128_256 * 4096
LLAMA = 8_030_261_248
FP4: dict[str, Any] = {"dtype": "fp4", "group_size": 32, "qscheme": "per_group"}
FP8: dict[str, Any] = {"dtype": "fp8_e4m3", "qscheme": "per_channel"}


def llama(**section: Any) -> Architecture:
    return build({**load("llama-3.1-8b", CATALOG).config, "quantization_config": section}, name="x")


@pytest.mark.parametrize("name", ["minimax-m2", "minimax-m2.1", "minimax-m2.5", "minimax-m2.7", "minimax-m3"])
def test_minimax_releases_nothing_that_predicts_ahead(name: str) -> None:
    """None of the 1,369 tensors of M2.7; M3: 427,040,140,160 values, 854,172,958,720 bytes."""
    arch = load(name, CATALOG)
    assert arch.mtp is None and params(arch).mtp == 0
    if name == "minimax-m3":
        assert params(arch).total == pytest.approx(427_040_140_160, rel=1e-7)
        assert checkpoint_bytes(arch) == pytest.approx(854_172_958_720, rel=2e-4)


@pytest.mark.parametrize(
    ("name", "layers", "billions"),
    [("qwen3-next", 1, 1.65), ("hy3", 1, 3.75), ("step-3.5-flash", 3, 0.74), ("glm-4.7-flash", 1, 0.64)],
)
def test_layers_that_predict_ahead_are_there_where_they_were_released(name: str, layers: int, billions: float) -> None:
    arch = load(name, CATALOG)
    assert arch.mtp is not None and arch.mtp.count == layers
    assert params(arch).mtp / 1e9 == pytest.approx(billions, rel=0.01)


def test_some_releases_keep_embedding_and_head_again() -> None:
    """688,586,727,753 bytes of DeepSeek-V3; 110.5B parameters of GLM-4.5-Air, 2 x 151,552 x 4,096 of them again."""
    assert checkpoint_bytes(load("deepseek-r1", CATALOG)) == pytest.approx(688_586_727_753, rel=3e-5)
    air = load("glm-4.5-air", CATALOG)
    assert checkpoint_bytes(air) == 2 * (params(air).total + params(air).mtp + 2 * 151_552 * 4096)
    assert checkpoint_bytes(air) == pytest.approx(2 * 110.5e9, rel=0.001)
    later = load("glm-4.6", CATALOG)
    assert checkpoint_bytes(later) == 2 * (params(later).total + params(later).mtp)


@pytest.mark.parametrize(
    ("name", "total", "within"),
    [
        ("llama-4-scout", 217_283_738_720, 1e-5),
        ("muse-glimmer-30b", 59_553_253_376, 1e-9),
        ("mistral-small-3.1", 2 * 24.01e9, 1e-3),
        ("gemma-4-e2b", 10_246_357_958, 4e-3),  # it holds keys and values of layers that borrow them too
    ],
)
def test_releases_with_towers(name: str, total: float, within: float) -> None:
    assert checkpoint_bytes(load(name, CATALOG)) == pytest.approx(total, rel=within)
    assert not load(name, CATALOG).left_out


def test_gptq_of_listed_modules_alone() -> None:
    """`modules_in_block_to_quantize` of Optimum: what is not listed stays."""
    listed = [["mlp.gate_proj", "mlp.up_proj"], ["mlp.down_proj"]]
    found = llama(quant_method="gptq", bits=4, group_size=128, modules_in_block_to_quantize=listed)
    assert checkpoint_bytes(found) == pytest.approx(2 * LLAMA - FFN * (2 - 0.5 - 2.5 / 128))


def test_quark_by_class_and_by_layer() -> None:
    narrow = {"weight": FP4, "input_tensors": FP4}
    wide = {"weight": FP8, "input_tensors": FP8}
    by_class = llama(
        quant_method="quark", global_quant_config=narrow, layer_type_quant_config={"Linear": wide}, exclude=["lm_head"]
    )
    assert checkpoint_bytes(by_class) == 2 * LLAMA - ATTENTION - FFN
    by_layer = llama(
        quant_method="quark", global_quant_config=narrow, layer_quant_config={"*self_attn*": wide}, exclude=["lm_head"]
    )
    assert checkpoint_bytes(by_layer) == 2 * LLAMA - ATTENTION - FFN * (2 - 17 / 32)


def test_torchao_types_and_granularities() -> None:
    """As `pytorch/Qwen3-8B-INT8-INT4` writes them: types of torch and groups in sections of their own."""
    linear = {
        "_type": "Int8DynamicActivationIntxWeightConfig",
        "_data": {
            "weight_dtype": {"_type": "torch.dtype", "_data": "int4"},
            "weight_granularity": {"_type": "PerGroup", "_data": {"group_size": 32}},
        },
    }
    table = {
        "_type": "IntxWeightOnlyConfig",
        "_data": {
            "weight_dtype": {"_type": "torch.dtype", "_data": "int8"},
            "granularity": {"_type": "PerAxis", "_data": {"axis": 0}},
        },
    }
    each = {"_default": linear, "lm_head": None, "model.embed_tokens": table}
    kind = {"default": {"_type": "ModuleFqnToConfig", "_data": {"module_fqn_to_config": each}}}
    found = llama(quant_method="torchao", quant_type=kind)
    saved = (ATTENTION + FFN) * (2 - 0.5 - 2.5 / 32) + TABLE
    assert checkpoint_bytes(found) == pytest.approx(2 * LLAMA - saved)


@pytest.mark.parametrize("left", [True, False])
def test_a_head_is_a_linear_layer_unless_it_is_left_out(left: bool) -> None:
    """compressed-tensors and Quark quantise what they do not list."""
    group = {"weights": {"num_bits": 8, "type": "float"}, "input_activations": {"num_bits": 8}, "targets": ["Linear"]}
    skip = ["lm_head"] if left else []
    for section in (
        {"quant_method": "compressed-tensors", "config_groups": {"g": group}, "ignore": skip},
        {"quant_method": "quark", "global_quant_config": {"weight": FP8, "input_tensors": FP8}, "exclude": skip},
    ):
        narrow = ATTENTION + FFN + (0 if left else TABLE)
        assert checkpoint_bytes(llama(**section)) == 2 * LLAMA - narrow


def test_a_gate_of_its_own_is_a_module_of_its_own() -> None:
    """364 projections over the 52 layers of Muse Glimmer are in NVFP4: seven of the eight a layer has."""
    config = load("muse-glimmer-30b", CATALOG).config
    section = {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head", "*.self_attn.gate_proj"]}
    whole, but = (
        build({**config, "quantization_config": {**section, "ignore": names}}, name="x")
        for names in (["lm_head"], section["ignore"])
    )
    assert checkpoint_bytes(but) - checkpoint_bytes(whole) == pytest.approx(52 * 4096 * 6656 * (2 - 9 / 16))
    assert checkpoint_bytes(but) == pytest.approx(25.42e9, rel=1e-3)


def test_kimi_k3_keeps_the_way_to_its_experts_in_16_bits() -> None:
    """1.56 TB in 96 files, routed experts alone in MXFP4."""
    arch = load("kimi-k3", CATALOG)
    assert checkpoint_bytes(arch) == pytest.approx(1.56e12, rel=2e-3)
    assert arch.release.said == "experts mxfp4; others bf16"


def test_sizes_of_a_tower_that_a_file_leaves_out() -> None:
    """They are the library's where it has them; a tower with a size that nobody says is left out, not the model."""
    text = {**load("qwen3-8b", CATALOG).config, "model_type": "qwen3_vl_text"}
    short = build({"model_type": "qwen3_vl", "text_config": text, "vision_config": {"out_hidden_size": 4096}}, name="x")
    assert not short.left_out and sum(size for _, size in short.encoders) > 5e8
    part = {"hidden_size": 1024, "num_hidden_layers": 24}
    unknown = build({"model_type": "llama4", "text_config": text, "vision_config": part}, name="x")
    assert unknown.left_out == ("the vision tower",)
    with pytest.raises(InputError, match="vision_config"):
        build({"model_type": "qwen3_vl", "text_config": text, "vision_config": {"depth": -1}}, name="x")


def test_parts_of_a_thinker_are_left_out_and_said() -> None:
    text = {**load("qwen3-30b-a3b", CATALOG).config, "model_type": "qwen3_omni_moe_text"}
    thinker = {"text_config": text, "vision_config": {"depth": 27}, "audio_config": {}}
    found = build({"model_type": "qwen3_omni_moe", "thinker_config": thinker, "talker_config": {}}, name="x")
    assert found.left_out == ("the talker", "the vision tower", "the audio tower")
    assert params(found).total == params(load("qwen3-30b-a3b", CATALOG)).total


@pytest.mark.parametrize(
    ("kind", "classes", "read"),
    [
        ("hunyuan", ["HunYuanDenseV1ForCausalLM"], "hunyuan_v1_dense"),
        ("hunyuan", [], ""),
        ("dots_vlm", ["DotsVLMForCausalLM"], "deepseek_v3"),
        ("aquila3", ["AquilaModel"], "llama"),
    ],
)
def test_the_class_decides_where_a_type_does_not(kind: str, classes: list[str], read: str) -> None:
    base = "deepseek-v3" if read == "deepseek_v3" else "llama-3.1-8b"
    config = {**load(base, CATALOG).config, "model_type": kind, "architectures": classes}
    if read:
        assert build(config, name="x").model_type == read
    else:
        with pytest.raises(InputError, match="num_experts"):
            build(config, name="x")
