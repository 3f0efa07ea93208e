"""Engines by version: rules as data with sources, the newest named where none is asked for."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from tonnage import catalog
from tonnage.ask.fit import FitWords, plan_asked, read
from tonnage.errors import InputError
from tonnage.export.flags import launches
from tonnage.model import load
from tonnage.serve import Deployment, ServeJob, fit, plan, predict
from tonnage.serve.as_run.deployment import Pool
from tonnage.serve.replica.engines import ENGINES, engine
from tonnage.serve.replica.memory import graphs, running_most, usual_step
from tonnage.system import System, accelerator, per_die

CATALOG = catalog.load()


def test_without_a_version_the_newest_known_is_used_and_named() -> None:
    assert engine("vllm").rules == f"vllm {ENGINES['vllm'].newest} rules"
    assert engine(None, "cuda").rules.startswith("sglang ")
    found = fit(load("llama-3.1-8b", CATALOG), System(accelerator("h100-sxm", CATALOG), 1), engine_name="vllm")
    assert found.engine == "vllm" and found.engine_rules == engine("vllm").rules


def test_rules_before_a_version_are_those_of_then() -> None:
    assert engine("vllm@0.15.1").sampled == 38.4 and engine("vllm@0.16").sampled == 22.0
    assert engine("vllm@0.25.1").flight == 1 and engine("vllm@0.26").flight == 2
    assert engine("vllm@0.20.2").memory_share == 0.9 and engine("vllm@v0.21.0").memory_share == 0.92
    assert engine("vllm@0.20").graphs == 0 < engine("vllm@0.21").graphs
    assert engine("vllm@0.7.3").running == 256 and engine("vllm@0.8").running == 1024
    assert engine("sglang@0.5.9").tails == "tokens" and engine("sglang@0.5.15").tails == "sequences"


def test_versions_compare_by_number() -> None:
    assert engine("vllm@0.9.2").sampled == engine("vllm@0.11").sampled != engine("vllm@0.100").sampled


def test_a_version_that_is_newer_than_known_has_the_newest_rules_and_says_so() -> None:
    found = engine("vllm@9.1")
    assert "newest known" in found.rules and "9.1 is newer" in found.rules
    assert replace(found, version="") == engine("vllm")


@pytest.mark.parametrize(
    ("text", "near"), [("vllm@nine", "vllm@"), ("vllm@", "vllm@"), ("vlm@0.11", "vllm"), ("atom@0.1", "atom")]
)
def test_what_is_no_version_names_the_nearest(text: str, near: str) -> None:
    with pytest.raises(InputError) as caught:
        engine(text)
    problem = caught.value.problems[0]
    assert problem.path == "engine" or problem.message
    assert problem.suggestion is not None and problem.suggestion.startswith(near)


def test_a_day_gives_the_rules_of_then_unless_a_version_is_said() -> None:
    day = datetime.date(2025, 10, 1)
    assert engine("vllm", date=day).sampled == 38.4
    assert engine("vllm", date=day).rules == "vllm before 0.16 rules"
    assert engine("vllm@0.26", date=day).sampled == 22.0
    assert engine("vllm", date=datetime.date(2026, 11, 1)).rules == engine("vllm").rules


def test_every_rule_has_a_source_and_changes_fields_that_there_are() -> None:
    for one in ENGINES.values():
        for rule in one.before:
            assert rule.source and rule.changes
            assert all(getattr(one, name) is not None for name in rule.changes)


def test_gpt_oss_120b_does_not_start_on_one_h100_until_the_sampler_no_longer_sorts() -> None:
    """-2.14 GiB in 0.10 (vLLM issue 23278), out of memory in 0.14.1 (33155); the newest starts."""
    arch, system = load("openai/gpt-oss-120b", CATALOG), System(accelerator("h100-sxm", CATALOG), 1)
    fits = {v: fit(arch, system, engine_name=f"vllm@{v}").outcome.feasible for v in ("0.10", "0.14.1", "0.16", "0.28")}
    assert fits == {"0.10": False, "0.14.1": False, "0.16": True, "0.28": True}
    no = fit(arch, system, engine_name="vllm@0.10", memory_share=0.9)
    assert no.engine_rules == "vllm 0.10 rules"


def test_defaults_go_by_the_size_of_the_chip() -> None:
    """`EngineArgs.get_batch_defaults`: 256 sequences and steps of 2,048 below 70 GiB and on the A100, else 1,024 and
    8,192; SGLang's chunk by memory."""
    arch = load("meta-llama/Llama-3.1-8B", CATALOG)
    small, a100, large = (per_die(accelerator(n, CATALOG)) for n in ("rtx-4090", "a100-sxm-80gb", "h100-sxm"))
    vllm = engine("vllm")
    assert [usual_step(vllm, die) for die in (small, a100, large)] == [2048, 2048, 8192]
    assert [running_most(arch, vllm, die) for die in (small, a100, large)] == [256, 256, 1024]
    assert usual_step(engine("sglang"), small) == 4096 and usual_step(engine("sglang"), large) == 8192


def test_sglang_runs_48_with_drafts_and_256_of_a_compressed_cache_unless_told() -> None:
    die, sglang = per_die(accelerator("h200-sxm", CATALOG)), engine("sglang")
    r1, v4 = load("deepseek-r1", CATALOG), load("deepseek-v4-flash", CATALOG)
    assert running_most(r1, sglang, die, 3.0) == 48 and running_most(r1, sglang, die) == 2048
    assert running_most(v4, sglang, die) == 256
    assert running_most(v4, sglang.told(running=700), die, 3.0) == 700


def test_graphs_are_counted_as_they_are_captured() -> None:
    """51 with prefill and 35 of decode alone at 256 sequences (vLLM pull request 39559)."""
    assert graphs(256) == 51 + 35
    assert graphs(1024) == 51 + 51
    arch, system = load("meta-llama/Llama-3.1-8B", CATALOG), System(accelerator("h100-sxm", CATALOG), 1)
    with_graphs, eager = (fit(arch, system, engine_name="vllm", eager=flag) for flag in (False, True))
    assert eager.memory.kv_cache - with_graphs.memory.kv_cache == pytest.approx(102 * 20 * 2**20)


def test_smaller_steps_and_fewer_sequences_leave_more_room_for_the_cache() -> None:
    arch = load("meta-llama/Llama-3.1-8B", CATALOG)
    small, large = (System(accelerator(name, CATALOG), 1) for name in ("rtx-4090", "h100-sxm"))
    rooms = [fit(arch, small, engine_name="vllm", chunk=chunk).cached_tokens for chunk in (2048, 8192, 32768)]
    assert rooms == sorted(rooms, reverse=True) and rooms[0] > rooms[2]
    rooms = [fit(arch, large, engine_name="vllm", running=running).cached_tokens for running in (256, 1024, 2048)]
    assert rooms == sorted(rooms, reverse=True) and rooms[0] > rooms[2]


def test_what_the_user_says_is_followed_in_memory_flags_and_speed() -> None:
    job = ServeJob(load("meta-llama/Llama-3.1-8B", CATALOG), isl=1000, osl=200, engine="vllm@0.20")
    system = System(accelerator("h100-sxm", CATALOG), 1)
    usual, told = plan(job, system), plan(replace(job, running=8, eager=True, memory_share=0.6, chunk=1024), system)
    flags = launches(told)[0].flags
    assert flags is not None
    for word in (
        "--max-num-seqs 8",
        "--enforce-eager",
        "--gpu-memory-utilization 0.6",
        "--max-num-batched-tokens 1024",
    ):
        assert word in flags
    assert usual.memory is not None and told.memory is not None
    assert told.memory.total < 0.61 * told.memory.reported
    assert told.engine_rules == "vllm 0.20 rules"
    one = replace(job, concurrency=1.0)
    small = load("Qwen/Qwen3-0.6B", CATALOG)
    fast, slow = (plan(replace(one, arch=small, eager=flag), system).tpot for flag in (False, True))
    assert fast is not None and slow is not None and slow.value > 1.3 * fast.value


def test_a_question_in_words_takes_a_version_and_the_engine_s_settings() -> None:
    words = FitWords(
        on="1xh100-sxm", engine="vllm@0.11", chunk="2k", running="64", memory_share="0.8", eager=True, context="4k"
    )
    found = plan_asked("llama-3.1-8b", read(words), CATALOG)
    assert found.engine_rules == "vllm 0.11 rules" and found.max_running == 64
    assert found.max_batch == 64  # memory holds more
    assert found.memory.total < 0.81 * found.memory.reported


def test_memory_rules_and_flags_are_of_one_release() -> None:
    for name in ("vllm", "sglang", "vllm-ascend"):
        one = engine(name)
        assert one.newest == one.can.version, name
        assert one.rules == f"{name} {one.can.version} rules"


def test_vllm_takes_more_new_tokens_a_step_on_160_gib_and_a_gb10_is_small() -> None:
    """`EngineArgs.get_batch_defaults` of 0.27, 0.28 and 0.33."""
    chips = {name: per_die(accelerator(name, CATALOG)) for name in ("b200-sxm", "h200-sxm", "dgx-spark", "rtx-4090")}
    steps = {
        version: [usual_step(engine(f"vllm@{version}"), chips[name]) for name in chips]
        for version in ("0.27", "0.28", "0.33")
    }
    assert steps == {
        "0.27": [8192, 8192, 8192, 2048],
        "0.28": [16384, 8192, 8192, 2048],
        "0.33": [16384, 8192, 2048, 2048],
    }
    assert usual_step(engine("vllm").told(4096), chips["b200-sxm"]) == 4096


def test_steps_with_prompts_are_launched_by_the_host_before_they_were_captured() -> None:
    """SGLang 0.5.10 captures them (2026-04-06); a run without a version has what its day had."""
    assert engine("sglang@0.5.9").launched and not engine("sglang@0.5.10").launched and not engine("sglang").launched
    assert engine("sglang", date=datetime.date(2026, 3, 1)).launched
    usual = Deployment(
        "one",
        load("deepseek-r1", CATALOG),
        accelerator("h200-sxm", CATALOG),
        "aggregated",
        Pool(8, tp=8),
        1000.0,
        1000.0,
        concurrency=8.0,
        weights="fp8",
        engine="sglang",
    )
    first = [
        one.ttft.value
        for one in predict([replace(usual, date=day) for day in (None, "2026-04", "2026-03", "2025")])
        if one.ttft is not None
    ]
    assert first[0] == first[1] and first[2] == first[3] > first[0] + 0.05
    long = [
        one.ttft.value for one in predict([replace(usual, isl=16e3, date=day) for day in (None, "2025")]) if one.ttft
    ]
    assert long[1] == pytest.approx(long[0], rel=0.05)
