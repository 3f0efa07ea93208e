"""One warm process that answers questions, one after the other, in JSON lines."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence

LINE = 128_000_000
"""Longest answer of a worker [byte]: that of 900 cases of accuracy is a few million."""

Told = Callable[[object], None]
"""What takes the progress of a question."""


class WorkerGone(Exception):
    """The process ended, or was ended, before it answered."""


class Worker:
    """A process of the command; it is started when it is first asked, and again after it was killed."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = tuple(command)
        self.process: asyncio.subprocess.Process | None = None
        self.asked = 0

    async def start(self) -> asyncio.subprocess.Process:
        """The process, started if there is none."""
        if self.process is None or self.process.returncode is not None:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=LINE,
            )
        return self.process

    async def ask(self, argv: Sequence[str], told: Told) -> dict[str, object]:
        """The answer. Raises WorkerGone when the process ends before it; cancelled, the process has to be killed."""
        process = await self.start()
        self.asked += 1
        number = self.asked
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps({"id": number, "argv": list(argv)}).encode() + b"\n")
            await process.stdin.drain()
            while line := await process.stdout.readline():
                said = _read(line)
                if said.get("id") != number:
                    continue
                if "progress" not in said:
                    return said
                told(said["progress"])
        except (OSError, ValueError) as error:
            raise WorkerGone from error
        raise WorkerGone

    async def kill(self) -> None:
        """Ends the process at once."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        self.process = None


def _read(line: bytes) -> dict[str, object]:
    """A line as the object that it is, empty if it is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
