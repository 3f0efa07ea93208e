"""What a front says of itself: what it is about to start, and each event, as a line or as JSON."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tonnage.printable import json_safe, one_line, printable
from tonnage.run.serve.config import Front, ReplicaSource, ServedRelease


@dataclass(frozen=True)
class Teller:
    """Says a line, to people or to a program."""

    say: Callable[[str], None]
    as_json: bool = False

    def __call__(self, text: str) -> None:
        """One event."""
        if self.as_json:
            at = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
            text = json_safe(json.dumps({"at": at, "event": text}, ensure_ascii=False))
        self.say(printable(text))


def told(front: Front, environment: Mapping[str, str]) -> list[str]:
    """What would be started, line by line; no keys."""
    lines = [f"listens on {front.host}:{front.port}, {_who(front)}"]
    for one in front.models:
        total = sum(release.weight for release in one.releases)
        for release in one.releases:
            share = f"{100 * release.weight / total:.3g} %"
            lines += [
                f"{one.name}: {release.name} {share}: {_engine(release, s, environment)}" for s in release.replicas
            ]
        if one.canary:
            steps = ", ".join(f"{100 * step:g} %" for step in one.canary.steps)
            when = "at once" if one.canary.at_once else "when asked"
            lines.append(f"{one.name}: canary to {one.canary.to} by {steps}, {when}")
    return [one_line(line, LONGEST) for line in lines]


LONGEST = 2000
"""Characters of a line of what would be started."""


def _who(front: Front) -> str:
    if not front.tenants:
        return "without keys, for this machine only"
    return f"with keys of {len(front.tenants)} tenants"


def _engine(release: ServedRelease, source: ReplicaSource, environment: Mapping[str, str]) -> str:
    from tonnage.run.serve.starts import start_of

    if source.kind == "address":
        return source.target
    start = start_of(release, source, 0, environment)
    return (
        f"{start.engine}: {' '.join(start.words).replace('--port 0', '--port FREE')}"
        if start
        else f"{source.kind} is not found on this machine"
    )
