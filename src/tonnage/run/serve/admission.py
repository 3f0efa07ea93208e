"""How many requests a model answers at once and how many wait; tenants take turns, none fills the queue alone."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

from tonnage.run.serve import refusals

Waiter = asyncio.Future[None]


class AdmissionGate:
    """A bounded number of places, and a bounded queue before them."""

    def __init__(self, at_once: int, queue: int, wait: float) -> None:
        self.at_once, self.queue, self.wait = at_once, queue, wait
        self.running = 0
        self.waiting: OrderedDict[str, deque[Waiter]] = OrderedDict()

    @property
    def length(self) -> int:
        """Requests that wait."""
        return sum(len(line) for line in self.waiting.values())

    async def enter(self, tenant: str) -> None:
        """Take a place, or wait for one. Raises ApiError (429) when the queue is full or the wait too long."""
        if self.running < self.at_once:
            self.running += 1
            return
        if self.length >= self.queue and not self._makes_room(tenant):
            raise refusals.overloaded(self._retry())
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self.waiting.setdefault(tenant, deque()).append(waiter)
        try:
            async with asyncio.timeout(self.wait):
                await waiter
        except TimeoutError:
            if not self._has_place(waiter):
                self._forget(tenant, waiter)
                raise refusals.overloaded(self._retry()) from None
        except asyncio.CancelledError:
            if self._has_place(waiter):
                self.leave()
            self._forget(tenant, waiter)
            raise

    def leave(self) -> None:
        """Give the place back: to the next of the tenant whose turn it is, if anyone waits."""
        while self.waiting:
            tenant, line = next(iter(self.waiting.items()))
            waiter = line.popleft()
            self.waiting.move_to_end(tenant)
            if not line:
                del self.waiting[tenant]
            if not waiter.done():
                waiter.set_result(None)
                return
        self.running -= 1

    def _makes_room(self, tenant: str) -> bool:
        """Whether the newest of the tenant with the longest line gives way, because this one's line is shorter."""
        longest = max(self.waiting, key=lambda name: len(self.waiting[name]), default=None)
        own = len(self.waiting.get(tenant, ()))
        if longest is None or len(self.waiting[longest]) <= own + 1:
            return False
        waiter = self.waiting[longest].pop()
        if not waiter.done():
            waiter.set_exception(refusals.overloaded(self._retry()))
        return True

    def _retry(self) -> float:
        """Seconds after which another try makes sense: longer, the longer the queue."""
        return min(self.wait, 1.0 + self.length / self.at_once)

    @staticmethod
    def _has_place(waiter: Waiter) -> bool:
        return waiter.done() and not waiter.cancelled() and waiter.exception() is None

    def _forget(self, tenant: str, waiter: Waiter) -> None:
        line = self.waiting.get(tenant)
        if line and waiter in line:
            line.remove(waiter)
        if line is not None and not line:
            self.waiting.pop(tenant, None)
