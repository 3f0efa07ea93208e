"""Draw the tables of settings that training engines take from their own sources: `src/tonnage/export/data/`.

    python scripts/training_flags.py megatron CHECKOUT COMMIT DATE
    python scripts/training_flags.py mindspeed CHECKOUT_LLM CHECKOUT_MINDSPEED COMMIT DATE
    python scripts/training_flags.py torchtitan WHEEL | bridge WHEEL WHEEL_OF_MEGATRON_CORE | verl WHEEL

Megatron-LM's parser is made by its own code, so that flags which it makes of its dataclasses are there (torch is
needed); of the others nothing is imported or run: Python is read by `ast`, YAML by hydra's own loader. Of each setting:
what it takes (`flag`, `on/off`, `int`, `float`, `str`, `list` or `choice`) and its choices.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import tempfile
import typing
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from engine_flags import annotated, assigned, classes, keywords, name_of, taken, trees, words

DATA = Path(__file__).parent.parent / "src" / "tonnage" / "export" / "data"

Flags = dict[str, dict[str, object]]


def megatron(checkout: str, commit: str, date: str) -> dict[str, object]:
    """Flags of Megatron-LM, from the parser that it makes."""
    typing.override = getattr(typing, "override", lambda function: function)  # type: ignore[attr-defined]
    sys.path.insert(0, checkout)
    from megatron.training.arguments import add_megatron_arguments  # type: ignore[import-not-found]

    parser = add_megatron_arguments(argparse.ArgumentParser(add_help=False, allow_abbrev=False))
    found: Flags = {}
    for action in parser._actions:
        names = [name for name in action.option_strings if name.startswith("--")]
        found[names[0]] = {**({"names": names[1:]} if names[1:] else {}), **_action(action)}
    source = f"https://github.com/NVIDIA/Megatron-LM, commit {commit}, its own parser"
    return {"engine": "megatron", "version": commit[:10], "released": date, "source": source, "flags": found}


def _action(action: argparse.Action) -> dict[str, object]:
    if isinstance(action, argparse.BooleanOptionalAction):
        return {"takes": "on/off"}
    if action.nargs == 0:
        return {"takes": "flag"}
    if action.nargs in ("+", "*") or isinstance(action.nargs, int):
        return {"takes": "list"}
    if action.choices is not None:
        return {"takes": "choice", "choices": [str(getattr(one, "name", one)) for one in action.choices]}
    return {"takes": getattr(action.type, "__name__", "str") if action.type in (int, float) else "str"}


def mindspeed(own: str, below: str, commit: str, date: str) -> dict[str, object]:
    """Flags that MindSpeed-LLM and MindSpeed add to Megatron's, from their calls of `add_argument`."""
    found: Flags = {}
    for root in (Path(below) / "mindspeed", Path(own) / "mindspeed_llm"):
        for path in sorted(root.rglob("*.py")):
            if "tests" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8", errors="replace"))):
                if isinstance(node, ast.Call) and name_of(node.func) in (
                    "add_argument",
                    "add_parser_argument_choices_value",
                ):
                    _added(node, found)
    source = f"https://github.com/Ascend/MindSpeed-LLM, commit {commit}, and MindSpeed: their calls of add_argument"
    return {"engine": "mindspeed", "version": commit[:10], "released": date, "source": source,
            "flags": dict(sorted(found.items()))}  # fmt: skip


def _added(call: ast.Call, found: Flags) -> None:
    flags = [str(word) for arg in call.args for word in words(arg, {}) if str(word).startswith("--")]
    if not flags:
        return
    told = keywords(call)
    action = ast.dump(told["action"]) if "action" in told else ""
    if "store_" in action:
        own: dict[str, object] = {"takes": "flag"}
    elif "nargs" in told:
        own = {"takes": "list"}
    elif "choices" in told and words(told["choices"], {}):
        own = {"takes": "choice", "choices": [str(word) for word in words(told["choices"], {})]}
    else:
        own = {"takes": name_of(told.get("type")) if name_of(told.get("type")) in ("int", "float") else "str"}
    found[flags[0]] = own


def torchtitan(wheel: str) -> dict[str, object]:
    """Sections and fields of torchtitan's configuration, and its configurations by the model that they train."""
    modules = trees(Path(wheel), ("torchtitan/config/configs.py", "torchtitan/components/optimizer/optimizer.py"))
    known, names = classes(modules), assigned(modules)
    found: Flags = {"--module": {"takes": "str"}, "--config": {"takes": "str"}, "--hf_assets_path": {"takes": "str"},
                    "--dump_folder": {"takes": "str"}}  # fmt: skip
    sections = {"training": "TrainingConfig", "parallelism": "ParallelismConfig", "compile": "CompileConfig",
                "debug": "DebugConfig", "comm": "CommConfig"}  # fmt: skip
    for section, owner in sections.items():
        for field, kind in annotated(known[owner], {}).items():
            found[f"--{section}.{field}"] = taken(kind, names, {})
    container = next(node for node in known["OptimizersContainer"].body if isinstance(node, ast.ClassDef))
    for field, kind in annotated(container, {}).items():
        found[f"--optimizer.{field}"] = taken(kind, names, {})
    found |= {"--dataloader.dataset": {"takes": "str"}, "--dataloader.dataset_path": {"takes": "str"},
              "--loss.num_chunks": {"takes": "int"}, "--metrics.log_freq": {"takes": "int"}}  # fmt: skip
    policies = ["selective", "full", "memory-budget", "none"]
    found["activation-checkpoint"] = {"takes": "choice", "choices": policies}
    return {**_of_wheel(wheel, "torchtitan"), "flags": found, "models": list(_configurations(wheel))}


OWNERS = {"llama3": "meta-llama", "qwen3": "Qwen", "deepseek_v3": "deepseek-ai", "gpt_oss": "openai"}
"""Whose models a module of torchtitan has."""

CONVERTERS = {"Float8LinearConverter": "fp8", "MXFP8LinearConverter": "mxfp8", "NVFP4LinearConverter": "nvfp4"}


SKIPPED = {"debugmodel", "debug", "hybridep", "minimal", "pct", "sft", "deepep"}
"""Words of the names of configurations that train no whole model, or with kernels that nothing here decides."""

MISNAMED = {"deepseek_v3_16b"}
"""Configurations whose folder of assets is another model's."""

ALIKE = {"deepseek-ai/DeepSeek-V3.1-Base": ("deepseek-ai/DeepSeek-V3", "deepseek-ai/DeepSeek-V3-Base",
         "deepseek-ai/DeepSeek-V3.1", "deepseek-ai/DeepSeek-R1")}  # fmt: skip
"""Models of the same shape (model cards: V3.1-Base is V3-Base trained further, R1 is trained of V3-Base)."""


def _configurations(wheel: str) -> Iterator[dict[str, str]]:
    """Functions of `config_registry` that train a whole model: its folder of assets names it, converters the format."""
    for module, owner in OWNERS.items():
        path = f"torchtitan/models/{module}/config_registry.py"
        tree = trees(Path(wheel), (path,))[path]
        assets: dict[str, str] = {}
        for node in (one for one in tree.body if isinstance(one, ast.FunctionDef)):
            text = ast.unparse(node)
            if SKIPPED.intersection(re.split(r"_(?=[a-z])", node.name)) or node.name in MISNAMED:
                continue
            own = re.search(r"hf_assets_path='\./assets/hf/([\w.-]+)'", text)
            base = re.search(r"config = (\w+)\(\)", text)
            model = own[1] if own else assets.get(base[1]) if base else None
            if model is None:
                continue
            assets[node.name] = model
            formats = [name for mark, name in CONVERTERS.items() if mark in text]
            name = f"{owner}/{model}"
            for one in (name, *ALIKE.get(name, ())):
                yield {"module": module, "config": node.name, "model": one,
                       "precision": formats[0] if formats else "bf16"}  # fmt: skip


def bridge(wheel: str, core: str) -> dict[str, object]:
    """Fields of Megatron Bridge's ConfigContainer, section by section, those inherited from Megatron-Core too."""
    own = trees(Path(wheel), ("megatron/bridge/training/", "megatron/bridge/models/"))
    below = trees(Path(core), ("megatron/core/",))
    known = {**classes(below), **classes(own)}
    names = assigned({**below, **own})
    found: Flags = {}
    sections = {"train": "TrainingConfig", "optimizer": "OptimizerConfig", "ddp": "DistributedDataParallelConfig",
                "model": "GPTModelProvider", "scheduler": "SchedulerConfig", "dataset": "GPTDatasetConfig",
                "tokenizer": "TokenizerConfig", "logger": "LoggerConfig", "checkpoint": "CheckpointConfig",
                "dist": "DistributedInitConfig", "comm_overlap": "CommOverlapConfig", "rng": "RNGConfig"}  # fmt: skip
    config = trees(Path(wheel), ("megatron/bridge/training/config.py",))
    for section, owner in sections.items():
        every = {**known, **(classes(config) if owner in classes(config) else {})}
        for field, kind in _inherited(every[owner], known, classes(below)).items():
            found[f"{section}.{field}"] = taken(kind, names, {})
    found["mixed_precision"] = {"takes": "str"}
    found["dataset.seq_length"] = {"takes": "int"}  # a property that sets `sequence_length`
    head = _of_wheel(wheel, "bridge")
    head["source"] = f"{head['source']}; fields inherited from {Path(core).name.rsplit('-', 4)[0]}"
    return {**head, "flags": found}


def _inherited(
    owner: ast.ClassDef, known: Mapping[str, ast.ClassDef], below: Mapping[str, ast.ClassDef]
) -> dict[str, ast.expr]:
    """Fields of a class and of all it derives from; `MCoreX` and a base of the same name are Megatron-Core's X."""
    found: dict[str, ast.expr] = {}
    for base in owner.bases:
        name = name_of(base)
        plain = name.removeprefix("MCore")
        if plain == owner.name or name.startswith("MCore"):
            found |= _inherited(below[plain], below, below) if plain in below else {}
        elif name in known and known[name] is not owner:
            found |= _inherited(known[name], known, below)
    return found | annotated(owner, {})


def verl(wheel: str) -> dict[str, object]:
    """Keys of verl's configuration of PPO and its kin, with either engine that trains."""
    from hydra import compose, initialize_config_dir  # type: ignore[import-not-found]
    from omegaconf import OmegaConf  # type: ignore[import-not-found]

    found: Flags = {}
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as held:
            held.extractall(folder, [name for name in held.namelist() if name.startswith("verl/trainer/config/")])
        with initialize_config_dir(config_dir=str(Path(folder) / "verl/trainer/config"), version_base=None):
            for engine in ("dp", "megatron"):
                made = compose(config_name="ppo_trainer", overrides=[f"model_engine={engine}"])
                _keys(OmegaConf.to_container(made, resolve=False), "", found)
    found["model_engine"] = {"takes": "choice", "choices": ["dp", "megatron"]}
    return {**_of_wheel(wheel, "verl"), "flags": dict(sorted(found.items()))}


def _keys(value: object, path: str, found: Flags) -> None:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            if key != "_target_":
                _keys(item, f"{path}.{key}" if path else str(key), found)
        return
    kinds = ((bool, "on/off"), (int, "int"), (float, "float"), (list, "list"), (dict, "open"))
    found[path] = {"takes": next((name for kind, name in kinds if isinstance(value, kind)), "str")}


def _of_wheel(wheel: str, engine: str) -> dict[str, object]:
    """Whose table it is: version, day of its newest file, source."""
    name, version = Path(wheel).name.split("-")[:2]
    with zipfile.ZipFile(wheel) as held:
        days = ["{:04d}-{:02d}-{:02d}".format(*one.date_time[:3]) for one in held.infolist()]
    source = f"wheel {name} {version} of the Python Package Index, read by scripts/training_flags.py"
    return {"engine": engine, "version": version, "released": max(days), "source": source}


DRAW: Mapping[str, Callable[..., dict[str, object]]] = {
    "megatron": megatron,
    "mindspeed": mindspeed,
    "torchtitan": torchtitan,
    "bridge": bridge,
    "verl": verl,
}


def main(arguments: list[str]) -> int:
    """Write the table of one engine."""
    body = DRAW[arguments[0]](*arguments[1:])
    flags = body.pop("flags")
    assert isinstance(flags, dict)
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in flags.items())
    target = DATA / f"{body['engine']}.json"
    target.write_text(f'{json.dumps(body)[:-1]},\n "flags": {{\n{lines}\n}}}}\n', encoding="utf-8")
    print(f"{target.name}: {len(flags)} settings of {body['engine']} {body['version']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
