"""Tables of settings of training engines (`data/*.json`), each of one release, drawn by `scripts/training_flags.py`."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class SettingTable:
    """Settings of one release. flags: by name, what each takes; models: configurations by the model that they train,
    where an engine is told models by name.
    """

    engine: str
    version: str
    released: str
    source: str
    flags: Mapping[str, Mapping[str, Any]]
    models: tuple[Mapping[str, str], ...] = field(default=())


@functools.cache
def settings_of(engine: str) -> SettingTable:
    """The table of an engine."""
    return SettingTable(**json.loads((DATA / f"{engine}.json").read_text(encoding="utf-8")))


def version(engine: str) -> str:
    """The release whose settings are known."""
    return settings_of(engine).version
