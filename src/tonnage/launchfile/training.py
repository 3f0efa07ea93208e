"""A start of a training framework -> the words of a question about training."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tonnage.errors import Problem
from tonnage.launchfile.names import TABLE_OF, data, plain
from tonnage.launchfile.sorting import Sorted, sort
from tonnage.launchfile.value import EngineStart
from tonnage.train.frameworks import canonical

OPTIMIZERS = {"adam": "adamw", "adamw": "adamw", "muon": "muon", "dist-muon": "muon", "lion": "lion", "sgd": "sgd"}
"""Optimizers as frameworks name them."""

MOMENTS = {"bf16": "bf16", "fp16": "fp16", "fp32": "fp32", "torch-bfloat16": "bf16", "torch-float32": "fp32"}

SHARDING = {"no-shard": 0, "optim": 1, "optim-grads": 2, "optim-grads-params": 3}
"""What Megatron-FSDP shards -> ZeRO's stage."""

SCHEDULES = {"1f1b": "1f1b", "interleaved1f1b": "interleaved", "zbvzerobubble": "zb", "interleavedzerobubble": "zb",
             "dualpipev": "dualpipe", "interleaved": "interleaved"}  # fmt: skip
"""Pipeline schedules of torchtitan."""


@dataclass(frozen=True)
class Run:
    """A training run as it is written. layout: what is fixed; count: accelerators, if it is said; words: the rest."""

    layout: Mapping[str, int | str]
    count: int | None
    words: Mapping[str, str]
    sorted: Sorted
    notes: tuple[str, ...]


def run(start: EngineStart, layers: int | None, count: int | None) -> Run:
    """What a start means; layers: of the model, where it is known; count: accelerators, where the user says them."""
    found = sort(start.engine, start.said)
    kind = TABLE_OF[start.engine]
    layout: dict[str, int | str] = {}
    world = count or _world(start, found)
    if kind == "maxtext":
        layout |= _axes(start, found)
    for name in ("tp", "pp", "cp", "ep", "etp", "mbs"):
        value = found.whole(name)
        if value is not None:
            layout[name] = value
    _local(found, layout)
    if kind != "maxtext":
        for name in ("tp", "pp", "cp"):
            layout.setdefault(name, 1)
    notes: list[str] = []
    _virtual(found, layout, layers)
    layout |= _shards(start, found, kind)
    layout |= _recomputed(found, kind, layers, int(layout.get("pp", 1)), notes)
    schedule = SCHEDULES.get(plain(found.text("schedule") or "").replace("-", ""))
    if schedule and int(layout.get("pp", 1)) > 1:
        layout["schedule"] = schedule
    words = _words(start, found, kind, layout, world, notes)
    inside = int(layout.get("tp", 1)) * int(layout.get("pp", 1)) * int(layout.get("cp", 1))
    if world is not None and world % inside:
        notes.append(f"{world:,} accelerators do not divide into tp x pp x cp = {inside:,} ranks")
    elif world is not None:
        layout.setdefault("dp", world // inside)
    return Run(layout, world, words, found, tuple(notes))


def _world(start: EngineStart, found: Sorted) -> int | None:
    """Accelerators that are said: of the record, of servers times those of one, or all."""
    if start.each and start.nodes:
        return start.each * start.nodes * (start.replicas or 1)
    each, nodes = found.whole("per_node") or start.each, found.whole("nodes") or start.nodes
    if each and nodes:
        return each * nodes
    return found.whole("world")


def _axes(start: EngineStart, found: Sorted) -> dict[str, int | str]:
    """MaxText: axes inside (`ici`) times between (`dcn`) slices."""
    own = data("training")["maxtext"]["means"]
    assert isinstance(own, dict)
    made: dict[str, int] = {}
    for one in start.said:
        axis = str(own.get(plain(one.name), ""))
        if axis.startswith("axis_") and isinstance(one.value, (int, str)) and str(one.value).lstrip("-").isdigit():
            made[axis[5:]] = made.get(axis[5:], 1) * max(int(one.value), 1)
    layout: dict[str, int | str] = {name: made.get(name, 1) for name in ("tp", "pp", "cp")}
    if "ep" in made:
        layout["ep"] = made["ep"]
    layout["zero"] = 3 if made.get("fsdp", 1) > 1 else 1
    return layout


def _local(found: Sorted, layout: dict[str, int | str]) -> None:
    """torchtitan: a local batch is a micro-batch, or with a pipeline as many as its own size of one says."""
    local = found.whole("local")
    if local is None:
        return
    if int(layout.get("pp", 1)) > 1:
        layout.setdefault("mbs", 1)
    else:
        layout["mbs"] = local


WHOLE = ("megatron-lm", "mindspeed-llm", "torchtitan", "verl")
"""Engines of which a start says everything: one without chunks of a stage, or without a schedule, has none."""


def _virtual(found: Sorted, layout: dict[str, int | str], layers: int | None) -> None:
    """Chunks of each stage: said, by the layers of one, or by a layout of Megatron (`Et|(tt|)*29,tL`)."""
    vpp, each = found.whole("vpp"), found.whole("layers_per_vpp")
    pp = int(layout.get("pp", 1))
    held = found.whole("layers") or layers
    if pp <= 1:
        return
    written = found.text("stages")
    if written and written != "null":
        unrolled = re.sub(r"\(([^)]+)\)\*(\d{1,4})", lambda m: m[1] * int(m[2]), written[:4000])
        vpp = max((unrolled.count("|") + 1) // pp, 1)
    elif vpp is None and each is not None and held is not None:
        vpp = max(-(-held // (pp * each)), 1)
    elif vpp is None and (found.engine in WHOLE or "vpp" in found.by) and "stages" not in found.by:
        vpp = 1
    if vpp is not None:
        layout["vpp"] = vpp
    if vpp == 1:
        layout.setdefault("schedule", "1f1b")


def _shards(start: EngineStart, found: Sorted, kind: str) -> dict[str, int | str]:
    """ZeRO's stage."""
    if kind == "maxtext":
        return {}
    if kind == "deepspeed":
        return {"zero": int(found.number("zero") or 0)}
    reshard = found.by.get("reshard")
    kept = reshard is not None and str(reshard.value).lower() in ("never", "false")
    if kind == "torchtitan":
        if found.whole("shard") == 1 and reshard is None:
            return {"zero": 0}
        return {"zero": (2 if kept else 3) if found.whole("replicate") in (None, 1) or found.whole("shard") else 0}
    if kind == "verl":
        megatron = any("megatron" in plain(one.name) for one in start.said) or "tp" in found.by
        if megatron:
            return {"zero": 0 if found.on("distributed") is False else 1}
        return {"zero": 2 if kept else 3}
    sharding = plain(found.text("sharding") or "")
    if found.on("fsdp"):
        return {"zero": SHARDING.get(sharding, 3)}
    said = found.on("distributed")
    return {"zero": 0 if said is False or (said is None and start.engine in ("megatron-lm", "mindspeed-llm")) else 1}


def _recomputed(found: Sorted, kind: str, layers: int | None, pp: int, notes: list[str]) -> dict[str, int | str]:
    said = found.by.get("granularity")
    if kind == "maxtext":
        remat = found.text("remat") or "full"
        return {
            "recompute": "full" if remat == "full" else "none" if remat in ("save_everything", "none") else "selective"
        }
    if found.on("selective") or found.on("checkpointing") is False:
        return {"recompute": "selective" if found.on("selective") else "none"}
    if said is None and found.on("checkpointing") and not any("megatron" in plain(name) for name in found.names):
        return {"recompute": "full"}  # whole layers: `gradient_checkpointing_enable` of transformers
    if said is None:
        return {"recompute": "none"} if found.engine in ("megatron-lm", "mindspeed-llm", "slime") else {}
    level = plain(str(said.value or "none")).partition("-")[0].rstrip(",").replace("null", "none")
    if level not in ("none", "selective", "full"):
        return {}
    part = found.whole("recomputed")
    if level == "full" and (found.text("method") or "").startswith("block") and part and layers and part < layers // pp:
        notes.append(f"recompute of {part} layers of a stage is priced as full")
    return {"recompute": level}


def _precision(found: Sorted) -> str | None:
    said = found.text("precision")
    known = data("training")["recipes"]["mixed"]
    assert isinstance(known, dict)
    if found.on("fp4"):
        return "nvfp4"
    if found.on("fp8"):
        recipe = plain(found.text("recipe") or "")
        return "mxfp8" if recipe == "mxfp8" else "fp8"
    if plain(found.text("quantization") or "").startswith("fp8"):
        return "fp8"
    if plain(found.text("converters") or "").startswith("float8"):
        return "fp8"
    if said is not None and plain(said) in known:
        return str(known[plain(said)])
    return next((name for name in ("bf16", "fp16") if found.on(name)), None)


def _words(
    start: EngineStart, found: Sorted, kind: str, layout: dict[str, int | str], world: int | None, notes: list[str]
) -> dict[str, str]:
    words: dict[str, str] = {}
    seq, batch = _sizes(found, kind, layout, world, notes)
    if seq is not None:
        words["seq"] = str(seq)
    if batch is not None:
        words["global_batch"] = str(batch)
    precision = _precision(found)
    if precision:
        words["precision"] = precision
    framework = canonical(start.engine)
    if framework:
        words["framework"] = framework
    tokens = found.number("tokens") or (found.number("samples") or 0) * (seq or 0)
    tokens = tokens or (found.number("iters") or 0) * (batch or 0) * (seq or 0)
    if tokens > (batch or 1) * (seq or 1) * 100:  # of a run, not of a benchmark
        words["tokens"] = f"{tokens:.0f}"
    if found.on("forced"):
        words["routing"] = "forced"
    optimizer = OPTIMIZERS.get(plain(found.text("optimizer") or ""))
    if optimizer and optimizer != "adamw":
        words["optimizer"] = optimizer
    moments = MOMENTS.get(plain(found.text("moments") or ""))
    if moments and moments != "fp32":
        words["moments"] = moments
    if MOMENTS.get(plain(found.text("gradients") or "")) == "bf16":
        words["gradients"] = "bf16"
    kept = [name for name in ("optimizer", "params", "activations") if _offloaded(found, name)]
    if kept:
        words["offload"] = ",".join(kept)
    rank = found.whole("lora_rank")
    if rank is not None:
        words |= {"task": "lora", "lora_rank": str(rank)}
    return words


def _offloaded(found: Sorted, what: str) -> bool:
    said = found.by.get(f"offload_{what}")
    return bool(found.on(f"offload_{what}")) and not (said is not None and plain(str(said.value)) == "none")


def _sizes(
    found: Sorted, kind: str, layout: dict[str, int | str], world: int | None, notes: list[str]
) -> tuple[int | None, int | None]:
    """(tokens of a sequence, sequences of a step)."""
    seq, batch = found.whole("seq"), found.whole("gbs")
    if kind == "verl":
        prompt, answer = found.whole("prompt"), found.whole("response")
        seq = (prompt or 0) + (answer or 0) or None
        mini = found.whole("mini") or found.whole("prompts")
        batch = None if mini is None else mini * (found.whole("samples_each") or 1)
        notes.append("the update of the actor is priced: one mini-batch of responses, each as long as may be")
        return seq, batch
    if found.engine == "slime":
        seq = seq or found.whole("response")
        notes.append("the update of the actor is priced, with responses as long as may be")
    tokens = found.whole("microbatch_tokens")
    if tokens is not None and seq is not None:
        layout.setdefault("mbs", max(tokens // seq, 1))
    each = found.number("per_device")
    if each is not None and world is not None:
        batch = max(int(each * world), 1)
        layout.setdefault("mbs", max(int(each), 1))
    inside = int(layout.get("tp", 1)) * int(layout.get("pp", 1)) * int(layout.get("cp", 1))
    if batch is None and world is not None and "mbs" in layout and kind in ("torchtitan", "deepspeed"):
        batch = (
            max(world // inside, 1) * (found.whole("local") or int(layout["mbs"])) * (found.whole("accumulation") or 1)
        )
    return seq, batch


def unread(found: Sorted) -> list[Problem]:
    """Problems of values."""
    return found.problems
