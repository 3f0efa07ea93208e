"""Parameter counts: those of transformers on the meta device, exactly, for every bundled model it can build."""

from __future__ import annotations

import json
import os
from importlib import resources

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from tonnage.model import Load, Step, build, bundled_names, load, operators, params
from tonnage.model.operators import MTP

ROWS = {
    row["id"]: row
    for row in map(
        json.loads, resources.files("tonnage.catalog").joinpath("data/models.jsonl").read_text("utf-8").splitlines()
    )
}


def built_alike() -> dict[str, list[str]]:
    """Ids by what transformers would build: models that differ in precision or context alone are built once."""
    groups: dict[str, list[str]] = {}
    for identity, row in ROWS.items():
        apart = ("quantization_config", "max_position_embeddings")
        sizes = {key: value for key, value in row["config"].items() if key not in apart}
        groups.setdefault(json.dumps([row["transformers"], sizes], sort_keys=True), []).append(identity)
    return {ids[0]: ids for ids in groups.values()}


def counted_by_transformers(identity: str) -> dict[str, int]:
    """Parameters by name in the class that transformers has for the model, with nothing allocated."""
    import torch
    import transformers

    config = {key: value for key, value in ROWS[identity]["config"].items() if key != "quantization_config"}
    kind = {"kimi_k2": "deepseek_v3"}.get(config["model_type"], config["model_type"])
    settings = transformers.AutoConfig.for_model(**(config | {"model_type": kind}))
    built = getattr(transformers, ROWS[identity]["transformers"])
    with torch.device("meta"):
        model = built._from_config(settings)
    return {name: parameter.numel() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("identity", [i for i in built_alike() if ROWS[i]["transformers"]])
@pytest.mark.filterwarnings("ignore")
def test_total_is_that_of_transformers(identity: str) -> None:
    assert params(load(identity)).total == sum(counted_by_transformers(identity).values())


# Models that transformers has no class for: what their makers say in all, of as many digits (model cards and, for
# Step-3.7-Flash, the language part in github.com/vllm-project/recipes).
STATED = {
    "XiaomiMiMo/MiMo-7B-Base": (7.6e9, 2),
    "inclusionAI/Ling-1T": (1e12, 2),
    "nvidia/Llama-3_3-Nemotron-Super-49B-v1": (50e9, 2),
    "stepfun-ai/Step-3.5-Flash": (196e9, 3),
    "stepfun-ai/Step-3.7-Flash": (196e9, 3),
}


def test_only_kimi_k3_is_not_checked_at_all() -> None:
    unbuilt = {identity for identity, row in ROWS.items() if not row["transformers"]}
    assert unbuilt == {*STATED, "moonshotai/Kimi-K3"}


@pytest.mark.parametrize("identity", STATED)
def test_total_is_that_of_its_maker(identity: str) -> None:
    stated, digits = STATED[identity]
    assert float(f"{params(load(identity)).total:.{digits}g}") == stated


@pytest.mark.parametrize(
    ("name", "total", "active"),
    [
        ("mistral-large-3", 673e9, 39e9),
        ("ernie-4.5-300b-a47b", 300e9, 47e9),
        ("hunyuan-a13b", 80e9, 13e9),
        ("mimo-v2-flash", 309e9, 15e9),
        ("kimi-linear", 49e9, 3e9),
        ("ling-3.0-flash", 124e9, 5.1e9),
        ("hy3", 295e9, 20e9),
        ("seed-oss-36b", 36e9, None),
        ("qwen3-vl-235b-a22b", 235e9, 22e9),
    ],
)
def test_newer_releases_have_the_published_sizes(name: str, total: float, active: float | None) -> None:
    counted = params(load(name))
    assert counted.total == pytest.approx(total, rel=0.01)
    assert active is None or counted.active == pytest.approx(active, rel=0.06)


def test_qwen3_8_has_the_bytes_of_its_checkpoint() -> None:
    """Two bytes a parameter, multi-token prediction included: 4,892,388,705,238 bytes by the index of the release
    (github.com/vllm-project/recipes models/Qwen/Qwen3.8-2.4T-A95B.yaml), whose states have some in FP32.
    """
    counted = params(load("qwen3.8-2.4t-a95b"))
    assert 2 * (counted.total + counted.mtp) == pytest.approx(4_892_388_705_238, rel=1e-5)


def test_a_release_says_for_its_language_part_whether_the_embedding_is_tied() -> None:
    config = dict(ROWS["Qwen/Qwen3-VL-30B-A3B-Instruct"]["config"])
    assert not build(config, name="as it is").tied
    assert build(config | {"tie_word_embeddings": True}, name="tied").tied


def test_every_name_loads() -> None:
    for name in bundled_names():
        assert load(name).depth > 0


@pytest.mark.parametrize("identity", ROWS)
def test_weights_of_operators_are_the_parameters(identity: str) -> None:
    arch = load(identity)
    made = operators(arch, Step((Load(2.0, 3.0, 5.0), Load(1.0, 1.0, 100.0)), 3.0, mtp=True))
    counted = params(arch)
    assert sum(op.weight * op.count for op in made if op.block != MTP) == counted.total
    assert sum(op.weight * op.count for op in made) == counted.total + counted.mtp
    assert sum(counted.by_name.values()) == counted.total


# Published by their makers: gpt-oss model card (arXiv 2508.10925, table 1), technical reports and model cards.
@pytest.mark.parametrize(
    ("name", "active", "digits"),
    [
        ("gpt-oss-120b", 5.13e9, 3),
        ("gpt-oss-20b", 3.61e9, 3),
        ("deepseek-v3", 37e9, 2),
        ("deepseek-v2", 21e9, 2),
        ("kimi-k2", 32e9, 2),
        ("qwen3-235b-a22b", 22e9, 2),
        ("gemma-4-e2b", 2.3e9, 2),
    ],
)
def test_active_parameters_are_the_published_ones(name: str, active: float, digits: int) -> None:
    assert float(f"{params(load(name)).active:.{digits}g}") == active


@pytest.mark.parametrize(("name", "active"), [("llama-4-maverick", 17e9), ("mixtral-8x7b", 13e9)])
def test_some_makers_count_the_embedding_as_active(name: str, active: float) -> None:
    counted = params(load(name))
    assert float(f"{counted.active + counted.by_name['embedding']:.2g}") == active


def test_multi_token_prediction_of_deepseek_v3() -> None:
    """One MoE layer, a projection of two streams into one, three norms: 11.5B (README_WEIGHTS of DeepSeek-V3)."""
    arch = load("deepseek-v3")
    attention = 7168 * (1536 + 576) + 1536 + 512 + 1536 * 128 * 192 + 512 * 128 * 256 + 128 * 128 * 7168
    experts = 257 * 3 * 7168 * 2048 + 256 * 7168
    assert params(arch).mtp == attention + experts + 2 * 7168 + 2 * 7168 * 7168 + 3 * 7168
    assert params(arch).mtp == pytest.approx(11.5e9, rel=0.01)


def test_encoders_are_counted_by_name() -> None:
    arch = load("kimi-k2.5")
    counted = counted_by_transformers("moonshotai/Kimi-K2.5")
    tower = sum(size for name, size in counted.items() if "vision" in name or "projector" in name)
    assert sum(size for _, size in arch.encoders) == params(arch).encoders == tower
    assert {"vision_tower", "vision_projector"} <= set(params(arch).by_name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["qwen3_5", "qwen3_5_moe", "qwen3_vl", "qwen3_vl_moe"])
def test_vision_towers_of_qwen(kind: str) -> None:
    import torch
    import transformers

    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 4, "out_hidden_size": 24}
    vision |= {"in_channels": 3, "patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 2}
    vision |= {"num_position_embeddings": 16, "deepstack_visual_indexes": [1] if "vl" in kind else []}
    text = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 4, "num_attention_heads": 4, "head_dim": 8}
    text |= {"num_key_value_heads": 2, "vocab_size": 50, "model_type": f"{kind}_text", "tie_word_embeddings": False}
    text |= {"pad_token_id": 0, "max_position_embeddings": 64}
    if "moe" in kind:
        text |= {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 20}
        text |= {"shared_expert_intermediate_size": 12} if kind == "qwen3_5_moe" else {}
    whole = {"model_type": kind, "text_config": text, "vision_config": vision, "tie_word_embeddings": False}
    settings = transformers.AutoConfig.for_model(**json.loads(json.dumps(whole)))
    with torch.device("meta"):
        model = transformers.AutoModelForImageTextToText.from_config(settings)
    assert params(build(whole, name=kind)).total == sum(parameter.numel() for parameter in model.parameters())


def test_tied_embeddings_are_held_once() -> None:
    tied = load("qwen2.5-0.5b")
    assert tied.tied
    assert params(tied).embedding == tied.vocab * tied.hidden
    untied = load("qwen2.5-7b")
    assert params(untied).embedding == 2 * untied.vocab * untied.hidden
