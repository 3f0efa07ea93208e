"""Layers are priced once for all sizes of a run, and what a run needs at least is no more than any layout needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tonnage import catalog
from tonnage.layout import Layout
from tonnage.model import load
from tonnage.system import System, accelerator, per_die
from tonnage.train import TrainJob, candidates, fastest, layers, least_memory, pieces, plan
from tonnage.train.layers import LayerBook
from tonnage.train.search import capacity

FACTS = catalog.load()


def job(model: str = "deepseek-v3", batch: int = 960, **more: object) -> TrainJob:
    return TrainJob(load(model, FACTS), 4096, batch, **more)  # type: ignore[arg-type]


def on(chip: str, count: int) -> System:
    return System(accelerator(chip, FACTS), count)


def some(count: int, seed: int, largest: int = 8) -> Layout:
    draw = np.random.default_rng(seed)
    names = ("tp", "cp", "ep", "etp", "mbs")
    return Layout(**{name: 2 ** draw.integers(0, largest, size=count) for name in names})


@pytest.fixture
def priced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many combinations each pricing was of."""
    sizes: list[int] = []
    real = layers.layer_work

    def counted(one: TrainJob, chip: object, layout: Layout, imbalance: float) -> object:
        sizes.append(int(np.size(layout.mbs)))
        return real(one, chip, layout, imbalance)  # type: ignore[arg-type]

    monkeypatch.setattr(layers, "layer_work", counted)
    return sizes


@pytest.mark.parametrize("model", ["deepseek-v3", "llama-3.1-70b", "qwen3-next-80b-a3b"])
def test_what_is_in_the_book_is_what_a_layer_takes(model: str) -> None:
    one, chip = job(model), per_die(accelerator("h800-sxm", FACTS))
    book = LayerBook()
    for seed in range(4):
        layout = some(40, seed)
        known, row = book.work(one, chip, layout)
        alone, _ = LayerBook().work(one, chip, layout)
        again = layers.gathered(known, row)
        for mine, other in zip(layers._values(again), layers._values(alone), strict=True):
            assert np.array_equal(mine, other)


def test_a_layer_is_priced_once_for_all_sizes_and_batches(priced: list[int]) -> None:
    book = LayerBook()
    for count in (256, 128):
        fastest(job(), on("h800-sxm", count), book)
    before = len(priced)
    assert before == 1 and priced[0] > 100
    fastest(job(batch=480), on("h800-sxm", 64), book)
    assert len(priced) == before


def test_another_model_chip_precision_or_length_is_another_layer(priced: list[int]) -> None:
    book, layout = LayerBook(), some(1, 0)
    asked = [(job(), "h800-sxm"), (job("llama-3.1-70b"), "h800-sxm"), (job(), "h20-96gb")]
    asked += [(job(precision="fp8"), "h800-sxm"), (replace(job(), seq=8192), "h800-sxm")]
    for one, chip in (*asked, *asked):
        book.work(one, per_die(accelerator(chip, FACTS)), layout)
    assert priced == [1] * len(asked)


def test_a_book_does_not_grow_without_end(priced: list[int]) -> None:
    book, layout, chip = LayerBook(), some(1, 0), per_die(accelerator("h800-sxm", FACTS))
    for seq in range(1, layers.MOST + 2):
        book.work(replace(job(), seq=1024 * seq), chip, layout)
    book.work(replace(job(), seq=1024 * (layers.MOST + 1)), chip, layout)
    assert len(priced) == layers.MOST + 1
    book.work(replace(job(), seq=1024), chip, layout)
    assert len(priced) == layers.MOST + 2


def test_degrees_too_large_for_a_key_are_priced_and_not_mixed_up() -> None:
    chip, wide = per_die(accelerator("h800-sxm", FACTS)), 1 << layers.WIDTH
    layout = Layout(**{name: np.array([1, 1]) for name in ("tp", "cp", "ep", "etp")}, mbs=np.array([wide, 1]))
    known, row = LayerBook().work(job(), chip, layout)
    head = np.asarray(known.head.gemm)[row]
    assert head[0] > 1000 * head[1]


@pytest.mark.parametrize(
    ("model", "chip", "count"), [("deepseek-v3", "h800-sxm", 256), ("llama-3.1-8b", "a100-sxm-80gb", 8)]
)
@pytest.mark.parametrize("task", ["pretrain", "lora"])
def test_no_layout_needs_less_than_the_least(model: str, chip: str, count: int, task: str) -> None:
    one, system = job(model, 64, task=task), on(chip, count)
    least = least_memory(one, system, LayerBook())
    totals = [
        np.asarray(pieces.weigh(one, system, chunk).memory.total) for chunk in candidates.layouts(one, system, {})
    ]
    smallest = min(float(total.min()) for total in totals)
    assert 0.2 * smallest < least <= smallest


def test_a_run_that_cannot_fit_is_refused_by_the_search_too() -> None:
    system = on("h800-sxm", 64)
    assert least_memory(job(), system, LayerBook()) > capacity(system)
    assert not plan(job(), system).outcome.feasible


def test_the_fastest_is_the_plan_without_its_alternatives() -> None:
    whole = plan(job("llama-3.1-70b", 128), on("h100-sxm", 64))
    quick = fastest(job("llama-3.1-70b", 128), on("h100-sxm", 64), LayerBook())
    assert whole.alternatives and not quick.alternatives
    assert replace(quick, search=None) == replace(whole, search=None, alternatives=())
