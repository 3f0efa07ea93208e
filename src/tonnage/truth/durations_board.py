"""The board of durations: whole runs against steps with slip, against steps alone, and against the null model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tonnage.truth import null
from tonnage.truth.cases import defects, load_cases, read_cases
from tonnage.truth.durations import (
    Planned,
    anchored,
    prepare,
    steps_alone,
    steps_and_failures,
    took,
    whole_run,
    without_source,
)
from tonnage.truth.score import Floats, Prediction, Summary, quantile, summarise
from tonnage.truth.shapes import Library

if TYPE_CHECKING:
    from tonnage.catalog import Catalog

TAGS = ("group", "chip", "kind", "year")


@dataclass(frozen=True)
class Durations:
    """Whole runs: ours with slip, the same with the run's source in no fit, the steps with goodput and no slip, the
    null model in sample and left out; floors: rows that hold steps alone, against our steps; skipped: the rest, by
    reason.
    """

    made: tuple[Planned, ...] = ()
    rows: tuple[Prediction, ...] = ()
    left_out: tuple[Prediction, ...] = ()
    steps: tuple[Prediction, ...] = ()
    null: tuple[Prediction, ...] = ()
    null_left_out: tuple[Prediction, ...] = ()
    floors: tuple[Prediction, ...] = ()
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def defects(self) -> int:
        """Rows without a prediction because of a defect of ours."""
        return defects(self.skipped)

    def to_json(self) -> dict[str, Any]:
        """Keys of the other boards, and `median_ratio` (predicted over published) wherever errors are summed up."""
        body = summary(self.rows) | {"n_skipped": sum(self.skipped.values()), "n_defects": self.defects}
        body["skipped"] = dict(self.skipped.most_common())
        body["left_out"], body["steps"], body["floors"] = map(summary, (self.left_out, self.steps, self.floors))
        body["null"] = summary(self.null) | {"left_out": summary(self.null_left_out)}
        body["by"] = {tag: {name: summary(part) for name, part in parted(self.rows, tag).items()} for tag in TAGS}
        others = {name: _values(getattr(self, name)) for name in ("left_out", "steps", "null")}
        body["rows"] = [
            row.to_json() | {"floor": False, **_extra(one), **{name: held.get(row.id) for name, held in others.items()}}
            for one, row in zip(self.made, self.rows, strict=True)
        ]
        body["rows"] += [row.to_json() | {"floor": True} for row in self.floors]
        return body


def _values(rows: Iterable[Prediction]) -> dict[str, float]:
    return {row.id: row.predicted for row in rows}


def _extra(one: Planned) -> dict[str, Any]:
    """What a row of a whole run says beside its hours."""
    found = took(one)
    said = {**found.slip.flat("slip"), "nearest_run": None if found.nearest is None else vars(found.nearest)}
    return said | {"accelerators": one.run.system.count, "assumed": list(one.run.assumed)}


def accuracy(catalog: Catalog, files: Sequence[Path] = ()) -> Durations:
    """The board over the bundled durations, or over files of the same form.

    The null model is always fitted on the bundled ones. Raises InputError for a file that holds no rows at all.
    """
    library = Library(catalog)
    skipped: Counter[str] = Counter()
    cases = [] if files else list(load_cases("durations"))
    for path in files:
        held = read_cases(path)
        cases += held.cases
        skipped += held.skipped
    every = prepare(cases, library, skipped)
    made = [one for one in every if not one.run.floor]
    known = made if not files else [one for one in _bundled(library) if not one.run.floor] if made else []
    same, others = [anchored(one) for one in made], [anchored(one) for one in known]
    return Durations(
        made=tuple(made),
        rows=tuple(whole_run(one) for one in made),
        left_out=tuple(without_source(made)),
        steps=tuple(steps_and_failures(one) for one in made),
        null=tuple(null.in_sample(same, others)),
        null_left_out=tuple(null.left_out(same, others)),
        floors=tuple(steps_alone(one) for one in every if one.run.floor),
        skipped=+skipped,
    )


def _bundled(library: Library) -> list[Planned]:
    return prepare(load_cases("durations"), library, Counter())


def votes(rows: Sequence[Prediction]) -> Floats:
    """Weight of each row: sources alike, and the runs of a source alike. Sources are small here, so none are pooled."""
    sizes = Counter(row.group for row in rows)
    return np.array([1 / sizes[row.group] / len(sizes) for row in rows])


def summarised(rows: Sequence[Prediction]) -> Summary:
    """Errors, one vote per source."""
    return summarise(rows, votes(rows))


def summary(rows: Sequence[Prediction]) -> dict[str, Any]:
    """Errors, one vote per source; median_ratio: of predicted over published, each run alike; inside: runs that lie in
    their interval.
    """
    body = summarised(rows).to_json() | {"groups": len({row.group for row in rows})}
    body["median_ratio"] = median_ratio(rows)
    body["inside"] = sum(bool(row.covered) for row in rows)
    return body


def median_ratio(rows: Sequence[Prediction]) -> float | None:
    """Median of predicted over published, each run alike."""
    ratios = np.array([row.predicted / row.published for row in rows])
    return quantile(ratios, np.ones(len(ratios)), 0.5) if rows else None


def parted(rows: Iterable[Prediction], tag: str) -> dict[str, list[Prediction]]:
    """Rows by group or tag, most first."""
    parts: dict[str, list[Prediction]] = {}
    for row in rows:
        parts.setdefault(row.group if tag == "group" else row.tags.get(tag, "not given"), []).append(row)
    return dict(sorted(parts.items(), key=lambda item: (-len(item[1]), item[0])))
