"""HTTP/1.1 to engines: answers cut anywhere, what is none, connections kept, closed and slow to be read."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import httpx
import pytest

from tonnage.run.serve import wire

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = {
    "chunks": (CHUNKED + b"3\r\nabc\r\n00A;x=y\r\n0123\r\n4567\r\n0\r\n\r\n", b"abc0123\r\n4567", True),
    "trailers": (CHUNKED + b"1\r\na\r\n0\r\nX: y\r\nZ: 1\r\n\r\n", b"a", True),
    "no chunk": (CHUNKED + b"0\r\n\r\n", b"", True),
    "length": (b"HTTP/1.1 404 Not Found\r\ncontent-length:5\r\n\r\nab\r\nc", b"ab\r\nc", True),
    "no length": (b"HTTP/1.1 200 OK\r\ncontent-length: 0 \r\n\r\n", b"", True),
    "nothing": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\na: b\r\n\r\n" + CHUNKED + b"1\r\na\r\n0\r\n\r\n",
        b"a",
        True,
    ),
    "closing": (b"HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 1\r\n\r\na", b"a", False),
    "until its end": (b"HTTP/1.1 200 OK\r\n\r\nall of it", b"all of it", False),
    "old": (b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", b"a", False),
}
"""Name: (answer, its body, whether the connection stays)."""

WRONG = (
    b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    b"HTTP/2 200\r\n\r\n",
    b"HTTP/1.1 999 X\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nname : x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\na: \0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\n",
    CHUNKED + b"-1\r\n\r\n",
    CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
    CHUNKED + b"1\r\nab\r\n0\r\n\r\n",
    CHUNKED + b"1" * 9_000,
    b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000,
    b"HTTP/1.1 102 Processing\r\n\r\n" * 4_000,
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na",
    b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
)
CUT = (b"", b"HTTP/1.1 200 OK\r\n", CHUNKED, CHUNKED + b"3\r\nab", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab")


class Script:
    """A server that says the same to each request, in pieces of `size`; counts connections and requests."""

    def __init__(self, answer: bytes, size: int = 1 << 20, close: bool = False, pause: float = 0.0) -> None:
        self.answer, self.size, self.close, self.pause = answer, size, close, pause
        self.connections = self.requests = self.left = 0
        self.heads: list[bytes] = []

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")), 0)
                self.heads.append(head + await reader.readexactly(length))
                self.requests += 1
                for at in range(0, len(self.answer), self.size):
                    writer.write(self.answer[at : at + self.size])
                    await writer.drain()
                    await asyncio.sleep(self.pause)
                if self.close:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left += 1
        finally:
            writer.close()


@asynccontextmanager
async def talking(script: Script, kept: float = 60.0):
    """A client that speaks with a script."""
    server = await asyncio.start_server(script.connected, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url, transport=wire.EngineTransport(4, kept, 2.0), timeout=None) as client:
        yield client
    server.close()
    await asyncio.sleep(0.01)


def run(work) -> None:
    asyncio.run(asyncio.wait_for(work, 30))


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
def test_an_answer_is_read_however_it_is_cut(name: str, size: int) -> None:
    answer, body, stays = WHOLE[name]

    async def work() -> None:
        script = Script(answer, size, close=not stays)
        async with talking(script) as client:
            for _ in range(2):
                response = await client.post("/a?b=c", json={"x": 1})
                assert response.content == body
            assert (script.connections, script.requests) == (1 if stays else 2, 2)
            assert script.heads[0].startswith(b"POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1")
            assert script.heads[0].endswith(b'\r\n\r\n{"x":1}')

    run(work())


@pytest.mark.parametrize("answer", WRONG)
def test_what_is_no_answer_is_an_error(answer: bytes) -> None:
    async def work() -> None:
        async with talking(Script(answer, close=True)) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/")

    run(work())


@pytest.mark.parametrize("answer", CUT)
def test_an_answer_that_is_cut_is_an_error(answer: bytes) -> None:
    async def work() -> None:
        async with talking(Script(answer, close=True)) as client:
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await client.get("/")

    run(work())


def test_a_connection_is_not_used_again_after_its_time_nor_after_more_than_an_answer() -> None:
    async def work(script: Script, kept: float, connections: int) -> None:
        async with talking(script, kept) as client:
            for _ in range(2):
                assert (await client.get("/")).content == b"a"
                await asyncio.sleep(0.02)
        assert script.connections == connections

    answer = WHOLE["trailers"][0]
    run(work(Script(answer), 60.0, 1))
    run(work(Script(answer), 0.001, 2))
    run(work(Script(answer + b"HTTP/1.1 200 OK\r\n\r\n"), 60.0, 2))


def test_an_answer_that_is_left_ends_its_connection() -> None:
    async def work() -> None:
        script = Script(CHUNKED + b"1\r\na\r\n" * 10_000, 6, pause=0.001)
        async with talking(script) as client:
            async with client.stream("GET", "/") as response:
                assert (await anext(response.aiter_raw())).startswith(b"a")
            for _ in range(200):
                await asyncio.sleep(0.01)
                if script.left:
                    break
            assert script.left == 1

    run(work())


def test_what_is_not_taken_is_not_read() -> None:
    """An engine that says more than is read of it waits: no more than the bound, and one read, is kept."""

    async def work() -> None:
        whole = 64_000_000
        script = Script(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % whole + b"x" * whole, 1 << 16)
        async with talking(script) as client, client.stream("GET", "/") as response:
            await asyncio.sleep(0.3)
            connection = response.stream._stream.connection  # type: ignore[union-attr]
            assert wire.UNREAD < connection._unread < wire.UNREAD + 512_000
            size = 0
            async for part in response.aiter_raw():
                size += len(part)
            assert size == whole

    run(work())


def test_where_nobody_listens_or_speaks_tls_is_said() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"no TLS here")
        writer.close()

    async def work() -> None:
        async with httpx.AsyncClient(transport=wire.EngineTransport(4, 1.0, 2.0)) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get("http://127.0.0.1:1/")
            server = await asyncio.start_server(plain, "127.0.0.1", 0)
            with pytest.raises(httpx.ConnectError):
                await client.get(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
            server.close()

    run(work())


def test_pieces_that_came_together_are_taken_together() -> None:
    async def work() -> None:
        script = Script(CHUNKED + b"2\r\nab\r\n" * 50 + b"0\r\n\r\n")
        async with talking(script) as client, client.stream("GET", "/") as response:
            await asyncio.sleep(0.05)
            assert [part async for part in response.aiter_raw()] == [b"ab" * 50]

    run(work())


def test_a_piece_that_comes_alone_costs_less_than_by_httpx_own_transport() -> None:
    """CPU time of sending and reading 2,000 pieces one by one, by turns: a third was measured; two thirds are asked."""

    async def spent(client: httpx.AsyncClient) -> float:
        async with client.stream("GET", "/") as response:
            begun, parts = time.thread_time(), 0
            async for _ in response.aiter_raw():
                parts += 1
            assert parts > 500
            return time.thread_time() - begun

    async def work() -> None:
        script = Script(CHUNKED + b"1\r\na\r\n" * 2_000 + b"0\r\n\r\n", 6)
        async with talking(script) as ours, httpx.AsyncClient(base_url=ours.base_url) as theirs:
            pairs = [(await spent(ours), await spent(theirs)) for _ in range(3)]
        assert min(a for a, _ in pairs) < min(b for _, b in pairs) * 2 / 3

    run(work())
