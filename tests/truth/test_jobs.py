"""A published row becomes the job that was run, or is left out with a reason."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from tonnage import catalog
from tonnage.model import params
from tonnage.truth.cases import Skip, load_cases
from tonnage.truth.scored import RATE, TPOT, why_not_serving, why_not_training
from tonnage.truth.serving import figures, serving_case
from tonnage.truth.shapes import Library, family, from_sizes
from tonnage.truth.training import anchored, figure, software_date, training_job, training_layout


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(catalog.load())


def training(id_: str) -> dict[str, Any]:
    return copy.deepcopy(next(case for case in load_cases("training") if case["id"] == id_))


def serving(id_: str) -> dict[str, Any]:
    return copy.deepcopy(next(case for case in load_cases("serving") if case["id"] == id_))


def test_the_deepseek_v3_run_as_reported(library: Library) -> None:
    job, system, layout = training_job(training("deepseek-v3-2048h800"), library)
    assert (job.seq, job.global_batch, job.precision, job.task) == (4096, 15360, "fp8", "pretrain")
    assert job.arch.moe and job.arch.mtp is not None
    assert (system.accelerator.name, system.count) == ("h800-sxm", 2048)
    assert layout == {
        "tp": 1,
        "pp": 16,
        "cp": 1,
        "dp": 128,
        "ep": 64,
        "vpp": 1,
        "zero": 1,
        "schedule": 3,
        "recompute": 1,
    }


def test_unstated_recomputation_and_micro_batch_are_left_to_the_search(library: Library) -> None:
    _, _, layout = training_job(training("llama3-405b-16384h100-seq131072"), library)
    assert "recompute" not in layout and "mbs" not in layout
    assert (layout["cp"], layout["dp"], layout["zero"]) == (16, 8, 2)


def test_torchtitan_cuts_a_pipelines_share_into_as_many_as_it_has_ranks(library: Library) -> None:
    """405B on 512 H100: 32 sequences a replica on eight stages ran at 100 tokens/s, as eight micro-batches of four do,
    and held 88.6 GB; of one sequence each they would have run half again as fast and held 57.
    """
    row = training("titan-llama3p1-405b-512h100-3d-1f1b")
    assert training_job(row, library)[2]["mbs"] == 4
    assert training_job(row | {"micro_batch": 2}, library)[2]["mbs"] == 2
    assert "mbs" not in training_job(row | {"framework": "megatron-lm"}, library)[2]
    assert training_job(training("titan-llama3p1-405b-512h100-4d-cp1-seq32768"), library)[2]["mbs"] == 1


@pytest.mark.parametrize(
    ("said", "exchange"), [("A2A", "all-to-all"), ("DeepEP", "forwarded"), ("HybridEP", "forwarded"), (None, None)]
)
def test_the_dispatcher_of_a_run_says_how_copies_travel(library: Library, said: str | None, exchange: str) -> None:
    row = training("moe-modelzoo-qwen3-235b-256h100-xnode-ep32")
    row["layout"] = {name: value for name, value in row["layout"].items() if name != "dispatcher"}
    row["layout"] |= {} if said is None else {"dispatcher": said}
    assert training_job(row, library)[0].exchange == exchange


def test_overlap_that_is_said_to_be_off_is_off(library: Library) -> None:
    assert training_job(training("simumax-b200-deepseekv3-l4-tp1-ep8-pp1-dp8-mbc4"), library)[0].moe_overlap is False
    said = training_job(training("moe-modelzoo-qwen3-235b-256h100-xnode-ep32-1f1b-overlap"), library)[0]
    assert said.moe_overlap is True
    assert training_job(training("moe-modelzoo-qwen3-235b-256h100-xnode-ep32"), library)[0].moe_overlap is None


def test_a_dense_model_has_no_expert_degrees(library: Library) -> None:
    _, _, layout = training_job(training("megatron-sc21-gpt-1008b-3072a100"), library)
    assert "ep" not in layout and layout["recompute"] == 2 and layout["pp"] == 64


def test_degrees_that_do_not_multiply_out_are_said() -> None:
    with pytest.raises(Skip, match="multiply out"):
        training_layout({"layout": {"tp": 8, "pp": 4, "cp": 1, "dp": 3}}, 128)
    assert training_layout({"layout": {"tp": 8, "vpp": 2}, "micro_batch": 4}, 128) == {
        "tp": 8,
        "vpp": 2,
        "zero": 1,
        "schedule": 1,
        "mbs": 4,
    }


def test_software_dates_to_the_month_or_the_middle_of_the_year() -> None:
    assert str(software_date({"date": "2025-05"})) == "2025-05-01"
    assert str(software_date({"year": 2024})) == "2024-07-01"
    assert software_date({}) is None and software_date({"date": "2025-13"}) is None


def test_printed_sizes_give_the_printed_parameter_count() -> None:
    """Narayanan et al. (SC21), table 1: the 145.6B model."""
    arch = from_sizes(training("megatron-sc21-gpt-145p6b-1536a100")["model"])
    assert params(arch).total == pytest.approx(145.6e9, rel=0.005)
    assert arch.blocks[0].kind == "mha+dense"


def test_every_scored_size_is_near_the_printed_count(library: Library) -> None:
    for case in load_cases("training"):
        total = case["model"].get("total_params")
        if why_not_training(case) or not total or case["model"]["name"].startswith(("MPT", "Internal")):
            continue
        job, _, _ = training_job(case, library)
        assert params(job.arch).total == pytest.approx(total, rel=0.035), case["id"]


def test_a_vocabulary_that_is_not_printed_follows_from_the_count() -> None:
    model = {"name": "GPT", "layers": 96, "hidden_size": 12288, "heads": 96, "ffn_size": 49152}
    arch = from_sizes({**model, "ffn_type": "gelu-2-matrix", "total_params": 174_600_000_000})
    assert 32_000 <= arch.vocab <= 70_000 and arch.tied
    with pytest.raises(Skip, match="vocab_size"):
        from_sizes(model)


@pytest.mark.parametrize("missing", ["hidden_size", "layers", "heads", "ffn_size"])
def test_a_missing_size_is_named(missing: str) -> None:
    model = {"layers": 2, "hidden_size": 64, "heads": 4, "ffn_size": 256, "vocab_size": 100, "ffn_type": "swiglu"}
    del model[missing]
    with pytest.raises(Skip, match=missing):
        from_sizes(model)


def test_the_null_model_counts_what_is_executed(library: Library) -> None:
    """Full recomputation is a fourth pass, LoRA has two."""
    case = training("megatron-sc21-gpt-145p6b-1536a100")
    job, system, layout = training_job(case, library)
    full = anchored(case, job, system, layout).base
    none = anchored(case, job, system, {**layout, "recompute": 0}).base
    assert none / full == pytest.approx(4 / 3)
    assert 1 / none == pytest.approx(6 * 145.6e9 * 1.06, rel=0.05)


def test_a_published_range_is_kept(library: Library) -> None:
    seen = figure(training("llama3-405b-16384h100-seq8192"), moe=False)
    assert seen.published_low is not None and seen.published_high is not None
    assert seen.published_low < seen.published < seen.published_high


def test_an_aggregated_row_as_served(library: Library) -> None:
    case = serving_case(serving("trtllm-latest-deepseek-r1-0528-h200-dep8-1000-1000"), library)
    assert (case.mode, case.pool.tp, case.pool.dp, case.pool.ep, case.pool.count) == ("aggregated", 1, 8, 8, 8)
    assert (case.isl, case.osl, case.concurrency, case.drafts) == (1000, 1000, None, 0)
    assert case.engine == "trtllm" and case.accelerator.name == "h200-sxm"


def test_a_decode_pool_has_its_batch_and_context(library: Library) -> None:
    case = serving_case(serving("sglang-ant-h20-decode-ep16-bs48"), library)
    assert (case.mode, case.batch, case.context, case.isl) == ("decode", 48, 4864, 4096)
    assert (case.drafts, case.pool.dp, case.pool.ep) == (1, 16, 16)


def test_disaggregated_pools_have_their_workers(library: Library) -> None:
    row = next(
        case
        for case in load_cases("silicon")
        if case["mode"] == "disaggregated" and not why_not_serving(case) and case["layout"]["decode"]["workers"] > 1
    )
    case = serving_case(row, library)
    decode = row["layout"]["decode"]
    assert case.prefill is not None
    assert case.pool.count + case.prefill.count == row["count"]
    assert case.pool.workers == decode["workers"]
    assert case.pool.tp * case.pool.dp * case.pool.workers == decode["count"]


def test_replicas_are_attention_replicas(library: Library) -> None:
    for row in load_cases("serving"):
        if "replicas" in row["layout"] and not why_not_serving(row):
            case = serving_case(row, library)
            assert case.pool.tp * case.pool.pp * case.pool.dp == row["count"] * row["layout"].get(
                "ranks_per_accelerator", 1
            )


def test_figures_share_their_tags(library: Library) -> None:
    row = serving("trtllm-latest-gpt-oss-120b-h200-tp1-1000-1000")
    (seen,) = figures(row, arch_moe=True)
    assert seen.metric == RATE and seen.published == 6868
    assert seen.tags["family"] == "gpt-oss" and seen.tags["precision"] == "4" and seen.tags["kind"] == "MoE"
    assert seen.cluster == ("openai/gpt-oss-120b", "h200-sxm", "trtllm")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mode": "sideways"}, "mode is not known"),
        ({"count": "eight"}, "count is not a positive number"),
        ({"chip": "abacus"}, "chip abacus"),
        ({"model": "nobody/nothing"}, "not bundled"),
        ({"layout": {}}, "layout is not given"),
        ({"layout": "tp8"}, "layout is not an object"),
        ({"workload": {"input_len": 1000}}, "workload.output_len is not given"),
        ({"workload": {"input_len": 1e12, "output_len": 1}}, "out of range"),
        ({"workload": {"input_len": 10, "output_len": 10, "cache_hit": 1.5}}, "cache_hit"),
    ],
)
def test_what_cannot_be_expressed_is_named(library: Library, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Skip, match=reason):
        serving_case({**serving("trtllm-latest-gpt-oss-120b-h200-tp1-1000-1000"), **change}, library)


def _mangle(value: Any, random_: random.Random) -> Any:
    """The same row with about one value in twelve replaced by something a careless writer could put there."""
    if random_.random() < 0.08:
        return random_.choice([None, "x", -1, 0, 1e29, True, [], {}, {"a": 1}, ["b"], 10**14, "9" * 400])
    if isinstance(value, dict):
        return {key: _mangle(item, random_) for key, item in value.items()}
    return value


@pytest.mark.parametrize("kind", ["training", "serving", "silicon"])
def test_careless_rows_are_skipped_not_failed(kind: str, library: Library) -> None:
    random_ = random.Random(11)
    ended = {"skipped": 0, "made": 0}
    for row in load_cases(kind)[::4]:
        careless = {key: _mangle(value, random_) for key, value in row.items()}
        try:
            if kind == "training":
                job, system, layout = training_job(careless, library)
                anchored(careless, job, system, layout)
            else:
                figures(careless, serving_case(careless, library).arch.moe)
            ended["made"] += 1
        except Skip:
            ended["skipped"] += 1
    assert min(ended.values()) > 0


def test_families_by_name() -> None:
    assert family("deepseek-ai/DeepSeek-R1") == "deepseek"
    assert family("meta-llama/Llama-3.1-8B") == "llama"
    assert family("Llama 3.1 8B") == "llama"
    assert family("openai/gpt-oss-120b") == "gpt-oss"
    assert family("nobody/nothing") == "other"
    assert TPOT == "tpot"
