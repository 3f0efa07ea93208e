"""Numbers of a configuration that cannot stand together are refused, all of them at once, each at its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tonnage import catalog
from tonnage.cli import run
from tonnage.errors import InputError, Problem
from tonnage.model import build, derive, load
from tonnage.model.config import ConfigReader
from tonnage.model.known import defaults
from tonnage.model.relations import check

CATALOG = catalog.load()


def config(name: str) -> dict[str, Any]:
    return dict(load(name, CATALOG).config)


@pytest.mark.parametrize(
    ("name", "changes", "key", "said"),
    [
        ("deepseek-v3", {"n_group": 7}, "n_group", "256 experts cannot be split into 7 groups"),
        ("deepseek-v3", {"topk_group": 9}, "topk_group", "9 groups are kept of the 8"),
        ("deepseek-v3", {"topk_group": 1, "num_experts_per_tok": 40}, "num_experts_per_tok", "groups kept have 32"),
        ("deepseek-v3", {"num_experts_per_tok": 300}, "num_experts_per_tok", "300 experts a token out of 256"),
        ("deepseek-v3", {"qk_rope_head_dim": 63}, "qk_rope_head_dim", "63 is odd"),
        ("deepseek-v3", {"qk_head_dim": 128}, "qk_head_dim", "128 is not 128 without positions and 64 with them"),
        ("deepseek-v3", {"first_k_dense_replace": 62}, "first_k_dense_replace", "62 dense layers are more than"),
        ("deepseek-v3", {"moe_layer_freq": [1] * 60}, "moe_layer_freq", "has 60 entries for 61 layers"),
        ("deepseek-v3", {"moe_layer_freq": [1] * 65}, "moe_layer_freq", "has 65 entries for 61 layers"),
        ("deepseek-v4-flash", {"o_groups": 7}, "o_groups", "64 heads cannot be split into 7 groups"),
        ("deepseek-v4-flash", {"num_hash_layers": 999}, "num_hash_layers", "999 layers are more than the 43"),
        ("glm-4.5", {"n_group": 3}, "n_group", "160 experts cannot be split into 3 groups"),
        ("llama-3.1-8b", {"num_key_value_heads": 7}, "num_key_value_heads", "32 heads cannot be shared by 7"),
        ("llama-3.1-8b", {"hidden_size": 4097}, "hidden_size", "4097 is not a multiple of 32 heads"),
        ("llama-3.1-8b", {"head_dim": 127}, "head_dim", "127 is odd: rotary positions turn pairs"),
        ("qwen3-8b", {"num_key_value_heads": 64}, "num_key_value_heads", "32 heads cannot be shared by 64"),
        ("gpt2", {"n_head": 7}, "n_embd", "768 is not a multiple of 7 heads"),
        ("gpt-oss-20b", {"layer_types": ["full_attention"] * 23}, "layer_types", "has 23 entries for 24 layers"),
        ("gpt-oss-20b", {"layer_types": ["full_attention"] * 30}, "layer_types", "has 30 entries for 24 layers"),
        ("gpt-oss-20b", {"num_local_experts": 2}, "num_experts_per_tok", "experts a token out of 2"),
        ("mixtral-8x7b", {"num_experts_per_tok": 9}, "num_experts_per_tok", "9 experts a token out of 8"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_numbers_that_cannot_stand_together(name: str, changes: dict[str, Any], key: str, said: str) -> None:
    if name == "gpt2":
        own = {
            "model_type": "gpt2",
            "n_embd": 768,
            "n_head": 12,
            "n_layer": 12,
            "vocab_size": 50257,
            "n_positions": 1024,
        }
    else:
        own = config(name)
    assert build(own, name="x").hidden > 0
    with pytest.raises(InputError) as caught:
        build(own | changes, name="x")
    told = [problem for problem in caught.value.problems if problem.path.rpartition(".")[2] == key]
    assert len(told) == 1 and said in told[0].message, caught.value.problems


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"linear_num_key_heads": 16, "linear_num_value_heads": 40}, "linear_num_key_heads"),
        ({"n_groups": 7, "mamba_num_heads": 64}, "n_groups"),
        ({"mamba_n_groups": 3, "mamba_n_heads": 128}, "mamba_n_groups"),
        ({"mamba_expand": 2, "hidden_size": 4096, "mamba_n_heads": 128, "mamba_d_head": 48}, "mamba_n_heads"),
        ({"mamba_d_ssm": 1536, "mamba_n_heads": 25}, "mamba_n_heads"),
        ({"num_kv_shared_layers": 35, "num_hidden_layers": 35}, "num_kv_shared_layers"),
        ({"num_global_key_value_heads": 3, "num_attention_heads": 32}, "num_global_key_value_heads"),
        ({"num_expert_group": 3, "num_experts": 64}, "num_expert_group"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_numbers_of_other_families(given: dict[str, object], key: str) -> None:
    problems: list[Problem] = []
    check(ConfigReader(given, problems, lambda path: "config.json:1:1"))
    assert [problem.path for problem in problems] == [key]
    assert problems[0].where == "config.json:1:1"


def test_latent_attention_has_no_heads_to_share() -> None:
    """A key that its configurations carry and nothing reads."""
    assert derive(load("deepseek-v3", CATALOG), heads=96).model_type == "deepseek_v3"


def test_drafting_layers_may_stand_in_a_list() -> None:
    own = config("deepseek-v3")
    build(own | {"moe_layer_freq": [0] * 3 + [1] * 58}, name="x")
    build(own | {"moe_layer_freq": [0] * 3 + [1] * 59}, name="x")


@pytest.mark.parametrize("kind", sorted(defaults()))
def test_defaults_of_the_library_stand_together(kind: str) -> None:
    problems: list[Problem] = []
    check(ConfigReader(defaults()[kind], problems, lambda path: ""))
    assert not problems


def test_all_problems_of_a_file_are_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    wrong = {"n_group": 7, "topk_group": 9, "qk_rope_head_dim": 63, "first_k_dense_replace": 62, "vocab_size": -1}
    path.write_text(json.dumps(config("deepseek-v3") | wrong), encoding="utf-8")
    assert run(["fit", str(path), "--on", "8xh20-141gb"]) == 2
    told = capsys.readouterr().err
    assert "5 problems" in told
    for key in wrong:
        assert f"{key}:" in told
    assert told.count(f"{path}:1:") == 5


def test_changes_of_another_model_are_held_to_it_too() -> None:
    with pytest.raises(InputError, match="250 experts cannot be split into 8 groups"):
        derive(load("deepseek-v3", CATALOG), experts=250)
