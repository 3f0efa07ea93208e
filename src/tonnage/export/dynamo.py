"""NVIDIA Dynamo: its frontend and workers, which take the engine's own flags (docs.nvidia.com/dynamo, backends)."""

from __future__ import annotations

from tonnage.export.exported import CannotExport, ExportedFile
from tonnage.export.flags import EngineLaunch
from tonnage.export.reasons import grouped
from tonnage.export.scripts import HEAD, header, told
from tonnage.serve.instances import Instance
from tonnage.serve.result import ServePlan

NAME = "dynamo"

WORKERS = {"vllm": "dynamo.vllm", "sglang": "dynamo.sglang"}
"""Modules that run an engine under Dynamo with that engine's own flags."""

FRONT = """# the address that clients speak to; one for the service
python3 -m dynamo.frontend --http-port 8000
"""


def files(plan: ServePlan) -> tuple[ExportedFile, ...]:
    """A script for the frontend and one for each kind of worker."""
    engine = plan.instances[0].engine if plan.instances else NAME
    if engine not in WORKERS:
        raise CannotExport(
            NAME, f"workers of {engine} under Dynamo are not written here", "plans for vllm or sglang are"
        )
    rows = told(plan, engine)
    if any(one.afd is not None for one, _ in rows):
        raise CannotExport(NAME, "attention and FFN apart are not known to Dynamo")
    made = [ExportedFile(f"{row.role}.sh", _worker(plan, one, row), True) for one, row in rows]
    return (ExportedFile("frontend.sh", f"{HEAD}set -euo pipefail\n{FRONT}", True), *made)


def _worker(plan: ServePlan, one: Instance, row: EngineLaunch) -> str:
    if row.nodes > 1 and one.engine == "vllm":
        raise CannotExport(NAME, "an instance of vLLM over several servers is not known to be taken by dynamo.vllm")
    flags = row.flags or ""
    if one.engine == "vllm":
        flags = f"--model {one.model} {flags}"
        flags += f" --disaggregation-mode {row.role}" if row.role in ("prefill", "decode") else ""
    elif row.nodes > 1:
        flags = flags.replace("--node-rank 0", "--node-rank $NODE_RANK")
    lines = [HEAD.rstrip(), *(f"# {line}" for line in header(plan, one, row)), "set -euo pipefail", "flags=("]
    lines += [f"  {text}" + (f"  # {why}" if why else "") for text, why in grouped(flags)]
    return "\n".join([*lines, ")", f'exec python3 -m {WORKERS[one.engine]} "${{flags[@]}}"']) + "\n"
