"""Manifests and configurations (YAML, JSON, TOML) -> what they start.

Read: Kubernetes, LeaderWorkerSet, Dynamo, Helm values, Docker Compose, SkyPilot, Ray Serve, recipes of prefill and
decode pools, configurations of engines, records of launches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tonnage.launchfile.command import inside, start_of
from tonnage.launchfile.names import engine_named, names, plain, sections, texts
from tonnage.launchfile.script import Script, Variables
from tonnage.launchfile.value import Command, EngineStart, Said, Word

DEEPEST = 24
"""How deep a document is looked into."""

LISTED = ("command", "args", "entrypoint")
SCRIPTED = ("run", "setup_script", "runScript")
DEVICES = ("nvidia.com/gpu", "amd.com/gpu", "huawei.com/Ascend910", "huawei.com/ascend-1980", "gpu", "requestGPU")
"""Keys under which servers are asked for accelerators."""

CHIPS = ("cloud.google.com/gke-accelerator", "nvidia.com/gpu.product", "accelerator_type", "gpu_type", "chip")

SIGNATURES = {
    "verl": {"actor-rollout-ref", "ppo-mini-batch-size"},
    "maxtext": {"per-device-batch-size", "max-target-length", "ici-fsdp-parallelism"},
    "torchtitan": {
        "tensor-parallel-degree",
        "expert-parallel-degree",
        "data-parallel-shard-degree",
        "tokens-per-microbatch-per-dp-rank",
    },
    "deepspeed": {"zero-optimization", "train-micro-batch-size-per-gpu"},
    "megatron-bridge": {"tensor-model-parallel-size", "pipeline-model-parallel-size", "expert-model-parallel-size"},
    "trtllm": {"kv-cache-config", "moe-expert-parallel-size", "max-num-tokens", "enable-attention-dp"},
    "sglang": {
        "mem-fraction-static",
        "tp-size",
        "enable-dp-attention",
        "context-length",
        "chunked-prefill-size",
        "dp-size",
    },
    "vllm": {
        "tensor-parallel-size",
        "gpu-memory-utilization",
        "max-model-len",
        "max-num-seqs",
        "data-parallel-size",
        "model",
    },
}
"""Settings by which a configuration is known as an engine's; the first engine that has one."""


Path = tuple[str | int, ...]
"""Keys and indices down to a node."""


@dataclass(frozen=True)
class Around:
    """What is said above a place in a document, of everything below it."""

    engine: str | None = None
    version: str | None = None
    part: str = ""
    chip: str | None = None
    each: int | None = None
    nodes: int | None = None
    replicas: int | None = None
    model: str | None = None
    known: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Tree:
    """A document as it is looked through. place: `file:line:column` of a path."""

    name: str
    line: Mapping[Path, str]

    def where(self, path: Path) -> str:
        """Where a node stands, or the nearest one above it."""
        while path and path not in self.line:
            path = path[:-1]
        return self.line.get(path, self.name)

    def starts(self, value: object, around: Around, path: Path = ()) -> Iterator[EngineStart]:
        """What a node and everything below it starts."""
        if len(path) > DEEPEST:
            return
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.starts(item, around, (*path, index))
        if not isinstance(value, Mapping):
            return
        around = _around(value, around, path)
        special = list(self._special(value, around, path))
        if special:
            yield from special
            return
        yield from self._commands(value, around, path)
        for key, item in value.items():
            if key not in (*LISTED, *SCRIPTED) or isinstance(item, Mapping):
                yield from self.starts(item, around, (*path, str(key)))

    def _special(self, value: Mapping[str, object], around: Around, path: Path) -> Iterator[EngineStart]:
        """Documents that say settings in words of their own."""
        if isinstance(value.get("flags"), Mapping) and "engine" in value:
            yield from self._record(value, around, path)
        elif isinstance(value.get("engine_kwargs"), Mapping):
            yield self._ray(value, around, path)
        elif isinstance(value.get("vllmConfig"), Mapping) or "modelURL" in value:
            yield self._stack(value, around, path)
        elif isinstance(value.get("parallelism"), Mapping) and "containers" in value:
            yield self._modelservice(value, around, path)
        elif isinstance(value.get("resources"), Mapping) and "prefill_nodes" in _mapping(value["resources"]):
            yield from self._pools(value, around, path)

    def _made(self, engine: str, said: Sequence[Said], around: Around, path: Path) -> EngineStart:
        if around.model and not any(names(engine).meaning(one.name) == "model" for one in said):
            said = [*said, Said("model", around.model, self.where(path))]
        return EngineStart(
            engine, tuple(said), self.where(path), around.part, around.chip, around.each, around.nodes,
            around.replicas, around.version,
        )  # fmt: skip

    def said(self, value: Mapping[str, object], path: Path, prefix: str = "") -> list[Said]:
        """Every setting of a node, with its place."""
        found: list[Said] = []
        for key, item in value.items():
            here = (*path, str(key))
            name = f"{prefix}{key}"
            if isinstance(item, Mapping) and len(path) < DEEPEST:
                found.append(Said(name, item, self.where(here)))
                found += self.said(item, here, f"{name}.")
            else:
                found.append(Said(name, item, self.where(here)))
        return found

    def _record(self, value: Mapping[str, object], around: Around, path: Path) -> Iterator[EngineStart]:
        engine = engine_named(str(value["engine"]))
        flags = _mapping(value["flags"])
        if engine is None:
            return
        model, count = value.get("model"), value.get("count")
        around = replace(around, chip=_text(value.get("chip")) or around.chip, model=_text(model) or around.model)
        if "prefill" in flags and "decode" in flags:
            both = {**flags, "engine": engine}
            yield from self._pools(both, around, (*path, "flags"))
            return
        around = replace(
            around, each=_count(count) or around.each, nodes=1, replicas=1 if count else _count(flags.get("replicas"))
        )
        kept = {
            k: v
            for k, v in flags.items()
            if k not in ("replicas", "min_replicas", "max_replicas", "group_size", "gpus_per_pod")
        }
        yield self._made(engine, self.said(kept, (*path, "flags")), around, path)

    def _pools(self, value: Mapping[str, object], around: Around, path: Path) -> Iterator[EngineStart]:
        """Recipes of a prefill and a decode pool."""
        resources = _mapping(value.get("resources"))
        model = (
            _mapping(value.get("model")).get("path") if isinstance(value.get("model"), Mapping) else value.get("model")
        )
        around = replace(
            around, chip=_text(resources.get("gpu_type")) or around.chip, model=_text(model) or around.model
        )
        engine, pools, at = _backend(value)
        for part in ("prefill", "decode"):
            flags = _mapping(pools.get(part))
            if not flags or engine is None:
                continue
            workers = _count(resources.get(f"{part}_workers")) or _count(flags.get("replicas")) or 1
            held = (_count(resources.get(f"{part}_nodes")) or 0) * (_count(resources.get("gpus_per_node")) or 0)
            each = _count(resources.get(f"gpus_per_{part}")) or (held // workers or None)
            around = replace(around, part=part, each=each, nodes=1 if each else None, replicas=workers)
            kept = {k: v for k, v in flags.items() if k not in ("replicas", "nodes")}
            yield self._made(engine, self.said(kept, (*path, *at, part)), around, (*path, *at, part))

    def _ray(self, value: Mapping[str, object], around: Around, path: Path) -> EngineStart:
        loading = _mapping(value.get("model_loading_config"))
        model = _text(loading.get("model_source")) or _text(loading.get("model_id"))
        scaling = _mapping(_mapping(value.get("deployment_config")).get("autoscaling_config"))
        many = _count(scaling.get("max_replicas")) or _count(
            _mapping(value.get("deployment_config")).get("num_replicas")
        )
        chip = _text(value.get("accelerator_type")) or around.chip
        around = replace(around, model=model or around.model, replicas=many, chip=chip)
        return self._made("vllm", self.said(_mapping(value["engine_kwargs"]), (*path, "engine_kwargs")), around, path)

    def _stack(self, value: Mapping[str, object], around: Around, path: Path) -> EngineStart:
        config = _mapping(value.get("vllmConfig"))
        said = [
            one for one in self.said(config, (*path, "vllmConfig")) if one.name not in ("extraArgs", "v1", "enabled")
        ]
        extra = config.get("extraArgs")
        words = tuple(Word(str(word), 0) for word in extra) if isinstance(extra, list) else ()
        started = start_of(Command((Word("vllm", 0), Word("serve", 0), *words)), self.name) if words else None
        around = replace(around, model=_text(value.get("modelURL")) or around.model,
                         each=_count(value.get("requestGPU")), replicas=_count(value.get("replicaCount")))  # fmt: skip
        return self._made("vllm", [*said, *(started.said if started else ())], around, path)

    def _modelservice(self, value: Mapping[str, object], around: Around, path: Path) -> EngineStart:
        sizes = _mapping(value["parallelism"])
        where = self.where((*path, "parallelism"))
        named = {"tensor": "tensor-parallel-size", "data": "data-parallel-size", "pipeline": "pipeline-parallel-size"}
        said = [Said(named[key], item, where) for key, item in sizes.items() if key in named]
        below = [
            one for child in _listed(value["containers"]) for one in self.starts(child, around, (*path, "containers"))
        ]
        return self._made("vllm", [*said, *(below[0].said if below else ())], around, path)

    def _commands(self, value: Mapping[str, object], around: Around, path: Path) -> Iterator[EngineStart]:
        line = next((_line(self.where((*path, key))) for key in (*LISTED, *SCRIPTED) if key in value), 0)
        words: list[Word] = []
        for key in ("entrypoint", "command", "args"):
            item = value.get(key)
            here = _line(self.where((*path, key)))
            if isinstance(item, str):
                words += [Word(word, here) for word in ([item] if words else ["bash", "-c", item])]
            elif isinstance(item, list):
                words += [
                    Word(str(word), _line(self.where((*path, key, index))))
                    for index, word in enumerate(item) if isinstance(word, (str, int, float))
                ]  # fmt: skip
        script = Script(Variables({**(around.known or {})}))
        for key in SCRIPTED:
            if isinstance(value.get(key), str):
                script.read(str(value[key]), line + 1)
        if words:
            script.carried_out(words)
        for command in script.commands:
            found = start_of(command, self.name, around.engine if words else None)
            if found is not None:
                made = self._made(found.engine, found.said, around, path)
                yield replace(made, where=found.where)


def _around(value: Mapping[str, object], around: Around, path: Path) -> Around:
    """What a mapping says of everything below it."""
    part = around.part
    for text in (
        str(path[-1]) if path else "",
        str(_mapping(value.get("metadata")).get("name") or value.get("name") or ""),
    ):
        said = set(plain(text).split("-"))
        part = "prefill" if "prefill" in said else "decode" if "decode" in said else part
    engine, version = _image(value.get("image"))
    size = _mapping(value.get("leaderWorkerTemplate")).get("size")
    nodes = _count(size) or _count(_mapping(value.get("multinode")).get("nodeCount")) or _count(value.get("num_nodes"))
    found = replace(
        around, part=part, engine=engine or around.engine, version=version or around.version,
        nodes=nodes or around.nodes, replicas=_count(value.get("replicas")) or around.replicas,
        known={**(around.known or {}), **_environment(value)},
    )  # fmt: skip
    chip, each = _devices(value)
    return replace(found, chip=chip or found.chip, each=each or found.each)


def _environment(value: Mapping[str, object]) -> dict[str, str]:
    found = value.get("env", value.get("envs", value.get("environment")))
    if isinstance(found, Mapping):
        return {str(key): str(item) for key, item in found.items() if not isinstance(item, (Mapping, list))}
    pairs = [one for one in _listed(found) if isinstance(one, Mapping) and "name" in one and "value" in one]
    return {str(one["name"]): str(one["value"]) for one in pairs}


def _devices(value: Mapping[str, object]) -> tuple[str | None, int | None]:
    """(accelerator as it is named, how many of them) that a mapping or its resources ask for."""
    chip, each = None, None
    for below in (value, _mapping(value.get("nodeSelector")), _mapping(value.get("resources"))):
        chip = next((_text(below[key]) for key in CHIPS if _text(below.get(key))), None) or chip
        asked = below.get("accelerators")
        if isinstance(asked, str):
            name, _, count = asked.partition(":")
            chip, each = name, _count(count or 1)
        elif isinstance(asked, Mapping) and asked:
            chip, each = next((str(key), _count(item)) for key, item in asked.items())
        for inner in (below, _mapping(below.get("limits")), _mapping(below.get("requests"))):
            each = next((_count(inner[key]) for key in DEVICES if _count(inner.get(key))), None) or each
    reserved = _mapping(_mapping(_mapping(value.get("deploy")).get("resources")).get("reservations")).get("devices")
    for one in _listed(reserved):
        each = _count(_mapping(one).get("count")) or len(_listed(_mapping(one).get("device_ids"))) or each
    return chip, each


def _image(image: object) -> tuple[str | None, str | None]:
    """(engine, version) of a container's image."""
    if not isinstance(image, str):
        return None, None
    name, _, tag = image.partition("@")[0].partition(":")
    short = "/".join(name.rsplit("/", 2)[-2:])
    known = texts("images")
    engine = known.get(short) or next((known[key] for key in known if name.endswith("/" + key)), None)
    version = re.match(r"v?(\d+\.\d+(?:\.\d+)?)", tag)
    runtime = "/" in name and short.startswith("ai-dynamo/")
    return engine, version[1] if version and engine and not runtime else None


def _backend(value: Mapping[str, object]) -> tuple[str | None, Mapping[str, object], tuple[str, ...]]:
    """(engine, its pools, where) of a recipe."""
    if "prefill" in value or "decode" in value:
        return engine_named(str(value.get("engine", "vllm"))), value, ()
    backend = _mapping(value.get("backend"))
    for key, item in backend.items():
        engine = engine_named(str(key).removesuffix("_config"))
        if engine is not None and isinstance(item, Mapping):
            return engine, item, ("backend", str(key))
    return None, {}, ()


def config_engine(said: Sequence[Said]) -> str | None:
    """The engine whose configuration these settings are."""
    every = {plain(part) for one in said for part in (*sections(one.name), one.name)}
    for engine, signature in SIGNATURES.items():
        if every & signature:
            trainer = engine == "megatron-bridge" and any(sections(one.name)[0] == "trainer" for one in said)
            return "nemo" if trainer else engine
    return None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    try:
        found = int(str(value))
    except ValueError:
        return None
    return found if 0 < found < 10**7 else None


def _line(where: str) -> int:
    found = re.search(r":(\d+)", where)
    return int(found[1]) if found else 0


__all__ = ["Around", "Tree", "config_engine", "inside"]
