"""The model of a case: a bundled one by its id, or one built of the sizes that the source prints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from tonnage.errors import TonnageError
from tonnage.model import Architecture, load, params
from tonnage.model.architecture import Block, Ffn, Mixer
from tonnage.model.attention import Gqa
from tonnage.model.ffn import Dense, Moe
from tonnage.model.latent import Mla
from tonnage.system import Accelerator, accelerator
from tonnage.truth.cases import Skip, number, required, text, whole
from tonnage.truth.table import Row

if TYPE_CHECKING:
    from tonnage.catalog import Catalog

T = TypeVar("T", Architecture, Accelerator)

FAMILIES = (
    "deepseek",
    "llama",
    "qwen",
    "gpt-oss",
    "gpt",
    "glm",
    "kimi",
    "minimax",
    "mixtral",
    "mistral",
    "nemotron",
    "gemma",
    "grok",
    "mpt",
    "internlm",
    "palm",
)

SIZES: dict[str, dict[str, Any]] = {
    "baai/aquila": {"vocab_size": 100_008},
    "baichuan-inc/baichuan-": {"vocab_size": 64_000},
    "baichuan-inc/baichuan2": {"vocab_size": 125_696},
    "bigscience/bloom": {"vocab_size": 250_880, "ffn_type": "gelu-2-matrix", "tied_embeddings": True},
    "huggyllama/llama": {"vocab_size": 32_000},
    "internlm/internlm-": {"vocab_size": 103_168},
    "internlm/internlm2": {"vocab_size": 92_544},
    "qwen/qwen-7b": {"vocab_size": 151_936},
    "qwen/qwen-": {"vocab_size": 152_064},
    "thudm/chatglm3": {"vocab_size": 65_024, "ffn_size": 13_696},
}
"""Sizes that tables of runs leave out, of models known by their id: config.json of that repository on Hugging Face."""


def family(name: str) -> str:
    """Family of a model by its name, for breakdowns."""
    low = name.lower().replace(" ", "-")
    return next((known for known in FAMILIES if known in low), "other")


@dataclass
class Library:
    """Models and accelerators of the cases, each made once."""

    catalog: Catalog
    _models: dict[str, Architecture | str] = field(default_factory=dict)
    _chips: dict[str, Accelerator | str] = field(default_factory=dict)

    def model(self, name: str) -> Architecture:
        """A bundled model by its id. Raises Skip when there is none."""
        return _made(self._models, name, lambda: _load(name, self.catalog))

    def shape(self, model: Any) -> Architecture:
        """Model of a training case: the bundled one it names unless its depth differs; else of its sizes, or Skip."""
        if not isinstance(model, dict):
            raise Skip("model is not an object")
        return _made(self._models, json.dumps(model, sort_keys=True), lambda: self._shape(model))

    def _shape(self, model: Row) -> Architecture:
        bundled, depth = text(model, "bundled"), whole(model, "layers")
        if bundled:
            try:
                found = self.model(bundled)
            except Skip:
                if depth is None:
                    raise
            else:
                if depth in (None, found.depth):
                    return replace(found, mtp=None) if model.get("mtp_depth") == 0 else found
            model = {**_known(bundled), **model}
        return from_sizes(model)

    def chip(self, name: str) -> Accelerator:
        """An accelerator by its exact key. Raises Skip when the catalogue lacks it or a rate that it needs."""
        return _made(self._chips, name, lambda: _accelerator(name, self.catalog))


def _known(bundled: str) -> dict[str, Any]:
    return next((sizes for prefix, sizes in SIZES.items() if bundled.lower().startswith(prefix)), {})


def _made(cache: dict[str, T | str], key: str, make: Callable[[], T]) -> T:
    if key not in cache:
        try:
            cache[key] = make()
        except Skip as reason:
            cache[key] = str(reason)
    found = cache[key]
    if isinstance(found, str):
        raise Skip(found)
    return found


def _load(name: str, catalog: Catalog) -> Architecture:
    for candidate in dict.fromkeys((name, re.sub(r"-(BF16|bf16|FP8|fp8)$", "", name))):
        try:
            return load(candidate, catalog)
        except TonnageError:
            continue
    raise Skip(f"model {name[:60]} is not bundled")


def _accelerator(name: str, catalog: Catalog) -> Accelerator:
    try:
        return accelerator(name, catalog)
    except TonnageError as error:
        raise Skip(f"chip {name[:40]}: {error.message[:80]}") from None


def from_sizes(model: Row) -> Architecture:
    """Architecture of the printed sizes.

    Where kv_heads is absent, plain multi-head attention; where ffn_type is absent, two matrices when the width is
    four times the hidden size (the GPT default, and its width where none is printed), else gated; whether the tables
    are tied, and a vocabulary that is not printed, follow from the printed parameter count. Raises Skip when a size
    is missing.
    """
    hidden = int(required(whole(model, "hidden_size"), "model.hidden_size"))
    layers = int(required(whole(model, "layers"), "model.layers"))
    if layers > 10_000 or hidden > 10**6:
        raise Skip("model sizes are out of range")
    blocks = _blocks(model, hidden, layers)
    order = tuple(index for index, block in enumerate(blocks) for _ in range(block.count))
    name = text(model, "name") or "unnamed"
    arch = Architecture(
        name=name,
        title=name,
        model_type="from printed sizes",
        hidden=hidden,
        vocab=whole(model, "vocab_size") or 0,
        blocks=blocks,
        layers=order,
        tied=bool(model.get("tied_embeddings")),
        mtp=replace(blocks[-1], count=depth) if (depth := whole(model, "mtp_depth", least=0)) else None,
        final_norm=hidden,
        context=0,
    )
    return _fitted(arch, number(model, "total_params"), "tied_embeddings" in model)


def _fitted(arch: Architecture, total: float | None, tied_known: bool) -> Architecture:
    if not arch.vocab:
        rest = required(total, "model.vocab_size") - params(replace(arch, vocab=1)).total
        tables = 1 if arch.tied or not tied_known else 2
        return replace(arch, vocab=int(min(max(rest / arch.hidden / tables, 32_000), 262_144)), tied=tables == 1)
    if tied_known or total is None:
        return arch
    return min((arch, replace(arch, tied=True)), key=lambda candidate: abs(params(candidate).total - total))


def _blocks(model: Row, hidden: int, layers: int) -> tuple[Block, ...]:
    mixer = _mixer(model, hidden)
    parallel = 1 if model.get("parallel_attention_ffn") is True else 2
    experts = whole(model, "experts", least=0)
    if not experts:
        return (Block(layers, mixer, _dense(model, hidden), norms=parallel),)
    first = min(whole(model, "first_dense_layers", least=0) or 0, layers - 1)
    moe = Block(layers - first, mixer, _moe(model, experts), norms=parallel)
    return (Block(first, mixer, _dense(model, hidden), norms=parallel), moe) if first else (moe,)


def _mixer(model: Row, hidden: int) -> Mixer:
    heads = int(required(whole(model, "heads"), "model.heads"))
    kv_lora = whole(model, "kv_lora_rank")
    if text(model, "attention") == "mla" or kv_lora:
        nope, rope = whole(model, "qk_nope_head_dim") or 128, whole(model, "qk_rope_head_dim") or 64
        rank = int(required(kv_lora, "model.kv_lora_rank"))
        return Mla(heads, whole(model, "q_lora_rank") or 0, rank, nope, rope, whole(model, "v_head_dim") or 128)
    size = whole(model, "head_dim") or max(hidden // heads, 1)
    window = whole(model, "sliding_window", least=0) or 0
    return Gqa(heads, whole(model, "kv_heads") or heads, size, size, window=window)


PLAIN = ("gelu", "relu", "squared-relu", "xielu")
"""Activations that come with two matrices; gated ones have names of their own (swiglu, geglu)."""


def _gated(model: Row, hidden: int) -> bool:
    kind = text(model, "ffn_type")
    if kind is None:
        return whole(model, "ffn_size") != 4 * hidden
    return "2-matrix" not in kind and kind not in PLAIN


def _dense(model: Row, hidden: int) -> Ffn:
    gated, size = _gated(model, hidden), whole(model, "ffn_size")
    if size is None and text(model, "ffn_type") == "gelu-2-matrix":
        size = 4 * hidden
    return Dense(int(required(size, "model.ffn_size")), gated)


def _moe(model: Row, experts: int) -> Ffn:
    top_k = int(required(whole(model, "top_k"), "model.top_k"))
    size = int(required(whole(model, "expert_ffn_size") or whole(model, "ffn_size"), "model.expert_ffn_size"))
    if top_k > experts:
        raise Skip("model.top_k is more than model.experts")
    shared = whole(model, "shared_experts", least=0) or 0
    kind = text(model, "ffn_type") or "swiglu"
    gated = "2-matrix" not in kind and kind not in PLAIN
    return Moe(experts, top_k, size, gated, shared=Dense(shared * size, gated) if shared else None)
