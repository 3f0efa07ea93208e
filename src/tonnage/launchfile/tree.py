"""Manifests and configurations (YAML, JSON, TOML) -> what they start.

Read: Kubernetes, LeaderWorkerSet, Dynamo, Helm values, Docker Compose, SkyPilot, Ray Serve, recipes of prefill and
decode pools, configurations of engines, records of launches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tonnage.errors import InputError
from tonnage.files import parse_yaml
from tonnage.launchfile.command import inside, start_of
from tonnage.launchfile.names import TABLE_OF, engine_named, image_engine, names, plain, sections
from tonnage.launchfile.script import Script, Variables, split_text
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


SIZED = {"tensor": "tensor-parallel-size", "data": "data-parallel-size", "pipeline": "pipeline-parallel-size"}
"""Degrees in the words of llm-d, by vLLM's flags."""

KSERVE = {"model-id": "model", "model-name": "served-model-name"}
"""Names of KServe's Hugging Face server beside vLLM's."""

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
        elif isinstance(value.get("modelFormat"), Mapping):
            yield from self._predictor(value, around, path)
        elif value.get("kind") in ("LLMInferenceService", "Model") and isinstance(value.get("spec"), Mapping):
            yield from self._model_resource(_mapping(value["spec"]), around, (*path, "spec"))
        elif isinstance(value.get("serveConfigV2"), str):
            yield from self._text(str(value["serveConfigV2"]), around, (*path, "serveConfigV2"))
        elif value.get("kind") == "ConfigMap":
            for key, item in _mapping(value.get("data")).items():
                yield from self._text(str(item), around, (*path, "data", key))

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

    def _predictor(self, value: Mapping[str, object], around: Around, path: Path) -> Iterator[EngineStart]:
        """KServe's predictor of a Hugging Face model, whose server is vLLM's with two names of its own."""
        around = _around(value, around, path)
        words = [Word("vllm", 0), Word("serve", 0), *self._words(value, path, Variables({**(around.known or {})}))]
        found = start_of(Command(tuple(words)), self.name)
        if found is None:
            return
        said = [replace(one, name=KSERVE.get(plain(one.name), one.name)) for one in found.said]
        around = replace(around, model=_release(value.get("storageUri")) or around.model)
        yield self._made("vllm", said, around, path)

    def _model_resource(self, value: Mapping[str, object], around: Around, path: Path) -> Iterator[EngineStart]:
        """A model as a resource of its own: llm-d's LLMInferenceService, KubeAI's Model."""
        around = _around(value, around, path)
        model = _release(_mapping(value.get("model")).get("uri")) or _release(value.get("url"))
        engine = engine_named(str(value.get("engine", "vllm"))) or "vllm"
        profile, _, each = str(value.get("resourceProfile", "")).partition(":")
        chip = profile.rpartition("-")[2] if profile else None
        around = replace(
            around, model=model or around.model, engine=engine, chip=chip or around.chip,
            each=_count(each) or around.each,
        )  # fmt: skip
        sizes = _mapping(value.get("parallelism"))
        said = [
            Said(SIZED[key], item, self.where((*path, "parallelism"))) for key, item in sizes.items() if key in SIZED
        ]
        held = list(self._commands(value, around, path))
        for key in ("template", "prefill", "worker"):
            below = replace(around, part="prefill") if key == "prefill" else around
            held += list(self.starts(value.get(key), below, (*path, key)))
        if not held:
            yield self._made(engine, said, around, path)
        for one in held:
            yield replace(one, said=(*said, *one.said))

    def _text(self, text: str, around: Around, path: Path) -> Iterator[EngineStart]:
        """A script or a configuration of Ray Serve that stands in a manifest as text."""
        line = _line(self.where(path))
        if re.search(r"(?m)^\s*applications:", text):
            try:
                value = parse_yaml(text, self.name).value
            except InputError:
                return
            yield from Tree(self.name, {(): self.where(path)}).starts(value, around)
            return
        script = Script(Variables({**(around.known or {})}))
        script.read(text, line + 1)
        for command in script.commands:
            found = start_of(command, self.name)
            if found is not None:
                made = self._made(found.engine, found.said, around, path)
                yield replace(made, where=found.where, version=found.version or made.version)

    def _modelservice(self, value: Mapping[str, object], around: Around, path: Path) -> EngineStart:
        sizes = _mapping(value["parallelism"])
        where = self.where((*path, "parallelism"))
        said = [Said(SIZED[key], item, where) for key, item in sizes.items() if key in SIZED]
        inside = replace(around, engine=around.engine or "vllm")
        below = [
            one for child in _listed(value["containers"]) for one in self.starts(child, inside, (*path, "containers"))
        ]
        return self._made("vllm", [*said, *(below[0].said if below else ())], around, path)

    def _commands(self, value: Mapping[str, object], around: Around, path: Path) -> Iterator[EngineStart]:
        line = next((_line(self.where((*path, key))) for key in (*LISTED, *SCRIPTED) if key in value), 0)
        script = Script(Variables({**(around.known or {})}))
        words = self._words(value, path, script.known)
        for key in SCRIPTED:
            if isinstance(value.get(key), str):
                script.read(str(value[key]), line + 1)
        before = len(script.commands)
        if words:
            script.carried_out(words)
        straight = len(script.commands) == before + 1 and script.commands[-1].words == tuple(words)
        for command in script.commands:
            found = start_of(command, self.name, around.engine if straight else None)
            if found is not None:
                found = replace(found, engine=_built(found.engine, around.engine))
                made = self._made(found.engine, found.said, around, path)
                yield replace(made, where=found.where, version=found.version or made.version)

    def _words(self, value: Mapping[str, object], path: Path, known: Variables) -> list[Word]:
        """What a container is given: entrypoint, command and arguments; several commands in one text go to a shell."""
        given = [(key, value[key]) for key in ("entrypoint", "command", "args") if value.get(key)]
        words: list[Word] = []
        for key, item in given:
            here = _line(self.where((*path, key)))
            if isinstance(item, str) and not words and re.search(r"[;&|\n]", item.strip()):
                words += [Word(word, here) for word in ("bash", "-c", item)]
            elif isinstance(item, str):
                shell = words and words[-1].text.startswith("-") and words[-1].text.endswith("c")
                words += [Word(item, here)] if shell else [*split_text(known.filled(item), here)]
            elif isinstance(item, list):
                words += [
                    Word(known.filled(str(word)), _line(self.where((*path, key, index))))
                    for index, word in enumerate(item) if isinstance(word, (str, int, float))
                ]  # fmt: skip
        return words


def _around(value: Mapping[str, object], around: Around, path: Path) -> Around:
    """What a mapping says of everything below it."""
    part = around.part
    for text in (
        str(path[-1]) if path else "",
        str(_mapping(value.get("metadata")).get("name") or value.get("name") or ""),
    ):
        said = set(plain(text).split("-"))
        part = "prefill" if "prefill" in said else "decode" if "decode" in said else part
    known = {**(around.known or {}), **_environment(value)}
    engine, version = image_engine(_filled(value.get("image"), known))
    size = _mapping(value.get("leaderWorkerTemplate")).get("size")
    nodes = _count(size) or _count(_mapping(value.get("multinode")).get("nodeCount")) or _count(value.get("num_nodes"))
    found = replace(
        around, part=part, engine=engine or around.engine, version=version or around.version,
        nodes=nodes or around.nodes, replicas=_count(value.get("replicas")) or around.replicas,
        known=known,
    )  # fmt: skip
    chip, each = _devices(value)
    served = _count(_mapping(value.get("service")).get("replicas")) if "run" in value else None
    if each is not None and "run" in value:  # SkyPilot's own variables
        more = {"SKYPILOT_NUM_GPUS_PER_NODE": str(each), "SKYPILOT_NUM_NODES": str(nodes or 1)}
        found = replace(found, known={**known, **more})
    return replace(found, chip=chip or found.chip, each=each or found.each, replicas=served or found.replicas)


def _filled(text: object, known: Mapping[str, str]) -> object:
    return Variables({**known}).filled(text) if isinstance(text, str) else text


def _environment(value: Mapping[str, object]) -> dict[str, str]:
    found = value.get("env", value.get("envs", value.get("environment")))
    if isinstance(found, Mapping):
        return {str(key): str(item) for key, item in found.items() if not isinstance(item, (Mapping, list))}
    pairs = [one for one in _listed(found) if isinstance(one, Mapping) and "name" in one and "value" in one]
    written = dict(one.split("=", 1) for one in _listed(found) if isinstance(one, str) and "=" in one)
    return written | {str(one["name"]): str(one["value"]) for one in pairs}


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


def _built(engine: str, image: str | None) -> str:
    """The engine that an image has, where the program that it starts is the same (vLLM's and vLLM Ascend's)."""
    return image if image is not None and TABLE_OF.get(image) == TABLE_OF.get(engine) else engine


def config_engine(said: Sequence[Said]) -> str | None:
    """The engine whose configuration these settings are."""
    every = {plain(part) for one in said for part in (*sections(one.name), one.name)}
    for engine, signature in SIGNATURES.items():
        if every & signature:
            trainer = engine == "megatron-bridge" and any(sections(one.name)[0] == "trainer" for one in said)
            return "nemo" if trainer else engine
    return None


def _release(uri: object) -> str | None:
    """The release that `hf://ORG/NAME` means."""
    return uri.partition("://")[2] or None if isinstance(uri, str) and uri.startswith("hf://") else None


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
