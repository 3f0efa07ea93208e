"""How a release stores its weights: the format of every part of the model, with the bytes of its scales."""

from __future__ import annotations

from dataclasses import dataclass

from tonnage.model.operators import Part


@dataclass(frozen=True)
class Stored:
    """One way in which weights are stored.

    kind: the format whose arithmetic it has, by the names of number formats (`nvfp4`, `w4a16`); element: bytes of one
    element with its share of scales and zeros [byte]; said: as people say it.
    """

    kind: str
    element: float
    said: str


@dataclass(frozen=True)
class PartFormat:
    """How one part of a model is stored: ways and the share of the part's elements that each has."""

    part: Part
    ways: tuple[tuple[Stored, float], ...]

    @property
    def element(self) -> float:
        """Mean bytes of an element [byte]."""
        return sum(way.element * share for way, share in self.ways)

    @property
    def main(self) -> Stored:
        """The way that most of the part's elements are stored in."""
        return max(self.ways, key=lambda way: way[1])[0]


@dataclass(frozen=True)
class Release:
    """The formats of a release, by part of the model.

    method: what quantised it, as engines name it, empty where nothing did; plain: what is not quantised; parts: the
    layers and the tables; drafts: the multi-token-prediction layers, where they are stored otherwise; cache: the format
    that it states for the KV cache, empty where it states none; source: the file that says so.
    """

    method: str = ""
    plain: Stored = Stored("bf16", 2.0, "bf16")
    parts: tuple[PartFormat, ...] = ()
    drafts: tuple[PartFormat, ...] = ()
    cache: str = ""
    source: str = ""

    def element(self, part: Part, *, draft: bool = False) -> float:
        """Mean bytes of an element of a part [byte]."""
        found = self.of(part, draft=draft)
        return self.plain.element if found is None else found.element

    def of(self, part: Part, *, draft: bool = False) -> PartFormat | None:
        """How a part is stored; None: plainly."""
        parts = self.drafts if draft else self.parts
        return next((each for each in parts if each.part == part), None)

    @property
    def said(self) -> str:
        """The parts in words, those of one format together: `experts mxfp4; attention, ffn fp8; others bf16`."""
        words: dict[str, list[str]] = {}
        for each in self.parts:
            words.setdefault(_mixed(each), []).append(each.part.replace("_", " "))
        plain = words.pop(self.plain.said, [])
        rest = [f"others {self.plain.said}"] if plain or words else []
        return "; ".join([*(f"{', '.join(parts)} {form}" for form, parts in words.items()), *rest])


def _mixed(each: PartFormat) -> str:
    """The formats of a part, the largest share first, those under one in a hundred left out."""
    shares: dict[str, float] = {}
    for way, share in each.ways:
        shares[way.said] = shares.get(way.said, 0.0) + share
    seen = sorted((item for item in shares.items() if item[1] >= 0.01), key=lambda item: -item[1])
    if len(seen) == 1:
        return seen[0][0]
    return " + ".join(f"{share:.0%} {said}" for said, share in seen)


PLAIN: dict[str, Stored] = {
    "bf16": Stored("bf16", 2.0, "bf16"),
    "fp16": Stored("fp16", 2.0, "fp16"),
    "fp32": Stored("fp32", 4.0, "fp32"),
}
"""Formats that are no quantisation."""

FP8 = Stored("fp8", 1.0, "fp8")
FP8_BLOCK = Stored("fp8_block", 1.0 + 4 / 128**2, "fp8 in blocks")
MXFP8 = Stored("mxfp8", 1.0 + 1 / 32, "mxfp8")
INT8 = Stored("int8", 1.0, "int8")
NVFP4 = Stored("nvfp4", 0.5 + 1 / 16, "nvfp4")
MXFP4 = Stored("mxfp4", 0.5 + 1 / 32, "mxfp4")
MXFP6 = Stored("w8a16", 0.75 + 1 / 32, "mxfp6")
NVFP4_WEIGHTS = Stored("w4a16", 0.5 + 1 / 16, "nvfp4, weights only")
FP8_WEIGHTS = Stored("w8a16", 1.0, "fp8, weights only")
NF4 = Stored("w4a16", 0.5 + 4 / 64, "nf4")
NF4_DOUBLE = Stored("w4a16", 0.5 + 1 / 64 + 4 / (64 * 256), "nf4")
"""NF4: an FP32 maximum a block of 64; quantised twice: in 8 bits, with an FP32 one a 256 blocks (arXiv 2305.14314)."""


def packed(bits: float, group: int, *, zeros: bool = True, scale: float = 2.0, said: str = "") -> Stored:
    """Whole numbers of some bits with a 16-bit scale (and a zero of `bits`) for every `group` elements of a row.

    group under 1: one for a row or column, which takes no room worth counting.
    """
    extra = (scale + (bits / 8 if zeros else 0.0)) / group if group >= 1 else 0.0
    kind = "w4a16" if bits <= 4 else "w8a16"
    groups = f" in groups of {group}" if group >= 1 else ""
    return Stored(kind, bits / 8 + extra, said or f"{bits:g} bit{groups}")
