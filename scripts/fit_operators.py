"""Fit the coefficients of operator and collective times to NVIDIA AIConfigurator's measured tables.

    python scripts/fit_operators.py          fit, print left-out errors, write system/data/efficiency.json
    python scripts/fit_operators.py --dry    the same without writing

Needs `aiconfigurator-core==0.12.0` (Apache-2.0, the extra `silicon`), which `tonnage.system.silicon` reads. Inputs: the
tables of nine chips; for each shape the fastest of the frameworks measured; at most SAMPLE rows of each (chip, number
format), drawn with a fixed seed. Rows that no chip can do are rejected (`tonnage.system.samples.possible`). Loss: mean
over (chip, format) of the mean absolute log error, each row cut at CUT so that a bad kernel cannot rule. Search:
coordinate by coordinate, golden section.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tonnage.system import Accelerator, Calibration, samples, silicon
from tonnage.system.samples import Samples
from tonnage.system.silicon import Silicon

FAMILY = {"gb300": "b300_sxm", "gb200": "b200_sxm"}
"""Chips of one die and clock class are left out together: a twin left in the fit would make the test too easy."""
TILE_MEASURED, TILE = 64.0, 16
"""Rows that a GEMM is padded to: in the kernels measured, for which 64 costs nothing; and what the instructions allow
with operands swapped (see `system.operators.gemm_parts`), which a chip short of arithmetic needs and is written."""
SAMPLE, CUT, SEED = 1500, 1.5, 20251121
TARGET = Path(__file__).parents[1] / "src/tonnage/system/data/efficiency.json"


@dataclass(frozen=True)
class Group:
    """Measured rows of one (chip, format); family: what they are left out with, instead of the chip."""

    chip: str
    accelerator: Accelerator
    samples: Samples
    family: str = ""

    @property
    def label(self) -> str:
        """What the rows are."""
        return self.samples.label

    @property
    def measured(self) -> Any:
        """Seconds of each row."""
        return self.samples.seconds

    def left_out_with(self) -> str:
        """What is left out together with this group."""
        return self.family or FAMILY.get(self.chip, self.chip)

    def predict(self, fitted: Calibration) -> Any:
        """Predicted seconds of each row."""
        return self.samples.predicted(self.accelerator, fitted)


@dataclass(frozen=True)
class Knob:
    """One coefficient: class, name, bounds; log: searched in its logarithm."""

    kind: str
    name: str
    low: float
    high: float
    log: bool = False


def main(arguments: list[str]) -> None:
    """Fit class by class, in the order in which they use each other."""
    root = silicon.installed()
    held = json.loads(TARGET.read_text())
    fitted = Calibration(held["coefficients"], held["sigma"], held["far"], held["source"])
    fitted.coefficients["gemm"]["tile"] = TILE_MEASURED
    report: dict[str, Any] = {}
    for name, (make, knobs) in STAGES.items():
        groups = [kept for group in drawn(root, make) if (kept := possible(group)) is not None]
        fitted, report[name] = fit_stage(name, groups, knobs, fitted)
    held = {
        "source": f"fitted by scripts/fit_operators.py on {silicon.PACKAGE} {silicon.VERSION} (NVIDIA, Apache-2.0), "
        f"chips {', '.join(silicon.CHIPS)}",
        "coefficients": {k: {n: float(f"{v:.4g}") for n, v in c.items()} for k, c in fitted.coefficients.items()},
        "sigma": fitted.sigma,
        "far": fitted.far,
        "left_out": report,
    }
    held["coefficients"]["gemm"]["tile"] = TILE
    if "--dry" not in arguments:
        TARGET.write_text(json.dumps(held, indent=1) + "\n")


Maker = Callable[[Silicon], Iterable[Samples]]


def drawn(root: Path, make: Maker) -> Iterator[Group]:
    """Groups of every chip, at most SAMPLE rows of each."""
    for chip in silicon.CHIPS:
        accelerator = silicon.described(root, chip)
        for found in make(Silicon(root, chip)):
            rng = np.random.default_rng(SEED)
            rows = len(found.seconds)
            index = np.sort(rng.choice(np.arange(rows), min(SAMPLE, rows), replace=False))
            yield Group(chip, accelerator, found.rows(index), found.label if make is silicon.networks else "")


def possible(group: Group) -> Group | None:
    """The group without rows that no chip can do."""
    kept = samples.possible(group.samples, group.accelerator)
    if kept is None:
        print(f"  rejected {group.chip} {group.label}: most of its rows are impossible")
        return None
    return replace(group, samples=kept)


def gemms(tables: Silicon) -> Iterator[Samples]:
    """Dense GEMMs with n >= 512, k >= 256."""
    return silicon.gemms(tables, (512, 256))


def experts(tables: Silicon) -> Iterator[Samples]:
    """Expert layers, fused and behind an all-to-all."""
    yield from silicon.experts(tables)
    yield from silicon.wide_experts(tables)


def attention(tables: Silicon) -> Iterator[Samples]:
    """Prefill and decode."""
    yield from silicon.prefills(tables)
    yield from silicon.decodes(tables)


STAGES: dict[str, tuple[Maker, tuple[Knob, ...]]] = {
    "gemm": (
        gemms,
        (
            Knob("gemm", "compute.bf16", 0.3, 1.0),
            Knob("gemm", "compute.fp8", 0.3, 1.0),
            Knob("gemm", "compute.fp8_block", 0.3, 1.0),
            Knob("gemm", "compute.fp4", 0.2, 1.0),
            Knob("gemm", "ridge", 0.0, 0.5),
            Knob("gemm", "memory", 0.5, 1.0),
            Knob("gemm", "depth_half", 1.0, 2000.0, log=True),
            Knob("gemm", "depth_latency", 1e-11, 2e-9, log=True),
            Knob("gemm", "softness", 1.0, 8.0),
            Knob("gemm", "floor", 5e-7, 1e-5, log=True),
            Knob("gemm", "quantise_floor", 2e-7, 1e-5, log=True),
        ),
    ),
    "pointwise": (
        silicon.elementwise,
        (Knob("pointwise", "memory", 0.3, 1.0), Knob("pointwise", "floor", 3e-7, 1e-5, log=True)),
    ),
    "grouped_gemm": (
        experts,
        (
            Knob("grouped_gemm", "depth_half", 1.0, 2000.0, log=True),
            Knob("grouped_gemm", "memory", 0.3, 1.0),
            Knob("grouped_gemm", "floor", 1e-6, 5e-5, log=True),
        ),
    ),
    "attention": (
        attention,
        (
            Knob("attention", "compute", 0.3, 1.0),
            Knob("attention", "softmax", 0.1, 1000.0, log=True),
            Knob("attention", "blocks_half", 1.0, 1000.0, log=True),
            Knob("attention", "keys_half", 1.0, 3000.0, log=True),
            Knob("attention", "rows_half", 1.0, 200.0, log=True),
            Knob("attention", "memory", 0.5, 1.0),
            Knob("attention", "softness", 1.0, 8.0),
            Knob("attention", "floor", 1e-6, 3e-5, log=True),
        ),
    ),
    "scan": (
        silicon.scans,
        (
            Knob("scan", "compute", 0.02, 1.0, log=True),
            Knob("scan", "memory", 0.2, 1.0),
            Knob("scan", "intermediates", 0.1, 20.0, log=True),
            Knob("scan", "floor", 5e-7, 1e-4, log=True),
            Knob("scan", "chunk_floor", 1e-6, 1e-4, log=True),
            Knob("scan", "chunk_latency", 1e-8, 1e-5, log=True),
        ),
    ),
    "collective": (
        silicon.exchanges,
        (
            Knob("collective", "latency", 1e-6, 5e-5, log=True),
            Knob("collective", "bulk_latency", 5e-6, 3e-4, log=True),
            Knob("collective", "low_latency_fraction", 0.05, 1.0),
            Knob("collective", "reduce_fraction", 0.3, 1.0),
            Knob("collective", "exchange_fraction", 0.3, 1.0),
            Knob("collective", "fused_latency", 1e-6, 3e-5, log=True),
        ),
    ),
    "network": (
        silicon.networks,
        (
            Knob("collective", "nic_latency", 1e-6, 1e-4, log=True),
            Knob("collective", "nic_fraction", 0.3, 1.0),
            Knob("collective", "forward_latency", 1e-7, 1e-4, log=True),
        ),
    ),
}


# fitting


def fit_stage(
    name: str, groups: list[Group], knobs: tuple[Knob, ...], start: Calibration
) -> tuple[Calibration, dict[str, Any]]:
    """Fit one class on all chips; leave each chip out (with its twin) for its error and the spread."""
    whole = search(groups, knobs, start)
    print(f"{name}: {sum(len(g.measured) for g in groups)} rows, loss {loss(groups, whole):.3f}")
    print("   ", {k.name: float(f"{whole.coefficients[k.kind][k.name]:.3g}") for k in knobs})
    report: dict[str, Any] = {}
    residuals: dict[str, Any] = {}
    for family in sorted({g.left_out_with() for g in groups}):
        inside = [g for g in groups if g.left_out_with() != family]
        without = search(inside, knobs, whole, sweeps=2) if inside else whole
        for group in (g for g in groups if g.left_out_with() == family):
            left, kept = errors(group, without), errors(group, whole)
            residuals.setdefault(group.family or group.chip, []).append(left)
            report.setdefault(group.chip, {})[group.label] = summary(left)
            print(f"    {group.chip:20s} {group.label:14s} in fit {describe(kept)}   left out {describe(left)}")
    spreads = {chip: spread(np.concatenate(parts)) for chip, parts in residuals.items()}
    sigma, far = float(np.median(list(spreads.values()))), max(spreads.values())
    print(f"    left out, log spread: median over chips {sigma:.3f}, worst {far:.3f}")
    fitted = replace(whole, sigma={**whole.sigma, name: round(sigma, 3)}, far={**whole.far, name: round(far, 3)})
    return fitted, report


def search(groups: list[Group], knobs: tuple[Knob, ...], start: Calibration, sweeps: int = 5) -> Calibration:
    """Coordinate search with golden sections that narrow from sweep to sweep."""
    best, width = start, 1.0
    for _ in range(sweeps):
        for knob in knobs:
            best = _line(groups, knob, best, width)
        width *= 0.5
    return best


def _line(groups: list[Group], knob: Knob, start: Calibration, width: float) -> Calibration:
    forward, back = (math.log, math.exp) if knob.log else (float, float)
    low, high = forward(knob.low), forward(knob.high)
    middle = min(max(forward(max(start.coefficients[knob.kind].get(knob.name, knob.low), knob.low)), low), high)
    a, b = max(low, middle - width * (high - low) / 2), min(high, middle + width * (high - low) / 2)
    ratio = (math.sqrt(5) - 1) / 2
    tried = {x: loss(groups, put(start, knob, back(x))) for x in (middle, b - ratio * (b - a), a + ratio * (b - a))}
    for _ in range(7):
        left, right = b - ratio * (b - a), a + ratio * (b - a)
        for x in (left, right):
            tried.setdefault(x, loss(groups, put(start, knob, back(x))))
        a, b = (a, right) if tried[left] < tried[right] else (left, b)
    return put(start, knob, back(min(tried, key=lambda x: tried[x])))


def put(fitted: Calibration, knob: Knob, value: float) -> Calibration:
    """The calibration with one coefficient changed."""
    changed = {**fitted.coefficients[knob.kind], knob.name: value}
    return replace(fitted, coefficients={**fitted.coefficients, knob.kind: changed})


def errors(group: Group, fitted: Calibration) -> Any:
    """ln(predicted / measured) of each row."""
    return np.log(group.predict(fitted) / group.measured)


def loss(groups: list[Group], fitted: Calibration) -> float:
    """Mean over groups of the mean absolute log error, cut at CUT."""
    return float(np.mean([np.mean(np.minimum(np.abs(errors(group, fitted)), CUT)) for group in groups]))


def spread(errors_of_chip: Any) -> float:
    """Standard deviation of a normal distribution with the same 90th percentile of |error|."""
    return float(np.quantile(np.abs(errors_of_chip), 0.9) / 1.645)


def summary(left: Any) -> dict[str, float]:
    """Median, 90th percentile of |error| (as ratios less one) and bias of one group."""
    size = np.expm1(np.abs(left))
    return {
        "rows": len(left),
        "median": round(float(np.median(size)), 3),
        "p90": round(float(np.quantile(size, 0.9)), 3),
        "bias": round(float(np.expm1(np.median(left))), 3),
    }


def describe(left: Any) -> str:
    """The summary as text."""
    numbers = summary(left)
    return f"{100 * numbers['median']:5.1f} % p90 {100 * numbers['p90']:6.1f} bias {100 * numbers['bias']:+6.1f}"


if __name__ == "__main__":
    main(sys.argv[1:])
