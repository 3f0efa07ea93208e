"""Fit the time that an eager framework takes in Python for a call, in launches of a view (`qualify.pricing.FRAMEWORK`).

    python scripts/fit_framework.py CALIBRATION

On the configurations of `qualify.laptop.FITTED` alone: their measured time less what is priced of their calls, over
calls times a view; the median counts. Then each configuration is left out in turn, and predicted with the others'.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from tonnage.device.kinds import KINDS
from tonnage.qualify.bench import Bench
from tonnage.qualify.laptop import FITTED
from tonnage.qualify.loop import Looped, compared
from tonnage.qualify.pricing import Measurement, Prices
from tonnage.system.calibrated import read_device
from tonnage.system.qualified import read_qualified


def need(one: Looped) -> float:
    """Launches of a view for each call that would have been right; `one` was priced with one."""
    share = one.parts["framework"] / sum(one.parts.values())
    return 1.0 + (one.measured - one.predicted) / (share * one.predicted)


def at(one: Looped, factor: float) -> float:
    """Predicted over measured with another factor, less one."""
    share = one.parts["framework"] / sum(one.parts.values())
    return one.predicted * (1.0 + share * (factor - 1.0)) / one.measured - 1.0


def main(path: Path) -> None:
    """Prints the factor and the errors."""
    device = read_device(path)
    kind = KINDS[device.device if device else "cpu"]
    kind.prepare(1)
    rows = read_qualified(path)
    benches = [Bench(row.operator, row.format, tuple(int(size) for size in row.shape), row.layout) for row in rows]
    prices = Prices([Measurement(bench, row.seconds) for bench, row in zip(benches, rows, strict=True)], 1.0)
    found = [one for small in FITTED for one in compared(small, prices, kind, 1.0)]
    print(f"median of {len(found)}: {statistics.median(map(need, found)):.2f} launches of a view a call")
    print(f"{'left out':42} {'what':10} {'needs':>6} {'others':>7} {'off by':>7}")
    errors = []
    for left in found:
        others = statistics.median(need(one) for one in found if one.small != left.small)
        errors.append(at(left, others))
        print(f"{left.small.title:42} {left.quantity:10} {need(left):6.2f} {others:7.2f} {errors[-1]:+7.1%}")
    sizes = [abs(error) for error in errors]
    print(f"left out: {statistics.median(sizes):.1%} in the median, {max(sizes):.1%} at most")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
