"""The simulator beside Vidur: its own example, its arrivals and lengths, CPU time of both in one run.

    python benchmarks/vidur.py CHECKOUT PYTHON [--requests N]

CHECKOUT: of microsoft/vidur; PYTHON: of an environment with its requirements. Llama-3-8B on one A100 as Vidur's README
has it, lengths up to 4,096 (Splitwise), plots and traces off. Where the checkout lacks Vidur's profile of
attention (a large file), one of the same form is computed from the A100's bandwidth and peak: its values move
latencies, not the loop, which looks times up. What is timed is the loop alone: reading, training of the predictor and
start-up are left out on both sides. The same requests then run here in the full loop, as Python and compiled, with
steps of the same model and chip by bytes and products, and the limits of Vidur's scheduler.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from tonnage.simulate import compiled
from tonnage.simulate.prepare import Happened
from tonnage.simulate.run import simulate
from tonnage.simulate.service import EngineLimits, ReplicaSet, Simulated, StepTables
from tonnage.simulate.workload import Workload, workload

PROFILE = Path("data/profiling/compute/a100/meta-llama/Meta-Llama-3-8B/attention.csv")
BANDWIDTH, PEAK = 2.039e12, 312e12
"""A100 SXM 80 GB, NVIDIA's datasheet [byte/s, FLOP/s]."""

LAYERS, WIDE, HEADS, KV_HEADS, HEAD = 32, 4096, 32, 8, 128
"""Llama-3-8B's config.json."""

EXAMPLE = """
--replica_config_device a100 --replica_config_model_name meta-llama/Meta-Llama-3-8B --cluster_config_num_replicas 1
--replica_config_tensor_parallel_size 1 --replica_config_num_pipeline_stages 1
--request_generator_config_type synthetic --length_generator_config_type trace
--trace_request_length_generator_config_max_tokens 4096
--trace_request_length_generator_config_trace_file ./data/processed_traces/splitwise_conv.csv
--interval_generator_config_type poisson --poisson_request_interval_generator_config_qps 6.45
--replica_scheduler_config_type sarathi --sarathi_scheduler_config_batch_size_cap 512
--sarathi_scheduler_config_chunk_size 512 --execution_time_predictor_config_type linear_regression
--linear_regression_execution_time_predictor_config_prediction_max_batch_size 512
--linear_regression_execution_time_predictor_config_prediction_max_tokens_per_request 4096
--no-metrics_config_store_plots --no-metrics_config_enable_chrome_trace --no-metrics_config_write_json_trace

"""
"""Vidur's README, without pictures."""

CHILD = """
import json, os, sys, time
from vidur.config import SimulationConfig
from vidur.simulator import Simulator
from vidur.utils.random import set_seeds
config = SimulationConfig.create_from_cli_args()
set_seeds(config.seed)
one = Simulator(config)
held = [event._request for _, event in one._event_queue]
began = time.process_time()
one.run()
seconds = time.process_time() - began
rows = [[each.arrived_at, each.num_prefill_tokens, each.num_decode_tokens, each.completed_at] for each in held]
with open(os.environ["FOUND"], "w") as file:
    json.dump({"seconds": seconds, "rows": rows}, file)
os._exit(0)
"""


def profile(path: Path) -> None:
    """A profile of attention in Vidur's form [ms], by bytes and products."""
    columns = ("n_embd", "n_q_head", "n_kv_head", "block_size", "num_tensor_parallel_workers", "max_model_len",
               "batch_size", "prefill_chunk_size", "kv_cache_size", "time_stats.attn_kv_cache_save.median",
               "time_stats.attn_prefill.median", "time_stats.attn_decode.median")  # fmt: skip
    token = 2 * 2 * KV_HEADS * HEAD
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(columns)
        for held in (*range(0, 4096, 64),):
            for chunk in (32, 64, 128, 256, 512, 1024, 2048, 4096):
                seconds = 5e-6 + 4 * HEADS * HEAD * chunk * (held + chunk / 2) / (0.5 * PEAK)
                out.writerow((WIDE, HEADS, KV_HEADS, 16, 1, 4096, 1, chunk, held, 2e-3, 1e3 * seconds, 0))
            for batch in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512):
                seconds = 5e-6 + batch * held * token / (0.8 * BANDWIDTH)
                out.writerow((WIDE, HEADS, KV_HEADS, 16, 1, 4096, batch, 0, held, 2e-3, 0, 1e3 * seconds))


def vidur(checkout: Path, python: str, requests: int) -> tuple[float, np.ndarray]:
    """(CPU seconds of its loop, its requests: arrival [s], prompt, answer, end [s])."""
    where = checkout / PROFILE
    if not where.exists() or where.stat().st_size == 0:
        profile(where)
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.json"
        words = [*EXAMPLE.split(), "--synthetic_request_generator_config_num_requests", str(requests),
                 "--metrics_config_output_dir", folder]  # fmt: skip
        env = {"FOUND": str(found), "WANDB_MODE": "disabled", "PATH": "/usr/bin:/bin", "HOME": folder}
        env["OMP_NUM_THREADS"] = "1"
        done = subprocess.run([python, "-c", CHILD, *words], cwd=checkout, env=env, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"Vidur did not run: {done.stderr[-1500:]}")
        held = json.loads(found.read_text("utf-8"))
    return float(held["seconds"]), np.asarray(held["rows"], dtype=float)


def service() -> Simulated:
    """One A100 with Llama-3-8B: steps by weights, products and cache [ps]; the limits of Vidur's scheduler."""
    weights = 8.03e9 * 2
    sequences, tokens = np.arange(513), np.arange(513)
    step = (3e-3 + weights / (0.8 * BANDWIDTH) + 1e-5 * sequences) * 1e12
    mix = (3e-3 + np.maximum(weights / (0.8 * BANDWIDTH), 2 * 8.03e9 * tokens / (0.6 * PEAK))) * 1e12
    per_token = 2 * 2 * KV_HEADS * HEAD * LAYERS / (0.8 * BANDWIDTH) * 1e12
    slope = np.full(513, round(per_token))
    times = StepTables(np.rint(step).astype(np.int64), slope, np.rint(mix).astype(np.int64), 900)
    blocks = int((0.9 * 80e9 - weights) / (2 * 2 * KV_HEADS * HEAD * LAYERS * 16))
    return Simulated(EngineLimits(512, 512, blocks), (times,), ReplicaSet(1))


def load(rows: np.ndarray) -> Workload:
    """Vidur's requests in order of their arrival."""
    order = np.argsort(rows[:, 0], kind="stable")
    arrival, isl, osl = rows[order, 0], rows[order, 1], rows[order, 2]
    return workload(arrival, isl.astype(np.int64), osl.astype(np.int64), "Vidur's example")


def timed(work: Workload, where: Simulated, fast: bool, tries: int = 3) -> tuple[Happened, float]:
    """What happened, and the CPU seconds of all of it: the best of so many tries."""
    best = np.inf
    for _ in range(tries):
        began = time.process_time()
        found = simulate(work, where, fast=fast)
        best = min(best, time.process_time() - began)
    return found, best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("python")
    parser.add_argument("--requests", type=int, default=15_000)
    asked = parser.parse_args()
    theirs, rows = vidur(asked.checkout.resolve(), asked.python, asked.requests)
    work, where = load(rows), service()
    print("| what | requests | CPU s | requests / CPU s | times Vidur |\n| --- | --- | --- | --- | --- |")
    print(f"| Vidur | {len(rows):,} | {theirs:.2f} | {len(rows) / theirs:,.0f} | 1 |")
    _, first = timed(work, where, False, 1)
    plain, seconds = timed(work, where, False)
    name = f"Python (first call {first:.2f} s)"
    print(f"| {name} | {len(rows):,} | {seconds:.3f} | {len(rows) / seconds:,.0f} | {theirs / seconds:,.0f} |")
    if compiled.installed():
        fast, seconds = timed(work, where, True)
        assert np.array_equal(plain.finish, fast.finish)
        print(f"| compiled | {len(rows):,} | {seconds:.4f} | {len(rows) / seconds:,.0f} | {theirs / seconds:,.0f} |")
    ends = (rows[:, 3].max(), float(np.max(plain.finish)))
    print(
        f"\nlast answer after {ends[0]:,.0f} s in Vidur, {ends[1]:,.0f} s here; {rows[:, 1].mean():,.0f} tokens in and "
        f"{rows[:, 2].mean():,.0f} out on average"
    )


if __name__ == "__main__":
    main()
