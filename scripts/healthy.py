"""Writes src/tonnage/qualify/data/healthy.json: how far off a sound device is, by kind of operator, format and way.

Run it on a device that is known to be sound (`scripts/healthy.py cuda`). What it finds takes the place of what was
found on such a device before, beside the others', with the software, the day and the seeds; gates take the worst of
all. Its seeds are none that the table of defects judges by (tests/qualify/defects.py): a bar is not tried on what set
it.
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path

import torch

from tonnage.device.kinds import KINDS
from tonnage.model import load
from tonnage.qualify.exact import RECIPE, apart, computed, exact, inputs
from tonnage.qualify.probes import needed

FILE = Path(__file__).parents[1] / "src/tonnage/qualify/data/healthy.json"
MODELS = (
    "Qwen/Qwen3-8B", "deepseek-ai/DeepSeek-V3", "Qwen/Qwen3-30B-A3B", "Qwen/Qwen3-Next-80B-A3B-Instruct",
    "meta-llama/Llama-3.1-8B", "openai/gpt-oss-20b",
)  # fmt: skip
SEEDS = range(1000, 1016)


def measured(device: torch.device) -> dict[str, dict[str, float]]:
    """The worst of each, over models and seeds."""
    found: dict[str, dict[str, float]] = {}
    probes = {(probe.kind, probe.shapes): probe for name in MODELS for probe in needed(load(name))}
    for probe in probes.values():
        for word, dtype in RECIPE.items():
            if probe.single and word != "fp32":
                continue
            for seed in SEEDS:
                given = inputs(probe, word, seed, False)
                run = computed(probe, given, device, getattr(torch, dtype), probe.learns)
                away = apart(probe, run, exact(probe, given, probe.learns), word)
                kept = found.setdefault(f"{probe.kind} {word}", {"forward": 0.0, "backward": 0.0})
                kept["forward"] = max(kept["forward"], away.forward)
                kept["backward"] = max(kept["backward"], away.backward)
    return found


def rounded(found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Three digits of each, in order."""
    return {key: {way: float(f"{value:.3g}") for way, value in found[key].items()} for key in sorted(found)}


def main() -> None:
    """Measures, and keeps what was found beside what other devices showed."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("device", nargs="?", default="cpu", choices=list(KINDS))
    kind = KINDS[asked.parse_args().device]
    kind.prepare(1)
    found = measured(kind.place(0))
    old = json.loads(FILE.read_text())["devices"] if FILE.exists() else []
    told = {
        "device": kind.title(), "software": f"torch {torch.__version__}", "date": str(datetime.date.today()),
        "seeds": f"{SEEDS[0]} to {SEEDS[-1]}", "worst": rounded(found),
    }  # fmt: skip
    devices = [one for one in old if one["device"] != told["device"]] + [told]
    FILE.write_text(json.dumps({"unit": "eps + 2^-23 sqrt(K)", "devices": devices}, indent=1) + "\n")


if __name__ == "__main__":
    main()
