"""Kubernetes: a Deployment where an instance fits one server, a LeaderWorkerSet where it lies on several.

LeaderWorkerSet (github.com/kubernetes-sigs/lws) gives each group LWS_LEADER_ADDRESS and LWS_WORKER_INDEX, which are the
address of the first server and the number of each. Kueue (github.com/kubernetes-sigs/kueue) admits what has a label
with the name of its queue; the quota is what the plan uses.
"""

from __future__ import annotations

import functools
import io
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from tonnage.export.exported import CannotExport, ExportedFile
from tonnage.export.flags import EngineLaunch
from tonnage.export.scripts import header, script, told
from tonnage.serve.instances import Instance
from tonnage.serve.result import ServePlan
from tonnage.values import Plain

DATA = Path(__file__).parent / "data" / "resources.toml"

NAME, QUEUE = "k8s", "tonnage"

PORTS = {"vllm": 8000, "vllm-ascend": 8000, "sglang": 30000, "trtllm": 8000}
"""Where each engine's server listens."""

Fields = dict[str, Plain]


@functools.cache
def resources() -> Mapping[str, Mapping[str, Plain]]:
    """Names by which schedulers know accelerators."""
    found: Mapping[str, Mapping[str, Plain]] = tomllib.loads(DATA.read_text(encoding="utf-8"))
    return found


def resource(one: Instance) -> str:
    """The extended resource that an accelerator is. Raises CannotExport where it is not known."""
    entry = resources()["kubernetes"].get(one.stack or "")
    if not isinstance(entry, dict):
        raise CannotExport(NAME, f"the resource by which Kubernetes knows a {one.chip} ({one.stack}) is not known here")
    return str(entry["name"])


def files(plan: ServePlan) -> tuple[ExportedFile, ...]:
    """Manifests: one for each kind of instance, and the queue."""
    engine = plan.instances[0].engine if plan.instances else NAME
    rows = told(plan, engine)
    made = [ExportedFile(f"{row.role}.yaml", _manifest(plan, one, row)) for one, row in rows]
    return (*made, ExportedFile("queue.yaml", _queue(rows)))


def text(documents: Sequence[Fields], comments: Sequence[str]) -> str:
    """Documents of YAML under lines of comment."""
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import LiteralScalarString

    def written(value: Plain) -> object:
        if isinstance(value, Mapping):
            return {key: written(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [written(item) for item in value]
        return LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value

    writer, out = YAML(), io.StringIO()
    writer.width = 10_000
    writer.indent(mapping=2, sequence=4, offset=2)
    for index, document in enumerate(documents):
        out.write("---\n" if index else "")
        writer.dump(written(document), out)
    return "".join(f"# {line}\n" for line in comments) + out.getvalue()


def label(words: str) -> str:
    """Words as a name of Kubernetes: small letters, digits and dashes, at most 50."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:50].strip("-") or "model"


def _manifest(plan: ServePlan, one: Instance, row: EngineLaunch) -> str:
    name = f"{label(plan.question.job.arch.title or plan.question.job.arch.name)}-{row.role}"
    labels: Fields = {"app": name}
    pod = _pod(plan, one, row)
    meta: Fields = {"name": name, "labels": {**labels, "kueue.x-k8s.io/queue-name": QUEUE}}
    comments = [
        *header(plan, one, row),
        "$IMAGE: the image of the engine; envsubst '$IMAGE $MODEL' < this file | kubectl apply -f -",
    ]
    if row.nodes == 1:
        template: Fields = {"metadata": {"labels": labels}, "spec": pod}
        spec: Fields = {"replicas": row.count, "selector": {"matchLabels": labels}, "template": template}
        main: Fields = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
    else:
        template = {"size": row.nodes, "workerTemplate": {"metadata": {"labels": labels}, "spec": pod}}
        spec = {"replicas": row.count, "leaderWorkerTemplate": template}
        kind: Fields = {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet"}
        main = {**kind, "metadata": meta, "spec": spec}
        labels = {**labels, "leaderworkerset.sigs.k8s.io/worker-index": "0"}
    port: Fields = {"port": 80, "targetPort": PORTS[one.engine]}
    service: Fields = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}}
    return text([main, {**service, "spec": {"selector": labels, "ports": [port]}}], comments)


def _pod(plan: ServePlan, one: Instance, row: EngineLaunch) -> Fields:
    """One server's pod: the script of its kind, with the group's own names for its place in it."""
    held = -(-one.ranks // (row.nodes * one.dies))
    amount: Fields = {resource(one): held}
    group: list[Plain] = []
    if row.nodes > 1:
        group = [
            "export HEAD_ADDR=$LWS_LEADER_ADDRESS  # the first server of the group, by LeaderWorkerSet",
            "export NODE_RANK=$LWS_WORKER_INDEX",
        ]
    body = script(plan, one, row).split("\n", 1)[1]
    own = "\n".join([*(str(line) for line in group), body])
    model: list[Plain] = [{"name": "MODEL", "value": "$MODEL"}] if "$MODEL" in body else []
    container: Fields = {
        "name": "engine",
        "image": "$IMAGE",
        "command": ["bash", "-c"],
        "args": [own],
        "ports": [{"containerPort": PORTS[one.engine]}],
        "resources": {"limits": amount, "requests": dict(amount)},
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
    }
    if model:
        container["env"] = model
    shm: Fields = {"name": "shm", "emptyDir": {"medium": "Memory"}}
    return {"containers": [container], "volumes": [shm]}


def _queue(rows: Sequence[tuple[Instance, EngineLaunch]]) -> str:
    """A flavour for each chip, one queue of the cluster with what the plan uses as quota, one of the namespace."""
    quota: dict[str, dict[str, int]] = {}
    for one, row in rows:
        held = quota.setdefault(label(one.chip), {})
        held[resource(one)] = held.get(resource(one), 0) + row.count * one.ranks // one.dies
    api: Fields = {"apiVersion": "kueue.x-k8s.io/v1beta1"}
    flavours: list[Fields] = [{**api, "kind": "ResourceFlavor", "metadata": {"name": chip}} for chip in quota]
    names = sorted({name for held in quota.values() for name in held})
    given: list[Plain] = []
    for chip, held in quota.items():
        own: list[Plain] = [{"name": name, "nominalQuota": held.get(name, 0)} for name in names]
        given.append({"name": chip, "resources": own})
    groups: list[Plain] = [{"coveredResources": list(names), "flavors": given}]
    spec: Fields = {"namespaceSelector": {}, "resourceGroups": groups}
    whole: Fields = {**api, "kind": "ClusterQueue", "metadata": {"name": QUEUE}, "spec": spec}
    local: Fields = {**api, "kind": "LocalQueue", "metadata": {"name": QUEUE, "namespace": "default"}}
    own_queue: Fields = {**local, "spec": {"clusterQueue": QUEUE}}
    return text([*flavours, whole, own_queue], ["quota: the accelerators that the plan uses"])
