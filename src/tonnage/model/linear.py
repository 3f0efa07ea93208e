"""Attention with a state of fixed size: gated delta rule, KDA, Mamba-2, lightning attention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tonnage.arrays import Ints, Numbers
from tonnage.model.operators import Load, Operator
from tonnage.model.site import Site, share


@dataclass(frozen=True)
class StateRule:
    """How a state S of key x value per head is read and updated by one token.

    state: FLOP over key x value (a GEMM with the state is 2); chunk_keys, chunk_values: FLOP over the key and value
    size for each token of the chunk (a causal half of 2 is counted); chunk: tokens computed together.
    """

    name: str
    state: float
    chunk_keys: float
    chunk_values: float
    chunk: int


DELTA = StateRule("gated-deltanet", 6.0, 3.0, 2.0, 64)
"""Gated delta rule (arXiv 2412.06464; chunkwise form of arXiv 2406.06484): state read for the correction, read for the
output, updated; inside a chunk KK', QK', TK over keys and TV, (QK')V over values."""

KDA = StateRule("kda", 6.0, 3.0, 2.0, 64)
"""Kimi delta attention (Kimi Linear, arXiv 2510.26692): the delta rule with a decay for each key channel."""

SSD = StateRule("mamba2", 4.0, 1.0, 1.0, 128)
"""State-space duality (Mamba-2, arXiv 2405.21060, section 6): state read and updated; inside a chunk CB' and (CB')X."""

LIGHTNING = StateRule("lightning", 4.0, 1.0, 1.0, 256)
"""Lightning attention (arXiv 2401.04658; MiniMax-01, arXiv 2501.08313): as linear attention with a fixed decay."""


@dataclass(frozen=True)
class Recurrent:
    """A mixer with a recurrent state of heads x key x value elements.

    heads: value heads; key_heads: heads of queries and keys; key, value: sizes of a head; inputs: columns of the input
    projection; low_rank: further projections through a small inner size, as (inner, columns); conv, kernel: channels
    and length of the short convolution (0: none); gate: width of the output gate among the inputs; vectors: further
    elements held (biases, decays, norms).
    """

    rule: StateRule
    heads: int
    key_heads: int
    key: int
    value: int
    inputs: int
    low_rank: tuple[tuple[int, int], ...] = ()
    conv: int = 0
    kernel: int = 0
    conv_bias: bool = False
    gate: int = 0
    vectors: int = 0
    bias: tuple[int, int] = (0, 0)

    @property
    def kind(self) -> str:
        """Name of the layer kind, as shown in tables."""
        return self.rule.name

    @property
    def width(self) -> int:
        """Width of the output before its projection."""
        return self.heads * self.value

    def operators(self, site: Site) -> tuple[Operator, ...]:
        """Projections, short convolution, scan of each load, gated norm, output projection."""
        made = [self._inputs(site), *self._low_rank(site)]
        if self.conv:
            held = self.conv * (self.kernel + self.conv_bias)
            flop = 2 * self.conv * self.kernel
            made.append(
                site.pointwise(
                    "short_conv", "attention", 2 * self.conv, "heads", weight=held, saved=self.conv, flop=flop
                )
            )
        made.extend(self._scan(site, load) for load in site.step.loads)
        kept = self.gate + self.width
        made.append(
            site.pointwise("gated_norm", "attention", kept + self.width, "heads", weight=self.vectors, saved=kept)
        )
        made.append(
            site.gemm("o_proj", "attention", site.hidden, self.width, "row", bias=self.bias[1], saved=self.width)
        )
        return tuple(made)

    def _inputs(self, site: Site) -> Operator:
        return site.gemm(
            "in_proj",
            "attention",
            self.inputs,
            site.hidden,
            "column",
            bias=self.bias[0],
            saved=site.hidden,
            heads=self.heads,
        )

    def _low_rank(self, site: Site) -> list[Operator]:
        """Decays and gates through a small inner size."""
        made = []
        for number, (inner, columns) in enumerate(self.low_rank):
            made.append(site.gemm(f"low_rank_{number}_a", "attention", inner, site.hidden, "none"))
            made.append(site.gemm(f"low_rank_{number}_b", "attention", columns, inner, "column", saved=inner))
        return made

    def _scan(self, site: Site, load: Load) -> Operator:
        """Chunkwise when there is more than one new token; one step of the recurrence is a chunk of one."""
        new = load.sequences * load.new
        size, rule = self.key * self.value, self.rule
        chunk = np.minimum(load.new, float(rule.chunk))
        inside = chunk * self.heads * (rule.chunk_keys * self.key + rule.chunk_values * self.value)
        moved = 2 * self.key_heads * self.key + self.heads * self.value
        held = float(self.heads * size)
        carried = new * (held / rule.chunk) + new * float(moved)
        return Operator(
            name="scan",
            part="attention",
            kind="scan",
            block=site.block,
            count=site.count,
            cut="heads",
            m=new,
            n=float(self.value),
            k=float(self.key),
            groups=float(self.heads),
            flop=new * (rule.state * self.heads * size + inside),
            stream=new * float(moved + self.width),
            cache_read=load.sequences * self._state(),
            cache_write=load.sequences * self._state(),
            saved=carried,
            heads_limit=float(self.heads),
        )

    def _state(self) -> float:
        """Elements of a sequence's state on a whole model: the recurrence's and the last inputs of the convolution."""
        return float(self.heads * self.key * self.value + self.conv * max(self.kernel - 1, 0))

    def cache(self, context: Numbers, tp: Ints = 1) -> Numbers:
        """Nothing grows with the context."""
        return context * 0.0

    def cache_bytes(self, context: Numbers, element: float, tp: Ints = 1) -> Numbers:
        """Nothing grows with the context."""
        return context * 0.0

    def state(self, tp: Ints = 1) -> Numbers:
        """Elements of state and of the convolution's last inputs on one of `tp` ranks."""
        return self._state() * share(self.heads, tp) / self.heads
