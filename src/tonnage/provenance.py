"""Where an answer comes from: facts, catalogue, seed, version, and how sure its evidence is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SCHEMA = "tonnage/1"
"""Version of the form in which answers are kept."""

Evidence = Literal["interpolated", "extrapolated", "analytic"]
"""How near published results are to what was asked: among them, beyond them, or none of its kind."""


@dataclass(frozen=True)
class Provenance:
    """What a result rests on.

    facts: ids of the catalogue's facts that were used; catalog: digest of the catalogue (overlay included), None where
    a plan was made without one; seed: of everything drawn at random; version: of tonnage; evidence: see `Evidence`.
    """

    facts: tuple[str, ...] = ()
    catalog: str | None = None
    seed: int = 0
    version: str = ""
    evidence: Evidence = "analytic"
