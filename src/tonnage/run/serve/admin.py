"""What the administrator steers a running front with; without a key of his own there is nothing to steer with."""

from __future__ import annotations

import json
import math
import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tonnage.run.serve import refusals
from tonnage.run.serve.refusals import ApiError
from tonnage.run.serve.replicas import Replica, ServedModel
from tonnage.run.serve.state import FrontState, drain

LONGEST_BODY = 10_000
"""Bytes of an order."""


def routes(state: FrontState) -> list[Route]:
    """Paths under /admin; none where no key of the administrator is given."""
    if not state.front.admin:
        return []
    desk = Desk(state)
    return [
        Route("/admin/status", desk.status),
        Route("/admin/shares", desk.shares, methods=["POST"]),
        Route("/admin/canary", desk.canary, methods=["POST"]),
        Route("/admin/drain", desk.drain, methods=["POST"]),
    ]


class Desk:
    """Orders, each checked before anything changes."""

    def __init__(self, state: FrontState) -> None:
        self.state = state

    async def status(self, request: Request) -> Response:
        """How everything stands."""
        self.check(request)
        return JSONResponse(self.state.status())

    async def shares(self, request: Request) -> Response:
        """`{"model": ..., "weights": {release: weight}}`: releases that are left out get none. A canary ends."""
        body, service = await self.order(request)
        weights = body.get("weights")
        if not isinstance(weights, dict) or not weights or not set(weights) <= set(service.releases):
            raise refusals.invalid("weights", f"weights of {', '.join(service.releases)}")
        if not all(_weight(one) for one in weights.values()) or sum(weights.values()) <= 0:
            raise refusals.invalid("weights", "numbers from 0 to 1e6, of which one is above 0")
        if service.canary and service.canary.moving:
            service.canary.stop("the administrator set the shares")
            service.follow()
        service.shares.set({name: float(weights.get(name, 0)) for name in service.releases})
        return self.told(service, "shares set")

    async def canary(self, request: Request) -> Response:
        """`{"model": ..., "action": "start" or "stop"}`."""
        body, service = await self.order(request)
        canary, action = service.canary, body.get("action")
        if canary is None:
            raise refusals.invalid("model", "a model with a canary plan")
        if action == "start":
            if not any(one.usable(time.monotonic()) for one in service.releases[canary.plan.to].replicas):
                raise ApiError(409, "The new release has no replica that is up.", code="not_ready")
            canary.start(time.monotonic())
        elif action == "stop":
            canary.stop("the administrator stopped it")
        else:
            raise refusals.invalid("action", "start or stop")
        service.follow()
        return self.told(service, f"canary: {action}")

    async def drain(self, request: Request) -> Response:
        """`{"model": ..., "replica": ..., "undo": false}`: answered when nothing runs there any more, or time is up."""
        body, service = await self.order(request)
        replica = self.replica(service, body.get("replica"))
        if body.get("undo") is True:
            replica.draining = False
            return JSONResponse({"drained": False})
        done = await drain(replica, service.offered.patience.drain)
        self.state.changed(f"{service.offered.name}: {replica.name} {'drained' if done else 'is still answering'}")
        return JSONResponse({"drained": done, "running": len(replica.attempts)})

    def check(self, request: Request) -> None:
        """Raises ApiError unless the administrator asks."""
        given = request.headers.get("authorization", "")
        if not given:
            raise refusals.no_key()
        if not self.state.is_admin(given):
            raise refusals.wrong_key()

    async def order(self, request: Request) -> tuple[dict[str, object], ServedModel]:
        """The order and the model that it is about. Raises ApiError."""
        self.check(request)
        content = b""
        async for part in request.stream():
            content += part
            if len(content) > LONGEST_BODY:
                raise refusals.too_large(LONGEST_BODY)
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            raise refusals.not_json() from None
        if not isinstance(body, dict):
            raise refusals.not_json()
        model = body.get("model")
        if not isinstance(model, str) or model not in self.state.services:
            raise refusals.no_model(str(model))
        return body, self.state.services[model]

    def replica(self, service: ServedModel, name: object) -> Replica:
        """A replica by name. Raises ApiError."""
        found = {one.name: one for run in service.releases.values() for one in run.replicas}
        if not isinstance(name, str) or name not in found:
            raise refusals.invalid("replica", f"one of {', '.join(found)}")
        return found[name]

    def told(self, service: ServedModel, what: str) -> Response:
        """The service's shares after an order."""
        self.state.changed(f"{service.offered.name}: {what}")
        return JSONResponse(service.canary_state() | {"shares": {n: service.shares.share(n) for n in service.releases}})


def _weight(value: object) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(float(value)) and 0 <= float(value) <= 1e6  # type: ignore[arg-type]
