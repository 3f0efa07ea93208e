"""What is read from a launch file, before anybody knows what it means."""

from __future__ import annotations

from dataclasses import dataclass

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
