"""SkyPilot: a service task for each kind of instance (docs.skypilot.co, YAML and service specification)."""

from __future__ import annotations

from tonnage.export.exported import CannotExport, ExportedFile
from tonnage.export.flags import EngineLaunch
from tonnage.export.kubernetes import PORTS, Fields, label, resources, text
from tonnage.export.scripts import header, script, told
from tonnage.serve.instances import Instance
from tonnage.serve.result import ServePlan

NAME = "skypilot"

PLACE = 'export NODE_RANK=$SKYPILOT_NODE_RANK\nexport HEAD_ADDR=$(echo "$SKYPILOT_NODE_IPS" | head -n1)\n'
"""What SkyPilot calls the number of a server and the addresses of all (docs.skypilot.co, distributed jobs)."""


def files(plan: ServePlan) -> tuple[ExportedFile, ...]:
    """A task for each kind of instance."""
    rows = told(plan, plan.instances[0].engine if plan.instances else NAME)
    return tuple(ExportedFile(f"{row.role}.yaml", _task(plan, one, row)) for one, row in rows)


def _task(plan: ServePlan, one: Instance, row: EngineLaunch) -> str:
    known = resources()["skypilot"].get(one.chip)
    if known is None:
        raise CannotExport(NAME, f"the name by which SkyPilot knows a {one.chip} is not known here")
    held = -(-one.ranks // (row.nodes * one.dies))
    port = PORTS[one.engine]
    body = script(plan, one, row).split("\n", 1)[1]
    task: Fields = {"name": f"{label(plan.question.job.arch.title)}-{row.role}"}
    task["resources"] = {"accelerators": f"{known}:{held}", "ports": port}
    task["num_nodes"] = row.nodes
    if "$MODEL" in body:
        task["envs"] = {"MODEL": None}
    task["service"] = {"readiness_probe": "/health", "replicas": row.count}
    task["run"] = (PLACE if row.nodes > 1 else "") + body
    lines = [*header(plan, one, row), f"sky serve up {row.role}.yaml (each replica is {row.nodes} of its servers)"]
    return text([task], lines)
