"""Engine instances of a plan: what each kind has to be told to run as it was priced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tonnage.layout import Layout
from tonnage.serve.replica.blocks import BlockWidth

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
    None where it never decodes; slots: those that it may run at once, where more than run in the mean; chunk: new
    tokens per step and attention replica, None where it never prefills; drafts: tokens drafted per step; own_layers:
    whether the model's own extra layers draft; draft, draft_model: how a model beside it does, and its id where it has
    one; memory_share: share of the accelerator's memory, the engine's default
    where None; eager: without captured graphs; afd: of sides that are apart.

    model: id or path of the weights, `$MODEL` where only whoever starts it knows; online: format that the engine brings
    the weights into while it loads them; converted: format that the weights have to be in that are not the release's;
    context: tokens of the longest sequence; experts: routed ones of a layer; server: ranks of one server; dies: ranks
    of one accelerator; generation: of its die; whole: ranks of the deployment; blocks: layers in FP8 that
    ranks may only cut between blocks; paired: attention ranks take the cache
    from a prefill pool.
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
    draft: str | None = None
    draft_model: str | None = None
    memory_share: float | None = None
    eager: bool = False
    afd: AfdUnit | None = None
    model: str = "$MODEL"
    online: str | None = None
    converted: str | None = None
    context: int | None = None
    experts: int = 0
    server: int | None = None
    dies: int = 1
    generation: str | None = None
    whole: int | None = None
    blocks: tuple[BlockWidth, ...] = ()
    paired: bool = False
    slots: int | None = None

    @property
    def sequences(self) -> float | None:
        """Sequences that an attention replica is told it may run at once."""
        return self.running if self.slots is None else max(float(self.slots), self.running or 0.0)

    @property
    def ranks(self) -> int:
        """Ranks of one instance; of one unit, where attention and FFN are apart."""
        return int(self.layout.ranks)

    @property
    def nodes(self) -> int:
        """Servers that one instance lies on; 1 where their size is not known."""
        return 1 if self.server is None else max(1, -(-self.ranks // self.server))
