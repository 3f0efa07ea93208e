"""Fit the coefficients of operator and collective times to NVIDIA AIConfigurator's measured tables.

    python scripts/fit_operators.py          fit, print left-out errors, write system/data/efficiency.json
    python scripts/fit_operators.py --dry    the same without writing

Needs `aiconfigurator-core==0.12.0` (Apache-2.0, the extra `silicon`) and `pyarrow`, which reads its tables. Inputs: the
tables of nine chips; for each shape the fastest of the frameworks measured; at most SAMPLE rows of each (chip, number
format), drawn with a fixed seed. Rows faster than the roofline are rejected, and on chips whose memory is slow beside
their cache (GDDR) also memory-bound rows whose weights fit in it. Loss: mean over (chip, format) of the mean absolute
log error, each row cut at CUT so that a bad kernel cannot rule. Search: coordinate by coordinate, golden section.
"""

from __future__ import annotations

import importlib.util
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tonnage.model.operators import Operator
from tonnage.system import Accelerator, Calibration, Collective, Precision, collective_time, operator_time

VERSION = "aiconfigurator-core 0.12.0"
CHIPS = ("a100_sxm", "h100_sxm", "h200_sxm", "b200_sxm", "b300_sxm", "gb200", "gb300", "l40s", "rtx_pro_6000_server")
FAMILY = {"gb300": "b300_sxm", "gb200": "b200_sxm"}
"""Chips of one die and clock class are left out together: a twin left in the fit would make the test too easy."""
CACHE = {"l40s": 96e6, "rtx_pro_6000_server": 128e6}
"""L2 cache of the GDDR chips [byte] (NVIDIA Ada and Blackwell RTX architecture papers)."""
IMPOSSIBLE = ("data/a100_sxm/attention/trtllm/1.0.0/generation",)
"""Tables of which a third of the rows above 200 MB exceed the memory bandwidth: the rest cannot be trusted either."""
TILE_MEASURED, TILE = 64.0, 16
"""Rows that a GEMM is padded to: in the kernels measured, for which 64 costs nothing; and what the instructions allow
with operands swapped (see `system.operators.gemm_parts`), which a chip short of arithmetic needs and is written."""
SAMPLE, CUT, SEED = 1500, 1.5, 20251121
TARGET = Path(__file__).parents[1] / "src/tonnage/system/data/efficiency.json"


@dataclass(frozen=True)
class Group:
    """Measured rows of one (chip, format): operators whose times add up, and what was measured [s]."""

    chip: str
    label: str
    accelerator: Accelerator
    precision: Precision
    work: tuple[Any, ...]
    measured: Any
    family: str = ""

    def left_out_with(self) -> str:
        """What is left out together with this group."""
        return self.family or FAMILY.get(self.chip, self.chip)

    def predict(self, fitted: Calibration) -> Any:
        """Predicted seconds of each row."""
        total: Any = 0.0
        for item in self.work:
            if isinstance(item, Collective):
                total = total + collective_time(item, self.accelerator, fitted, fused=self.label.startswith("fused"))
            else:
                total = total + operator_time(item, self.accelerator, self.precision, fitted).seconds
        return total


@dataclass(frozen=True)
class Knob:
    """One coefficient: class, name, bounds; log: searched in its logarithm."""

    kind: str
    name: str
    low: float
    high: float
    log: bool = False


def main(arguments: list[str]) -> None:
    """Fit class by class, in the order in which they use each other."""
    root = Path(str(importlib.util.find_spec("aiconfigurator_core").origin)).parent / "systems"  # type: ignore[union-attr]
    tables = Tables(root)
    held = json.loads(TARGET.read_text())
    fitted = Calibration(held["coefficients"], held["sigma"], held["far"], held["source"])
    fitted.coefficients["gemm"]["tile"] = TILE_MEASURED
    report: dict[str, Any] = {}
    for name, (make, knobs) in STAGES.items():
        groups = [kept for group in make(tables) if (kept := possible(group)) is not None]
        fitted, report[name] = fit_stage(name, groups, knobs, fitted)
    held = {
        "source": f"fitted by scripts/fit_operators.py on {VERSION} (NVIDIA, Apache-2.0), chips {', '.join(CHIPS)}",
        "coefficients": {k: {n: float(f"{v:.4g}") for n, v in c.items()} for k, c in fitted.coefficients.items()},
        "sigma": fitted.sigma,
        "far": fitted.far,
        "left_out": report,
    }
    held["coefficients"]["gemm"]["tile"] = TILE
    if "--dry" not in arguments:
        TARGET.write_text(json.dumps(held, indent=1) + "\n")


# reading


class Tables:
    """The package's tables by chip and kind; the fastest framework of each shape."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def accelerator(self, chip: str) -> Accelerator:
        """The chip from the package's own system file."""
        text = (self.root / f"{chip}.yaml").read_text()
        value = {m[1]: float(m[2]) for m in re.finditer(r"^\s+(\w+):\s*([\d.eE+]+)", text, re.MULTILINE)}
        names = {"bfloat16_tc_flops": "bf16", "fp8_tc_flops": "fp8", "int8_tc_flops": "int8", "fp4_tc_flops": "fp4"}
        rates = {short: value[name] for name, short in names.items() if name in value}
        return Accelerator(
            name=chip,
            title=chip,
            vendor="NVIDIA",
            rates=rates,
            memory=value["mem_capacity"],
            bandwidth=value["mem_bw"],
            link=value["intra_node_bw"],
            domain=72 if chip.startswith("gb") else int(value["num_gpus_per_node"]),  # the file counts one tray
            nic=value["inter_node_bw"],
            power=value["power"],
        )

    def rows(self, chip: str, pattern: str, columns: tuple[str, ...]) -> tuple[list[tuple[Any, ...]], Any]:
        """Shapes and seconds of all tables that match, fastest first measured framework of each shape."""
        import pyarrow.parquet as parquet

        best: dict[tuple[Any, ...], float] = {}
        for file in sorted((self.root / "data" / chip).glob(pattern)):
            if any(part in str(file) for part in IMPOSSIBLE):
                continue
            table = parquet.read_table(file)
            if any(column not in table.column_names for column in (*columns, "latency")):
                continue
            shapes = zip(*(table[column].to_pylist() for column in columns), strict=True)
            for shape, latency in zip(shapes, table["latency"].to_pylist(), strict=True):
                if latency > 0 and latency * 1e-3 < best.get(shape, math.inf):
                    best[shape] = latency * 1e-3
        return list(best), np.array(list(best.values()))

    def fastest(self, chip: str, pattern: str, column: str) -> dict[tuple[int, int], float]:
        """(nodes, tokens) -> least of a column, for 7168 wide, 8 of 256 experts."""
        import pyarrow.parquet as parquet

        best: dict[tuple[int, int], float] = {}
        for file in (self.root / "data" / chip).glob(pattern):
            for row in parquet.read_table(file).to_pylist():
                if (row["hidden_size"], row["num_topk"], row["num_experts"]) == (7168, 8, 256):
                    key = (row["node_num"], row["num_token"])
                    best[key] = min(best.get(key, math.inf), row[column])
        return best

    def groups(self, pattern: str, columns: tuple[str, ...], label: Callable[[dict[str, Any]], str]) -> Iterator[Any]:
        """(chip, label, columns as arrays, seconds) with at most SAMPLE rows; rows with an empty label are left out."""
        for chip in CHIPS:
            shapes, seconds = self.rows(chip, pattern, columns)
            labels = np.array([label(dict(zip(columns, shape, strict=True))) for shape in shapes])
            for name in sorted(set(labels.tolist()) - {""}):
                index = np.flatnonzero(labels == name)
                rng = np.random.default_rng(SEED)
                index = np.sort(rng.choice(index, min(SAMPLE, len(index)), replace=False))
                picked = {c: np.array([shapes[i][j] for i in index]) for j, c in enumerate(columns)}
                yield chip, name, picked, seconds[index]


def possible(group: Group) -> Group | None:
    """The group without rows that no chip can do: faster than the roofline, or served from the cache."""
    chip = group.accelerator
    floor: Any = 0.0
    for item in group.work:
        if isinstance(item, Collective):
            return group
        timing = operator_time(item, chip, group.precision, IDEAL)
        floor = floor + timing.seconds
    fine = group.measured > 0.98 * floor
    first = group.work[0]
    if group.chip in CACHE and first.kind == "gemm":
        fine &= ~((first.weight * 2 < CACHE[group.chip]) & (first.m < 256))
    if fine.mean() < 0.5 or fine.sum() < 15:
        print(f"  rejected {group.chip} {group.label}: {100 * (1 - fine.mean()):.0f} % of rows are impossible")
        return None
    return replace(group, work=tuple(_pick(item, fine) for item in group.work), measured=group.measured[fine])


def _pick(item: Operator, fine: Any) -> Operator:
    changes = {n: v[fine] for n, v in vars(item).items() if isinstance(v, np.ndarray) and v.shape == fine.shape}
    return replace(item, **changes)


_ONE = {"floor": 0.0, "quantise_floor": 0.0, "depth_latency": 0.0, "memory": 1.0, "ridge": 0.0, "softness": 50.0}
_ONE |= {
    "depth_half": 0.0,
    "keys_half": 0.0,
    "rows_half": 0.0,
    "tile": 1e-9,
    "grouped": 1.0,
    "backward": 1.0,
    "softmax": 0.0,
}
_ONE |= dict.fromkeys(("intermediates", "chunk_floor", "chunk_latency", "blocks_half"), 0.0)
_ONE |= {"compute": 1.0} | {f"compute.{kernel}": 1.0 for kernel in ("bf16", "fp8", "fp8_block", "fp4")}
_KINDS = ("gemm", "grouped_gemm", "attention", "scan", "pointwise", "collective")
IDEAL = Calibration(dict.fromkeys(_KINDS, _ONE), dict.fromkeys(_KINDS, 0.0), dict.fromkeys(_KINDS, 0.0), "roofline")


# rows -> operators


def _operator(kind: str, **numbers: Any) -> Operator:
    return Operator(name=kind, part="ffn", kind=kind, block=0, count=1, cut="none", **numbers)  # type: ignore[arg-type]


def gemms(tables: Tables) -> Iterator[Group]:
    """Dense GEMMs with n >= 512, k >= 256."""
    formats = {"bfloat16": "bf16", "fp8": "fp8", "fp8_block": "fp8_block", "nvfp4": "nvfp4"}

    def label(row: dict[str, Any]) -> str:
        return formats.get(row["gemm_dtype"], "") if row["n"] >= 512 and row["k"] >= 256 else ""

    for chip, name, row, seconds in tables.groups("gemm/*/*/gemm_perf.parquet", ("gemm_dtype", "m", "n", "k"), label):
        accelerator = tables.accelerator(chip)
        if chip == "a100_sxm" and name != "bf16":
            continue
        m, n, k = (row[c].astype(float) for c in "mnk")
        work = _operator("gemm", m=m, n=n, k=k, flop=2 * m * n * k, weight=n * k, stream=m * (n + k))
        yield Group(chip, name, accelerator, Precision(linear=name), (work,), seconds)


def experts(tables: Tables) -> Iterator[Group]:
    """Fused expert layers with balanced routing: permutation, two grouped GEMMs, activation, combination."""
    columns = ("moe_dtype", "num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size")
    formats = {"bfloat16": "bf16", "fp8": "fp8", "fp8_block": "fp8_block", "nvfp4": "nvfp4"}
    gated = {(7168, 2048), (4096, 1536), (2048, 768), (6144, 2048), (5120, 8192), (4096, 14336), (3072, 1536)}

    def label(row: dict[str, Any]) -> str:
        fine = row["distribution"] == "balanced" and (row["hidden_size"], row["inter_size"]) in gated
        near = (
            row["topk"] >= 0.5 * row["moe_ep_size"]
        )  # else work on tokens of other ranks rules, which all-to-all avoids
        return formats.get(row["moe_dtype"], "") if fine and near and row["topk"] > 1 else ""

    found = tables.groups("moe/*/*/moe_perf.parquet", (*columns, "moe_ep_size", "distribution"), label)
    for chip, name, row, seconds in found:
        if chip == "a100_sxm" or (chip in CACHE and name == "fp8_block"):
            continue  # A100: balanced rows up to 7 times slower than skewed ones; GDDR chips: no kernel of their own
        work = expert_layer({key: row[key].astype(float) for key in (*columns[1:], "moe_ep_size")})
        yield Group(chip, name, tables.accelerator(chip), Precision(linear=name), work, seconds)


def _uniform(row: dict[str, Any]) -> str:
    return "fp8_block wide" if row["distribution"] == "uniform" else ""


def _busy(row: dict[str, Any]) -> str:
    """Prefill rows long enough to hide an eager launch of 0.4 ms."""
    return _uniform(row) if row["num_tokens"] * row["topk"] >= 16384 * row["moe_ep_size"] else ""


def wide_experts(tables: Tables) -> Iterator[Group]:
    """Expert layers behind an all-to-all (DeepGEMM kernels), uniform routing: what wide expert parallelism runs."""
    columns = ("moe_dtype", "num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size")
    for phase in ("context", "generation"):
        found = tables.groups(
            f"moe/sglang/*/wideep_{phase}_moe_perf.parquet",
            (*columns, "moe_ep_size", "distribution"),
            _busy if phase == "context" else _uniform,
        )
        for chip, name, row, seconds in found:
            work = expert_layer({key: row[key].astype(float) for key in (*columns[1:], "moe_ep_size")}, all_to_all=True)
            if phase == "generation":
                work = work[:2] + work[3:4]
            yield Group(chip, f"{name} {phase}", tables.accelerator(chip), Precision(linear="fp8_block"), work, seconds)


def expert_layer(row: dict[str, Any], *, all_to_all: bool = False) -> tuple[Operator, ...]:
    """Operators of one rank. Balanced routing is as even as the counts allow: min(experts, rows) are touched."""
    ep, groups = row["moe_ep_size"], row["num_experts"] / row["moe_ep_size"]
    rows = row["num_tokens"] * row["topk"] / ep
    hidden, inner = row["hidden_size"], row["inter_size"] / row["moe_tp_size"]
    active = np.minimum(groups, np.maximum(rows, 1.0))
    shape = {"m": np.full_like(rows, 1e6), "top_k": rows / 1e6, "groups": active}
    up = _grouped(shape, rows, active, 2 * inner, hidden)
    down = _grouped(shape, rows, active, hidden, inner)
    return (
        up,
        down,
        _operator("pointwise", stream=rows * 2 * hidden),
        _operator("pointwise", stream=rows * 3 * inner),
        _operator("pointwise", stream=(rows + (0.0 if all_to_all else row["num_tokens"])) * hidden),
    )


def _grouped(shape: dict[str, Any], rows: Any, active: Any, n: Any, k: Any) -> Operator:
    # rows of an average touched expert are rows / active; 1e6 tokens make every one of `active` groups touched
    return _operator(
        "grouped_gemm", n=n, k=k, flop=2 * rows * n * k, weight=active * n * k, stream=rows * (n + k), **shape
    )


def prefills(tables: Tables) -> Iterator[Group]:
    """Causal prefill without context: grouped-query and multi-head, and latent attention in its expanded form."""
    columns = ("attn_dtype", "kv_cache_dtype", "batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim")

    def label(row: dict[str, Any]) -> str:
        fine = row["window_size"] == 0 and row["isl"] >= 64 and row["head_dim"] in (64, 128)
        return {"bfloat16": "bf16", "fp8": "fp8"}[row["attn_dtype"]] if fine else ""

    pattern = "attention/*/*/context_attention_perf.parquet"
    for chip, name, row, seconds in tables.groups(pattern, (*columns, "window_size"), label):
        batch, new, heads, kv, dim = (row[c].astype(float) for c in columns[2:])
        yield _prefill(tables, chip, name, seconds, batch, new, heads, 2 * dim, 2 * kv * dim)
    columns = ("mla_dtype", "kv_cache_dtype", "num_heads", "batch_size", "isl")
    for chip, _, row, seconds in tables.groups(
        "mla/*/*/context_mla_perf.parquet", columns, lambda row: "mla" if row["isl"] >= 64 else ""
    ):
        heads, batch, new = (row[c].astype(float) for c in columns[2:])
        yield _prefill(tables, chip, "bf16 latent prefill", seconds, batch, new, heads, 192.0 + 128.0, heads * 320.0)


def _prefill(
    tables: Tables, chip: str, name: str, seconds: Any, batch: Any, new: Any, heads: Any, width: Any, kv: Any
) -> Group:
    pairs = batch * new * (new + 1) / 2
    work = _operator(
        "attention",
        m=batch * new,
        n=pairs / (batch * new),
        k=width,
        groups=heads,
        flop=2 * pairs * heads * width,
        stream=batch * new * (heads * width + kv),
        cache_read=np.zeros_like(new),
        cache_write=batch * new * kv,
    )
    return Group(chip, name, tables.accelerator(chip), Precision(attention=name.split()[0]), (work,), seconds)


def decodes(tables: Tables) -> Iterator[Group]:
    """Decode over a cache: grouped-query and multi-head, and absorbed latent attention."""
    columns = ("attn_dtype", "kv_cache_dtype", "batch_size", "step", "num_heads", "num_key_value_heads", "head_dim")

    def label(row: dict[str, Any]) -> str:
        fine = row["window_size"] == 0 and row["step"] >= 63 and row["head_dim"] in (64, 128)
        return {"bfloat16": "bf16", "fp8": "fp8"}[row["kv_cache_dtype"]] + " cache" if fine else ""

    pattern = "attention/*/*/generation_attention_perf.parquet"
    for chip, name, row, seconds in tables.groups(pattern, (*columns, "window_size"), label):
        batch, context, heads, kv, dim = (row[c].astype(float) for c in columns[2:])
        yield _decode(tables, chip, name, seconds, batch, context + 1, heads, 2 * dim, 2 * kv * dim)
    columns = ("mla_dtype", "kv_cache_dtype", "num_heads", "batch_size", "step")

    def latent(row: dict[str, Any]) -> str:
        return {"bfloat16": "bf16", "fp8": "fp8"}[row["kv_cache_dtype"]] + " latent" if row["step"] >= 63 else ""

    for chip, name, row, seconds in tables.groups("mla/*/*/generation_mla_perf.parquet", columns, latent):
        if chip == "a100_sxm" or (chip in CACHE and name == "fp8 latent"):
            continue  # no kernel of its own: 2 to 20 times slower than the same chip's grouped-query decode
        heads, batch, context = (row[c].astype(float) for c in columns[2:])
        yield _decode(tables, chip, name, seconds, batch, context + 1, heads, 576.0 + 512.0, 576.0)


def _decode(
    tables: Tables, chip: str, name: str, seconds: Any, batch: Any, context: Any, heads: Any, width: Any, kv: Any
) -> Group:
    work = _operator(
        "attention",
        m=batch,
        n=context,
        k=np.broadcast_to(np.asarray(width, dtype=float), batch.shape),
        groups=heads,
        flop=2 * batch * context * heads * width,
        stream=batch * heads * width,
        cache_read=batch * context * kv,
        cache_write=batch * kv,
    )
    return Group(chip, name, tables.accelerator(chip), Precision(cache=name.split()[0]), (work,), seconds)


def scans(tables: Tables) -> Iterator[Group]:
    """Gated delta rule (Qwen3-Next/3.5): chunked prefill, recurrent decode."""
    columns = ("kernel_source", "batch_size", "seq_len", "num_k_heads", "num_v_heads")
    kernels = {"chunk_gated_delta_rule": "prefill", "fused_recurrent_gated_delta_rule_packed_decode": "decode"}

    def label(row: dict[str, Any]) -> str:
        return kernels.get(row["kernel_source"], "")

    for chip, name, row, seconds in tables.groups("linear_attention/*/*/gdn_perf.parquet", columns, label):
        batch, length, keys, values = (row[c].astype(float) for c in columns[1:])
        size, chunk = 128.0, np.minimum(length if name == "prefill" else 1.0, 64.0)
        new = batch * (length if name == "prefill" else 1.0)
        work = _operator(
            "scan",
            m=new,
            n=np.full_like(new, size),
            k=np.full_like(new, size),
            groups=values,
            flop=new * values * (6 * size**2 + chunk * 5 * size),
            stream=new * size * (2 * keys + 2 * values),
            cache_read=batch * values * size**2,
            cache_write=batch * values * size**2,
        )
        yield Group(chip, name, tables.accelerator(chip), Precision(), (work,), seconds)


def elementwise(tables: Tables) -> Iterator[Group]:
    """Scaling and narrowing of an m x k matrix: two bytes read, one written."""
    for chip, name, row, seconds in tables.groups(
        "quantize/*/*/scale_matrix_perf.parquet", ("m", "k", "quant_dtype"), lambda row: "scale"
    ):
        work = _operator("pointwise", stream=1.5 * row["m"].astype(float) * row["k"])
        yield Group(chip, name, tables.accelerator(chip), Precision(), (work,), seconds)


def exchanges(tables: Tables) -> Iterator[Group]:
    """NCCL inside one scale-up domain; message_size counts elements of the table's type."""
    columns = ("op_name", "nccl_dtype", "num_gpus", "message_size")
    kinds = {"all_reduce": "all_reduce", "alltoall": "all_to_all"}

    def label(row: dict[str, Any]) -> str:
        return kinds.get(row["op_name"], "") if row["nccl_dtype"] == "half" else ""

    for chip, name, row, seconds in tables.groups("comm/nccl/*/nccl_perf.parquet", columns, label):
        if chip in ("l40s", "rtx_pro_6000_server"):
            continue  # PCIe through the host: no scale-up fabric
        work = Collective(name, name, row["message_size"] * 2.0, row["num_gpus"], forwarding=False)  # type: ignore[arg-type]
        yield Group(chip, name, tables.accelerator(chip), Precision(), (work,), seconds)
    columns = ("num_gpus", "message_size")
    for chip, name, row, seconds in tables.groups(
        "comm/*/*/custom_allreduce_perf.parquet", columns, lambda row: "fused"
    ):
        if chip in ("l40s", "rtx_pro_6000_server"):
            continue
        work = Collective(name, "all_reduce", row["message_size"] * 2.0, row["num_gpus"])
        yield Group(chip, name, tables.accelerator(chip), Precision(), (work,), seconds)


def networks(tables: Tables) -> Iterator[Group]:
    """DeepEP dispatch (FP8) and combine (BF16) over one to eight nodes of eight, 7168 wide, 8 of 256 experts.

    H200's multi-node rows are a copy of H100's; normal dispatch on eight nodes reaches a third of what DeepEP publishes
    (51 GB/s at 64 ranks): both are left out.
    """
    for mode, suffix in (("normal", "transmit_us"), ("ll", "avg_t_us")):
        for phase, element in (("dispatch", 1.0), ("combine", 2.0)):
            rows = tables.fastest(
                "h100_sxm", f"comm/sglang/0.5.6.post2/wideep_deepep_{mode}_perf.parquet", f"{phase}_{suffix}"
            )
            rows = {key: value for key, value in rows.items() if key[1] >= 8 and not (mode == "normal" and key[0] == 8)}
            nodes, tokens = np.array(list(rows), dtype=float).T
            payload = tokens * 7168 * element
            work = Collective(
                mode, "all_to_all", payload, 8 * nodes, copies=8.0, limit=4.0, forwarding=mode == "normal"
            )
            seconds = np.array(list(rows.values())) * 1e-6
            chip = tables.accelerator("h100_sxm")
            yield Group("h100_sxm", f"{mode} {phase}", chip, Precision(), (work,), seconds, family=f"{mode} {phase}")


STAGES: dict[str, tuple[Callable[[Tables], Iterator[Group]], tuple[Knob, ...]]] = {
    "gemm": (
        gemms,
        (
            Knob("gemm", "compute.bf16", 0.3, 1.0),
            Knob("gemm", "compute.fp8", 0.3, 1.0),
            Knob("gemm", "compute.fp8_block", 0.3, 1.0),
            Knob("gemm", "compute.fp4", 0.2, 1.0),
            Knob("gemm", "ridge", 0.0, 0.5),
            Knob("gemm", "memory", 0.5, 1.0),
            Knob("gemm", "depth_half", 1.0, 2000.0, log=True),
            Knob("gemm", "depth_latency", 1e-11, 2e-9, log=True),
            Knob("gemm", "softness", 1.0, 8.0),
            Knob("gemm", "floor", 5e-7, 1e-5, log=True),
            Knob("gemm", "quantise_floor", 2e-7, 1e-5, log=True),
        ),
    ),
    "pointwise": (
        elementwise,
        (Knob("pointwise", "memory", 0.3, 1.0), Knob("pointwise", "floor", 3e-7, 1e-5, log=True)),
    ),
    "grouped_gemm": (
        lambda tables: (*experts(tables), *wide_experts(tables)),
        (
            Knob("grouped_gemm", "depth_half", 1.0, 2000.0, log=True),
            Knob("grouped_gemm", "memory", 0.3, 1.0),
            Knob("grouped_gemm", "floor", 1e-6, 5e-5, log=True),
        ),
    ),
    "attention": (
        lambda tables: (*prefills(tables), *decodes(tables)),
        (
            Knob("attention", "compute", 0.3, 1.0),
            Knob("attention", "softmax", 0.1, 1000.0, log=True),
            Knob("attention", "blocks_half", 1.0, 1000.0, log=True),
            Knob("attention", "keys_half", 1.0, 3000.0, log=True),
            Knob("attention", "rows_half", 1.0, 200.0, log=True),
            Knob("attention", "memory", 0.5, 1.0),
            Knob("attention", "softness", 1.0, 8.0),
            Knob("attention", "floor", 1e-6, 3e-5, log=True),
        ),
    ),
    "scan": (
        scans,
        (
            Knob("scan", "compute", 0.02, 1.0, log=True),
            Knob("scan", "memory", 0.2, 1.0),
            Knob("scan", "intermediates", 0.1, 20.0, log=True),
            Knob("scan", "floor", 5e-7, 1e-4, log=True),
            Knob("scan", "chunk_floor", 1e-6, 1e-4, log=True),
            Knob("scan", "chunk_latency", 1e-8, 1e-5, log=True),
        ),
    ),
    "collective": (
        exchanges,
        (
            Knob("collective", "latency", 1e-6, 5e-5, log=True),
            Knob("collective", "bulk_latency", 5e-6, 3e-4, log=True),
            Knob("collective", "low_latency_fraction", 0.05, 1.0),
            Knob("collective", "reduce_fraction", 0.3, 1.0),
            Knob("collective", "exchange_fraction", 0.3, 1.0),
            Knob("collective", "fused_latency", 1e-6, 3e-5, log=True),
        ),
    ),
    "network": (
        networks,
        (
            Knob("collective", "nic_latency", 1e-6, 1e-4, log=True),
            Knob("collective", "nic_fraction", 0.3, 1.0),
            Knob("collective", "forward_latency", 1e-7, 1e-4, log=True),
        ),
    ),
}


# fitting


def fit_stage(
    name: str, groups: list[Group], knobs: tuple[Knob, ...], start: Calibration
) -> tuple[Calibration, dict[str, Any]]:
    """Fit one class on all chips; leave each chip out (with its twin) for its error and the spread."""
    whole = search(groups, knobs, start)
    print(f"{name}: {sum(len(g.measured) for g in groups)} rows, loss {loss(groups, whole):.3f}")
    print("   ", {k.name: float(f"{whole.coefficients[k.kind][k.name]:.3g}") for k in knobs})
    report: dict[str, Any] = {}
    residuals: dict[str, Any] = {}
    for family in sorted({g.left_out_with() for g in groups}):
        inside = [g for g in groups if g.left_out_with() != family]
        without = search(inside, knobs, whole, sweeps=2) if inside else whole
        for group in (g for g in groups if g.left_out_with() == family):
            left, kept = errors(group, without), errors(group, whole)
            residuals.setdefault(group.family or group.chip, []).append(left)
            report.setdefault(group.chip, {})[group.label] = summary(left)
            print(f"    {group.chip:20s} {group.label:14s} in fit {describe(kept)}   left out {describe(left)}")
    spreads = {chip: spread(np.concatenate(parts)) for chip, parts in residuals.items()}
    sigma, far = float(np.median(list(spreads.values()))), max(spreads.values())
    print(f"    left out, log spread: median over chips {sigma:.3f}, worst {far:.3f}")
    fitted = replace(whole, sigma={**whole.sigma, name: round(sigma, 3)}, far={**whole.far, name: round(far, 3)})
    return fitted, report


def search(groups: list[Group], knobs: tuple[Knob, ...], start: Calibration, sweeps: int = 5) -> Calibration:
    """Coordinate search with golden sections that narrow from sweep to sweep."""
    best, width = start, 1.0
    for _ in range(sweeps):
        for knob in knobs:
            best = _line(groups, knob, best, width)
        width *= 0.5
    return best


def _line(groups: list[Group], knob: Knob, start: Calibration, width: float) -> Calibration:
    forward, back = (math.log, math.exp) if knob.log else (float, float)
    low, high = forward(knob.low), forward(knob.high)
    middle = min(max(forward(max(start.coefficients[knob.kind].get(knob.name, knob.low), knob.low)), low), high)
    a, b = max(low, middle - width * (high - low) / 2), min(high, middle + width * (high - low) / 2)
    ratio = (math.sqrt(5) - 1) / 2
    tried = {x: loss(groups, put(start, knob, back(x))) for x in (middle, b - ratio * (b - a), a + ratio * (b - a))}
    for _ in range(7):
        left, right = b - ratio * (b - a), a + ratio * (b - a)
        for x in (left, right):
            tried.setdefault(x, loss(groups, put(start, knob, back(x))))
        a, b = (a, right) if tried[left] < tried[right] else (left, b)
    return put(start, knob, back(min(tried, key=lambda x: tried[x])))


def put(fitted: Calibration, knob: Knob, value: float) -> Calibration:
    """The calibration with one coefficient changed."""
    changed = {**fitted.coefficients[knob.kind], knob.name: value}
    return replace(fitted, coefficients={**fitted.coefficients, knob.kind: changed})


def errors(group: Group, fitted: Calibration) -> Any:
    """ln(predicted / measured) of each row."""
    return np.log(group.predict(fitted) / group.measured)


def loss(groups: list[Group], fitted: Calibration) -> float:
    """Mean over groups of the mean absolute log error, cut at CUT."""
    return float(np.mean([np.mean(np.minimum(np.abs(errors(group, fitted)), CUT)) for group in groups]))


def spread(errors_of_chip: Any) -> float:
    """Standard deviation of a normal distribution with the same 90th percentile of |error|."""
    return float(np.quantile(np.abs(errors_of_chip), 0.9) / 1.645)


def summary(left: Any) -> dict[str, float]:
    """Median, 90th percentile of |error| (as ratios less one) and bias of one group."""
    size = np.expm1(np.abs(left))
    return {
        "rows": len(left),
        "median": round(float(np.median(size)), 3),
        "p90": round(float(np.quantile(size, 0.9)), 3),
        "bias": round(float(np.expm1(np.median(left))), 3),
    }


def describe(left: Any) -> str:
    """The summary as text."""
    numbers = summary(left)
    return f"{100 * numbers['median']:5.1f} % p90 {100 * numbers['p90']:6.1f} bias {100 * numbers['bias']:+6.1f}"


if __name__ == "__main__":
    main(sys.argv[1:])
