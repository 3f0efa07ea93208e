"""A short training against curves that were recorded elsewhere: the processor's own, and the device's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from tonnage.model import Architecture, load  # noqa: E402
from tonnage.qualify import training  # noqa: E402
from tonnage.qualify.gate import Verified  # noqa: E402
from tonnage.qualify.recorded import recorded  # noqa: E402

STEPS = 4


@pytest.fixture(scope="module")
def model() -> Iterator[Architecture]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield load("Qwen/Qwen3-8B")
    torch.set_num_threads(threads)


def found(model: Architecture, seed: int = 0) -> list[Verified]:
    return [gate for gate in training.gates(model, torch.device("cpu"), STEPS, seed) if "recorded" in gate.name]


def changed(monkeypatch: pytest.MonkeyPatch, change: Callable[[int, float], float]) -> None:
    """Curves as they were recorded, each loss changed by its step."""
    book = recorded()
    curves = {
        name: {seed: tuple(change(step, loss) for step, loss in enumerate(curve)) for seed, curve in seeds.items()}
        for name, seeds in book.curves.items()
    }
    monkeypatch.setattr(training, "recorded", lambda: replace(book, curves=curves))


def test_a_sound_device_is_on_the_curve(model: Architecture) -> None:
    gates = found(model)
    assert [gate.state for gate in gates] == ["pass", "pass"], [gate.why for gate in gates]
    assert not any(gate.decides for gate in gates), "a loss never decides"


def test_every_kind_of_model_has_three_seeds_and_the_software() -> None:
    book = recorded()
    assert len(book.curves) == 6 and all(set(seeds) == {"0", "1", "2"} for seeds in book.curves.values())
    assert all(len(curve) == 64 and curve[0] > curve[-1] for seeds in book.curves.values() for curve in seeds.values())
    assert book.torch and book.transformers and "torch" in book.said


def test_a_processor_that_differs_is_found(model: Architecture, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(monkeypatch, lambda step, loss: loss * (1 + 1e-5) if step == 2 else loss)
    gates = found(model)
    assert [gate.state for gate in gates] == ["fail", "pass"]
    assert "is not to be trusted" in gates[0].why


def test_a_device_off_the_curve_is_found(model: Architecture, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(monkeypatch, lambda step, loss: loss * (1.01 if step == STEPS - 1 else 1.0))
    assert [gate.state for gate in found(model)] == ["fail", "fail"]


def test_other_weights_other_seeds_and_other_models_are_not_tested(
    model: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates = found(model, 7)
    assert {gate.state for gate in gates} == {"not tested"} and "with seed 7 was recorded" in gates[0].why
    changed(monkeypatch, lambda step, loss: loss * 1.01)
    gates = found(model)
    assert {gate.state for gate in gates} == {"not tested"} and "the weights drawn are not those" in gates[0].why
