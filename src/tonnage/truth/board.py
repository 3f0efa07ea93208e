"""The accuracy board: which cases were predicted, which were not and why, and how far off, beside the null model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tonnage.truth import null
from tonnage.truth.cases import Skip
from tonnage.truth.null import Anchored
from tonnage.truth.score import Prediction, Summary, beaten, breakdown, summarise
from tonnage.truth.table import Row

T = TypeVar("T")

TAGS = ("chip", "family", "engine", "mode", "kind", "precision", "task", "speculation")


@dataclass(frozen=True)
class Board:
    """Predictions of a set of cases.

    command: `train` or `serve`; rows: ours; left_out: ours with nothing of a case's source in any fit, empty where
    there is no such fit; null, null_left_out: the null model, with constants of all visible cases and without the
    case's source; skipped: cases (or figures) without a prediction, by reason.
    """

    command: str
    rows: tuple[Prediction, ...]
    left_out: tuple[Prediction, ...]
    null: tuple[Prediction, ...]
    null_left_out: tuple[Prediction, ...]
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that occur, most figures first."""
        return tuple(name for name, _ in Counter(row.metric for row in self.rows).most_common())

    def only(self, keep: Callable[[Prediction], bool]) -> Board:
        """The board of the figures for which `keep` holds."""
        parts = (self.rows, self.left_out, self.null, self.null_left_out)
        kept = [tuple(row for row in rows if keep(row)) for rows in parts]
        return Board(self.command, kept[0], kept[1], kept[2], kept[3], self.skipped)

    def of(self, metric: str) -> Board:
        """The board of one metric."""
        return self.only(lambda row: row.metric == metric)

    def to_json(self) -> dict[str, Any]:
        """Keys of interface.md; `metrics` has the same for each metric, `by` for each chip, family, engine, ..."""
        body = self._summary() | {"n_skipped": sum(self.skipped.values())}
        body["skipped"] = dict(self.skipped.most_common())
        if len(self.metrics) > 1:
            body["metrics"] = {name: self.of(name)._summary() for name in self.metrics}
        body["by"] = {metric: {tag: self.of(metric)._by(tag) for tag in ("group", *TAGS)} for metric in self.metrics}
        nulls = {(row.id, row.metric): row.predicted for row in self.null}
        body["rows"] = [row.to_json() | {"null": nulls.get((row.id, row.metric))} for row in self.rows]
        return body

    def _summary(self) -> dict[str, Any]:
        body = summarise(self.rows).to_json()
        body["null"] = summarise(self.null).to_json() | {"left_out": summarise(self.null_left_out).to_json()}
        if self.left_out:
            body["left_out"] = summarise(self.left_out).to_json()
        better, votes = beaten(self.rows, self.null)
        body["beats_null"] = {"groups": better, "of": votes}
        return body

    def _by(self, tag: str) -> dict[str, Any]:
        found = breakdown(self.rows, tag)
        return {} if list(found) == ["not given"] else {name: part.to_json() for name, part in found.items()}


def choose(
    cases: Iterable[Row], why_not: Callable[[Row], str | None], everything: bool
) -> tuple[list[Row], Counter[str]]:
    """Cases that are scored (or all of them), and how many are not, by reason."""
    chosen: list[Row] = []
    skipped: Counter[str] = Counter()
    for case in cases:
        reason = None if everything else why_not(case)
        if reason is None:
            chosen.append(case)
        else:
            skipped[f"not scored: {reason}"] += 1
    return chosen, skipped


def expressed(cases: Iterable[Any], make: Callable[[Any], T], skipped: Counter[str]) -> list[T]:
    """What `make` gives of each case; cases for which it raises Skip are counted by reason."""
    made: list[T] = []
    for case in cases:
        try:
            made.append(make(case))
        except Skip as reason:
            skipped[str(reason)] += 1
    return made


def assemble(
    command: str,
    rows: Sequence[Prediction],
    left_out: Sequence[Prediction],
    anchored: Sequence[Anchored],
    known: Sequence[Anchored],
    skipped: Counter[str],
) -> Board:
    """A board of our predictions and the null model's on the same figures."""
    ours = {(row.id, row.metric) for row in rows}
    same = [case for case in anchored if (case.figure.id, case.figure.metric) in ours]
    return Board(
        command=command,
        rows=tuple(rows),
        left_out=tuple(left_out),
        null=tuple(null.in_sample(same, known)),
        null_left_out=tuple(null.left_out(same, known)),
        skipped=skipped,
    )


def shown(summary: Summary) -> str:
    """`median / 90th percentile` in per cent, as in the tables."""
    if summary.median_abs_error is None or summary.p90_abs_error is None:
        return "no case"
    return f"{100 * summary.median_abs_error:.1f} / {100 * summary.p90_abs_error:.0f} %"
