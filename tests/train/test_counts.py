"""Any count of accelerators: the best subset works, the rest are spares, and more of them never train slower."""

from __future__ import annotations

import functools
import json
import math
import shlex

import pytest

from tonnage import catalog
from tonnage.cli import run
from tonnage.layout import parse_layout
from tonnage.model import load
from tonnage.system import System, accelerator
from tonnage.train import TrainJob, TrainPlan, nearby, plan, plan_again, predict
from tonnage.train.evidence import UNPROVEN
from tonnage.train.goodput import goodput
from tonnage.train.pieces import expert_count
from tonnage.train.search import TIGHT

CATALOG = catalog.load()


@functools.cache
def job(model: str, batch: int, seq: int = 4096, tokens: float | None = None) -> TrainJob:
    return TrainJob(load(model, CATALOG), seq, batch, tokens)


@functools.cache
def planned(model: str, batch: int, chip: str, count: int, layout: str = "", seq: int = 4096) -> TrainPlan:
    return plan(job(model, batch, seq), System(accelerator(chip, CATALOG), count), parse_layout(layout))


def value(found: TrainPlan) -> float:
    """What the search ranks by: seconds of a step with the doubt of its schedule and of its memory; infinite where
    nothing fits.
    """
    if found.run is None or found.layout is None or not found.outcome.feasible:
        return math.inf
    tight = TIGHT if found.run.memory.high > found.run.memory.capacity else 1.0
    return tight * found.run.step_time.value * math.exp(UNPROVEN.get(int(found.layout.schedule), 0.0))


def rate(found: TrainPlan) -> float:
    assert found.outcome.feasible and found.whole_rate is not None
    return found.whole_rate


V3 = ("deepseek-v3", 15360, "h800-sxm")


@pytest.mark.parametrize("count", [5000, 7000, 10_000, 20_000, 50_000, 99_328])
def test_counts_that_no_layout_divides_train_on_most_of_their_accelerators(count: int) -> None:
    found = planned(*V3, count)
    assert found.outcome.feasible and found.used and found.unused
    assert found.used + found.unused == count
    assert found.used > 0.9 * count
    assert found.layout is not None and found.layout.ranks == found.used


def test_100_000_h100_train_llama_405b() -> None:
    found = planned("llama-3.1-405b", 16384, "h100-sxm", 100_000)
    assert found.outcome.feasible and found.used == 98_304


def test_a_few_more_accelerators_do_no_harm() -> None:
    assert rate(planned(*V3, 2100)) == pytest.approx(rate(planned(*V3, 2048)))
    assert rate(planned(*V3, 100_352)) >= rate(planned(*V3, 98_304))
    assert planned(*V3, 2100).used == 2048 and planned(*V3, 2048).unused == 0


COUNTS = sorted(
    {int(8 * 1.6**k) for k in range(22)} | {2**k for k in (5, 8, 11, 14, 17)} | {2**k + 1 for k in (8, 11, 17)}
)


@pytest.mark.parametrize(
    ("model", "batch", "chip"),
    [V3, ("llama-3.1-405b", 2048, "h100-sxm"), ("llama-3.1-8b", 1000, "h100-sxm"), ("qwen3-30b-a3b", 777, "h20")],
)
def test_throughput_never_falls_as_accelerators_are_added(model: str, batch: int, chip: str) -> None:
    """Up to the doubt of a schedule that hardly any run validates, by which a search prefers a proven one."""
    values = [value(planned(model, batch, chip, count)) for count in COUNTS]
    for before, after, count in zip(values, values[1:], COUNTS[1:], strict=False):
        assert after <= before * (1 + 1e-12), count
    assert values[-1] < values[-10] < math.inf, "and rises"


@pytest.mark.parametrize(
    ("model", "batch", "chip", "most"),
    [("llama-3.1-8b", 48, "h100-sxm", 40), ("qwen3-30b-a3b", 60, "h800-sxm", 30)],
)
def test_the_subset_is_the_best_of_all_smaller_counts(model: str, batch: int, chip: str, most: int) -> None:
    """Against every smaller count planned with all of its accelerators at work, as `predict` does, one by one."""
    best = math.inf
    for count in range(1, most + 1):
        system = System(accelerator(chip, CATALOG), count)
        alone = plan(job(model, batch), system)
        whole = _all_at_work(model, batch, system)
        best = min(best, whole)
        assert value(alone) == pytest.approx(best, rel=1e-12), count


def _all_at_work(model: str, batch: int, system: System) -> float:
    from tonnage.train.search import _search

    found = _search(job(model, batch), system, {}, whole=True)
    return found.layouts[0][0] if found.layouts else math.inf


def test_rates_are_over_all_mfu_and_goodput_of_those_that_work_and_all_are_paid() -> None:
    system = System(accelerator("h100-sxm", CATALOG), 60)
    found = plan(job("llama-3.1-8b", 1024, 4096, 1e12), system, price=2 / 3600)
    assert found.run is not None and found.bill is not None and found.wall_time is not None and found.used == 56
    assert found.run.tokens_per_second * 60 * found.run.step_time.value == pytest.approx(1024 * 4096)
    alone = plan(job("llama-3.1-8b", 1024, 4096, 1e12), System(system.accelerator, 56))
    assert alone.layout == found.layout and found.mfu == pytest.approx(alone.mfu)
    assert found.goodput == goodput(System(system.accelerator, 56))
    assert (
        found.duration is not None
        and alone.duration is not None
        and found.duration.time.value == pytest.approx(alone.duration.time.value)
    )
    assert found.bill.accelerator_hours == pytest.approx(60 * found.wall_time.value / 3600)
    assert found.bill.cost == pytest.approx(2 * found.bill.accelerator_hours)


def test_two_dies_are_two_ranks_of_one_accelerator() -> None:
    found = planned("llama-3.1-8b", 1000, "ascend-910c", 7)
    assert found.layout is not None and found.used == -(-found.layout.ranks // 2) <= 7


def test_a_pinned_layout_of_fewer_ranks_leaves_the_rest_as_spares() -> None:
    found = planned("llama-3.1-8b", 1024, "h100-sxm", 64, "tp2,pp2,cp1,dp8")
    assert (found.used, found.unused) == (32, 32)
    same = planned("llama-3.1-8b", 1024, "h100-sxm", 32, "tp2,pp2,cp1,dp8")
    assert same.layout == found.layout and rate(same) == pytest.approx(rate(found))


def test_a_pinned_layout_of_more_ranks_says_what_binds() -> None:
    found = planned("llama-3.1-8b", 1024, "h100-sxm", 64, "tp2,pp4,dp16")
    assert found.outcome.binds[0].text == "tp2,pp4,dp16 is 128 ranks, the system has 64"
    assert found.outcome.binds[0].lift == "use 128 ranks, or dp8"
    assert found.used is None and found.unused is None and found.whole_rate is None


def test_a_published_run_used_all_of_its_chips() -> None:
    assert not predict(job("deepseek-v3", 15360), System(accelerator("h800-sxm", CATALOG), 10_000)).outcome.feasible


def test_near_counts_and_batches_are_named_where_they_pay() -> None:
    asked = ("deepseek-v3", 14_000, "h800-sxm")
    found = planned(*asked, 2000)
    each = found.run and found.run.tokens_per_second
    near = {one.what: one for one in nearby(found)}
    assert near["count"].value == near["count"].used == 2048
    assert each and all(one.tokens_per_second > 1.02 * each for one in near.values())
    assert near["count"].tokens_per_second * 2048 == pytest.approx(rate(planned(*asked, 2048)))
    batch = near["global_batch"].value
    assert abs(batch / 14_000 - 1) <= 0.1
    again = planned("deepseek-v3", batch, "h800-sxm", 2000)
    assert again.used == near["global_batch"].used
    assert nearby(planned(*V3, 2048)) == ()


def test_a_plan_with_spares_comes_back_from_its_json() -> None:
    found = planned("llama-3.1-8b", 1024, "h100-sxm", 60)
    body = json.loads(json.dumps(found.to_json()))
    assert (body["used"], body["unused"]) == (56, 4)
    assert body["tokens_per_second"] == pytest.approx(60 * body["tokens_per_second_per_accelerator"])
    assert plan_again(TrainPlan.from_json(body)) == found


def test_experts_beside_a_dense_network_are_counted_and_cut() -> None:
    both = job("gemma-4-26b-a4b", 1024)
    assert expert_count(both) == 128 and expert_count(job("llama-3.1-8b", 1024)) == 0
    found = planned("gemma-4-26b-a4b", 1024, "h100-sxm", 64)
    assert found.layout is not None and found.layout.ep > 1


def test_the_answer_says_how_many_work_and_what_would_use_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "deepseek-v3", "--on", "2000xh800-sxm", "--global-batch", "14000", "--tokens", "1T"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("DeepSeek-V3 on 1,792 of 2,000 H800")
    assert "uses 1,792 of 2,000 accelerators, 1,188 tokens/s each; 208 are spares" in said
    assert "spares beside it (what is left over is enough)" in said
    assert "accelerator-hours of all 2,000" in said
    assert "of 2,048 accelerators all would work, 1,178 tokens/s per accelerator (+11%); with --global-batch" in said


@pytest.mark.parametrize(
    "words",
    [
        "train llama-3.1-405b --on 1024xh100-sxm --layout tp8,pp16,dp12",
        "train llama-3.1-405b --on 64xh100-sxm --layout tp8,pp8",
        "train llama-3.1-70b --on 64xh100-sxm --layout tp1,pp1,zero1,recompute=none",
        "train llama-3.1-405b --on 64xh100-sxm",
    ],
)
def test_the_hint_of_what_cannot_be_is_another_command_that_works(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words.split()) == 1
    _, _, hint = " ".join(capsys.readouterr().out.split()).rpartition("hint: ")
    command = shlex.split(hint.removesuffix(" fits"))
    assert hint.endswith(" fits") and command[0] == "tonnage" and command[1:] != words.split()
    assert run(command[1:]) == 0


def test_a_mixed_fleet_of_a_count_that_does_not_divide(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "llama-3.1-8b", "--on", "61xh800", "--on", "64xh100-sxm", "--global-batch", "512"]
    assert run([*words, "--json"]) == 0
    parts = json.loads(capsys.readouterr().out)["parts"]
    assert parts[0]["used"] < 61 and parts[1]["used"] == 64
    assert run(words) == 0
    assert f"{parts[0]['used']} of 61 x h800-sxm" in capsys.readouterr().out
