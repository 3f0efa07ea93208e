"""How far a command is, on stderr, for who looks at a terminal; and for who listens to the answer instead.

A verb that knows how much there is to do shows a `Bar`. Every other one that takes more than a second has a line that
says for how long it has worked, and at what (`working`, `doing`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TextIO

from tonnage.cli.heard import Heard, listener

WIDTH = 24
"""Characters of the bar."""

PATIENCE = 1.0
"""Seconds after which a command says that it works."""

BETWEEN = 0.5
"""Seconds between two lines."""


class Bar:
    """One bar. shown: whether anybody looks at it; elsewhere a line now and then stands for it."""

    def __init__(self, quiet: bool, title: str) -> None:
        self.title, self.began, self.last = title, time.monotonic(), -1
        self.live = not quiet and _looked_at()
        self.plain = not quiet and sys.stderr is not None and not self.live

    def at(self, done: int, of: int, what: str) -> None:
        """So many are done, and this one comes."""
        quiet()
        heard = listener()
        if heard is not None:
            heard.at(done, of, what)
            return
        share = done / max(1, of)
        passed = time.monotonic() - self.began
        left = f", {passed * (1 - share) / share:.0f} s left" if share > 0.05 else ""
        if self.live:
            bar = ("#" * round(share * WIDTH)).ljust(WIDTH, ".")
            self._show(f"{self.title} [{bar}] {share:4.0%} {what[:40]}{left}")
        elif self.plain and int(share * 4) > self.last:
            self.last = int(share * 4)
            _write(f"{self.title} {share:.0%} {what}{left}\n", sys.stderr)

    def end(self) -> None:
        """The bar is taken away."""
        if self.live:
            self._show("")

    def _show(self, text: str) -> None:
        _write(_line(text, sys.stderr), sys.stderr)


class Ticker:
    """A line that says for how long a command has worked, and at what."""

    def __init__(self, title: str, heard: Heard | None) -> None:
        self.title, self.heard, self.what, self._out = title, heard, "", sys.stderr
        self._began, self._ended, self._shown = time.monotonic(), threading.Event(), False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._tick, name="progress", daemon=True)

    def begin(self) -> None:
        """From now on."""
        self._thread.start()

    def end(self) -> None:
        """No line is left, and none comes any more."""
        self._ended.set()
        self.clear()

    def clear(self) -> None:
        """The line is taken away, until the next one."""
        with self._lock:
            if self._shown:
                _write(_line("", self._out), self._out)
                self._shown = False

    def _tick(self) -> None:
        wait = PATIENCE
        while not self._ended.wait(wait):
            wait = BETWEEN
            with self._lock:
                if not self._ended.is_set():
                    self._tell(time.monotonic() - self._began)

    def _tell(self, passed: float) -> None:
        if self.heard is not None:
            self.heard.at(round(passed, 1), 0, self.what)
            return
        self._shown = True
        text = f"{self.title}: {self.what + ', ' if self.what else ''}{passed:.0f} s"
        _write(_line(text, self._out), self._out)


_CURRENT: ContextVar[Ticker | None] = ContextVar("ticker", default=None)


@contextlib.contextmanager
def working(title: str, *, shown: bool = True) -> Iterator[None]:
    """Meanwhile a line says that this is worked at, if it takes more than a second and anybody looks or listens."""
    heard = listener()
    wanted = heard.progress is not None if heard is not None else shown and _looked_at()
    if not wanted:
        yield
        return
    ticker = Ticker(title, heard)
    token = _CURRENT.set(ticker)
    ticker.begin()
    try:
        yield
    finally:
        ticker.end()
        _CURRENT.reset(token)


def doing(what: str) -> None:
    """What is being done now, for the line."""
    ticker = _CURRENT.get()
    if ticker is not None:
        ticker.what = what


def clear() -> None:
    """Takes the line away before something else is written."""
    ticker = _CURRENT.get()
    if ticker is not None:
        ticker.clear()


def quiet() -> None:
    """No line any more: the answer comes, or something else says how far it is."""
    ticker = _CURRENT.get()
    if ticker is not None:
        ticker.end()


def _looked_at() -> bool:
    """Whether stderr is a terminal that takes a line back."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _line(text: str, out: TextIO) -> str:
    """Text in place of the line at hand, within the width of the terminal."""
    columns = 80
    with contextlib.suppress(OSError, ValueError, AttributeError):
        columns = os.get_terminal_size(out.fileno()).columns or columns
    return f"\r{text[: columns - 1]}\x1b[K"


def _write(text: str, out: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        out.write(text)
        out.flush()
