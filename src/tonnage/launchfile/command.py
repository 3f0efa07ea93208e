"""A command -> the engine that it starts, and what it says to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from tonnage.errors import InputError
from tonnage.files import parse_yaml
from tonnage.launchfile.names import TABLE_OF, arity, image_engine, plain
from tonnage.launchfile.value import Command, EngineStart, Said, Word

MODULES = {
    "vllm.entrypoints.openai.api_server": "vllm",
    "vllm.entrypoints.api_server": "vllm",
    "vllm.entrypoints.cli.main": "vllm",
    "tensorrt_llm.serve": "trtllm",
    "sglang.launch_server": "sglang",
    "sglang.srt.entrypoints.http_server": "sglang",
    "dynamo.vllm": "vllm",
    "dynamo.sglang": "sglang",
    "dynamo.trtllm": "trtllm",
    "tensorrt_llm.commands.serve": "trtllm",
    "verl.trainer.main_ppo": "verl",
    "verl.trainer.fsdp_sft_trainer": "verl",
    "verl.trainer.main": "verl",
    "torchtitan.train": "torchtitan",
    "torchtitan.trainer": "torchtitan",
    "MaxText.train": "maxtext",
    "maxtext.trainers.pre_train.train": "maxtext",
    "sglang.bench_serving": "bench",
}
"""Python modules that are started, by what they are of."""

PROGRAMS = {
    ("vllm", "serve"): "vllm",
    ("vllm", "bench"): "bench",
    ("sglang", "serve"): "sglang",
    ("trtllm-serve",): "trtllm",
    ("aiperf", "profile"): "bench",
    ("deepspeed",): "deepspeed",
}
"""Programs, with their first word where it matters."""

SCRIPTS = {
    "pretrain_gpt.py": "megatron-lm",
    "pretrain_mamba.py": "megatron-lm",
    "pretrain_vlm.py": "megatron-lm",
    "finetune_gpt.py": "megatron-lm",
    "train_rl.py": "megatron-lm",
    "posttrain_gpt.py": "mindspeed-llm",
    "run_recipe.py": "megatron-bridge",
    "run_script.py": "megatron-bridge",
    "train.py": "slime",
    "train_async.py": "slime",
    "launch_server.py": "sglang",
    "bench_serving.py": "bench",
    "benchmark_serving.py": "bench",
    "api_server.py": "vllm",
}
"""Scripts by their file's name."""

ASCEND = frozenset(
    {"moe-tp-extend-ep", "use-mcore-models", "use-fused-rmsnorm", "context-parallel-algo", "swap-optimizer"}
)
"""Settings of MindSpeed beside Megatron's."""


def start_of(command: Command, name: str, image: str | None = None) -> EngineStart | None:
    """What a command starts; None where it is none of the engines here. image: the engine of its container."""
    words = list(command.words)
    found = _program(words)
    held, version = image_engine(command.image)
    image = held or image
    engine, rest = found if found is not None else (image, words)
    if engine is None or (not rest and found is None):
        return None
    engine = image if image is not None and TABLE_OF.get(image) == engine else engine
    said = tuple(_mapped(settings(rest, engine, name)))
    launcher = tuple(_launcher(words[: len(words) - len(rest)], name))
    if engine == "megatron-lm" and any(plain(one.name) in ASCEND for one in said):
        engine = "mindspeed-llm"
    if engine == "slime" and not any("model-parallel-size" in plain(one.name) for one in said):
        return None
    return EngineStart(engine, (*launcher, *said), f"{name}:{words[0].line}", version=version)


def _program(words: Sequence[Word]) -> tuple[str, list[Word]] | None:
    """(engine, the words that it is given)."""
    for at, word in enumerate(words):
        text = word.text
        if text == "-m" and at + 1 < len(words) and words[at + 1].text in MODULES:
            return MODULES[words[at + 1].text], list(words[at + 2 :])
        last = text.rsplit("/", 1)[-1]
        if last in SCRIPTS:
            return SCRIPTS[last], list(words[at + 1 :])
        if last == "run_train.sh":
            return "torchtitan", list(words[at + 1 :])
        if last == "train.py" and "maxtext" in text.lower().split("/"):
            return "maxtext", list(words[at + 1 :])
        for program, engine in PROGRAMS.items():
            if (last, *(one.text for one in words[at + 1 : at + len(program)])) == program:
                used = len(program) + (engine == "bench" and last == "vllm" and len(words) > at + 2)
                return engine, list(words[at + used :])
    return None


LAUNCHED = {"nproc-per-node": "nproc-per-node", "nnodes": "nnodes", "num-gpus": "num-gpus", "num-nodes": "num-nodes"}
"""What launchers (torchrun, srun, deepspeed) are told of servers and ranks."""


def _launcher(words: Sequence[Word], name: str) -> Iterator[Said]:
    for one in settings(words, "bench", name):
        if plain(one.name) in LAUNCHED:
            yield one


def settings(words: Sequence[Word], engine: str, name: str) -> Iterator[Said]:
    """Flags with their values, `key=value` pairs, and what stands alone, which is the model."""
    at = 0
    while at < len(words):
        word = words[at]
        where = f"{name}:{word.line}"
        pair = re.fullmatch(r"\+{0,2}~?([A-Za-z_][\w.@/]*)=(.*)", word.text, re.DOTALL)
        if pair:
            yield Said(pair[1], _scalar(pair[2]), where)
            at += 1
        elif re.match(r"--?[A-Za-z]", word.text):
            flag, equals, value = word.text.partition("=")
            at += 1
            if equals:
                yield Said(flag, _scalar(value), where)
                continue
            values = [] if arity(engine, flag) == "flag" else _values(words, at, arity(engine, flag))
            at += len(values)
            yield Said(flag, _value(values), where)
        elif policy := re.fullmatch(r"(activation[-_]checkpoint):(\w+(?:-\w+)*)", word.text):
            yield Said(policy[1], policy[2], where)
            at += 1
        else:
            if word.text and engine in ("vllm", "vllm-ascend", "trtllm") and word.text != "serve":
                yield Said("model", word.text, where)
            at += 1


def _values(words: Sequence[Word], at: int, takes: str) -> list[str]:
    """The words that a flag takes: one, or all up to the next flag where it takes a list."""
    found: list[str] = []
    while at < len(words) and not re.match(r"--?[A-Za-z]", words[at].text):
        if takes == "on/off":
            break
        found.append(words[at].text)
        at += 1
        if takes not in ("list", "?"):
            break
    return found


def _value(values: list[str]) -> object:
    if not values:
        return True
    return _scalar(values[0]) if len(values) == 1 else values


def _scalar(text: str) -> object:
    """A text, or the object that it writes in JSON or YAML."""
    begun = text.strip()
    if begun[:1] in "{[" and len(begun) < 20_000:
        try:
            return json.loads(begun)
        except (ValueError, RecursionError):
            try:
                return parse_yaml(begun).value
            except InputError:
                return text
    return text


CONFIGS = ("config", "extra-llm-api-options")
"""Flags whose object is the engine's whole configuration (`trtllm-serve`)."""


def _mapped(said: Iterator[Said]) -> Iterator[Said]:
    """Objects as settings with a dot."""
    for one in said:
        if isinstance(one.value, Mapping) and plain(one.name) in CONFIGS:
            for name, value in one.value.items():
                yield from (
                    inside(name, value, one.where) if isinstance(value, Mapping) else [Said(name, value, one.where)]
                )
        elif isinstance(one.value, Mapping):
            yield from inside(one.name, one.value, one.where)
        else:
            yield one


def inside(name: str, value: Mapping[str, object], where: str, depth: int = 0) -> Iterator[Said]:
    """The entries of an object, as `name.key`."""
    yield Said(name, value, where)
    for key, item in value.items():
        if isinstance(item, Mapping) and depth < 6:
            yield from inside(f"{name}.{key}", item, where, depth + 1)
        else:
            yield Said(f"{name}.{key}", item, where)
