"""Times of answers by release, as clients had them: the last of each, and how often."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

LAST = 20_000
"""Answers of a release whose times are held."""

PERCENTILES = (50, 90, 95, 99)
"""Percentiles that are told."""

TIMES = ("ttft", "tpot", "latency")
"""To the first event of a stream; between its tokens; to the end of an answer, queue included [s]."""


@dataclass
class ReleaseTimes:
    """Times of one release."""

    answered: int = 0
    times: dict[str, deque[float]] = field(default_factory=lambda: {name: deque(maxlen=LAST) for name in TIMES})

    def percentiles(self) -> dict[str, float]:
        """`ttft_p50` and so on [s], of what was seen."""
        found: dict[str, float] = {}
        for name, held in self.times.items():
            ordered = sorted(held)
            for percent in PERCENTILES if ordered else ():
                place = min(len(ordered) - 1, len(ordered) * percent // 100)
                found[f"{name}_p{percent}"] = ordered[place]
        return found


@dataclass
class AnswerTimes:
    """All releases of all models, by (model, release)."""

    releases: dict[tuple[str, str], ReleaseTimes] = field(default_factory=dict)

    def of(self, model: str, release: str) -> ReleaseTimes:
        """Those of one release."""
        return self.releases.setdefault((model, release), ReleaseTimes())

    def add(self, model: str, release: str, name: str, seconds: float) -> None:
        """One time."""
        self.of(model, release).times[name].append(seconds)

    def shares(self, model: str) -> dict[str, float]:
        """Share of the model's answers by release."""
        counts = {release: one.answered for (of, release), one in self.releases.items() if of == model}
        total = sum(counts.values())
        return {release: count / total for release, count in counts.items()} if total else {}
