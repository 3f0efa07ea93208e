"""What is simulated: an engine's limits and step times, replicas and how requests find them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tonnage.errors import InputError, Problem

Whole = NDArray[np.int64]

PICO = 1e12
"""Picoseconds of a second."""

Order = Literal["fcfs", "priority", "shortest", "slo"]
"""Who of a queue goes first: who came first; the lowest priority number; the shortest prompt; who has the least time
left until its first token is due."""

Routing = Literal["round-robin", "least-loaded", "prefix-aware"]
"""Where a request goes: to replicas in turn; to that with the fewest in flight; to that with the fewest tokens to
compute, what its cache has of the prompt not counted."""

ORDERS: tuple[Order, ...] = ("fcfs", "priority", "shortest", "slo")
ROUTINGS: tuple[Routing, ...] = ("round-robin", "least-loaded", "prefix-aware")


@dataclass(frozen=True)
class StepTables:
    """How long an engine step takes [ps], in integers.

    base: a decode step by sequences (0 to as many as run), at no context; slope: for each token of context of all of
    them; mix: a step of so many new tokens without attention; pairs: for each token of a prompt and token that it
    looks at [ps/1,024]; host, sequence: time of the CPU in each step, and of a sequence in it (in `base`, and in `mix`
    for one step); crowd: prefill in service over prefill alone; stages: of a pipeline, whose work on prompts overlaps.
    """

    base: Whole
    slope: Whole
    mix: Whole
    pairs: int
    host: int = 0
    sequence: int = 0
    crowd: float = 1.0
    stages: int = 1

    def with_host(self, seconds: float) -> StepTables:
        """The same with another time of the CPU in each step."""
        more = round(seconds * PICO) - self.host
        base = np.concatenate([self.base[:1], np.maximum(self.base[1:] + more, 1)])
        return replace(self, base=base, mix=np.maximum(self.mix + more, 1), host=self.host + more)


@dataclass(frozen=True)
class CacheTier:
    """Where pieces of prompts go that a cache has no room for. tokens: that a replica has room for there; token: time
    to bring one of them back [s].
    """

    tokens: int = 0
    token: float = 0.0


@dataclass(frozen=True)
class EngineLimits:
    """What an engine allows.

    sequences: at once on a replica; tokens: new ones of a step; prompt: of them of one request, None for all; blocks:
    of a replica's cache, block: tokens of one; mixed: prompts ride in decode steps; chunked: prompts are cut; drafts:
    tokens drafted a step; accepted: tokens gained a step; prefix: prompts whose beginning is in the cache need not be
    computed; host, disk: what is behind the cache.
    """

    sequences: int
    tokens: int
    blocks: int
    block: int = 16
    prompt: int | None = None
    mixed: bool = True
    chunked: bool = True
    drafts: int = 0
    accepted: float = 1.0
    prefix: bool = True
    host: CacheTier = CacheTier()
    disk: CacheTier = CacheTier()


@dataclass(frozen=True)
class Outage:
    """A replica that fails, and when it is back [s]."""

    replica: int
    start: float
    end: float = float("inf")


@dataclass(frozen=True)
class Autoscale:
    """Replicas by load: every so often [s], as many as keep `target` requests in flight each, at least `fewest`; a new
    one takes requests after `loading` [s].
    """

    target: int
    loading: float
    every: float = 15.0
    fewest: int = 1


@dataclass(frozen=True)
class ReplicaSet:
    """Replicas, and how requests find them.

    replicas: that serve, or decode where there are `prefill` ones beside; move, move_token: time that a cache takes
    between them, and more per token [s]; front: time of the one process that takes all requests in, for each, one after
    the other; admission: of each, side by side [s]; due: until the first token, of the order `slo` [s]; switch: time to
    load another model [s]; stay: requests in flight that a router sets against it.
    """

    replicas: int = 1
    prefill: int = 0
    order: Order = "fcfs"
    routing: Routing = "round-robin"
    move: float = 0.0
    move_token: float = 0.0
    front: float = 0.0
    admission: float = 0.0
    due: float = 2.0
    outages: tuple[Outage, ...] = ()
    autoscale: Autoscale | None = None
    switch: float = 0.0
    stay: int = 8

    @property
    def every(self) -> int:
        """All replicas."""
        return self.replicas + self.prefill


@dataclass(frozen=True)
class Simulated:
    """What is simulated. times: by model, of one service or several that share the replicas; prices: USD of a replica
    and second, None where no price is known; accelerators: of a replica; others: limits of the models after the first,
    as the engine keeps them for each.
    """

    limits: EngineLimits
    times: tuple[StepTables, ...]
    deployment: ReplicaSet = field(default_factory=ReplicaSet)
    prices: float | None = None
    accelerators: float = 1.0
    others: tuple[EngineLimits, ...] = ()

    @property
    def every(self) -> tuple[EngineLimits, ...]:
        """Limits by model; those of the first where a model has none of its own."""
        return (self.limits, *self.others, *(self.limits,) * (len(self.times) - 1 - len(self.others)))


ALIKE = ("block", "mixed", "chunked", "drafts", "accepted", "prefix", "host", "disk")
"""What models that share replicas have in common."""


MOST_REPLICAS = 10_000
"""Replicas that are simulated at most, each a loop of its own: a fleet of 80,000 chips in eights."""


def check(service: Simulated) -> None:
    """Raises InputError for what makes no service."""
    limits, given = service.limits, service.deployment
    problems = [
        Problem(f"expected at least 1, got {value}", path=name)
        for name, value in (
            ("sequences", limits.sequences),
            ("tokens", limits.tokens),
            ("blocks", limits.blocks),
            ("block", limits.block),
            ("replicas", given.replicas),
        )
        if value < 1
    ]
    if given.every > MOST_REPLICAS:
        text = f"expected at most {MOST_REPLICAS:,} that are simulated, got {given.every:,}"
        problems.append(Problem(text, path="replicas"))
    if given.prefill and (given.autoscale is not None or len(service.times) > 1):
        problems.append(
            Problem("pools of their own are neither scaled by load nor shared by models here", path="prefill")
        )
    problems += [
        Problem(f"models that share replicas have it in common, got {first} and {second}", path=name)
        for other in service.others
        for name in ALIKE
        if (first := getattr(limits, name)) != (second := getattr(other, name))
    ]
    problems += [
        Problem("expected nothing less than zero", path=name)
        for name, tier in (("host", limits.host), ("disk", limits.disk))
        if tier.tokens < 0 or not tier.token >= 0
    ]
    for outage in given.outages:
        if not (0 <= outage.replica < given.every and 0 <= outage.start < outage.end):
            message = f"expected a replica from 0 to {given.every - 1} and a start before its end, got {outage}"
            problems.append(Problem(message, path="outages"))
    if problems:
        raise InputError(problems)
