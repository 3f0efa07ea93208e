"""A short training of a small model of the same architecture, against the same in float64 on the processor.

The loss never decides alone: a broken accumulator moves it by less than seeds do (docs/method/qualify.md). One step
compared element by element does, and so do repetition bit for bit and a checkpoint that goes out and comes back.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from tonnage.device.checkpoint import Store
from tonnage.device.rounding import EPSILON, LIMIT, units
from tonnage.errors import InputError
from tonnage.qualify.gate import Needed, State, Subject, Verified
from tonnage.qualify.recorded import recorded
from tonnage.qualify.small import SmallRun, TrainedStep

if TYPE_CHECKING:
    import torch

    from tonnage.model import Architecture

LOSS = 0.0025
"""Relative difference of losses that a format may make: below 0.25 % of FP8 against bf16 (DeepSeek-V3, arXiv
2412.19437, section 3.3).
"""

SPIKE = 3.0
"""A gradient norm of so many times the reference's is a spike: an assumption."""

SAME = 1e-6
"""Relative difference of two sound processors in float64, whose order of sums differs: eps is 2e-16, and a few dozen
steps of learning make it larger. An assumption, far below what a fault moves."""

SEEDS = (0, 1, 2)


def gates(
    model: Architecture, device: torch.device, steps: int, seed: int = 0, others: Sequence[torch.device] = ()
) -> Iterator[Verified]:
    """The gates of training; steps: of the short run."""
    try:
        right = reference(model, steps, seed)
    except InputError as error:
        yield Verified(
            "a small model of the architecture", "numerics", "training", "not tested", why=str(error), subject="steps"
        )
        return
    parts: list[tuple[Subject, str, Callable[[], Iterator[Verified]]]] = [
        ("steps", "one step", lambda: _one_step(model, device, seed)),
        ("loss", "short training", lambda: _curve(model, device, right, steps, seed)),
        ("repeat", "repetition of steps", lambda: _repeat(model, device, seed, others)),
        ("checkpoint", "checkpoint", lambda: _checkpoint(model, device, seed)),
    ]
    for subject, name, part in parts:
        try:
            yield from part()
        except (RuntimeError, OSError, ValueError, AssertionError) as error:
            yield _gate(subject, name, "training", False, f"stopped: {first_line(error)}")


def first_line(error: BaseException) -> str:
    """The first line of what an exception says."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _gate(
    subject: Subject, name: str, needed: Needed, good: bool, why: str, measured: float | None = None,
    limit: float | None = None, unit: str = "", decides: bool = True,
) -> Verified:  # fmt: skip
    state: State = "pass" if good else "fail"
    why = "" if good else why
    return Verified(name, "numerics", needed, state, measured, limit, unit, why, subject=subject, decides=decides)


@lru_cache(maxsize=64)
def reference(model: Architecture, steps: int, seed: int) -> tuple[TrainedStep, ...]:
    """The curve in float64 on the processor."""
    import torch

    run = SmallRun(model, torch.device("cpu"), "fp64", seed)
    return tuple(run.trained(number) for number in range(steps))


@lru_cache(maxsize=64)
def _first(model: Architecture, seed: int) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Logits and gradient of the first step in float64, and the width of the model."""
    import torch

    run = SmallRun(model, torch.device("cpu"), "fp64", seed)
    return (*_found(run), run.width)


def _found(run: SmallRun) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    logits = run.logits(run.batch(0)).detach().cpu().double()
    run.net.zero_grad()
    run.loss(0).backward()
    slopes = [value.grad.flatten().cpu().double() for value in run.net.parameters() if value.grad is not None]
    return logits, torch.cat(slopes)


def _one_step(model: Architecture, device: torch.device, seed: int) -> Iterator[Verified]:
    """Logits and gradient against float64, in fp32 and in bf16."""
    logits, slopes, width = _first(model, seed)
    for word in ("fp32", "bf16"):
        found = _found(SmallRun(model, device, word, seed))
        unit = EPSILON[word] * width**0.5
        for name, one, other, use in (
            ("logits of a small model", logits, found[0], "inference"), ("its gradient", slopes, found[1], "training")
        ):  # fmt: skip
            away = units(one, other, unit)
            needed: Needed = "inference" if use == "inference" else "training"
            why = f"{away:.3g} eps sqrt(K) from float64; sound devices stay below {LIMIT:g}"
            yield _gate("steps", f"{name}, {word}", needed, away <= LIMIT, why, away, LIMIT, "eps sqrt(K)")


@lru_cache(maxsize=64)
def _spread(model: Architecture, steps: int) -> float:
    """Relative spread of the last quarter's loss over seeds."""
    ends = [_end(reference(model, steps, seed)) for seed in SEEDS]
    return (max(ends) - min(ends)) / fmean(ends)


def _end(curve: Sequence[TrainedStep]) -> float:
    return _mean_end([step.loss for step in curve])


def _mean_end(losses: Sequence[float]) -> float:
    """Mean of the last quarter."""
    return fmean(losses[-max(1, len(losses) // 4) :])


def _curve(
    model: Architecture, device: torch.device, right: Sequence[TrainedStep], steps: int, seed: int
) -> Iterator[Verified]:
    run = SmallRun(model, device, "bf16", seed)
    curve = [run.trained(number) for number in range(steps)]
    away, spread = abs(_end(curve) / _end(right) - 1), _spread(model, steps)
    limit = min(LOSS, spread)
    why = f"{100 * away:.2g} % from float64, seeds differ by {100 * spread:.2g} %"
    yield _gate("loss", f"loss of {steps} steps, bf16", "training", away <= limit, why, away, limit, "", False)
    yield from _against_recorded(model, curve, right, seed)
    spikes = sum(not _calm(one, other) for one, other in zip(curve, right, strict=True))
    why = f"{spikes} of {steps} steps have a loss that is no number or a gradient over {SPIKE:g} times the reference's"
    yield _gate("spikes", "spikes of loss and gradient", "training", not spikes, why, spikes, 0.0, "steps")


def _against_recorded(
    model: Architecture, curve: Sequence[TrainedStep], right: Sequence[TrainedStep], seed: int
) -> Iterator[Verified]:
    """The processor's curve and the device's against one that was recorded on a sound device."""
    book = recorded()
    names = "the processor's float64 curve against the recorded one", "loss in bf16 against the recorded curve"
    known = book.curve(model.name, seed)[: len(curve)]
    why = ""
    if len(known) < len(curve):
        why = f"no curve of {model.name} with seed {seed} was recorded"
    elif abs(right[0].loss / known[0] - 1) > SAME:
        why = f"the weights drawn are not those that were {book.said}, transformers {book.transformers}"
    if why:
        for name in names:
            yield Verified(name, "numerics", "training", "not tested", why=why, subject="loss", decides=False)
        return
    away = max(abs(step.loss / loss - 1) for step, loss in zip(right, known, strict=True))
    why = f"{100 * away:.2g} % from what was {book.said}: what all else is compared with is not to be trusted"
    yield _gate("loss", names[0], "training", away <= SAME, why, away, SAME, "", False)
    ends = [_mean_end(book.curve(model.name, other)[: len(curve)]) for other in SEEDS]
    away, spread = abs(_end(curve) / _mean_end(known) - 1), (max(ends) - min(ends)) / fmean(ends)
    limit = min(LOSS, spread)
    why = f"{100 * away:.2g} % from what was {book.said}; seeds differ by {100 * spread:.2g} %"
    yield _gate("loss", names[1], "training", away <= limit, why, away, limit, "", False)


def _calm(found: TrainedStep, right: TrainedStep) -> bool:
    return math.isfinite(found.loss) and found.norm <= SPIKE * right.norm


def _repeat(model: Architecture, device: torch.device, seed: int, others: Sequence[torch.device]) -> Iterator[Verified]:
    """The same two steps again, and on each other device; the odd one out is named."""
    bits = [_two(model, device, seed), _two(model, device, seed)]
    good = bits[0] == bits[1]
    why = "the same two steps gave other bits: no step can be replayed, and no silent error found by it"
    yield _gate("repeat", "training repeats bit for bit", "training", good, why)
    if not others or not good:
        why = "one device was given" if good else "one device does not repeat its own bits"
        yield Verified(
            "the same bits on every card",
            "numerics",
            "training",
            "not tested",
            why=why,
            subject="across",
            decides=False,
        )
        return
    found = {str(device): bits[0]} | {str(other): _two(model, other, seed) for other in others}
    held = list(found.values())
    usual = max(held, key=held.count)
    odd = [name for name, one in found.items() if one != usual]
    why = f"{', '.join(odd)} found other bits than {held.count(usual)} of {len(held)} cards"
    yield _gate("across", "the same bits on every card", "inference", not odd, why, float(len(odd)), 0.0, "cards")


def _two(model: Architecture, device: torch.device, seed: int) -> bytes:
    run = SmallRun(model, device, "bf16", seed)
    run.step(0)
    return run.step(1).bits


def _checkpoint(model: Architecture, device: torch.device, seed: int) -> Iterator[Verified]:
    """Out and in again: the step after it gives the same bits; on the processor, the same loss but for rounding."""
    import torch

    run = SmallRun(model, device, "fp32", seed)
    run.step(0)
    with tempfile.TemporaryDirectory() as name:
        store = Store(Path(name), keep=1)
        folder = store.temporary(1)
        torch.save(run.state(), folder / "state.pt")
        store.commit(folder, {"step": 1})
        saved, damaged = store.newest()
        if saved is None:
            why = f"what was written does not come back: {'; '.join(damaged)}"
            yield _gate("checkpoint", "a checkpoint out and in", "training", False, why)
            return
        state = torch.load(saved.path / "state.pt", weights_only=True, map_location="cpu")
    again = SmallRun(model, device, "fp32", seed + 1)
    again.seed = seed
    again.set(state)
    good = again.step(1).bits == run.step(1).bits
    why = "the step after the checkpoint came back is another than without it"
    yield _gate("checkpoint", "a checkpoint out and in", "training", good, why)
    yield from _moved(model, device, seed, state)


def _moved(model: Architecture, device: torch.device, seed: int, state: dict[str, object]) -> Iterator[Verified]:
    """The checkpoint on the processor: its logits against the device's."""
    import torch

    name = "a checkpoint on another kind of device"
    if device.type == "cpu":
        why = "the device is the processor itself"
        yield Verified(name, "numerics", "training", "not tested", why=why, subject="move", decides=False)
        return
    runs = [SmallRun(model, place, "fp32", seed) for place in (torch.device("cpu"), device)]
    for run in runs:
        run.set(state)
    there, here = (run.logits(run.batch(2)).detach().cpu() for run in runs)
    away = units(there, here, EPSILON["fp32"] * runs[0].width ** 0.5)
    why = f"its logits are {away:.3g} eps sqrt(K) from the processor's"
    yield _gate("move", name, "training", away <= LIMIT, why, away, LIMIT, "eps sqrt(K)")
