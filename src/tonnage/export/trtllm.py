"""TensorRT-LLM: the YAML of `trtllm-serve --config`."""

from __future__ import annotations

import json
from math import ceil

from tonnage.export.words import DRAFT_MODEL, copies
from tonnage.serve.instances import Instance
from tonnage.serve.replica.engines import ENGINES


def flags(one: Instance) -> str:
    """The lines of the YAML, in one."""
    own = one.layout
    fields: dict[str, object] = {"tensor_parallel_size": int(own.tp) * int(own.dp)}
    fields["pipeline_parallel_size"] = int(own.pp)
    fields["moe_expert_parallel_size"] = int(own.ep)
    fields["enable_attention_dp"] = int(own.dp) > 1
    if copies(one):
        slots = {"num_slots": one.experts + copies(one), "layer_updates_per_iter": 0}
        fields["moe_config"] = {"load_balancer": slots}
    if one.chunk is not None:
        fields["max_num_tokens"] = one.chunk
    if one.sequences is not None:
        fields["max_batch_size"] = ceil(one.sequences - 1e-9)
    share = one.memory_share or ENGINES[one.engine].memory_share
    fields["kv_cache_config"] = {"free_gpu_memory_fraction": share, "dtype": "fp8" if one.kv == "fp8" else "auto"}
    if one.eager:
        fields["cuda_graph_config"] = None
    if one.context:
        fields["max_seq_len"] = one.context
    if one.role in ("prefill", "decode"):
        fields["cache_transceiver_config"] = {"backend": "DEFAULT"}
    if one.drafts:
        own_layers = {"decoding_type": "MTP", "max_draft_len": one.drafts}
        kind = "DraftTarget" if one.draft == "model" else "Eagle3"
        other = {
            "decoding_type": kind,
            "max_draft_len": one.drafts,
            "speculative_model": one.draft_model or DRAFT_MODEL,
        }
        fields["speculative_config"] = own_layers if one.own_layers else other
    return json.dumps(fields)


def commands(one: Instance) -> tuple[tuple[str, str], ...]:
    """(which servers, command) of an instance; over several servers one MPI job starts all ranks."""
    start = f"trtllm-serve {one.model} --config <(echo '{flags(one)}') --host 0.0.0.0 --port 8000"
    if one.nodes == 1:
        return (("one server", start),)
    held = one.ranks // one.nodes
    job = f"mpirun -n {one.ranks} -npernode {held} trtllm-llmapi-launch"
    return (("once for all servers", f"{job} {start}"),)
