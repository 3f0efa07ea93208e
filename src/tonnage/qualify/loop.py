"""The closed loop: a step of training and a token of a service, predicted from what was measured here, then run.

Both are predicted before anything of them runs: calls counted on fake tensors (`calls`), priced by the calibration
(`pricing`). Then the real model runs, and processor time (on an accelerator: the device's) is held against it.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tonnage.device.kinds import DeviceKind
from tonnage.qualify.bench import Bench
from tonnage.qualify.calls import counted, pretended
from tonnage.qualify.laptop import Small
from tonnage.qualify.pricing import Prices
from tonnage.qualify.timing import timed, turns
from tonnage.values import Plain

if TYPE_CHECKING:
    import torch


SERVED = 7
"""Services timed at least, the first not counted."""


@dataclass(frozen=True)
class Looped:
    """One quantity of one configuration. quantity: step_time, ttft or tpot; predicted, measured [s]; parts: of the
    prediction, by operator; waited: share of the wall time in which a processor did something else.
    """

    small: Small
    quantity: str
    predicted: float
    measured: float
    calls: int
    parts: dict[str, float] = field(default_factory=dict)
    waited: float = 0.0

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted / self.measured - 1.0

    def to_json(self) -> dict[str, Plain]:
        """Its numbers as JSON has them."""
        return {
            "model": self.small.title,
            "quantity": self.quantity,
            "predicted": self.predicted,
            "measured": self.measured,
            "error": self.error,
            "calls": self.calls,
            "waited": self.waited,
        }


@dataclass(frozen=True)
class Loads:
    """What a configuration is timed by. work: quantity -> the call; each: calls that one `work` stands for."""

    work: dict[str, Callable[[], object]]
    each: dict[str, int]


def loads(small: Small, place: torch.device) -> Loads:
    """A step of training, or the first token and the later ones of a service; on real tensors or on fake ones."""
    import torch

    with place:
        model = small.built()
    torch.manual_seed(0)
    ids = torch.randint(0, small.vocabulary, (small.rows, small.length), device=place)  # each token its own experts
    if small.use == "train":
        return Loads({"step_time": _step(model, ids)}, {"step_time": 1})
    first, later = _service(model, ids, small.made)
    return Loads({"ttft": first, "tpot": later}, {"ttft": 1, "tpot": small.made})


def _step(model: Any, ids: torch.Tensor) -> Callable[[], object]:
    """Forward, loss, backward, AdamW."""
    import torch

    model.train()
    made = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        made.step()
        made.zero_grad()

    return step


def _service(model: Any, ids: torch.Tensor, made: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """A prefill of the whole batch; then, over its cache, tokens one after another."""
    import torch

    model.eval()
    one = ids[:, :1]

    def prefill() -> Any:
        with torch.no_grad():
            return model(input_ids=ids, use_cache=True, logits_to_keep=1)

    def decode() -> None:
        with torch.no_grad():
            cache = held.pop() if held else prefill().past_key_values
            for _ in range(made):
                cache = model(input_ids=one, past_key_values=cache, use_cache=True).past_key_values

    held: list[Any] = []
    decode.prepare = lambda: held.append(prefill().past_key_values)  # type: ignore[attr-defined]
    return prefill, decode


def predicted(small: Small, prices: Prices, place: torch.device) -> dict[str, tuple[float, Counter[Bench]]]:
    """Quantity -> (seconds, calls), from calls alone."""
    with pretended():
        held = loads(small, place)
        found = {}
        for name, work in held.work.items():
            prepare = getattr(work, "prepare", lambda: None)
            if name == "step_time":
                counted(work)  # the optimiser makes its moments in the first step
            counted(prepare)
            calls = counted(work)
            found[name] = (prices.total(calls) / held.each[name], calls)
    return found


def compared(small: Small, prices: Prices, kind: DeviceKind, budget: float) -> list[Looped]:
    """Predicted, then measured."""
    place = kind.place(0)
    told = predicted(small, prices, place)
    held = loads(small, place)
    rows = []
    for name, work in held.work.items():
        seconds, waited = _measured(work, kind, budget)
        value, calls = told[name]
        one = Looped(small, name, value, seconds / held.each[name], sum(calls.values()), prices.parts(calls), waited)
        rows.append(one)
    return rows


def _measured(work: Any, kind: DeviceKind, budget: float) -> tuple[float, float]:
    """(seconds of one load, share of the wall time that others took); what it needs before is not counted."""
    prepare = getattr(work, "prepare", None)
    if prepare is None:
        found = timed(work, kind, budget)
        return found.seconds, turns(found.cpu, found.wall, kind)
    samples: list[float] = []
    walls: list[float] = []
    while len(samples) < SERVED or (sum(samples) < budget and len(samples) < 3 * SERVED):
        prepare()
        began = time.perf_counter()
        samples.append(kind.clocked(work, 1))
        walls.append(time.perf_counter() - began)
    middle = statistics.median(samples[1:])
    return middle, turns(middle, statistics.median(walls[1:]), kind)
