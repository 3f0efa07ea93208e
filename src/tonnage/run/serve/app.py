"""The front's HTTP: OpenAI's paths, health, metrics, and what the administrator steers with."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tonnage.run.serve import admin, metrics, refusals
from tonnage.run.serve.asking import PATHS, ChatRequest, asked
from tonnage.run.serve.bound import WaitBound
from tonnage.run.serve.config import Tenant
from tonnage.run.serve.forward import Opened
from tonnage.run.serve.limits import Grant
from tonnage.run.serve.reading import is_loopback
from tonnage.run.serve.refusals import ApiError
from tonnage.run.serve.replicas import ServedModel
from tonnage.run.serve.state import ANYONE, FrontState

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

LINGER = 2.0
"""How long a client that was refused may go on sending, so that it reads why instead of a reset connection [s]."""


class ClientGone(Exception):
    """The client left, or does not take what it is sent."""


class Answering:
    """One of OpenAI's paths that a model answers, as an ASGI application."""

    def __init__(self, state: FrontState) -> None:
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every way it can end is counted."""
        reply = Exchange(self.state, scope, receive, send)
        try:
            await reply.run()
        except ApiError as error:
            await reply.refuse(error)
        except ClientGone:
            await reply.abort()
        finally:
            reply.free()


class Exchange:
    """One request and its answer."""

    def __init__(self, state: FrontState, scope: Scope, receive: Receive, send: Send) -> None:
        self.state, self.scope, self.receive, self.sender = state, scope, receive, send
        self.id = f"req_{secrets.token_hex(12)}"
        self.begun = time.monotonic()
        self.held, self.body_read = 0, False
        self.tenant: Tenant = ANYONE
        self.model = ""
        self.release = ""
        self.grant: Grant | None = None
        self.headers: dict[str, str] = {}
        self.sends: WaitBound | None = None
        self.started = self.finished = False
        self.given: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }

    async def run(self) -> None:
        """Who asks, what, whether they may, and then the answer."""
        self.tenant = self.state.tenant(self.given.get("authorization", ""))
        check_host(self.state, self.given.get("host", ""))
        kind = self.given.get("content-type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise refusals.wrong_type(kind)
        request = asked(self.scope["path"], await self.body())
        service = self.state.service(request.model, self.tenant)
        self.model = request.model
        self.grant = self.state.limits.grant(self.tenant, self.model, request.promised, time.monotonic(), time.time())
        self.headers |= self.grant.use.headers()
        await self.unless_gone(self.answer(service, request))

    # ------------------------------------------------------------ the request

    async def body(self) -> bytes:
        """The body, within its bounds of size and time. Raises ApiError."""
        bounds = self.state.front.bounds
        length = self.given.get("content-length", "0")
        self.hold(int(length[:20]) if length.isascii() and length.isdigit() else 0)
        content = bytearray()
        try:
            async with asyncio.timeout(bounds.upload):
                while True:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    part = message.get("body", b"")
                    self.hold(max(0, len(content) + len(part) - self.held))
                    content += part
                    if not message.get("more_body", False):
                        self.body_read = True
                        return bytes(content)
        except TimeoutError:
            raise refusals.too_slow() from None

    def hold(self, size: int) -> None:
        """Count what is held. Raises ApiError when one request, or all together, hold too much."""
        bounds = self.state.front.bounds
        if self.held + size > bounds.body:
            raise refusals.too_large(bounds.body)
        if self.state.held + size > bounds.bodies:
            raise refusals.overloaded(1.0)
        self.held += size
        self.state.held += size

    def free(self) -> None:
        """Give back what the request held and was promised."""
        self.state.held -= self.held
        self.held = 0
        if self.grant:
            self.state.limits.settle(self.grant, 0)

    async def unless_gone(self, answer: Coroutine[None, None, None]) -> None:
        """Answer, unless the client leaves meanwhile: then the engine is told to stop too."""
        work = asyncio.create_task(answer)
        gone = asyncio.ensure_future(self.receive())
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not self.finished:
                raise ClientGone
            await work
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
                with contextlib.suppress(asyncio.CancelledError, ApiError, ClientGone):
                    await work

    # ------------------------------------------------------------ the answer

    async def answer(self, service: ServedModel, request: ChatRequest) -> None:
        """Wait for a place, ask a replica, pass its answer on."""
        await service.gate.enter(self.tenant.name)
        try:
            opened = await self.state.forwarder.open(service, request)
            self.release = opened.run.name
            self.headers |= {"x-tonnage-release": opened.run.name, "x-tonnage-engine": opened.replica.engine}
            if request.stream:
                await self.stream(service, request, opened)
            else:
                self.spend(request, opened.usage, 0)
                await self.start(200, "application/json", len(opened.content))
                await self.send(opened.content, more=False)
        finally:
            service.gate.leave()
        took = time.monotonic() - self.begun
        self.state.metrics.time("tonnage_latency_seconds", took, **self.labels())
        self.state.answered.of(self.model, self.release).answered += 1
        self.state.answered.add(self.model, self.release, "latency", took)
        self.count(200)

    async def stream(self, service: ServedModel, request: ChatRequest, opened: Opened) -> None:
        """Pass a stream on; what it used is counted however it ends."""
        events = opened.events
        try:
            async with self.many_sends(), aclosing(self.state.forwarder.rest(service, opened)) as rest:
                await self.start(200, "text/event-stream; charset=utf-8")
                await self.send(opened.content)
                first = time.monotonic()
                self.state.metrics.time("tonnage_ttft_seconds", first - self.begun, **self.labels())
                self.state.answered.add(self.model, self.release, "ttft", first - self.begun)
                async for part in rest:
                    await self.send(part)
                await self.send(b"", more=False)
            tokens = opened.usage[1] if opened.usage else events.pieces if events else 0
            if tokens > 1:
                between = (time.monotonic() - first) / (tokens - 1)
                self.state.answered.add(self.model, self.release, "tpot", between)
        finally:
            await opened.leave()
            self.spend(request, opened.usage, events.pieces if events else 0)

    def spend(self, request: ChatRequest, usage: tuple[int, int] | None, pieces: int) -> None:
        """Take what was used from the tenant: as the engine counted, else the prompt's estimate and the pieces."""
        used = usage or (request.prompt, pieces)
        if self.grant:
            self.state.limits.settle(self.grant, sum(used))
        for kind, amount in zip(("prompt", "completion"), used, strict=True):
            kind = kind if usage else f"{kind} estimated"
            self.state.metrics.count(
                "tonnage_tokens_total", amount, tenant=self.tenant.name, kind=kind, **self.labels()
            )

    def labels(self) -> dict[str, str]:
        """Model and release, as the metrics name them."""
        return {"model": self.model, "release": self.release}

    def count(self, status: int) -> None:
        """Count how the request ended."""
        self.state.metrics.count(
            "tonnage_requests_total", 1, model=self.model, tenant=self.tenant.name, status=str(status)
        )

    # ------------------------------------------------------------ sending

    async def start(
        self, status: int, kind: str, length: int | None = None, more: dict[str, str] | None = None
    ) -> None:
        """Send the head."""
        headers = {"content-type": kind, "x-request-id": self.id, **self.headers, **(more or {})}
        headers["cache-control"] = "no-store"
        if length is not None:
            headers["content-length"] = str(length)
        self.started = True
        pairs = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await self.bounded({"type": "http.response.start", "status": status, "headers": pairs})

    async def send(self, content: bytes, more: bool = True) -> None:
        """Send a part of the body."""
        self.finished = not more
        await self.bounded({"type": "http.response.body", "body": content, "more_body": more})

    async def bounded(self, message: Mapping[str, object]) -> None:
        """Send, unless the client does not take it in time. Raises ClientGone."""
        if self.sends is not None:
            self.sends.begin()
            await self.sender(dict(message))
            self.sends.end()
            return
        try:
            async with asyncio.timeout(self.state.front.bounds.send):
                await self.sender(dict(message))
        except TimeoutError:
            raise ClientGone from None

    @contextlib.asynccontextmanager
    async def many_sends(self) -> AsyncIterator[None]:
        """Within, one timer bounds each send. Raises ClientGone."""
        try:
            async with WaitBound(self.state.front.bounds.send) as self.sends:
                yield
        except TimeoutError:
            raise ClientGone from None
        finally:
            self.sends = None

    async def refuse(self, error: ApiError) -> None:
        """Send a refusal; a client that is still sending may do so a little, and is then let go."""
        self.count(error.status)
        if self.started:
            return
        more = error.headers() | ({} if self.body_read else {"connection": "close"})
        content = error.body()
        with contextlib.suppress(ClientGone):
            await self.start(error.status, "application/json", len(content), more)
            await self.send(content, more=not self.body_read)
            if not self.body_read:
                await self.linger()
                await self.send(b"", more=False)

    async def linger(self) -> None:
        """Read on, and forget, what a refused client still sends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                while (message := await self.receive())["type"] == "http.request" and message.get("more_body"):
                    pass

    async def abort(self) -> None:
        """Cut the connection without waiting for what the client has not taken, and let the server see that it is."""
        self.count(499)
        cut = self.scope.get("state", {}).get("cut")
        if callable(cut):
            cut()
            await asyncio.sleep(0.001)


def check_host(state: FrontState, host: str) -> None:
    """Without keys, only a name of this machine (a page in a browser could use another). Raises ApiError."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    if not state.front.tenants and not is_loopback(name.removeprefix("[").removesuffix("]")):
        raise ApiError(403, "Without keys this address answers its own machine only.", code="forbidden_host")


def application(state: FrontState, lifespan: Callable[[Starlette], object] | None = None) -> Starlette:
    """The front as an ASGI application."""
    answering = Answering(state)

    async def models(request: Request) -> Response:
        tenant = state.tenant(request.headers.get("authorization", ""))
        check_host(state, request.headers.get("host", ""))
        return JSONResponse({"object": "list", "data": [model_card(name) for name in state.visible(tenant)]})

    async def model(request: Request) -> Response:
        tenant = state.tenant(request.headers.get("authorization", ""))
        check_host(state, request.headers.get("host", ""))
        name = request.path_params["name"]
        state.service(name, tenant)
        return JSONResponse(model_card(name))

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        return JSONResponse({"ready": state.ready}, 200 if state.ready else 503)

    async def measured(request: Request) -> Response:
        if state.front.admin and not state.is_admin(request.headers.get("authorization", "")):
            raise refusals.no_key()
        return Response(state.metrics.text(state.gauges()), media_type=metrics.TYPE)

    return Starlette(
        routes=[
            *(Route(path, answering, methods=["POST"]) for path in PATHS),
            Route("/v1/models", models),
            Route("/v1/models/{name:path}", model),
            Route("/health", health),
            Route("/ready", ready),
            Route("/metrics", measured),
            *admin.routes(state),
        ],
        exception_handlers={ApiError: _refused, HTTPException: _no_such, Exception: _defect},  # type: ignore[dict-item]
        lifespan=lifespan,  # type: ignore[arg-type]
    )


def model_card(name: str) -> dict[str, object]:
    """A model as OpenAI's API lists it."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "tonnage"}


def _shaped(error: ApiError) -> Response:
    return Response(error.body(), error.status, error.headers(), "application/json")


def _refused(request: Request, error: ApiError) -> Response:
    return _shaped(error)


def _no_such(request: Request, error: HTTPException) -> Response:
    wrong = refusals.no_method if error.status_code == 405 else refusals.no_url
    return _shaped(wrong(request.method, request.url.path))


def _defect(request: Request, error: Exception) -> Response:
    return _shaped(refusals.defect())
