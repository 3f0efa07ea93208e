"""A small network of a given architecture on a device: transformers' classes, weights that a seed decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from tonnage.errors import InputError, Problem
from tonnage.printable import one_line

if TYPE_CHECKING:
    import torch


def made(
    sizes: Mapping[str, object], seed: int, place: torch.device, marks: tuple[int, int, int], eager: bool
) -> torch.nn.Module:
    """The model of a configuration, in fp32, to be trained. marks: begin, end and padding tokens.

    eager: its experts run one after another; at small sizes the batched and grouped kernels of transformers are slower.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    begin, end, pad = marks
    given = {key: value for key, value in sizes.items() if key != "model_type"}
    kind = str(sizes["model_type"])
    try:
        config = AutoConfig.for_model(kind, **given, bos_token_id=begin, eos_token_id=end, pad_token_id=pad)
    except ValueError:
        raise InputError(Problem(f"transformers has no model type {kind}", path="model")) from None
    except Exception as error:  # its checks of sizes raise classes of their own
        raise _refused(error) from None
    more = {"experts_implementation": "eager"} if eager else {}
    torch.manual_seed(seed)
    model: torch.nn.Module = _of_config(AutoModelForCausalLM, config, dtype=torch.float32, **more)
    model.train()
    model.to(place)
    _in_full(model)
    return model


def _of_config(maker: Any, config: Any, **more: Any) -> torch.nn.Module:
    """The model; what transformers says where sizes do not go together."""
    try:
        model: torch.nn.Module = maker.from_config(config, **more)
    except Exception as error:
        raise _refused(error) from None
    return model


def _refused(error: Exception) -> InputError:
    return InputError(Problem(f"transformers cannot build it: {one_line(' '.join(str(error).split()))}", path="sizes"))


def _in_full(model: Any) -> None:
    """Routers and the head compute in the precision of their weights, fp32, whatever that of the rest, as DeepSeek-V3's
    did (arXiv 2412.19437, section 3.3.1: the output head and the gating of experts keep their precision): an expert is
    chosen by a comparison, which rounding turns.
    """
    import torch

    routers = [layer.mlp.gate for layer in model.model.layers if hasattr(getattr(layer.mlp, "gate", None), "top_k")]
    for module in (*routers, model.lm_head):
        plain = module.forward

        kept = next(module.parameters())

        def forward(states: torch.Tensor, *more: Any, kept: torch.Tensor = kept, plain: Any = plain) -> Any:
            with torch.autocast(states.device.type, enabled=False):
                return plain(states.to(kept.dtype), *more)

        module.forward = forward


def cast(precision: str, place: torch.device) -> AbstractContextManager[object]:
    """Products in bf16 where the precision says so; the weights stay fp32."""
    import torch

    if precision == "fp32":
        return nullcontext()
    return torch.autocast(place.type, dtype=torch.bfloat16)


def tensors(model: torch.nn.Module, made: torch.optim.Optimizer) -> Iterator[torch.Tensor]:
    """All that a step changes: weights, moments and counters, the part that this process holds."""
    for value in model.parameters():
        yield _local(value.detach())
        for item in made.state[value].values():
            yield _local(item)


def _local(value: Any) -> torch.Tensor:
    part: torch.Tensor = value.to_local() if hasattr(value, "to_local") else value
    return part
