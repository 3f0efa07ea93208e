"""How fast requests are simulated, in CPU time side by side: as Python and compiled (Vidur: `benchmarks/vidur.py`).

    python benchmarks/simulate.py [--requests N] [--mooncake FILE] [--day]

Lengths like Azure's (lognormal, 1,000 in, 200 out) at 12 requests/s on 16 replicas, all of the loop's features at hand.
--mooncake: the trace of that name, prefix-aware over 16 replicas; --day: a day of a million requests, compiled.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tonnage.simulate import compiled
from tonnage.simulate.generate import ArrivalProcess, Drawn, generate
from tonnage.simulate.prepare import Happened
from tonnage.simulate.run import simulate
from tonnage.simulate.service import EngineLimits, ReplicaSet, Routing, Simulated, StepTables
from tonnage.simulate.traces import read_trace
from tonnage.simulate.workload import Workload

DAY = 1_000_000


def service(replicas: int, routing: Routing = "round-robin") -> Simulated:
    """Steps about as long as those of Llama-3.1-8B on an H100."""
    sequences = np.arange(257)
    base = np.rint(7.5e9 + 2e7 * sequences).astype(np.int64)
    mix = np.rint(7.5e9 + 1.8e7 * np.arange(4096)).astype(np.int64)
    times = StepTables(base, np.full(257, 45_000), mix, 900)
    return Simulated(EngineLimits(256, 2048, 25_000), (times,), ReplicaSet(replicas, routing=routing))


def drawn(size: int, rate: float = 12.0) -> Workload:
    """Requests like Azure's conversations."""
    isl, osl = Drawn(1000, "lognormal", most=16_000), Drawn(200, "lognormal", most=4_000)
    return generate(size, ArrivalProcess("poisson", rate), isl, osl, 1)


def timed(run: Callable[[], Happened]) -> tuple[Happened, float]:
    """What happened, and the CPU seconds that it took."""
    began = time.process_time()
    found = run()
    return found, time.process_time() - began


def row(name: str, size: int, seconds: float) -> str:
    """One line of the table."""
    return f"| {name} | {size:,} | {seconds:.2f} | {size / seconds:,.0f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--mooncake", type=Path)
    parser.add_argument("--day", action="store_true")
    asked = parser.parse_args()
    print("| what | requests | CPU s | requests / CPU s |\n| --- | --- | --- | --- |")
    load = drawn(asked.requests)
    for routing in ("round-robin", "least-loaded"):
        where = service(16, routing)
        plain, seconds = timed(lambda w=where: simulate(load, w, fast=False))  # type: ignore[misc]
        print(row(f"Python, {routing}", load.size, seconds))
        if compiled.installed():
            _, first = timed(lambda w=where: simulate(load, w, fast=True))  # type: ignore[misc]
            fast, seconds = timed(lambda w=where: simulate(load, w, fast=True))  # type: ignore[misc]
            assert np.array_equal(plain.finish, fast.finish)
            print(row(f"compiled, {routing} (first call {first:.1f} s)", load.size, seconds))
    if asked.mooncake is not None:
        trace = read_trace(asked.mooncake)
        aware = service(16, "prefix-aware")
        _, seconds = timed(lambda: simulate(trace, aware, fast=False))
        print(row("Python, Mooncake, prefix-aware", trace.size, seconds))
    if asked.day:
        began = time.process_time()
        simulate(drawn(DAY, DAY / 86400), service(16), fast=compiled.installed())
        print(row("a day of a million, all included", DAY, time.process_time() - began))
        print(f"\nmemory at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
