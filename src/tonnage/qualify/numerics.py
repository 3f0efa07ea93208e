"""Whether a device computes what a given model needs, gate by gate. See docs/method/qualify.md."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tonnage.qualify import arithmetic, fp8, training
from tonnage.qualify.exact import RECIPE, apart, computed, exact, inputs
from tonnage.qualify.gate import Needed, State, Subject, Verified
from tonnage.qualify.healthy import INFERENCE, TRAINING, Way, worst
from tonnage.qualify.probes import Probe, needed, unknown
from tonnage.qualify.training import first_line

if TYPE_CHECKING:
    import torch

    from tonnage.model import Architecture

BIAS = 0.1
"""Most mean signed error in units. Rounding to nearest gives 0 within 0.29 / sqrt(results), 0.03 of the fewest here;
rounding towards zero gives 0.36 and more. Their geometric mean (docs/method/qualify.md).
"""

SUMS = ("gemm", "experts")
"""Kinds of operators whose bias is asked: sums of products, all of one sign where their inputs are."""

AGAIN = 3
"""How often an operator is computed on the same inputs."""

STEPS = 8
"""Steps of the short training, cut; in full eight times as many."""


def gates(
    device: torch.device,
    model: Architecture,
    *,
    others: Sequence[torch.device] = (),
    full: bool = False,
    seed: int = 0,
    steps: int | None = None,
) -> Iterator[Verified]:
    """The gates of numerics, each as soon as it is known. others: further devices of the kind; full: at the model's own
    sizes, else cut to what takes seconds; steps: of the short training.
    """
    parts = (
        _operators(device, model, full, seed),
        _arithmetic(device, model),
        fp8.gates(device),
        training.gates(model, device, steps or (8 * STEPS if full else STEPS), seed, others),
    )
    for part in parts:
        begun = time.perf_counter()
        for gate in part:
            yield replace(gate, seconds=time.perf_counter() - begun)
            begun = time.perf_counter()


def _arithmetic(device: torch.device, model: Architecture) -> Iterator[Verified]:
    terms = max(max(probe.terms) for probe in needed(model) if probe.kind in SUMS)
    try:
        yield from arithmetic.gates(device, terms)
    except RuntimeError as error:
        why = f"stopped: {first_line(error)}"
        yield Verified("overflow and denormal numbers", "numerics", "inference", "fail", why=why, subject="overflow")


def _operators(device: torch.device, model: Architecture, full: bool, seed: int) -> Iterator[Verified]:
    for kind in unknown(model):
        why = f"there is no probe for layers of {kind}"
        yield Verified(f"layers of {kind}", "numerics", "inference", "not tested", why=why, subject="operators")
    for probe in needed(model, full):
        for word in RECIPE:
            if word == "fp32" or not probe.single:
                yield from _operator(device, probe, word, seed)


def _operator(device: torch.device, probe: Probe, word: str, seed: int) -> Iterator[Verified]:
    """One operator in one format: forward, backward, repetition, and bias where that is asked."""
    import torch

    dtype = getattr(torch, RECIPE[word])
    given = inputs(probe, word, seed, False)
    try:
        found = computed(probe, given, device, dtype, False)
    except RuntimeError as error:
        yield _stopped("operators", f"{probe.name}, {word}, forward", "inference", error)
        return
    right = exact(probe, given, probe.learns)
    yield _near(probe, word, "forward", apart(probe, found, right, word).forward)
    if not probe.learns:
        return
    try:
        runs = [computed(probe, given, device, dtype, True) for _ in range(AGAIN)]
    except RuntimeError as error:
        yield _stopped("operators", f"{probe.name}, {word}, backward", "training", error)
        return
    yield _near(probe, word, "backward", apart(probe, runs[0], right, word).backward)
    yield _same(f"{probe.name}, {word}, repeated", runs)
    if probe.kind in SUMS:
        given = inputs(probe, word, seed, True)
        signed = apart(probe, computed(probe, given, device, dtype, True), exact(probe, given, True), word).bias
        why = f"errors of one sign: {signed:+.3g} units on average; they add up over a run"
        yield _gate("bias", f"{probe.name}, {word}, bias", "training", abs(signed), BIAS, why)


def _near(probe: Probe, word: str, way: Way, away: float) -> Verified:
    """What is off by more than training bears, but not more than inference does, refuses training only."""
    name, usual = f"{probe.name}, {word}, {way}", worst(probe.kind, word, way)
    if usual is None:
        why = "no sound device was measured for it"
        return Verified(name, "numerics", "training", "not tested", away, why=why, subject="operators")
    serving = way == "forward" and not away <= INFERENCE * usual
    use: Needed = "inference" if serving or (way == "forward" and away <= TRAINING * usual) else "training"
    why = f"{away:.4g} units from float64, sound devices {usual:.3g} at worst"
    return _gate("operators", name, use, away, (INFERENCE if serving else TRAINING) * usual, why)


def _same(name: str, runs: Sequence[Sequence[torch.Tensor]]) -> Verified:
    odd = sum(any(bool((one != other).any()) for one, other in zip(run, runs[0], strict=True)) for run in runs[1:])
    why = f"{odd} of {len(runs) - 1} repetitions gave other bits"
    return replace(_gate("repeat", name, "training", float(odd), 0.0, why), unit="repetitions")


def _gate(subject: Subject, name: str, use: Needed, measured: float, limit: float, why: str) -> Verified:
    state: State = "pass" if measured <= limit else "fail"
    why = "" if state == "pass" else why
    return Verified(name, "numerics", use, state, measured, limit, "units", why, subject=subject)


def _stopped(subject: Subject, name: str, use: Needed, error: Exception) -> Verified:
    return Verified(name, "numerics", use, "fail", why=f"stopped: {first_line(error)}", subject=subject)
