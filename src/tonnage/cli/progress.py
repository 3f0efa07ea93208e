"""A bar on stderr: what is done, of how much, what comes, how long it may take. Only for who looks at a terminal."""

from __future__ import annotations

import contextlib
import sys
import time

from tonnage.cli.heard import listener

WIDTH = 24
"""Characters of the bar."""


class Bar:
    """One bar. shown: whether anybody looks at it; elsewhere a line now and then stands for it."""

    def __init__(self, quiet: bool, title: str) -> None:
        self.title, self.began, self.last = title, time.monotonic(), -1
        self.live = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self.plain = not quiet and sys.stderr is not None and not self.live

    def at(self, done: int, of: int, what: str) -> None:
        """So many are done, and this one comes."""
        heard = listener()
        if heard is not None:
            heard.at(done, of, what)
            return
        share = done / max(1, of)
        passed = time.monotonic() - self.began
        left = f", {passed * (1 - share) / share:.0f} s left" if share > 0.05 else ""
        if self.live:
            bar = ("#" * round(share * WIDTH)).ljust(WIDTH, ".")
            self._write(f"\r{self.title} [{bar}] {share:4.0%} {what[:40]:40}{left:14}")
        elif self.plain and int(share * 4) > self.last:
            self.last = int(share * 4)
            self._write(f"{self.title} {share:.0%} {what}{left}\n")

    def end(self) -> None:
        """The bar is taken away."""
        if self.live:
            self._write("\r" + " " * (len(self.title) + WIDTH + 70) + "\r")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()
