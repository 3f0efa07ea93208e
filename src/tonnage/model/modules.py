"""What the modules of a model are called in releases, and which a pattern of a quantisation section means.

Families call like modules by other names, so each operator with weights has alternatives; a pattern means the operator
if it means one of them. Names are compared without what stands before the layers (`model.language_model.`).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from tonnage.model.architecture import Block
from tonnage.model.attention import Gqa
from tonnage.model.compressed import Compressed
from tonnage.model.encoded import Encoded
from tonnage.model.ffn import Parallel
from tonnage.model.latent import Mla
from tonnage.model.linear import DELTA, KDA, SSD, Recurrent
from tonnage.model.methods import ModuleRule

Alternatives = tuple[str, ...]

BEFORE = ("model", "language_model", "backbone", "transformer", "text_model", "thinker", "llm", "decoder")
"""What can stand before the layers."""

_FUSED = ("qkv_proj", "query_key_value", "c_attn", "Wqkv", "qkv")
_ATTENTION: dict[str, tuple[Alternatives, ...]] = {
    "q_a": (("q_proj", "q_a_proj"),),
    "q_proj": (("q_proj", "wq", *_FUSED),),
    "kv_proj": (("k_proj", "wk", *_FUSED), ("v_proj", "wv", *_FUSED)),
    "o_proj": (("o_proj", "wo", "out_proj", "dense", "c_proj", "wo_b", "o_b_proj", "linear_proj"),),
    "o_a": (("wo_a", "o_a_proj"),),
    "qkv_a": (("q_a_proj", "wq_a", "q_proj"), ("kv_a_proj_with_mqa", "kv_a_proj", "wkv", "kv_proj")),
    "kv_a": (("kv_a_proj_with_mqa", "kv_a_proj"),),
    "q_b": (("q_b_proj", "wq_b", "q_proj"),),
    "kv_b": (("kv_b_proj",),),
    "gate_proj": (("g_proj", "gate_proj", "output_gate"),),
    "index_q": (("indexer.wq_b", "indexer.q_b_proj"),),
    "index_k": (("indexer.wk", "indexer.k_proj"),),
    "index_proj": (("indexer.weights_proj", "indexer.proj", "indexers_proj"),),
    "compress_proj": (("compressor.wkv", "compressor.kv_proj"), ("compressor.wgate", "compressor.gate_proj")),
    "low_rank_0_a": (("f_a_proj",),),
    "low_rank_0_b": (("f_b_proj",),),
    "low_rank_1_a": (("g_a_proj",),),
    "low_rank_1_b": (("g_b_proj",),),
}
_IN_PROJ: dict[str, tuple[Alternatives, ...]] = {
    DELTA.name: (("in_proj_qkv", "in_proj_qkvz"), ("in_proj_qkv", "in_proj_qkvz"), ("in_proj_z", "in_proj_qkvz")),
    KDA.name: (("q_proj",), ("k_proj",), ("v_proj",)),
    SSD.name: (("in_proj",),),
}
_FFN: dict[str, tuple[Alternatives, ...]] = {
    "gate_up": (("gate_proj", "w1", "gate_up_proj", "c_fc_0"), ("up_proj", "w3", "gate_up_proj", "c_fc_1")),
    "up": (("up_proj", "fc1", "c_fc", "dense_h_to_4h"),),
    "down": (("down_proj", "w2", "fc2", "c_proj", "dense_4h_to_h"),),
}
_PARENTS = ("mlp", "feed_forward", "ffn", "block_sparse_moe", "mixer", "moe")
_SHARED = ("shared_experts", "shared_expert", "shared_mlp", "share_expert")
_ROUTED: dict[str, tuple[str, str]] = {
    "expert_gate_up": ("experts", "gate_up"),
    "expert_up": ("experts", "up"),
    "expert_down": ("experts", "down"),
    "shared_gate_up": ("shared", "gate_up"),
    "shared_up": ("shared", "up"),
    "shared_down": ("shared", "down"),
}
_SINGLE: dict[str, Alternatives] = {
    "router": tuple(f"{parent}.{leaf}" for parent in _PARENTS for leaf in ("gate", "router", "gate.wg")),
    "latent_down": ("mixer.fc1_latent_proj", "block_sparse_moe.routed_expert_down_proj", "mlp.latent_down"),
    "latent_up": ("mixer.fc2_latent_proj", "block_sparse_moe.routed_expert_up_proj", "mlp.latent_up"),
    "mtp_proj": ("eh_proj", "fc", "mtp.fc", "e_proj"),
}
HEAD_NAMES = ("lm_head", "output", "head", "embed_out")
TABLE_NAMES = ("embed_tokens", "embeddings", "wte", "word_embeddings", "tok_embeddings", "embedding", "embed")


FURTHER: dict[str, Alternatives] = {
    "engram_table": ("engram.embed",),
    "ngram_table": ("ple.ple_embedding.ngram_embedding", "ple.ple_embedding"),
    "per_layer_embedding": ("embed_tokens_per_layer",),
}
"""Further tables looked up, by the name of their operator without its number."""


def further_tables(name: str) -> Alternatives:
    """The modules of a table that is no embedding of single tokens; none where releases keep it as it is."""
    return FURTHER.get(name.rstrip("0123456789").rstrip("_"), ())


@lru_cache(maxsize=4096)
def modules_of(name: str, block: Block | None) -> tuple[Alternatives, ...]:
    """The modules behind an operator with weights, below their layer: for each, the names that it can have.

    Empty where releases never quantise what the operator holds (norms, convolutions, tables of their own).
    """
    if name in _SINGLE:
        return (_SINGLE[name],)
    if name in _ROUTED:
        return _routed(*_ROUTED[name], beside=block is not None and isinstance(block.ffn, Parallel))
    if name in _FFN:
        return tuple(_below(_PARENTS, names) for names in _FFN[name])
    mixer = None if block is None else block.mixer
    if name == "in_proj" and isinstance(mixer, Recurrent):
        found = _IN_PROJ.get(mixer.rule.name, (("in_proj", *_FUSED),))
        return tuple(_below(_parents(mixer), names) for names in found)
    found = _ATTENTION.get(name, ())
    if name == "q_proj" and isinstance(mixer, Gqa) and mixer.gate_apart:
        found = (*found, *_ATTENTION["gate_proj"])  # as wide as the queries
    return tuple(_below(_parents(mixer), names) for names in found)


def _routed(where: str, leaf: str, *, beside: bool) -> tuple[Alternatives, ...]:
    """The modules of experts, routed or shared; beside: they stand beside a dense layer, not inside it."""
    below = ("experts.0", "experts") if where == "experts" else _SHARED
    parents = [f"{parent}.{each}" for parent in (("moe",) if beside else _PARENTS) for each in below]
    own = below if beside or where == "shared" else ()
    return tuple(_below([*parents, *own], names) for names in _FFN[leaf])


def _below(parents: Sequence[str], leaves: Alternatives) -> Alternatives:
    return tuple(f"{parent}.{leaf}" for parent in parents for leaf in leaves)


def _parents(mixer: object) -> tuple[str, ...]:
    """What the module that mixes tokens is called."""
    if isinstance(mixer, Recurrent):
        named = {DELTA.name: ("linear_attn",), KDA.name: ("self_attn", "linear_attn"), SSD.name: ("mixer", "mamba")}
        return named.get(mixer.rule.name, ("self_attn", "attention", "linear_attn"))
    if isinstance(mixer, (Mla, Compressed, Encoded)):
        return ("self_attn", "attn", "attention")
    if isinstance(mixer, Gqa):
        return ("self_attn", "attn", "attention", "self_attention", "mixer", "attn.attention")
    return ()


def bare(name: str) -> str:
    """A name without what stands before the layers."""
    parts = name.strip(".").split(".")
    while len(parts) > 1 and parts[0] in BEFORE:
        parts.pop(0)
    if parts[0] in ("h", "blocks", "block") and len(parts) > 1 and parts[1].isdigit():
        parts[0] = "layers"
    return ".".join(parts)


@dataclass
class Finder:
    """Rules made ready to be asked for many modules. named: by exact name; words: runs of names without a layer."""

    rules: tuple[ModuleRule, ...]
    named: dict[str, int] = field(default_factory=dict)
    words: list[tuple[str, int]] = field(default_factory=list)
    globs: list[tuple[re.Pattern[str], str | None, int]] = field(default_factory=list)
    patterns: list[tuple[re.Pattern[str], int]] = field(default_factory=list)
    layers: set[int] = field(default_factory=set)
    every: bool = False

    def __post_init__(self) -> None:
        for number, rule in enumerate(self.rules):
            self._add(rule.pattern, number)

    def _add(self, text: str, number: int) -> None:
        if text.startswith("re:"):
            pattern = compiled(text.removeprefix("re:"))
            if pattern is not None:
                self.patterns.append((pattern, number))
                self._note_layers(text)
            return
        if "*" in text or "?" in text or "[" in text:
            self._add_glob(bare(text), number)
            return
        plain = bare(text)
        layer = _LAYER.search(plain)
        if layer:
            self.layers.add(int(layer.group(1)))
            self.named.setdefault(plain, number)
        else:
            self.words.append((f".{plain.removesuffix('.weight')}.", number))

    def _note_layers(self, text: str) -> None:
        """Which layers a regular expression can tell apart."""
        numbers = [int(n) for n in re.findall(r"layers\\?\.(\d{1,5})\b", text)]
        self.layers.update(numbers)
        if not numbers and re.search(r"layers\\?\.[(\[]", text):
            self.every = True

    def _add_glob(self, plain: str, number: int) -> None:
        squeezed = re.sub(r"\*+", "*", plain)
        if squeezed.count("*") > 4:
            return
        layer = _LAYER.search(squeezed)
        if layer:
            self.layers.add(int(layer.group(1)))
        elif re.search(r"layers\.[\[\d]", squeezed):
            self.every = True
        made = re.compile(fnmatch.translate(squeezed))
        self.globs.append((made, layer.group(1) if layer else None, number))

    def find(self, names: Sequence[str]) -> int | None:
        """The number of the first rule that means one of these names of a module."""
        best = len(self.rules)
        for name in names if best else ():
            for number in self._of(name, best):
                best = min(best, number)
        return best if best < len(self.rules) else None

    def _of(self, name: str, best: int) -> Iterator[int]:
        place = name if self.named else ""
        while place:
            if place in self.named:
                yield self.named[place]
            place = place.rpartition(".")[0]
        dotted = f".{name}."
        yield from (number for word, number in self.words if number < best and word in dotted)
        layer = _LAYER.search(name) if self.globs else None
        own = layer.group(1) if layer else None
        for glob, of, number in self.globs:
            if number < best and (of is None or of == own) and _covers(glob, name):
                yield number
        for pattern, number in self.patterns:
            if number < best and any(pattern.match(before + name) for before in _PREFIXES):
                yield number


_PREFIXES = ("model.", "model.language_model.", "language_model.model.", "backbone.", "")
_LAYER = re.compile(r"layers\.(\d{1,5})(?![\d\]*?])")


def _covers(glob: re.Pattern[str], name: str) -> bool:
    """Whether a pattern means a module or one above it."""
    while name:
        if glob.match(name):
            return True
        name = name.rpartition(".")[0]
    return False


MOST = 3
"""Open-ended repeats in one expression at most: matching takes the length of a name to that power."""


def compiled(text: str) -> re.Pattern[str] | None:
    """A regular expression that cannot take long; None for one that could, or that is none."""
    open_ended = len(re.findall(r"(?<!\\d)(?<!\\w)[*+]", text))
    if len(text) > 500 or re.search(r"\)[*+{]|[*+?}][*+]", text) or open_ended > MOST + 1:
        return None
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError):
        return None
