"""HTTP/1.1 to an engine over asyncio's own protocols, as a transport of httpx: one wait and one read for each chunk.

httpx's own transport takes three times as long for a piece of a stream that comes alone: its layers wait, look for a
time limit and register the socket anew for each read. Answers are read by httptools (llhttp, Node.js' own parser);
here are the bounds on what is kept, and connections that are used again.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator

import httptools
import httpx

HEAD = 64_000
"""Bytes of the head of an answer, at most."""
UNREAD = 256_000
"""Bytes that wait to be taken before an engine is read no further."""

Fields = list[tuple[bytes, bytes]]


class EngineConnection(asyncio.Protocol):
    """One connection: a request is written, its answer is read. `over`: the answer is whole; `stays`: it may be used
    for another one.
    """

    def __init__(self) -> None:
        self.over = self.stays = True
        self.since = 0.0
        self.error: httpx.TransportError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._clear()

    def _clear(self) -> None:
        self.status, self.fields = 0, Fields()
        self._parser = httptools.HttpResponseParser(self)
        self._parts, self._unread, self._before = list[bytes](), 0, 0
        self._begun = self._to_end = self._paused = False

    # ------------------------------------------------------------ what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self.over:  # nobody asked
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._broken(str(error.__context__ or error))
        if not self._begun:
            self._before += len(data)
            if self._before > HEAD:
                self._broken("a head without end")
        self._wake()

    def eof_received(self) -> bool:
        """The engine says no more."""
        self.over = self.over or self._to_end
        self._broken("the engine closed the connection before the end")
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self.stays = False
        if not self.over:
            self._fail(httpx.ReadError("the connection was lost"))
        self._wake()

    # ------------------------------------------------------------ what the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head. Those after the last chunk are nobody's."""
        if not self._begun:
            self.fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """The head is whole. Raises ValueError where its body could not be told from what follows."""
        self.status = self._parser.get_status_code()
        if self.status < 200:  # an interim answer: the real one follows
            return
        names = {name.lower(): value for name, value in self.fields}
        coding = names.get(b"transfer-encoding")
        if self.status > 599 or (coding is not None and coding.lower() != b"chunked"):
            raise ValueError("an answer of a status or in a coding that is not known")
        bodiless = self.status in (204, 304)
        self._begun, self._to_end = True, coding is None and b"content-length" not in names and not bodiless
        self.stays = self._parser.should_keep_alive() and not self._to_end

    def on_body(self, part: bytes) -> None:
        """A piece of the body."""
        self._parts.append(part)
        self._unread += len(part)
        if self._unread > UNREAD and not self._paused and self._transport:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self.over = self._begun
        if not self._begun:
            self.fields = Fields()

    def on_message_begin(self) -> None:
        """An answer begins. After a whole one nobody asked for it, and the connection is good for no other."""
        self.stays = self.stays and not self.over

    # ------------------------------------------------------------ how it ends

    def _broken(self, why: str) -> None:
        """What came is no answer; after a whole one it only ends the connection."""
        self.stays = False
        if not self.over:
            self._fail(httpx.RemoteProtocolError(why))

    def _fail(self, error: httpx.TransportError) -> None:
        if self.error is None:
            self.error = error
        self.over = True
        self.abort()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # ------------------------------------------------------------ what its users call

    async def ask(self, request: bytes) -> None:
        """Send a request and wait for the head of its answer. Raises httpx.TransportError."""
        if self._transport is None or self._transport.is_closing():
            raise httpx.WriteError("the connection was lost")
        self._clear()
        self.over = False
        self._transport.write(request)
        while not self._begun:
            if self.error:
                raise self.error
            await self._wait()

    async def part(self) -> bytes | None:
        """What has come of the body since, all of it; None at its end. Raises httpx.TransportError."""
        while not self._parts:
            if self.error:
                raise self.error
            if self.over:
                return None
            await self._wait()
        found = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._unread = 0
        if self._paused and self._transport and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return found

    def usable(self) -> bool:
        """Whether another request can be sent."""
        return self.over and self.stays and self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        """Close it at once."""
        self.stays = False
        if self._transport:
            self._transport.abort()


class AnswerBody(httpx.AsyncByteStream):
    """The body of an answer; the connection goes back when it is closed, or ends where the answer was not whole."""

    def __init__(self, transport: EngineTransport, connection: EngineConnection) -> None:
        self.transport, self.connection = transport, connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await self.connection.part()) is not None:
            yield part

    async def aclose(self) -> None:
        """Doing it again does nothing."""
        self.transport.give(self.connection)


class EngineTransport(httpx.AsyncBaseTransport):
    """Connections to one engine: `most` are kept for `kept` [s] while idle; `within`: most time to connect [s]."""

    def __init__(self, most: int, kept: float, within: float) -> None:
        self.most, self.kept, self.within = most, kept, within
        self._idle: list[EngineConnection] = []
        self._busy: set[EngineConnection] = set()
        self._secure: ssl.SSLContext | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request. Raises httpx.TransportError."""
        content = await request.aread()
        lines = [b"%s %s HTTP/1.1\r\n" % (request.method.encode("ascii"), request.url.raw_path)]
        lines += [b"%s: %s\r\n" % pair for pair in request.headers.raw]
        connection = self._kept_one() or await self._new(request.url)
        self._busy.add(connection)
        try:
            await connection.ask(b"".join([*lines, b"\r\n", content]))
        except BaseException as error:
            connection.abort()
            self._busy.discard(connection)
            if isinstance(error, httpx.TransportError):  # what was kept beside it may be closed as well
                self._end_idle()
            raise
        return httpx.Response(connection.status, headers=connection.fields, stream=AnswerBody(self, connection))

    def _kept_one(self) -> EngineConnection | None:
        """The connection that was used last, if it is still good."""
        now = time.monotonic()
        while self._idle:
            one = self._idle.pop()
            if one.usable() and now - one.since < self.kept:
                return one
            one.abort()
        return None

    async def _new(self, url: httpx.URL) -> EngineConnection:
        secure = self._context() if url.scheme == "https" else None
        port = url.port or (443 if secure else 80)
        try:
            async with asyncio.timeout(self.within):
                loop = asyncio.get_running_loop()
                _, made = await loop.create_connection(EngineConnection, url.host, port, ssl=secure)
        except TimeoutError:
            raise httpx.ConnectTimeout("no connection in time") from None
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(str(error)) from None
        return made

    def _context(self) -> ssl.SSLContext:
        self._secure = self._secure or httpx.create_ssl_context(trust_env=False)
        return self._secure

    def give(self, connection: EngineConnection) -> None:
        """A connection whose answer is read, or not wanted any more."""
        if connection not in self._busy:
            return
        self._busy.discard(connection)
        if connection.usable() and len(self._idle) < self.most:
            connection.since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.abort()

    def _end_idle(self) -> None:
        for one in self._idle:
            one.abort()
        self._idle.clear()

    async def aclose(self) -> None:
        """Close all."""
        for one in [*self._idle, *self._busy]:
            one.abort()
        self._idle.clear()
        self._busy.clear()
