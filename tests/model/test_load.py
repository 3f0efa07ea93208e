"""Names, files and changes: what loads, what is refused, and that every problem is named."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from tonnage import catalog
from tonnage.errors import AmbiguousName, InputError, UnsupportedModel
from tonnage.model import build, bundled_names, derive, kv_per_token, load, params

ONE_OF_EACH = sorted({load(name).model_type: name for name in bundled_names()}.values())
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}


def write(path: Path, value: object) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_aliases_and_ids_are_one_model() -> None:
    assert load("deepseek-r1") == load("deepseek-ai/DeepSeek-R1") == load("DEEPSEEK-R1-0528")
    assert load("llama-3.1-405b").name == "meta-llama/Llama-3.1-405B"
    assert load("kimi-k2").title == "Kimi-K2-Instruct"


@pytest.mark.parametrize(
    ("name", "linear", "experts"),
    [
        ("deepseek-v3", "fp8_block", "fp8_block"),
        ("gpt-oss-120b", "bf16", "mxfp4"),
        ("deepseek-v4-pro", "fp8_block", "mxfp4"),
        ("kimi-k2-thinking", "bf16", "w4a16"),
        ("llama-3.1-405b", "bf16", "bf16"),
    ],
)
def test_published_precision(name: str, linear: str, experts: str) -> None:
    assert (load(name).precision, load(name).expert_precision) == (linear, experts)


@pytest.mark.parametrize(
    ("section", "format_name"),
    [
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "awq", "bits": 4}, "w4a16"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8"),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int"}}},
            },
            "w4a16",
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}},
            },
            "fp8",
        ),
    ],
)
def test_quantised_configurations(section: dict[str, Any], format_name: str) -> None:
    assert build(LLAMA | {"quantization_config": section}, name="x").precision == format_name


def test_layers_keep_their_order() -> None:
    arch = load("deepseek-v3")
    assert arch.depth == 61
    assert arch.layers == (0,) * 3 + (1,) * 58
    assert [block.count for block in arch.blocks] == [3, 58]
    assert load("qwen3-next").layers[:8] == (0, 0, 0, 1, 0, 0, 0, 1)


def test_config_file_folder_and_yaml_agree(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    file = write(folder / "config.json", LLAMA)
    yaml = write(tmp_path / "mine.yaml", "\n".join(f"{key}: {value}" for key, value in LLAMA.items()))
    loaded = [load(str(file)), load(folder), load(str(yaml))]
    assert {arch.name for arch in loaded} == {"mine"}
    assert {arch.blocks for arch in loaded} == {build(LLAMA, name="x").blocks}


def test_json_with_tabs_is_read(tmp_path: Path) -> None:
    assert load(write(tmp_path / "tabs.json", json.dumps(LLAMA, indent="\t"))).blocks == build(LLAMA, name="x").blocks


def test_yaml_like_a_bundled_model(tmp_path: Path) -> None:
    file = write(tmp_path / "r2.yaml", "like: deepseek-v3\nlayers: 80\nexperts: 384\n")
    arch = load(file)
    assert arch.name == "r2"
    assert (arch.depth, arch.blocks[1].ffn.experts) == (80, 384)  # type: ignore[union-attr]
    assert arch.precision == "fp8_block"
    above = write(tmp_path / "more.yaml", "like: r2.yaml\ntop_k: 12\n")
    assert load(above).depth == 80


def test_files_that_build_on_themselves_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "loop.yaml", "like: loop.yaml\n")
    with pytest.raises(InputError, match="build on one another"):
        load(file)


def test_derived_sizes_by_hand() -> None:
    """80 layers of 384 experts: 77 MoE layers, each expert 3 x 7168 x 2048."""
    base, made = load("deepseek-v3"), derive(load("deepseek-v3"), layers=80, experts=384)
    attention = 7168 * (1536 + 576) + 1536 + 512 + 1536 * 128 * 192 + 512 * 128 * 256 + 128 * 128 * 7168
    layer = attention + 385 * 3 * 7168 * 2048 + 384 * 7168 + 2 * 7168
    dense = 3 * (attention + 3 * 7168 * 18432 + 2 * 7168)
    assert params(made).total == 77 * layer + dense + 2 * 129280 * 7168 + 7168
    assert kv_per_token(made) == 80 * 576
    assert derive(base, layers=61).blocks == base.blocks


@pytest.mark.parametrize(
    ("name", "changes", "depth"),
    [
        ("gpt-oss-120b", {"layers": 48}, 48),
        ("qwen3.5-397b-a17b", {"layers": 80}, 80),
        ("deepseek-v4-pro", {"layers": 70, "experts": 512}, 70),
        ("kimi-k2.5", {"layers": 30}, 30),
        ("llama-3.1-405b", {"hidden": 8192, "heads": 64, "ffn": 28672, "layers": 80}, 80),
        ("nemotron-3-nano", {"layers": 26}, 26),
        ("qwen3-235b-a22b", {"expert_ffn": 2048, "top_k": 4, "vocab": 1000}, 94),
        ("mixtral-8x7b", {"experts": 16, "expert_ffn": 8192, "context": 1000}, 32),
        ("gpt-3-175b", {"layers": 12, "hidden": 768, "heads": 12, "ffn": 3072}, 12),
    ],
)
def test_every_family_can_be_changed(name: str, changes: dict[str, int], depth: int) -> None:
    assert derive(load(name), **changes).depth == depth


def test_lengthened_pattern_keeps_its_rhythm() -> None:
    arch = derive(load("qwen3.5-397b-a17b"), layers=80)
    assert [block.count for block in arch.blocks] == [60, 20]


def test_unknown_size_names_the_nearest() -> None:
    with pytest.raises(InputError, match='did you mean "experts"'):
        derive(load("deepseek-v3"), expert=384, layrs=3)
    with pytest.raises(InputError) as caught:
        derive(load("llama-3.1-8b"), experts=8, layrs=3)
    assert len(caught.value.problems) == 2


def test_unknown_name_names_the_nearest() -> None:
    with pytest.raises(InputError, match="deepseek-r1"):
        load("deepsek-r1")


def test_unknown_model_type_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel) as caught:
        load(write(tmp_path / "config.json", LLAMA | {"model_type": "qwen3_mo"}))
    assert caught.value.problems[0].suggestion == "qwen3_moe"
    assert "config.json:1" in caught.value.problems[0].where
    assert "needed" in str(caught.value.hint)
    with pytest.raises(UnsupportedModel, match="missing"):
        build({"hidden_size": 3}, name="x")


def test_all_problems_come_at_once() -> None:
    broken = LLAMA | {"hidden_size": -4, "num_attention_heads": "many", "vocab_size": 10**30, "intermediate_size": None}
    with pytest.raises(InputError) as caught:
        build(broken, name="x")
    assert {problem.path for problem in caught.value.problems} >= {
        "hidden_size",
        "num_attention_heads",
        "vocab_size",
        "intermediate_size",
    }


def _sections(config: dict[str, Any]) -> list[dict[str, Any]]:
    inner = [value for value in config.values() if isinstance(value, dict)]
    return [config, *inner, *(value for section in inner for value in section.values() if isinstance(value, dict))]


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_any_wrong_value_builds_or_is_an_input_error(name: str) -> None:
    config = json.loads(json.dumps(load(name).config))
    refused = 0
    for section in _sections(config):
        for key, right in list(section.items()):
            for wrong in (None, -1, 10**40, float("inf"), True, "x", [[]], {}, ["x"] * 200):
                section[key] = wrong
                try:
                    params(build(config, name="x"))
                except InputError:
                    refused += 1
            section[key] = right
    assert refused > 40


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        "just words",
        "{",
        "[" * 5000,
        '{"model_type": "llama", "text_config": 3}',
        '{"model_type": "llama", "text_config": {"text_config": {}}, "hidden_size": 1e999}',
        "a: &a [1]\nb: [*a, *a]\nmodel_type: [llama]",
        '{"model_type": "kimi_k25", "vision_config": {"patch_size": [0]}, "text_config": {"model_type": "llama"}}',
        "like: 3",
        "like: deepseek-v3\nlayers: many",
        "like: deepseek-v3\nlayers: 99999999",
        "like: deepseek-v3\nlayers: -1\nname: 3",
    ],
)
def test_hostile_files_end_as_input_errors(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        load(write(tmp_path / "bad.yaml", text))


def test_binary_folders_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "junk.json").write_bytes(bytes(range(256)))
    for path in (tmp_path / "junk.json", tmp_path, tmp_path / "none.json", "\0", "x" * 5000):
        with pytest.raises(InputError):
            load(path)


def test_too_many_experts_a_token_is_refused() -> None:
    with pytest.raises(InputError, match="experts a token"):
        derive(load("mixtral-8x7b"), top_k=9)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("qwen3-235b", "Qwen/Qwen3-235B-A22B"),
        ("llama3.1-405b", "meta-llama/Llama-3.1-405B"),
        ("Llama 3.1 8B", "meta-llama/Llama-3.1-8B"),
        ("qwen2.5-72", "Qwen/Qwen2.5-72B"),
        ("qwen3-30b", "Qwen/Qwen3-30B-A3B"),
    ],
)
def test_a_name_that_begins_like_one_model_means_it(written: str, meant: str) -> None:
    assert load(written, catalog.load()).name == meant
    with pytest.raises(InputError, match="was not known on"):
        load(written, catalog.load(), datetime.date(2020, 1, 1))


@pytest.mark.parametrize("written", ["deepseek", "gpt-oss", "mixtral", "qwen2.5"])
def test_a_name_that_begins_like_several_asks_which(written: str) -> None:
    with pytest.raises(AmbiguousName, match="can mean"):
        load(written, catalog.load())
