"""SGLang: flags by the names of its "Server Arguments"."""

from __future__ import annotations

from math import ceil

from tonnage.export.words import DRAFT_MODEL
from tonnage.serve.instances import Instance


def flags(one: Instance) -> str:
    """Flags of `sglang.launch_server`; tokens of a step and running requests are divided over attention replicas."""
    own = one.layout
    words = [f"--tp-size {int(own.tp) * int(own.dp)}"]
    if int(own.dp) > 1:
        words.append(f"--dp-size {int(own.dp)} --enable-dp-attention")
    words += [f"--pp-size {int(own.pp)}"] if int(own.pp) > 1 else []
    words += [f"--ep-size {int(own.ep)}"] if int(own.ep) > 1 else []
    if one.chunk is not None:
        words.append(f"--chunked-prefill-size {one.chunk * int(own.dp)}")
    if one.running is not None:
        words.append(f"--max-running-requests {ceil(one.running - 1e-9) * int(own.dp)}")
    words += [f"--mem-fraction-static {one.memory_share:g}"] if one.memory_share else []
    words += ["--disable-cuda-graph"] if one.eager else []
    words += ["--kv-cache-dtype fp8_e4m3"] if one.kv == "fp8" else []
    if one.drafts:
        words.append(f"--speculative-algorithm EAGLE --speculative-num-steps {one.drafts}")
        words.append(f"--speculative-eagle-topk 1 --speculative-num-draft-tokens {one.drafts + 1}")
        words += [] if one.own_layers else [f"--speculative-draft-model-path {DRAFT_MODEL}"]
    words += [f"--disaggregation-mode {one.role}"] if one.role in ("prefill", "decode") else []
    return " ".join(words)
