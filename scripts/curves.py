"""Writes src/tonnage/qualify/data/curves.json: losses of short trainings in float64, one small model an architecture.

Run it on a machine that is known to be sound. Devices are held against these curves wherever they are qualified.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
from pathlib import Path

import torch

from healthy import MODELS
from tonnage.device import cpu
from tonnage.model import load
from tonnage.qualify.numerics import STEPS
from tonnage.qualify.training import SEEDS, reference

FILE = Path(__file__).parents[1] / "src/tonnage/qualify/data/curves.json"
LONGEST = 8 * STEPS
"""Steps of the full suite."""


def curve(name: str, seed: int) -> list[float]:
    """Loss of each step, ten digits."""
    return [float(f"{step.loss:.10g}") for step in reference(load(name), LONGEST, seed)]


def main() -> None:
    """Records all of them."""
    cpu.prepare(1)
    curves = {load(name).name: {str(seed): curve(name, seed) for seed in SEEDS} for name in MODELS}
    told = {
        "device": cpu.title(), "torch": torch.__version__, "transformers": importlib.metadata.version("transformers"),
        "date": str(datetime.date.today()), "curves": curves,
    }  # fmt: skip
    FILE.write_text(json.dumps(told, indent=None, separators=(",", ":")).replace('},"', '},\n"') + "\n")


if __name__ == "__main__":
    main()
