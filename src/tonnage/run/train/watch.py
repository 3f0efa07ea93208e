"""What goes wrong in a run, seen: losses that are no numbers or jump, and steps that do not end."""

from __future__ import annotations

import faulthandler
import math
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

WINDOW, FEWEST = 32, 10
"""Steps by which a loss is judged; the fewest of them."""

JUMP, OVER = 8.0, 1.5
"""A spike is above the window's mean by so many of its standard deviations, and by such a factor: a loss that falls
steeply has a wide window, one that has settled a narrow one, and neither alone may call noise a spike."""

HUNG = 75
"""Exit code of a process that ended itself because it hung (EX_TEMPFAIL: another try may work)."""


class LossWatch:
    """Losses of the last steps of one phase."""

    def __init__(self) -> None:
        self.phase: object = None
        self.window: list[float] = []

    def verdict(self, loss: float, norm: float, phase: object) -> str | None:
        """`nan`, `spike` or None (and then the loss joins the window). A new phase of the curriculum starts anew."""
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return "nan"
        if phase != self.phase:
            self.phase, self.window = phase, []
        if len(self.window) >= FEWEST:
            mean, spread = statistics.fmean(self.window), statistics.pstdev(self.window)
            if loss > mean + JUMP * spread and loss > OVER * mean:
                return "spike"
        self.window = [*self.window, loss][-WINDOW:]
        return None


class HangWatch:
    """A thread that ends the process when no step is done for `limit` seconds, and says what every thread did."""

    def __init__(self, limit: float, folder: Path, rank: int, tell: Callable[[str, Path], None]) -> None:
        self.limit, self.file, self.tell = limit, folder / f"hang-{rank}.txt", tell
        self.doing, self.since = "starting", time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="hang", daemon=True)
        if limit > 0:
            self._thread.start()

    def at(self, doing: str) -> None:
        """Says what begins now: `generate`, `save` ..."""
        self.doing, self.since = doing, time.monotonic()

    def end(self) -> None:
        """Stops watching."""
        self._ended.set()

    def _look(self) -> None:
        while not self._ended.wait(min(1.0, self.limit / 4)):
            if time.monotonic() - self.since > self.limit:
                with self.file.open("w") as file:
                    file.write(f"no progress for {self.limit:g} s while doing: {self.doing}\n")
                    file.flush()
                    faulthandler.dump_traceback(file, all_threads=True)
                self.tell(self.doing, self.file)
                os._exit(HUNG)
