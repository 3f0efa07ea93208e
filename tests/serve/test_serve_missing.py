"""Services on chips of which the catalogue does not know how they are joined."""

from __future__ import annotations

import pytest

from tonnage.catalog import load
from tonnage.errors import MissingFact
from tonnage.model import load as model
from tonnage.serve import ServeJob, plan
from tonnage.system import System, accelerator


def asked(name: str, chip: str, count: int, **more: object) -> object:
    catalog = load()
    return plan(ServeJob(model(name, catalog), 4096, 1024, **more), System(accelerator(chip, catalog), count))


def test_a_model_that_needs_a_link_nobody_knows_is_a_said_unknown() -> None:
    """The link of the TPU 8t is not on file: no number, and no warning of NumPy's, comes of it."""
    with pytest.raises(MissingFact, match="no link for tpu-8t"):
        asked("deepseek-r1", "tpu-8t", 16)


def test_what_needs_no_link_is_answered_and_what_was_left_out_is_said() -> None:
    alone = asked("qwen3-8b", "tpu-8t", 16)
    assert alone.outcome.feasible
    assert alone.layout_text == "tp1,dp1 x 16"
    assert "no link for tpu-8t" in alone.left_out
    inside = asked("qwen3-32b", "l40s", 16)
    assert inside.outcome.feasible
    assert inside.left_out == "layouts over more than 8 accelerators: the catalogue has no nic for l40s"
    assert asked("qwen3-32b", "l40s", 8).left_out is None


def test_two_pools_need_a_nic() -> None:
    with pytest.raises(MissingFact, match="no nic for l40s"):
        asked("qwen3-32b", "l40s", 8, mode="disaggregated")
