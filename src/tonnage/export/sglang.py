"""SGLang: flags by the names of its "Server Arguments"."""

from __future__ import annotations

from tonnage.export.words import DISPATCHED, DRAFT_MODEL, HEAD, NODE, copies, dispatched, exchange, held
from tonnage.serve.instances import Instance

PORT = 30000
"""Where a server listens: SGLang's default."""

TRANSFER = {"cann": "ascend"}
"""What carries the cache from one pool to the other, by stack; Mooncake where nothing else stands here."""

ALGORITHM = {"eagle": "EAGLE", "eagle3": "EAGLE3", "dflash": "DFLASH", "model": "STANDALONE"}
"""How a model beside it drafts, as SGLang names it (`server_args.py`, `--speculative-algorithm`)."""


def _algorithm(one: Instance) -> str:
    """What drafts: the model's own layers run as EAGLE's do."""
    return "EAGLE" if one.own_layers else ALGORITHM[one.draft or "eagle3"]


def flags(one: Instance, node: str = "0") -> str:
    """Flags of `sglang.launch_server`; tokens of a step and running requests are divided over attention replicas.

    node: number of the server, where an instance lies on several.
    """
    own = one.layout
    words = [f"--model-path {one.model}", f"--tp-size {int(own.tp) * int(own.dp) * int(own.cp)}"]
    if int(own.dp) > 1:
        words.append(f"--dp-size {int(own.dp)} --enable-dp-attention")
    words += [f"--pp-size {int(own.pp)}"] if int(own.pp) > 1 else []
    if int(own.cp) > 1:
        words.append(f"--attn-cp-size {int(own.cp)} --enable-prefill-cp --cp-strategy interleave")
    words += [f"--ep-size {int(own.ep)}"] if int(own.ep) > 1 else []
    if copies(one):
        words.append(f"--ep-num-redundant-experts {copies(one)} --enable-eplb --ep-dispatch-algorithm dynamic")
    words += _exchanged(one)
    if one.nodes > 1:
        words.append(f"--nnodes {one.nodes} --node-rank {node} --dist-init-addr {HEAD}:5000")
    if one.chunk is not None:
        words.append(f"--chunked-prefill-size {one.chunk * int(own.dp)}")
    if one.sequences is not None:
        words.append(f"--max-running-requests {held(one) * int(own.dp)}")
    words += [f"--context-length {one.context}"] if one.context else []
    words += [f"--mem-fraction-static {one.memory_share:g}"] if one.memory_share else []
    words += ["--disable-cuda-graph"] if one.eager else []
    words += [f"--quantization {one.online}"] if one.online else []
    words += ["--kv-cache-dtype fp8_e4m3"] if one.kv == "fp8" else []
    if one.drafts:
        words.append(f"--speculative-algorithm {_algorithm(one)} --speculative-num-steps {one.drafts}")
        words.append(f"--speculative-eagle-topk 1 --speculative-num-draft-tokens {one.drafts + 1}")
        words += [] if one.own_layers else [f"--speculative-draft-model-path {one.draft_model or DRAFT_MODEL}"]
    if one.role in ("prefill", "decode"):
        words.append(f"--disaggregation-mode {one.role}")
        words.append(f"--disaggregation-transfer-backend {TRANSFER.get(one.stack or '', 'mooncake')}")
    return " ".join(words)


def _mode(one: Instance) -> str:
    """Kernels of DeepEP and MoRI: of many tokens, of few, or each in its kind of step."""
    if one.role == "prefill" or dispatched(one) > DISPATCHED[1]:
        return "normal"
    return "low_latency" if one.role == "decode" else "auto"


def _exchanged(one: Instance) -> list[str]:
    library = exchange(one)
    return [f"--moe-a2a-backend {library} --deepep-mode {_mode(one)}"] if library else []


def commands(one: Instance) -> tuple[tuple[str, str], ...]:
    """(which servers, command) of an instance."""
    wide = exchange(one) == "deepep" and _mode(one) != "normal" and dispatched(one) > DISPATCHED[0]
    before = f"SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK={dispatched(one)} " if wide else ""
    start = f"{before}python3 -m sglang.launch_server"
    where, node = ("one server", "0") if one.nodes == 1 else ("each server", NODE)
    return ((where, f"{start} {flags(one, node)} --host 0.0.0.0 --port {PORT}"),)
