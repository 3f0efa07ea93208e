"""What `tonnage train` is told of states, adapters and the host; what may fit; hints that pay; spares that mean it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tonnage.cli import run

Said = Callable[..., str]
Asked = Callable[..., dict[str, Any]]

S1 = ("qwen2.5-32b", "--task", "sft", "--on", "16xh100-sxm", "--global-batch", "16")
"""simplescaling/s1: full fine-tuning with FSDP."""
S1_LAYOUT = "dp16,zero3,mbs1,recompute=full"
VL = ("qwen3-30b-a3b", "--on", "32xh100-sxm", "--seq", "8192", "--global-batch", "32", "--task", "sft")
"""Qwen3-VL: full fine-tuning with DeepSpeed's ZeRO-2."""
VL_LAYOUT = "dp32,zero2,mbs1,recompute=full"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    def told(*words: str, code: int = 0) -> str:
        assert run(["train", *words]) == code
        return " ".join(capsys.readouterr().out.split())

    return told


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str]) -> Asked:
    def answer(*words: str, code: int = 0) -> dict[str, Any]:
        assert run(["train", *words, "--json"]) == code
        made: dict[str, Any] = json.loads(capsys.readouterr().out)
        return made

    return answer


def test_what_is_kept_is_said_and_asked_again_by_the_hint(said: Said) -> None:
    words = ("llama-3.1-8b", "--on", "1xrtx-4090", "--seq", "2048", "--global-batch", "16", "--task", "qlora")
    text = said(*words, "--lora-rank", "16", "--optimizer", "adamw-8bit", "--loss-chunks", "8", "--no-compile")
    assert "keeps adapters of rank 16 on all-linear; frozen weights in nf4; adamw-8bit; loss in 8 chunks;" in text
    assert "not compiled" in text
    assert "--lora-rank 16" in text and "--no-compile" in text and "--optimizer adamw-8bit" in text
    assert "what adapters take is left out (--lora-rank)" in said(*words)


def test_what_the_host_keeps_is_said_with_the_fact_that_it_rests_on(asked: Asked, said: Said) -> None:
    words = ("llama-3.1-8b", "--on", "8xh100-sxm", "--global-batch", "64", "--offload", "optimizer")
    found = asked(*words)
    assert found["memory"]["host"] > 1e9 and found["breakdown"]["offload"] > 0
    assert any(fact.startswith("h100-sxm/host_link") for fact in found["sources"])
    assert "in the memory of its host" in said(*words)
    plain = asked(*words[:-2])
    assert "host" not in plain["memory"] and "offload" not in plain["breakdown"]
    assert not any("host_link" in fact for fact in plain["sources"])


def test_a_host_link_that_nobody_has_said_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "llama-3.1-8b", "--on", "8xascend-910b", "--offload", "optimizer"]) == 3
    assert "no host_link for ascend-910b" in capsys.readouterr().err


def test_wrong_words_are_told_together_with_their_flags(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--optimizer", "adamw8", "--moments", "fp4", "--offload", "disk", "--lora-rank", "8"]
    assert run(["train", "llama-3.1-8b", "--on", "8xh100-sxm", *words]) == 2
    text = capsys.readouterr().err
    for flag in ("--optimizer", "--moments", "--offload", "--lora-rank"):
        assert flag in text
    assert "adamw-8bit" in text


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--seq", "20000"), 1, "may fit: 73.1 GB to 87.1 GB of 80 GB on the fullest rank, 82.6 GB expected."),
        (("--seq", "32000"), 1, "does not work as asked: memory: 107 GB needed of 80 GB"),
    ],
)
def test_a_no_whose_interval_holds_the_limit_says_that_it_may_fit(
    said: Said, words: tuple[str, ...], code: int, text: str
) -> None:
    """It ran at 20,000 tokens on 16 H100, and ran out of memory at 32,000, and on 8."""
    assert text in said(*S1, *words, "--layout", S1_LAYOUT, code=code)


def test_sixteen_bit_weights_and_moments_fit(asked: Asked) -> None:
    narrow = ("--master", "none", "--gradients", "bf16", "--moments", "bf16")
    held = asked(*S1, "--seq", "20000", "--layout", S1_LAYOUT, *narrow)["memory"]
    assert held["weights"] + held["gradients"] + held["optimizer"] == pytest.approx(8 * 32.76e9 / 16, rel=0.01)


@pytest.mark.parametrize("more", [(), ("--framework", "deepspeed"), ("--framework", "fsdp")])
def test_a_layout_as_given_gains_no_expert_parallelism(asked: Asked, more: tuple[str, ...]) -> None:
    """It ran out of memory at the optimizer."""
    found = asked(*VL, "--layout", VL_LAYOUT, *more, code=1)
    assert found["degrees"]["ep"] == 1 and found["memory"]["total"] > 88e9
    assert "ep" not in (found["nearest_feasible"] or "")


def test_expert_parallelism_that_is_written_or_searched_stays(asked: Asked) -> None:
    assert asked(*VL, "--layout", f"{VL_LAYOUT},ep4")["degrees"]["ep"] == 4
    assert asked(*VL)["degrees"]["ep"] > 1
    given = asked(*VL, "--layout", "zero2,mbs1,recompute=full", "--framework", "deepspeed")
    assert given["degrees"]["ep"] == 1, "DeepSpeed's ZeRO deals no experts out"


def test_the_recommended_layout_is_sure_to_fit_where_that_costs_little(asked: Asked) -> None:
    found = asked("llama-3.1-70b", "--on", "8xh100-sxm", "--task", "lora", "--global-batch", "64")
    assert found["memory"]["total_high"] < 80e9
    faster = min(found["alternatives"], key=lambda one: one["slower"])
    assert -0.025 < faster["slower"] < 0 and faster["memory"] > found["memory"]["total"]


def test_a_batch_that_divides_is_named_with_what_it_pays(asked: Asked, said: Said) -> None:
    words = ("llama-3.1-8b", "--on", "64xh100-sxm", "--global-batch", "1000")
    (near,) = asked(*words)["nearby"]
    assert near["what"] == "global_batch" and near["value"] == 1024
    assert "with --global-batch 1024 64 would work, 10,008 tokens/s per accelerator (+12%)" in said(*words)
    assert "with --global-batch 1024, 9,906 tokens/s per accelerator (+13%)" in said(*words, "--layout", "tp2")
    assert not asked("llama-3.1-8b", "--on", "64xh100-sxm", "--global-batch", "1024")["nearby"]


def test_spares_and_interruptions_are_said_where_they_mean_something(said: Said, asked: Asked) -> None:
    card = ("qwen3-1.7b", "--on", "1xrtx-4090", "--seq", "2048", "--global-batch", "8", "--task", "lora")
    assert "spares" not in said(*card) and asked(*card)["spares"] == 0
    short = said("llama-3.1-8b", "--on", "64xh100-sxm", "--global-batch", "256", "--tokens", "1B")
    assert "none is likely in" in short and "spares" not in short
    long = said("llama-3.1-8b", "--on", "64xh100-sxm", "--global-batch", "256", "--tokens", "10T")
    assert "8 spares beside it" in long and "none is likely" not in long


def test_a_saved_answer_is_asked_again_as_it_was(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "saved.json"
    words = ["train", "llama-3.1-8b", "--on", "8xh100-sxm", "--global-batch", "64", "--task", "qlora"]
    more = ["--lora-rank", "16", "--moments", "bf16", "--loss-chunks", "4", "--no-compile", "-o", str(path)]
    assert run([*words, *more]) == 0
    capsys.readouterr()
    assert run(["rerun", str(path), "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["differences"], found["moved_by"]) == ([], "nothing")
