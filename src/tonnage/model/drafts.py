"""Models that draft for another: EAGLE heads, DFlash, or a small model, as the layers that a step runs besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from tonnage.errors import InputError, Problem
from tonnage.model.architecture import Architecture, Block, Drafter, Extra
from tonnage.model.attention import Gqa
from tonnage.model.ffn import Dense

DraftKind = Literal["eagle", "eagle3", "dflash", "model"]

CLASSES: dict[str, DraftKind] = {
    "LlamaForCausalLMEagle3": "eagle3",
    "Eagle3LlamaForCausalLM": "eagle3",
    "Eagle3Qwen3ForCausalLM": "eagle3",
    "Eagle3Qwen2_5vlForCausalLM": "eagle3",
    "Eagle3Qwen3vlForCausalLM": "eagle3",
    "Eagle3MiniMaxM2ForCausalLM": "eagle3",
    "Eagle3DeepseekV2ForCausalLM": "eagle3",
    "Eagle3DeepseekV3ForCausalLM": "eagle3",
    "Eagle3DraftModel": "eagle3",
    "Eagle3Speculator": "eagle3",
    "EagleLlamaForCausalLM": "eagle",
    "LlamaForCausalLMEagle": "eagle",
    "EagleLlama4ForCausalLM": "eagle",
    "EagleMistralForCausalLM": "eagle",
    "EagleModel": "eagle",
    "DFlashDraftModel": "dflash",
    "DFlash2DraftModel": "dflash",
    "DFlashLagunaForCausalLM": "dflash",
}
"""What drafts, by the class that a file names, as vLLM 0.32 and SGLang register them."""

WATCHED = 3
"""Layers of the model whose states an EAGLE-3 head sees (arXiv 2503.01840, section 3.1)."""

SHORT_VOCAB = 32_000
"""Tokens that the published EAGLE-3 heads can draft (github.com/SafeAILab/EAGLE), where nothing says it."""


def kind_of(draft: Architecture) -> DraftKind:
    """What a draft model is: by the class that its file names, or by the keys that only its kind has."""
    named = draft.config.get("architectures")
    for name in named if isinstance(named, (list, tuple)) else ():
        if name in CLASSES:
            return CLASSES[name]
    if "dflash_config" in draft.config:
        return "dflash"
    return "eagle3" if "draft_vocab_size" in draft.config else "model"


def drafter_of(draft: Architecture, target: Architecture) -> Drafter:
    """The layers that `draft` adds to a step of `target`. Raises `InputError` where it has another vocabulary."""
    return replace(_drafter(kind_of(draft), draft, target), config=draft.config)


def _drafter(kind: DraftKind, draft: Architecture, target: Architecture) -> Drafter:
    if kind == "model":
        return _small(draft, target)
    hidden, wide = draft.hidden, target.hidden
    if kind == "eagle":
        into = Extra("draft_proj", 2 * hidden * hidden, n=hidden, k=2 * hidden)
        return Drafter(kind, draft.name, hidden, _once(draft, into), embedding=0)
    looked = _watched(draft.config) or (WATCHED if kind == "eagle3" else draft.depth)
    norm = hidden if kind == "dflash" else 0
    into = Extra("draft_proj", looked * wide * hidden + norm, n=hidden, k=looked * wide)
    blocks = _once(draft, into)
    if kind == "dflash":
        return Drafter(kind, draft.name, hidden, blocks, embedding=0, parallel=True)
    rows = draft.config.get("draft_vocab_size")
    vocab = rows if isinstance(rows, int) and 0 < rows <= 10**8 else SHORT_VOCAB
    blocks = (_doubled(blocks[0], hidden), *blocks[1:])
    own = 0 if hidden == wide else target.vocab * hidden
    return Drafter(kind, draft.name, hidden, blocks, embedding=own, vocab=vocab)


def _small(draft: Architecture, target: Architecture) -> Drafter:
    """A whole model of its own."""
    if draft.vocab != target.vocab:
        message = (
            f"{draft.title} has {draft.vocab:,} tokens and {target.title} {target.vocab:,}: drafts must be its tokens"
        )
        raise InputError(Problem(message, path="draft"))
    own = 0 if draft.tied else draft.vocab * draft.hidden
    return Drafter("model", draft.name, draft.hidden, draft.blocks, embedding=own, vocab=draft.vocab)


def _once(draft: Architecture, into: Extra) -> tuple[Block, ...]:
    """The layers of a head; the first of them runs the projection of what it looks at."""
    first, *others = draft.blocks
    if first.count > 1:
        others = [replace(first, count=first.count - 1), *others]
    return (replace(first, count=1, extras=(*first.extras, into)), *others)


def _doubled(block: Block, hidden: int) -> Block:
    """An EAGLE-3 layer: queries, keys and values come from the token and the state together, each with its norm."""
    mixer = block.mixer
    if not isinstance(mixer, Gqa):
        return block
    columns = mixer.heads * mixer.dim + mixer.kv_width
    return replace(block, extras=(*block.extras, Extra("draft_inputs", hidden * columns + hidden, n=columns, k=hidden)))


def _watched(config: Mapping[str, object]) -> int:
    """Layers of the model that a draft looks at, 0 where it does not say."""
    for key, inner in (("dflash_config", "target_layer_ids"), ("eagle_config", "eagle_aux_hidden_state_layer_ids")):
        section = config.get(key)
        listed = section.get(inner) if isinstance(section, Mapping) else None
        if isinstance(listed, (list, tuple)) and listed:
            return len(listed)
    return 0


def usual_drafter(target: Architecture) -> Drafter:
    """An EAGLE-3 head of the shape that is usual for a model: one layer of its width, heads and dense FFN."""
    mixer = next((block.mixer for block in target.blocks if isinstance(block.mixer, Gqa)), None)
    heads = max(target.hidden // 128, 1)
    plain = Gqa(heads=heads, kv_heads=max(heads // 4, 1), dim=128, value=128)
    if mixer is not None:
        plain = Gqa(mixer.heads, mixer.kv_heads, mixer.dim, mixer.value)
    sizes = [block.ffn.size for block in target.blocks if isinstance(block.ffn, Dense)]
    block = Block(1, plain, Dense(max(sizes, default=4 * target.hidden)))
    into = Extra("draft_proj", WATCHED * target.hidden**2, n=target.hidden, k=WATCHED * target.hidden)
    made = _doubled(replace(block, extras=(into,)), target.hidden)
    return Drafter("eagle3", "", target.hidden, (made,), embedding=0, vocab=SHORT_VOCAB)


def with_draft(target: Architecture, drafter: Drafter) -> Architecture:
    """The model with another that drafts for it, instead of layers of its own."""
    release = replace(target.release, drafts=())
    return replace(target, drafter=drafter, release=release)
