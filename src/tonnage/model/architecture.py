"""What is to be run: an architecture as blocks of layers, and its operators in a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from tonnage.arrays import Ints, Numbers
from tonnage.model.operators import EMBEDDING, HEAD, MTP, Load, Operator, Role, Step
from tonnage.model.site import Site
from tonnage.model.stored import Release


class Mixer(Protocol):
    """What mixes tokens in a layer: some attention, or a recurrence."""

    @property
    def kind(self) -> str:
        """Name of the layer kind, as shown in tables."""

    def operators(self, site: Site) -> tuple[Operator, ...]:
        """Operators of one layer."""

    def cache(self, context: Numbers, tp: Ints = 1) -> Numbers:
        """Elements cached for a sequence of `context` tokens on one of `tp` ranks."""

    def cache_bytes(self, context: Numbers, element: float, tp: Ints = 1) -> Numbers:
        """Bytes of that cache, scales included, where an element takes `element` bytes."""

    def state(self, tp: Ints = 1) -> Numbers:
        """Elements of recurrent state of a sequence on one of `tp` ranks."""


class Ffn(Protocol):
    """What works on each token alone in a layer."""

    @property
    def kind(self) -> str:
        """Name of the layer kind, as shown in tables."""

    @property
    def routed(self) -> bool:
        """Whether it has routed experts."""

    def operators(self, site: Site) -> tuple[Operator, ...]:
        """Operators of one layer."""


@dataclass(frozen=True)
class Extra:
    """Something else that each layer of a block does: a GEMM of n x k, or an element-wise kernel of `stream`.

    weight: elements held, all included; flop, stream, saved: per token.
    """

    name: str
    weight: int
    n: int = 0
    k: int = 0
    flop: int = 0
    stream: int = 0
    saved: int = 0

    def operator(self, site: Site) -> Operator:
        """The operator, repeated on every rank."""
        if self.n:
            return site.gemm(self.name, "other", self.n, self.k, "none", weight=self.weight, saved=self.saved)
        return site.pointwise(self.name, "other", self.stream, weight=self.weight, saved=self.saved, flop=self.flop)


@dataclass(frozen=True)
class Block:
    """Layers of one kind: how many, what mixes tokens, what works on each.

    norms: normalisations of the residual's width in each layer; norm_vectors: vectors that each holds (a LayerNorm's
    bias is a second one, a norm without scale has none).
    """

    count: int
    mixer: Mixer | None
    ffn: Ffn | None
    norms: int = 2
    norm_vectors: int = 1
    extras: tuple[Extra, ...] = ()

    @property
    def kind(self) -> str:
        """Name of the block kind, as shown in tables: `mla+moe`."""
        return "+".join(part.kind for part in (self.mixer, self.ffn) if part is not None)

    def operators(self, site: Site) -> tuple[Operator, ...]:
        """Operators of one layer of the block."""
        names = ("input_norm", "post_norm", "third_norm", "fourth_norm", "fifth_norm", "sixth_norm", "seventh_norm")
        held = site.hidden * self.norm_vectors
        made = [site.norm(name, site.hidden, weight=held) for name in names[: self.norms]]
        for part in (self.mixer, self.ffn):
            if part is not None:
                made.extend(part.operators(site))
        return (*made, *(extra.operator(site) for extra in self.extras))


@dataclass(frozen=True)
class Drafter:
    """A model that drafts tokens for another, as the layers that it adds to a step.

    kind: how it drafts (`eagle3`, `dflash`, `model`); name: of its release, empty where only a shape is assumed;
    hidden: its width; blocks: its layers; embedding: elements of a table of its own; vocab: rows of a head of its own,
    0: it uses the model's; parallel: one pass drafts all tokens; config: the configuration that it was read from.
    """

    kind: str
    name: str
    hidden: int
    blocks: tuple[Block, ...]
    embedding: int = 0
    vocab: int = 0
    parallel: bool = False
    config: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Architecture:
    """A model to be run.

    name: id (`deepseek-ai/DeepSeek-V3`); title: as people write it; hidden: width of the residual stream; vocab: rows
    of the embedding; blocks: kinds of layers; layers: for each layer in order, its index into `blocks`; tied: the
    head reads the embedding table; mtp: the multi-token-prediction layers as a `Block` with their count;
    mtp_tables: whether the release keeps embedding and head a second time with them; final_norm: elements of the norm
    before the head; final_extras: what else is done there; head_bias: elements; precision,
    expert_precision: formats that name the published weights of linear layers and of routed experts; release: how
    every part of them is stored; context: longest sequence [tokens], 0: not known; native_context: the one before
    `rope_scaling` stretched it; left_out: parts of the release that are not counted, by name; encoders: parameters of
    the vision towers by name; embeddings: further tables looked up, by name; config: the configuration it was read
    from; drafter: a model beside it that drafts, instead of layers of its own.
    """

    name: str
    title: str
    model_type: str
    hidden: int
    vocab: int
    blocks: tuple[Block, ...]
    layers: tuple[int, ...]
    tied: bool = False
    mtp: Block | None = None
    mtp_tables: bool = False
    final_norm: int = 0
    final_extras: tuple[Extra, ...] = ()
    head_bias: int = 0
    precision: str = "bf16"
    expert_precision: str = "bf16"
    release: Release = Release()
    context: int = 0
    native_context: int = 0
    left_out: tuple[str, ...] = ()
    encoders: tuple[tuple[str, int], ...] = ()
    embeddings: tuple[tuple[str, int], ...] = ()
    source: str = ""
    config: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)
    drafter: Drafter | None = None

    @property
    def drafting(self) -> tuple[Block, ...]:
        """The layers that draft: of a model beside it, or its own for multi-token prediction."""
        if self.drafter is not None:
            return self.drafter.blocks
        return () if self.mtp is None else (self.mtp,)

    @property
    def depth(self) -> int:
        """Decoder layers, without multi-token prediction."""
        return len(self.layers)

    @property
    def moe(self) -> bool:
        """Whether some layer has routed experts."""
        return any(block.ffn is not None and block.ffn.routed for block in self.blocks)

    @property
    def routing_groups(self) -> tuple[int, int]:
        """(groups that experts are dealt into, groups that one token may visit): node-limited routing, as `n_group` and
        `topk_group` of the configuration say (DeepSeek-V3, arXiv 2412.19437, section 2.1.2); (1, 1) without.
        """
        text = self.config.get("text_config")
        said = text if isinstance(text, Mapping) else self.config
        groups, kept = (_count(said.get(key)) for key in ("n_group", "topk_group"))
        return (groups, kept) if groups > 1 else (1, 1)


def _count(value: object) -> int:
    """A number of a configuration, 1 where it is not given."""
    return int(value) if isinstance(value, (int, float)) and value else 1


def operators(arch: Architecture, step: Step) -> tuple[Operator, ...]:
    """Operators of one forward pass of `step`, the whole model uncut; layers of a block come once with their count.

    Broadcasts over arrays in the step's loads. The multi-token-prediction layers come with block MTP when `step.mtp`.
    """
    tokens = step.tokens
    made = [*_embedding(arch, Site(EMBEDDING, 1, arch.hidden, step, tokens))]
    for number, block in enumerate(arch.blocks):
        made.extend(block.operators(Site(number, block.count, arch.hidden, step, tokens)))
    made.extend(_head(arch, Site(HEAD, 1, arch.hidden, step, tokens)))
    if step.mtp and arch.drafter is not None:
        made.extend(_drafted(arch, arch.drafter, step))
    elif step.mtp and arch.mtp is not None:
        made.extend(_mtp(arch, arch.mtp, Site(MTP, arch.mtp.count, arch.hidden, step, tokens)))
    return tuple(made)


@lru_cache(maxsize=64)
def unit_operators(arch: Architecture, *, mtp: bool = False) -> tuple[Operator, ...]:
    """`operators` of one new token, whose weights and shapes are asked for again and again: made once for a model."""
    return operators(arch, Step((Load(1.0, 1.0),), 1.0, mtp))


def _lookup(site: Site, name: str, weight: float, stream: float, role: Role = "other") -> Operator:
    """Rows of a table, one for each token."""
    return Operator(
        name=name,
        part="embedding",
        kind="lookup",
        block=site.block,
        count=1,
        cut="vocab",
        m=site.tokens,
        weight=float(weight),
        stream=site.tokens * float(stream),
        role=role,
    )


def _embedding(arch: Architecture, site: Site) -> tuple[Operator, ...]:
    held = 0 if arch.tied else arch.vocab * arch.hidden
    made = [_lookup(site, "embedding", held, 2 * arch.hidden, "embedding")]
    made.extend(_lookup(site, name, weight, 2 * arch.hidden) for name, weight in arch.embeddings)
    for name, weight in arch.encoders:
        made.append(Operator(name, "other", "lookup", site.block, 1, "none", weight=float(weight)))
    return tuple(made)


def _head(arch: Architecture, site: Site) -> tuple[Operator, ...]:
    """Final norm, head GEMM (it holds the table of tied embeddings), and the logits in 32 bit."""
    norm = site.norm("final_norm", site.hidden, weight=arch.final_norm)
    extras = [extra.operator(site) for extra in arch.final_extras]
    return (*extras, norm, *_logits(arch, site, arch.vocab * arch.hidden + arch.head_bias))


def _logits(arch: Architecture, site: Site, held: float) -> tuple[Operator, ...]:
    """The head over the tokens that need it, and its logits in 32 bit; held: elements of its table."""
    rows = site.step.logits
    return (
        site.gemm(
            "head", "head", arch.vocab, arch.hidden, "vocab", rows=rows, saved=arch.hidden, weight=held, role="head"
        ),
        site.pointwise("logits", "head", 2 * arch.vocab, "vocab", rows=rows, saved=2 * arch.vocab, role="logits"),
    )


def _drafted(arch: Architecture, drafter: Drafter, step: Step) -> tuple[Operator, ...]:
    """What a model beside it runs in each of its passes: a look-up, its layers, a norm and a head."""
    made = [
        _lookup(
            Site(MTP, 1, drafter.hidden, step, step.tokens), "draft_embedding", drafter.embedding, 2 * drafter.hidden
        )
    ]
    for block in drafter.blocks:
        made.extend(block.operators(Site(MTP, block.count, drafter.hidden, step, step.tokens)))
    site = Site(MTP, 1, drafter.hidden, step, step.tokens)
    rows, vocab = step.logits, drafter.vocab or arch.vocab
    held = float(drafter.vocab * drafter.hidden)
    head = site.gemm("head", "head", vocab, drafter.hidden, "vocab", rows=rows, weight=held, role="head")
    logits = site.pointwise("logits", "head", 2 * vocab, "vocab", rows=rows, role="logits")
    return (*made, site.norm("draft_norm", drafter.hidden), head, logits)


def _mtp(arch: Architecture, block: Block, site: Site) -> tuple[Operator, ...]:
    """Multi-token prediction (DeepSeek-V3, arXiv 2412.19437, section 2.2): embedding and head are the main model's."""
    hidden = arch.hidden
    return (
        _lookup(site, "mtp_embedding", 0, 2 * hidden),
        site.norm("mtp_norms", 2 * hidden, residual=False),
        site.gemm("mtp_proj", "other", hidden, 2 * hidden, "column", saved=2 * hidden),
        *block.operators(site),
        site.norm("mtp_final_norm", hidden),
        *_logits(arch, site, 0),
    )
