"""What a file of `tonnage qualify` was measured on: its first line, and the accelerator that it makes where nothing
else is known of the device.

    {"tonnage": "calibration", "version": 1, "chip": "epyc-1t", "device": "cpu", "title": ..., "driver": ...,
     "software": ..., "date": "2026-11-30", "memory": 2.5e10, "rates": {"bf16": 1.9e11}, "bandwidth": 2.1e10,
     "processes": 1, "link": null, "noisy": false}

Units are plain SI: byte, FLOP/s, byte/s.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tonnage import files
from tonnage.errors import InputError, Problem
from tonnage.system.qualified import MAX_FILE, is_header
from tonnage.values import Plain

VERSION = 1
"""Of the form of the file; a later one is refused."""

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")


@dataclass(frozen=True)
class Device:
    """chip: key by which it is asked for (`--on 1xKEY`); device: kind (`cpu`, `cuda` ...); title, driver, software: as
    they call themselves; date: of the measurements; memory [byte]; rates: the best that was measured [FLOP/s by
    format]; bandwidth: of its memory, likewise [byte/s]; processes: that were joined; link: bandwidth between them
    [byte/s], None where there was one; noisy: others worked on the machine.
    """

    chip: str
    device: str
    title: str
    driver: str
    software: str
    date: datetime.date
    memory: float
    rates: Mapping[str, float]
    bandwidth: float
    processes: int = 1
    link: float | None = None
    noisy: bool = False

    def to_json(self) -> dict[str, Plain]:
        """The first line of a file."""
        return {
            "tonnage": "calibration",
            "version": VERSION,
            **{name: getattr(self, name) for name in ("chip", "device", "title", "driver", "software")},
            "date": self.date.isoformat(),
            "memory": self.memory,
            "rates": dict(self.rates),
            "bandwidth": self.bandwidth,
            "processes": self.processes,
            "link": self.link,
            "noisy": self.noisy,
        }


def read_device(path: Path) -> Device | None:
    """What a file was measured on; None where it has no such line. Raises InputError with what is wrong with it."""
    line = files.read_bytes(path, MAX_FILE).decode("utf-8-sig", errors="replace").partition("\n")[0]
    if not is_header(line):
        return None
    try:
        return _device(json.loads(line))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(Problem(f"the first line is no calibration's: {error}", f"{path}:1")) from None


def _device(held: Mapping[str, object]) -> Device:
    """Raises KeyError, TypeError or ValueError."""
    if held.get("version") != VERSION:
        raise ValueError(f"version {held.get('version')}; this tonnage reads {VERSION}")
    key = str(held["chip"])
    if not NAME.fullmatch(key):
        raise ValueError(f'chip: "{key[:60]}" is not small letters, digits and dashes')
    rates = held["rates"]
    if not isinstance(rates, Mapping) or not rates:
        raise ValueError("rates: expected FLOP/s by format")
    return Device(
        chip=key,
        **{name: str(held[name])[:200] for name in ("device", "title", "driver", "software")},
        date=datetime.date.fromisoformat(str(held["date"])),
        memory=_positive(held["memory"], "memory"),
        rates={str(name): _positive(value, f"rates.{name}") for name, value in rates.items()},
        bandwidth=_positive(held["bandwidth"], "bandwidth"),
        processes=int(_positive(held.get("processes", 1), "processes")),
        link=None if held.get("link") is None else _positive(held["link"], "link"),
        noisy=held.get("noisy") is True,
    )


def _positive(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e30:
        raise ValueError(f"{name}: expected a number above zero")
    return float(value)
