"""Room for the cache against what engines print when they start.

`kv_logs.csv` holds one logged capacity a row: model, chip, layout, the settings that the log states (engine defaults of
its version and chip where it does not: `max_num_batched_tokens` and `max_num_seqs`), what was printed (tokens, GiB on a
rank, or sequences of 32,768 tokens), and why a row is off. sampler: `sorted` for vLLM until 0.15, `one` for the kernel
since; visible_gib: the total that the log prints; outlier: the log lacks a setting that matters, or the version's rule
was another. Sources by short name in `SOURCES`.
"""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tonnage import catalog
from tonnage.model import Architecture, load
from tonnage.serve import fit
from tonnage.serve.replica.engines import ENGINES
from tonnage.system import System, accelerator

CATALOG = catalog.load()

SOURCES = {
    "llm-d": "github.com/llm-d/llm-d-benchmark/blob/main/config_explorer/empirical-vllm-memory-results.md, vLLM 0.11",
    "llm-d-planner": "the same table as continued in github.com/llm-d-incubation/llm-d-planner, vLLM 0.11",
    "lmcache": "docs.lmcache.ai/getting_started/faq.html (github.com/LMCache/LMCache/pull/1769), 2025-10",
    "vllm-21348": "github.com/vllm-project/vllm/issues/21348, 2025-07-22",
    "vllm-10511": "github.com/vllm-project/vllm/pull/10511, 2024-12-14",
    "vllm-12330": "github.com/vllm-project/vllm/issues/12330, 2025-01-13",
    "vllm-13061": "github.com/vllm-project/vllm/issues/13061, vLLM 0.7, 2025-02-11",
    "vllm-10517": "github.com/vllm-project/vllm/issues/10517, vLLM 0.6.4, 2024-12-02",
    "vllm-13074": "github.com/vllm-project/vllm/issues/13074, vLLM 0.7.2, 2025-02-10",
    "vllm-2031": "github.com/vllm-project/vllm/pull/2031, 2023-12-12",
    "vllm-51041": "github.com/vllm-project/vllm/issues/51041, vLLM 0.26, 2026-08-04",
    "vllm-40691": "github.com/vllm-project/vllm/issues/40691, vLLM 0.19.0, 2026-04-23",
    "llmservingsim": "github.com/casys-kaist/LLMServingSim (MIT), vLLM 0.19.0, 2026-08-20",
    "myoceane": "myoceane.fr/index.php/ai-vllm-a100-gemma-4, vLLM 0.19.0, 2026-04-18",
    "insomnia": "a public note on compute environments (hardware of Slurm runs Y, Z, ZS), 2026-05-03",
    "w1-rag": "a public course report on serving, SGLang 0.5.18 on an H100",
    "project-a": "a public service baseline of 2026-06-14, SGLang ebaf86d on four RTX 4090",
    "sglang-18263": "github.com/sgl-project/sglang/pull/18263, 2026-07-15",
    "sglang-11309": "github.com/sgl-project/sglang/pull/11309, 2025-10-07",
    "r32": "a public experiment log (R32, exp1_32b) with SGLang on an A100 80 GB",
    "trtllm-h100": "a public guide to serving stacks, TensorRT-LLM 1.2.1 on an H100",
    "trtllm-6294": "github.com/NVIDIA/TensorRT-LLM/issues/6294, TensorRT-LLM 0.20.0, 2025-07-24",
}

SHAPES = {
    "7b": ("LlamaForCausalLM", 32, 4096, 11008, 32, 32, 32000, False),
    "70b": ("LlamaForCausalLM", 80, 8192, 28672, 64, 8, 32000, False),
    "qwen3-4b": ("Qwen3ForCausalLM", 36, 2560, 9728, 32, 8, 151936, True),
}
"""Llama 2 and Qwen3-4B: layers, width, width of the FFN, heads, KV heads, vocabulary, tied embeddings."""

ROWS = list(csv.DictReader((Path(__file__).parent / "kv_logs.csv").read_text(encoding="utf-8").splitlines()))
STATED = [row for row in ROWS if not row["outlier"]]


def model(name: str, folder: Path) -> Architecture:
    if name not in SHAPES:
        return load(name, CATALOG)
    kind, layers, hidden, inner, heads, groups, vocabulary, tied = SHAPES[name]
    config = {"architectures": [kind], "model_type": kind.removesuffix("ForCausalLM").lower(), "head_dim": 128}
    config |= {"num_hidden_layers": layers, "hidden_size": hidden, "intermediate_size": inner, "torch_dtype": "float16"}
    config |= {"num_attention_heads": heads, "num_key_value_heads": groups, "max_position_embeddings": 40960}
    path = folder / "config.json"
    path.write_text(json.dumps(config | {"vocab_size": vocabulary, "tie_word_embeddings": tied}), encoding="utf-8")
    return load(str(path), CATALOG)


def ratio(row: dict[str, str], folder: Path) -> float:
    """Predicted over printed."""
    engine = ENGINES[row["engine"]]
    if row["sampler"] == "sorted":
        engine = engine.of("0.11")
    chip = accelerator(row["chip"], CATALOG)
    if row["visible_gib"]:
        chip = replace(chip, visible=float(row["visible_gib"]) * 2**30)
    found = fit(
        model(row["model"], folder),
        System(chip, int(row["count"])),
        row["weights"] or None,
        row["kv"],
        {part[:2]: int(part[2:]) for part in row["layout"].split()},
        engine_name=engine,
        memory_share=float(row["share"]),
        chunk=int(row["tokens"]),
        running=int(row["sequences"]),
        context=32768,
    )
    room = found.memory.kv_cache
    one = sum(kind.kv_bytes + kind.state_bytes for kind in found.cache)
    got = {"tokens": found.cached_tokens, "GiB": room / 2**30, "x 32768": room / one}[row["unit"]]
    return got / float(row["printed"])


@pytest.mark.parametrize("row", STATED, ids=lambda row: f"{row['model']}-{row['chip']}-{row['source']}")
def test_room_for_the_cache_is_what_engines_print(row: dict[str, str], tmp_path: Path) -> None:
    assert 1 / 1.17 < ratio(row, tmp_path) < 1.15


def test_half_of_the_logs_are_met_within_three_per_cent(tmp_path: Path) -> None:
    """Median error over engines and versions, outliers included."""
    errors = np.abs(np.array([ratio(row, tmp_path) for row in ROWS]) - 1)
    assert np.median(errors) < 0.03
    assert np.mean(errors < 0.10) > 0.8


def test_what_is_left_out_is_few_and_explained() -> None:
    assert len(STATED) >= 25
    assert len(ROWS) - len(STATED) <= len(ROWS) / 10
    assert all(row["note"] for row in ROWS if row["outlier"])
    assert {row["source"] for row in ROWS} == set(SOURCES)


def test_smaller_steps_leave_more_room_for_the_cache() -> None:
    arch = load("meta-llama/Llama-3.1-8B", CATALOG)
    system = System(accelerator("rtx-4090", CATALOG), 1)
    rooms = [fit(arch, system, engine_name="vllm", chunk=chunk).cached_tokens for chunk in (2048, 8192, 32768)]
    assert rooms == sorted(rooms, reverse=True) and rooms[0] > rooms[2]


def test_more_sequences_to_sample_leave_less_room_for_the_cache() -> None:
    arch = load("meta-llama/Llama-3.1-8B", CATALOG)
    system = System(accelerator("h100-sxm", CATALOG), 1)
    rooms = [fit(arch, system, engine_name="vllm", running=running).cached_tokens for running in (256, 1024, 2048)]
    assert rooms == sorted(rooms, reverse=True) and rooms[0] > rooms[2]
