"""Regenerate docs/speed.md: how fast tonnage answers, and the peers side by side where they are given.

    python benchmarks/speed.py [--aiconfigurator PYTHON] [--calculon CHECKOUT PYTHON] [-o FILE]

--aiconfigurator: a Python with aiconfigurator 0.12 installed (`pip install aiconfigurator==0.12.0` in a venv of its
own); --calculon: a checkout of github.com/calculon-ai/calculon and a Python with psutil and pandas. Everything is run
here, one after the other, on one core; without a peer its published figure stands in the table, marked as such.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
TONNAGE = Path(sys.executable).parent / "tonnage"
BYTECODE = "PYTHONDONTWRITEBYTECODE"
ONE_CORE = {name: value for name, value in os.environ.items() if name != BYTECODE}
ONE_CORE |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""One core, and bytecode as an installed package has it: the first of a few runs writes what is not there yet."""

POINTS = 7_126_368
"""Points that Calculon's own search visits for GPT-3 175B on 4,096 A100-80."""
CHUNK = 1 << 16

SERVE = "serve deepseek-v3 --on 32xh200 --isl 4000 --osl 1000 --ttft 2s --tpot 30ms --json"
POINT = "serve deepseek-v3 --on 32xh200 --isl 4000 --osl 1000 --layout tp1,dp32,ep32 --json"
AIC = (
    "cli default --model deepseek-ai/DeepSeek-V3 --total-gpus 32 --system h200_sxm --isl 4000 --osl 1000 "
    "--ttft 2000 --tpot 30"
)
COMMANDS = (
    ("tonnage --help", "--help", "0.3 s CPU"),
    ("tonnage fit deepseek-r1 --on 8xh20", "fit deepseek-r1 --on 8xh20", "2 s"),
    (
        "tonnage train llama-3.1-405b on 16,384 H100, layout given",
        "train llama-3.1-405b --on 16384xh100-sxm --seq 8192 --global-batch 2048 --layout tp8,pp16,dp128",
        "2 s",
    ),
    (
        "tonnage serve deepseek-r1 --on 16xh20, searched",
        "serve deepseek-r1 --on 16xh20 --isl 4k --osl 1k --tpot 50ms",
        "2 s",
    ),
    ("tonnage serve deepseek-v3 on 32 H200, one point", POINT, "0.6 s"),
    ("tonnage launch examples/r2.yaml, 500 draws", "launch examples/r2.yaml", "20 s"),
    ("tonnage accuracy train", "accuracy train", "30 s"),
    ("tonnage accuracy serve", "accuracy serve", "30 s"),
)


@dataclass(frozen=True)
class Run:
    """A process that ended: wall and CPU time [s], what it printed, its exit code."""

    wall: float
    cpu: float
    out: str
    code: int


def run(arguments: Sequence[str], where: Path = ROOT) -> Run:
    """Run a process on one core and take its times."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(arguments, cwd=where, env=ONE_CORE, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, done.stdout, done.returncode)


def best(arguments: Sequence[str], times: int = 3) -> Run:
    """The quickest of a few runs: the others waited for something else."""
    return min((run(arguments) for _ in range(times)), key=lambda one: one.wall)


def layouts_per_second() -> tuple[float, float]:
    """(layouts per CPU second, CPU seconds for `POINTS` of them): step time and memory of each, GPT-3 175B, 4,096 A100.

    Points are drawn at random from all products of degrees, micro-batch, ZeRO stage, recomputation and schedule that
    multiply out to 4,096; they come in chunks, as in the search.
    """
    from tonnage import catalog, model, system
    from tonnage.layout import Layout
    from tonnage.train import TrainJob
    from tonnage.train.search import evaluate

    facts = catalog.load()
    job = TrainJob(model.load("openai/gpt-3-175b", facts), seq=2048, global_batch=4096, precision="fp16")
    cluster = system.System(system.accelerator("a100-sxm-80gb", facts), 4096)
    degrees = [
        (tp, pp, cp)
        for tp in (1, 2, 4, 8, 16, 32)
        for pp in (1, 2, 4, 8, 16, 32, 64)
        for cp in (1, 2)
        if 4096 % (tp * pp * cp) == 0
    ]
    generator = np.random.default_rng(0)

    def chunk(size: int) -> Layout:
        tp, pp, cp = np.array(degrees)[generator.integers(len(degrees), size=size)].T
        dp = 4096 // (tp * pp * cp)
        mbs = 2 ** generator.integers(0, 6, size=size)
        draws = [generator.integers(0, most, size=size) for most in (4, 3, 4)]
        vpp = np.where(pp > 1, 1 + generator.integers(0, 6, size=size), 1)
        return Layout(
            tp=tp, pp=pp, vpp=vpp, cp=cp, dp=dp, mbs=mbs, zero=draws[0], recompute=draws[1], schedule=draws[2]
        )

    evaluate(job, cluster, chunk(64))
    seconds, left = 0.0, POINTS
    while left > 0:
        candidates = chunk(min(CHUNK, left))
        start = time.process_time()
        evaluate(job, cluster, candidates)
        seconds += time.process_time() - start
        left -= CHUNK
    return POINTS / seconds, seconds


CALCULON = """
import random, sys, time
sys.path.insert(0, sys.argv[1])
import calculon
from calculon.llm import Llm, System
from calculon.llm.optimal_execution import OptimalExecution as Search
from calculon.util import pick
app = Llm.Application(calculon.io.read_json_file(sys.argv[1] + "/models/gpt3-175B.json"))
chip = System(calculon.io.read_json_file(sys.argv[1] + "/systems/a100_80g.json"))
todo = []
for tp in Llm.get_all_tensor_parallelisms(4096, app.hidden, app.attn_heads):
    for pp in Llm.get_all_pipeline_parallelisms(4096, tp, app.num_blocks):
        dp = Llm.get_data_parallelism(4096, tp, pp)
        for vpp in Llm.get_valid_pipeline_interleavings(app.num_blocks, pp):
            batch = Search.get_batch_size(dp, 4096)
            if batch is None:
                continue
            for recompute in ("full", "attn_only", "none"):
                for sharding in pick(dp > 1, [True, False], [False]):
                    for kind in ("ar", "p2p_rs_ag", "rs_ag"):
                        todo.append((False, 1, False, 4096, 4096, "float16", app, chip, tp, pp, dp, vpp, batch,
                                     recompute, sharding, kind, "true", True, True, True))
random.Random(0).shuffle(todo)
points, start = 0, time.process_time()
for task in todo:
    points += Search.search(*task)[1]
    if time.process_time() - start > float(sys.argv[2]):
        break
print(points / (time.process_time() - start))
"""


def calculon(checkout: Path, python: Path, seconds: float = 60.0) -> float | None:
    """Points per CPU second of Calculon's search of the same model and system, in random order; None if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "calculon_rate.py"
        script.write_text(CALCULON, encoding="utf-8")
        done = run([str(python), str(script), str(checkout.resolve()), str(seconds)], Path(folder))
    if done.code:
        print("calculon did not run", file=sys.stderr)
        return None
    return float(done.out.split()[-1])


def aiconfigurator(python: Path) -> Run | None:
    """AIConfigurator's full search, whole process; None if it fails."""
    done = run([str(python.parent / "aiconfigurator"), *AIC.split()])
    if done.code:
        print("aiconfigurator did not run", file=sys.stderr)
        return None
    return done


def commands() -> list[tuple[str, ...]]:
    """Whole processes: what, bar, wall, CPU."""
    rows: list[tuple[str, ...]] = []
    for what, arguments, bar in COMMANDS:
        if "launch" in arguments and not (ROOT / "examples/r2.yaml").exists():
            continue
        long = arguments.startswith(("accuracy", "launch"))
        done = best([str(TONNAGE), *arguments.split()], 1 if long else 3)
        rows.append((what, bar, f"{done.wall:.2f} s", f"{done.cpu:.2f} s", "" if done.code in (0, 1) else "failed"))
    return rows


def training(peer: tuple[Path, Path] | None) -> list[tuple[str, ...]]:
    """Layouts per second beside Calculon's."""
    rate, seconds = layouts_per_second()
    theirs = calculon(*peer) if peer else None
    said = f"{theirs:.0f}/s, here" if theirs else "217/s as shipped (published; not run here)"
    ratio = rate / (theirs or 217)
    return [
        ("training layouts per second, one core", "300 times Calculon", f"{rate:,.0f}/s", said, f"{ratio:,.0f} times"),
        ("7,126,368 of them", "15 s", f"{seconds:.1f} s CPU", "unfinished after hours", ""),
    ]


def serving(peer: Path | None) -> list[tuple[str, ...]]:
    """The full serving search beside AIConfigurator's, start-up included."""
    ours = best([str(TONNAGE), *SERVE.split()])
    search = json.loads(ours.out)["search"]
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in search["kinds"].items())
    theirs = aiconfigurator(peer) if peer else None
    said = f"{theirs.wall:.1f} s, here" if theirs else "52 to 66 s (published; not run here)"
    ratio = (theirs.wall if theirs else 52.0) / ours.wall
    what = (
        f"full search, DeepSeek-V3 on 32 H200, wall-clock with start-up; {search['candidates']:,} points ({kinds}), "
        "against 159,600 grid points of AIConfigurator"
    )
    return [(what, "50 times AIConfigurator", f"{ours.wall:.2f} s", said, f"{ratio:.0f} times")]


def simulated(vidur: tuple[Path, Path] | None) -> str:
    """The tables of `benchmarks/simulate.py` and of `benchmarks/vidur.py`, where Vidur is given; own processes."""
    made = run([sys.executable, str(ROOT / "benchmarks/simulate.py"), "--day"]).out
    if vidur is None:
        return made
    beside = run([sys.executable, str(ROOT / "benchmarks/vidur.py"), *map(str, vidur)]).out
    asked = "Vidur's example, same arrivals and lengths, loops alone (bars: 100 times as Python, 1,000 compiled):"
    return f"{made}\n{asked}\n\n{beside}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main() -> None:
    """Measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aiconfigurator", type=Path, metavar="PYTHON")
    parser.add_argument("--calculon", type=Path, nargs=2, metavar=("CHECKOUT", "PYTHON"))
    parser.add_argument("--vidur", type=Path, nargs=2, metavar=("CHECKOUT", "PYTHON"))
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs/speed.md")
    options = parser.parse_args()
    peers = [*training(tuple(options.calculon) if options.calculon else None), *serving(options.aiconfigurator)]
    page = f"""\
# Speed

Regenerate with `make speed`; peers are timed beside it when given (see `benchmarks/speed.py`). Best of three, one
core, {platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}. Other work on the machine makes
wall-clock times longer, never shorter.

## Whole commands

{table(("what", "bar", "wall", "CPU", ""), commands())}
## Beside the peers

{table(("what", "bar", "tonnage", "peer", "ratio"), peers)}
## Requests simulated

{simulated(tuple(options.vidur) if options.vidur else None)}"""
    options.output.write_text(page, encoding="utf-8")
    print(page)
    print(options.output, file=sys.stderr)


if __name__ == "__main__":
    main()
