"""A launch on several processes of this machine: others play pieces while this one plans, and plays what it would
have to wait for.

Pieces and their order are those of one process, and so are the bytes of the answer (`pieces.py`). Should a process die
under its piece, what is left is played here.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType

from tonnage.errors import InputError, Problem
from tonnage.fleet.pieces import Piece, PieceWork, Ran, played

IN_HAND = 32
"""Pieces that are given out or done and not yet taken, so that memory does not grow with their number."""

MOST_WORKERS = 256

USUAL = 2
"""Processes where the machine has them and nobody says how many: this one, which plans, and one that plays."""

LOOK = 1.0
"""Seconds between two looks at whether the pool is broken: in Python 3.11 the thread that says so of every piece stops
at one that was taken back (`set_exception` of a cancelled future)."""

WORTH = 1_000
"""Draws from which on a second process is begun unasked: it takes half a second to start."""


def usual(draws: int) -> int:
    """Processes for so many draws on this machine."""
    return min(USUAL, os.cpu_count() or 1) if draws >= WORTH else 1


class Processes:
    """A runner of so many processes, this one counted. Used as a context; others are begun when there are pieces."""

    def __init__(self, workers: int) -> None:
        if not 1 <= workers <= MOST_WORKERS:
            raise InputError(Problem(f"expected from 1 to {MOST_WORKERS} processes, got {workers}", path="workers"))
        self._workers, self._pieces, self._again = workers, 0, 0
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Processes:
        if self._workers > 1:
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers - 1, spawn, _begin)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            begun = [] if error is None else list(self._pool._processes.values())
            self._pool.shutdown(wait=error is None, cancel_futures=True)
            for process in begun:  # what they play is wanted no more, and one may wait for work that never comes
                process.terminate()

    def ran(self) -> Ran:
        """How it went so far."""
        on = "one process" if self._workers == 1 else f"{self._workers} processes"
        return Ran(on, self._pieces, self._again)

    def run(self, works: Iterable[PieceWork]) -> Iterator[Piece]:
        """The piece of each work, in order; the first are begun at once."""
        left = iter(works)
        held = deque(self._given(left, IN_HAND if self._pool else 0))
        return self._taken(held, left)

    def _given(self, left: Iterator[PieceWork], most: int) -> Iterator[_Given]:
        for work in itertools.islice(left, most):
            yield _Given(work, self._pool)

    def _taken(self, held: deque[_Given], left: Iterator[PieceWork]) -> Iterator[Piece]:
        while True:
            held.extend(self._given(left, max(IN_HAND - len(held), 0) if self._pool else 1))
            if not held:
                return
            first = held.popleft()
            while not first.ready() and any(other.steal() for other in (first, *held)):
                pass
            self._pieces += 1
            piece, again = first.piece()
            self._again += again
            yield piece


class _Given:
    """A piece in hand: given to another process, or played here."""

    def __init__(self, work: PieceWork, pool: ProcessPoolExecutor | None) -> None:
        self._work, self._pool = work, pool
        self._future: Future[Piece] | None = None
        self._piece: Piece | None = None
        if pool is not None:
            with contextlib.suppress(BrokenProcessPool):
                self._future = pool.submit(played, work)

    def ready(self) -> bool:
        """Whether it can be taken without a wait."""
        return self._piece is not None or (self._future is not None and self._future.done())

    def steal(self) -> bool:
        """Play it here if no other process has begun it; whether that was so."""
        if self._piece is not None or (self._future is not None and not self._future.cancel()):
            return False
        self._piece = played(self._work)
        return True

    def piece(self) -> tuple[Piece, bool]:
        """What came out, and whether it had to be played again since its process had died."""
        if self._piece is not None or self._future is None:
            return self._piece or played(self._work), False
        while True:
            try:
                return self._future.result(timeout=LOOK), False
            except BrokenProcessPool:
                return played(self._work), True
            except TimeoutError:
                if self._pool is not None and self._pool._broken:
                    return played(self._work), True


def _begin() -> None:
    """In a new process: Ctrl-C ends it without a word, and so does the end of the process that began it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
