"""Scripts that start a training engine on every server: torchrun, and Slurm's job around it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping

from tonnage.export.exported import ExportedFile
from tonnage.export.setting import Setting, asked_of_user, user_owned
from tonnage.export.train_launch import TrainLaunch
from tonnage.printable import one_line

HEAD = "#!/usr/bin/env bash\n"
PORT = 29500
"""Where ranks meet: torchrun's own default."""


def header(run: TrainLaunch, engine: str, version: str) -> Iterator[str]:
    """What a file is for, in lines without a mark of comment."""
    job, own = run.job, run.layout
    title = one_line(job.arch.title, 100)
    servers = f"{run.nodes} server{'s' * (run.nodes > 1)}"
    yield f"{job.task} of {title} on {run.ranks:,} ranks of {one_line(run.chip.name, 60)}, {servers}"
    yield f"for {engine} {version}, as priced by tonnage: {own}"
    figures = run.plan.run
    if figures is not None:
        step, memory = figures.step_time, figures.memory
        yield f"predicted: {step.value:.4g} s a step ({step.low:.4g} to {step.high:.4g})"
        held, low, high = (size / 1e9 for size in (memory.total, memory.low, memory.high))
        yield f"predicted: {held:.4g} GB on the fullest rank ({low:.4g} to {high:.4g})"
    yield f"{run.microbatches} micro-batches of a step on each of {int(own.dp)} replicas"


def shell_value(one: Setting) -> str:
    """The value of a setting as one word of a shell; variables stay variables."""
    text = str(one.value)
    if text.startswith("$"):
        return f'"{text}"'
    if isinstance(one.value, list):
        return " ".join(shlex.quote(word) for word in one.value)
    return shlex.quote(text)


def flag_lines(made: Iterable[Setting], joined: str = " ") -> Iterator[str]:
    """Settings one a line, each with its line of the plan; joined: what stands between name and value."""
    for one in made:
        alone = one.value is True and joined == " "
        yield f"  {one.name}{'' if alone else joined + shell_value(one)}  # {one.why}"


def demands(names: Iterable[str]) -> Iterator[str]:
    """Lines that stop a script where a variable of the user's is missing, and say what it is."""
    for name in names:
        yield f': "${{{name}:?{asked_of_user()[name]}}}"'


def scripts(
    run: TrainLaunch,
    engine: str,
    program: str,
    made: tuple[Setting, ...],
    environment: Mapping[str, str],
    joined: str = " ",
    needs: tuple[str, ...] = (),
) -> tuple[ExportedFile, ...]:
    """`train.sh`, one on each server, and `sbatch.sh` where there are several. program: what torchrun starts; needs:
    variables of the user's that it reads.
    """
    from tonnage.export.train_tables import version

    several = run.nodes > 1
    needed = [*(needs or user_owned(made)), *(("HEAD_ADDR", "NODE_RANK") if several else ())]
    lines = [HEAD.rstrip(), *(f"# {text}" for text in header(run, engine, version(engine)))]
    lines += ["set -euo pipefail", "", *demands(needed)]
    lines += [f"export {name}={value}  # the engine asks for it" for name, value in environment.items()]
    lines += ["torchrun=(", f"  --nproc-per-node {run.each}  # {Setting('', 1, 'server').why}"]
    lines += [f"  --nnodes {run.nodes}  # {Setting('', 1, 'nodes').why}"]
    if several:
        meet = f'--node-rank "$NODE_RANK" --master-addr "$HEAD_ADDR" --master-port {PORT}'
        lines += [f"  {meet}  # how servers find each other"]
    lines += [")"]
    if made:
        lines += ["flags=(", *flag_lines(made, joined), ")"]
    flags = ' "${flags[@]}"' if made else ""
    lines += [f'exec torchrun "${{torchrun[@]}}" {program}{flags} "$@"']
    found = [ExportedFile("train.sh", "\n".join(lines) + "\n", True)]
    if several:
        found.append(ExportedFile("sbatch.sh", _slurm(run), True))
    return tuple(found)


def _slurm(run: TrainLaunch) -> str:
    """Slurm's job: the script on each server, with its number and the first one's address."""
    inner = 'NODE_RANK=$SLURM_NODEID exec bash "$0" "$@"'
    lines = [HEAD.rstrip(), f"#SBATCH --nodes={run.nodes}", "#SBATCH --ntasks-per-node=1", "#SBATCH --exclusive"]
    lines += [f"#SBATCH --gpus-per-node={run.each // run.chip.dies}", "set -euo pipefail"]
    lines += ['HEAD_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n1)', "export HEAD_ADDR"]
    lines += [f"srun bash -c '{inner}' train.sh \"$@\""]
    return "\n".join(lines) + "\n"
