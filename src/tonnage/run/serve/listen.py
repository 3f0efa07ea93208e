"""Uvicorn's HTTP/1.1 with bounds on connections and on slow heads, and without a traceback for what is no request."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def protocol(head: float, most: int) -> type[H11Protocol]:
    """The protocol of a server. head: seconds in which a whole head has to come; most: connections at once."""

    class BoundedProtocol(H11Protocol):
        """Closes a connection that is one too many, or on which no whole head came in time."""

        clock: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            super().connection_made(transport)
            self.app_state = {**self.app_state, "cut": transport.abort}
            if len(self.connections) > most:
                transport.abort()
            else:
                self.clock = self.loop.call_later(head, self.check_head)

        def check_head(self) -> None:
            """A connection without a request that is being answered is closed; one with is looked at again."""
            idle = self.cycle is None or self.cycle.response_complete
            if idle and (self.cycle is None or self.conn.trailing_data[0]):
                self.transport.abort()
            elif not self.transport.is_closing():
                self.clock = self.loop.call_later(head, self.check_head)

        def send_400_response(self, msg: str) -> None:
            """What is no request is said to be none where nothing was answered yet, else cut; nothing comes after."""
            if self.cycle is not None and not self.cycle.response_complete:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            try:
                super().send_400_response(msg)
            except h11.LocalProtocolError:
                self.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            if self.clock:
                self.clock.cancel()
            super().connection_lost(exc)

    return BoundedProtocol
