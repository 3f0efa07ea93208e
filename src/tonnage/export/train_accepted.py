"""Whether a training engine would take its settings: names and types by its table, and what it asserts of them.

Assertions are those of Megatron-LM's `validate_args` and of its configuration classes
(`megatron/training/arguments.py`, `core/transformer/transformer_config.py`), of torchtitan's dimensions
(`distributed/parallel_dims.py`), and of verl's checks (`utils/config.py`): what divides what.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tonnage.errors import InputError, Problem
from tonnage.export.exported import ExportedFile
from tonnage.export.setting import asked_of_user
from tonnage.export.train_tables import settings_of
from tonnage.files import parse_yaml

FILLED = {"LR": "1e-4", "STEPS": "100", "GROUP": "8", "NODE_RANK": "0", "HEAD_ADDR": "head"}
"""What stands for the user's own settings while files are checked; a path for the rest."""

Words = Sequence[tuple[str, str | None]]
"""Settings as they are written: (name, value), no value for a flag that stands alone."""


@dataclass(frozen=True)
class SettingsFile:
    """The settings of an exported run, and the ranks that its script starts."""

    engine: str
    words: Words
    world: int

    def value(self, name: str) -> str | None:
        """The last value of a setting."""
        return next((value for key, value in reversed(self.words) if key == name), None)

    def has(self, name: str) -> bool:
        """Whether a setting is there."""
        return any(key == name for key, _ in self.words)


def settings_file(engine: str, made: Sequence[ExportedFile]) -> SettingsFile:
    """What the files of a run say to an engine."""
    by = {one.name: one.text for one in made}
    script = by["train.sh"]
    if engine == "bridge":
        words: Words = tuple(_flat(parse_yaml(by["config.yaml"]).value, ""))
    elif engine == "verl":
        words = tuple((word.partition("=")[0], word.partition("=")[2]) for word in block(script, "flags"))
    else:
        words = tuple(pairs(engine, block(script, "flags")))
    return SettingsFile(engine, words, _world(engine, script, words))


def block(script: str, name: str) -> list[str]:
    """The words of an array of a script, the user's variables filled in."""
    found = re.search(rf"^{name}=\(\n(.*?)\n\)$", script, re.S | re.M)
    rows = "" if found is None else found[1]
    text = "\n".join(re.sub(r"  # .*$", "", row) for row in rows.splitlines())
    for variable in (*asked_of_user(), "NODE_RANK", "HEAD_ADDR"):
        text = text.replace(f'"${variable}"', FILLED.get(variable, f"/{variable.lower()}"))
    text = re.sub(r'"\$\(\((\d+) / GROUP\)\)"', lambda m: str(int(m[1]) // int(FILLED["GROUP"])), text)
    return shlex.split(text)


def pairs(engine: str, words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Words of a command as names and values; torchtitan's policy of checkpointing has its value behind a colon."""
    held: list[str] = []
    for word in [*words, "--"]:
        policy = re.fullmatch(r"(activation-checkpoint):([\w-]+)", word)
        if (word.startswith("--") or policy) and held:
            yield held[0], " ".join(held[1:]) or None
            held = []
        if policy:
            yield policy[1], policy[2]
        else:
            held.append(word)


def _flat(value: object, path: str) -> Iterator[tuple[str, str | None]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif value is not None:
        variable = re.fullmatch(r"\$\{(\w+)\}", str(value))
        yield path, FILLED.get(variable[1], f"/{variable[1].lower()}") if variable else str(value)


def _world(engine: str, script: str, words: Words) -> int:
    if engine == "verl":
        said = dict(words)
        return int(said.get("trainer.nnodes") or 1) * int(said.get("trainer.n_gpus_per_node") or 1)
    launch = dict(pairs(engine, block(script, "torchrun")))
    return int(launch["--nproc-per-node"] or 1) * int((launch["--nnodes"] or "1").split()[0])


TABLES = {"megatron": ("megatron",), "mindspeed": ("mindspeed", "megatron"), "bridge": ("bridge",),
          "torchtitan": ("torchtitan",), "verl": ("verl",)}  # fmt: skip
"""Tables that have the settings of an engine, its own first."""

BESIDE = {"bridge": ("hf_model_id",)}
"""Keys that the program beside a file takes for itself."""


def refused(one: SettingsFile) -> tuple[str, ...]:
    """Why an engine would not take it, in words; nothing where it would."""
    return (*_typed(one), *(why for rule in RULES for why in rule(one, sizes(one))))


def _typed(one: SettingsFile) -> Iterator[str]:
    """Unknown names, and values of another type."""
    for name, value in one.words:
        if name in BESIDE.get(one.engine, ()):
            continue
        takes = _takes(one.engine, name)
        if takes is None:
            yield f"{name} is not a setting of {one.engine}"
        elif not _fits(takes, value):
            choices = takes.get("choices")
            wanted = ", ".join(map(str, choices)) if isinstance(choices, list) else takes["takes"]
            yield f"{name} {value}: expected {wanted}"


def _takes(engine: str, name: str) -> Mapping[str, object] | None:
    """What a setting takes. verl's `+name` adds a key under an open one; tyro writes `no-` before a switch."""
    for table in TABLES[engine]:
        flags = settings_of(table).flags
        if name in flags:
            return flags[name]
        found = next((each for each in flags.values() if name in each.get("names", ())), None)
        if found is not None:
            return found
        switch = re.sub(r"\.no-", ".", name)
        if engine == "torchtitan" and switch != name and flags.get(switch, {}).get("takes") == "on/off":
            return {"takes": "flag"}
        if engine == "verl" and name.startswith("+"):
            parents = [name[1:].rsplit(".", n)[0] for n in (1, 2, 3)]
            if any(
                flags.get(each, {}).get("takes") == "open" or any(f.startswith(f"{each}.") for f in flags)
                for each in parents
            ):
                return {"takes": "str"}
    return None


def _fits(takes: Mapping[str, object], value: str | None) -> bool:
    kind = takes["takes"]
    if kind == "flag":
        return value is None
    if kind == "on/off":
        return value is None or value.lower() in ("true", "false")
    if value is None:
        return False
    if kind == "choice":
        choices = takes["choices"]
        return isinstance(choices, list) and value in map(str, choices)
    if kind in ("int", "float"):
        return value == "null" or bool(re.fullmatch(NUMBERS[str(kind)], value))
    return True


NUMBERS = {"int": r"[-+]?\d+", "float": r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"}

ACTOR = "actor_rollout_ref.actor.megatron"

NAMES: Mapping[str, Mapping[str, str]] = {
    "megatron": {
        "tp": "--tensor-model-parallel-size", "pp": "--pipeline-model-parallel-size", "cp": "--context-parallel-size",
        "vpp": "--num-virtual-stages-per-pipeline-rank", "ep": "--expert-model-parallel-size",
        "etp": "--expert-tensor-parallel-size", "mbs": "--micro-batch-size", "gbs": "--global-batch-size",
        "heads": "--num-attention-heads", "groups": "--num-query-groups", "experts": "--num-experts",
        "layers": "--num-layers", "seq": "--seq-length", "positions": "--max-position-embeddings",
    },
    "bridge": {
        "tp": "model.tensor_model_parallel_size", "pp": "model.pipeline_model_parallel_size",
        "cp": "model.context_parallel_size", "vpp": "model.virtual_pipeline_model_parallel_size",
        "ep": "model.expert_model_parallel_size", "etp": "model.expert_tensor_parallel_size",
        "mbs": "train.micro_batch_size", "gbs": "train.global_batch_size", "seq": "model.seq_length",
        "positions": "dataset.seq_length",
    },
    "torchtitan": {
        "tp": "--parallelism.tensor_parallel_degree", "pp": "--parallelism.pipeline_parallel_degree",
        "cp": "--parallelism.context_parallel_degree", "ep": "--parallelism.expert_parallel_degree",
        "replicas": "--parallelism.data_parallel_replicate_degree",
        "shards": "--parallelism.data_parallel_shard_degree",
        "mbs": "--parallelism.pipeline_parallel_microbatch_size", "local": "--training.local_batch_size",
        "gbs": "--training.global_batch_size", "seq": "--training.seq_len",
        "held": "--parallelism.pipeline_parallel_layers_per_stage",
    },
    "verl": {
        "tp": f"{ACTOR}.tensor_model_parallel_size", "pp": f"{ACTOR}.pipeline_model_parallel_size",
        "cp": f"{ACTOR}.context_parallel_size", "vpp": f"{ACTOR}.virtual_pipeline_model_parallel_size",
        "ep": f"{ACTOR}.expert_model_parallel_size", "etp": f"{ACTOR}.expert_tensor_parallel_size",
        "mbs": "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu", "prompts": "data.train_batch_size",
        "mini": "actor_rollout_ref.actor.ppo_mini_batch_size", "group": "actor_rollout_ref.rollout.n",
        "rollout_tp": "actor_rollout_ref.rollout.tensor_model_parallel_size",
        "ulysses": "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size",
    },
}  # fmt: skip
"""Sizes by their names in each engine; MindSpeed's are Megatron's."""


def sizes(one: SettingsFile) -> dict[str, int]:
    """Sizes that are said as whole numbers."""
    names = NAMES["megatron" if one.engine == "mindspeed" else one.engine]
    found = {key: one.value(name) for key, name in names.items()}
    return {key: int(value) for key, value in found.items() if value is not None and value.isdigit()}


Rule = Callable[[SettingsFile, Mapping[str, int]], Iterator[str]]


def _ranks(one: SettingsFile, said: Mapping[str, int]) -> Iterator[str]:
    cut = said.get("tp", 1) * said.get("pp", 1) * said.get("cp", 1)
    if not cut or one.world % cut:
        yield f"{one.world} ranks do not divide into tp x pp x cp = {cut}"
    if one.engine == "torchtitan" and said.get("replicas", 1) * said.get("shards", 1) * cut != one.world:
        yield f"dp_replicate x dp_shard x cp x tp x pp is not {one.world} ranks"


def _batch(one: SettingsFile, said: Mapping[str, int]) -> Iterator[str]:
    dp = one.world // max(said.get("tp", 1) * said.get("pp", 1) * said.get("cp", said.get("ulysses", 1)), 1)
    each = said.get("local", said.get("mbs", 1))
    if "gbs" in said and (not each or said["gbs"] % max(each * dp, 1)):
        yield f"{said['gbs']} sequences do not divide over {each} x {dp} replicas"
    if one.engine == "torchtitan" and each % max(said.get("mbs", 1), 1):
        yield "the local batch does not divide into micro-batches"
    if one.engine == "verl":
        mini = said.get("mini", 0) * said.get("group", 1)
        if not mini or mini % max(dp, 1) or (mini // max(dp, 1)) % max(said.get("mbs", 1), 1):
            yield f"a mini-batch of {mini} responses does not divide over {dp} replicas in micro-batches"
        if said.get("prompts", 0) < said.get("mini", 0):
            yield "a mini-batch is larger than a batch"


def _heads(one: SettingsFile, said: Mapping[str, int]) -> Iterator[str]:
    tp, groups = said.get("tp", 1), said.get("groups")
    if "heads" in said and said["heads"] % max(tp, 1):
        yield f"{said['heads']} heads do not divide over tp{tp}"
    if groups is not None and (not groups or (groups % max(tp, 1) and tp % groups)):
        yield f"{groups} query groups do not divide over tp{tp}"


def _experts(one: SettingsFile, said: Mapping[str, int]) -> Iterator[str]:
    ep, etp = said.get("ep", 1), said.get("etp", 1)
    if "experts" in said and (not ep or said["experts"] % ep):
        yield f"{said['experts']} experts do not divide over ep{ep}"
    held = max(ep * etp * (said.get("pp", 1) if one.engine != "torchtitan" else 1), 1)
    over = one.world if one.engine != "torchtitan" else said.get("shards", 1) * said.get("cp", 1) * said.get("tp", 1)
    if ep > 1 and over % held:
        yield f"ep x etp do not divide the {over} ranks that experts lie on"


def _chunks(one: SettingsFile, said: Mapping[str, int]) -> Iterator[str]:
    pp, vpp = said.get("pp", 1), said.get("vpp", 1)
    if vpp > 1 and pp == 1:
        yield "chunks of a stage without a pipeline"
    text = next((value for name, value in one.words if "pipeline" in name and name.endswith("layout")), None)
    if text is not None:
        yield from _layout(text.strip("'"), pp, said.get("layers"))
        chunks = re.sub(r"\(([^)]+)\)\*(\d+)", lambda m: m[1] * int(m[2]), text).count("|") + 1
        vpp = max(chunks // max(pp, 1), 1)
    elif "layers" in said and said["layers"] % max(pp * vpp, 1):
        yield f"{said['layers']} layers do not divide over pp x vpp = {pp * vpp}"
    dp = one.world // max(said.get("tp", 1) * pp * said.get("cp", 1), 1)
    many = said.get("gbs", 0) // max(said.get("mbs", 1) * dp, 1)
    if "gbs" in said and one.engine != "torchtitan" and vpp > 1 and pp > 1 and many % pp:
        yield f"{many} micro-batches do not divide over pp{pp}"


def _layout(text: str, pp: int, layers: int | None) -> Iterator[str]:
    unrolled = re.sub(r"\(([^)]+)\)\*(\d+)", lambda m: m[1] * int(m[2]), text.replace(",", ""))
    if not re.fullmatch(r"E[tm|]*L", unrolled):
        yield f"{text} is no layout from the embedding to the loss"
    if (unrolled.count("|") + 1) % max(pp, 1):
        yield f"{text} has no whole chunks for pp{pp}"
    if layers is not None and unrolled.count("t") != layers:
        yield f"{text} has {unrolled.count('t')} layers, not {layers}"


def _together(one: SettingsFile, said: Mapping[str, int]) -> Iterator[str]:
    """What excludes what."""
    tp = said.get("tp", 1)
    if tp == 1 and (one.has("--sequence-parallel") or one.value("model.sequence_parallel") == "True"):
        yield "sequence parallelism without tensor parallelism"
    if one.has("--overlap-param-gather") and not one.has("--use-distributed-optimizer"):
        yield "parameters are gathered without a distributed optimizer"
    if one.has("--fp8-format") and one.has("--fp4-format"):
        yield "FP8 and FP4 together"
    if one.has("--bf16") and one.has("--fp16"):
        yield "bf16 and fp16 together"
    if one.value("--recompute-granularity") == "full" and not one.has("--recompute-method"):
        yield "full recomputation without a method"
    if said.get("seq", 0) > said.get("positions", said.get("seq", 0)):
        yield "a sequence is longer than the positions"
    if one.engine == "verl" and one.world % max(said.get("rollout_tp", 1), 1):
        yield "ranks do not divide over the tp of rollouts"


RULES: tuple[Rule, ...] = (_ranks, _batch, _heads, _experts, _chunks, _together)


def check_files(engine: str, made: Sequence[ExportedFile]) -> None:
    """Raises InputError with every reason for which an engine would not take the files of a run."""
    found = refused(settings_file(engine, made))
    if found:
        raise InputError(Problem(why, path=engine) for why in found)
