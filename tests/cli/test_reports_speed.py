"""Reports about one service each, and what a service without limits is answered with."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tonnage import catalog
from tonnage.cli import run
from tonnage.model import load

Captured = pytest.CaptureFixture[str]

ALONE = "--on 1xrtx-pro-6000 --engine vllm --isl 1k --osl 200 --concurrency 1"


def asked(words: str, capsys: Captured, code: int = 0) -> dict[str, Any]:
    assert run([*shlex.split(words), "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def in_nvfp4(folder: Path) -> Path:
    """Gemma 4 31B as NVIDIA releases it: all attention layers stay as they are."""
    section = {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head", "*self_attn*"]}
    path = folder / "config.json"
    path.write_text(json.dumps({**load("gemma-4-31b-it", catalog.load()).config, "quantization_config": section}))
    return path


def test_one_request_of_a_release_with_wide_attention(tmp_path: Path, capsys: Captured) -> None:
    """A community model page: 24.1 tokens/s in BF16, 39.2 in NVFP4 on one RTX PRO 6000."""
    for model, measured in (("gemma-4-31b-it", 24.1), (str(in_nvfp4(tmp_path)), 39.2)):
        found = asked(f"serve {model} {ALONE}", capsys)
        assert found["output_tokens_per_second_per_accelerator"] == pytest.approx(measured, rel=0.06)
        assert found["tpot_low"] < 1 / measured < found["tpot_high"]


def test_it_does_not_fit_where_it_ran_out_of_memory(tmp_path: Path, capsys: Captured) -> None:
    """vllm #40291: an RTX 5090 of 31.35 GiB; 33.3 GB of weights by its list of modules."""
    found = asked(f"fit {in_nvfp4(tmp_path)} --on 1xrtx-5090 --engine vllm", capsys, 1)
    assert found["memory"]["weights"] == pytest.approx(33.3e9, rel=0.03)


@pytest.mark.parametrize(
    "words",
    [
        "llama-3.3-70b --on 8xa100-sxm-80gb --engine vllm --tpot 50ms",
        "llama-3.3-70b --on 4xrtx-pro-6000 --weights fp8 --engine vllm",
        "glm-5 --on 16xh200",
    ],
)
def test_a_first_token_that_nobody_would_wait_for_does_not_win(words: str, capsys: Captured) -> None:
    """Without --ttft the first token is known and comes within two seconds on the mean, and no p99 is 6 s or more."""
    found = asked(f"serve {words}", capsys)
    assert 0 < found["ttft"] <= 2
    assert found["mode"] == "aggregated"
    assert found["ttft_p99"] < 6


def test_the_version_of_an_old_engine_is_the_one_that_answers(capsys: Captured) -> None:
    """vllm-ascend #1351 asks about 0.9.1."""
    words = "qwen2.5-32b --on 8xascend-910b3 --engine vllm-ascend@0.9.1 --layout tp8 --isl 1k --osl 512 --concurrency 1"
    assert run(["serve", *shlex.split(words)]) == 0
    assert "vllm-ascend 0.9.1 rules" in " ".join(capsys.readouterr().out.split())
