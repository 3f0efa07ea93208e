"""Releases that people have, on the chips that they have: what fits, and how fast, by the formats of every module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tonnage import catalog
from tonnage.model import Architecture, build, checkpoint_bytes, load
from tonnage.serve import ServeJob, fit, plan
from tonnage.system import System, accelerator

CATALOG = catalog.load()
FLOAT4 = {"num_bits": 4, "type": "float", "group_size": 16}
FLOAT8 = {"num_bits": 8, "type": "float"}


def release(name: str, section: Mapping[str, Any]) -> Architecture:
    return build({**load(name, CATALOG).config, "quantization_config": section}, name=name)


def on(chip: str, count: int = 1) -> System:
    return System(accelerator(chip, CATALOG), count)


def gemma() -> Architecture:
    """Gemma 4 31B in NVFP4 as NVIDIA releases it: all attention stays in BF16."""
    layers = [f"model.language_model.layers.{i}.self_attn*" for i in range(60)]
    group = {"weights": FLOAT4, "input_activations": FLOAT4, "targets": ["Linear"]}
    ignore = ["lm_head", "model.embed_vision*", "model.vision_tower*", *layers]
    return release(
        "gemma-4-31b-it", {"quant_method": "modelopt", "config_groups": {"group_0": group}, "ignore": ignore}
    )


def qwen() -> Architecture:
    """Qwen3.6 27B as NVIDIA releases it: FP8 attention, MLP and head in NVFP4 without narrow activations."""
    listed = {}
    for i in range(64):
        at = f"model.language_model.layers.{i}"
        mixer = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
        if (i + 1) % 4:
            mixer = ("linear_attn.in_proj_qkv", "linear_attn.in_proj_z", "linear_attn.out_proj")
        listed |= {f"{at}.{leaf}": {"quant_algo": "FP8"} for leaf in mixer}
        listed |= {f"{at}.mlp.{leaf}_proj": {"quant_algo": "W4A16_NVFP4"} for leaf in ("gate", "up", "down")}
    listed["lm_head"] = {"quant_algo": "W4A16_NVFP4"}
    section = {
        "quant_method": "modelopt",
        "quant_algo": "MIXED_PRECISION",
        "quantized_layers": listed,
        "ignore": ["mtp*"],
    }
    return release("qwen3.6-27b", section)


def test_attention_in_bf16_makes_a_31b_too_large_for_32_gb() -> None:
    """Reported: out of memory while loading on one RTX 5090, 31 GiB measured on a larger card (vllm #40291)."""
    assert checkpoint_bytes(gemma()) == pytest.approx(32.6e9, rel=0.01)
    assert not fit(gemma(), on("rtx-5090"), engine_name="vllm").outcome.feasible
    assert fit(gemma(), on("rtx-5090", 2), engine_name="vllm").outcome.feasible


def test_two_groups_fit_where_the_first_alone_would_not() -> None:
    """Reported: served on one RTX 5090, 27 GB named as the least (vllm recipes PR 663); without the tower."""
    found = fit(qwen(), on("rtx-5090"), engine_name="vllm")
    assert found.outcome.feasible
    assert found.memory.weights == pytest.approx(20.1e9, rel=0.01)


def test_speed_of_one_request_with_attention_in_bf16() -> None:
    """Reported on an RTX PRO 6000, 1k / 200 tokens: 24.1 tokens/s in BF16, 39.2 in NVFP4 (a community model page)."""

    def tpot(arch: Architecture) -> float:
        found = plan(ServeJob(arch, 1000.0, 200.0, engine="vllm", concurrency=1.0), on("rtx-pro-6000"))
        assert found.tpot is not None
        return float(found.tpot.value)

    plain, narrow = tpot(load("gemma-4-31b-it", CATALOG)), tpot(gemma())
    assert plain == pytest.approx(1 / 24.1, rel=0.15)
    assert narrow == pytest.approx(1 / 39.2, rel=0.2)


@pytest.mark.parametrize(
    ("name", "section", "gigabytes"),
    [
        ("llama-3.1-70b", {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head"]}, 72.7),
        (
            "qwen3-235b-a22b",
            {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head", "*.mlp.gate"]},
            134.1,
        ),
        (
            "llama-3.1-8b",
            {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True},
            5.7,
        ),
        ("llama-3.1-405b", {"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["lm_head"]}, 410.0),
    ],
)
def test_weights_of_releases(name: str, section: dict[str, Any], gigabytes: float) -> None:
    assert checkpoint_bytes(release(name, section)) / 1e9 == pytest.approx(gigabytes, rel=0.005)


def test_fbgemm_fits_one_node_of_h100() -> None:
    section = {"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["lm_head"]}
    assert fit(release("llama-3.1-405b", section), on("h100-sxm", 8)).outcome.feasible


def test_kimi_k3_fits_16_gb200() -> None:
    assert fit(load("kimi-k3", CATALOG), on("gb200", 16)).outcome.feasible
