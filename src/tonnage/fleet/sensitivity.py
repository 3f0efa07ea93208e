"""Which uncertain input moves the launch how far."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tonnage.fleet.forecast import Forecast
from tonnage.fleet.plan import Sensitivity
from tonnage.fleet.setting import Play, SettledProgramme
from tonnage.fleet.uncertain import Floats
from tonnage.units import DAY

LATE = 1.1
"""A launch after the horizon counts as one at so many times it."""


def sensitivity(setting: SettledProgramme, game: Play, result: Forecast) -> tuple[Sensitivity, ...]:
    """Every uncertain input and factor, by how much it moves the launch; those with no effect are left out."""
    day = np.minimum(result.launch[-1], setting.programme.days * DAY * LATE) / DAY
    if np.ptp(day) == 0:
        return ()
    texts = _texts(setting)
    made = [_moves(name, sample, day, texts.get(name, "")) for name, sample in game.drawn.items()]
    total = sum(item.correlation**2 for item in made)
    ranked = sorted(made, key=lambda item: (-abs(item.correlation), item.name))
    shared = [replace(item, share=item.correlation**2 / total if total else 0.0) for item in ranked]
    floor = 2 / np.sqrt(game.world.draws)
    return tuple(item for item in shared if abs(item.correlation) > floor) or tuple(shared[:1])


def _moves(name: str, sample: Floats, day: Floats, text: str) -> Sensitivity:
    values = np.unique(sample)
    low, high = (sample == values[0], sample == values[-1]) if values.size == 2 else _thirds(sample)
    swing = float(np.mean(day[high]) - np.mean(day[low]))
    return Sensitivity(name, spearman(sample, day), 0.0, swing, text)


def _thirds(sample: Floats) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.bool_]], ...]:
    lower, upper = np.quantile(sample, [1 / 3, 2 / 3])
    return sample <= lower, sample >= upper


def spearman(x: Floats, y: Floats) -> float:
    """Rank correlation; 0 where one of the two does not vary."""
    a, b = ranks(x), ranks(y)
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / norm) if norm else 0.0


def ranks(x: Floats) -> Floats:
    """Ranks with ties at their mean."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)


def _texts(setting: SettledProgramme) -> dict[str, str]:
    """What each uncertain quantity and factor is, by its dotted name."""
    found = {name: quantity.text for name, quantity in setting.programme.inputs().items()}
    for model, places in setting.places.items():
        found |= {f"readiness.{model}.{p.name}": f"whether {model}'s run completes on {p.name}" for p in places}
    for chip in {speed.chip for speed in setting.speeds}:
        for use, does in (("serve", "serves"), ("train", "trains")):
            found[f"speed.{use}.{chip}"] = f"how fast {chip} really {does}, against the prediction"
    return found
