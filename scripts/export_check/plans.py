"""The plans whose files are checked: ten kinds, each priced for each engine that runs there."""

from __future__ import annotations

import io
import json
import shlex
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from tonnage.cli import run
from tonnage.export import CannotExport, ExportedFile, serving_files
from tonnage.serve import ServePlan

PLANS = {
    "dense, 1 GPU": ("llama-3.1-8b --isl 1k --osl 1k", "1xh200", "1xascend-910c"),
    "dense, 2 servers": ("llama-3.1-405b --isl 2k --osl 500 --layout tp8,pp2", "16xh100", "32xascend-910b"),
    "dense, two pools": ("qwen3-32b --isl 2k --osl 500 --mode disaggregated", "8xh100", "16xascend-910b"),
    "MoE": ("qwen3-235b-a22b --isl 2k --osl 1k", "8xh200", "16xascend-910c"),
    "MoE, AMD": ("qwen3-235b-a22b --isl 2k --osl 1k", "8xmi300x", ""),
    "MLA": ("deepseek-v3 --isl 1k --osl 1k", "8xh200", "16xascend-910c"),
    "MLA, 4 servers": ("deepseek-r1 --isl 4k --osl 1k --layout tp1,dp32,ep32", "32xh20", "32xascend-910c"),
    "MLA, two pools": ("deepseek-r1 --isl 4k --osl 1k --mode disaggregated", "32xh200", "64xascend-910c"),
    "hybrid": ("qwen3-next-80b-a3b --isl 1k --osl 1k", "4xh100", "8xascend-910b"),
    "dense, Ascend": ("qwen3-32b --isl 1k --osl 1k", "8xascend-910b", "8xascend-910b"),
}
"""Words of the question, the fleet, and that of Ascend for vLLM Ascend."""

ON_ASCEND = "dense, Ascend"
"""The kind that a scheduler's file is written of as vLLM Ascend's."""


@dataclass(frozen=True)
class Priced:
    """A plan and the engine that it was priced for; why: not, where no plan was found."""

    plan: ServePlan | None
    why: str = ""


def priced(kind: str, engine: str, folder: Path) -> Priced:
    """A plan of a kind, by the command itself."""
    words, fleet, ascend = PLANS[kind]
    fleet = ascend if engine == "vllm-ascend" else fleet
    if not fleet:
        return Priced(None, f"{engine} does not run on it")
    path = folder / f"{len(list(folder.iterdir()))}.json"
    asked = [
        "serve",
        *shlex.split(words),
        "--on",
        fleet,
        "--engine",
        engine,
        "-o",
        str(path),
        "--quiet",
        "--ledger=off",
    ]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        code = run(asked)
    if code != 0:
        return Priced(None, "infeasible" if code == 1 else f"{engine} does not run on it")
    return Priced(ServePlan.from_json(json.loads(path.read_text("utf-8"))))


def written(one: Priced, target: str) -> tuple[tuple[ExportedFile, ...], str]:
    """The files of a plan for a target, or why not."""
    if one.plan is None:
        return (), one.why
    try:
        return serving_files(one.plan, target), ""
    except CannotExport as error:
        return (), " ".join(error.message.split())
