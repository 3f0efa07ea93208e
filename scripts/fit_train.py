"""Fit the constants of the training step on published runs, and say how far they are off on what was left out.

    python scripts/fit_train.py [--write] [--rows]

Data: the scored training cases of `tonnage.truth`. Loss: soft absolute log error, one vote per source
(docs/method/training.md).
Left out by source, chip, year and framework; the residuals give the intervals. `--write` replaces
`src/tonnage/train/data/software.json`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from tonnage import catalog
from tonnage.errors import MissingFact
from tonnage.model import params
from tonnage.system import System
from tonnage.train import candidates, pieces, step
from tonnage.train.job import TrainJob
from tonnage.train.pieces import Pieces
from tonnage.train.search import capacity
from tonnage.train.software import BOUNDS, TrainSoftware
from tonnage.truth import score, training
from tonnage.truth.cases import Skip, load_cases
from tonnage.truth.scored import why_not_training
from tonnage.truth.shapes import Library

OUT = Path(__file__).resolve().parents[1] / "src/tonnage/train/data/software.json"
SOFT = 0.03
"""Log errors below this count quadratically: repeats of one configuration differ by 1 to 5 %."""


@dataclass(frozen=True)
class Case:
    """One case with the candidates that its source leaves open."""

    figure: score.Prediction
    job: TrainJob
    system: System
    pieces: Pieces
    feasible: Any


@dataclass(frozen=True)
class Table:
    """All candidates of all cases as one `Pieces`; start of each case; tokens per step and accelerator."""

    pieces: Pieces
    starts: Any
    owner: Any
    feasible: Any
    rate: Any
    published: Any
    low: Any
    high: Any


def load() -> tuple[list[Case], dict[str, int]]:
    """Scored cases that can be expressed, and the reasons of the others."""
    library = Library(catalog.load())
    made: list[Case] = []
    skipped: dict[str, int] = {}
    for row in load_cases("training"):
        if why_not_training(row):
            continue
        try:
            made.append(case(row, library))
        except Skip as reason:
            skipped[str(reason)] = skipped.get(str(reason), 0) + 1
    return made, skipped


def case(row: Any, library: Library) -> Case:
    """A row with all settings that its source leaves open."""
    job, system, fixed = training.training_job(row, library)
    found = list(candidates.layouts(job, system, fixed))
    if not found:
        raise Skip(f"no layout: {candidates.why_none(job, system, fixed).text}"[:90])
    try:
        parts = [pieces.measure(job, system, layout) for layout in found]
    except MissingFact as fact:
        raise Skip(fact.message) from None
    every = joined(parts, [len(np.atleast_1d(layout.tp)) for layout in found])
    room = capacity(system, physical=True)
    fits = np.asarray(every.memory.low) <= room
    if not fits.any():
        fits = np.asarray(every.memory.low) <= np.min(every.memory.low) * 1.5
    return Case(training.figure(row, job.arch.moe), job, system, every, fits)


def joined(records: Sequence[Any], sizes: Sequence[int]) -> Any:
    """Records of arrays end to end; numbers are repeated to their record's size."""
    first = records[0]
    made: dict[str, Any] = {}
    for field in fields(first):
        values = [getattr(record, field.name) for record in records]
        if is_dataclass(values[0]):
            made[field.name] = joined(values, sizes)
        elif isinstance(values[0], tuple):
            made[field.name] = tuple(_flat(parts, sizes) for parts in zip(*values, strict=True))
        else:
            made[field.name] = _flat(values, sizes)
    return type(first)(**made)


def _flat(values: Sequence[Any], sizes: Sequence[int]) -> Any:
    return np.concatenate([np.broadcast_to(np.asarray(v), (n,)) for v, n in zip(values, sizes, strict=True)])


def table(cases: Sequence[Case]) -> Table:
    """All candidates of `cases`."""
    sizes = [len(c.feasible) for c in cases]
    rate = [c.job.tokens_per_step / c.system.count for c in cases]
    low = [c.figure.published_low or c.figure.published for c in cases]
    high = [c.figure.published_high or c.figure.published for c in cases]
    return Table(
        joined([c.pieces for c in cases], sizes),
        np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int),
        np.repeat(np.arange(len(cases)), sizes),
        np.concatenate([c.feasible for c in cases]),
        np.array(rate),
        np.array([c.figure.published for c in cases]),
        np.array(low),
        np.array(high),
    )


def errors(t: Table, software: TrainSoftware) -> Any:
    """ln(predicted / published) of each case, best feasible candidate; nought inside a published range."""
    seconds = np.where(t.feasible, step.assemble(t.pieces, software).step, np.inf)
    predicted = t.rate / np.minimum.reduceat(seconds, t.starts)
    return np.log(predicted / np.clip(predicted, t.low, t.high))


def build(vector: Any, names: Sequence[str]) -> TrainSoftware:
    """Software with these constants."""
    return dataclasses.replace(TrainSoftware(), **dict(zip(names, map(float, vector), strict=True)))


def fit(t: Table, weights: Any, names: Sequence[str], start: TrainSoftware) -> TrainSoftware:
    """Constants of least weighted soft absolute log error, within their bounds, near their prior means."""
    low = np.array([BOUNDS[name][0] for name in names])
    high = np.array([BOUNDS[name][1] for name in names])
    span = high - low
    root = np.sqrt(weights / weights.sum())
    prior = np.array([getattr(TrainSoftware(), name) for name in names])

    def residuals(unit: Any) -> Any:
        vector = low + unit * span
        soft = SOFT * np.sqrt(2 * (np.sqrt(1 + (errors(t, build(vector, names)) / SOFT) ** 2) - 1))
        return np.concatenate([root * soft, RIDGE * (vector - prior) / span])

    first = np.clip((np.array([getattr(start, name) for name in names]) - low) / span, 1e-3, 1 - 1e-3)
    found = least_squares(residuals, first, bounds=(0.0, 1.0), x_scale=0.2, diff_step=1e-4, max_nfev=40)
    return build(low + found.x * span, names)


RIDGE = 0.08
"""Pull of each constant towards its prior mean, over its bounds; chosen by the error on left-out sources."""


def report(name: str, cases: Sequence[Case], log: Any, mask: Any) -> dict[str, float]:
    """Print and return median, 90th percentile and bias of exp|log| - 1, the runs of `mask` voting among themselves, as
    on the accuracy board.
    """
    if not mask.any():
        return {}
    size, weight = np.expm1(np.abs(log[mask])), votes(cases, mask)
    result = {
        "n": int(mask.sum()),
        "median": score.quantile(size, weight, 0.5),
        "p90": score.quantile(size, weight, 0.9),
        "bias": float(np.expm1(np.average(log[mask], weights=weight))),
    }
    print(
        f"{name:44s} n {result['n']:4d}  median {result['median']:6.1%}  p90 {result['p90']:6.1%}"
        f"  bias {result['bias']:+6.1%}"
    )
    return result


def votes(cases: Sequence[Case], mask: Any) -> Any:
    """Weights of the runs of `mask` among themselves: sources too small to vote alone are pooled inside it."""
    return score.vote([c.figure for c, inside in zip(cases, mask, strict=True) if inside])


def left_out(
    t_of: Any, cases: Sequence[Case], keys: Sequence[str], names: Sequence[str], start: TrainSoftware
) -> tuple[Any, dict[str, TrainSoftware]]:
    """Ln errors of each case with everything of its key left out of the fit."""
    log = np.zeros(len(cases))
    folds: dict[str, TrainSoftware] = {}
    for key in sorted(set(keys)):
        out = np.array([k == key for k in keys])
        rest = [c for c, o in zip(cases, out, strict=True) if not o]
        software = folds[key] = fit(t_of(rest), score.vote([c.figure for c in rest]), names, start)
        log[out] = errors(t_of([c for c, o in zip(cases, out, strict=True) if o]), software)
    return log, folds


def main() -> None:
    """Fit, leave out, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--rows", action="store_true")
    parser.add_argument("--quick", action="store_true", help="in-sample only")
    options = parser.parse_args()
    cases, skipped = load()
    print(f"{len(cases)} cases; not expressed: {skipped}")
    names = list(BOUNDS)
    every = table(cases)
    weights = score.vote([c.figure for c in cases])
    software = fit(every, weights, names, TrainSoftware())
    for name in names:
        low, high = BOUNDS[name]
        print(f"  {name:14s} {getattr(software, name):10.4g}   in [{low:g}, {high:g}]")
    log = errors(every, software)
    found = {"in_sample": show("in sample", cases, log)}
    if options.quick:
        by_group(cases, log)
        rows(cases, log) if options.rows else None
        return
    out, folds = {}, {}
    for kind, key in KINDS.items():
        out[kind], folds[kind] = left_out(table, cases, [key(c) for c in cases], names, software)
        found[f"{kind}_left_out"] = show(f"{kind} left out", cases, out[kind])
    by_group(cases, out["source"])
    if options.rows:
        rows(cases, out["source"])
    spread = spreads(cases, out)
    print({name: round(value, 3) for name, value in spread.items()})
    held = covered(cases, out, spread)
    print("inside the interval:", {name: f"{value:.1%}" for name, value in held.items()})
    if options.write:
        kept = record(software, found, cases, out["source"], spread)
        kept |= {"folds": {k: constants(f) for k, f in folds.pop("source").items()}}
        kept |= {"chip_folds": {k: constants(f) for k, f in folds.pop("chip").items()}}
        kept |= {"kind_folds": {kind: {k: constants(f) for k, f in one.items()} for kind, one in folds.items()}}
        OUT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        print(f"written: {OUT}", file=sys.stderr)


def chip_of(c: Case) -> str:
    """Chip of a case; bins of one chip are one."""
    name = str(c.figure.tags["chip"])
    return {"a100-sxm-40gb": "a100", "a100-sxm-80gb": "a100", "h100-sxm-hbm2e-500w": "h100", "h100-sxm": "h100"}.get(
        name, name
    )


KINDS: dict[str, Callable[[Case], str]] = {
    "source": lambda c: c.figure.group,
    "chip": chip_of,
    "year": lambda c: str(c.job.when.year),
    "framework": lambda c: str(c.job.framework),
}
"""What is left out in turn, all that is alike in it at once."""


def show(title: str, cases: Sequence[Case], log: Any) -> dict[str, Any]:
    """Report by kind and for the headline tables."""
    tags = [c.figure.tags for c in cases]
    masks = {
        "all": np.ones(len(cases), dtype=bool),
        "dense": np.array([t["kind"] == "dense" for t in tags]),
        "moe": np.array([t["kind"] == "MoE" for t in tags]),
        "ascend": np.array([t["chip"].startswith("ascend") for t in tags]),
    }
    return {kind: report(f"{title}: {kind}", cases, log, mask) for kind, mask in masks.items()}


def by_group(cases: Sequence[Case], log: Any) -> None:
    """Report by source."""
    groups = np.array([c.figure.group for c in cases])
    for group in sorted(set(groups)):
        report(f"  {group}", cases, log, groups == group)


def rows(cases: Sequence[Case], log: Any) -> None:
    """One line a case."""
    for c, error in zip(cases, log, strict=True):
        print(f"{c.figure.id[:60]:60s} {c.figure.tags['chip'][:10]:10s} {c.job.precision:6s} {np.expm1(error):+7.1%}")


def constants(software: TrainSoftware) -> dict[str, float]:
    """Constants to four digits."""
    return {field.name: float(f"{getattr(software, field.name):.4g}") for field in fields(software)}


def runs(cases: Sequence[Case], log: Any) -> list[dict[str, Any]]:
    """What `evidence.nearest` compares with: one entry a case, with our error when its source was left out."""
    return [
        {
            "id": c.figure.id,
            "chip": c.figure.tags["chip"],
            "count": c.system.count,
            "precision": c.job.precision,
            "moe": c.job.arch.moe,
            "params": float(params(c.job.arch).total),
            "seq": c.job.seq,
            "error": round(float(np.expm1(error)), 3),
        }
        for c, error in zip(cases, log, strict=True)
    ]


def record(
    software: TrainSoftware, found: dict[str, Any], cases: Sequence[Case], log: Any, spread: dict[str, float]
) -> dict[str, Any]:
    """What is written beside the constants."""
    return {
        "source": "scripts/fit_train.py on the scored training cases of tonnage.truth",
        "constants": constants(software),
        "errors": found,
        "spread": spread,
        "runs": runs(cases, log),
    }


def spreads(cases: Sequence[Case], out: Mapping[str, Any]) -> dict[str, float]:
    """Half-widths of the 90 % interval of the log error: `dense`, `moe`: what holds nine in ten whatever is left out
    (the widest over sources, chips, years, frameworks); `chip`: of chips left out; `dense_date`, `moe_date`: what a
    release more or less of the software adds where its date is not known.
    """
    moe = mixtures(cases)
    made: dict[str, float] = {}
    for name, mask in (("dense", ~moe), ("moe", moe)):
        weights = votes(cases, mask)
        made[name] = max(score.quantile(np.abs(log[mask]), weights, 0.9) for log in out.values())
        made[f"{name}_date"] = NINETY * between_releases(cases, out["source"], mask)
    return made | {"chip": score.quantile(np.abs(out["chip"]), votes(cases, np.ones(len(cases), dtype=bool)), 0.91)}


NINETY = 1.645
"""Half-width of the 90 % interval of a normal distribution, in standard deviations."""


def mixtures(cases: Sequence[Case]) -> Any:
    """Which runs are of mixtures."""
    return np.array([c.job.arch.moe for c in cases])


def between_releases(cases: Sequence[Case], log: Any, mask: Any) -> float:
    """Standard deviation of the log error of one recipe (model, chip, precision, count) between releases."""
    recipes: dict[Any, dict[Any, list[float]]] = {}
    for c, error, inside in zip(cases, log, mask, strict=True):
        if inside:
            recipe = (c.figure.group, c.figure.cluster, c.system.count)
            recipes.setdefault(recipe, {}).setdefault(c.job.when, []).append(error)
    means = [np.array([np.mean(v) for v in by.values()]) for by in recipes.values() if len(by) > 1]
    squares = sum(float(((m - m.mean()) ** 2).sum()) for m in means)
    return float(np.sqrt(squares / max(sum(len(m) - 1 for m in means), 1)))


def covered(cases: Sequence[Case], out: Mapping[str, Any], spread: Mapping[str, float]) -> dict[str, float]:
    """Share of votes inside the interval, by what was left out."""
    half = np.where(mixtures(cases), spread["moe"], spread["dense"])
    weights = votes(cases, np.ones(len(cases), dtype=bool))
    return {kind: float(np.sum(weights * (np.abs(log) <= half))) for kind, log in out.items()}


if __name__ == "__main__":
    main()
