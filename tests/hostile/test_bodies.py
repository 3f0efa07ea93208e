"""Requests that are none, to a front and to a page over a socket: an answer or an end, never a traceback."""

from __future__ import annotations

import contextlib
import socket
import time

import bodies
import pytest

from tonnage.run.serve.asking import asked
from tonnage.run.serve.refusals import ApiError

HEAD = (
    "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
    "Content-Type: application/json\r\n"
)
PLACES = {"front": (bodies.front_port, "/v1/chat/completions"), "page": (bodies.page_port, "/api/ask")}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "rest",
    [
        "Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx",
        "Transfer-Encoding: gzip\r\n\r\nx",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 1, 2\r\n\r\nx",
        "Content-Length: 100\r\n\r\n{",
        "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        "X: " + "a" * 60_000 + "\r\n\r\n",
        "".join(f"X-{n}: y\r\n" for n in range(5000)) + "\r\n",
    ],
    ids=lambda text: text[:50],
)
def test_what_is_no_request_is_refused_or_cut(place: str, rest: str) -> None:
    port, path = PLACES[place]
    sent = HEAD.format(path=path, port=port()) + rest
    assert bodies.asked_over_socket(port(), sent.encode()) is None
    assert bodies._alive(port(), "/health" if place == "front" else "/healthz") is None


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("begun", ["", "POST / HT", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX"])
def test_a_head_that_never_ends_is_not_waited_for(place: str, begun: str) -> None:
    port, _ = PLACES[place]
    with socket.create_connection(("127.0.0.1", port()), 5) as one:
        one.settimeout(5)
        began = time.monotonic()
        one.sendall(begun.encode())
        with contextlib.suppress(ConnectionResetError):
            assert one.recv(1000) == b""
        assert time.monotonic() - began < 4


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "-Infinity", "9" * 5000])
def test_an_engine_is_never_sent_what_is_no_json(number: str) -> None:
    text = f'{{"model": "m", "messages": [{{}}], "seed": {number}}}'
    with pytest.raises(ApiError):
        asked("/v1/chat/completions", text.encode())
