"""The listening side: uvicorn with bounds on connections and on slow heads, and an end in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator

import uvicorn
from starlette.applications import Starlette

from tonnage.errors import InputError
from tonnage.run.serve.app import application
from tonnage.run.serve.canary import Canary
from tonnage.run.serve.config import Front
from tonnage.run.serve.engines import Engines, end_all
from tonnage.run.serve.listen import protocol
from tonnage.run.serve.replicas import ServedModel
from tonnage.run.serve.state import FrontState, made
from tonnage.run.serve.watch import tick, watch

HEAD = 32_000
"""Bytes of the head of a request."""
SAVE = 5.0
"""How often the use of tenants is kept [s]."""


class FrontServer(uvicorn.Server):
    """Ends on a signal: takes nothing new, lets what runs end, and does not raise the signal again."""

    def __init__(self, config: uvicorn.Config, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self.ending = ending

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The first signal ends in order; the second at once."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: object) -> None:
        """Note that the end is asked for."""
        self.ending()
        self.force_exit = self.should_exit
        self.should_exit = True


def run_front(front: Front, tell: Callable[[str], None], begun: Callable[[FrontState], None] | None = None) -> None:
    """Serve until a signal. Raises InputError when the address cannot be listened on.

    begun: called with the state before anything is started and once more at the end.
    """
    state = made(front, tell)
    state.load()
    engines = Engines(state, tell)
    bound = _socket(front)
    drain = max(one.patience.drain for one in front.models)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = uvicorn.Config(
        application(state, lambda app: _life(state, engines, app)),
        http=protocol(front.bounds.head, front.bounds.connections),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=max(1, int(front.bounds.idle)),
        timeout_graceful_shutdown=int(drain) + 1,
        h11_max_incomplete_event_size=HEAD,
        backlog=min(2048, front.bounds.connections),
    )

    def ending() -> None:
        state.closing = True

    if begun is not None:
        begun(state)
    try:
        FrontServer(config, ending).run(sockets=[bound])
    finally:
        bound.close()
        end_all(engines)
    if begun is not None:
        begun(state)


def _socket(front: Front) -> socket.socket:
    """The address, listened on before anything is started."""
    family = socket.AF_INET6 if ":" in front.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY on such only
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((front.host, front.port))
    except OSError as error:
        bound.close()
        raise InputError(
            f"{front.host}:{front.port}: cannot be listened on: {(error.strerror or str(error)).lower()}"
        ) from None
    return bound


@contextlib.asynccontextmanager
async def _life(state: FrontState, engines: Engines, app: Starlette) -> AsyncIterator[None]:
    """Engines, watches, canaries and the record of use run while the front does."""
    works = [watch(service, replica, service.offered.watch) for service, _, replica in state.replicas()]
    works += [engines.keep(*one) for one in state.replicas() if one[2].source.kind != "address"]
    begun = [one for one in state.services.values() if one.canary and one.canary.plan.at_once]
    works += [_begin(one, one.canary) for one in begun if one.canary]
    works += [tick(state.services), _keep(state), _say_ready(state)]
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await engines.end()
        for _, _, replica in state.replicas():
            if replica.client:
                await replica.client.aclose()
        with contextlib.suppress(InputError):
            state.save()


async def _keep(state: FrontState) -> None:
    while True:
        await asyncio.sleep(SAVE)
        try:
            state.save()
        except InputError as error:
            state.changed(f"warning: what tenants used is not kept: {error.message}")


async def _begin(service: ServedModel, canary: Canary) -> None:
    """Start a canary as soon as its release has a replica that is up."""
    while not any(one.up for one in service.releases[canary.plan.to].replicas):
        await asyncio.sleep(0.1)
    canary.start(time.monotonic())
    service.follow()


async def _say_ready(state: FrontState) -> None:
    """Say when every model can be answered, and every change of a canary after that."""
    seen = dict.fromkeys(state.services, 0)
    said = False
    while True:
        if state.ready and not said:
            said = True
            state.changed(f"ready: {', '.join(state.services)} at http://{state.front.host}:{state.front.port}/v1")
        for name, service in state.services.items():
            for event in service.events[seen[name] :]:
                shares = ", ".join(f"{release} {100 * share:g} %" for release, share in _shares(event))
                state.changed(f"{name}: canary of {event['to']} {event['state']}: {shares} {event['why']}".rstrip())
            seen[name] = len(service.events)
        await asyncio.sleep(0.1)


def _shares(event: dict[str, object]) -> list[tuple[str, float]]:
    shares = event.get("shares")
    return list(shares.items()) if isinstance(shares, dict) else []
