"""Which measurements a chip is priced by: the installed tables (`silicon`), files of one's own, or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tonnage.arrays import Numbers
from tonnage.errors import InputError, Problem
from tonnage.system.accelerator import Accelerator, Measurements
from tonnage.system.calibrated import read_device
from tonnage.system.collectives import Collective
from tonnage.system.operators import Work
from tonnage.system.precision import Precision
from tonnage.system.qualified import qualified, read_qualified
from tonnage.system.silicon import CHIPS, PACKAGE, VERSION, silicon

SILICON = "silicon"
"""The name by which the installed tables are asked for."""


@dataclass(frozen=True)
class Layers:
    """Several measurements of one chip: each later one speaks where those before it do not."""

    parts: tuple[Measurements, ...]

    @property
    def source(self) -> str:
        """All of them."""
        return "; ".join(part.source for part in self.parts)

    def factor(
        self, work: Work | Collective, precision: Precision | None = None, *, fused: bool = False
    ) -> tuple[Numbers, Numbers]:
        """As `Measurements.factor`."""
        log: Numbers = 0.0
        share: Numbers = 0.0
        for part in self.parts:
            factor, more = part.factor(work, precision, fused=fused)
            log = log + (1.0 - share) * np.log(factor)
            share = share + (1.0 - share) * more
        return np.exp(log), share


def with_measurements(chips: Sequence[Accelerator], given: Sequence[str]) -> tuple[Accelerator, ...]:
    """The chips with the measurements that were asked for: `silicon`, or the path of a file; the first counts most.

    Chips that a source does not know stay as they are; what is measured on a chip already counts first.
    Raises InputError for a source that knows none of them, for a
    file that is wrong, and where the tables are not installed.
    """
    parts: list[list[Measurements]] = [[chip.measured] if chip.measured else [] for chip in chips]
    for name in dict.fromkeys(given):
        found = [silicon(chip) for chip in chips] if name == SILICON else _file(Path(name), chips)
        if all(one is None for one in found):
            raise InputError(_none(name, chips))
        for held, one in zip(parts, found, strict=True):
            held += [] if one is None else [one]
    return tuple(
        replace(chip, measured=Layers(tuple(held))) if held else chip for chip, held in zip(chips, parts, strict=True)
    )


def _file(path: Path, chips: Sequence[Accelerator]) -> list[Measurements | None]:
    """What a file has measured on each chip."""
    rows, device = read_qualified(path), read_device(path)
    cached = device is not None and device.device == "cpu"
    found = [qualified(rows, chip, cached=cached) for chip in chips]
    if device is None:
        return list(found)
    note = f"{path.name}, measured on {device.date}" + (" on a noisy machine" if device.noisy else "")
    return [None if one is None else replace(one, source=f"{one.source} ({note})") for one in found]


def _none(name: str, chips: Sequence[Accelerator]) -> Problem:
    """Why a source says nothing of the chips asked for."""
    asked = ", ".join(dict.fromkeys(chip.name for chip in chips))
    if name == SILICON:
        return Problem(f"{PACKAGE} {VERSION} has no tables of {asked}; it has {', '.join(sorted(CHIPS.values()))}")
    held = sorted({row.chip for row in read_qualified(Path(name))})
    return Problem(f"holds no measurement of {asked}; it has {', '.join(held[:20])}", name)
