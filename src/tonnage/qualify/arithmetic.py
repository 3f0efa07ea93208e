"""Width of accumulators, denormal numbers, overflow: small questions whose right answers are known exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tonnage.qualify.gate import Needed, State, Subject, Verified

if TYPE_CHECKING:
    import torch

TERMS = 256
"""Terms of the sums that ask for the width."""

BITS = {"bf16": 8, "fp16": 11}
"""Bits of a number of each format, the leading one counted (IEEE 754-2019; bfloat16: its upper half)."""


def width_needed(word: str, terms: int) -> float:
    """Bits with which a sum of so many terms errs less than its result's own rounding: 2^-w sqrt(K) <= 2^-p."""
    return BITS[word] + math.log2(terms) / 2


def width(device: torch.device, dtype: torch.dtype) -> int:
    """Bits that a sum holds: the largest b such that 2^b + 1 + ... + 1 - 2^b is the number of ones."""
    import torch

    held = 0
    for bits in range(2, 23):
        row = torch.ones(TERMS, dtype=torch.float64)
        row[0], row[-1] = 2.0**bits, -(2.0**bits)
        left = row.to(dtype).to(device).repeat(16, 1)
        right = torch.ones(TERMS, 16, dtype=dtype).to(device)
        if not bool((torch.mm(left, right).cpu().double() == TERMS - 2).all()):
            break
        held = bits + 1
    return held


def _gate(subject: Subject, name: str, needed: Needed, good: bool, why: str, **more: float) -> Verified:
    state: State = "pass" if good else "fail"
    return Verified(name, "numerics", needed, state, why="" if good else why, subject=subject, **more)  # type: ignore[arg-type]


def gates(device: torch.device, terms: int) -> Iterator[Verified]:
    """terms: the longest sum of the model."""
    import torch

    held, asked = width(device, torch.bfloat16), width_needed("bf16", terms)
    why = f"sums of bf16 products hold {held} bits; sums of {terms} terms need {asked:.1f} to err less than bf16 itself"
    state: State = "pass" if held >= asked else "fail"
    yield Verified(
        "width of the accumulator, bf16", "numerics", "training", state, held, asked, "bits",
        "" if state == "pass" else why, subject="width",
    )  # fmt: skip
    for word, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        yield _denormals(device, word, dtype)
        yield _overflow(device, word, dtype)


def _denormals(device: torch.device, word: str, dtype: torch.dtype) -> Verified:
    """Kept, or all taken for zero: either does no harm below 2^-126, where AdamW's own epsilon is far larger."""
    import torch

    small = torch.tensor([2.0**-127, 2.0**-130], dtype=torch.float64).to(dtype)
    found = (small.to(device) * torch.ones(2, dtype=dtype).to(device)).cpu()
    good = bool((found == small).all()) or bool((found == 0).all())
    why = f"2^-127 and 2^-130 times 1 are {found.tolist()}"
    return _gate("denormals", f"denormal numbers, {word}", "inference", good, why)


def _overflow(device: torch.device, word: str, dtype: torch.dtype) -> Verified:
    """Too large is infinite, not a number nor the largest one; what is not a number stays so; softmax bears both."""
    import torch

    inf, nan = float("inf"), float("nan")
    large = torch.full((4,), 3e38, dtype=dtype).to(device)
    sums = torch.mm(large.repeat(4, 1), torch.full((4, 4), 4.0, dtype=dtype).to(device)).cpu().double()
    masked = torch.tensor([[0.0, -inf, 1.0], [1e4, 0.0, -1e4]], dtype=dtype).to(device)
    found = {
        "3e38 times 10": (large * 10).cpu().double().tolist() == [inf] * 4,
        "a product that is too large": bool((sums == inf).all()),
        "infinite less infinite": bool(torch.isnan(large * 10 - large * 10).all()),
        "exp of 1000": bool((torch.exp(torch.full((4,), 1e3, dtype=dtype).to(device)).cpu() == inf).all()),
        "softmax with a mask": bool(torch.isfinite(torch.softmax(masked, -1)).all()),
        "the larger of a number and none": bool(
            torch.isnan(torch.maximum(torch.full((4,), nan, dtype=dtype).to(device), large)).all()
        ),
    }
    wrong = [name for name, good in found.items() if not good]
    return _gate("overflow", f"overflow, {word}", "inference", not wrong, f"wrong: {', '.join(wrong)}")
