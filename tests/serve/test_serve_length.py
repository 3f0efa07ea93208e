"""Sequences beyond the model's context, or beyond the cache: an answer that says no, and what would do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tonnage import catalog
from tonnage.model import build, load
from tonnage.serve import ServeJob, fit, plan, plan_mixed
from tonnage.serve.replica.formats import formats
from tonnage.system import System, accelerator, per_die

CATALOG = catalog.load()
LLAMA = load("llama-3.1-8b", CATALOG)
H100 = System(accelerator("h100-sxm", CATALOG), 1)
SMALL = System(accelerator("rtx-4090", CATALOG), 1)


def test_a_context_beyond_the_limit_does_not_fit() -> None:
    found = fit(LLAMA, H100, context=200_000.0)
    bind = found.outcome.binds[0]
    assert (found.outcome.reason, bind.what) == ("context", "context")
    assert bind.by == 200_000 / 131_072
    assert "--context 131072" in str(bind.lift) and '"factor": 2' in str(bind.lift)
    assert fit(LLAMA, H100, context=131_072.0).outcome.feasible


def test_scaling_in_the_configuration_lifts_the_limit() -> None:
    qwen = load("qwen3-32b", CATALOG)
    system = System(accelerator("h20-96gb", CATALOG), 8)
    assert fit(qwen, system, context=131_072.0).outcome.reason == "context"
    rope = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    stretched = build({**qwen.config, "rope_scaling": rope}, name="x")
    assert fit(stretched, system, context=131_072.0).outcome.feasible


def test_a_context_of_which_none_fits_is_a_no() -> None:
    found = fit(LLAMA, SMALL, context=16_000.0)
    assert found.outcome.reason == "memory"
    assert f"at most {found.max_context:,} do" in found.outcome.binds[0].text
    assert fit(LLAMA, SMALL, context=float(found.max_context)).outcome.feasible


def test_without_a_context_fewer_tokens_are_counted_where_fewer_fit() -> None:
    short = replace(LLAMA, context=2048)
    assert fit(short, H100).context == 2048
    assert fit(LLAMA, SMALL).context == 8000
    tight = fit(LLAMA, SMALL, memory_share=0.68)
    assert tight.outcome.feasible and tight.max_batch >= 1
    assert tight.context == tight.max_context < 8000


@pytest.mark.parametrize(("isl", "osl", "mode"), [(200_000.0, 1000.0, "auto"), (131_072.0, 1.0, "prefill")])
def test_requests_beyond_the_limit_are_not_served(isl: float, osl: float, mode: str) -> None:
    job = ServeJob(LLAMA, isl, osl, mode=mode)
    found = plan(job, H100)
    assert found.outcome.reason == "context"
    assert f"--isl {131_072 - osl:.0f}" in str(found.outcome.binds[0].lift)
    assert found.to_json()["layout"] is None
    both = plan_mixed([job, job], [H100, SMALL]) if mode == "auto" else found
    assert both.outcome.reason == "context"


def test_requests_at_the_limit_are_served() -> None:
    assert plan(ServeJob(LLAMA, 131_072.0 - 10, 10.0), H100).outcome.feasible


def test_formats_by_part_reach_memory_and_steps() -> None:
    """Experts in MXFP4, the rest in FP8: as DeepSeek-V4 is released; NVFP4 by somebody else keeps the rest."""
    die = per_die(accelerator("b200-sxm", CATALOG))
    arch = load("deepseek-v4-flash", CATALOG)
    for weights in (None, "fp4", "mxfp4"):
        precision = formats(arch, die, weights).precision
        assert precision.weights("experts").name == "mxfp4"
        assert precision.weights("attention").name == precision.weights("shared_experts").name == "fp8_block"
    assert formats(arch, die, "nvfp4").precision.weights("experts").name == "nvfp4"
    assert formats(arch, die, "nvfp4").precision.weights("attention").name == "fp8_block"
    assert formats(load("deepseek-r1", CATALOG), die, "nvfp4").precision.weights("attention").name == "bf16"


def test_a_chip_without_fp8_holds_such_parts_wider() -> None:
    arch = load("deepseek-v4-flash", CATALOG)
    old = formats(arch, per_die(accelerator("a100-sxm-80gb", CATALOG))).precision
    assert old.weights("attention").name == "w8a16"
    other = formats(arch, per_die(accelerator("mi250x", CATALOG))).precision
    assert other.weights("attention").name == "bf16"
    ascend = formats(arch, per_die(accelerator("ascend-910b3", CATALOG))).precision
    assert ascend.weights("attention").name == "int8"


def test_what_is_left_out_is_said() -> None:
    whole = {"model_type": "llava_onevision", "text_config": dict(LLAMA.config), "vision_config": {"hidden_size": 8}}
    found = fit(build(whole, name="x"), H100)
    assert found.formats.why == "as released; without the vision tower, not counted here"
