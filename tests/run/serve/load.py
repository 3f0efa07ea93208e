"""Clients that ask without pause, whole answers and streams by turns, and check every answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@dataclass
class Outcome:
    """What clients saw: answers by release, failures by what was wrong, when each came [s after the start]."""

    answers: Counter = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    cut: int = 0
    when: list[tuple[float, str]] = field(default_factory=list)
    longest: float = 0.0

    def last(self, release: str) -> float:
        """When a release answered last."""
        return max((at for at, name in self.when if name == release), default=0.0)


async def load(url: str, clients: int, seconds: float, streams: float = 0.5, key: str = "", until=None) -> Outcome:
    """`clients` at once for so long, or until something is true; of their requests a share is streamed."""
    found, start = Outcome(), time.monotonic()

    def going() -> bool:
        return time.monotonic() - start < seconds and not (until and until())

    limits = httpx.Limits(max_connections=clients + 10)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=90, headers=headers) as client:

        async def one(number: int) -> None:
            due = number / clients
            while going():
                due += streams
                stream, due = due >= 1, due - (due >= 1)
                begun = time.monotonic()
                await (streamed if stream else whole)(client, found, start)
                found.longest = max(found.longest, time.monotonic() - begun)

        await asyncio.gather(*(one(number) for number in range(clients)))
    return found


async def whole(client: httpx.AsyncClient, found: Outcome, start: float) -> None:
    try:
        response = await client.post("/v1/chat/completions", json=BODY)
    except httpx.HTTPError as error:
        found.failures.append(f"whole: {error!r}")
        return
    if response.status_code != 200 or not response.json()["choices"][0]["message"]["content"].startswith("answer of"):
        found.failures.append(f"whole: {response.status_code} {response.text[:200]}")
        return
    note(found, response, start)


async def streamed(client: httpx.AsyncClient, found: Outcome, start: float) -> None:
    pieces, done = 0, False
    try:
        async with client.stream("POST", "/v1/chat/completions", json=BODY | {"stream": True}) as response:
            if response.status_code != 200:
                found.failures.append(f"stream: {response.status_code} {(await response.aread())[:200]!r}")
                return
            async for line in response.aiter_lines():
                if line == "data: [DONE]":
                    done = True
                elif line.startswith("data: "):
                    body = json.loads(line[6:])
                    if "error" in body:
                        found.cut += 1
                        found.failures.append(f"stream: {line[:200]}")
                        return
                    pieces += 1
    except httpx.HTTPError as error:
        found.failures.append(f"stream: {error!r}")
        return
    if not done or pieces < 2:
        found.failures.append(f"stream: {pieces} pieces, done {done}")
    else:
        note(found, response, start)


def note(found: Outcome, response: httpx.Response, start: float) -> None:
    release = response.headers["x-tonnage-release"]
    found.answers[release] += 1
    found.when.append((time.monotonic() - start, release))
