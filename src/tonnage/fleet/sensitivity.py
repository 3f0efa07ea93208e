"""Which uncertain input moves the launch how far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tonnage.fleet.forecast import Forecast
from tonnage.fleet.plan import Sensitivity
from tonnage.fleet.setting import RETRIES, SettledProgramme
from tonnage.fleet.uncertain import Floats
from tonnage.units import DAY

FEWEST, LEVELS = 10, 200
"""Draws that have to launch before anything is said of what moves the launch, and levels at which two are compared."""


def sensitivity(setting: SettledProgramme, drawn: Mapping[str, Floats], result: Forecast) -> tuple[Sensitivity, ...]:
    """Every uncertain input and factor, by how much it moves the launch, however late; a draw that never launches is
    later than all that do. Those with no effect are left out.
    """
    day = result.launch[-1] / DAY
    if np.isfinite(day).sum() < FEWEST or np.unique(day).size < 2:
        return ()
    known = texts(setting)
    made = [_moves(name, sample, day, known.get(name, "")) for name, sample in drawn.items()]
    total = sum(item.correlation**2 for item in made)
    ranked = sorted(made, key=lambda item: (-abs(item.correlation), item.name))
    shared = [replace(item, share=item.correlation**2 / total if total else 0.0) for item in ranked]
    floor = 2 / np.sqrt(day.size)
    return tuple(item for item in shared if abs(item.correlation) > floor) or tuple(shared[:1])


def _moves(name: str, sample: Floats, day: Floats, text: str) -> Sensitivity:
    values = np.unique(sample)
    if values.size < 2:
        return Sensitivity(name, 0.0, 0.0, 0.0, 0.0, text)
    low, high = (sample == values[0], sample == values[-1]) if values.size == 2 else _thirds(sample)
    swing, never = _apart(day[low], day[high])
    return Sensitivity(name, spearman(sample, day), 0.0, swing, never, text)


def _apart(low: Floats, high: Floats) -> tuple[float, float]:
    """(Days by which `high` is later, share by which it oftener never launches).

    Means of those that launch would compare unlike draws: where more is later, the late ones are lost to never, and it
    would look earlier. So the earliest share of each is compared that launches in both, level by level.
    """
    shares = [float(np.isfinite(days).mean()) for days in (low, high)]
    both = min(shares)
    levels = (np.arange(LEVELS) + 0.5) / LEVELS * both
    at = [np.sort(days)[np.minimum((levels * days.size).astype(int), days.size - 1)] for days in (low, high)]
    swing = float(np.mean(at[1] - at[0])) if both > 0 else 0.0
    return swing, shares[0] - shares[1]


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


def texts(setting: SettledProgramme) -> dict[str, str]:
    """What each uncertain quantity and factor is, by its dotted name."""
    found = {name: quantity.text for name, quantity in setting.programme.inputs().items()}
    for model, places in setting.places.items():
        found |= {f"readiness.{model}.{p.name}": f"whether {model}'s run completes on {p.name}" for p in places}
        for place in places:
            found[f"readiness.stack.{place.readiness.stack}"] = f"how often runs complete on {place.readiness.stack}"
            for n in range(2, 2 + RETRIES):
                name = f"readiness.{model}.{place.name} (attempt {n})"
                found.setdefault(name, f"whether attempt {n} of {model} on {place.name} completes")
    for chip in {speed.chip for speed in setting.speeds}:
        for use, does in (("serve", "serves"), ("train", "trains")):
            found[f"speed.{use}.{chip}"] = f"how fast {chip} really {does}, against the prediction"
    return found
