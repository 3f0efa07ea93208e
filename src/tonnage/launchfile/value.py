"""What is read from a launch file, before anybody knows what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Word:
    """A word of a command, and its line."""

    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """A command: its words; image: of the container that it is given to, whose own program may start it."""

    words: tuple[Word, ...]
    image: str | None = None


@dataclass(frozen=True)
class Said:
    """One setting: its name as it is written, its value as text or a mapping, where it stands, and in which part of
    the file (`prefill`, `decode`, or nothing).
    """

    name: str
    value: object
    where: str
    part: str = ""


@dataclass(frozen=True)
class EngineStart:
    """One start of an engine: what is said to it, and what is known of where it runs.

    chip: as the file names it; each: accelerators of one server or pod; nodes: servers of one instance; replicas: of
    the instance; part: `prefill`, `decode` or nothing; version: of the engine, if an image says it.
    """

    engine: str
    said: tuple[Said, ...]
    where: str
    part: str = ""
    chip: str | None = None
    each: int | None = None
    nodes: int | None = None
    replicas: int | None = None
    version: str | None = None


@dataclass(frozen=True)
class Written:
    """What a launch file asks.

    engine: that it starts; model: its name for `load`, None where the file has none; on: chips as they are written in
    a question, None where the file does not say; words: fields of the question; read: how things were understood;
    unpriced: settings of the engine that are not priced; strange: those that it does not have; count: accelerators;
    as_of: date of the facts that it was planned with, where it says one; said: words that its flags say alone, where a
    comment says more.
    """

    path: str
    engine: str
    model: str | None
    on: str | None
    words: Mapping[str, str | bool]
    read: tuple[str, ...] = ()
    unpriced: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()
    count: int | None = None
    as_of: str | None = None
    said: Mapping[str, str | bool] = field(default_factory=dict)
