"""Services whose tokens another model drafts: its weights, cache and passes are counted."""

from __future__ import annotations

import pytest

from tonnage import catalog
from tonnage.export import launches
from tonnage.model import Architecture, Drafter, drafter_of, load, usual_drafter, with_draft
from tonnage.serve import ServeJob, Speculation, plan
from tonnage.serve.result import ServePlan
from tonnage.system import System, accelerator

CATALOG = catalog.load()
QWEN = load("qwen3-8b", CATALOG)
SMALL = drafter_of(load("qwen3-0.6b", CATALOG), QWEN)
H100 = System(accelerator("h100-sxm", CATALOG), 1)


def served(drafter: Drafter | None, engine: str = "vllm", tokens: float = 3.0) -> ServePlan:
    arch: Architecture = QWEN if drafter is None else with_draft(QWEN, drafter)
    method = "mtp" if drafter is None else drafter.kind
    drafts = Speculation(tokens, 0.6, method) if drafter is not None else None
    job = ServeJob(arch=arch, isl=2048.0, osl=256.0, concurrency=8.0, engine=engine, speculative=drafts)
    return plan(job, H100, {"tp": 1})


def test_a_draft_model_takes_memory() -> None:
    free, drafted = served(None).memory, served(SMALL).memory
    assert free is not None and drafted is not None
    assert drafted.weights - free.weights == pytest.approx(2 * 596_049_920, rel=1e-3)


def test_a_larger_draft_makes_a_step_longer() -> None:
    eagle, small = served(usual_drafter(QWEN)), served(SMALL)
    assert eagle.speed is not None and small.speed is not None
    assert eagle.speed.tpot is not None and small.speed.tpot is not None
    assert small.speed.tpot.value > eagle.speed.tpot.value


def test_one_pass_for_all_drafts_is_quicker_than_one_for_each() -> None:
    from dataclasses import replace

    slow = usual_drafter(QWEN)
    times = [served(replace(slow, parallel=way, kind=kind)) for way, kind in ((False, "eagle3"), (True, "dflash"))]
    one, all_at_once = (found.speed.tpot for found in times)
    assert one is not None and all_at_once is not None
    assert all_at_once.value < one.value


@pytest.mark.parametrize(
    ("engine", "kind", "words"),
    [
        ("vllm", "model", '"method": "draft_model", "model": "Qwen/Qwen3-0.6B"'),
        ("sglang", "model", "--speculative-algorithm STANDALONE"),
        ("trtllm", "model", "DraftTarget"),
        ("vllm", "eagle3", '"method": "eagle3", "model": "DRAFT_MODEL"'),
        ("sglang", "eagle3", "--speculative-algorithm EAGLE3"),
    ],
)
def test_engines_are_told_who_drafts(engine: str, kind: str, words: str) -> None:
    found = served(SMALL if kind == "model" else usual_drafter(QWEN), engine)
    assert words in (launches(found)[0].flags or "")
