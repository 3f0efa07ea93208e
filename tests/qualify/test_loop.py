"""Calls counted before a step runs, priced by what was measured, and held against the real thing."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from tonnage.device import cpu
from tonnage.qualify import laptop, loop
from tonnage.qualify.bench import Bench
from tonnage.qualify.calls import VIEW, counted, pretended
from tonnage.qualify.laptop import CHECKED, FITTED, Small
from tonnage.qualify.loop import compared, loads, predicted
from tonnage.qualify.pricing import Measurement, Prices, demand

PLACE = torch.device("cpu")


def prices(rate: float = 1e11, bandwidth: float = 1e10, framework: float = 0.0) -> Prices:
    """A device of a roofline: no launch but that of a view."""
    shapes = {
        "gemm": [(m, n, k) for m in (1, 64, 1024) for n in (64, 1024) for k in (64, 1024)],
        "elementwise": [(2**i,) for i in range(2, 28, 4)],
        "launch_view": [(1,)],
    }
    rows = []
    for name, some in shapes.items():
        for shape in some:
            bench = Bench(name, "fp32", shape)
            flop, moved = demand(bench)
            rows.append(Measurement(bench, 1e-6 if name == VIEW else flop / rate + moved / bandwidth))
    return Prices(rows, framework)


def multiplied(calls: Counter[Bench]) -> dict[tuple[tuple[int, ...], str], int]:
    return {(one.shape, one.layout): many for one, many in calls.items() if one.operator == "gemm"}


def test_a_layer_and_its_gradients_are_counted_with_their_layouts() -> None:
    with pretended():
        layer, given = torch.nn.Linear(32, 48, bias=False), torch.ones(7, 32, requires_grad=True)
        calls = counted(lambda: (layer(given) ** 2).sum().backward())
    found = multiplied(calls)
    assert found == {((7, 48, 32), "NT"): 1, ((48, 32, 7), "TN"): 1, ((7, 32, 48), "NN"): 1}


def test_nothing_of_a_pretended_model_is_in_memory() -> None:
    with pretended():
        huge = torch.empty(10**12)
        calls = counted(lambda: huge + huge)
    assert calls == {Bench("elementwise", "fp32", (12 * 10**12,)): 1}


def test_views_move_nothing_and_writes_in_place_are_no_views() -> None:
    with pretended():
        x = torch.ones(4, 6)
        calls = counted(lambda: (x.t(), x[1:], x.view(24), x.add_(1.0)))
    assert sum(many for one, many in calls.items() if one.operator == VIEW) == 3
    assert [one.operator for one in calls if one.operator != VIEW] == ["elementwise"]


@pytest.mark.parametrize("family", laptop.TYPES)
def test_the_calls_of_a_pretended_step_are_those_of_a_real_one(family: laptop.Family) -> None:
    cpu.prepare(1)
    small = Small(family, "train", 64, 2, 1, 24, vocabulary=64)
    with pretended():
        step = loads(small, PLACE).work["step_time"]
        counted(step)
        told = counted(step)
    real = loads(small, PLACE).work["step_time"]
    real()
    seen = counted(real)
    for kind in ("gemm", "grouped_gemm", "bmm", "prefill", "prefill_backward", "softmax", "optimiser"):
        same = [{one.shape[:4]: many for one, many in calls.items() if one.operator == kind} for calls in (told, seen)]
        assert same[0] == same[1], kind
    assert told.total() == pytest.approx(seen.total(), rel=0.1), (
        "a mask is made, and keys repeated, where it cannot be looked at"
    )
    kinds = {one.operator for one in told}
    assert {"gemm", "elementwise", "softmax", "optimiser", VIEW} <= kinds
    assert ("grouped_gemm" in kinds) == (family in ("hybrid", "experts"))


def test_prices_are_what_was_measured_and_lie_between() -> None:
    held = prices()
    assert held.of(Bench("gemm", "fp32", (64, 64, 64))) == pytest.approx(
        2 * 64**3 / 1e11 + 3 * 64**2 * 4 / 1e10, rel=0.01
    )
    lower, upper = held.of(Bench("gemm", "fp32", (64, 1024, 64))), held.of(Bench("gemm", "fp32", (1024, 1024, 64)))
    assert lower < held.of(Bench("gemm", "fp32", (256, 1024, 64))) < upper
    assert held.of(Bench("elementwise", "fp32", (10**6,))) == pytest.approx(1e-4, rel=0.02)


def test_an_operator_without_rows_costs_as_the_nearest_kind_of_work_and_none_is_free() -> None:
    held = prices()
    assert held.of(Bench("softmax", "bf16", (100, 100))) == pytest.approx(
        held.of(Bench("elementwise", "fp32", (40000,))), rel=0.02
    )
    with pytest.raises(KeyError):
        held.of(Bench("decode", "fp32", (1, 64, 4, 128, 512)))


def test_the_framework_costs_for_every_call() -> None:
    calls = Counter({Bench(VIEW, "fp32", (1,)): 10})
    assert prices(framework=3.0).total(calls) == pytest.approx(10 * (1e-6 + 3e-6))
    assert prices(framework=3.0).parts(calls)["framework"] == pytest.approx(30e-6)


def test_what_is_fitted_is_not_what_is_checked() -> None:
    assert not set(FITTED) & {*CHECKED, *laptop.QUICK}
    assert len(set(CHECKED)) == len(CHECKED) >= 20
    assert {one.family for one in CHECKED} == set(laptop.TYPES)
    assert {one.use for one in CHECKED} == {"train", "serve"}


def test_the_loop_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prediction is made of calls alone; what is measured is the clock's."""
    cpu.prepare(1)

    class Clock:
        KIND = "cpu"

        def place(self, rank: int) -> torch.device:
            return PLACE

        def clocked(self, work: object, times: int) -> float:
            work()  # type: ignore[operator]
            return 0.5

    monkeypatch.setattr(loop, "SERVED", 2)
    small = Small("dense", "serve", 64, 2, 2, 16, made=4, vocabulary=64)
    held = prices()
    held._tables |= {(name, "fp32", ""): held._tables["elementwise", "fp32", ""] for name in ("prefill", "decode")}
    found = {one.quantity: one for one in compared(small, held, Clock(), 0.0)}  # type: ignore[arg-type]
    assert set(found) == {"ttft", "tpot"}
    assert found["ttft"].measured == 0.5 and found["tpot"].measured == 0.5 / 4, "a token is one of those made"
    assert found["ttft"].predicted > found["tpot"].predicted > 0
    assert found["tpot"].error == pytest.approx(found["tpot"].predicted / 0.125 - 1)
    again = predicted(small, held, PLACE)
    assert again["ttft"][0] == found["ttft"].predicted
