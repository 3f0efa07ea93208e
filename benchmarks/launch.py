"""CPU time of `tonnage launch` on a programme of 78 weeks, 8 lots and 3 models, 2,000 draws and all what-ifs.

    python benchmarks/launch.py [PROGRAMME] [--draws N]

Three runs, each a process of its own on one core: with nothing kept from before, with the speeds that it kept, and for
500 draws. The answer is the same in the first two, to the byte.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START = "import sys; from tonnage.cli import main; main(sys.argv[1:])"


def run(programme: Path, draws: int, cache: str) -> tuple[float, str]:
    """CPU seconds of one run, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = ["launch", str(programme), "--draws", str(draws), "--json", "-q"]
    more = {"TONNAGE_CACHE": cache, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", START, *words], env={**os.environ, **more}, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode > 1:
        raise SystemExit(done.stderr)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def main() -> None:
    """Run and print."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("programme", nargs="?", type=Path, default=ROOT / "benchmarks" / "launch.yaml")
    reader.add_argument("--draws", type=int, default=2000)
    asked = reader.parse_args()
    with tempfile.TemporaryDirectory() as kept:
        first, one = run(asked.programme, asked.draws, kept)
        again, other = run(asked.programme, asked.draws, kept)
        few, _ = run(asked.programme, 500, kept)
    print(f"{first:6.1f} CPU s  {asked.draws:,} draws, nothing kept")
    print(f"{again:6.1f} CPU s  {asked.draws:,} draws, speeds kept by the run before")
    print(f"{few:6.1f} CPU s  500 draws, speeds kept")
    print("the same bytes" if one == other else "OTHER BYTES")


if __name__ == "__main__":
    main()
