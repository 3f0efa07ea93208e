"""Looks at replicas all the time: a connection that is refused, or several looks without an answer, and one is down."""

from __future__ import annotations

import asyncio
import time

import httpx

from tonnage.run.serve.config import Watch
from tonnage.run.serve.replicas import Replica, ServedModel

LOOKED_AT = ("/health", "/v1/models")
"""What is asked for: vLLM's own health, else what every OpenAI-compatible server has."""
TICK = 0.1
"""How often canaries are looked at [s]."""


async def look(replica: Replica, within: float) -> bool | None:
    """Whether a replica answers; None where there is surely nobody."""
    client = replica.client
    if client is None:
        return None
    for path in (replica.source.health,) if replica.source.health else LOOKED_AT:
        try:
            async with asyncio.timeout(within):
                response = await client.get(path)
        except httpx.ConnectError:
            return None
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError, TimeoutError):  # a client is closed with its engine
            return False
        if response.status_code not in (404, 405):
            return response.status_code < 500
    return False


async def watch(service: ServedModel, replica: Replica, how: Watch) -> None:
    """Keep `up` true to what is seen, for ever."""
    missed = 0
    while True:
        seen = await look(replica, how.within)
        missed = 0 if seen else missed + 1
        if seen:
            replica.up = True
        elif seen is None or missed >= how.failures:
            mark_down(service, replica)
        await asyncio.sleep(how.every)


def mark_down(service: ServedModel, replica: Replica) -> None:
    """Take a replica out; what waits there is taken back where another replica can answer it."""
    replica.up = False
    others = [one for run in service.releases.values() for one in run.replicas if one is not replica]
    if any(one.usable(time.monotonic()) for one in others):
        replica.rescue()


async def tick(services: dict[str, ServedModel]) -> None:
    """Let every canary step or return in time, for ever."""
    while True:
        for service in services.values():
            service.look(time.monotonic())
        await asyncio.sleep(TICK)
