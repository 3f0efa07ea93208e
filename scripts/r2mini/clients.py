"""Clients of the service: so many at once, each asking one question after the other; what each answer was and took."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx

from tonnage.run.train import data
from tonnage.run.train.plan import from_json
from tonnage.run.train.tasks import TaskSource

EXAMINATION = 2026
"""Seed of the questions that models are examined by; no model's own seed."""

LONGEST = 40
"""Most tokens of an answer, as in training."""


@dataclass(frozen=True)
class Asked:
    """A question and its right answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class Reply:
    """One answer: when it was asked for [s], what was wrong (empty: nothing), by which release, whether right; time to
    its first token, per token after it as chunks came, and to its end [s]; its tokens.
    """

    at: float
    wrong: str = ""
    release: str = ""
    right: bool = False
    ttft: float = 0.0
    tpot: float = 0.0
    tokens: int = 0
    engine: str = ""
    latency: float = 0.0


def unseen(run: Path, count: int) -> list[Asked]:
    """Questions that the run's plan never trains on."""
    plan = replace(from_json(json.loads((run / "plan.json").read_text("utf-8"))), seed=EXAMINATION)
    tasks = data.unseen(TaskSource(plan.task), plan, count)
    return [Asked(task.question, str(task.answer)) for task in tasks]


def ask_all(url: str, model: str, questions: Sequence[Asked], clients: int) -> list[Reply]:
    """Every question once, in order; the replies in the order of the questions."""
    found = asyncio.run(_load(url, model, iter(enumerate(questions)), clients, lambda: True))
    return [reply for _, reply in sorted(found, key=lambda pair: pair[0])]


def ask_while(url: str, model: str, questions: Iterable[Asked], clients: int, going: Callable[[], bool]) -> list[Reply]:
    """Questions over and over as long as it holds."""
    found = asyncio.run(_load(url, model, enumerate(cycle(questions)), clients, going))
    return [reply for _, reply in found]


async def _load(
    url: str, model: str, questions: Iterator[tuple[int, Asked]], clients: int, going: Callable[[], bool]
) -> list[tuple[int, Reply]]:
    found: list[tuple[int, Reply]] = []
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:

        async def one() -> None:
            while going() and (pair := next(questions, None)):
                found.append((pair[0], await asked(client, model, pair[1])))

        await asyncio.gather(*(one() for _ in range(clients)))
    return found


async def asked(client: httpx.AsyncClient, model: str, task: Asked) -> Reply:
    """One question, streamed."""
    messages = [{"role": "user", "content": task.question}]
    body = {"model": model, "messages": messages, "max_tokens": LONGEST, "temperature": 1.0, "stream": True}
    body["stream_options"] = {"include_usage": True}
    at, began = time.time(), time.perf_counter()
    times: list[float] = []
    answer, tokens, headers = "", 0, httpx.Headers()
    try:
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            headers = response.headers
            if response.status_code != 200:
                return Reply(at, f"HTTP {response.status_code}")
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                event = json.loads(line[6:])
                if "error" in event:
                    return Reply(at, str(event["error"])[:200])
                times.append(time.perf_counter())
                answer += _content(event)
                tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
    except httpx.HTTPError as error:
        return Reply(at, repr(error)[:200])
    if not times or not tokens:
        return Reply(at, "an empty stream")
    pace = (times[-1] - times[0]) / max(1, tokens - 1)
    release, engine = headers.get("x-tonnage-release", ""), headers.get("x-tonnage-engine", "")
    right, whole = answer.strip() == task.answer, times[-1] - began
    return Reply(at, "", release, right, times[0] - began, pace, tokens, engine, whole)


def _content(event: dict[str, Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in event["choices"])


def pace(replies: Sequence[Reply]) -> dict[str, float]:
    """Medians of what was answered: time to the first token, per token [s]; mean time to the end [s]; and how many."""
    good = [reply for reply in replies if not reply.wrong]
    return {
        "ttft": statistics.median(reply.ttft for reply in good),
        "tpot": statistics.median(reply.tpot for reply in good),
        "latency": statistics.fmean(reply.latency for reply in good),
        "n": len(good),
    }


def lengths(replies: Sequence[Reply]) -> float:
    """Mean tokens of what was answered."""
    return statistics.fmean(reply.tokens for reply in replies if not reply.wrong)


def per_token(replies: Sequence[Reply]) -> float:
    """Time of all answers over all their tokens [s]. Where a busy machine hands chunks on in bursts, or all at once,
    the gaps between them say nothing; this still holds.
    """
    good = [reply for reply in replies if not reply.wrong]
    return sum(reply.latency for reply in good) / sum(reply.tokens for reply in good)


def per_token_at(replies: Sequence[Reply], length: float) -> float:
    """The same for answers of another mean length [s]: the least-squares line of time over tokens; it never falls."""
    good = [(float(reply.tokens), reply.latency) for reply in replies if not reply.wrong]
    tokens, times = (statistics.fmean(column) for column in zip(*good, strict=True))
    spread = sum((n - tokens) ** 2 for n, _ in good)
    slope = max(0.0, sum((n - tokens) * (t - times) for n, t in good) / spread) if spread else 0.0
    return (times + slope * (length - tokens)) / length
