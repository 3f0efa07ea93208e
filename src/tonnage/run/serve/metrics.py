"""Counters, gauges and histograms in Prometheus' text format 0.0.4. Labels are names of the front's file only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

TYPE = "text/plain; version=0.0.4; charset=utf-8"

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper ends of the buckets of times [s]."""

Labels = tuple[tuple[str, str], ...]


@dataclass
class Histogram:
    """Counts of times by bucket."""

    counts: list[int] = field(default_factory=lambda: [0] * len(BUCKETS))
    total: float = 0.0
    number: int = 0

    def add(self, value: float) -> None:
        """One time [s]."""
        self.total, self.number = self.total + value, self.number + 1
        for index, end in enumerate(BUCKETS):
            if value <= end:
                self.counts[index] += 1


@dataclass
class Metrics:
    """All that is counted, by name and labels."""

    counters: dict[str, dict[Labels, float]] = field(default_factory=dict)
    times: dict[str, dict[Labels, Histogram]] = field(default_factory=dict)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        row = self.counters.setdefault(name, {})
        key = tuple(sorted(labels.items()))
        row[key] = row.get(key, 0) + amount

    def time(self, name: str, seconds: float, **labels: str) -> None:
        """Add a time to a histogram."""
        self.times.setdefault(name, {}).setdefault(tuple(sorted(labels.items())), Histogram()).add(seconds)

    def value(self, name: str, **labels: str) -> float:
        """Sum of a counter over all rows that have these labels."""
        wanted = set(labels.items())
        return sum(number for key, number in self.counters.get(name, {}).items() if wanted <= set(key))

    def text(self, gauges: Mapping[str, Mapping[Labels, float]]) -> str:
        """Everything as Prometheus reads it; `gauges` are as they stand now."""
        lines: list[str] = []
        for kind, rows in (("counter", self.counters), ("gauge", gauges)):
            for name in sorted(rows):
                lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} {kind}"]
                lines += [f"{name}{_labels(key)} {_number(number)}" for key, number in sorted(rows[name].items())]
        for name, histograms in sorted(self.times.items()):
            lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} histogram"]
            lines += [line for key, one in sorted(histograms.items()) for line in _histogram(name, key, one)]
        return "\n".join(lines) + "\n"


HELP = {
    "tonnage_requests_total": "Requests by what the client was answered.",
    "tonnage_attempts_total": "Attempts at a replica, by how each ended.",
    "tonnage_tokens_total": "Tokens as the engines counted them; estimated: by the pieces of a stream.",
    "tonnage_broken_streams_total": "Streams that were cut off after their first event.",
    "tonnage_canary_returns_total": "Canaries that were given back because they broke the SLO.",
    "tonnage_ttft_seconds": "Time from a request to the first event of its stream, queue included.",
    "tonnage_latency_seconds": "Time from a request to the end of its answer, queue included.",
    "tonnage_running": "Requests being answered.",
    "tonnage_waiting": "Requests that wait.",
    "tonnage_share": "Share of a release.",
    "tonnage_replica_up": "Whether a replica takes requests.",
    "tonnage_replica_running": "Attempts at a replica now.",
    "tonnage_body_bytes": "Bytes of requests held.",
}


def _histogram(name: str, key: Labels, one: Histogram) -> Iterable[str]:
    for end, count in zip(BUCKETS, one.counts, strict=True):
        yield f"{name}_bucket{_labels((*key, ('le', f'{end:g}')))} {count}"
    yield f"{name}_bucket{_labels((*key, ('le', '+Inf')))} {one.number}"
    yield f"{name}_sum{_labels(key)} {one.total!r}"
    yield f"{name}_count{_labels(key)} {one.number}"


def _labels(key: Labels) -> str:
    if not key:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in key) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
