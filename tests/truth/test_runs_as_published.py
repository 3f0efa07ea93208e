"""What a published row says of its run: how requests came, their lengths, the engine, whose experts."""

from __future__ import annotations

from typing import Any

import pytest

from tonnage import catalog
from tonnage.serve import Deployment, predict
from tonnage.truth.cases import DATA
from tonnage.truth.score import Prediction, vote
from tonnage.truth.serving import figures, serving_case
from tonnage.truth.shapes import Library
from tonnage.truth.table import read_table

LIBRARY = Library(catalog.load())


def case(**changed: Any) -> Deployment:
    """A row with some of its keys changed; `workload__x` reaches into the workload, `layout__x` into the layout."""
    row: dict[str, Any] = {
        "id": "one",
        "group": "somebody",
        "model": "deepseek-ai/DeepSeek-V3",
        "chip": "h200-sxm",
        "count": 8,
        "mode": "aggregated",
        "engine": "vllm",
        "layout": {"tp": 8},
        "workload": {"input_len": 200, "output_len": 100, "concurrency": 10, "arrival": "closed-loop"},
        "metrics": {"output_tokens_per_second_per_accelerator": 100.0},
    }
    for name, value in changed.items():
        part, _, key = name.partition("__")
        if key:
            row[part] = {**row[part], key: value}
        else:
            row[part] = value
    return serving_case(row, LIBRARY)


@pytest.mark.parametrize(
    ("workload", "finite"),
    [
        ({"arrival": "all-at-once", "num_requests": 500}, True),
        ({"arrival": "offline", "length_distribution": "fixed", "concurrency": "saturated"}, True),
        ({"arrival": "offline", "length_distribution": "dataset", "concurrency": "saturated"}, False),
        ({"arrival": "closed-loop"}, False),
        ({"arrival": "closed-loop", "num_requests": 400, "concurrency": 1000}, True),
        ({"arrival": "closed-loop", "num_requests": 2000, "concurrency": 1000}, False),
        ({"arrival": "closed-loop", "num_requests": 1, "concurrency": 1}, False),
        ({"arrival": "poisson", "request_rate": 2.0}, False),
    ],
)
def test_how_requests_came(workload: dict[str, Any], finite: bool) -> None:
    assert case(workload={"input_len": 200, "output_len": 100, "concurrency": 10} | workload).at_once is finite


@pytest.mark.parametrize(
    ("distribution", "dataset", "spread"),
    [
        ("dataset", "ShareGPT", "exponential"),
        ("dataset", None, "fixed"),
        ("random-ratio", None, "uniform"),
        ("fixed", None, "fixed"),
        (None, None, "fixed"),
    ],
)
def test_how_lengths_vary(distribution: str | None, dataset: str | None, spread: str) -> None:
    assert case(workload__length_distribution=distribution, workload__dataset=dataset).spread == spread


def test_limits_and_stack_of_the_row_are_used() -> None:
    told = case(workload__max_num_seqs=32, workload__max_num_batched_tokens=4096, flags=["default_untuned", "eager"])
    assert (told.running, told.chunk, told.stack, told.eager) == (32, 4096, "default", True)
    plain = case()
    assert (plain.running, plain.chunk, plain.stack, plain.eager) == (None, None, None, False)


@pytest.mark.parametrize(
    ("more", "engine"),
    [
        ({"engine_version": "0.11.0"}, "vllm@0.11.0"),
        ({"engine_version": "0.8.5.post1"}, "vllm@0.8.5.post1"),
        ({"engine_version": "0.1.dev12777"}, "vllm"),
        ({"engine_version": "main 2025-07"}, "vllm"),
        ({"engine_version": "0.8.1.post3", "orchestrator": "dynamo"}, "vllm"),
        ({}, "vllm"),
        ({"engine": "nobody knows it", "engine_version": "1.0"}, None),
    ],
)
def test_the_engine_is_of_the_version_that_is_stated(more: dict[str, Any], engine: str | None) -> None:
    assert case(**more).engine == engine


def test_attention_in_data_parallel_shares_one_set_of_experts() -> None:
    """Where nothing is said of them they lie over all ranks, else as is said; replicas have their own."""
    assert case(layout={"tp": 1, "dp": 8}).pool.ep == 8
    assert case(layout={"tp": 2, "dp": 4}).pool.ep == 8
    assert case(layout={"tp": 1, "dp": 8, "ep": 4}).pool.ep == 4
    assert case(layout={"tp": 4, "replicas": 2}).pool.ep is None and case().pool.ep is None


def test_a_source_of_one_cluster_has_a_third_of_a_vote() -> None:
    def rows(group: str, clusters: int) -> list[Prediction]:
        return [Prediction(f"{group}{i}", group, "m", 100.0, 110.0, cluster=(str(i % clusters),)) for i in range(12)]

    weights = vote(rows("narrow", 1) + rows("broad", 4))
    assert weights[12:].sum() == pytest.approx(3 * weights[:12].sum()) and weights.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("more", "steps"),
    [
        ({"workload__concurrency": 8}, 10),
        ({"workload__concurrency": 16}, 30),
        ({"weights": "bf16"}, None),
        ({"chip": "h200-sxm"}, None),
        ({"engine": "vllm"}, None),
        ({"group": "somebody"}, None),
        ({"group": "somebody", "workload__scheduler_recv_interval": 7}, 7),
    ],
)
def test_looks_are_those_of_the_launch_script(more: dict[str, Any], steps: int | None) -> None:
    """InferenceX's `dsr1_fp4_b200.sh` sets `--scheduler-recv-interval` 10, and 30 from 16 in flight on."""
    usual: dict[str, Any] = {"group": "inferencex", "engine": "sglang", "chip": "b200-sxm", "weights": "fp4"}
    assert case(**(usual | {"model": "deepseek-ai/DeepSeek-R1"} | more)).looks == steps


def test_prefixes_are_kept_but_where_a_script_says_no() -> None:
    assert case().prefixes and case(group="inferencex").prefixes
    assert (
        not case(group="inferencex", engine="sglang").prefixes
        and not case(group="aic-inferencex", engine="sglang").prefixes
    )


def test_each_line_of_the_recipes_is_of_somebody_and_has_a_source() -> None:
    lines = list(read_table(DATA / "recipes.csv"))
    assert len(lines) > 5 and all(line["source"].startswith("github.com/") for line in lines)
    settings = {"looks", "prefixes", "share", "running", "chunk", "prompts", "drafted", "accepted"}
    assert all(settings & set(line) for line in lines)


@pytest.mark.parametrize(
    ("clients", "told"),
    [(16, (None, None, 0.8, 64, 5)), (64, (80, 32768, 0.85, 128, 1)), (1024, (256, 8192, 0.85, 2048, 0))],
)
def test_a_launch_script_says_what_a_run_was_told(clients: int, told: tuple[object, ...]) -> None:
    """SGLang's cookbook has three sets of flags for GLM-5.2 on B200, by load; rows that say more keep it."""
    usual: dict[str, Any] = {"group": "sglang-cookbook", "engine": "sglang", "chip": "b200-sxm", "weights": "fp8"}
    usual |= {"model": "zai-org/GLM-5.2", "workload__concurrency": clients, "workload__arrival": "closed-loop"}
    found = case(**usual)
    assert (found.running, found.chunk, found.share, found.requests, found.drafts) == told
    assert case(**usual, workload__num_requests=7).requests == 7
    assert case(**usual, workload__speculative={"method": "none"}).drafts == 0
    assert case(**(usual | {"group": "somebody"})).share is None


def test_the_share_of_memory_that_an_engine_was_told_decides_its_room() -> None:
    usual: dict[str, Any] = {"group": "sglang-cookbook", "engine": "sglang", "chip": "h200-sxm", "weights": "bf16"}
    usual |= {"model": "Qwen/Qwen3.6-35B-A3B", "workload__concurrency": 4096, "layout": {"tp": 1}, "count": 1}
    told, room = case(**usual), case(**(usual | {"group": "somebody"}))
    assert told.share == 0.8 and room.share is None
    rates = [one.output_rate.value for one in predict([told, room]) if one.output_rate is not None]
    assert rates[0] < 0.98 * rates[1]


def test_a_pass_mark_is_told_from_what_was_measured() -> None:
    row = {"id": "one", "mode": "aggregated", "engine": "vllm-ascend", "weights": "int8", "workload": {}}
    row |= {"model": "m", "chip": "c", "metrics": {"output_tokens_per_second_per_accelerator": 10.0}}
    kinds = [figures({**row, "flags": flags}, True)[0].tags["figure"] for flags in (["pass_mark"], [])]
    assert kinds == ["pass mark", "measured"]
