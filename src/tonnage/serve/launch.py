"""What an engine has to be told to run a plan as it was priced: parallelism, tokens of a step, batch, formats.

Names are those of the engines' own documentation: vLLM's "Engine Arguments", SGLang's "Server Arguments", the YAML of
`trtllm-serve --config`, the tutorials of vLLM Ascend, and the README of vLLM's plugin for attention and FFN apart
(vllm-project/afd-plugin). Where an engine cannot be told so, the reason stands instead. SGLang divides the tokens of a
step and the running requests over its attention replicas, vLLM and TensorRT-LLM count them for each.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np

from tonnage.layout import Layout
from tonnage.serve.search import Grid, Setting

DRAFTS = "DRAFT_MODEL"
"""Stands for the path of a draft model, where the model has no layers of its own that draft."""


@dataclass(frozen=True)
class Instance:
    """One kind of engine instance. role: `serve`, `prefill`, `decode`, `attention` or `ffn`; running: sequences of an
    attention replica; chunk: new tokens per step and replica, None where it never prefills.
    """

    role: str
    layout: Layout
    count: int
    running: float | None
    chunk: float | None


def settings(given: Setting, point: Grid) -> tuple[dict[str, Any], ...]:
    """Per kind of instance: role, count, engine, flags (None where the engine cannot be told), and why not."""
    sides, turns = (0, 0), 0
    if point.ffn is not None and point.micro_batches is not None:
        sides, turns = (int(point.layout.ranks), int(point.ffn.ranks)), int(point.micro_batches)
    return tuple(_row(given, one, sides, turns) for one in _instances(given, point))


def _instances(given: Setting, point: Grid) -> list[Instance]:
    chunk = given.chunk if point.chunk is None else float(point.chunk)
    running, count = float(point.running), int(point.instances)
    if point.mode == "prefill":
        return [Instance("prefill", point.layout, count, None, chunk)]
    if point.mode == "aggregated":
        return [Instance("serve", point.layout, count, running, chunk)]
    found = []
    if point.ahead is not None:
        found.append(Instance("prefill", point.ahead, int(point.ahead_instances), None, chunk))
    if point.ffn is None:
        return [*found, Instance("decode", point.layout, count, running, None)]
    return [
        *found,
        Instance("attention", point.layout, count, running, None),
        Instance("ffn", point.ffn, count, None, None),
    ]


def _row(given: Setting, one: Instance, sides: tuple[int, int] = (0, 0), turns: int = 0) -> dict[str, Any]:
    name = given.engine.name
    writers = {"sglang": _sglang, "vllm": _vllm, "vllm-ascend": _vllm, "trtllm": _trtllm}
    apart = one.role in ("attention", "ffn")
    flags: str | None = None
    why = _cannot(given, one, sides, turns)
    if why is None and (apart or name in writers):
        flags = (_vllm if apart else writers[name])(given, one)
        if apart:
            flags += _apart(given, one, sides, turns)
    elif why is None:
        why = f"the flags of {name} are not known here"
    engine = "vllm with afd-plugin" if apart else name
    return {"role": one.role, "count": one.count, "engine": engine, "flags": flags, "why": why}


def _apart(given: Setting, one: Instance, sides: tuple[int, int], turns: int) -> str:
    """What vLLM's plugin needs besides; it takes one or two micro-batches (`--enable-dbo`)."""
    connector = "CAMP2pAFDConnector" if given.service.die.stack == "cann" else "P2pNcclAFDConnector"
    fields = {"role": one.role, "connector": connector, "num_attention_ranks": sides[0], "num_ffn_ranks": sides[1]}
    return (" --enable-dbo" if turns == 2 else "") + " --additional-config " + _quoted({"afd": fields})


def _cannot(given: Setting, one: Instance, sides: tuple[int, int], turns: int) -> str | None:
    """Why an engine cannot be told to run an instance."""
    own = one.layout
    if turns > 2 and one.role in ("attention", "ffn"):
        return f"vLLM's plugin takes two micro-batches in turns, not {turns}"
    if one.role in ("attention", "ffn") and sides[0] < sides[1]:
        return "vLLM's plugin needs as many attention ranks as FFN ranks or more"
    if int(own.cp) > 1:
        return "prompts shared by ranks (cp) are set differently in each engine's version"
    held = replace(own, ep=1) if one.role == "ffn" else own
    return given.engine.refuses(held, given.formats.kv)


def _sglang(given: Setting, one: Instance) -> str:
    own = one.layout
    words = [f"--tp-size {int(own.tp) * int(own.dp)}"]
    if int(own.dp) > 1:
        words.append(f"--dp-size {int(own.dp)} --enable-dp-attention")
    words += [f"--pp-size {int(own.pp)}"] if int(own.pp) > 1 else []
    words += [f"--ep-size {int(own.ep)}"] if int(own.ep) > 1 else []
    if one.chunk is not None:
        words.append(f"--chunked-prefill-size {int(one.chunk) * int(own.dp)}")
    if one.running is not None:
        words.append(f"--max-running-requests {ceil(one.running - 1e-9) * int(own.dp)}")
    words += [f"--mem-fraction-static {given.job.memory_share:g}"] if given.job.memory_share else []
    words += ["--kv-cache-dtype fp8_e4m3"] if given.formats.kv == "fp8" else []
    if drafts := _drafts(given, one):
        words.append(f"--speculative-algorithm EAGLE --speculative-num-steps {drafts}")
        words.append(f"--speculative-eagle-topk 1 --speculative-num-draft-tokens {drafts + 1}")
        words += [] if given.traffic.own_layers else [f"--speculative-draft-model-path {DRAFTS}"]
    words += [f"--disaggregation-mode {one.role}"] if one.role in ("prefill", "decode") else []
    return " ".join(words)


def _vllm(given: Setting, one: Instance) -> str:
    own = one.layout
    words = [f"--tensor-parallel-size {int(own.tp)}"]
    words += [f"--data-parallel-size {int(own.dp)}"] if int(own.dp) > 1 else []
    words += [f"--pipeline-parallel-size {int(own.pp)}"] if int(own.pp) > 1 else []
    words += ["--enable-expert-parallel"] if int(own.ep) > 1 or one.role in ("attention", "ffn") else []
    if one.chunk is not None:
        words.append(f"--max-num-batched-tokens {int(one.chunk)}")
    if one.running is not None:
        words.append(f"--max-num-seqs {ceil(one.running - 1e-9)}")
    words += [f"--gpu-memory-utilization {given.job.memory_share:g}"] if given.job.memory_share else []
    words += ["--kv-cache-dtype fp8"] if given.formats.kv == "fp8" else []
    if drafts := _drafts(given, one):
        how = {"method": "mtp"} if given.traffic.own_layers else {"method": "eagle3", "model": DRAFTS}
        words.append("--speculative-config " + _quoted({**how, "num_speculative_tokens": drafts}))
    if one.role in ("prefill", "decode"):
        words.append("--kv-transfer-config " + _quoted(_transfer(given, one)))
    return " ".join(words)


def _transfer(given: Setting, one: Instance) -> dict[str, str]:
    """How the cache goes from one pool to the other; vLLM Ascend has a connector of its own."""
    if given.engine.name != "vllm-ascend":
        return {"kv_connector": "NixlConnector", "kv_role": "kv_both"}
    role = {"prefill": "kv_producer", "decode": "kv_consumer"}[one.role]
    return {"kv_connector": "MooncakeConnectorV1", "kv_role": role}


def _trtllm(given: Setting, one: Instance) -> str:
    """The lines of its YAML, in one."""
    own = one.layout
    fields: dict[str, Any] = {"tensor_parallel_size": int(own.tp) * int(own.dp)}
    fields["pipeline_parallel_size"] = int(own.pp)
    fields["moe_expert_parallel_size"] = int(own.ep)
    fields["enable_attention_dp"] = int(own.dp) > 1
    if one.chunk is not None:
        fields["max_num_tokens"] = int(one.chunk)
    if one.running is not None:
        fields["max_batch_size"] = ceil(one.running - 1e-9)
    share = given.job.memory_share or given.engine.memory_share
    cache = "fp8" if given.formats.kv == "fp8" else "auto"
    fields["kv_cache_config"] = {"free_gpu_memory_fraction": share, "dtype": cache}
    if drafts := _drafts(given, one):
        own_layers = {"decoding_type": "MTP", "max_draft_len": drafts}
        other = {"decoding_type": "Eagle3", "max_draft_len": drafts, "speculative_model": DRAFTS}
        fields["speculative_config"] = own_layers if given.traffic.own_layers else other
    return json.dumps(fields)


def _drafts(given: Setting, one: Instance) -> int:
    return int(np.asarray(given.traffic.drafts)) if one.role != "prefill" else 0


def _quoted(fields: dict[str, Any]) -> str:
    return f"'{json.dumps(fields)}'"
