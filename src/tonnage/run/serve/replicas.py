"""Replicas as they stand: up or down, drained, what runs on them; and releases and models made of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

from tonnage.run.serve.admission import AdmissionGate
from tonnage.run.serve.canary import Answered, Canary
from tonnage.run.serve.config import Offered, ReplicaSource, ServedRelease
from tonnage.run.serve.shares import ReleaseShares

IN_A_ROW, AWAY = 3, 5.0
"""Failures in a row after which a replica is left alone, and for how long [s], while there is another."""


@dataclass(eq=False)
class ReplicaAttempt:
    """One request on one replica until its first event (or, not streamed, its end), and after."""

    stream: bool
    begun: float
    first: float = 0.0
    task: asyncio.Task[object] | None = None
    rescued: bool = False


@dataclass(eq=False)
class Replica:
    """One engine behind the front. `address` is empty until its process has a port; `model`: its own name of it."""

    name: str
    source: ReplicaSource
    address: str = ""
    client: httpx.AsyncClient | None = None
    engine: str = "unknown"
    model: str | None = None
    up: bool = False
    draining: bool = False
    failures: int = 0
    away_until: float = 0.0
    attempts: set[ReplicaAttempt] = field(default_factory=set)

    def usable(self, now: float) -> bool:
        """Whether requests should go there."""
        return self.up and not self.draining and now >= self.away_until

    def possible(self) -> bool:
        """Whether they may, for want of another."""
        return not self.draining and self.client is not None

    def succeeded(self) -> None:
        """An answer came."""
        self.failures, self.away_until = 0, 0.0

    def failed(self, now: float, *, lost: bool) -> None:
        """An answer did not come; `lost`: the connection was refused or cut: down until it is looked at."""
        self.failures += 1
        self.up = self.up and not lost
        if self.failures >= IN_A_ROW:
            self.away_until = now + AWAY

    def rescue(self) -> int:
        """Take back what has not begun to answer, so that it is tried elsewhere."""
        waiting = [one for one in self.attempts if one.task and not one.task.done()]
        for one in waiting:
            one.rescued = True
            if one.task:
                one.task.cancel()
        return len(waiting)


@dataclass(eq=False)
class RunningRelease:
    """A release with its replicas."""

    release: ServedRelease
    replicas: list[Replica]

    @property
    def name(self) -> str:
        """The release's."""
        return self.release.name

    def best(self, now: float, tried: set[Replica]) -> Replica | None:
        """The usable replica with least to do; one that is not sure to be usable for want of another."""
        free = [one for one in self.replicas if one not in tried]
        good = [one for one in free if one.usable(now)] or [one for one in free if one.possible()]
        return min(good, key=lambda one: len(one.attempts), default=None)

    def overdue(self, now: float, ttft: float | None, latency: float | None) -> int:
        """Attempts that have not begun to answer and are late already."""
        limits = {True: latency if ttft is None else ttft, False: latency}
        waiting = [a for one in self.replicas for a in one.attempts if a.task and not a.task.done()]
        return sum(1 for a in waiting if (limit := limits[a.stream]) is not None and now - a.begun > limit)


@dataclass(eq=False)
class ServedModel:
    """A model as it runs: releases, shares, canary, admission."""

    offered: Offered
    releases: dict[str, RunningRelease]
    shares: ReleaseShares
    gate: AdmissionGate
    canary: Canary | None = None
    events: list[dict[str, object]] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        """Whether a release with a share has a replica that is up."""
        return any(one.up for run in self.releases.values() if self.shares.share(run.name) > 0 for one in run.replicas)

    def order(self, now: float) -> Iterator[tuple[RunningRelease, Replica]]:
        """Replicas to try, best first: each is offered once, and chosen when it is asked for.

        First by share. After a failure the canary's requests go to the others at once; the others' stay with their
        release while it has replicas.
        """
        tried: set[Replica] = set()
        able = [name for name, run in self.releases.items() if any(one.usable(now) for one in run.replicas)]
        name = self.shares.pick(able) or self.shares.pick(list(self.releases))
        while name is not None:
            run = self.releases[name]
            chosen = run.best(time.monotonic(), tried)
            if chosen is not None:
                tried.add(chosen)
                yield run, chosen
            name = self._next(name, tried)

    def _next(self, last: str, tried: set[Replica]) -> str | None:
        now = time.monotonic()
        testing = self.canary.plan.to if self.canary and self.canary.state != "launched" else None
        names = [last, *sorted(self.releases, key=self.shares.share, reverse=True)]
        names = [name for name in names if self._answers(name)]
        if testing in names:
            names = [*(name for name in names if name != testing), testing]
        left = [(name, self.releases[name].best(now, tried)) for name in names]
        good = [name for name, one in left if one is not None and one.usable(now)]
        return next(iter(good or [name for name, one in left if one is not None]), None)

    def _answers(self, name: str) -> bool:
        """Whether a release may answer: it has a share, or had one before the canary that is under way."""
        base = self.canary.base.get(name, 0.0) if self.canary else 0.0
        stays = self.canary is not None and self.canary.moving and base > 0
        return self.shares.share(name) > 0 or stays

    def note(self, run: RunningRelease, answered: Answered, now: float) -> None:
        """An attempt at a release ended; the canary is told and looked at."""
        if self.canary and self.canary.plan.to == run.name:
            self.canary.note(answered)
            self.look(now)

    def look(self, now: float) -> bool:
        """Let the canary step or return, and set the shares; whether anything changed."""
        if not self.canary:
            return False
        run, slo = self.releases[self.canary.plan.to], self.offered.slo
        overdue = run.overdue(now, slo.ttft, slo.latency) if self.canary.moving else 0
        running = sum(len(one.attempts) for one in run.replicas) - overdue
        changed = self.canary.look(now, overdue, running)
        if changed:
            self.follow()
        return changed

    def follow(self) -> None:
        """Shares as the canary has them; when it has returned, what waits at the new release is taken back."""
        if not self.canary:
            return
        self.shares.set(self.canary.weights())
        self.events.append(self.canary_state())
        del self.events[:-100]
        if self.canary.state == "returned":
            for one in self.releases[self.canary.plan.to].replicas:
                one.rescue()

    def canary_state(self) -> dict[str, object]:
        """Where the canary stands."""
        if not self.canary:
            return {"state": "none"}
        weights = {name: round(self.shares.share(name), 6) for name in self.releases}
        return {"to": self.canary.plan.to, "state": self.canary.state, "why": self.canary.why, "shares": weights}
