"""The back-test: launches predicted from the facts of a day, held against what came, beside the announced day.

The scores stand in `data/launches.json`, for each takes a run of its programme: `make backtest` writes them.
"""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from tonnage.fleet.backtest import binomial_interval
from tonnage.values import Plain

Date = datetime.date

MEANT = 0.8
"""Share of launches that should come between P10 and P90."""


@dataclass(frozen=True)
class DatePercentiles:
    """P10, P50 and P90 of a date; None where it is never."""

    p10: Date | None
    p50: Date | None
    p90: Date | None

    def to_json(self) -> dict[str, Plain]:
        """As ISO dates."""
        return {name: _iso(at) for name, at in (("p10", self.p10), ("p50", self.p50), ("p90", self.p90))}


@dataclass(frozen=True)
class LaunchForecast:
    """One programme as of its day, and what came.

    story: what was to be launched; file, digest: the programme, and its SHA-256; came: its day, None where it had not
    come by `known_to`; never: share of the draws without a launch; score, rival_score: CRPS [days]; reason:
    why it could not be planned, empty where it could. What could not be planned is not scored.
    """

    story: str
    file: str
    digest: str
    cut_off: Date
    event: str
    came: Date | None
    known_to: Date
    forecast: DatePercentiles
    rival: DatePercentiles
    never: float
    inside: bool
    score: float
    rival_score: float
    reason: str = ""

    def to_json(self) -> dict[str, Plain]:
        """As the file and the answer have it."""
        return {
            "story": self.story,
            "file": self.file,
            "digest": self.digest,
            "cut_off": _iso(self.cut_off),
            "event": self.event,
            "came": _iso(self.came),
            "known_to": _iso(self.known_to),
            "forecast": self.forecast.to_json(),
            "rival": self.rival.to_json(),
            "never": self.never,
            "inside": self.inside,
            "crps": self.score,
            "rival_crps": self.rival_score,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class LaunchBoard:
    """All programmes. made: the day of the run; draws: of each; version, catalog: by which they were planned."""

    made: Date
    draws: int
    version: str
    catalog: str
    rows: tuple[LaunchForecast, ...]

    @property
    def stories(self) -> Mapping[str, tuple[LaunchForecast, ...]]:
        """Programmes that are scored, by story; each story counts once."""
        scored = [row for row in self.rows if not row.reason]
        return {
            name: tuple(row for row in scored if row.story == name) for name in dict.fromkeys(r.story for r in scored)
        }

    @property
    def score(self) -> float:
        """Mean CRPS, each story once [days]."""
        return _mean([_mean([row.score for row in rows]) for rows in self.stories.values()])

    @property
    def rival_score(self) -> float:
        """The same of the announced day with the slips of others."""
        return _mean([_mean([row.rival_score for row in rows]) for rows in self.stories.values()])

    @property
    def hits(self) -> float:
        """Stories inside 80 %, one with several programmes by their share."""
        return sum(_mean([float(row.inside) for row in rows]) for rows in self.stories.values())

    @property
    def better(self) -> int:
        """Stories in which the mean score is better than the rival's."""
        return sum(
            _mean([row.score for row in rows]) < _mean([row.rival_score for row in rows])
            for rows in self.stories.values()
        )

    @property
    def planned(self) -> int:
        """Programmes that are scored."""
        return sum(map(len, self.stories.values()))

    @property
    def interval(self) -> tuple[float, float]:
        """90 % interval of the share of launches that come inside."""
        return binomial_interval(round(self.hits), len(self.stories))

    def to_json(self) -> dict[str, Plain]:
        """The figures and every programme."""
        count = len(self.stories)
        low, high = self.interval
        return {
            "n": self.planned,
            "n_skipped": len(self.rows) - self.planned,
            "stories": count,
            "crps": self.score,
            "coverage_80": self.hits / count,
            "coverage_80_low": low,
            "coverage_80_high": high,
            "better": self.better,
            "null": {"crps": self.rival_score},
            "made": _iso(self.made),
            "draws": self.draws,
            "made_by": {"version": self.version, "catalog": self.catalog},
            "rows": [row.to_json() for row in self.rows],
        }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _iso(day: Date | None) -> str | None:
    return None if day is None else day.isoformat()


# the file


@functools.cache
def launches() -> LaunchBoard:
    """The back-test as it was last run."""
    text = resources.files("tonnage.truth").joinpath("data/launches.json").read_text("utf-8")
    held = json.loads(text)
    rows = tuple(map(_row, held["rows"]))
    made_by = held["made_by"]
    return LaunchBoard(Date.fromisoformat(held["made"]), held["draws"], made_by["version"], made_by["catalog"], rows)


def _row(held: dict[str, object]) -> LaunchForecast:
    fixed = {name: held[name] for name in ("story", "file", "digest", "event", "never", "inside", "reason")}
    days = {name: _day(held[name]) for name in ("cut_off", "came", "known_to")}
    spans = {name: _spread(held[name]) for name in ("forecast", "rival")}
    return LaunchForecast(**fixed, **days, **spans, score=held["crps"], rival_score=held["rival_crps"])  # type: ignore[arg-type]


def _spread(held: object) -> DatePercentiles:
    assert isinstance(held, Mapping)
    return DatePercentiles(*(_day(held[name]) for name in ("p10", "p50", "p90")))


def _day(held: object) -> Date | None:
    return None if held is None else Date.fromisoformat(str(held))
