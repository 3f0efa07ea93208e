"""Time of `tonnage launch` on a programme of 78 weeks, 8 lots and 3 models, 2,000 draws and all what-ifs.

    python benchmarks/launch.py [PROGRAMME] [--draws N]

CPU seconds of runs in a process of their own: with nothing kept from before, with the speeds that it kept, and for 500
draws; of the parts of one; and wall-clock seconds with one and two processes, which other work on the machine makes
longer. The answer is the same in all of them, to the byte.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START = "import sys; from tonnage.cli import main; main(sys.argv[1:])"
PARTS = """
import importlib, sys, time
from tonnage.cli import run
from tonnage.fleet import pieces
launch = importlib.import_module("tonnage.fleet.launch")
spent, inside = {}, []
def timed(room, name, what):
    call = getattr(room, name)
    def again(*words, **named):
        begin = time.process_time()
        inside.append(0.0)
        found = call(*words, **named)
        whole = time.process_time() - begin
        spent[what] = spent.get(what, 0.0) + whole - inside.pop()
        if inside:
            inside[-1] += whole
        return found
    setattr(room, name, again)
timed(launch, "settle", "planning, law")
timed(pieces, "played", "draws")
timed(launch, "explained", "best plan")
timed(launch, "base_case", "best plan, told")
timed(launch, "gained", "best plans of the what-ifs")
run(sys.argv[1:])
print("".join(f"{value:6.1f} CPU s    {what}\\n" for what, value in spent.items()), file=sys.stderr, end="")
"""


def run(programme: Path, draws: int, cache: str, workers: int = 1, start: str = START) -> tuple[float, float, str, str]:
    """CPU and wall-clock seconds of one run, what it printed, and what it said besides."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    words = ["launch", str(programme), "--draws", str(draws), "--json", "-q", "--workers", str(workers)]
    more = {"TONNAGE_CACHE": cache, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", start, *words], env={**os.environ, **more}, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode > 1:
        raise SystemExit(done.stderr)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, time.perf_counter() - begin, done.stdout, done.stderr


def main() -> None:
    """Run and print."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("programme", nargs="?", type=Path, default=ROOT / "benchmarks" / "launch.yaml")
    reader.add_argument("--draws", type=int, default=2000)
    asked = reader.parse_args()
    with tempfile.TemporaryDirectory() as kept, tempfile.TemporaryDirectory() as other:
        first, _, one, _ = run(asked.programme, asked.draws, kept)
        again, alone, two, _ = run(asked.programme, asked.draws, kept)
        few, _, _, _ = run(asked.programme, 500, kept)
        parts, _, three, said = run(asked.programme, asked.draws, other, start=PARTS)
        both, wall, four, _ = run(asked.programme, asked.draws, kept, 2)
    print(f"{first:6.1f} CPU s  {asked.draws:,} draws, nothing kept")
    print(f"{again:6.1f} CPU s  {asked.draws:,} draws, speeds kept by the run before; {alone:.1f} s of wall clock")
    print(f"{both:6.1f} CPU s  the same on two processes; {wall:.1f} s of wall clock")
    print(f"{few:6.1f} CPU s  500 draws, speeds kept")
    print(f"{parts:6.1f} CPU s  {asked.draws:,} draws, nothing kept, of which")
    print(said, end="")
    print(f"        load of the machine {os.getloadavg()[0]:.1f}")
    print("the same bytes" if one == two == three == four else "OTHER BYTES")


if __name__ == "__main__":
    main()
