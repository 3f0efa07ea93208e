"""The accuracy board: which cases were predicted, which were not and why, and how far off, beside the null model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from tonnage.truth import null
from tonnage.truth.cases import Skip, attempt, defects
from tonnage.truth.null import Anchored
from tonnage.truth.score import Prediction, Summary, beaten, breakdown, summarise
from tonnage.truth.table import Row

T = TypeVar("T")

TAGS = ("chip", "family", "engine", "mode", "kind", "precision", "task", "speculation")


PARTS = ("rows", "left_out", "chip_out", "null", "null_left_out", "null_chip_out")
"""Fields of a board that hold predictions of the same figures."""


@dataclass(frozen=True)
class Board:
    """Predictions of a set of cases.

    command: `train` or `serve`; rows: ours; left_out, chip_out: ours with nothing of a case's source, or chip, in any
    fit, empty where no such fits are kept; null, null_left_out, null_chip_out: the null model, with constants of all
    visible cases, without the case's source, without its chip; kinds: ours with a whole kind of runs in no fit (all
    default stacks, all of an engine, all of a year), by what kind; anchored: what the null model scales; skipped:
    cases (or figures) without a prediction, by reason.
    """

    command: str
    rows: tuple[Prediction, ...]
    left_out: tuple[Prediction, ...] = ()
    chip_out: tuple[Prediction, ...] = ()
    null: tuple[Prediction, ...] = ()
    null_left_out: tuple[Prediction, ...] = ()
    null_chip_out: tuple[Prediction, ...] = ()
    anchored: tuple[Anchored, ...] = ()
    skipped: Counter[str] = field(default_factory=Counter)
    kinds: Mapping[str, tuple[Prediction, ...]] = field(default_factory=dict)

    @property
    def defects(self) -> int:
        """Cases without a prediction because of a defect of ours."""
        return defects(self.skipped)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that occur, most figures first."""
        return tuple(name for name, _ in Counter(row.metric for row in self.rows).most_common())

    @property
    def fair(self) -> tuple[tuple[Prediction, ...], tuple[Prediction, ...]]:
        """Ours and the null model's with the source left out; both in sample where no such fit is kept."""
        return (self.left_out, self.null_left_out) if self.left_out else (self.rows, self.null)

    @property
    def label(self) -> str:
        """What `fair` is."""
        return "source left out" if self.left_out else "in sample"

    def only(self, keep: Callable[[Prediction], bool]) -> Board:
        """The board of the figures for which `keep` holds."""
        kept: dict[str, Any] = {name: tuple(row for row in getattr(self, name) if keep(row)) for name in PARTS}
        kinds = {name: tuple(row for row in rows if keep(row)) for name, rows in self.kinds.items()}
        return replace(self, **kept, kinds=kinds, anchored=tuple(one for one in self.anchored if keep(one.figure)))

    def of(self, metric: str) -> Board:
        """The board of one metric."""
        return self.only(lambda row: row.metric == metric)

    def to_json(self) -> dict[str, Any]:
        """Keys of interface.md; `metrics` has the same for each metric, `by` for each chip, family, engine, ..."""
        body = self._summary() | {"n_skipped": sum(self.skipped.values()), "n_defects": self.defects}
        body["skipped"] = dict(self.skipped.most_common())
        each = {name: self.of(name) for name in self.metrics}
        if len(each) > 1:
            body["metrics"] = {name: board._summary() for name, board in each.items()}
        body["by"] = {name: {tag: board._by(tag) for tag in ("group", *TAGS)} for name, board in each.items()}
        nulls = {(row.id, row.metric): row.predicted for row in self.null}
        body["rows"] = [row.to_json() | {"null": nulls.get((row.id, row.metric))} for row in self.rows]
        return body

    def _summary(self) -> dict[str, Any]:
        body = summarise(self.rows).to_json()
        body["null"] = summarise(self.null).to_json() | {"left_out": summarise(self.null_left_out).to_json()}
        if self.left_out:
            body["left_out"] = summarise(self.left_out).to_json()
        if self.chip_out:
            body["chip_left_out"] = summarise(self.chip_out).to_json()
            body["null"]["chip_left_out"] = summarise(self.null_chip_out).to_json()
        better, votes = beaten(*self.fair)
        body["beats_null"] = {"groups": better, "of": votes}
        return body

    def _by(self, tag: str) -> dict[str, Any]:
        found = breakdown(self.rows, tag)
        return {} if list(found) == ["not given"] else {name: part.to_json() for name, part in found.items()}


@dataclass(frozen=True)
class Made:
    """What a planner makes of cases: predictions, the same with the case's source or chip in no fit, null anchors;
    kinds: with a whole kind of runs in none.
    """

    rows: Sequence[Prediction]
    left_out: Sequence[Prediction]
    chip_out: Sequence[Prediction]
    anchored: Sequence[Anchored]
    kinds: Mapping[str, Sequence[Prediction]] = field(default_factory=dict)


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
    """What `make` gives of each case; cases that cannot be expressed, or fail by a defect, are counted by reason."""
    made: list[T] = []
    for case in cases:
        try:
            made.append(attempt(partial(make, case)))
        except Skip as reason:
            skipped[str(reason)] += 1
    return made


def assemble(made: Made, command: str, known: Sequence[Anchored], skipped: Counter[str]) -> Board:
    """A board of our predictions and the null model's on the same figures."""
    ours = {(row.id, row.metric) for row in made.rows}
    same = [case for case in made.anchored if (case.figure.id, case.figure.metric) in ours]
    return Board(
        command=command,
        rows=tuple(made.rows),
        left_out=tuple(made.left_out),
        chip_out=tuple(made.chip_out),
        null=tuple(null.in_sample(same, known)),
        null_left_out=tuple(null.left_out(same, known)),
        null_chip_out=tuple(null.left_out(same, known, by="chip")) if made.chip_out else (),
        anchored=tuple(same),
        skipped=skipped,
        kinds={name: tuple(rows) for name, rows in made.kinds.items()},
    )


def shown(summary: Summary) -> str:
    """`median / 90th percentile` in per cent, as in the tables."""
    if summary.median_abs_error is None or summary.p90_abs_error is None:
        return "no case"
    return f"{100 * summary.median_abs_error:.1f} / {100 * summary.p90_abs_error:.0f} %"
