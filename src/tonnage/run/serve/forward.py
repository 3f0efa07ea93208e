"""A request to a replica, and to another one if nothing has come from the first: the client sees one answer.

Nothing is sent to the client before a replica has answered whole, or sent its first event: until then any failure is
tried elsewhere. What a replica refuses because of the request itself (4xx) goes to the client.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import cast

import httpx

from tonnage.run.serve import refusals
from tonnage.run.serve.asking import ChatRequest
from tonnage.run.serve.bound import WaitBound
from tonnage.run.serve.canary import Answered
from tonnage.run.serve.metrics import Metrics
from tonnage.run.serve.reasoning import Translator, dumped
from tonnage.run.serve.refusals import ApiError
from tonnage.run.serve.replicas import Replica, ReplicaAttempt, RunningRelease, ServedModel
from tonnage.run.serve.stream import Events, StreamError, counted

OURS = (401, 403, 404, 405, 408, 429)
"""Answers below 500 that are about the replica, not about the request: our key, its name of the model, its load."""
REFUSED = 64_000
"""Bytes of a refusal that are read."""


class AttemptFailed(Exception):
    """A replica did not answer; `lost`: its connection was refused or cut; `status`: what it said, if anything."""

    def __init__(self, why: str, *, lost: bool = False, status: int = 0) -> None:
        super().__init__(why)
        self.why, self.lost, self.status = why, lost, status


@dataclass(eq=False)
class Opened:
    """An answer that has begun: whole (`content`), or a stream whose first events are in `content`."""

    run: RunningRelease
    replica: Replica
    attempt: ReplicaAttempt
    content: bytes
    usage: tuple[int, int] | None = None
    response: httpx.Response | None = None
    chunks: AsyncIterator[bytes] | None = None
    events: Events | None = None

    async def leave(self) -> None:
        """Close the answer, so that the engine stops; doing it again does nothing."""
        self.replica.attempts.discard(self.attempt)
        if self.response is not None:
            await self.response.aclose()


class Forwarder:
    """Sends requests to replicas and counts how each attempt ended."""

    def __init__(self, metrics: Metrics, answer: int) -> None:
        self.metrics, self.answer = metrics, answer

    async def open(self, service: ServedModel, asked: ChatRequest) -> Opened:
        """The first replica's answer that comes. Raises ApiError when none does."""
        last, tries = AttemptFailed("no replica is up"), 0
        for run, replica in service.order(time.monotonic()):
            attempt = ReplicaAttempt(asked.stream, time.monotonic())
            try:
                return await self._tried(service, run, replica, attempt, asked)
            except AttemptFailed as failure:
                last, tries = failure, tries + 1
            if tries > service.offered.retries:
                break
        if last.status == 429:
            raise refusals.overloaded(1.0)
        status = 504 if last.why.startswith("it took") else 503 if last.lost or not tries else 502
        raise refusals.unavailable(f"{tries} tried; the last: {last.why}" if tries else last.why, status)

    async def _tried(
        self, service: ServedModel, run: RunningRelease, replica: Replica, attempt: ReplicaAttempt, asked: ChatRequest
    ) -> Opened:
        """One attempt, as a task of its own that can be taken back. Raises AttemptFailed, or ApiError as refused."""
        work = self._first if asked.stream else self._whole
        task = asyncio.create_task(work(service, run, replica, attempt, asked))
        attempt.task = task
        replica.attempts.add(attempt)
        try:
            opened = await task
        except asyncio.CancelledError:
            task.cancel()
            task.add_done_callback(_close_unused)
            replica.attempts.discard(attempt)
            if not attempt.rescued or _cancelled():
                raise
            self._ended(service, run, replica, "taken back")
            raise AttemptFailed("it was taken back") from None
        except AttemptFailed as failure:
            replica.attempts.discard(attempt)
            replica.failed(time.monotonic(), lost=failure.lost)
            self._ended(service, run, replica, "failed", Answered(failed=True))
            raise
        except ApiError:
            replica.attempts.discard(attempt)
            self._ended(service, run, replica, "refused")
            raise
        if not asked.stream:
            replica.attempts.discard(attempt)
        return opened

    def _ended(
        self, service: ServedModel, run: RunningRelease, replica: Replica, how: str, noted: Answered | None = None
    ) -> None:
        names = {"model": service.offered.name, "release": run.name, "replica": replica.name, "outcome": how}
        self.metrics.count("tonnage_attempts_total", 1, **names)
        if noted:
            service.note(run, noted, time.monotonic())

    async def _whole(
        self, service: ServedModel, run: RunningRelease, replica: Replica, attempt: ReplicaAttempt, asked: ChatRequest
    ) -> Opened:
        try:
            async with asyncio.timeout(service.offered.patience.whole):
                response = await self._sent(run, replica, asked)
                try:
                    content = await self._read(response, self.answer)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise AttemptFailed(f"it took over {service.offered.patience.whole:g} s") from None
        except httpx.HTTPError as error:
            raise _lost(error) from None
        content, usage = _translated(content, run.release.think)
        limit = service.offered.slo.latency
        replica.attempts.discard(attempt)
        replica.succeeded()
        late = limit is not None and time.monotonic() - attempt.begun > limit
        self._ended(service, run, replica, "answered", Answered(late=late))
        return Opened(run, replica, attempt, content, usage)

    async def _first(
        self, service: ServedModel, run: RunningRelease, replica: Replica, attempt: ReplicaAttempt, asked: ChatRequest
    ) -> Opened:
        """A stream up to its first event."""
        response: httpx.Response | None = None
        events = Events(Translator(run.release.think), asked.wants_usage)
        try:
            async with asyncio.timeout(service.offered.patience.first):
                response = await self._sent(run, replica, asked)
                chunks = aiter(cast("AsyncIterable[bytes]", response.stream))
                content = b""
                async for raw in chunks:
                    content += events.feed(raw)
                    if content:
                        break
                content = content or events.end()
        except BaseException as error:
            if response is not None:
                await response.aclose()
            if isinstance(error, TimeoutError):
                raise AttemptFailed(f"it took over {service.offered.patience.first:g} s") from None
            if isinstance(error, httpx.HTTPError):
                raise _lost(error) from None
            if isinstance(error, StreamError):
                raise AttemptFailed(str(error)) from None
            raise
        attempt.first = time.monotonic()
        return Opened(run, replica, attempt, content, None, response, chunks, events)

    async def _sent(self, run: RunningRelease, replica: Replica, asked: ChatRequest) -> httpx.Response:
        """The head of a good answer. Raises AttemptFailed, or ApiError where the request itself was refused."""
        if replica.client is None:
            raise AttemptFailed("it has not started", lost=True)
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        request = replica.client.build_request(
            "POST", asked.path, content=asked.content(replica.model or run.release.model), headers=headers
        )
        try:
            response = await replica.client.send(request, stream=True)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            response = await self._again(replica, request)
        if response.status_code == 200:
            return response
        try:
            content = await self._read(response, REFUSED)
        finally:
            await response.aclose()
        if 400 <= response.status_code < 500 and response.status_code not in OURS:
            raise refusals.from_replica(response.status_code, content)
        raise AttemptFailed(f"HTTP {response.status_code}", status=response.status_code)

    async def _again(self, replica: Replica, request: httpx.Request) -> httpx.Response:
        """The same once more on a new connection: an engine may close an idle one just when it is used."""
        if replica.client is None:
            raise AttemptFailed("the connection was lost", lost=True)
        return await replica.client.send(request, stream=True)

    async def _read(self, response: httpx.Response, limit: int) -> bytes:
        parts, size = [], 0
        async for part in response.aiter_raw():
            size += len(part)
            if size > limit:
                raise AttemptFailed(f"an answer of over {limit:,} bytes")
            parts.append(part)
        return b"".join(parts)

    async def rest(self, service: ServedModel, opened: Opened) -> AsyncGenerator[bytes]:
        """The rest of a stream, in whole events; a cut is an event that says so. Closes the replica's answer."""
        ttft, waited, late = opened.attempt.first - opened.attempt.begun, 0.0, False
        how, failed = "answered", False
        slo, between = service.offered.slo, service.offered.patience.between
        try:
            assert opened.chunks is not None and opened.events is not None
            async with WaitBound(between) as bound:
                while True:
                    opened.events.check()
                    before = bound.begin()
                    raw = await anext(opened.chunks, None)
                    waited += bound.end() - before
                    part = opened.events.feed(raw) if raw is not None else opened.events.end()
                    if part:
                        yield part
                    if raw is None or opened.events.done:
                        break
            opened.usage = opened.events.usage
            opened.replica.succeeded()
            late = (slo.ttft is not None and ttft > slo.ttft) or (
                slo.tpot is not None and waited > slo.tpot * max(1, opened.events.pieces - 1)
            )
        except (httpx.HTTPError, StreamError, TimeoutError) as error:
            how, failed = "cut off", True
            why = "nothing came for too long" if isinstance(error, TimeoutError) else _why(error)
            opened.replica.failed(time.monotonic(), lost=isinstance(error, httpx.TransportError))
            self.metrics.count("tonnage_broken_streams_total", model=service.offered.name, release=opened.run.name)
            yield refusals.broken(why).event()
        except BaseException:
            how = "left by the client"
            raise
        finally:
            opened.usage = opened.events.usage if opened.events else None
            opened.replica.attempts.discard(opened.attempt)
            noted = Answered(failed, late) if how != "left by the client" else None
            self._ended(service, opened.run, opened.replica, how, noted)
            if opened.response is not None:
                await opened.response.aclose()


def _close_unused(task: asyncio.Task[Opened]) -> None:
    """Close the answer of an attempt that came when nobody waited for it any more."""
    if not task.cancelled() and task.exception() is None and (response := task.result().response) is not None:
        closing = asyncio.ensure_future(response.aclose())
        _CLOSING.add(closing)
        closing.add_done_callback(_CLOSING.discard)


_CLOSING: set[asyncio.Future[None]] = set()
"""Answers that are being closed; held so that they are not collected before."""


def _cancelled() -> bool:
    """Whether the request's own task is asked to end, and not only its attempt."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _translated(content: bytes, think: str) -> tuple[bytes, tuple[int, int] | None]:
    """A whole answer with reasoning apart, and its tokens. Raises AttemptFailed for what is no answer."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise AttemptFailed("an answer that is not JSON") from None
    if not isinstance(body, dict) or body.get("error") or not isinstance(body.get("choices"), list):
        raise AttemptFailed("an answer without choices")
    Translator(think).message(body)
    return dumped(body), counted(body)


def _lost(error: httpx.HTTPError) -> AttemptFailed:
    return AttemptFailed(_why(error), lost=isinstance(error, httpx.TransportError))


def _why(error: Exception) -> str:
    """What happened to a connection, in words that say nothing of addresses."""
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        return "it could not be reached"
    return "the connection was lost" if isinstance(error, httpx.HTTPError) else str(error)
