"""Engine instances of a plan: what each kind has to be told to run as it was priced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tonnage.layout import Layout

Role = Literal["serve", "prefill", "decode", "attention", "ffn"]


@dataclass(frozen=True)
class AfdUnit:
    """Attention and FFN apart: ranks of each side of one unit, and micro-batches that take turns between them."""

    attention_ranks: int
    ffn_ranks: int
    micro_batches: int


@dataclass(frozen=True)
class Instance:
    """One kind of engine instance: a group of ranks that one engine process group runs on.

    role: what it does; chip, stack: what it runs on, and whose software moves its data; engine: its name; layout: of
    one instance; count: how many there are; weights, kv: number formats; running: sequences of an attention replica,
    None where it never decodes; chunk: new tokens per step and attention replica, None where it never prefills; drafts:
    tokens drafted per step; own_layers: whether the model's own extra layers draft; memory_share: share of the
    accelerator's memory, the engine's default where None; eager: without captured graphs; afd: of sides that are apart.
    """

    role: Role
    chip: str
    stack: str | None
    engine: str
    layout: Layout
    count: int
    weights: str
    kv: str
    running: float | None = None
    chunk: int | None = None
    drafts: int = 0
    own_layers: bool = False
    memory_share: float | None = None
    eager: bool = False
    afd: AfdUnit | None = None
