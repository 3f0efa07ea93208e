"""Whole commands of searched plans: accepted by the engines' own flags, and what the engines would refuse is found."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tonnage import catalog
from tonnage.errors import InputError
from tonnage.export import launch, launches
from tonnage.export.accepted import parsed, table
from tonnage.layout import Layout
from tonnage.model import load
from tonnage.serve import Instance, ServeJob, Speculation, plan
from tonnage.system import System, accelerator

PATH = Path(__file__).parents[2] / "scripts" / "launch_lines.py"
spec = importlib.util.spec_from_file_location("launch_lines", PATH)
assert spec is not None and spec.loader is not None
checks = importlib.util.module_from_spec(spec)
sys.modules["launch_lines"] = checks
spec.loader.exec_module(checks)

CATALOG = catalog.load()
SOME = checks.cases()[3::19]
"""Eleven of the 200 cases: of both engines, all three limits, with drafts and without."""

ONE = Instance(
    "decode",
    "h200-sxm",
    "cuda",
    "sglang",
    Layout(tp=2, dp=12, ep=24),
    1,
    "fp8",
    "bf16",
    300.0,
    drafts=1,
    own_layers=True,
    model="deepseek-ai/DeepSeek-R1",
    context=8192,
    experts=256,
    server=8,
    generation="hopper",
    whole=24,
)
"""24 ranks on 3 servers, 256 experts: 8 copies."""


@pytest.mark.parametrize("case", SOME, ids=lambda case: f"{case[0]} on {case[1][0]}x{case[1][1]}, {case[2]}")
def test_the_commands_of_a_searched_plan_are_accepted_and_start(case: tuple[str, tuple[int, str], str, int]) -> None:
    found = checks.searched(case)
    assert found.outcome.feasible and launches(found)
    assert checks.broken(found) == []


def test_the_sample_has_every_kind() -> None:
    assert {case[2] for case in SOME} == {"sglang", "vllm"} and {case[3] % 3 for case in SOME} == {0, 1, 2}
    assert len({case[0] for case in SOME}) >= 8 and len(checks.cases()) == 200


@pytest.mark.parametrize(
    ("engine", "flags"),
    [
        ("sglang", "--model-path x --no-such-flag 1"),
        ("sglang", "--model-path x --tp-size four"),
        ("sglang", "--model-path x --moe-a2a-backend pigeon"),
        ("sglang", "--model-path x --disaggregation-mode both"),
        ("sglang", "--model-path x --tp-si 4"),
        ("vllm", "x --tensor-parallel-size 1.5"),
        ("vllm", "x --all2all-backend deepep"),
        ("vllm", """x --eplb-config '{"redundant": 3}'"""),
        ("vllm", """x --kv-transfer-config '{"kv_connector": 1'"""),
        ("vllm", "x --headless yes no"),
    ],
)
def test_what_an_engine_would_not_take_is_not_taken(engine: str, flags: str) -> None:
    with pytest.raises(InputError):
        parsed(engine, flags)


def test_tables_say_which_release_they_are_of() -> None:
    for engine in ("sglang", "vllm", "vllm-ascend"):
        one = table(engine)
        assert one.version and one.released >= "2026-10" and "wheel" in one.source and len(one.flags) > 250


def test_a_command_has_servers_copies_of_experts_exchange_and_drafts() -> None:
    row = launch(ONE)
    assert row.nodes == 3 and [where for where, _ in row.commands] == ["each server"]
    ((_, command),) = row.commands
    assert row.flags is not None
    args = parsed("sglang", checks.said(row.flags))
    assert (args.tp_size, args.dp_size, args.ep_size, args.nnodes, args.node_rank) == (24, 12, 24, 3, 0)
    assert args.ep_num_redundant_experts == 8 and args.ep_dispatch_algorithm == "dynamic"
    assert (args.moe_a2a_backend, args.deepep_mode) == ("deepep", "low_latency")
    assert args.disaggregation_mode == "decode" and args.speculative_num_draft_tokens == 2
    assert "$HEAD_ADDR" in command and "--node-rank $NODE_RANK" in command
    assert parsed("sglang", checks.said(command)).node_rank == 1
    assert command.startswith("SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK=300 ")  # 300 x 2 tokens over tp 2
    assert row.why is not None and "8 redundant experts" in row.why and "$HEAD_ADDR" in row.why


def test_the_exchange_follows_what_a_pool_does() -> None:
    def mode(one: Instance) -> str:
        return str(parsed("sglang", checks.said(launch(one).commands[0][1])).deepep_mode)

    assert mode(replace(ONE, role="prefill", running=None, chunk=4096)) == "normal"
    assert mode(replace(ONE, role="serve", chunk=4096)) == "auto"
    assert mode(replace(ONE, running=2000.0)) == "normal"  # more tokens than the kernels of few send
    alone = launch(replace(ONE, layout=Layout(tp=8, ep=8)))
    assert alone.flags is not None and "a2a" not in alone.flags  # one replica has nobody to send to
    old = launch(replace(ONE, generation="ampere", chip="a100-sxm-80gb"))
    assert old.flags is not None and "a2a" not in old.flags


def test_vllm_on_several_servers_has_whole_replicas_on_each_or_one_over_all() -> None:
    own = replace(ONE, engine="vllm", layout=Layout(tp=2, dp=12, ep=24))
    row = launch(own)
    first, other = (parsed("vllm", checks.said(command)) for _, command in row.commands)
    assert first.data_parallel_size == 12 and first.data_parallel_size_local == 4 and not first.headless
    assert first.data_parallel_address == "10.0.0.1" and first.data_parallel_start_rank is None
    assert other.headless and other.data_parallel_start_rank == 4
    assert first.eplb_config == {"num_redundant_experts": 8} and first.enable_eplb
    assert first.all2all_backend == "deepep_low_latency"
    row = launch(replace(own, layout=Layout(tp=16), experts=0, whole=16, drafts=0))
    first, other = (parsed("vllm", checks.said(command)) for _, command in row.commands)
    assert (first.nnodes, first.node_rank, first.master_addr) == (2, 0, "10.0.0.1") and not first.headless
    assert other.node_rank == 1 and other.headless


def test_each_rule_that_a_line_can_break_is_seen() -> None:
    def rules(one: Instance, flags: str) -> list[str]:
        found = checks._sglang if one.engine == "sglang" else checks._vllm
        return list(found(one, parsed(one.engine, flags)))

    good = checks.said(launch(ONE).commands[0][1])
    assert rules(ONE, good) == []
    assert rules(ONE, good.replace("--ep-num-redundant-experts 8", "")) == ["num_physical_experts % ep_size"]
    assert "pipeline with drafts" in rules(ONE, good + " --pp-size 2")
    assert rules(ONE, good.replace("--nnodes 3", "--nnodes 5"))[0] == "(tp_size * pp_size) % nnodes"
    assert rules(ONE, good.replace("--nnodes 3", "--nnodes 2")) == ["more ranks than the servers have"]
    other = replace(ONE, engine="vllm")
    good = checks.said(launch(other).commands[0][1])
    assert rules(other, good) == []
    assert rules(other, good.replace("--enable-eplb ", "")) == ["redundant experts without EPLB"]
    assert "pipeline with drafts" in rules(other, good + " --pipeline-parallel-size 2")


def test_both_pools_draft_and_say_how_the_cache_goes() -> None:
    r1 = load("deepseek-r1", CATALOG)
    job = ServeJob(r1, 4096.0, 1024.0, tpot=0.02, mode="disaggregated", speculative=Speculation(1.0, 0.85))
    found = plan(job, System(accelerator("h200", CATALOG), 32))
    rows = {row.role: row for row in launches(found)}
    assert set(rows) == {"prefill", "decode"}
    for row in rows.values():
        assert row.flags is not None and "--speculative-algorithm EAGLE" in row.flags
        assert "--disaggregation-transfer-backend mooncake" in row.flags and "--pp-size" not in row.flags
        assert "--model-path deepseek-ai/DeepSeek-R1" in row.flags and "--context-length 5120" in row.flags


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_another_format_is_made_while_loading_or_needs_its_own_checkpoint(engine: str) -> None:
    llama, h200 = load("llama-3.1-8b", CATALOG), System(accelerator("h200", CATALOG), 1)
    rows = {
        weights: launches(plan(ServeJob(llama, 1024.0, 256.0, tpot=0.05, engine=engine, weights=weights), h200))[0]
        for weights in ("bf16", "fp8", "w4a16")
    }
    assert "--quantization" not in (rows["bf16"].flags or "--quantization")
    assert "--quantization fp8" in (rows["fp8"].flags or "")
    own = rows["w4a16"]
    assert "$MODEL" in own.commands[0][1] and own.why is not None and "w4a16" in own.why
    assert "$MODEL" not in rows["fp8"].commands[0][1]


def test_a_910c_is_two_ranks_and_says_so() -> None:
    found = plan(
        ServeJob(load("qwen3-8b", CATALOG), 1024.0, 256.0, tpot=0.05), System(accelerator("ascend-910c", CATALOG), 16)
    )
    rows = launches(found)
    assert all(row.why is not None and "one accelerator is 2 ranks" in row.why for row in rows)
    assert all(one.server == 16 and one.dies == 2 for one in found.instances)


def test_trtllm_is_told_slots_and_starts_one_job_over_all_servers() -> None:
    row = launch(replace(ONE, engine="trtllm", layout=Layout(tp=1, dp=24, ep=24)))
    assert row.flags is not None and '"num_slots": 264' in row.flags
    ((where, command),) = row.commands
    assert where == "once for all servers" and shlex.split(command)[:5] == ["mpirun", "-n", "24", "-npernode", "8"]
