"""In which number formats a model is served: a release such as `fp8` or `w4a8`, read per part of the model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tonnage.errors import InputError, Problem, nearest
from tonnage.model import Architecture, Load, Operator, PartFormat, Step, operators
from tonnage.model.operators import Part
from tonnage.serve.replica.blocks import BlockWidth
from tonnage.system import FORMATS, Accelerator, Format, Precision, rate

CACHES = ("bf16", "fp16", "fp8", "int8")

_DENSE = {"fp4": "nvfp4", "nvfp4": "nvfp4"}
_EXPERTS = {"fp4": "nvfp4", "nvfp4": "nvfp4", "mxfp4": "mxfp4", "w4a8": "w4a8", "w4a16": "w4a16"}
WEIGHTS = ("bf16", "fp16", "fp8", "mxfp8", "int8", "fp4", "nvfp4", "mxfp4", "w4a8", "w4a16", "w8a16")


INT8 = ("cann",)
"""Software stacks that ship eight-bit releases in INT8 instead of FP8 (CloudMatrix384, arXiv 2506.12708, 4.5)."""


MARLIN = ("cuda",)
"""Software stacks whose engines keep the weights of an FP8 release as they are on chips that multiply in BF16 but not
in FP8, and widen them in the kernel (vLLM and SGLang by Marlin, W8A16: MiniMax-M2.7 on four A100 in vLLM 0.22;
github.com/vllm-project/vllm/issues/39610)."""


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


def cut_blocks(arch: Architecture, accelerator: Accelerator, weights: str | None) -> tuple[BlockWidth, ...]:
    """Widths of feed-forward layers that are held in FP8 in blocks, as the release has them."""
    if weights is not None and not _same(weights, arch.expert_precision if arch.moe else arch.precision):
        return ()
    if accelerator.stack in INT8 or ("fp8" not in accelerator.rates and _without_fp8(accelerator) == "bf16"):
        return ()
    found: dict[BlockWidth, None] = {}
    for one in operators(arch, Step((Load(1.0, 1.0),), 1.0)):
        part = arch.release.of(one.part)
        if one.role == "down" and part is not None and part.main.kind == "fp8_block":
            found[BlockWidth(int(np.max(np.asarray(one.k))), one.kind == "grouped_gemm")] = None
    return tuple(found)


def known_formats(weights: str | None, kv: str | None) -> None:
    """Raises InputError for each name that is no format of weights, or of a cache."""
    problems = []
    for name, value, known in (("weights", weights, WEIGHTS), ("kv", kv, CACHES)):
        if value is not None and value not in known:
            problems.append(Problem(f'"{value}" is not one of {", ".join(known)}', "", name, nearest(value, known)))
    if problems:
        raise InputError(problems)


def formats(
    arch: Architecture, accelerator: Accelerator, weights: str | None = None, kv: str | None = None
) -> ServeFormats:
    """The formats asked for, or the release's own, part by part, where this chip computes them.

    A release quantised to four bits by somebody else is taken to keep its attention and dense layers wider: as they are
    released where the model's own experts have four bits already (NVIDIA's DeepSeek-V4 in NVFP4), else in BF16 (its
    DeepSeek-R1-FP4), or in 8 bits for W4A8. A chip without FP8 serves an FP8 release in INT8 (W8A8) where the vendor's
    stack ships that instead (CloudMatrix384, arXiv 2506.12708, section 4.5), with its weights as they are where
    engines widen them in the kernel (`MARLIN`), else in BF16. Raises InputError for an unknown name.
    """
    known_formats(weights, kv)
    chosen = _formats(arch, accelerator, weights, kv)
    parts = ("ffn", "experts") if arch.moe else ("ffn",)
    rates = (rate(accelerator, chosen.precision.weights(part).compute) for part in parts)
    notes = dict.fromkeys(each.note for each in rates if each.note)
    return replace(chosen, why="; ".join((chosen.why, *notes)))


def _formats(arch: Architecture, accelerator: Accelerator, weights: str | None, kv: str | None) -> ServeFormats:
    """The same without what the chip computes them in."""
    released = arch.expert_precision if arch.moe else arch.precision
    cache = kv or "bf16"
    if weights is None or _same(weights, released):
        taken = _native(accelerator, released)
        why = "as asked" if weights else _why(arch, taken, released, accelerator)
        stated = arch.release.cache if kv is None and arch.release.cache != cache else ""
        why += f"; it states a cache in {stated}, which can be asked for" if stated else ""
        return ServeFormats(taken, cache, _as_released(arch, accelerator, cache), why + _without(arch))
    return ServeFormats(weights, cache, _precision(arch, accelerator, weights, cache), "as asked" + _without(arch))


def _without(arch: Architecture) -> str:
    """What of the release is not counted, in words."""
    return f"; without {' and '.join(dict.fromkeys(arch.left_out))}, not counted here" if arch.left_out else ""


FOUR_BIT_FLOATS = ("nvfp4", "mxfp4")
"""What `fp4` can mean: the release's own, where it is one of them."""


def _same(weights: str, released: str) -> bool:
    """Whether the name asked for means the release as it is."""
    return weights == released.removesuffix("_block") or (weights == "fp4" and released in FOUR_BIT_FLOATS)


def _native(accelerator: Accelerator, released: str) -> str:
    name = {"fp8_block": "fp8"}.get(released, released)
    if name == "fp8" and "fp8" not in accelerator.rates:
        return _without_fp8(accelerator)
    return name if name in WEIGHTS else "bf16"


def _without_fp8(accelerator: Accelerator) -> str:
    """What a chip without FP8 holds an FP8 release in."""
    if accelerator.stack in INT8:
        return "int8"
    return "w8a16" if accelerator.stack in MARLIN and "bf16" in accelerator.rates else "bf16"


def _why(arch: Architecture, taken: str, released: str, accelerator: Accelerator) -> str:
    if taken == released.removesuffix("_block"):
        plain = arch.release.plain.kind
        kinds = {each.part: each.main.kind for each in arch.release.parts if each.part in SAID}
        mixed = len({kind for part, kind in kinds.items() if part != "head" or kind != plain}) > 1
        return f"as released: {arch.release.said}" if mixed else "as released"
    return f"released in {released}, which {accelerator.title} does not compute: {taken} instead"


SAID = ("attention", "ffn", "experts", "shared_experts", "head")
"""Parts whose formats are told where they differ."""


def _as_released(arch: Architecture, accelerator: Accelerator, cache: str) -> Precision:
    """Every part in the format of the release, or in what this chip computes instead."""
    linear = _held(accelerator, arch.precision)
    experts = _held(accelerator, arch.expert_precision)
    base = Precision(linear=linear, experts=experts if experts != linear else None, cache=cache)
    release = arch.release
    parts = tuple((each.part, _format(accelerator, each)) for each in release.parts)
    drafts = tuple((each.part, _format(accelerator, each)) for each in release.drafts)
    own = tuple(pair for pair in parts if pair[1] != base.weights(pair[0]))
    base = replace(base, parts=own)
    return replace(base, drafts=tuple(pair for pair in drafts if pair[1] != base.weights(pair[0])))


def _held(accelerator: Accelerator, kind: str) -> str:
    """The format in which a chip holds weights of a kind."""
    if kind == "fp32" or (kind in ("fp8", "fp8_block") and "fp8" not in accelerator.rates):
        return _native(accelerator, kind)
    return kind


def _format(accelerator: Accelerator, part: PartFormat) -> Format:
    """One format for a part: arithmetic of most of its elements, the mean bytes of all."""
    kind = _held(accelerator, part.main.kind)
    element = 0.0
    for way, share in part.ways:
        held = _held(accelerator, way.kind)
        element += share * (way.element if held == way.kind else FORMATS[held].element)
    plain = FORMATS[kind]
    return plain if abs(element - plain.element) < 1e-9 else replace(plain, element=element)


CALIBRATED: tuple[tuple[Part, Format], ...] = (("ffn", FORMATS["nvfp4"]), ("shared_experts", FORMATS["nvfp4"]))
"""Parts that a release of a mixture in NVFP4 keeps in four bits beside its experts: DeepSeek-R1-FP4 leaves `self_attn`
alone, MiniMax-M2.5-NVFP4 everything but experts. Some have four-bit attention too (Qwen3-235B-A22B-FP4, 134 GB)."""


STATE_SPACE = ("mamba2",)
"""Layers whose projections an NVFP4 release of a mixture narrows as well: those of Nemotron 3 Ultra are in NVFP4, those
of Super in what a search for 4.75 bits an element gives them (their quantisation pages, docs.nvidia.com/nemotron);
attention beside them stays, as do gated delta layers (Qwen3.6-35B-A3B-NVFP4)."""


def _calibrated(arch: Architecture) -> tuple[tuple[Part, Format], ...]:
    """Formats beside the experts' of a release of a mixture in NVFP4, by part."""
    narrow = {i for i, block in enumerate(arch.blocks) if block.mixer is not None and block.mixer.kind in STATE_SPACE}
    if not narrow:
        return CALIBRATED
    held = [(one.block in narrow, one.weight * one.count) for one in _mixers(arch)]
    share = sum(weight for inside, weight in held if inside) / sum(weight for _, weight in held)
    form = FORMATS["nvfp4"]
    mean = replace(form, element=float(share * form.element + (1.0 - share) * FORMATS["bf16"].element))
    return (*CALIBRATED, ("attention", mean))


def _mixers(arch: Architecture) -> list[Operator]:
    """Operators of attention and of what stands in its place."""
    return [one for one in operators(arch, Step((Load(1.0, 1.0),), 1.0)) if one.part == "attention"]


def _precision(arch: Architecture, accelerator: Accelerator, weights: str, cache: str) -> Precision:
    if weights in _EXPERTS and arch.moe:
        if arch.expert_precision in FOUR_BIT_FLOATS:
            own = _as_released(arch, accelerator, cache)
            parts = tuple(pair for pair in own.parts if pair[0] != "experts")
            return replace(own, experts=_EXPERTS[weights], parts=parts)
        wide = {"w4a8": narrow(accelerator)}.get(weights, "bf16")
        plain = Precision(linear=wide, experts=_EXPERTS[weights], cache=cache)
        return replace(plain, parts=_calibrated(arch)) if _EXPERTS[weights] == "nvfp4" else plain
    block = weights == "fp8" and arch.precision in ("fp8", "fp8_block")
    return Precision(linear="fp8_block" if block else _DENSE.get(weights, weights), cache=cache)
