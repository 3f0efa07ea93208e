"""vLLM and vLLM Ascend: flags by the names of vLLM's "Engine Arguments" and the tutorials of vLLM Ascend.

Attention and FFN apart are run by vLLM's plugin (README of vllm-project/afd-plugin).
"""

from __future__ import annotations

from math import ceil

from tonnage.export.words import DRAFT_MODEL, HEAD, NODE, copies, exchange, quoted
from tonnage.serve.instances import Instance

PORTS = (8000, 13345, 29501)
"""Where a server listens, where replicas meet, where ranks of one replica meet: 8000 is vLLM's default."""


def flags(one: Instance, node: str = "0", extra: dict[str, object] | None = None) -> str:
    """Flags of `vllm serve`; vLLM counts tokens of a step and running requests for each attention replica.

    node: number of the server, where an instance lies on several; extra: further keys of `--additional-config`.
    """
    own = one.layout
    words = [f"--tensor-parallel-size {int(own.tp)}"]
    words += [f"--data-parallel-size {int(own.dp)}"] if int(own.dp) > 1 else []
    words += [f"--pipeline-parallel-size {int(own.pp)}"] if int(own.pp) > 1 else []
    words += [f"--prefill-context-parallel-size {int(own.cp)}"] if int(own.cp) > 1 else []
    words += ["--enable-expert-parallel"] if int(own.ep) > 1 or one.afd is not None else []
    words += _balanced(one)
    words += _exchanged(one)
    words += _joined(one, node)
    if one.chunk is not None:
        words.append(f"--max-num-batched-tokens {one.chunk}")
    if one.sequences is not None:
        words.append(f"--max-num-seqs {ceil(one.sequences - 1e-9)}")
    words += [f"--max-model-len {one.context}"] if one.context else []
    words += [f"--gpu-memory-utilization {one.memory_share:g}"] if one.memory_share else []
    words += ["--enforce-eager"] if one.eager else []
    words += [f"--quantization {one.online}"] if one.online else []
    words += ["--kv-cache-dtype fp8"] if one.kv == "fp8" else []
    if one.drafts:
        how = {"method": "mtp"} if one.own_layers else _beside(one)
        words.append("--speculative-config " + quoted({**how, "num_speculative_tokens": one.drafts}))
    if one.afd is not None and one.paired:
        words.append("--kv-transfer-config " + quoted(_transfer(one)))
    more = {**_ascend(one), **(extra or {})}
    words += [f"--additional-config {quoted(more)}"] if more else []
    if one.role in ("prefill", "decode"):
        words.append("--kv-transfer-config " + quoted(_transfer(one)))
    return " ".join(words)


METHODS = {"eagle": "eagle", "eagle3": "eagle3", "dflash": "dflash", "model": "draft_model"}
"""How a model beside it drafts, as vLLM names it (`vllm/config/speculative.py`)."""


def _beside(one: Instance) -> dict[str, str]:
    """The model that drafts."""
    return {"method": METHODS[one.draft or "eagle3"], "model": one.draft_model or DRAFT_MODEL}


def _balanced(one: Instance) -> list[str]:
    """Redundant experts, as vLLM is told of them."""
    if not copies(one) or one.engine == "vllm-ascend":
        return []
    return ["--enable-eplb", "--eplb-config " + quoted({"num_redundant_experts": copies(one)})]


def _ascend(one: Instance) -> dict[str, object]:
    """The same as vLLM Ascend is told."""
    if not copies(one) or one.engine != "vllm-ascend":
        return {}
    return {"eplb_config": {"dynamic_eplb": True, "num_redundant_experts": copies(one)}}


def _exchanged(one: Instance) -> list[str]:
    library = exchange(one)
    if library is None:
        return []
    kernels = "high_throughput" if one.role == "prefill" else "low_latency"
    return [f"--all2all-backend {library}_{kernels}"]


def _joined(one: Instance, node: str) -> list[str]:
    """How the servers of an instance find each other: whole replicas on each, or a replica over several."""
    if one.nodes == 1 or one.server is None:
        return []
    group = one.ranks // int(one.layout.dp)
    first = node == "0"
    if group > one.server or int(one.layout.dp) == 1:
        joined = [f"--nnodes {one.nodes} --node-rank {node} --master-addr {HEAD} --master-port {PORTS[2]}"]
        return joined if first else [*joined, "--headless"]
    local = one.server // group
    joined = [f"--data-parallel-size-local {local} --data-parallel-address {HEAD} --data-parallel-rpc-port {PORTS[1]}"]
    return joined if first else [*joined, f"--headless --data-parallel-start-rank $(({node[1:]} * {local}))"]


def _transfer(one: Instance) -> dict[str, str]:
    """How the cache goes from one pool to the other; vLLM Ascend has a connector of its own."""
    if one.engine != "vllm-ascend":
        return {"kv_connector": "NixlConnector", "kv_role": "kv_both"}
    role = "kv_producer" if one.role == "prefill" else "kv_consumer"
    return {"kv_connector": "MooncakeConnectorV1", "kv_role": role}


def commands(one: Instance) -> tuple[tuple[str, str], ...]:
    """(which servers, command) of an instance."""
    return _started(one, flags(one), flags(one, NODE))


def afd_commands(one: Instance) -> tuple[tuple[str, str], ...]:
    """The same of one side where attention and FFN are apart."""
    return _started(one, afd_flags(one), afd_flags(one, NODE))


def _started(one: Instance, first: str, other: str) -> tuple[tuple[str, str], ...]:
    start = f"vllm serve {one.model}"
    head = f"{start} {first} --host 0.0.0.0 --port {PORTS[0]}"
    if one.nodes == 1:
        return (("one server", head),)
    return (("first server", head), ("each other server", f"{start} {other}"))


def afd_flags(one: Instance, node: str = "0") -> str:
    """The flags with what the plugin needs besides; it takes one or two micro-batches (`--enable-dbo`)."""
    assert one.afd is not None
    connector = "CAMP2pAFDConnector" if one.stack == "cann" else "P2pNcclAFDConnector"
    ranks = {"num_attention_ranks": one.afd.attention_ranks, "num_ffn_ranks": one.afd.ffn_ranks}
    both = " --enable-dbo" if one.afd.micro_batches == 2 else ""
    fields = {"role": one.role, "connector": connector, **ranks}
    return f"{flags(one, node, {'afd': fields})}{both}"
