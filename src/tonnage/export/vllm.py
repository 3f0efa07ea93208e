"""vLLM and vLLM Ascend: flags by the names of vLLM's "Engine Arguments" and the tutorials of vLLM Ascend.

Attention and FFN apart are run by vLLM's plugin (README of vllm-project/afd-plugin).
"""

from __future__ import annotations

from math import ceil

from tonnage.export.words import DRAFT_MODEL, quoted
from tonnage.serve.instances import Instance


def flags(one: Instance) -> str:
    """Flags of `vllm serve`; vLLM counts tokens of a step and running requests for each attention replica."""
    own = one.layout
    words = [f"--tensor-parallel-size {int(own.tp)}"]
    words += [f"--data-parallel-size {int(own.dp)}"] if int(own.dp) > 1 else []
    words += [f"--pipeline-parallel-size {int(own.pp)}"] if int(own.pp) > 1 else []
    words += ["--enable-expert-parallel"] if int(own.ep) > 1 or one.afd is not None else []
    if one.chunk is not None:
        words.append(f"--max-num-batched-tokens {one.chunk}")
    if one.running is not None:
        words.append(f"--max-num-seqs {ceil(one.running - 1e-9)}")
    words += [f"--gpu-memory-utilization {one.memory_share:g}"] if one.memory_share else []
    words += ["--enforce-eager"] if one.eager else []
    words += ["--kv-cache-dtype fp8"] if one.kv == "fp8" else []
    if one.drafts:
        how = {"method": "mtp"} if one.own_layers else {"method": "eagle3", "model": DRAFT_MODEL}
        words.append("--speculative-config " + quoted({**how, "num_speculative_tokens": one.drafts}))
    if one.role in ("prefill", "decode"):
        words.append("--kv-transfer-config " + quoted(_transfer(one)))
    return " ".join(words)


def _transfer(one: Instance) -> dict[str, str]:
    """How the cache goes from one pool to the other; vLLM Ascend has a connector of its own."""
    if one.engine != "vllm-ascend":
        return {"kv_connector": "NixlConnector", "kv_role": "kv_both"}
    role = {"prefill": "kv_producer", "decode": "kv_consumer"}[one.role]
    return {"kv_connector": "MooncakeConnectorV1", "kv_role": role}


def afd_flags(one: Instance) -> str:
    """The same with what the plugin needs besides; it takes one or two micro-batches (`--enable-dbo`)."""
    assert one.afd is not None
    connector = "CAMP2pAFDConnector" if one.stack == "cann" else "P2pNcclAFDConnector"
    ranks = {"num_attention_ranks": one.afd.attention_ranks, "num_ffn_ranks": one.afd.ffn_ranks}
    both = " --enable-dbo" if one.afd.micro_batches == 2 else ""
    fields = {"role": one.role, "connector": connector, **ranks}
    return f"{flags(one)}{both} --additional-config {quoted({'afd': fields})}"


def afd_refuses(one: Instance) -> str | None:
    """Why the plugin cannot run an instance."""
    if one.afd is None:
        return None
    if one.afd.micro_batches > 2:
        return f"vLLM's plugin takes two micro-batches in turns, not {one.afd.micro_batches}"
    if one.afd.attention_ranks < one.afd.ffn_ranks:
        return "vLLM's plugin needs as many attention ranks as FFN ranks or more"
    return None
