"""The model and its optimiser: transformers' classes, cut over processes by FSDP2, stored by torch's checkpoints."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonnage import files
from tonnage.device import distributed, network
from tonnage.model import load
from tonnage.model.scaled import EXPERTS, scaled
from tonnage.run.train.plan import RunPlan, StageSpec
from tonnage.run.train.ranks import Ranks
from tonnage.run.train.words import BOS, EOS, PAD, VOCABULARY

if TYPE_CHECKING:
    import torch

CONTEXT = 96
"""Longest sequence of the tasks [tokens]: five terms, their steps, the answer, with room."""


def configuration(plan: RunPlan) -> dict[str, Any]:
    """The small configuration of the plan's model."""
    return scaled(load(plan.model).config, plan.scale, VOCABULARY, CONTEXT, plan.sizes)


def built(plan: RunPlan, ranks: Ranks) -> torch.nn.Module:
    """The model with weights that its seed decides, on its device, cut over the processes."""
    sizes = configuration(plan)
    eager = any(sizes.get(key) for key in EXPERTS)
    return sharded(network.made(sizes, plan.seed, ranks.place, (BOS, EOS, PAD), eager), ranks)


def sharded(model: Any, ranks: Ranks) -> torch.nn.Module:
    """Each layer cut over all processes (FSDP2); alone, the model as it is."""
    if ranks.size > 1:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(ranks.place.type, (ranks.size,))
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
    whole: torch.nn.Module = model
    return whole


def optimiser(model: torch.nn.Module, stage: StageSpec) -> torch.optim.AdamW:
    """AdamW with its moments in place from the start: zero, after no step."""
    import torch

    made = torch.optim.AdamW(model.parameters(), lr=0.0, betas=stage.betas, weight_decay=0.0)
    for value in model.parameters():
        value.grad = torch.zeros_like(value)
    made.step()
    made.zero_grad()
    for state in made.state.values():
        state["step"].zero_()
    for group in made.param_groups:
        group["weight_decay"] = stage.weight_decay
    return made


def rate_at(stage: StageSpec, step: int) -> float:
    """Learning rate of a step: it rises over the warm-up, stays, and falls to nothing over the last share."""
    rise = min(1.0, (step + 1) / max(1, stage.warm_up))
    left = (stage.steps - step) / max(1.0, stage.decay * stage.steps)
    return stage.rate * min(rise, 1.0, left)


def cast(precision: str, ranks: Ranks) -> AbstractContextManager[object]:
    """Products in bf16 where the plan says so; the weights stay fp32."""
    return network.cast(precision, ranks.place)


def norm_clipped(model: torch.nn.Module, most: float) -> float:
    """Norm of the gradient over all processes, which is cut to `most`."""
    import torch

    norm: Any = torch.nn.utils.clip_grad_norm_(model.parameters(), most)
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)


def resharded(model: torch.nn.Module) -> None:
    """Each process holds its part again: without a backward pass FSDP leaves the root's weights gathered."""
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def write_state(folder: Path, model: torch.nn.Module, made: torch.optim.Optimizer, ranks: Ranks) -> None:
    """The weights and moments, each process its part, in torch's distributed format: any number of them reads it."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_state_dict

    weights, moments = get_state_dict(model, made)
    writer = dcp.FileSystemWriter(folder, single_file_per_rank=True, sync_files=True)
    with _alone(ranks):
        dcp.save({"model": weights, "optim": moments}, storage_writer=writer, no_dist=ranks.size == 1)


def read_state(folder: Path, model: torch.nn.Module, made: torch.optim.Optimizer, ranks: Ranks) -> None:
    """The inverse, onto whatever devices and processes there are now."""
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

    weights, moments = get_state_dict(model, made)
    both: dict[str, Any] = {"model": weights, "optim": moments}
    with _alone(ranks):
        distributed.load(both, folder, alone=ranks.size == 1)
    set_state_dict(model, made, model_state_dict=both["model"], optim_state_dict=both["optim"])


@contextmanager
def _alone(ranks: Ranks) -> Iterator[None]:
    """One process by itself is meant: torch need not warn that it is one."""
    with warnings.catch_warnings():
        if ranks.size == 1:
            warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield


def write_model(folder: Path, model: Any, ranks: Ranks) -> None:
    """The weights, configuration and tokenizer as transformers and engines load them."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
    from transformers.utils import logging

    from tonnage.run.train.words import write_tokenizer

    logging.disable_progress_bar()
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights = get_model_state_dict(model, options=options)
    if ranks.rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(str(folder), state_dict=weights)
        _for_engines(folder / "config.json")
        write_tokenizer(folder)
    ranks.wait()


def _for_engines(path: Path) -> None:
    """Positions of latent attention as the releases of DeepSeek have them: YaRN, here with a factor of 1, which turns
    nothing else than plain RoPE does (Peng et al., arXiv 2309.00071, section 3.2). vLLM 0.32 on a CPU turns the queries
    of plain RoPE wrongly where they are a slice of wider heads (its kernel reads them as contiguous), and answers
    nonsense.
    """
    config = json.loads(path.read_text("utf-8"))
    rope = config.get("rope_parameters") or {}
    if not config.get("kv_lora_rank") or rope.get("rope_type") != "default":
        return
    stretch = {
        "rope_type": "yarn",
        "factor": 1.0,
        "original_max_position_embeddings": config["max_position_embeddings"],
    }
    shape = {"beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0}
    files.write(path, json.dumps({**config, "rope_parameters": {**rope, **stretch, **shape}}, indent=2) + "\n")
