"""One gate of a verdict: what was asked of a device, what was found, and whether that is enough.

A verdict is read from its gates alone. A gate that could not be tried says why; one that was tried too little to say
anything names what is missing. Neither counts as passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tonnage.values import Plain

State = Literal["pass", "fail", "not tested", "not enough evidence"]
Needed = Literal["training", "inference"]
Part = Literal["speed", "numerics", "stability"]


@dataclass(frozen=True)
class Verified:
    """One gate. name: in people's words ("backward GEMM, bf16, NT"); part; needed: the least use that asks for it (what
    inference needs, training needs too); measured, limit: in unit, None where nothing was measured; why: one sentence
    on a state that is no pass; seconds: what it took.
    """

    name: str
    part: Part
    needed: Needed
    state: State
    measured: float | None = None
    limit: float | None = None
    unit: str = ""
    why: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Plain]:
        """Its fields as JSON has them."""
        return {
            "name": self.name,
            "part": self.part,
            "needed": self.needed,
            "state": self.state,
            "measured": self.measured,
            "limit": self.limit,
            "unit": self.unit,
            "why": self.why or None,
            "seconds": self.seconds,
        }
