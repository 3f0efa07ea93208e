"""Processes that answer, kept warm: one question at a time each, ended with all they started when it is given up."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

MOST_LINE = 32 * 2**20
"""Bytes of an answer at most."""

MOST_WAITING = 16
"""Questions that wait for a process; more are turned away."""

Told = Callable[[Mapping[str, object]], Awaitable[None]]
"""Told how far an answer is: `done` of `of`, and `what` comes."""


class Unanswered(Exception):
    """Why there is no answer: a process that ended, too many questions, an answer too large."""


@dataclass
class _Worker:
    process: Process
    lines: BufferedByteReceiveStream

    def end(self) -> None:
        """Ends it at once, with what it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()


@dataclass
class Workers:
    """Up to `most` processes of one command, started when they are needed, in the folder `start`."""

    command: Sequence[str]
    start: Path
    most: int = 2
    _idle: list[_Worker] = field(default_factory=list)
    _all: list[_Worker] = field(default_factory=list)
    _waiting: int = 0
    _room: anyio.CapacityLimiter | None = None
    _count: int = 0

    async def ask(self, argv: Sequence[str], told: Told) -> Mapping[str, object]:
        """The answer to a command line, as `tonnage.cli.answering` gives it. A question given up ends its process."""
        self._room = self._room or anyio.CapacityLimiter(self.most)
        if self._waiting >= MOST_WAITING:
            raise Unanswered(f"{self._waiting} questions wait already; ask again later")
        self._waiting += 1
        try:
            await self._room.acquire_on_behalf_of(token := object())
        finally:
            self._waiting -= 1
        try:
            return await self._asked(argv, told)
        finally:
            self._room.release_on_behalf_of(token)

    async def _asked(self, argv: Sequence[str], told: Told) -> Mapping[str, object]:
        worker = await self._worker()
        good = False
        try:
            found = await self._exchanged(worker, argv, told)
            good = True
            return found
        finally:
            if good:
                self._idle.append(worker)
            else:
                await self._gone(worker)

    async def _worker(self) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.process.returncode is None:
                return worker
            await self._gone(worker)
        process = await anyio.open_process(
            list(self.command), cwd=self.start, stderr=subprocess.DEVNULL, start_new_session=True
        )
        if process.stdout is None:
            raise Unanswered("the process that answers cannot be heard")
        worker = _Worker(process, BufferedByteReceiveStream(process.stdout))
        self._all.append(worker)
        return worker

    async def _exchanged(self, worker: _Worker, argv: Sequence[str], told: Told) -> Mapping[str, object]:
        self._count += 1
        key = self._count
        question = json.dumps({"id": key, "argv": list(argv)}) + "\n"
        try:
            if worker.process.stdin is not None:
                await worker.process.stdin.send(question.encode())
            async for line in _lines(worker.lines):
                if "progress" in line and line.get("id") == key:
                    step = line["progress"]
                    await told(step if isinstance(step, dict) else {})
                elif line.get("id") == key:
                    return line
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise Unanswered("the process that answers ended before it had an answer") from None
        except anyio.DelimiterNotFound:
            raise Unanswered(f"the answer has more than {MOST_LINE // 2**20} MB; ask less at once") from None
        raise Unanswered("no answer came")

    async def _gone(self, worker: _Worker) -> None:
        """Ended, and waited for."""
        worker.end()
        self._all.remove(worker)
        with anyio.CancelScope(shield=True):
            await worker.process.aclose()

    async def end(self) -> None:
        """Ends every process."""
        self._idle.clear()
        while self._all:
            await self._gone(self._all[0])


async def _lines(stream: BufferedByteReceiveStream) -> AsyncIterator[dict[str, object]]:
    while True:
        found = json.loads(await stream.receive_until(b"\n", MOST_LINE))
        if isinstance(found, dict):
            yield found
