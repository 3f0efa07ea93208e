"""A flag without what it belongs to, a format that a chip does not multiply: refused, whatever the verb."""

from __future__ import annotations

import shlex
from dataclasses import MISSING, fields

import pytest

from tonnage import catalog
from tonnage.ask.belongs import SERVE, TRAIN, astray
from tonnage.ask.serve import ServeWords
from tonnage.ask.train_words import TrainWords
from tonnage.cli import run
from tonnage.errors import InputError
from tonnage.model import load
from tonnage.system import accelerator, unmultiplied
from tonnage.train import TrainJob, plan

Captured = pytest.CaptureFixture[str]

TRAINED = "train qwen3-0.6b --on 8xh20-96gb --tokens 1B"
SERVED = "serve qwen3-0.6b --on 8xh20-96gb --tpot 50ms"
CATALOG = catalog.load()


def refused(words: str, capsys: Captured) -> str:
    assert run(shlex.split(words)) == 2, words
    out = capsys.readouterr()
    assert out.out == ""
    return " ".join(out.err.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (f"{TRAINED} --reward 30s", "--reward needs --rollout-tokens"),
        (f"{TRAINED} --rollout-prompt 2k", "--rollout-prompt needs --rollout-tokens"),
        (f"{TRAINED} --rollout-length 2k", "--rollout-length needs --rollout-tokens"),
        (f"{TRAINED} --rollout-on 8xh20-96gb", "--rollout-on needs --rollout-tokens"),
        (f"{TRAINED} --rollout-tail 3", "--rollout-tail needs --rollout-tokens"),
        (f"{TRAINED} --rollout-stale", "--rollout-stale needs --rollout-tokens"),
        (f"{TRAINED} --rollout-tokens 1B --rollout-stale", "--rollout-stale needs --rollout-on"),
        (f"{TRAINED} --start 2026-01-01", "--start needs --move-to"),
        (f"{TRAINED} --move-at 30%", "--move-at needs --move-to"),
        (f"{TRAINED} --move-on 2026-01-01", "--move-on needs --move-to"),
        (f"{TRAINED} --move-wire 1GB/s", "--move-wire needs --move-to"),
        ("train qwen3-0.6b --on 8xh20-96gb --move-to 8xh800 --move-at 30%", "--move-to needs --tokens"),
        (f"{TRAINED} --lora-rank 8", "--lora-rank needs --task lora or qlora"),
        (f"{TRAINED} --lora-on attention", "--lora-on needs --task lora or qlora"),
        (f"{TRAINED} --task lora --lora-on attention", "--lora-on needs --lora-rank"),
        (f"{TRAINED} --base nf4", "--base needs --task lora or qlora"),
        (f"{TRAINED} --routing forced", "--routing Qwen3-0.6B is dense"),
        (f"{SERVED} --exchange-rate 7.1", "--exchange-rate needs --price-list"),
        (f"{SERVED} --imbalance 1.2", "--imbalance Qwen3-0.6B is dense"),
        (f"{SERVED} --ffn-layout tp1", "--ffn-layout needs attention and FFN apart"),
        (f"{SERVED} --micro-batches 2", "--micro-batches expected 1 to 16, with attention and FFN apart"),
        (f"{SERVED} --mode decode --prefill-layout tp1", "--prefill-layout needs a prefill pool"),
        (f"{SERVED} --mode aggregated --prefill-layout tp1", "--prefill-layout needs a prefill pool"),
        (f"{SERVED} --mode decode --cache-hit 50%", "--cache-hit decode alone computes no prompt"),
        (f"{SERVED} --mode decode --ttft 1s", "--ttft decode alone has no first token"),
        (f"{SERVED} --mode prefill", "--tpot prefill alone has no time per output token"),
        (f"{SERVED} --mode aggregated --disaggregate", "--disaggregate prefill and decode apart are no such mode"),
        (f"{SERVED} --price $2/h --term spot", "--term goes without --price"),
        ("show models --in CN --headquarters CN", "--headquarters asks about chips"),
        ("show qwen3-8b --in CN --buyer G42", "--buyer asks about chips"),
        ("show prices --in CN --count 8", "--count asks about chips"),
        ("show h20 --headquarters CN", "--headquarters goes with --in"),
    ],
)
def test_a_flag_without_what_it_belongs_to(capsys: Captured, words: str, said: str) -> None:
    assert said in refused(words, capsys)


def test_all_of_them_are_told_at_once(capsys: Captured) -> None:
    told = refused(f"{TRAINED} --start 2026-01-01 --reward 30s --rollout-stale --lora-rank 8", capsys)
    assert "4 problems" in told and told.count("needs") == 4


ALONE = {
    "train": {
        "tokens", "seq", "global_batch", "precision", "task", "layout", "shard_group", "software", "routing",
        "framework", "optimizer", "moments", "master", "gradients", "offload", "loss_chunks", "no_compile", "price",
        "term", "place", "anchor", "rollout_tokens", "calibration",
    },
    "serve": {
        "isl", "osl", "ttft", "tpot", "ttft_p90", "ttft_p95", "ttft_p99", "tpot_p90", "tpot_p95", "tpot_p99", "rate",
        "concurrency", "cache_hit", "weights", "kv", "engine", "mode", "afd", "layout", "chunk", "speculate", "batch",
        "price", "term", "price_list", "power_share", "place", "anchor", "measured", "running", "memory_share", "eager",
        "slo", "stack", "calibration", "draft",
    },
    "elsewhere": {"prefill_layout", "ffn_layout", "micro_batches", "imbalance"},
}  # fmt: skip
"""Fields that mean something alone; those that hang on several fields or on the model, which are tested above."""


@pytest.mark.parametrize(("words", "table", "verb"), [(TrainWords, TRAIN, "train"), (ServeWords, SERVE, "serve")])
def test_every_field_stands_alone_or_belongs_to_another(
    words: type[TrainWords] | type[ServeWords], table: tuple[object, ...], verb: str
) -> None:
    """A new field must be put on one side."""
    optional = {field.name for field in fields(words) if field.default is not MISSING}
    held = {name for rule in (TRAIN if verb == "train" else SERVE) for name in rule.names}
    assert optional == held | ALONE[verb] | (ALONE["elsewhere"] & optional)
    assert not held & ALONE[verb]


def test_what_has_what_it_belongs_to_passes() -> None:
    words = TrainWords(
        on=("8xh20",), tokens="1T", move_to="8xh800", move_at="3 %", rollout_tokens="1B", rollout_on="8xh20",
        rollout_stale=True, reward="3s", task="lora", lora_rank="8", lora_on="attention", base="nf4", start="2026",
    )  # fmt: skip
    assert not [*astray(words, TRAIN)]
    assert not [*astray(ServeWords(on=("8xh20",), price_list="deepseek-r1", exchange_rate="7"), SERVE)]


@pytest.mark.parametrize(
    ("chip", "able", "unable"),
    [
        ("h20-96gb", ("bf16", "fp16", "fp8"), ("mxfp8", "nvfp4")),
        ("h100-sxm", ("fp8",), ("mxfp8", "nvfp4")),
        ("a100-sxm-80gb", ("bf16", "fp16"), ("fp8", "mxfp8", "nvfp4")),
        ("b200-sxm", ("fp8", "mxfp8", "nvfp4"), ()),
        ("mi300x", ("fp8",), ("mxfp8", "nvfp4")),
        ("mi355x", ("fp8", "mxfp8"), ("nvfp4",)),
        ("ascend-910c", ("bf16",), ("fp8", "mxfp8", "nvfp4")),
        ("ascend-950dt", ("fp8", "mxfp8"), ("nvfp4",)),
        ("tpu-v7", ("fp8",), ("mxfp8", "nvfp4")),
    ],
)
def test_formats_that_a_chip_multiplies(chip: str, able: tuple[str, ...], unable: tuple[str, ...]) -> None:
    known = accelerator(chip, CATALOG)
    assert [one for one in (*able, *unable) if unmultiplied(known, one)] == list(unable)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train qwen3-0.6b --on 8xh20-96gb --precision nvfp4", 'did you mean "fp8"'),
        ("train qwen3-0.6b --on 8xa100-sxm-80gb --precision fp8", 'did you mean "bf16"'),
        ("train qwen3-0.6b --on 8xh100-sxm --precision mxfp8", 'did you mean "fp8"'),
        (
            "train qwen3-0.6b --on 8xh100-sxm --on 8xa100-sxm-80gb --precision fp8",
            "--precision a100-sxm-80gb is not known to multiply fp8",
        ),
        (
            "train qwen3-0.6b --on 8xh100-sxm --precision fp8 --tokens 1B --move-to 8xa100-sxm-80gb --move-at 3%",
            "--precision a100-sxm-80gb is not known to multiply fp8",
        ),
    ],
)
def test_a_run_in_a_format_that_its_chip_does_not_multiply(capsys: Captured, words: str, said: str) -> None:
    assert said in refused(words, capsys)


def test_the_library_says_so_too() -> None:
    from tonnage.system import System

    system = System(accelerator("h20-96gb", CATALOG), 8)
    with pytest.raises(InputError, match="not known to multiply nvfp4"):
        plan(TrainJob(load("qwen3-0.6b", CATALOG), precision="nvfp4"), system)


def test_lawful_chips_that_do_not_train_in_a_format_are_said_to(capsys: Captured) -> None:
    assert run(shlex.split("lawful qwen3-0.6b --in CN --count 8 --precision nvfp4 --day 2026-06-01 --json")) in (0, 1)
    assert "is not known to multiply nvfp4" in capsys.readouterr().out
