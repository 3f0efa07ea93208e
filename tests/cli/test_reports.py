"""What people report and what they ask, word for word: the answer is what was measured, or says what cannot be."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tonnage import catalog
from tonnage.cli import run
from tonnage.model import kv_per_token, load

Captured = pytest.CaptureFixture[str]
Ask = Callable[..., dict[str, Any]]
Told = Callable[..., str]

GB, GIB = 1e9, 2.0**30


@pytest.fixture
def told(capsys: Captured) -> Told:
    def answered(words: str, code: int = 0) -> str:
        assert run(shlex.split(words)) == code
        out = capsys.readouterr()
        return " ".join((out.out + out.err).split())

    return answered


VERBS = ("fit", "serve", "show", "train", "schema", "new", "sources", "compare", "rerun", "accuracy")
LLAMA = "llama-3.3-70b"
H20 = "fit qwen3-coder-480b-a35b-instruct --weights fp8 --on 8xh20-141gb --engine vllm@0.10.1 --layout tp1,dp8,ep8"


@pytest.mark.parametrize(
    ("words", "of", "reported", "within"),
    [
        # club-3090 #1087: two RTX 5090 at a share of 0.92, two sequences at once; the vision tower and its trial pass
        # (1 GiB of the difference) are not counted
        (
            "fit qwen3.6-27b --weights fp8 --kv fp8 --on 2xrtx-5090 --engine vllm --layout tp2 --memory-share 0.92 "
            "--max-running 2",
            "memory.kv_cache",
            12.26 * GIB,
            0.09,
        ),
        # vllm #50722: four cards of 80 GB at 0.85
        (
            "fit qwen3.5-35b-a3b --on 4xh100-sxm --engine vllm --layout tp4 --memory-share 0.85",
            "memory.kv_cache",
            43.4 * GIB,
            0.05,
        ),
        # vllm recipes PR 12, vLLM 0.10.1
        (f"{H20} --memory-share 0.9 --context 205728", "max_context", 205_728, 0.08),
        (f"{H20} --memory-share 0.95 --context 205728", "max_context", 235_296, 0.08),
        # vllm #51041: about 150k tokens on two H20
        (
            "fit deepseek-v4-flash --on 2xh20-96gb --engine vllm --layout tp2 --kv fp8 --context 121344",
            "cached_tokens",
            150_992,
            0.08,
        ),
        # rtx6kpro notes: 57.06 GB of weights and 29.32 GB of cache a card
        (
            "fit glm-5 --weights fp4 --on 8xrtx-pro-6000 --engine sglang --layout tp8",
            "memory.total",
            (57.06 + 29.32) * GB,
            0.05,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value and " " not in value else "",
)
def test_memory_as_it_was_logged(ask: Ask, words: str, of: str, reported: float, within: float) -> None:
    found: Any = ask(words)
    for key in of.split("."):
        found = found[key]
    assert found == pytest.approx(reported, rel=within)


@pytest.mark.parametrize(
    ("model", "context", "gib"),
    [("qwen3.5-27b", 262_144, 16.0), ("deepseek-v3.1", 163_840, 10.72), ("kimi-k2.5", 262_144, 17.16),
     ("qwen3-0.6b", 40_960, 4.38)],
)  # fmt: skip
def test_cache_at_full_context_exactly(model: str, context: int, gib: float) -> None:
    """Unsloth PR 4757."""
    assert kv_per_token(load(model, catalog.load())) * context * 2 / GIB == pytest.approx(gib, abs=0.006)


@pytest.mark.parametrize(
    ("words", "of", "reported"),
    [
        # aiconfigurator #1148: time between tokens of long prompts
        ("qwen3-8b --on 1xh200-sxm --engine vllm --isl 9000 --osl 30 --concurrency 32", "tpot", 0.2368),
        ("qwen3-8b --on 1xh200-sxm --engine vllm --isl 9000 --osl 30 --concurrency 64", "tpot", 0.3088),
        # DeepSeek-R1 #507: about 1,000 tokens/s of eight accelerators at best
        (
            "deepseek-r1 --on 8xh200-nvl --engine vllm --layout tp8 --isl 550 --osl 150 --concurrency 32",
            "output_tokens_per_second_per_accelerator",
            125.0,
        ),
        # club-3090 #851: 252 tokens/s, a prompt of 10k in 457 ms
        (
            "qwen3.6-35b-a3b --weights w4a16 --kv fp8 --on 2xrtx-5090 --engine vllm --layout tp2 --isl 10k --osl 1k "
            "--concurrency 1",
            "tpot",
            1 / 252,
        ),
        (
            "qwen3.6-35b-a3b --weights w4a16 --kv fp8 --on 2xrtx-5090 --engine vllm --layout tp2 --isl 10k --osl 1k "
            "--concurrency 1",
            "ttft",
            0.457,
        ),
        # llmfit PR 1046
        ("qwen3-8b --on 1xrtx-4090 --engine vllm --isl 1k --osl 200 --concurrency 1", "tpot", 1 / 58.7),
    ],
)
def test_speeds_are_within_what_is_said_of_them(ask: Ask, words: str, of: str, reported: float) -> None:
    found = ask(f"serve {words}")
    assert found[f"{of}_low"] < reported < found[f"{of}_high"]
    assert found[of] == pytest.approx(reported, rel=0.35)


@pytest.mark.parametrize(
    ("words", "of", "reported"),
    [
        # swiss-ai/Megatron-LM PR 29: 16 and 32 nodes of four
        ("llama-3.1-8b --on 64xgh200 --seq 8192 --global-batch 256", "rate", 430e12),
        ("llama-3.1-8b --on 128xgh200 --seq 8192 --global-batch 256", "rate", 413e12),
        # torchtitan PR 481: 109 tokens/s each; torchtitan PR 1993: 13.5 %
        (
            "llama-3.1-405b --on 128xh100-sxm --seq 8192 --global-batch 32 --layout tp8,dp16,zero3,recompute=full "
            "--framework torchtitan --software 2024-07",
            "tokens_per_second_per_accelerator",
            109.0,
        ),
        (
            "deepseek-v2-lite --on 8xb200-sxm --seq 4096 --global-batch 32 "
            "--layout dp8,ep8,zero3,mbs4,recompute=full --framework torchtitan --software 2025-11",
            "mfu",
            0.135,
        ),
        # Megatron-LM #756: 5.44 s a step
        ("mixtral-8x7b --on 16xh100-sxm --seq 2048 --global-batch 128 --software 2024-04", "step_time", 5.44),
    ],
)
def test_training_as_it_was_reported(ask: Ask, words: str, of: str, reported: float) -> None:
    found = ask(f"train {words}")
    value = found["model_flops_per_second_per_accelerator" if of == "rate" else of]
    spread = max(found["step_time_high"] / found["step_time"], found["step_time"] / found["step_time_low"])
    assert 1 / spread < value / reported < spread


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        # vllm-ascend #8746, #15836: 8 x 64 GB are asked for, 8 x 32 GB are below it
        ("fit deepseek-v4-flash --on 8xascend-910b4 --engine vllm-ascend --weights int8", 1, "needs 38.3 GB"),
        (
            "fit deepseek-v4-flash --on 8xascend-910b3 --engine vllm-ascend --weights int8 --layout tp8 "
            "--context 133120",
            0,
            "of 133,120",
        ),
        # vllm-ascend #1351: the version can be said; one of its own, not one of vLLM's, is the newest
        ("fit qwen2.5-32b --on 8xascend-910b3 --engine vllm-ascend@0.9.1", 0, "vllm-ascend 0.9.1 rules"),
        ("fit qwen2.5-32b --on 8xascend-910b3 --engine vllm-ascend", 0, "vllm-ascend 0.23.0 rules"),
        # vllm #23278, #33155
        ("fit gpt-oss-120b --on 1xh100-sxm --engine vllm@0.14.1", 1, "more than an engine may use"),
        ("fit gpt-oss-120b --on 1xh100-sxm --engine vllm --memory-share 0.9", 0, "vllm 0.33.0 rules"),
        # sixteen are the least that the makers name; eight stand above the label
        ("fit kimi-k2 --weights fp8 --on 8xh200 --engine sglang", 0, "that drivers report (sold as 141 GB)"),
        ("fit qwen3-32b --on 8xh200 --context 131072", 1, 'rope_scaling {"rope_type": "yarn", "factor": 3.5'),
        ("fit llama-3.1-8b --on 1xrtx-4090 --context 16k", 1, "at most 11,561 do"),
        ("serve llama-3.1-8b --on 1xh100-sxm --isl 200k --osl 1k", 1, "beyond the 131,072"),
        ("serve qwen3-235b-a22b --on 8xh200 --isl 120k --osl 2k", 1, "beyond the 40,960"),
        ("serve gpt-oss-120b --on 8xh200 --isl 300k --osl 1k", 1, "beyond the 131,072"),
        ("fit zai-org/GLM-5-FP8 --on 8xh200", 0, "GLM-5-FP8 (fp8"),
        ("fit Qwen/Qwen3-235B-A22B-Instruct-2507 --on 8xh200", 0, "up to 262,144 tokens"),
        ("fit llama-3.3-70b --on 8xh200", 0, "Llama-3.3-70B-Instruct (bf16"),
        ("fit qwen3-235b --on 8xh200-sxm", 0, 'read "qwen3-235b" as Qwen3-235B-A22B: others are named as such'),
        ("fit Llama-3.1-8B-Instruct --on 1xh100-sxm", 0, 'as Llama-3.1-8B: a release of the same shape'),
        ("fit deepseek-v3.1 --on 8xh200-sxm", 0, "as DeepSeek-V3: a release of the same shape"),
        ("show qwen3-235b", 0, "Qwen/Qwen3-235B-A22B: 235B parameters"),
        ("show gpt-oss", 2, "can mean openai/gpt-oss-120b, openai/gpt-oss-20b"),
        ("show rtx4090", 0, "GeForce RTX 4090"),
        ("show a10", 0, "A10 (a10)"),
        ("show t4", 0, "T4 (t4)"),
        ("fit qwen3-8b --on 1xA100-SXM4-80GB", 0, "A100 SXM4 80 GB"),
        ("fit qwen3-8b --on 1xtesla-t4 --weights int8", 0, "1 x T4"),
        # formats that a chip does not compute
        ("fit qwen3-8b --on 1xascend-910c --weights nvfp4", 0, "ascend-910c has no fp4 rate: computed in bf16"),
        ("fit qwen3-8b --on 1xa100-sxm-80gb --weights fp4", 0, "has no fp4 rate: computed in bf16"),
        ("serve qwen3-8b --on 1xa100-sxm-80gb --weights fp8 --tpot 50ms", 0, "has no fp8 rate: computed in bf16"),
        # prices: one term, a place with its fallbacks
        (f"serve {LLAMA} --on 8xh100 --in DE --tpot 50ms", 0, "none known in DE: on-demand,"),
        (f"serve {LLAMA} --on 8xh200 --in EU --tpot 50ms", 0, "(on-demand, FI, EU"),
        (f"serve {LLAMA} --on 8xh100 --in EU --term 1-year --tpot 50ms", 0, "none known in EU: 1-year, US, world"),
        ("train qwen3-8b --on 8xh100 --tokens 1B --in DE --term spot", 0, "none known in DE: spot,"),
        # what means nothing to a verb
        ("schema --seed 3", 2, "--seed means nothing to schema"),
        ("schema --csv", 2, "--csv means nothing to schema"),
        ("new --as-of 2025", 2, "--as-of means nothing to new"),
        ("sources x.json --set a=1", 2, "--set means nothing to sources"),
        ("compare a.json b.json --seed 3", 2, "--seed means nothing to compare"),
        ("rerun a.json --as-of 2025", 2, "--as-of means nothing to rerun"),
        ("accuracy capacity --cases x.jsonl", 2, "--cases means nothing to capacity"),
        ("accuracy durations --all", 2, "--all means nothing to durations"),
    ],
    ids=lambda value: value[:50] if isinstance(value, str) and value.split()[0] in VERBS else "",
)  # fmt: skip
def test_what_is_asked_is_answered(told: Told, words: str, code: int, said: str) -> None:
    assert said in told(words, code)


def test_chips_are_compared_on_one_term(ask: Ask) -> None:
    """On demand where people rent: an H200 is not cheaper than an H100, nor an A100 nearly free."""
    found = {
        chip: ask(f"serve {LLAMA} --on 8x{chip} --layout tp8 --tpot 50ms")
        for chip in ("a100-sxm-80gb", "h100-sxm", "h200-sxm", "mi300x")
    }
    assert {each["price_term"] for each in found.values()} == {"on-demand"}
    hourly = {chip: each["price_per_accelerator"] * 3600 for chip, each in found.items()}
    assert 1 < hourly["a100-sxm-80gb"] < hourly["h100-sxm"] < hourly["h200-sxm"]
    spot = ask(f"serve {LLAMA} --on 8xh200 --layout tp8 --tpot 50ms --term spot")
    assert spot["price_term"] == "spot" and spot["price_per_accelerator"] * 3600 < hourly["h200-sxm"]


def test_a_release_in_nvfp4_fits_two_cards(told: Told, tmp_path: Path) -> None:
    """Rtx6kpro notes: MiniMax-M2.5 in NVFP4."""
    section = {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head", "*self_attn*", "*gate"]}
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**load("minimax-m2.5", catalog.load()).config, "quantization_config": section}))
    assert told(f"fit {path} --on 2xrtx-pro-6000 --engine vllm").startswith("Yes")


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (
            "fit qwen3-8x --on 8xh2 --kv zz --weights yy --engine tgi --context -3",
            ("--context", "qwen3-8b", '--on "h2"', "--weights", "--kv", "--engine"),
        ),
        (
            "serve qwen3-8x --on 8xh2 --kv zz --weights yy --engine tgi --mode xx --term yearly --in ZZ --layout tp0 "
            "--speculate x --batch 0 --price-list nope --measured nofile",
            ("--speculate", "--term", "--layout", "--in", "qwen3-8b", "--on", "--weights", "--kv", "--engine", "--mode",
             "--batch", "--price-list", "nofile"),
        ),
        (
            "train qwen3-8x --on 8xh2 --tokens x --precision fp3 --layout zz --task tune --framework jax --routing z",
            ("--tokens", "qwen3-8b", "--on", "--precision", "--layout", "--task", "--framework", "--routing"),
        ),
        (
            "show h2 --in ZZ --headquarters YY --as-of 20x",
            ("--in", "--headquarters", "--as-of", '"h2" can mean'),
        ),
        ("lawful deepseek-v9 --in ZZ --from h2", ("--in", "deepseek-v3", "--from")),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else "",
)  # fmt: skip
def test_all_that_is_wrong_is_said_at_once_and_once(told: Told, words: str, flags: tuple[str, ...]) -> None:
    text = told(words, 2)
    assert f"{len(flags)} problems" in text, text
    for flag in flags:
        assert flag in text


@pytest.mark.parametrize("model", ["qwen3-30b-a3b", "qwen3-8b"])
@pytest.mark.parametrize(
    ("verb", "chips", "layout", "needs"),
    [("fit", 1, "pp3", 3), ("serve", 2, "pp3", 3), ("fit", 1, "dp2", 2), ("serve", 8, "tp4,dp4", 16),
     ("serve", 4, "tp2,pp3", 6), ("fit", 1, "tp2,pp2", 4)],
)  # fmt: skip
def test_a_layout_of_more_ranks_than_there_are_is_refused(
    told: Told, model: str, verb: str, chips: int, layout: str, needs: int
) -> None:
    there = "there is 1" if chips == 1 else f"there are {chips}"
    assert f'"{layout}" needs {needs} ranks, {there}' in told(
        f"{verb} {model} --on {chips}xh20-96gb --layout {layout}", 2
    )
