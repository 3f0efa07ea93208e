"""Leave-one-out check of readiness over the public record: the log score of each run's end, predicted from the others.

python scripts/readiness.py            print it
python scripts/readiness.py --write    and write it into docs/method/readiness.md
"""

from __future__ import annotations

import datetime
import math
import sys
from collections.abc import Callable
from pathlib import Path

from tonnage.catalog import load
from tonnage.fleet.readiness import AT, PUBLISHED, readiness
from tonnage.fleet.record import PublicRun, record

DOCUMENT = Path(__file__).parent.parent / "docs" / "method" / "readiness.md"
BEGIN, END = "<!-- leave-one-out: written by scripts/readiness.py -->", "<!-- end of leave-one-out -->"
AS_OF = datetime.date(2026, 11, 29)


def published(rate: float, run: PublicRun) -> float:
    """Probability that a run which became public did so as completed, if runs complete at a rate."""
    if run.ahead:
        return rate
    return sum(w * rate / (rate + f * (1 - rate)) for f, w in PUBLISHED)


def pooled(run: PublicRun, others: list[PublicRun]) -> float:
    """By the rates of the others, partially pooled."""
    found = readiness(run.kind, run.params or 1.0, bool(run.sparse), others)
    return sum(published(rate, run) for rate in found.quantiles) / len(AT)


def plain(run: PublicRun, others: list[PublicRun]) -> float:
    """The share of all others that completed."""
    return (sum(o.share for o in others if o.completed) + 0.5) / (sum(o.share for o in others) + 1)


def by_notice(run: PublicRun, others: list[PublicRun]) -> float:
    """The share of those others that completed which were announced beforehand, or not, as this one."""
    return plain(run, [o for o in others if o.ahead == run.ahead])


def score(
    runs: list[PublicRun], predict: Callable[[PublicRun, list[PublicRun]], float]
) -> list[tuple[PublicRun, float]]:
    """Probability that each run was given to have completed, from the others."""
    return [(run, predict(run, [o for o in runs if o is not run])) for run in runs]


def mean_log(found: list[tuple[PublicRun, float]]) -> float:
    """Mean logarithm of the probability given to what happened, each run as far as it counts: higher is better."""
    whole = sum(run.share for run, _ in found)
    return sum(run.share * math.log(p if run.completed else 1 - p) for run, p in found) / whole


def table() -> str:
    """The scores of three predictions, on all runs and on those announced beforehand."""
    runs = [run for run in record(load(), AS_OF) if run.end != "running" and run.kind.vendor]
    rows = [
        "| predicted by | all runs | announced beforehand | became known by its result |",
        "| --- | --- | --- | --- |",
    ]
    counts = [len(runs), sum(r.ahead for r in runs), sum(not r.ahead for r in runs)]
    bad = [
        sum(not r.completed for r in runs if keep(r))
        for keep in (lambda r: True, lambda r: r.ahead, lambda r: not r.ahead)
    ]
    rows.append(
        "| runs (of them not completed) | " + " | ".join(f"{n} ({b})" for n, b in zip(counts, bad, strict=True)) + " |"
    )
    for name, predict in (
        ("partial pooling", pooled),
        ("share of all others", plain),
        ("share of others, by notice", by_notice),
    ):
        found = score(runs, predict)
        parts = [found, [x for x in found if x[0].ahead], [x for x in found if not x[0].ahead]]
        rows.append(f"| {name} | " + " | ".join(f"{mean_log(part):.3f}" for part in parts) + " |")
    return "\n".join([*rows, "", *calibration(score(runs, pooled))])


def calibration(found: list[tuple[PublicRun, float]]) -> list[str]:
    """Given against seen, in thirds of the runs by the probability given."""
    ordered = sorted(found, key=lambda item: item[1])
    third = math.ceil(len(ordered) / 3)
    rows = ["| third of the runs by what was given | given, mean | completed |", "| --- | --- | --- |"]
    for name, start in (("lowest", 0), ("middle", third), ("highest", 2 * third)):
        part = ordered[start : start + third]
        whole = sum(run.share for run, _ in part)
        given = sum(run.share * p for run, p in part) / whole
        seen = sum(run.share for run, _ in part if run.completed) / whole
        rows.append(f"| {name} | {100 * given:.0f} % | {100 * seen:.0f} % |")
    return rows


def main(arguments: list[str]) -> None:
    """Print the table; with --write, put it into the page too."""
    made = table()
    print(made)
    if "--write" in arguments:
        text = DOCUMENT.read_text(encoding="utf-8")
        head, rest = text.split(BEGIN)
        DOCUMENT.write_text(f"{head}{BEGIN}\n\n{made}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
