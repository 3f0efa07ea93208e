"""What each serving engine runs on and refuses to start, and how many accelerators one server has.

Read from `data/capabilities.toml`, each with the release that was read and its source.
"""

from __future__ import annotations

import datetime
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent / "data" / "capabilities.toml"

SERVER = 8
"""Accelerators of a server where nothing else is known: boards of eight (HGX, OAM, Atlas 800; chips.csv)."""


@dataclass(frozen=True)
class EngineCapabilities:
    """What a release of a serving engine can be told to run.

    version, read: the release, and the day on which it was read; stacks: software stacks of chips that it runs on;
    plugins: those that need another package; redundant: copies of experts may fill up ranks that the experts do not
    divide over; staged_drafts: drafts run over pipeline stages, None where nobody has said;
    shared_prompts: ranks of a pool that prefills may share a prompt (context parallelism); afd: a plugin of it keeps
    attention and FFN apart.
    """

    name: str
    version: str
    read: datetime.date
    source: str
    stacks: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    redundant: bool = False
    staged_drafts: bool | None = None
    shared_prompts: bool = False
    afd: bool = False

    def runs_on(self, stack: str | None) -> bool | None:
        """Whether it runs on chips of a stack; None where the stack is not known."""
        return None if stack is None else stack in (*self.stacks, *self.plugins)


@dataclass(frozen=True)
class ChipRefusal:
    """What an engine does not start on chips of some generations. what: a format of weights, `chosen keys` (latent
    attention over the keys that an indexer chooses), or `anything`; until: newest version that was seen to refuse.
    """

    engine: str
    what: str
    generations: tuple[str, ...]
    source: str
    until: str = ""


@dataclass(frozen=True)
class Capabilities:
    """Everything in the file. servers: accelerators of one server by chip, where they are not `SERVER`."""

    engines: Mapping[str, EngineCapabilities]
    servers: Mapping[str, int] = field(default_factory=dict)
    refusals: tuple[ChipRefusal, ...] = ()


@functools.cache
def capabilities() -> Capabilities:
    """The capabilities that come with tonnage."""
    raw = tomllib.loads(PATH.read_text(encoding="utf-8"))
    engines = [EngineCapabilities(**_typed(body)) for body in raw["engine"]]
    servers = {chip: int(body["accelerators"]) for body in raw["server"] for chip in body["chips"]}
    refusals = tuple(ChipRefusal(**_typed(body)) for body in raw["refusal"])
    return Capabilities({one.name: one for one in engines}, servers, refusals)


def _typed(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in body.items()}


def in_server(chip: str) -> int:
    """Accelerators of one server."""
    return capabilities().servers.get(chip, SERVER)
