"""Ray Serve: the configuration that `serve deploy` takes, with vLLM's engine arguments (docs.ray.io, Serve LLM)."""

from __future__ import annotations

import json
import shlex

from tonnage.export.accepted import table
from tonnage.export.exported import CannotExport, ExportedFile
from tonnage.export.flags import EngineLaunch
from tonnage.export.kubernetes import Fields, label, text
from tonnage.export.reasons import grouped, reasons
from tonnage.export.scripts import header, told
from tonnage.serve.instances import Instance
from tonnage.serve.result import ServePlan
from tonnage.values import Plain

NAME = "ray"

PLACED = {"--nnodes", "--node-rank", "--master-addr", "--master-port", "--headless", "--data-parallel-size-local"}
PLACED |= {"--data-parallel-address", "--data-parallel-rpc-port", "--data-parallel-start-rank"}
"""Flags that place ranks on servers: Ray does that itself."""


def files(plan: ServePlan) -> tuple[ExportedFile, ...]:
    """One configuration: an application of OpenAI's interface before every replica."""
    if any(one.engine != "vllm" for one in plan.instances):
        engines = " and ".join(sorted({one.engine for one in plan.instances}))
        raise CannotExport(
            NAME, f"Ray Serve LLM runs vLLM; the plan was priced for {engines}", "tonnage serve ... --engine vllm"
        )
    rows = told(plan, "vllm")
    if any(one.afd is not None for one, _ in rows):
        raise CannotExport(NAME, "attention and FFN apart are not known to Ray Serve LLM")
    configs = {row.role: _config(plan, one, row) for one, row in rows}
    args: Fields
    if "serve" in configs:
        path, args = "ray.serve.llm:build_openai_app", {"llm_configs": [configs["serve"]]}
    else:
        path = "ray.serve.llm:build_pd_openai_app"
        args = {"prefill_config": configs["prefill"], "decode_config": configs["decode"]}
    application: Fields = {"name": label(plan.question.job.arch.title), "route_prefix": "/", "import_path": path}
    comments = [line for one, row in rows for line in header(plan, one, row)]
    comments += [f"{name.replace('--', '').replace('-', '_')}: {reasons()[name]}" for name in _used(rows)]
    return (ExportedFile("serve.yaml", text([{"applications": [{**application, "args": args}]}], comments)),)


def _used(rows: tuple[tuple[Instance, EngineLaunch], ...]) -> list[str]:
    """Flags of all instances that have a reason, once."""
    words = [group.split()[0] for _, row in rows for group, _ in grouped(row.flags or "")]
    return [word for word in dict.fromkeys(words) if word in reasons() and word not in PLACED]


def _config(plan: ServePlan, one: Instance, row: EngineLaunch) -> Fields:
    """One `LLMConfig`: flags of vLLM under the names of its arguments."""
    kwargs: Fields = {}
    for group, _ in grouped(row.flags or ""):
        flag, *values = shlex.split(group)
        if flag not in PLACED:
            kwargs[flag[2:].replace("-", "_")] = _typed(flag, values)
    loading: Fields = {"model_id": label(plan.question.job.arch.title), "model_source": one.model}
    return {"model_loading_config": loading, "engine_kwargs": kwargs, "deployment_config": {"num_replicas": row.count}}


def _typed(flag: str, values: list[str]) -> Plain:
    """The value of a flag in the type that the engine's table gives it."""
    takes = table("vllm").flags.get(flag, {}).get("takes", "")
    if not values:
        return True
    if takes == "json":
        found: Plain = json.loads(values[0])
        return found
    if takes in ("int", "float"):
        return int(values[0]) if takes == "int" else float(values[0])
    for kind in (int, float):
        try:
            return kind(values[0])
        except ValueError:
            continue
    return values[0]
