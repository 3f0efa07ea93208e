"""Families and towers of 2026 against the classes of transformers, on the meta device: parameters exactly."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from tonnage.model import build, params
from tonnage.model.latest import LATEST

TEXT = ("mellum", "kolibri1", "flint", "granite_swa", "hyperclovax", "cohere2_moe", "lfm3", "axk1", "hy_v4")
WHOLE = ("muse_glimmer", "mistral_large4", "gemma4_unified", "ernie4_5_vl_moe", "gemma4")
TOWERS = ("llama4", "glm4v", "paligemma", "llava")


def settings(kind: str, **more: Any) -> Any:
    import transformers

    return transformers.AutoConfig.for_model(kind, **more)


def written(config: Any) -> dict[str, Any]:
    """As the library writes it to a file."""
    found: dict[str, Any] = json.loads(json.dumps(config.to_dict(), default=str))
    return {key: value for key, value in found.items() if key not in ("dtype", "torch_dtype")}


def counted(config: Any, kind: str) -> int:
    import torch
    import transformers

    made = getattr(transformers, kind)
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in made.from_config(config).parameters())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", TEXT)
def test_language_models(kind: str) -> None:
    config = settings(kind)
    assert params(build(written(config), name=kind)).total == counted(config, "AutoModelForCausalLM")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [*WHOLE, *TOWERS])
def test_releases_with_their_towers(kind: str) -> None:
    config = settings(kind)
    found = build(written(config), name=kind)
    assert params(found).total == counted(config, "AutoModelForImageTextToText")
    assert not found.left_out


@pytest.mark.filterwarnings("ignore")
def test_an_audio_tower_of_gemma_4() -> None:
    config = settings("gemma4", audio_config={}, vision_config={})
    found = build(written(config), name="audio")
    assert dict(found.encoders)["audio_tower"] == 304_824_608
    assert params(found).total == counted(config, "AutoModelForImageTextToText")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("internvl", {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100}),
        ("mistral3", {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100}),
    ],
)
def test_towers_of_small_language_parts(kind: str, text: dict[str, Any]) -> None:
    kinds = {"internvl": "qwen2", "mistral3": "mistral"}
    inner = {"model_type": kinds[kind], "intermediate_size": 96, "num_key_value_heads": 2, **text}
    inner |= {"pad_token_id": 0, "tie_word_embeddings": False}
    config = settings(kind, text_config=inner, tie_word_embeddings=False)
    found = build(written(config), name=kind)
    assert params(found).total == counted(config, "AutoModelForImageTextToText")
    assert {name for name, _ in found.encoders} == {"vision_tower", "vision_projector"}


def test_sizes_by_layer_that_newer_files_give() -> None:
    """transformers writes `per_layer_config` where older files have `global_head_dim`."""
    old = {
        "model_type": "gemma4_text",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": 100,
        "sliding_window": 8,
        "hidden_size_per_layer_input": 0,
        "layer_types": ["sliding_attention", "full_attention"],
    }
    new = build({**old, "per_layer_config": {"01": {"head_dim": 32, "num_key_value_heads": 1}}}, name="new")
    wide = {"global_head_dim": 32, "num_global_key_value_heads": 1, "attention_k_eq_v": True}
    assert params(build({**old, **wide}, name="old")).total == params(new).total - 64 * 32  # values are keys there
    assert params(build(old, name="usual")).by_name["q_proj"] == 64 * 4 * (16 + 512)


def test_every_new_family_reads_its_windows() -> None:
    config = settings("kolibri1")
    spans = [block.mixer.window for block in build(written(config), name="k").blocks]  # type: ignore[union-attr]
    assert spans == [513, 0]
    assert set(LATEST) >= set(TEXT)
