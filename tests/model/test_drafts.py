"""Models that draft for another: their parameters, their cache, and that a value with one is kept whole."""

from __future__ import annotations

from typing import Any

import pytest

from tonnage.errors import InputError
from tonnage.model import MTP, Architecture, Drafter, Load, Step, build, drafter_of, load, operators, with_draft
from tonnage.model.drafts import usual_drafter
from tonnage.values import decode, encode

TARGET = load("llama-3.1-8b")
LAYER: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 1,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
}


def held(arch: Architecture) -> int:
    """Parameters that the draft adds."""
    step = Step((Load(1.0, 1.0),), 1.0, mtp=True)
    return sum(round(float(each.weight)) * each.count for each in operators(arch, step) if each.block == MTP)


def head(config: dict[str, Any], target: Architecture = TARGET) -> Drafter:
    return drafter_of(build(config, name="head"), target)


def test_eagle_3_of_llama_is_the_size_of_its_release() -> None:
    """yuhuili/EAGLE3-LLaMA3.1-Instruct-8B: 850 MB in 16 bits, without the table that it shares."""
    made = head({**LAYER, "architectures": ["LlamaForCausalLMEagle3"], "draft_vocab_size": 32000})
    assert (made.kind, made.vocab, made.parallel) == ("eagle3", 32000, False)
    assert 2 * held(with_draft(TARGET, made)) == pytest.approx(850e6, rel=0.005)


def test_the_usual_head_is_that_of_the_release_where_shapes_are() -> None:
    told = head({**LAYER, "architectures": ["LlamaForCausalLMEagle3"], "draft_vocab_size": 32000})
    assert held(with_draft(TARGET, usual_drafter(TARGET))) == held(with_draft(TARGET, told))


def test_eagle_has_a_layer_and_a_projection_of_twice_the_width() -> None:
    made = head({**LAYER, "architectures": ["EagleLlamaForCausalLM"]})
    layer = 4096 * (32 + 2 * 8 + 32) * 128 + 3 * 4096 * 14336
    assert held(with_draft(TARGET, made)) == pytest.approx(layer + 2 * 4096**2, rel=1e-3)


def test_dflash_drafts_in_one_pass_and_has_no_tables() -> None:
    """z-lab/Qwen3-8B-DFlash-b16: five layers that look at five of the model's."""
    target = load("qwen3-8b")
    config = {**target.config, "architectures": ["DFlashDraftModel"], "num_hidden_layers": 5, "block_size": 16}
    config["dflash_config"] = {"target_layer_ids": [1, 9, 17, 25, 33], "mask_token_id": 151669}
    made = head(config, target)
    assert made.parallel
    assert made.embedding == made.vocab == 0
    layer = 4096 * (32 + 2 * 8 + 32) * 128 + 3 * 4096 * 12288
    assert held(with_draft(target, made)) == pytest.approx(5 * layer + 5 * 4096**2, rel=1e-3)


def test_a_small_model_is_counted_whole() -> None:
    made = with_draft(load("qwen3-8b"), drafter_of(load("qwen3-0.6b"), load("qwen3-8b")))
    assert held(made) == pytest.approx(596_049_920, rel=1e-6)


def test_a_model_with_other_tokens_cannot_draft() -> None:
    with pytest.raises(InputError, match="must be its tokens"):
        drafter_of(load("llama-3.2-1b"), load("qwen3-8b"))


def test_speculators_files_are_read_by_the_layer_that_they_describe() -> None:
    config = {
        "architectures": ["Eagle3Speculator"],
        "draft_vocab_size": 32000,
        "transformer_layer_config": LAYER,
        "speculators_config": {"algorithm": "eagle3"},
    }
    assert head(config).kind == "eagle3"


@pytest.mark.parametrize("drafter", [usual_drafter(TARGET), drafter_of(load("llama-3.2-1b"), TARGET)])
def test_a_model_with_a_draft_is_kept_whole(drafter: Drafter) -> None:
    from tonnage.model.kept import FORMS

    arch = with_draft(TARGET, drafter)
    kept = encode(arch, FORMS)
    assert decode(Architecture, kept, FORMS) == arch
