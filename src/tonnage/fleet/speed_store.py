"""Planned speeds that are kept between runs, so that the same question to the same code is planned once on a machine.

One JSON file in the user's cache folder for each state of the code and of the catalogue. What is there is only ever
taken for the very question that it answers; a file that is damaged, of another state or of another program is left
aside, and a folder that cannot be written costs nothing but time.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tonnage import files
from tonnage.errors import InputError
from tonnage.fleet.pieces import code
from tonnage.fleet.speeds import PlannedSpeed
from tonnage.values import decode, encode

SWITCH = "TONNAGE_CACHE"
"""Environment variable: the folder of what is kept between runs; `off` keeps nothing."""

MOST, FILES = 4_000, 4
"""Speeds in a file, the last that were planned, and files in the folder, the last that were written. A speed takes
about a kilobyte."""

LARGEST = 20_000_000
"""Largest file that is read [byte]."""


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where things are kept between runs; None where nothing is to be, or where there is no such place."""
    named = environment.get(SWITCH, "")
    if named:
        return None if named == "off" else Path(named)
    with contextlib.suppress(RuntimeError):
        return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tonnage"
    return None


class FileStore:
    """Speeds by question, from a file and for it. catalogue: its digest; folder: None to keep them in this run only."""

    def __init__(self, folder: Path | None, catalogue: str) -> None:
        name = f"speeds-{files.digest([code().encode(), catalogue.encode()])[:24]}.json"
        self._path = folder / name if folder else None
        self._there = self._read()
        self._new: dict[str, Any] = {}

    def find(self, question: str) -> PlannedSpeed | None:
        """The speed that answers a question, if it is known."""
        plain = self._new.get(question, self._there.get(question))
        try:
            return None if plain is None else decode(PlannedSpeed, plain)
        except InputError:
            return None

    def add(self, question: str, speed: PlannedSpeed) -> None:
        """Keep a speed, if it comes back as it is."""
        plain = encode(speed)
        back = decode(PlannedSpeed, json.loads(json.dumps(plain)))
        if back == speed and json.dumps(back.to_json()) == json.dumps(speed.to_json()):
            self._new[question] = plain

    def save(self) -> None:
        """Write what is new, beside what was there; nothing where the folder cannot be written."""
        if not self._new or self._path is None:
            return
        kept = dict([*(self._there | self._new).items()][-MOST:])
        with contextlib.suppress(InputError, OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            files.write(self._path, json.dumps({"checksum": _checksum(kept), "speeds": kept}))
            _thin(self._path.parent)

    def _read(self) -> dict[str, Any]:
        """Speeds of the file; none where it is not there, or not whole."""
        if self._path is None or not self._path.is_file():
            return {}
        with contextlib.suppress(InputError, ValueError, TypeError, KeyError, AttributeError):
            found = files.parse_json(files.read_text(self._path, LARGEST))
            speeds: dict[str, Any] = found["speeds"]
            if found["checksum"] == _checksum(speeds):
                return speeds
        return {}


def _checksum(speeds: Mapping[str, Any]) -> str:
    return files.digest([json.dumps(speeds).encode()])


def _thin(folder: Path) -> None:
    """Take away the oldest files."""
    found = sorted(folder.glob("speeds-*.json"), key=lambda path: path.stat().st_mtime)
    for path in found[:-FILES]:
        path.unlink(missing_ok=True)
