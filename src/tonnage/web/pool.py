"""Who answers what, and when: two lanes, bounded queues, a time for each question, answers shared and kept.

One worker is kept for quick questions, so that a heavy plan cannot starve them; the other takes heavy questions first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tonnage.web.keep import Kept
from tonnage.web.worker import Told, Worker, WorkerGone

WAITING = {"quick": 64, "heavy": 16}
"""Questions of a lane that may wait: beyond, the next is told to come back."""

SECONDS = {"quick": 60.0, "heavy": 300.0}
"""Longest time of one question [s]; then its worker is ended and it is told so."""

Lane = Literal["quick", "heavy"]
Why = Literal["busy", "slow", "ended", "stopped"]


@dataclass(frozen=True)
class Question:
    """What a worker is asked. key: the same for the same question; keeps: on disk (long) or not at all (fresh)."""

    key: str
    argv: tuple[str, ...]
    lane: Lane = "quick"
    keeps: Literal["fresh", "while", "disk"] = "while"


class NotAnswered(Exception):
    """A question that is not answered, and why."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why: Why = why


@dataclass(eq=False)
class _Job:
    """A question under way; `askers` is how many still want it; patient: each of them gives way to others."""

    question: Question
    done: asyncio.Future[dict[str, object]]
    told: list[Told] = field(default_factory=list)
    askers: int = 0
    patient: bool = True
    run: asyncio.Task[dict[str, object]] | None = None


class WorkerPool:
    """Workers of a command, and the questions that wait for them."""

    def __init__(self, command: Sequence[str], kept: Kept) -> None:
        self.workers = (Worker(command), Worker(command))
        self.kept = kept
        self.waits: dict[Lane, deque[_Job]] = {"quick": deque(), "heavy": deque()}
        self.jobs: dict[str, _Job] = {}
        self.wake = asyncio.Condition()
        self.runners: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Takes questions from here on. A worker is started when it is first asked."""
        lanes: tuple[tuple[Lane, ...], ...] = (("quick",), ("heavy", "quick"))
        self.runners = [
            asyncio.create_task(self._serve(worker, taken)) for worker, taken in zip(self.workers, lanes, strict=True)
        ]

    async def close(self) -> None:
        """Ends the workers; what waits is told so."""
        for runner in self.runners:
            runner.cancel()
        await asyncio.gather(*self.runners, return_exceptions=True)
        for job in list(self.jobs.values()):
            _fail(job, "ended")
        for worker in self.workers:
            await worker.kill()

    def known(self, question: Question) -> dict[str, object] | None:
        """The answer, if it is kept."""
        return None if question.keeps == "fresh" else self.kept.get(question.key)

    def ahead(self, question: Question) -> int:
        """How many questions wait before this one."""
        waits = self.waits[question.lane]
        return next((n for n, job in enumerate(waits) if job.question.key == question.key), 0)

    async def ask(self, question: Question, told: Told = lambda _: None, *, patient: bool = False) -> dict[str, object]:
        """The answer: kept, shared with who asked the same, or computed. Raises NotAnswered. Cancelled by the last who
        wants it, it is stopped; a patient question is stopped as soon as another waits in its lane.
        """
        if (found := self.known(question)) is not None:
            return found
        job = self.jobs.get(question.key) or await self._begin(question)
        job.askers += 1
        job.patient = job.patient and patient
        if not patient:
            self._make_way(job)
        job.told.append(told)
        try:
            return await asyncio.shield(job.done)
        finally:
            job.askers -= 1
            job.told.remove(told)
            if not job.askers and not job.done.done():
                self._stop(job)

    async def _begin(self, question: Question) -> _Job:
        waits = self.waits[question.lane]
        if len(waits) >= WAITING[question.lane]:
            raise NotAnswered("busy")
        job = _Job(question, asyncio.get_running_loop().create_future())
        job.done.add_done_callback(_seen)
        self.jobs[question.key] = job
        waits.append(job)
        async with self.wake:
            self.wake.notify_all()
        return job

    def _make_way(self, wanted: _Job) -> None:
        """Stops patient questions of the lane of one that is wanted now."""
        for job in list(self.jobs.values()):
            if job.patient and job.question.lane == wanted.question.lane:
                self._stop(job)

    def _stop(self, job: _Job) -> None:
        """Nobody wants it: out of the queue, or its worker is ended."""
        self.jobs.pop(job.question.key, None)
        if job.run is not None:
            job.run.cancel()
        else:
            with contextlib.suppress(ValueError):
                self.waits[job.question.lane].remove(job)
        _fail(job, "stopped")

    def _next(self, lanes: tuple[Lane, ...]) -> _Job | None:
        return next((self.waits[lane].popleft() for lane in lanes if self.waits[lane]), None)

    async def _serve(self, worker: Worker, lanes: tuple[Lane, ...]) -> None:
        while True:
            async with self.wake:
                await self.wake.wait_for(lambda: any(self.waits[lane] for lane in lanes))
                job = self._next(lanes)
            if job is not None and not job.done.done():
                await self._answer(worker, job)

    async def _answer(self, worker: Worker, job: _Job) -> None:
        """One question, in its time; whatever goes wrong, the worker is ended and started anew."""

        def told(what: object) -> None:
            for each in list(job.told):
                each(what)

        job.run = asyncio.create_task(worker.ask(job.question.argv, told))
        try:
            reply = await asyncio.wait_for(asyncio.shield(job.run), SECONDS[job.question.lane])
        except TimeoutError:
            await self._anew(worker, job, "slow")
        except WorkerGone:
            await self._anew(worker, job, "ended")
        except asyncio.CancelledError:
            if not job.run.cancelled() or _ends():
                raise
            await self._anew(worker, job, "stopped")
        else:
            self.jobs.pop(job.question.key, None)
            if job.question.keeps != "fresh":
                self.kept.put(job.question.key, reply, disk=job.question.keeps == "disk")
            if not job.done.done():
                job.done.set_result(reply)

    async def _anew(self, worker: Worker, job: _Job, why: Why) -> None:
        if job.run is not None:
            job.run.cancel()
        if self.jobs.get(job.question.key) is job:
            del self.jobs[job.question.key]
        _fail(job, why)
        await worker.kill()
        with contextlib.suppress(OSError):
            await worker.start()


def _ends() -> bool:
    """Whether this task itself is to end: the question that it waits for may be given up at the same moment."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _fail(job: _Job, why: Why) -> None:
    if not job.done.done():
        job.done.set_exception(NotAnswered(why))


def _seen(done: asyncio.Future[dict[str, object]]) -> None:
    """An error that nobody waits for any more is no news."""
    if not done.cancelled():
        done.exception()
