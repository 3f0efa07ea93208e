"""How far off sound devices are, by kind of operator and format: measured by scripts/healthy.py, kept as data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from tonnage.values import decode

Way = Literal["forward", "backward"]

TRAINING, INFERENCE = 1.5, 2.0
"""How many times a sound device's worst a device may be off: assumptions."""


@dataclass(frozen=True)
class SoundDevice:
    """One that was measured: device, software, date, seeds; its worst [unit] by kind of operator, format and way."""

    device: str
    software: str
    date: str
    seeds: str
    worst: dict[str, dict[str, float]]


@cache
def sound() -> tuple[SoundDevice, ...]:
    """The devices that were measured."""
    text = files("tonnage.qualify").joinpath("data/healthy.json").read_text(encoding="utf-8")
    return decode(tuple[SoundDevice, ...], json.loads(text)["devices"])


def measured_on() -> str:
    """On what, with which seeds and when the bars were measured."""
    return "; ".join(f"{one.seeds} ({one.device}, {one.software}, {one.date})" for one in sound())


@cache
def _data() -> dict[str, dict[str, float]]:
    """The worst of the devices that were measured, by kind of operator and format."""
    found: dict[str, dict[str, float]] = {}
    for device in sound():
        for key, ways in device.worst.items():
            kept = found.setdefault(key, {})
            kept |= {way: max(value, kept.get(way, 0.0)) for way, value in ways.items()}
    return found


def worst(kind: str, word: str, way: Way) -> float | None:
    """The worst of all sound devices that were measured, in units; None where none was. No less than one unit, which
    rounding may take by its definition at sizes that were not measured, but where results are copies: those are exact.
    """
    found = _data().get(f"{kind} {word}", {}).get(way)
    return max(found, 1.0) if found else found
