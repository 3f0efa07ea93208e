"""In which number formats a model is served: a release such as `fp8` or `w4a8`, read per part of the model."""

from __future__ import annotations

from dataclasses import dataclass

from tonnage.errors import InputError, Problem, nearest
from tonnage.model import Architecture
from tonnage.system import Accelerator, Precision

CACHES = ("bf16", "fp16", "fp8", "int8")

_DENSE = {"fp4": "nvfp4", "nvfp4": "nvfp4"}
_EXPERTS = {"fp4": "nvfp4", "nvfp4": "nvfp4", "mxfp4": "mxfp4", "w4a8": "w4a8", "w4a16": "w4a16"}
WEIGHTS = ("bf16", "fp16", "fp8", "mxfp8", "int8", "fp4", "nvfp4", "mxfp4", "w4a8", "w4a16")


INT8 = ("cann",)
"""Software stacks that ship eight-bit releases in INT8 instead of FP8 (CloudMatrix384, arXiv 2506.12708, 4.5)."""


def narrow(accelerator: Accelerator) -> str:
    """Eight-bit format that the chip's software stack serves in; FP8 where the stack is another's, or not known."""
    return "int8" if accelerator.stack in INT8 else "fp8"


@dataclass(frozen=True)
class ServeFormats:
    """The formats of one deployment. weights: the release's name; kv: of the cache; precision: per part, as the cost
    models take it; why: how they were chosen.
    """

    weights: str
    kv: str
    precision: Precision
    why: str


def formats(
    arch: Architecture, accelerator: Accelerator, weights: str | None = None, kv: str | None = None
) -> ServeFormats:
    """The formats asked for, or the release's own where this chip computes them.

    A four-bit release of a mixture of experts keeps its attention and dense layers wider (NVIDIA's DeepSeek-R1-FP4 and
    gpt-oss in BF16, W4A8 releases in 8 bits). A chip without FP8 serves an FP8 release in BF16, or in INT8 (W8A8) where
    the vendor's stack ships that instead (CloudMatrix384, arXiv 2506.12708, section 4.5). Raises InputError for an
    unknown name.
    """
    problems = []
    for name, value, known in (("weights", weights, WEIGHTS), ("kv", kv, CACHES)):
        if value is not None and value not in known:
            problems.append(Problem(f'"{value}" is not one of {", ".join(known)}', "", name, nearest(value, known)))
    if problems:
        raise InputError(problems)
    released = arch.expert_precision if arch.moe else arch.precision
    taken = weights or _native(accelerator, released)
    why = "as asked" if weights else _why(taken, released, accelerator)
    cache = kv or "bf16"
    return ServeFormats(taken, cache, _precision(arch, accelerator, taken, cache), why)


def _native(accelerator: Accelerator, released: str) -> str:
    name = {"fp8_block": "fp8"}.get(released, released)
    if name == "fp8" and "fp8" not in accelerator.rates:
        return "int8" if accelerator.stack in INT8 else "bf16"
    return name if name in WEIGHTS else "bf16"


def _why(taken: str, released: str, accelerator: Accelerator) -> str:
    if taken == released.removesuffix("_block"):
        return "as released"
    return f"released in {released}, which {accelerator.title} does not compute: {taken} instead"


def _precision(arch: Architecture, accelerator: Accelerator, weights: str, cache: str) -> Precision:
    if weights in _EXPERTS and arch.moe:
        wide = {"w4a8": narrow(accelerator)}.get(weights, "bf16")
        return Precision(linear=wide, experts=_EXPERTS[weights], cache=cache)
    block = weights == "fp8" and arch.precision in ("fp8", "fp8_block")
    return Precision(linear="fp8_block" if block else _DENSE.get(weights, weights), cache=cache)
