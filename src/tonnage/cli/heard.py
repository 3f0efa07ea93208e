"""Who hears an answer in place of the terminal: a page, an agent, a test.

While somebody listens nothing is printed and nothing is written: the reply, its notes and how far it is come here.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tonnage.report.envelope import Reply

Progress = Callable[[dict[str, object]], None]
"""Told how far an answer is: `done` of `of`, and `what` comes."""


@dataclass
class Heard:
    """What came of one command. texts: what would have been printed besides an answer (`schema`)."""

    verb: str
    progress: Progress | None = None
    reply: Reply | None = None
    notes: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def at(self, done: int, of: int, what: str) -> None:
        """So many are done, and this one comes."""
        if self.progress is not None:
            self.progress({"done": done, "of": of, "what": what})


_LISTENING: ContextVar[Heard | None] = ContextVar("listening", default=None)


def listener() -> Heard | None:
    """Who listens now, or None: the terminal does."""
    return _LISTENING.get()


@contextlib.contextmanager
def listening(heard: Heard | None) -> Iterator[None]:
    """Answers go to this one meanwhile; None: to the terminal, also where somebody listens outside."""
    token = _LISTENING.set(heard)
    try:
        yield
    finally:
        _LISTENING.reset(token)


_ASKED: ContextVar[tuple[str, ...]] = ContextVar("asked", default=())

TAKING = ("-o", "--output", "--picture", "--chart")
SILENT = ("--json", "--csv", "-q", "--quiet", "-v", "--verbose")
"""Flags that say where an answer goes, with and without a value; they are no part of what is asked."""


@contextlib.contextmanager
def asking(words: Sequence[str]) -> Iterator[None]:
    """These are the words of the command line meanwhile."""
    token = _ASKED.set(tuple(words))
    try:
        yield
    finally:
        _ASKED.reset(token)


def command() -> str | None:
    """The command line that asks the same, quoted for a shell; None where no command line asks."""
    kept: list[str] = []
    words = iter(_ASKED.get())
    for word in words:
        if word in TAKING:
            next(words, None)
        elif word not in SILENT and word.partition("=")[0] not in TAKING:
            kept.append(word)
    return shlex.join(["tonnage", *kept]) if kept else None
