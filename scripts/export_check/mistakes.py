"""Ten planted mistakes of each kind of file: a check that takes one of them proves nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

WORDS = (
    ["--no-such-flag", "1"],
    ["--tensor-paralel-size", "2"],
    ["--max-model-lenght", "4096"],
    ["--kv-cache-dtype", "fp7"],
    ["--tokenizer-modes", "slow"],
    ["--tp-sizes", "2"],
    ["--enable-expert-paralel"],
    ["--gpu-memory-utilisation", "0.9"],
    ["--dtype", "bfloat17"],
)
"""Words after a command that no engine takes: names that are not its own, and values that are not of its choices."""

FIELDS: tuple[tuple[str, object], ...] = (
    ("no_such_field", 1),
    ("tensor_paralel_size", 2),
    ("kv_cache_configs", {}),
    ("max_seq_length", 1),
    ("tensor_parallel_size", "two"),
    ("max_num_tokens", "many"),
    ("enable_attention_dp", "maybe"),
    ("max_batch_size", [1]),
    ("moe_expert_parallel_size", "all"),
    ("pipeline_parallel", 2),
)
"""Settings of TensorRT-LLM's YAML that are not its own, and values that they do not take."""

BENCH = (
    ["--no-such-flag", "1"],
    ["--num-prompts", "many"],
    ["--max-concurency", "3"],
    ["--random-input-len", "1k5"],
    ["--random-output-len", "x"],
    ["--request-rate", "fast"],
    ["--dataset-name", "no-such-dataset"],
    ["--seed", "1.5.2"],
    ["--result-filenames", "x"],
    ["--ignore-eoss"],
)


def commands(words: list[str], sizes: tuple[str, ...], planted: tuple[list[str], ...] = WORDS) -> Iterator[list[str]]:
    """A command with each of the mistakes; sizes: flags of which one takes a whole number."""
    for one in planted:
        yield [*words, *one]
    for flag in sizes:
        yield [*words, flag, "two"]


Edit = Callable[[str], str]


def _sub(pattern: str, by: str) -> Edit:
    return lambda text: re.sub(pattern, by, text, count=1, flags=re.M)


MANIFEST: tuple[Edit, ...] = (
    _sub(r"^kind: (\w+)", r"kind: No\1"),
    _sub(r"apiVersion: \S+", "apiVersion: no/v9"),
    _sub(r"replicas: \d+", "replicas: one"),
    _sub(r"containers:", "container:"),
    _sub(r"image: \S+", "imagee: x"),
    _sub(r"resources:", "resourcez:"),
    _sub(r"limits:", "limitz:"),
    _sub(r"command:", "comand:"),
    _sub(r"containerPort: \d+", "containerPort: http"),
    _sub(r"ports:", "portz:"),
    _sub(r"env:", "envs:"),
    _sub(r"selector:", "selektor:"),
    _sub(r"template:", "templete:"),
)

GROUP: tuple[Edit, ...] = (
    _sub(r"size: \d+", "size: two"),
    _sub(r"replicas: \d+", "replicas: one"),
    _sub(r"workerTemplate:", "workerTemplates:"),
    _sub(r"containers:", "container:"),
    _sub(r"- name: (\w+)", r"- nam: \1"),
    _sub(r"image: \S+", "image: {a: 1}"),
    _sub(r"limits:", "limitz:"),
    _sub(r"command:", "comand:"),
    _sub(r"containerPort: \d+", "containerPort: http"),
    _sub(r"leaderWorkerTemplate:", "leaderWorkerTemplates:"),
    _sub(r"env:", "envs:"),
)

QUEUE: tuple[Edit, ...] = (
    _sub(r"nominalQuota: \d+", "nominalQuota: {a: 1}"),
    _sub(r"nominalQuota: \d+", "nominalQuotas: 8"),
    _sub(r"resourceGroups:", "resourceGroups: 1\n  x:"),
    _sub(r"coveredResources:", "coveredResource:"),
    _sub(r"flavors:", "flavours:"),
    _sub(r"resources:", "resourcez:"),
    _sub(r"clusterQueue: \S+", "clusterQueue: [a]"),
    _sub(r"clusterQueue: \S+", "clusterQueue: A_B"),
    _sub(r"nodeLabels:", "nodeLabels: 3\n  x:"),
    _sub(r"namespaceSelector: \{\}", "namespaceSelector: all"),
    _sub(r"nominalQuota: \d+", "nominalQuota: many cards"),
)

RAY: tuple[Edit, ...] = (
    _sub(r"^applications:", "application:"),
    _sub(r"import_path: \S+", "import_path: 3"),
    _sub(r"^applications:", "grpc_options: x\napplications:"),
    _sub(r"import_path:", "import_paths:"),
    _sub(r"route_prefix: \S+", "route_prefix: [a]"),
    _sub(r"route_prefix: \S+", "route_prefix: 7"),
    _sub(r"args:", "args: 3\n  arg:"),
    _sub(r"name: \S+", "name: [a]"),
    _sub(r"^applications:", "http_options: 3\napplications:"),
    _sub(r"^applications:", "proxy_location: Nowhere\napplications:"),
)

SKY: tuple[Edit, ...] = (
    _sub(r"num_nodes: \d+", "num_nodes: many"),
    _sub(r"num_nodes:", "num_nodez:"),
    _sub(r"resources:", "resource:"),
    _sub(r"accelerators:", "acelerators:"),
    _sub(r"ports: \S+", "ports: http"),
    _sub(r"replicas: \d+", "replicas: one"),
    _sub(r"readiness_probe: \S+", "readiness_probe: 7"),
    _sub(r"^run:", "runs:"),
    _sub(r"service:", "services:"),
    _sub(r"^name: \S+", "name: 7"),
    _sub(r"readiness_probe:", "readyness_probe:"),
)


def files(text: str, edits: tuple[Edit, ...]) -> Iterator[str]:
    """A file with each mistake that can be planted in it."""
    for edit in edits:
        made = edit(text)
        if made != text:
            yield made
