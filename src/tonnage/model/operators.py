"""What a model does in one step, as operators: the values that pass from `model` to `layout` to `system`.

An operator describes the work of one layer (times `count` layers of its block) on the whole, uncut model. Every number
may be a float or a numpy array: a step with an array of context lengths gives operators with arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tonnage.arrays import Numbers

Kind = Literal["gemm", "grouped_gemm", "attention", "scan", "pointwise", "lookup"]
Part = Literal["attention", "ffn", "experts", "shared_experts", "router", "norm", "embedding", "head", "other"]
Cut = Literal["column", "row", "heads", "kv_heads", "experts", "vocab", "none"]
Role = Literal["up", "activation", "down", "router", "mla_up", "embedding", "head", "logits", "other"]
Direction = Literal["forward", "dgrad", "wgrad"]

EMBEDDING, HEAD, MTP = -1, -2, -3
"""Block numbers of what is not a decoder layer."""


@dataclass(frozen=True)
class Load:
    """A set of like sequences inside a step.

    sequences: how many; new: tokens computed for each in this step; context: tokens already in its cache.
    """

    sequences: Numbers
    new: Numbers
    context: Numbers = 0.0


@dataclass(frozen=True)
class Step:
    """One forward pass as one attention replica (one tensor-parallel group) sees it.

    loads: the sequences in it (a mixed step has a decode load and a prefill load); logits: tokens for which the head
    is computed (training: all; prefill: one a sequence); mtp: whether multi-token-prediction layers run too.
    """

    loads: tuple[Load, ...]
    logits: Numbers
    mtp: bool = False

    @property
    def tokens(self) -> Numbers:
        """New tokens in the step."""
        return sum(load.sequences * load.new for load in self.loads)


@dataclass(frozen=True)
class Operator:
    """One operator of one layer, uncut.

    name: `q_proj`, `core`, `gate_up`, ...: a label for people, by which nothing is decided; part: where it belongs;
    kind: which cost model prices it; block: index into `Architecture.blocks`, or EMBEDDING, HEAD, MTP; count: layers
    that have it; cut: how tensor (or expert) parallelism divides it: column divides n, row divides k, heads and
    kv_heads divide the heads, experts divides the groups, vocab divides n or the table, none is repeated on every rank.

    role: what it is for, where that decides something. Of a feed-forward layer, dense, shared or routed: up (its gate
    too), activation, down (the reduction, or the combination of experts, comes after it); router: scores of the
    experts; mla_up: from MLA's latents to the heads, cheap to repeat for what it makes (arXiv 2412.19437, section
    3.2.3); embedding, head: the two tables of the vocabulary; logits: what the head gives, in 32 bit; other: nothing
    depends on it.
    direction: forward; or backward, dgrad: gradients of its inputs, wgrad: of its weights (`layout.backward`).

    m, n, k: GEMM shape, m rows (tokens), n outputs, k inputs; for attention m = new tokens, n = keys seen by one query
    on average, k = the head's query plus value size; groups: experts (grouped_gemm) or heads (attention), 1 otherwise;
    top_k: groups that a row visits.

    flop: forward FLOP [FLOP]; weight: parameters held [elements]; stream: activations read and written [elements];
    cache_read, cache_write: KV cache or recurrent state moved [elements]; saved: activations that training must keep
    for the backward pass when nothing is recomputed [elements]; saved is counted once, at the operator that
    produces or consumes it, such that the sum over operators is what a fused implementation keeps. It is counted in
    elements of the activation precision (16 bit; a 32-bit value is two). A `column` or `vocab` GEMM saves its input,
    which the cut leaves whole (it divides only with sequence parallelism, as what `none` saves does); what the other
    operators save divides as the operator does.

    `weight` is what is held, once over all operators; what a GEMM reads is n x k (x groups touched): the head of a
    model with shared embeddings reads a table that it does not hold a second time.
    """

    name: str
    part: Part
    kind: Kind
    block: int
    count: int
    cut: Cut
    m: Numbers = 0.0
    n: Numbers = 0.0
    k: Numbers = 0.0
    groups: Numbers = 1.0
    top_k: Numbers = 1.0
    flop: Numbers = 0.0
    weight: Numbers = 0.0
    stream: Numbers = 0.0
    cache_read: Numbers = 0.0
    cache_write: Numbers = 0.0
    saved: Numbers = 0.0
    role: Role = "other"
    direction: Direction = "forward"
    heads_limit: Numbers = 0.0
    """How many heads the cut can divide; beyond it the work is repeated. `heads`, `kv_heads` and `column` operators:
    those heads (0: no limit). Attention and scans: `groups` limits the work, and this, the KV heads, limits what of the
    cache a rank holds and reads (1: a latent that every rank keeps whole)."""

    def changed(self, **numbers: Numbers) -> Operator:
        """The same with other numbers: `dataclasses.replace` in a tenth of its time, for a search cuts thousands."""
        made = object.__new__(Operator)
        made.__dict__.update(self.__dict__)
        made.__dict__.update(numbers)
        return made
