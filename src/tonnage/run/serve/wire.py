"""HTTP/1.1 to an engine over asyncio's own protocols, as a transport of httpx: one wait and one read for each chunk.

httpx's own transport takes three times as long for a piece of a stream that comes alone: its layers wait, look for a
time limit and register the socket anew for each read. Of HTTP/1.1 (RFC 9112) there is what an engine's answers need:
a head, then a body in chunks, of a known length, or until the connection closes; connections are kept and used again.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator

import httpx

HEAD, LINE = 64_000, 8_000
"""Bytes of the head of an answer, and of the line before a chunk, at most."""
UNREAD = 256_000
"""Bytes that wait to be taken before an engine is read no further."""

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: [^\r\n]*)?\r\n")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*\r\n")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")
_LENGTH = re.compile(rb"\d{1,18}")

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
        self._held, self._parts, self._unread = b"", list[bytes](), 0
        self._kind, self._left = "", 0
        self._after = self._last = self._paused = False

    # ------------------------------------------------------------ what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self.over:  # nobody asked
            self.stays = False
            self.abort()
            return
        try:
            self._read(data)
        except ValueError as error:
            self._fail(httpx.RemoteProtocolError(str(error)))
        self._wake()

    def eof_received(self) -> bool:
        """The engine says no more."""
        self.stays = False
        if not self.over and self._kind == "rest":
            self.over = True
        elif not self.over:
            self._fail(httpx.RemoteProtocolError("the engine closed the connection before the end"))
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self.stays = False
        if not self.over:
            self._fail(httpx.ReadError("the connection was lost"))
        self._wake()

    # ------------------------------------------------------------ what comes

    def _read(self, data: bytes) -> None:
        """Bytes of an answer. Raises ValueError where they are none."""
        if not self._kind:
            data = self._head(self._held + data)
            if not self._kind:
                return
        if self._kind == "chunks":
            self._chunks(data)
        elif self._kind == "length":
            self._take(data[: self._left])
            rest = len(data) > self._left
            self._left = max(0, self._left - len(data))
            if not self._left:
                self._finish(rest)
        else:
            self._take(data)

    def _head(self, data: bytes) -> bytes:
        """Read the head, when it is whole; what comes after it."""
        head, mark, rest = data.partition(b"\r\n\r\n")
        if not mark:
            if len(data) > HEAD:
                raise ValueError("a head without end")
            self._held = data
            return b""
        self._held = b""
        status, fields = _parsed(head + b"\r\n")
        if status < 200:  # an interim answer: the real one follows
            return self._head(rest)
        self.status, self.fields = status, fields
        names = {name.lower(): value for name, value in fields}
        self.stays = head.startswith(b"HTTP/1.1") and names.get(b"connection", b"").lower() != b"close"
        self._kind, self._left = _framing(status, names)
        self.stays = self.stays and self._kind != "rest"
        return rest

    def _chunks(self, data: bytes) -> None:
        data, self._held, at = self._held + data if self._held else data, b"", 0
        while at < len(data):
            if self._left:
                part = data[at : at + self._left]
                self._take(part)
                self._left -= len(part)
                at += len(part)
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                if len(data) - at > LINE:
                    raise ValueError("a chunk without a size")
                self._held = data[at:]
                return
            line, at = data[at:end], end + 2
            if self._last and not line:
                self._finish(at < len(data))
                return
            if self._after and line:
                raise ValueError("a chunk that is longer than its size")
            if self._after or self._last:
                self._after = False
                continue
            size = _SIZE.fullmatch(line)
            if not size:
                raise ValueError("a chunk without a size")
            self._left = int(size[1], 16)
            self._last, self._after = not self._left, bool(self._left)

    def _take(self, part: bytes) -> None:
        if part:
            self._parts.append(part)
            self._unread += len(part)
        if self._unread > UNREAD and not self._paused and self._transport:
            self._paused = True
            self._transport.pause_reading()

    def _finish(self, more: bool) -> None:
        """The answer is whole; more: something came after it, so that the connection is good for no other."""
        self.over = True
        self.stays = self.stays and not more

    def _fail(self, error: httpx.TransportError) -> None:
        if self.error is None:
            self.error = error
        self.over, self.stays = True, False
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
        while not self._kind:
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


def _parsed(head: bytes) -> tuple[int, Fields]:
    """(status, fields) of a head. Raises ValueError."""
    first = _STATUS.match(head)
    if not first:
        raise ValueError("an answer that is not HTTP/1.1")
    fields, at = Fields(), first.end()
    while at < len(head):
        field = _FIELD.match(head, at)
        if not field:
            raise ValueError("an answer with a head that cannot be read")
        fields.append((field[1], field[2]))
        at = field.end()
    return int(first[2]), fields


def _framing(status: int, names: dict[bytes, bytes]) -> tuple[str, int]:
    """(how the body ends, its bytes) as RFC 9112, 6.3 has it. Raises ValueError."""
    if status in (204, 304):
        return "length", 0
    if coding := names.get(b"transfer-encoding"):
        if coding.lower() != b"chunked":
            raise ValueError("an answer in a coding that is not known")
        return "chunks", 0
    length = names.get(b"content-length")
    if length is None:
        return "rest", 0
    if not _LENGTH.fullmatch(length):
        raise ValueError("an answer without a length")
    return "length", int(length)


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
