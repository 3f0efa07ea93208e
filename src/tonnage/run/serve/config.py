"""What a front is told: models, their releases and replicas, shares, canary, SLO, tenants, bounds. Times in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PATIENCE = 600.0
"""Most time for an answer that is not streamed [s]: the openai client's own default timeout."""


@dataclass(frozen=True)
class ReplicaSource:
    """Where one replica comes from: an address that is there, or an engine to start.

    kind: `address`, `vllm`, `transformers` or `command`; target: the address, or the checkpoint that the engine loads;
    command: what starts the engine, as words; key: sent to the address as a bearer token; fallback: `transformers
    serve` may stand in where vLLM is not found; place: where the file says so; plan: the saved answer of `tonnage
    serve` whose launch line it is.
    """

    kind: str
    target: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    key: str | None = None
    fallback: bool = False
    start_within: float = PATIENCE
    health: str | None = None
    place: str = ""
    plan: Path | None = None


@dataclass(frozen=True)
class ServedRelease:
    """One version of a model: its share by weight, its replicas, and how its engine is spoken to.

    model: name by which the engine serves it; think: how reasoning stands in its text where the engine does not set it
    apart: `no` (it does), `tags` (between <think> and </think>), `open` (from the first token to </think>); predicted:
    what someone expects of it (ttft, tpot, latency [s]), for the ledger.
    """

    name: str
    weight: float
    replicas: tuple[ReplicaSource, ...]
    model: str
    think: str = "no"
    predicted: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Slo:
    """What a release has to keep: share of failed answers, and times of which a share may be late.

    ttft: to the first event of a stream; tpot: between events of a stream; latency: of an answer that is not streamed.
    """

    errors: float = 0.01
    late: float = 0.05
    ttft: float | None = None
    tpot: float | None = None
    latency: float | None = None


@dataclass(frozen=True)
class CanaryPlan:
    """Shares of a new release, step by step: each is held that long, and until that many answers came."""

    to: str
    steps: tuple[float, ...] = (0.05, 0.25, 0.5, 1.0)
    hold: float = 600.0
    answers: int = 50
    at_once: bool = False


@dataclass(frozen=True)
class Patience:
    """Most time of an engine: to the first event, between events, for a whole answer, to finish a drain."""

    first: float = 60.0
    between: float = 60.0
    whole: float = PATIENCE
    drain: float = 60.0


@dataclass(frozen=True)
class Watch:
    """How replicas are looked at: every so often, within how long, and after how many failures one is down."""

    every: float = 1.0
    within: float = 5.0
    failures: int = 3


@dataclass(frozen=True)
class Offered:
    """A model as clients name it: releases, SLO, canary, and how many requests it takes at once and lets wait."""

    name: str
    releases: tuple[ServedRelease, ...]
    slo: Slo = Slo()
    canary: CanaryPlan | None = None
    at_once: int = 64
    queue: int = 100
    wait: float = 30.0
    retries: int = 2
    patience: Patience = Patience()
    watch: Watch = Watch()


@dataclass(frozen=True)
class Tenant:
    """Who asks: SHA-256 of each of its keys, the models it may use (none: all), and its limits (none: no limit)."""

    name: str
    keys: tuple[bytes, ...] = ()
    models: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None


@dataclass(frozen=True)
class Bounds:
    """What one client, and all together, may cost the front.

    body, answer, bodies: bytes of one request, of one answer that is not streamed, of all requests held at once;
    head, upload, send: seconds for the head of a request, for its body, and for a client to take what it is sent.
    """

    body: int = 4_000_000
    answer: int = 32_000_000
    bodies: int = 64_000_000
    connections: int = 1000
    head: float = 10.0
    upload: float = 30.0
    send: float = 30.0
    idle: float = 30.0


@dataclass(frozen=True)
class Front:
    """A whole front, as its file says. secrets: variables of the environment that hold keys, kept from engines."""

    models: tuple[Offered, ...]
    host: str = "127.0.0.1"
    port: int = 8080
    tenants: tuple[Tenant, ...] = ()
    admin: tuple[bytes, ...] = ()
    bounds: Bounds = Bounds()
    logs: Path | None = None
    state: Path | None = None
    secrets: frozenset[str] = frozenset()
