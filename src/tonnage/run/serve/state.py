"""The front as it runs: its services, use of tenants, what is held, what is counted."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from tonnage import files
from tonnage.errors import InputError
from tonnage.run.serve import refusals
from tonnage.run.serve.admission import AdmissionGate
from tonnage.run.serve.canary import Canary
from tonnage.run.serve.config import Front, Offered, Tenant
from tonnage.run.serve.forward import Forwarder
from tonnage.run.serve.limits import Limits
from tonnage.run.serve.measured import AnswerTimes
from tonnage.run.serve.metrics import Labels, Metrics
from tonnage.run.serve.reading import digest_key
from tonnage.run.serve.replicas import Replica, RunningRelease, ServedModel
from tonnage.run.serve.shares import ReleaseShares
from tonnage.run.serve.wire import EngineTransport

ANYONE = Tenant("local")
"""Who asks where there are no tenants: someone on this machine."""


@dataclass(eq=False)
class FrontState:
    """All that changes while a front runs."""

    front: Front
    services: dict[str, ServedModel]
    metrics: Metrics
    forwarder: Forwarder
    limits: Limits = field(default_factory=Limits)
    answered: AnswerTimes = field(default_factory=AnswerTimes)
    held: int = 0
    closing: bool = False
    changed: Callable[[str], None] = lambda text: None

    def tenant(self, authorization: str) -> Tenant:
        """Who asks. Raises ApiError (401)."""
        if not self.front.tenants:
            return ANYONE
        scheme, _, key = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise refusals.no_key()
        digest = digest_key(key.strip())
        for one in self.front.tenants:
            if any(hmac.compare_digest(digest, known) for known in one.keys):
                return one
        raise refusals.wrong_key()

    def is_admin(self, authorization: str) -> bool:
        """Whether the administrator asks."""
        scheme, _, key = authorization.strip().partition(" ")
        digest = digest_key(key.strip())
        return scheme.lower() == "bearer" and any(hmac.compare_digest(digest, known) for known in self.front.admin)

    def service(self, model: str, tenant: Tenant) -> ServedModel:
        """The model that is asked for. Raises ApiError (403, 404)."""
        if model not in self.services:
            raise refusals.no_model(model)
        if tenant.models and model not in tenant.models:
            raise refusals.not_allowed(model, tenant.name)
        return self.services[model]

    def visible(self, tenant: Tenant) -> list[str]:
        """Models that a tenant may use."""
        return [name for name in self.services if not tenant.models or name in tenant.models]

    @property
    def ready(self) -> bool:
        """Whether every model can be answered."""
        return not self.closing and all(one.ready for one in self.services.values())

    def replicas(self) -> list[tuple[ServedModel, RunningRelease, Replica]]:
        """Every replica, with where it belongs."""
        services = self.services.values()
        return [(one, run, replica) for one in services for run in one.releases.values() for replica in run.replicas]

    def gauges(self) -> dict[str, dict[Labels, float]]:
        """What stands now, for the metrics."""
        found: dict[str, dict[Labels, float]] = {"tonnage_body_bytes": {(): self.held}}
        for name, one in self.services.items():
            model = (("model", name),)
            found.setdefault("tonnage_running", {})[model] = one.gate.running
            found.setdefault("tonnage_waiting", {})[model] = one.gate.length
            for release in one.releases:
                found.setdefault("tonnage_share", {})[(*model, ("release", release))] = one.shares.share(release)
        for service, run, replica in self.replicas():
            labels = (("model", service.offered.name), ("release", run.name), ("replica", replica.name))
            found.setdefault("tonnage_replica_up", {})[labels] = replica.usable(time.monotonic())
            found.setdefault("tonnage_replica_running", {})[labels] = len(replica.attempts)
        return found

    def status(self) -> dict[str, object]:
        """The same for people and programs that steer the front."""
        return {
            "ready": self.ready,
            "models": {
                name: {
                    "canary": one.canary_state(),
                    "events": one.events[-20:],
                    "running": one.gate.running,
                    "waiting": one.gate.length,
                    "releases": {
                        run.name: {
                            "share": one.shares.share(run.name),
                            "answers": self.answered.of(name, run.name).answered,
                            "times": self.answered.of(name, run.name).percentiles(),
                            "replicas": {replica.name: replica_state(replica) for replica in run.replicas},
                        }
                        for run in one.releases.values()
                    },
                }
                for name, one in self.services.items()
            },
            "tenants": {
                name: {"used_today": use.used, "promised": use.promised} for name, use in self.limits.uses.items()
            },
        }

    def save(self) -> None:
        """Keep what tenants used today, where the front's file says so."""
        if self.front.state:
            used = {name: [use.day, use.used] for name, use in self.limits.uses.items()}
            files.write(self.front.state, json.dumps({"used": used}))

    def load(self) -> None:
        """What tenants had used before a restart. Raises InputError for a file that is not ours."""
        path = self.front.state
        if path is None or not path.exists():
            return
        body = files.read_json(path).value
        used = body.get("used") if isinstance(body, dict) else None
        if not isinstance(used, dict):
            raise InputError(f"{path}: is no record of what tenants used")
        for tenant in self.front.tenants:
            row = used.get(tenant.name)
            if isinstance(row, list) and len(row) == 2 and all(isinstance(n, int) for n in row):
                use = self.limits.of(tenant, time.monotonic())
                use.day, use.used = row


def replica_state(replica: Replica) -> dict[str, object]:
    """How a replica stands."""
    return {
        "up": replica.up,
        "usable": replica.usable(time.monotonic()),
        "draining": replica.draining,
        "running": len(replica.attempts),
        "engine": replica.engine,
    }


async def drain(replica: Replica, within: float) -> bool:
    """Send nothing more to a replica and wait for what runs there; whether all of it ended in time."""
    replica.draining = True
    end = time.monotonic() + within
    while replica.attempts and time.monotonic() < end:
        await asyncio.sleep(0.05)
    return not replica.attempts


def connect(replica: Replica, address: str, most: int) -> None:
    """Give a replica its address and a client that waits as long as it is told, with no proxy between."""
    key = replica.source.key
    replica.address = address
    replica.client = httpx.AsyncClient(
        base_url=address,
        headers={"authorization": f"Bearer {key}"} if key else {},
        transport=EngineTransport(most, KEPT, CONNECT),
        timeout=None,
        trust_env=False,
        follow_redirects=False,
    )


KEPT = 3.0
"""How long an idle connection to an engine is kept [s]: below the 5 s after which uvicorn, and so vLLM, closes it."""
CONNECT = 2.0
"""Most time to connect to an engine [s]: on one machine or in one hall it is there or it is not."""


def made(front: Front, changed: Callable[[str], None]) -> FrontState:
    """A front before anything runs. What has an address is connected; engines are started by others."""
    metrics = Metrics()
    services = {one.name: _service(one) for one in front.models}
    return FrontState(front, services, metrics, Forwarder(metrics, front.bounds.answer), changed=changed)


def _service(one: Offered) -> ServedModel:
    releases = {}
    for release in one.releases:
        names = [f"{release.name}-{index}" for index in range(len(release.replicas))]
        replicas = [Replica(name, source) for name, source in zip(names, release.replicas, strict=True)]
        for replica in replicas:
            if replica.source.kind == "address":
                connect(replica, replica.source.target, one.at_once)
        releases[release.name] = RunningRelease(release, replicas)
    base = {release.name: release.weight for release in one.releases}
    canary = Canary(one.canary, one.slo, base) if one.canary else None
    return ServedModel(one, releases, ReleaseShares(base), AdmissionGate(one.at_once, one.queue, one.wait), canary)
