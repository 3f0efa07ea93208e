"""What a benchmark's published launch scripts set, where its rows do not repeat it (`data/recipes.csv`).

A setting that somebody wrote down is a fact about his runs, and no default of the engine: predictions of other runs do
not see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tonnage.truth.cases import DATA
from tonnage.truth.table import Row, read_table


@dataclass(frozen=True)
class BenchmarkRun:
    """Which run of a benchmark: by what its launch scripts are chosen. drafts: whether tokens are drafted; load:
    requests in flight.
    """

    group: str
    engine: str
    model: str
    chip: str
    weights: str
    mode: str
    drafts: bool
    load: float


def looks(run: BenchmarkRun) -> int | None:
    """Steps between two looks of the scheduler for new requests (SGLang's `--scheduler-recv-interval`)."""
    return _whole(told(run, "looks"))


def running(run: BenchmarkRun) -> int | None:
    """Sequences of an attention replica at once at most (SGLang's `--max-running-requests`)."""
    return _whole(told(run, "running"))


def chunk(run: BenchmarkRun) -> int | None:
    """New tokens of a step at most (SGLang's `--chunked-prefill-size`)."""
    return _whole(told(run, "chunk"))


def told(run: BenchmarkRun, setting: str) -> float | None:
    """What a run's script sets at its load: `10 16:30` is 10, and 30 from 16 requests in flight on.

    share: of the memory (`--mem-fraction-static`); prompts: requests sent in all (`--num-prompts`); drafted: tokens
    drafted a step; accepted: tokens gained a step, as the page that shows the results says.
    """
    found = _first(run, setting)
    if found is None:
        return None
    steps = [(float(start or 0), float(value)) for start, _, value in (part.rpartition(":") for part in found.split())]
    return next((value for start, value in reversed(steps) if run.load >= start), None)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def keeps_prefixes(run: BenchmarkRun) -> bool:
    """Whether prefixes are kept to be taken up again (not with SGLang's `--disable-radix-cache`)."""
    return _first(run, "prefixes") != "off"


def _first(run: BenchmarkRun, setting: str) -> str | None:
    """What the first script that is a run's and has a setting sets."""
    return next((str(row[setting]) for row in _recipes() if setting in row and _is_of(row, run)), None)


def _is_of(row: Row, run: BenchmarkRun) -> bool:
    """Whether a line of the table is a run's: what it leaves open is any."""
    asked = {"chips": run.chip, "weights": run.weights, "drafts": "on" if run.drafts else "off"}
    plain = all(row.get(key, value) == value for key, value in (("model", run.model), ("mode", run.mode)))
    inside = all(key not in row or value in row[key] for key, value in asked.items())
    return row["group"] == run.group and row["engine"] == run.engine and plain and inside


@cache
def _recipes() -> tuple[Row, ...]:
    return tuple(read_table(DATA / "recipes.csv"))
