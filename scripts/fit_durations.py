"""Fit what published runs took over their steps (the slip), and say how far it is off on sources and kinds left out.

    python scripts/fit_durations.py [--write] [--rows]

Data: the bundled durations of `tonnage.truth`, without those that hold steps alone. The slip of a run is its published
accelerator-hours over those of its steps with goodput. Ridge regression of ln slip, one vote per source, with strong
priors; a property is kept only if it lowers the error on sources left out, and does not raise it where a whole year,
chip generation, or all dense or sparse models are left out.
`--write` replaces `src/tonnage/train/data/durations.json`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from tonnage import catalog
from tonnage.interval import Z90
from tonnage.train.duration import LEAST, Properties, properties
from tonnage.truth.cases import load_cases, text
from tonnage.truth.durations import Planned, prepare
from tonnage.truth.score import quantile
from tonnage.truth.shapes import Library
from tonnage.units import decimal_year

OUT = Path(__file__).resolve().parents[1] / "src/tonnage/train/data/durations.json"
NOISE = 0.3
"""Standard deviation of ln slip that the priors are weighed against."""
LEVEL = (math.log(1.2), 0.3)
"""Prior of ln slip of a mature chip's large run: mean, standard deviation."""
SLOPE = 0.2
"""Prior standard deviation of each coefficient, about nought."""
BETTER = 0.98
"""A property must lower the error on sources left out at least by this factor."""
WORSE = 1.1
"""What it may raise the error on another kind left out by: three or four parts are few, and less is noise."""


@dataclass(frozen=True)
class Data:
    """ln slip of each run, its step doubt (standard deviation of the logarithm), properties, and all candidates."""

    made: list[Planned]
    log: Any
    doubt: Any
    properties: list[Properties]
    columns: dict[str, Any]
    weights: Any
    cuts: dict[str, list[str]]


def load() -> tuple[Data, Counter[str]]:
    """Runs that can be expressed and hold more than steps, and why the others are not here."""
    skipped: Counter[str] = Counter()
    made = prepare(load_cases("durations"), Library(catalog.load()), skipped)
    skipped["steps alone"] += sum(one.run.floor for one in made)
    made = [one for one in made if not one.run.floor]
    known = [properties(one.run.job, one.run.system) for one in made]
    log = [math.log(one.figure.published / (one.wall.value * one.run.system.count / 3600)) for one in made]
    groups = Counter(one.figure.group for one in made)
    return Data(
        made,
        np.array(log),
        np.array([one.wall.sigma for one in made]),
        known,
        {name: np.array([row[name] for row in map(candidates, made, known)]) for name in candidates(made[0], known[0])},
        np.array([1 / groups[one.figure.group] for one in made]),
        cuts(made, known),
    ), skipped


def candidates(one: Planned, known: Properties) -> dict[str, float]:
    """Properties that are tried: those of the model first, then those whose refusal is on record."""
    return {
        **known.features,
        "sparse": float(known.moe),
        "size": math.log10(one.run.work) - 23,
        "year": min(max(decimal_year(one.run.job.when), 2022.0), 2026.0) - 2024,
        "params": math.log10(known.params) - 10,
        "days": float(text(one.run.row, "published_from") == "days"),
    }


def cuts(made: Sequence[Planned], known: Sequence[Properties]) -> dict[str, list[str]]:
    """Ways to leave out: for each, the part that each run is in."""
    return {
        "source": [one.figure.group for one in made],
        "year": [one.figure.tags["year"] for one in made],
        "chip generation": [generation(props) for props in known],
        "dense or MoE": [one.figure.tags["kind"] for one in made],
    }


def generation(known: Properties) -> str:
    """Chips of one vendor whose rates are within a third of each other are one generation."""
    return f"{known.vendor} {2 ** round(math.log2(known.rate / 1e12)):d} TFLOP/s"


def fit(data: Data, rows: Any, names: Sequence[str]) -> Any:
    """Level and coefficients of the rows (a mask): the middle of the posterior."""
    table = np.stack([np.ones(len(data.log)), *(data.columns[name] for name in names)], 1)[rows]
    weights, target = data.weights[rows], data.log[rows]
    means = np.array([LEVEL[0], *(0.0 for _ in names)])
    pull = np.diag([(NOISE / LEVEL[1]) ** 2, *((NOISE / SLOPE) ** 2 for _ in names)])
    left = table.T @ (weights[:, None] * table) + pull
    return np.linalg.solve(left, table.T @ (weights * target) + pull @ means)


def said(data: Data, rows: Any, names: Sequence[str], found: Any) -> Any:
    """Predicted ln slip of rows."""
    table = np.stack([np.ones(len(data.log)), *(data.columns[name] for name in names)], 1)[rows]
    return np.maximum(table @ found, 0.0)


def left_out(data: Data, cut: str, names: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """(ln published/predicted of each run with its part in no fit, the fit without each part)."""
    keys = np.array(data.cuts[cut])
    error, folds = np.zeros(len(keys)), {}
    for key in sorted(set(keys)):
        out = keys == key
        folds[str(key)] = fit(data, ~out, names)
        error[out] = data.log[out] - said(data, out, names, folds[str(key)])
    return error, folds


def size(data: Data, error: Any) -> float:
    """Root of the mean square, one vote a source."""
    return float(np.sqrt(np.average(error**2, weights=data.weights)))


def chosen_anew(data: Data) -> Any:
    """Ln published/predicted with each source out of the choice of properties too: what choosing itself may hide."""
    keys = np.array(data.cuts["source"])
    error = np.zeros(len(keys))
    for key in sorted(set(keys)):
        out = keys == key
        rest = part(data, ~out)
        names = choose(rest, list(data.columns), quiet=True)
        found = fit(rest, np.ones(len(rest.log), dtype=bool), names)
        error[out] = data.log[out] - said(data, out, names, found)
    return error


def part(data: Data, rows: Any) -> Data:
    """The data of some rows (a mask)."""

    def some(values: Any) -> Any:
        return [value for value, kept in zip(values, rows, strict=True) if kept]

    return Data(
        some(data.made),
        data.log[rows],
        data.doubt[rows],
        some(data.properties),
        {name: column[rows] for name, column in data.columns.items()},
        data.weights[rows],
        {cut: some(keys) for cut, keys in data.cuts.items()},
    )


def choose(data: Data, allowed: Sequence[str], quiet: bool = False) -> list[str]:
    """Forward choice: the property that lowers the error on sources most, while it raises that on no other kind."""
    kept: list[str] = []
    while True:
        now = {cut: size(data, left_out(data, cut, kept)[0]) for cut in data.cuts}
        trials = {}
        for name in allowed:
            if name in kept:
                continue
            then = {cut: size(data, left_out(data, cut, [*kept, name])[0]) for cut in data.cuts}
            if not quiet:
                print(f"  {'+'.join([*kept, name]):28s}" + "  ".join(f"{cut} {then[cut]:.3f}" for cut in then))
            if then["source"] < BETTER * now["source"] and all(then[cut] <= WORSE * now[cut] for cut in then):
                trials[name] = then["source"]
        if not trials:
            return kept
        kept.append(min(trials, key=trials.__getitem__))


def report(data: Data, title: str, error: Any, spread: float, mask: Any | None = None) -> dict[str, Any]:
    """Print and return median ratio predicted/published, median and 90th percentile of the error, and coverage."""
    mask = np.ones(len(error), dtype=bool) if mask is None else mask
    log, weights = -error[mask], data.weights[mask]
    inside = np.abs(log) <= Z90 * np.hypot(spread, data.doubt[mask])
    found = {
        "n": int(mask.sum()),
        "median_ratio": float(np.exp(np.median(log))),
        "median_ratio_by_source": float(np.exp(quantile(log, weights, 0.5))),
        "median": quantile(np.expm1(np.abs(log)), weights, 0.5),
        "p90": quantile(np.expm1(np.abs(log)), weights, 0.9),
        "inside": float(inside.mean()),
        "inside_by_source": float(np.average(inside, weights=weights)),
    }
    print(
        f"{title:44s} n {found['n']:3d}  ratio {found['median_ratio']:.2f} ({found['median_ratio_by_source']:.2f})"
        f"  error {found['median']:.0%} / {found['p90']:.0%}  inside {found['inside']:.0%}"
        f" ({found['inside_by_source']:.0%})"
    )
    return {key: round(value, 4) for key, value in found.items()}


def spread_of(data: Data, error: Any) -> float:
    """Standard deviation of ln slip beside the doubt of the step, one vote a source."""
    return float(np.sqrt(max(np.average(error**2 - data.doubt**2, weights=data.weights), 0.01)))


def parts(data: Data, cut: str, names: Sequence[str], spread: float) -> dict[str, Any]:
    """Each part of a cut with nothing of it in the fit."""
    error, _ = left_out(data, cut, names)
    keys = np.array(data.cuts[cut])
    every = {"all": report(data, f"left out by {cut}", error, spread)}
    return every | {
        str(key): report(data, f"  {key}", error, spread, keys == key)
        for key in sorted(set(keys))
        if cut != "source" or (keys == key).sum() > 2
    }


def named(found: Any, names: Sequence[str]) -> dict[str, float]:
    """Constants by name, to four digits."""
    return {name: float(f"{value:.4g}") for name, value in zip(("level", *names), found, strict=True)}


def past(data: Data) -> list[dict[str, Any]]:
    """What `duration` compares with: one entry a run."""
    return [
        {
            "id": one.figure.id,
            "group": one.figure.group,
            "properties": {f.name: rounded(getattr(known, f.name)) for f in fields(known)},
            "slip": round(math.exp(log), 3),
        }
        for one, known, log in zip(data.made, data.properties, data.log, strict=True)
    ]


def rounded(value: Any) -> Any:
    """Four digits of a float."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main() -> None:
    """Fit, leave out, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--rows", action="store_true")
    options = parser.parse_args()
    data, skipped = load()
    sources = len(set(data.cuts["source"]))
    print(f"{len(data.made)} runs of {sources} sources; not here: {dict(skipped)}; fleets from {LEAST:g} on")
    raw = report(data, "steps with goodput, no slip", data.log, 0.0)
    print("error (root mean square of the logarithm) with these left out:")
    for name in data.columns:
        try_one(data, name)
    names = choose(data, list(data.columns))
    if unknown := sorted(set(names) - set(data.properties[0].features)):
        sys.exit(f"kept, but not in tonnage.train.duration.Properties: {', '.join(unknown)}")
    found = fit(data, np.ones(len(data.log), dtype=bool), names)
    error, folds = left_out(data, "source", names)
    anew = chosen_anew(data)
    spread = spread_of(data, error)
    unseen = max(spread, spread_of(data, left_out(data, "chip generation", names)[0]))
    print(f"kept {names}: {named(found, names)}; spread {spread:.3f}, on unseen chips {unseen:.3f}")
    whole = np.ones(len(data.log), dtype=bool)
    errors: dict[str, Any] = {"steps": raw}
    errors["in_sample"] = report(data, "in sample", data.log - said(data, whole, names, found), spread)
    errors["chosen anew"] = report(data, "left out by source, choice made anew each time", anew, spread)
    for cut in data.cuts:
        errors[cut] = parts(data, cut, names, unseen if cut == "chip generation" else spread)
    if options.rows:
        rows(data, error, spread)
    if options.write:
        held = {
            "source": "scripts/fit_durations.py on the durations of tonnage.truth",
            "constants": named(found, names),
            "spread": round(spread, 4),
            "unseen": round(unseen, 4),
            "errors": errors,
            "folds": {key: named(value, names) for key, value in folds.items()},
            "runs": past(data),
        }
        OUT.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
        print(f"written: {OUT}", file=sys.stderr)


def try_one(data: Data, name: str) -> None:
    """Errors with one property alone, of those that are in the model and those that are not."""
    then = {cut: size(data, left_out(data, cut, [name])[0]) for cut in data.cuts}
    now = {cut: size(data, left_out(data, cut, [])[0]) for cut in data.cuts}
    print(f"  {name:8s} alone " + "  ".join(f"{cut} {now[cut]:.3f} -> {then[cut]:.3f}" for cut in then))


def rows(data: Data, error: Any, spread: float) -> None:
    """One line a run, the most over-predicted first."""
    for index in np.argsort(error):
        one, inside = data.made[index], abs(error[index]) <= Z90 * math.hypot(spread, data.doubt[index])
        print(
            f"{one.figure.id:32s} {one.run.system.count:6d} {one.figure.tags['chip']:14s} slip"
            f" {math.exp(data.log[index]):.2f}  predicted/published left out {math.exp(-error[index]):.2f}"
            f"  {'' if inside else 'OUTSIDE'}"
        )


if __name__ == "__main__":
    main()
