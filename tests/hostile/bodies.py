"""Hostile requests to the front and to the page, over a socket: bodies, heads, chunks, methods, names of hosts."""

from __future__ import annotations

import json
import logging
import random
import socket
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

from inputs import Tried, mutated

CHAT: dict[str, Any] = {
    "model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "stream": False, "temperature": 0.5,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], "stop": ["x"], "n": 1,
}  # fmt: skip
ASK: dict[str, Any] = {"view": "fit", "fields": {"model": "qwen3-0.6b", "on": "1xh20"}}

WAIT = 0.3
"""Seconds in which a head and a body have to be there, so that slow ones are quickly found."""


@cache
def page_port() -> int:
    """A page with workers that answer at once, in a thread of this process."""
    import os

    import uvicorn

    from tonnage.cli.page import access_of
    from tonnage.run.serve.listen import protocol
    from tonnage.web import guard
    from tonnage.web.app import Page, PageSettings
    from tonnage.web.questions import Asker
    from tonnage.web.server import HEAD

    work = Path(tempfile.mkdtemp(prefix="page-"))
    (work / "scratch").mkdir()
    os.environ["ASKED"] = str(work / "asked")
    guard.READ = WAIT  # type: ignore[misc]
    worker = Path(__file__).parents[1] / "web" / "fake_worker.py"
    settings = PageSettings(
        (sys.executable, str(worker)), work, Asker(work / "scratch", "code"), access_of("127.0.0.1", None), warm=False
    )
    return _served(uvicorn.Config(
        Page(settings).app(), http=protocol(WAIT, 400), log_level="error", access_log=False, ws="none",
        h11_max_incomplete_event_size=HEAD, timeout_keep_alive=1,
    ))  # fmt: skip


@cache
def front_port() -> int:
    """A front before an engine that is not there, in a thread of this process."""
    import uvicorn

    from tonnage.run.serve.app import application
    from tonnage.run.serve.listen import protocol
    from tonnage.run.serve.reading import read_front
    from tonnage.run.serve.server import HEAD
    from tonnage.run.serve.state import made

    path = Path(tempfile.mkdtemp(prefix="front-")) / "f.yaml"
    path.write_text(
        "models: {m: {releases: {r: {replicas: [{url: 'http://127.0.0.1:9'}]}}, wait: 50ms, retries: 0}}\n"
        f"bounds: {{body: 100 kB, bodies: 1 MB, head: {WAIT}s, upload: {WAIT}s}}\n"
    )
    front = read_front(path, {})
    return _served(uvicorn.Config(
        application(made(front, lambda text: None)), http=protocol(WAIT, 1000), ws="none", loop="asyncio",
        log_level="error", access_log=False, lifespan="off", h11_max_incomplete_event_size=HEAD,
        timeout_keep_alive=1,
    ))  # fmt: skip


_LOGGED: list[str] = []
"""Tracebacks that a server wrote."""


class _Hears(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            _LOGGED.append(f"a traceback on the terminal: {record.getMessage()[:100]} {record.exc_info[1]!r}")


def _served(config: Any) -> int:
    import uvicorn

    for name in ("asyncio", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.addHandler(_Hears())
        logger.propagate = False

    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True).start()
    end = time.monotonic() + 20
    while not server.started and time.monotonic() < end:
        time.sleep(0.01)
    port: int = bound.getsockname()[1]
    return port


def body(dice: random.Random, usual: Any) -> bytes:
    """A body: with mistakes, in another encoding, deep, long, of odd numbers, or none."""
    how = dice.randrange(12)
    if how <= 5:
        text = json.dumps(mutated(usual, dice, dice.choice((1, 1, 2))), ensure_ascii=dice.random() < 0.5)
        return text.encode("utf-8", "surrogatepass")
    if how == 6:
        deep = dice.choice((900, 990, 100_000 // 2))
        return json.dumps(usual).encode()[:-1] + b', "x": ' + b"[" * deep + b"]" * dice.choice((0, deep)) + b"}"
    if how == 7:
        number = dice.choice(("1e999", "-1e999", "NaN", "Infinity", "9" * 400, "9" * 5000, "-0", "01", "1e", "0x1"))
        return json.dumps(usual).encode()[:-1] + f', "max_tokens": {number}, "seed": {number}}}'.encode()
    if how == 8:
        return json.dumps(usual).encode(dice.choice(("utf-16", "utf-32", "utf-16-be", "utf-8-sig", "utf-7")))
    if how == 9:
        return dice.choice((b"", b"\0", b"{", b"}", b"\xff\xfe", b"null", b"[]", b"1", b'"x"', b"{}" * 3, b"\xc0\xaf"))
    if how == 10:
        half = json.dumps(usual).replace('"m"', '"\\ud800"').replace('"hi"', '"\\udfff"')
        return half.replace('"qwen3-0.6b"', '"\\ud800\\u0000"').encode()
    return b'{"model": "m", "messages": ' + b"[" + b'{"role":"user"},' * dice.choice((10, 20_000)) + b"{}]}"


HEADS = (
    "Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length: 5, 6", "Content-Length: \u00b2",
    "Transfer-Encoding: gzip", "Transfer-Encoding: chunked, chunked", "Content-Encoding: gzip", "Expect: 100-continue",
    "Upgrade: websocket\r\nConnection: Upgrade", "X: " + "a" * 40_000, "X\u00e9: y", " folded: x", "no colon", "X: \0",
    "Authorization: Bearer \u00ff", "Authorization: " + "Bearer " * 100, "Cookie: tonnage_page=\"\\303\"; ;=;",
    "Origin: null", "Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Host: evil.example",
    "Range: bytes=0-,-1", "Accept-Encoding: *;q=9", "Content-Type: text/plain", "Content-Type: multipart/form-data",
    "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: evil", "TE: trailers", "Connection: close, keep-alive, x",
)  # fmt: skip
HOSTS = ("evil.example", "", "127.0.0.1@evil", "[::1", "localhost:99999999", "a" * 5000, "127.0.0.1\u00e9", "[]", ":")
METHODS = ("PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "HEAD", "get", "PRI", "G\0T", "A" * 200, "POST")
PATHS = ("/", "//evil.example", "/%00", "/%ff%fe", "/..%2f..%2fetc/passwd", "/api/ask/../ask", "/v1/models/%2e%2e",
         "/?" + "a=b&" * 3000, "/static/..%2fapp.py", "/download/x.json", "/api/runs/..", "/\u00e9", "*", "http://x/",
         "/v1/models/" + "a" * 3000, "/admin/status", "/metrics?x=%00", "/api/verdicts/%2e%2e%2fsecret")  # fmt: skip


def request(dice: random.Random, path: str, usual: Any, port: int) -> bytes:
    """A request, mostly to where it would be answered."""
    host = f"127.0.0.1:{port}"
    method, content = "POST", body(dice, usual)
    if dice.random() < 0.15:
        method = dice.choice(METHODS)
    if dice.random() < 0.15:
        path, method = dice.choice(PATHS), dice.choice(("GET", "GET", method))
    if dice.random() < 0.1:
        host = dice.choice(HOSTS)
    heads = [f"Host: {host}", f"Origin: http://127.0.0.1:{port}", "Content-Type: application/json"]
    heads += ["Connection: close"] if dice.random() < 0.95 else []
    if dice.random() < 0.3:
        heads += dice.sample(HEADS, dice.choice((1, 1, 2)))
    if dice.random() < 0.05:
        heads += [f"X-{n}: y" for n in range(dice.choice((50, 5000)))]
    first = f"{method} {path} HTTP/1.1\r\n"
    how = dice.random()
    if how < 0.7:
        said, sent = len(content) if dice.random() < 0.9 else dice.choice((0, 1, len(content) + 9)), content
        heads.append(f"Content-Length: {said}")
    else:
        heads.append("Transfer-Encoding: chunked")
        sent = _chunked(dice, content)
    head = (first + "\r\n".join(heads) + "\r\n\r\n").encode("utf-8", "surrogatepass")
    if dice.random() < 0.05:
        head = head[: dice.randrange(len(head))]
    return head + sent


def _chunked(dice: random.Random, content: bytes) -> bytes:
    size = dice.choice((1, 7, 1000, 10**6)) if len(content) < 50_000 else 10**6
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    good = b"".join(f"{len(one):x}\r\n".encode() + one + b"\r\n" for one in pieces) + b"0\r\n\r\n"
    return dice.choice((
        good, good, good, good[:-7], b"zz\r\n" + good, b"-1\r\nx\r\n0\r\n\r\n", b"ffffffffffffffffff\r\nx\r\n",
        b"5;" + b"x" * 30_000 + b"\r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n", good + b"GET /health HTTP/1.1\r\n\r\n",
        b"1\r\nab\r\n0\r\n\r\n", good[:-2] + b"X: y\r\n" * 3000 + b"\r\n",
    ))  # fmt: skip


def asked_over_socket(port: int, sent: bytes) -> str | None:
    """What is wrong with what comes back: a status of a defect, words of the machine, or nobody there afterwards."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as one:
            one.settimeout(5)
            with _Reset():
                one.sendall(sent)
            got = b""
            with _Reset():
                while (part := one.recv(65536)) and len(got) < 1_000_000:
                    got += part
    except TimeoutError:
        return "no answer and no end in 5 s"
    if _LOGGED:
        return f"{_LOGGED.pop()} after {sent[:300]!r}"
    if b" 500 " in got[:40] or b"Traceback" in got or b"site-packages" in got:
        return f"a defect: {got[:300]!r} of {sent[:300]!r}"
    if got and not got.startswith(b"HTTP/1.1 "):
        return f"no HTTP: {got[:100]!r}"
    return None


class _Reset:
    """A connection that is reset while it is still written to is let go."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> bool:
        return kind is not None and issubclass(kind, OSError) and not issubclass(kind, TimeoutError)


def _alive(port: int, path: str) -> str | None:
    with socket.create_connection(("127.0.0.1", port), 5) as one:
        one.settimeout(5)
        one.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        return None if b" 200 " in one.recv(100) else f"{path} is not answered any more"


def to_front(dice: random.Random) -> Tried:
    """A request to a front."""
    seed = dice.random()

    def instead(folder: Path) -> str | None:
        own = random.Random(seed)
        path = own.choice(("/v1/chat/completions", "/v1/completions"))
        if own.random() < 0.3:
            return _kept(path, body(own, CHAT))
        found = asked_over_socket(front_port(), request(own, path, CHAT, front_port()))
        return found or _alive(front_port(), "/health")

    return Tried("to front", ("run",), instead=instead)


def _kept(path: str, content: bytes) -> str | None:
    """What an engine would be sent."""
    from tonnage.run.serve.asking import asked
    from tonnage.run.serve.refusals import ApiError

    try:
        sent = asked(path, content).content("own")
    except ApiError as error:
        error.body()
        return None
    constants: list[str] = []
    json.loads(sent.decode("utf-8"), parse_constant=constants.append)
    return f"an engine is sent {constants}" if constants else None


def to_page(dice: random.Random) -> Tried:
    """A request to the page."""
    seed = dice.random()

    def instead(folder: Path) -> str | None:
        own = random.Random(seed)
        found = asked_over_socket(page_port(), request(own, "/api/ask", ASK, page_port()))
        return found or _alive(page_port(), "/healthz")

    return Tried("to page", ("page",), instead=instead)
