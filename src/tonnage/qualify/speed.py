"""The speed of a device: every bench timed once, kept as it is measured, and held against what a use asks for.

Each row is appended to a journal beside the file that is to come, so that a run that was killed goes on with what it
had; the file itself is written whole, or not at all.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tonnage import files
from tonnage.device.kinds import DeviceKind
from tonnage.qualify import partial
from tonnage.qualify.bench import Bench, work
from tonnage.qualify.gate import Needed, Verified
from tonnage.qualify.pricing import Measurement, demand
from tonnage.qualify.shapes import Effort, benches
from tonnage.qualify.timing import SPREAD, STEAL, Steal, Timed, timed, turns
from tonnage.system import Accelerator
from tonnage.system.calibrated import Device
from tonnage.system.qualified import KINDS
from tonnage.values import Plain

SECONDS: dict[Effort, float] = {"quick": 0.05, "standard": 1.0, "soak": 1.0}
"""Time that is spent on one bench [s]."""

GOOD_RATE, GOOD_BANDWIDTH = 0.5, 0.5
"""Shares of a datasheet's rate and bandwidth below which a device does not do what is planned with it (assumption:
what the slowest of the measured chips reach in large products; decode needs half of the bandwidth)."""

LAYOUTS_APART = 2.0
"""How much slower a backward pass's layouts may be than the forward one (assumption: fit chips measure 0.8 to 1.3)."""

GROWN = 1.5
"""Launch latency at the end over that at the beginning, beyond which it grows (assumption: quiet ones stay in 1.1)."""

RANKS_APART = 1.15
"""Time of the slowest rank over the median beyond which a device is not like the others (assumption)."""

GRADIENTS = ("prefill_backward", "cross_entropy", "optimiser", "launch_tracked")
"""Operators that only training needs, besides GEMMs of the layouts NN and TN."""

OPTIONAL = ("fp16", "fp8", "int8")
"""Formats that a device may lack without being unfit."""

Told = Callable[[int, int, Bench], None]
"""Hears before each bench: how many are done, of how many, and which comes."""


@dataclass(frozen=True)
class Clocked:
    """A bench that was timed. timed: None where the device does not have it; why: in its own words."""

    bench: Bench
    timed: Timed | None
    why: str = ""


@dataclass(frozen=True)
class Clockings:
    """Everything that was timed. steal: share of the processors' time that others took; grown: launch latency at the
    end over that at the beginning; ranks: seconds of the same product on each rank; clocks: clock and power before and
    after, where they can be read; seconds: that it took; waited: share of the wall time in which a processor did
    something else.
    """

    held: tuple[Clocked, ...]
    steal: float = 0.0
    grown: float = 1.0
    ranks: tuple[float, ...] = ()
    clocks: tuple[dict[str, float], ...] = ()
    seconds: float = 0.0
    waited: float = 0.0

    @property
    def spread(self) -> float:
        """The median of the benches' spreads."""
        return statistics.median([one.timed.spread for one in self.held if one.timed] or [0.0])

    @property
    def noisy(self) -> bool:
        """Whether others worked on the machine."""
        return self.spread > SPREAD or max(self.steal, self.waited) > STEAL

    def measurements(self) -> list[Measurement]:
        """What prices are made of."""
        return [Measurement(one.bench, one.timed.seconds) for one in self.held if one.timed]

    def best(self, operators: Sequence[str], which: int) -> dict[str, float]:
        """The best FLOP/s (which 0) or byte/s (1) by format."""
        found: dict[str, float] = {}
        for one in self.held:
            if one.timed and one.bench.operator in operators:
                rate = demand(one.bench)[which] / one.timed.seconds
                found[one.bench.format] = max(rate, found.get(one.bench.format, 0.0))
        return found


def measured(kind: DeviceKind, effort: Effort, journal: Path | None, resume: bool, tell: Told) -> Clockings:
    """Every bench of an effort. journal: where rows are kept on the way; resume: go on with those that it has."""
    began, steal, place = time.perf_counter(), Steal(), kind.place(0)
    some = benches(kind.KIND, effort)
    known = partial.rows(journal, kind) if journal is not None and resume else {}
    if journal is not None and not resume:
        partial.begin(journal, kind)
    clocks = [kind.health()]
    held = []
    for number, bench in enumerate(some):
        tell(number, len(some), bench)
        if bench.key in known:
            held.append(Clocked(bench, known[bench.key]))
            continue
        found = _one(bench, kind, place, SECONDS[effort])
        if journal is not None and found.timed is not None:
            partial.add(journal, bench, found.timed)
        held.append(found)
    first, last = held[0].timed, _one(some[0], kind, place, SECONDS[effort]).timed
    grown = last.seconds / first.seconds if first and last else 1.0
    clocks.append(kind.health())
    waited = statistics.median([turns(one.timed.cpu, one.timed.wall, kind) for one in held if one.timed] or [0.0])
    return Clockings(tuple(held), steal.share(), grown, (), tuple(clocks), time.perf_counter() - began, waited)


def _one(bench: Bench, kind: DeviceKind, place: object, budget: float) -> Clocked:
    """One bench; a device that does not have the operator says so by an error of any kind."""
    try:
        return Clocked(bench, timed(work(bench, place), kind, budget))  # type: ignore[arg-type]
    except Exception as error:  # torch's kernels raise what they please
        return Clocked(bench, None, f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}")


# ---------------------------------------------------------------- the file


def device_of(kind: DeviceKind, chip: str, software: str, speeds: Clockings, day: object, processes: int = 1) -> Device:
    """The first line of the file."""
    rates, bandwidth = speeds.best(("gemm",), 0), speeds.best(("triad",), 1)
    reduced = [
        2.0 * (row.bench.shape[1] - 1) / row.bench.shape[1] * row.bench.shape[0] / row.timed.seconds
        for row in speeds.held
        if row.timed and row.bench.operator == "all_reduce"
    ]
    return Device(
        chip=chip,
        device=kind.KIND,
        title=kind.title(),
        driver=kind.driver(),
        software=software,
        date=day,  # type: ignore[arg-type]
        memory=kind.memory() or 1.0,
        rates=rates,
        bandwidth=max(bandwidth.values(), default=1.0),
        processes=processes,
        link=max(reduced, default=None),
        noisy=speeds.noisy,
    )


def lines(device: Device, speeds: Clockings) -> str:
    """The calibration file."""
    rows = [_row(one.bench, one.timed, device) for one in speeds.held if one.timed is not None]
    return "\n".join(json.dumps(each) for each in (device.to_json(), *rows)) + "\n"


def _row(bench: Bench, found: Timed, device: Device) -> dict[str, Plain]:
    names = KINDS[bench.operator].shape
    return {
        "operator": bench.operator,
        "shape": dict(zip(names, bench.shape, strict=True)),
        "format": bench.format,
        **({"layout": bench.layout} if bench.layout else {}),
        "seconds": max(found.seconds, 1e-8),
        "spread": round(found.spread, 4),
        "wall": found.wall,
        "cpu": found.cpu,
        "chip": device.chip,
        "software": device.software,
    }


def write(path: Path, device: Device, speeds: Clockings) -> None:
    """The file, whole or not at all."""
    files.write_all([(path, lines(device, speeds))])


# ---------------------------------------------------------------- gates


def gates(speeds: Clockings, chip: Accelerator | None = None) -> list[Verified]:
    """What the speeds say. chip: the datasheet of the device, its shares are asked for."""
    found = [_quiet(speeds), *_present(speeds), _grown(speeds)]
    if (ratio := _layouts(speeds)) is not None:
        found.append(ratio)
    if len(speeds.ranks) > 1:
        found.append(_alike(speeds))
    if chip is not None:
        found += _shares(speeds, chip)
    return [replace(gate, seconds=speeds.seconds / len(found)) for gate in found]


def _quiet(speeds: Clockings) -> Verified:
    """Whether the machine was quiet enough for what was measured to be the device's."""
    share = max(speeds.steal, speeds.waited)
    why = f"others work on the machine: the medians spread by {speeds.spread:.0%}, and take {share:.0%} of its time"
    state = "not enough evidence" if speeds.noisy else "pass"
    gate = Verified("quiet machine (spread of the medians)", "speed", "inference", "pass", speeds.spread, SPREAD, "")
    return gate if state == "pass" else replace(gate, state="not enough evidence", why=why)


def _present(speeds: Clockings) -> list[Verified]:
    """Whether the device has the operators."""
    needed = [one for one in speeds.held if one.bench.format not in OPTIONAL or one.bench.operator != "gemm"]
    backward = [one for one in needed if _of_backward(one.bench)]
    forward = [one for one in needed if not _of_backward(one.bench)]
    return [
        _all_there("forward operators run", forward, "inference"),
        _all_there("backward operators run", backward, "training"),
    ]


def _of_backward(bench: Bench) -> bool:
    return bench.operator in GRADIENTS or bench.layout in ("NN", "TN")


def _all_there(name: str, some: Iterable[Clocked], needed: Needed) -> Verified:
    held = list(some)
    lost = [one for one in held if one.timed is None]
    share = 1.0 - len(lost) / max(1, len(held))
    gate = Verified(name, "speed", needed, "fail" if lost else "pass", share, 1.0, "share")
    if not lost:
        return gate
    first = lost[0]
    kinds = ", ".join(
        dict.fromkeys(f"{one.bench.operator} {one.bench.format} {one.bench.layout}".strip() for one in lost)
    )
    return replace(gate, why=f"not there: {kinds[:200]}; {first.why}")


def _grown(speeds: Clockings) -> Verified:
    gate = Verified("launch latency, end over beginning", "speed", "inference", "pass", speeds.grown, GROWN, "x")
    if speeds.grown <= GROWN:
        return gate
    return replace(gate, state="fail", why=f"a launch takes {speeds.grown:.1f} times as long after the other benches")


def _layouts(speeds: Clockings) -> Verified | None:
    """Backward layouts against the forward one, in the format that training multiplies in."""
    rates: dict[str, list[float]] = {"NT": [], "NN": [], "TN": []}
    for one in speeds.held:
        if one.timed and one.bench.operator == "gemm" and one.bench.format == "bf16" and min(one.bench.shape) >= 256:
            rates[one.bench.layout].append(demand(one.bench)[0] / one.timed.seconds)
    if not all(rates.values()):
        return None
    middle = {layout: statistics.median(found) for layout, found in rates.items()}
    worst = min(("NN", "TN"), key=middle.__getitem__)
    ratio = middle["NT"] / middle[worst]
    gate = Verified(
        "backward GEMM, bf16, slowest layout", "speed", "training", "pass", ratio, LAYOUTS_APART, "x forward"
    )
    return gate if ratio <= LAYOUTS_APART else replace(gate, state="fail", why=f"{worst} is {ratio:.1f} times slower")


def _alike(speeds: Clockings) -> Verified:
    """One bad card among several."""
    ratio = max(speeds.ranks) / statistics.median(speeds.ranks)
    gate = Verified("slowest rank over the median", "speed", "training", "pass", ratio, RANKS_APART, "x")
    if ratio <= RANKS_APART:
        return gate
    rank = speeds.ranks.index(max(speeds.ranks))
    return replace(gate, state="fail", why=f"rank {rank} takes {ratio:.2f} times as long as the others for one product")


def _shares(speeds: Clockings, chip: Accelerator) -> list[Verified]:
    """Shares of the datasheet."""
    found = []
    rates, bandwidth = speeds.best(("gemm",), 0), max(speeds.best(("triad",), 1).values(), default=0.0)
    for name in ("bf16", "fp16", "fp8"):
        if name in rates and name in chip.rates:
            share = rates[name] / chip.rates[name]
            found.append(_at_least(f"GEMM, {name}, of the datasheet's rate", share, GOOD_RATE))
    if bandwidth:
        found.append(_at_least("memory, of the datasheet's bandwidth", bandwidth / chip.bandwidth, GOOD_BANDWIDTH))
    links = [
        2.0 * (one.bench.shape[1] - 1) / one.bench.shape[1] * one.bench.shape[0] / one.timed.seconds
        for one in speeds.held
        if one.timed and one.bench.operator == "all_reduce"
    ]
    if links and chip.link:
        gate = _at_least("all-reduce, of the datasheet's link", max(links) / chip.link, GOOD_BANDWIDTH)
        found.append(replace(gate, needed="training"))
    return found


def _at_least(name: str, share: float, least: float) -> Verified:
    gate = Verified(name, "speed", "inference", "pass", share, least, "share")
    return gate if share >= least else replace(gate, state="fail", why=f"{share:.0%} where {least:.0%} is asked")
