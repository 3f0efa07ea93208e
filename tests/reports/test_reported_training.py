"""Public reports of training outside Megatron's ways, each with the command that asks for it.

What ran or ran out of memory is a yes or a no; memory within 5 % and inside its interval; speeds inside the interval.
Those that stand elsewhere are not repeated: tests/cli/test_reports.py (Llama 8B on GH200, 405B in torchtitan,
DeepSeek 16B on B200, Mixtral), tests/cli/test_train_recipe.py and tests/train/test_upkeep.py (states, offload, layouts
as given).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Ask = Callable[..., dict[str, Any]]

TITAN = (
    "train qwen3-32b --on 32xh100-sxm-hbm2e-500w --seq 4096 --framework torchtitan --no-compile "
    "--global-batch {batch} --layout tp8,dp4,zero3,mbs{mbs},recompute=full"
)
S1 = "train qwen2.5-32b --on {n}xh100-sxm --seq {seq} --global-batch {n} --layout dp{n},zero3,mbs1,recompute=full"
NARROW = "--task sft --master none --gradients bf16 --moments bf16"


@pytest.mark.parametrize(("mbs", "held"), [(16, 43.45), (32, 70.79)])
def test_torchtitan_without_compile(ask: Ask, mbs: int, held: float) -> None:
    """C2, torchtitan PR 1690: FSDP 4, TP 8; 43.45 and 70.79 GiB are held, 876 and 883 tokens/s. The speed
    within 25 %: a third too fast was called off.
    """
    found = ask(TITAN.format(batch=4 * mbs, mbs=mbs))
    memory = found["memory"]
    assert memory["total_low"] < held * 2**30 < memory["total_high"]
    assert memory["total"] == pytest.approx(held * 2**30, rel=0.05)
    assert found["tokens_per_second_per_accelerator"] == pytest.approx(880, rel=0.25)


def test_torchtitan_of_64_sequences_runs_out_of_memory(ask: Ask) -> None:
    assert ask(TITAN.format(batch=256, mbs=64), 1)["memory"]["total_low"] > 80e9


@pytest.mark.parametrize(
    ("n", "seq", "code"),
    [(16, 20_000, 0), (16, 32_000, 1), (8, 20_000, 1)],
    ids=["16-works", "longer-does-not", "8-do-not"],
)
def test_s1_with_states_in_16_bits(ask: Ask, n: int, seq: int, code: int) -> None:
    """C3, simplescaling/s1 #13 and #25: full fine-tuning with FSDP, 8 bytes a parameter."""
    found = ask(f"{S1.format(n=n, seq=seq)} {NARROW}", code)
    held = found["memory"]
    assert (held["total"] > 80e9) == bool(code)
    states = held["weights"] + held["gradients"] + held["optimizer"]
    assert states == pytest.approx(8 * 32.76e9 / n, rel=0.01)


@pytest.mark.parametrize("zero", [2, 3])
def test_deepspeed_as_given_has_no_expert_parallelism(ask: Ask, zero: int) -> None:
    """C4, Qwen3-VL #2053: ZeRO-2 of 30B-A3B on 32 H100 runs out of memory at the optimizer; nothing is added."""
    words = "train qwen3-30b-a3b --on 32xh100-sxm --seq 8192 --global-batch 32 --task sft --framework deepspeed"
    found = ask(f"{words} --layout dp32,zero{zero},mbs1,recompute=full", 1 if zero == 2 else 0)
    assert found["degrees"]["ep"] == 1 and found["degrees"]["tp"] == 1
    if zero == 2:
        assert found["memory"]["total_low"] > 80e9


@pytest.mark.parametrize("seq", [65_536, 131_072, 262_144])
def test_long_sequences_with_what_the_host_keeps(ask: Ask, seq: int) -> None:
    """C12, slime #1522 and Ascend/pytorch #101: 64k to 256k tokens with offload to the host can be asked."""
    words = f"train qwen3-30b-a3b --on 32xh100-sxm --seq {seq} --global-batch 32 --task sft"
    found = ask(f"{words} --offload optimizer,activations --layout cp8,dp4,zero3,mbs1,recompute=full")
    assert found["memory"]["host"] > 0 and found["breakdown"]["offload"] > 0
    assert found["memory"]["total"] < 80e9


def test_a_loss_in_chunks_spares_the_logits(ask: Ask) -> None:
    """C12: chunks of the loss can be said: all but one of eight parts of 151,936 logits a token are not held."""
    words = f"{S1.format(n=16, seq=20_000)} {NARROW}"
    whole, chunked = (ask(f"{words} {more}")["memory"]["activations"] for more in ("", "--loss-chunks 8"))
    assert whole - chunked == pytest.approx(20_000 * 152_064 * 6 * 7 / 8, rel=0.05)
