"""Curves of short trainings that were recorded on a sound device, in float64: kept as data, with software and day.

A device's own curve is compared with what its machine's processor finds, and both with what was recorded elsewhere: a
processor that is broken itself cannot agree with that. Written by `scripts/curves.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from tonnage.values import Plain, decode


@dataclass(frozen=True)
class Recorded:
    """What was recorded. device, torch, transformers, date; curves: loss [nat/token] of each
    step, by model and seed.
    """

    device: str
    torch: str
    transformers: str
    date: str
    curves: dict[str, dict[str, tuple[float, ...]]]

    def curve(self, model: str, seed: int) -> tuple[float, ...]:
        """Of a model and seed; empty where none was recorded."""
        return self.curves.get(model, {}).get(str(seed), ())

    @property
    def said(self) -> str:
        """Where it comes from, in words."""
        return f"recorded on {self.device}, torch {self.torch}, {self.date}"


@cache
def recorded() -> Recorded:
    """The curves that came with the package."""
    text = files("tonnage.qualify").joinpath("data/curves.json").read_text(encoding="utf-8")
    held: Plain = json.loads(text)
    return decode(Recorded, held)
