"""Engines started as processes of their own, kept running, and ended.

An engine that ends is started again, more slowly each time. Its talk goes to a file. It does not inherit the keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tonnage.run.serve.replicas import Replica, RunningRelease, ServedModel
from tonnage.run.serve.starts import FALLBACK, Start, spoken, start_of
from tonnage.run.serve.state import FrontState, connect

FIRST_PAUSE, LONGEST_PAUSE, STEADY = 1.0, 60.0, 60.0
"""Wait before an engine is started again, at first and at most, and how long it runs before that is forgotten [s]."""
PATIENCE_TO_END = 10.0
"""Time from the request to end until an engine is killed [s]."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Engines:
    """All engines of a front."""

    state: FrontState
    tell: Callable[[str], None]
    processes: dict[Replica, asyncio.subprocess.Process] = field(default_factory=dict)
    logs: Path | None = None

    def log(self, replica: Replica) -> Path:
        """The file of an engine's talk."""
        if self.logs is None:
            self.logs = self.state.front.logs or Path(tempfile.mkdtemp(prefix="tonnage-run-"))
            self.logs.mkdir(parents=True, exist_ok=True)
        return self.logs / f"{''.join(c if c.isalnum() else '-' for c in replica.name)}.log"

    async def keep(self, service: ServedModel, run: RunningRelease, replica: Replica) -> None:
        """Start an engine, and again whenever it ends, until cancelled."""
        pause = FIRST_PAUSE
        while True:
            begun = time.monotonic()
            why = await self.once(service, run, replica)
            replica.up = False
            pause = FIRST_PAUSE if time.monotonic() - begun > STEADY else min(LONGEST_PAUSE, 2 * pause)
            self.tell(f"{replica.name}: {why}; started again in {pause:g} s")
            await asyncio.sleep(pause)

    async def once(self, service: ServedModel, run: RunningRelease, replica: Replica) -> str:
        """One life of an engine; why it ended."""
        port = free_port()
        start = start_of(run.release, replica.source, port, os.environ)
        if start is None:
            return f"{replica.source.kind} is not found on this machine"
        replica.engine = start.engine
        replica.model = spoken(run.release, replica.source, start.engine)
        if start.engine == FALLBACK:
            self.tell(f"{replica.name}: vLLM is not found; transformers serve stands in: one request at a time")
        log = self.log(replica)
        try:
            process = await self.started(start, log)
        except OSError as error:
            return f"{start.words[0]}: {(error.strerror or str(error)).lower()}"
        self.processes[replica] = process
        connect(replica, f"http://127.0.0.1:{port}", service.offered.at_once)
        try:
            if not await self.came_up(replica, process):
                return f"did not answer within {replica.source.start_within:g} s; {log}"
            code = await process.wait()
            return f"ended with {code}; {log}"
        finally:
            await end(process)
            self.processes.pop(replica, None)
            client, replica.client = replica.client, None
            if client:
                await client.aclose()

    async def started(self, start: Start, log: Path) -> asyncio.subprocess.Process:
        """The process, as the head of a group of its own."""
        secret = self.state.front.secrets
        environment = {name: value for name, value in os.environ.items() if name not in secret}
        with log.open("ab") as out:
            return await asyncio.create_subprocess_exec(
                *start.words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
                start_new_session=True,
            )

    async def came_up(self, replica: Replica, process: asyncio.subprocess.Process) -> bool:
        """Whether an engine answered (the watch sees it) in its time; one that ended did not fail to."""
        last = time.monotonic() + replica.source.start_within
        while not replica.up and process.returncode is None:
            if time.monotonic() > last:
                return False
            await asyncio.sleep(0.1)
        return True

    async def end(self) -> None:
        """Ask all engines to end, and wait."""
        await asyncio.gather(*(end(process) for process in list(self.processes.values())))


async def end(process: asyncio.subprocess.Process) -> None:
    """Ask an engine and what it started to end; kill what does not."""
    for number, wait in ((signal.SIGTERM, PATIENCE_TO_END), (signal.SIGKILL, PATIENCE_TO_END)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), wait)
        if process.returncode is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            return


def end_all(engines: Engines) -> None:
    """Kill what is left when the front itself was stopped in the middle."""
    for process in engines.processes.values():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
