"""A bound on waits that are many and short: one timer for all of them, where asyncio.timeout would set one for each."""

from __future__ import annotations

import asyncio
from types import TracebackType


class WaitBound:
    """Ends its task's wait with TimeoutError, out of the `async with`, when one lasts longer than `limit` [s].

    A wait lasts from `begin()` to `end()`; between them nothing is bound.
    """

    def __init__(self, limit: float) -> None:
        self.limit, self.expired = limit, False
        self._since: float | None = None

    async def __aenter__(self) -> WaitBound:
        task = asyncio.current_task()
        assert task is not None
        self._loop, self._task, self._cancelling = asyncio.get_running_loop(), task, task.cancelling()
        self._timer = self._loop.call_later(self.limit, self._look)
        return self

    def begin(self) -> float:
        """A wait begins; when [s]."""
        self._since = now = self._loop.time()
        return now

    def end(self) -> float:
        """It has ended; when [s]."""
        self._since = None
        return self._loop.time()

    def _look(self) -> None:
        """Fire, or look again when the wait under way, or one that began now, would have lasted too long."""
        now = self._loop.time()
        due = (now if self._since is None else self._since) + self.limit
        if due > now:
            self._timer = self._loop.call_at(due, self._look)
        else:
            self.expired = True
            self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self.expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
