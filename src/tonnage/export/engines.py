"""What a plan is written for: engines, and schedulers that start them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from tonnage.errors import InputError, Problem, nearest
from tonnage.export import check, dynamo, kubernetes, ray, scripts, skypilot
from tonnage.export.exported import CannotExport, ExportedFile
from tonnage.serve.replica.engines import ENGINES
from tonnage.serve.result import ServePlan

Writer = Callable[[ServePlan], tuple[ExportedFile, ...]]

SERVING: Mapping[str, Writer] = {
    "vllm": partial(scripts.files, engine="vllm"),
    "sglang": partial(scripts.files, engine="sglang"),
    "trtllm": partial(scripts.files, engine="trtllm"),
    "vllm-ascend": partial(scripts.files, engine="vllm-ascend"),
    "dynamo": dynamo.files,
    "ray": ray.files,
    "k8s": kubernetes.files,
    "skypilot": skypilot.files,
}
"""What serves, and what writes its files."""


def serving_files(plan: ServePlan, engine: str, version: str | None = None) -> tuple[ExportedFile, ...]:
    """The files of a service for an engine, and the script that checks it.

    version: of the engine; flags are known of one release each. Raises InputError for a name that is not known, and
    CannotExport where the engine cannot be told what the plan decided.
    """
    if engine not in SERVING:
        near = nearest(engine, SERVING)
        problem = Problem(f'"{engine[:40]}" is not one of {", ".join(SERVING)}', suggestion=near)
        raise InputError(problem)
    made = SERVING[engine](plan)
    known = ENGINES[plan.instances[0].engine].can.version
    if version is not None and version != known:
        raise CannotExport(
            engine, f"flags of {plan.instances[0].engine} {version} are not known here; those of {known} are"
        )
    return (*made, *check.files(plan))
