"""The logits and the layer at work need not be there at once: the low end of what a run holds counts the larger."""

from __future__ import annotations

import numpy as np
import pytest

from tonnage import catalog
from tonnage.layout import Layout, parse_layout
from tonnage.model import load
from tonnage.system import System, accelerator
from tonnage.train import TrainJob, pieces
from tonnage.train.memory import CONTEXT, FRAGMENTATION, TrainRankMemory
from tonnage.train.search import capacity, predict

FACTS = catalog.load()


def held(layout: Layout, **more: object) -> tuple[TrainRankMemory, float, float]:
    """(memory, logits, layer at work) of Llama 3.1 8B on eight accelerators [byte]."""
    job = TrainJob(load("llama-3.1-8b", FACTS), 8192, 16, framework="torchtitan", **more)  # type: ignore[arg-type]
    arrays = {name: np.array([getattr(layout, name)]) for name in layout.__dataclass_fields__}
    made = pieces.weigh(job, System(accelerator("h100-sxm", FACTS), 8), Layout(**arrays))
    work = made.layers
    return made.memory.at(0), float(np.ravel(work.head_saved)[0]), float(np.ravel(work.peak)[0])


def test_the_low_end_counts_the_larger_of_logits_and_layer() -> None:
    found, logits, layer = held(Layout(dp=8, zero=3, recompute=2, mbs=2))
    assert 0 < layer < logits
    assert found.low == pytest.approx(found.total - found.slack + CONTEXT[0] - min(logits, layer))
    assert found.high - found.total == pytest.approx(
        CONTEXT[2] - CONTEXT[1] + (FRAGMENTATION[2] - FRAGMENTATION[1]) * found.activations
    )


def test_without_recomputation_nothing_is_computed_again_beside_them() -> None:
    found, _, _ = held(Layout(dp=8, zero=3, recompute=0, mbs=1))
    assert found.low == pytest.approx(found.total - found.slack + CONTEXT[0])


def test_a_run_that_fits_one_after_the_other_is_predicted() -> None:
    """Eight H100 of 96 GB, all of a layer computed again: logits of 32K tokens and a layer at work are 12 GB too much
    together.
    """
    system = System(accelerator("h100-sxm-hbm2e-500w", FACTS), 8)
    job = TrainJob(load("llama-3.1-8b", FACTS), 8192, 8 * 5, framework="torchtitan")
    found = predict(job, system, parse_layout("dp8,zero3,mbs5,recompute=full"))
    assert found.outcome.feasible
    assert found.run is not None and found.run.memory.low < capacity(system, physical=True) < found.run.memory.total
