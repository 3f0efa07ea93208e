"""The page on a port of this machine, until it is asked to end."""

from __future__ import annotations

import socket
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass, replace

import uvicorn

from tonnage.errors import InputError, Problem
from tonnage.run.serve.listen import protocol
from tonnage.web.app import Page, PageSettings
from tonnage.web.guard import READ

CONNECTIONS = 400
"""Connections at once at most: beyond, a request is told to come back."""

BACKLOG = 512
"""Connections that wait to be taken."""

HEAD = 16_384
"""Longest head of a request [byte]."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Listening:
    """Where the page listens. port: 0 takes a free one; browser: whether to open one."""

    host: str = "127.0.0.1"
    port: int = 0
    browser: bool = True


def run_page(settings: PageSettings, at: Listening, say: Say) -> None:
    """Serve the page until interrupted. Raises InputError if the port cannot be had."""
    listening = _bound(at)
    port = listening.getsockname()[1]
    shown = "127.0.0.1" if at.host in ("0.0.0.0", "::", "") else at.host
    name = f"[{shown}]" if ":" in shown else shown
    token = f"?token={settings.access.token}" if settings.access.token else ""
    address = f"http://{name}:{port}/{token}"
    config = uvicorn.Config(
        Page(settings).app(),
        http=protocol(READ, CONNECTIONS),
        log_level="error",
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=HEAD,
        proxy_headers=False,
        ws="none",
    )
    say(f"the page: {address}")
    say("Ctrl-C ends it")
    if at.browser:
        webbrowser.open(address)
    uvicorn.Server(config).run(sockets=[listening])


def _bound(at: Listening) -> socket.socket:
    family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((at.host, at.port))
        listening.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InputError(Problem(f"cannot listen on {at.host}:{at.port}: {reason}", "--port")) from None
    return listening


def with_token(settings: PageSettings, token: str) -> PageSettings:
    """The same settings, for who has the token."""
    return replace(settings, access=replace(settings.access, token=token))
