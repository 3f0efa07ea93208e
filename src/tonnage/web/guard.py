"""Who may ask, and how much: host, origin, token, size and time of a request; what every response says.

A page on a machine's own address can be reached by any site that the browser shows: by a form (CSRF), or by a name that
is turned to 127.0.0.1 (DNS rebinding). So the host has to be one that the page was started with, what changes or
computes anything has to come from the page itself, and away from the loopback a token is needed.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY = 1_100_000
"""Longest body of a request [byte]: a programme of 1 MB and its fields."""

ADDRESS = 8000
"""Longest path and query [byte]."""

READ = 10.0
"""Time in which a head, and then a body, has to be there [s]."""

COOKIE = "tonnage_page"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True)
class Access:
    """From where the page may be asked. hosts: names and addresses beside the loopback; any_address: it listens on all,
    so that any address, but no name, is one of its own; token: needed if given.
    """

    hosts: tuple[str, ...] = ()
    any_address: bool = False
    token: str | None = None

    def knows(self, host: str) -> bool:
        """Whether a Host header names this page: the port is the browser's affair."""
        name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
        name = name.lower()
        return name in LOOPBACK or name in self.hosts or (self.any_address and _address(name))

    def lets_in(self, cookie: str) -> bool:
        """Whether a token is the one."""
        return self.token is None or hmac.compare_digest(cookie.encode(), self.token.encode())


def _address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


class Guard:
    """Refuses what may not be asked before the page sees it."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def sends(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, sends)
            return
        body = await _body(scope, receive)
        if body is None:
            return
        if isinstance(body, PlainTextResponse):
            await body(scope, receive, sends)
            return
        await self.app(scope, _again(body, receive), sends)

    def _refused(self, scope: Scope) -> ASGIApp | None:
        """The response to what may not be asked, None for what may."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > ADDRESS:
            return PlainTextResponse("the address is too long", 414)
        if not self.access.knows(host) or len(headers.getlist("host")) != 1:
            return PlainTextResponse("this page does not go by that name", 421)
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("only GET, HEAD and POST", 405, {"allow": "GET, HEAD, POST"})
        if not _own(scope["method"], scope["path"], headers, f"{scope['scheme']}://{host}"):
            return PlainTextResponse("asked from elsewhere", 403)
        return self._stranger(scope, headers)

    def _stranger(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        """The response to who has no token; a token in the address becomes a cookie."""
        if self.access.token is None or scope["path"] == "/healthz":
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        said = dict(query).get("token", "")
        if said and scope["method"] == "GET" and self.access.lets_in(said):
            rest = urlencode([(key, value) for key, value in query if key != "token"])
            response = RedirectResponse(_path(scope["path"]) + (f"?{rest}" if rest else ""), 303)
            response.set_cookie(COOKIE, said, httponly=True, samesite="strict", path="/")
            return response
        held = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        if self.access.lets_in(held):
            return None
        return PlainTextResponse("open the address that `tonnage page` printed: it has the token", 401)


def _path(path: str) -> str:
    """A path to be sent to within this page: never `//host`."""
    return "/" + path.lstrip("/\\")


def _own(method: str, path: str, headers: Headers, origin: str) -> bool:
    """Whether a request comes from the page: what computes (POST) always, the rest unless a browser says otherwise."""
    site = headers.get("sec-fetch-site", "same-origin")
    if method == "POST":
        return headers.get("origin") == origin and site == "same-origin"
    moved = headers.get("sec-fetch-mode", "") == "navigate" and "/api/" not in path
    return site in ("same-origin", "none") or moved


async def _body(scope: Scope, receive: Receive) -> bytes | PlainTextResponse | None:
    """The whole body, or the response to one that is too long or too slow; None where the client left before."""
    if scope["method"] != "POST":
        return b""
    length = Headers(scope=scope).get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > BODY:
        return PlainTextResponse("longer than 1 MB", 413)
    body = bytearray()
    try:
        async with asyncio.timeout(READ):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > BODY:
                    return PlainTextResponse("longer than 1 MB", 413)
                if not message.get("more_body"):
                    break
    except TimeoutError:
        return PlainTextResponse("took too long to send", 408)
    return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read once more, then what else comes (that the client went away)."""
    given = False

    async def receives() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receives
