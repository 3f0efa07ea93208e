"""Number formats: bytes of an element, and what a chip really computes a format in."""

from __future__ import annotations

from dataclasses import dataclass

from tonnage.errors import InputError, MissingFact, Problem, nearest
from tonnage.system.accelerator import Accelerator


@dataclass(frozen=True)
class Format:
    """A number format of weights or cache.

    element: bytes of one element with its scales; compute: precision of the multiplication where the chip has it;
    kernel: efficiency class of its GEMM kernels; source: where the scale layout is defined.
    """

    name: str
    element: float
    compute: str
    kernel: str
    source: str


FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format("fp32", 4.0, "bf16", "bf16", "IEEE 754 binary32"),
        Format("bf16", 2.0, "bf16", "bf16", "bfloat16, 16 bits"),
        Format("fp16", 2.0, "fp16", "bf16", "IEEE 754 binary16"),
        Format("fp8", 1.0, "fp8", "fp8", "arXiv 2209.05433; one scale a tensor"),
        Format("fp8_block", 1.0 + 4 / 128**2, "fp8", "fp8_block", "arXiv 2412.19437 section 3.3: FP32 scale a 128x128"),
        Format("mxfp8", 1.0 + 1 / 32, "fp8", "fp8_block", "OCP Microscaling Formats 1.0: E8M0 scale a 32"),
        Format("int8", 1.0, "int8", "fp8", "W8A8, scale a channel (arXiv 2211.10438)"),
        Format("nvfp4", 0.5 + 1 / 16, "fp4", "fp4", "NVFP4: E4M3 scale a 16 (arXiv 2509.25149)"),
        Format("mxfp4", 0.5 + 1 / 32, "fp4", "fp4", "OCP Microscaling Formats 1.0: E8M0 scale a 32"),
        Format("w8a16", 1.0, "bf16", "bf16", "weight only, scale a channel"),
        Format("w4a16", 0.5 + 2.5 / 128, "bf16", "bf16", "AWQ: FP16 scale and 4-bit zero a 128 (arXiv 2306.00978)"),
        Format("w4a8", 0.5 + 2.5 / 128, "int8", "fp8", "QServe (arXiv 2405.04532): group scale and zero a 128"),
    )
}
"""The formats that weights and caches can have, by the name that users write."""

_FALLBACK = {
    "fp4": ("fp4", "bf16", "fp16"),
    "fp8": ("fp8", "bf16", "fp16"),
    "int8": ("int8", "fp8", "bf16", "fp16"),
    "bf16": ("bf16", "fp16"),
    "fp16": ("fp16", "bf16"),
}


def format_of(name: str) -> Format:
    """The format a user means. Raises `InputError` with the nearest name."""
    if name not in FORMATS:
        message = f'no number format named "{name}"; known are {", ".join(FORMATS)}'
        raise InputError(Problem(message, suggestion=nearest(name, FORMATS)))
    return FORMATS[name]


@dataclass(frozen=True)
class Rate:
    """What a chip computes a precision in. value: dense FLOP/s; runs_in: precision used; note: why, if another."""

    value: float
    runs_in: str
    note: str = ""


def rate(accelerator: Accelerator, precision: str) -> Rate:
    """Dense rate of a compute precision (`bf16`, `fp8`, `int8`, `fp4`, `fp16`) on a chip, with the explicit fallback.

    A chip without FP8 multiplies FP8 weights in BF16 (the weights stay small in memory: weight-only kernels); without
    FP4, in BF16; an INT8 rate lower than the chip's BF16 rate (B300) is not used. Raises `MissingFact` when no
    fallback is known either.
    """
    sixteen = max(accelerator.rates.get("bf16", 0.0), accelerator.rates.get("fp16", 0.0))
    for candidate in _FALLBACK[precision]:
        value = accelerator.rates.get(candidate)
        if value is None or (value < sixteen and candidate in ("int8", "fp8", "fp4")):
            continue
        note = "" if candidate == precision else f"{accelerator.name} has no {precision} rate: computed in {candidate}"
        return Rate(value, candidate, note)
    raise MissingFact(accelerator.name, f"rates.{precision}")


SCALED = ("mxfp8", "mxfp4", "nvfp4")
"""Formats whose small blocks have scales that the matrix unit itself applies. Chips that do so have four-bit rates:
NVIDIA's from Blackwell on (Transformer Engine runs MXFP8 from compute capability 10.0 on), CDNA4, Ascend 950,
Trainium3."""

NVIDIA_ONLY = ("nvfp4",)
"""Formats that the matrix units of one maker multiply (arXiv 2509.25149)."""


def unmultiplied(accelerator: Accelerator, name: str) -> str:
    """Why a chip does not multiply a format below 16 bits itself, as training in it needs; empty where it does."""
    wanted = format_of(name)
    has = rate(accelerator, wanted.compute).runs_in == wanted.compute
    if name in SCALED:
        has = has and rate(accelerator, "fp4").runs_in == "fp4"
    if name in NVIDIA_ONLY:
        has = has and accelerator.stack == "cuda"
    if has or wanted.compute in ("bf16", "fp16"):
        return ""
    known = [one for one in ("bf16", "fp16", "int8", "fp8", "fp4") if one in accelerator.rates]
    return f"{accelerator.name} is not known to multiply {name}: it has rates of {', '.join(known)}"


@dataclass(frozen=True)
class Precision:
    """Formats of one model on one engine, by what they are for.

    linear: dense weights; experts: routed experts (None: as linear); head: embedding and output head; attention:
    what the attention core multiplies in; cache: KV cache; activations: bytes of an activation element; parts: parts of
    the model whose formats are not what these say, as releases have them; drafts: those of multi-token prediction.
    """

    linear: str = "bf16"
    experts: str | None = None
    head: str = "bf16"
    attention: str = "bf16"
    cache: str = "bf16"
    activations: float = 2.0
    parts: tuple[tuple[str, Format], ...] = ()
    drafts: tuple[tuple[str, Format], ...] = ()

    def weights(self, part: str, *, draft: bool = False) -> Format:
        """Format of the weights of a part of the model (`Operator.part`); draft: in multi-token-prediction layers."""
        for own, form in (*self.drafts, *self.parts) if draft else self.parts:
            if own == part:
                return form
        if part in ("embedding", "head"):
            return format_of(self.head)
        if part in ("norm", "router", "other"):
            return FORMATS["bf16"]
        if part == "experts" and self.experts is not None:
            return format_of(self.experts)
        return format_of(self.linear)
