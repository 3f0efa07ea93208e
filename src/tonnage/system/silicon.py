"""NVIDIA AIConfigurator's measured tables (`aiconfigurator-core`, Apache-2.0, the extra `silicon`), read as samples.

Only the data files of the pinned version are read; nothing of the package is executed. Traps of these tables that are
kept out here: message sizes of collectives are elements, not bytes; a table of which a third is faster than the memory;
tables copied from another chip; kernels that a chip has none of its own for; times of several frameworks, of which the
fastest counts. What no chip can do is rejected row by row in `samples.possible`.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tonnage.arrays import Flags, Floats
from tonnage.errors import InputError, Problem
from tonnage.system.accelerator import Accelerator
from tonnage.system.collectives import Collective, Kind
from tonnage.system.measured import Grid, Measured, grids, keys, kind_of
from tonnage.system.precision import Precision
from tonnage.system.samples import Sample, Samples, decode, expert_layer, gemm, pointwise, prefill, scan

if TYPE_CHECKING:
    import pyarrow

PACKAGE, VERSION = "aiconfigurator-core", "0.12.0"

LARGEST_FILE, LARGEST_TABLE = 64 * 2**20, 4_000_000
"""Bounds on one table [byte, rows]."""

CHIPS = {
    "a100_sxm": "a100-sxm-80gb",
    "h100_sxm": "h100-sxm",
    "h200_sxm": "h200-sxm",
    "b200_sxm": "b200-sxm",
    "b300_sxm": "b300-sxm",
    "gb200": "gb200",
    "gb300": "gb300",
    "l40s": "l40s",
    "rtx_pro_6000_server": "rtx-pro-6000",
}
"""Systems of the package -> chips of the catalogue."""

ENGINES = ("sglang", "trtllm", "vllm")
"""Engines whose operators were measured."""

GDDR = ("l40s", "rtx_pro_6000_server")

IMPOSSIBLE = ("data/a100_sxm/attention/trtllm/1.0.0/generation",)
"""Tables of which a third of the rows above 200 MB exceed the memory bandwidth: the rest cannot be trusted either."""

FORMATS = {"bfloat16": "bf16", "fp8": "fp8", "fp8_block": "fp8_block", "nvfp4": "nvfp4"}

SIZES = (64, 128, 192, 256)
"""Head sizes that were measured."""

GATED = ((7168, 2048), (4096, 1536), (2048, 768), (6144, 2048), (5120, 8192), (4096, 14336), (3072, 1536))
"""Hidden and inner widths of expert layers known to be gated (two of three matrices multiplied together)."""

Column = NDArray[np.generic]
"""A column of a table, of words or of numbers: `_number` takes it as numbers."""
Columns = dict[str, Column]
Label = Callable[[Columns], NDArray[np.str_]]
"""What gives each row of a table a name, empty where it is not wanted."""


@dataclass(frozen=True)
class Silicon:
    """The tables of one system. root: the package's folder `systems`; system: its name there; engine: whose tables,
    all frameworks' where empty.
    """

    root: Path
    system: str
    engine: str = ""

    def rows(self, pattern: str, columns: tuple[str, ...], value: str = "latency", unit: float = 1e-3) -> Columns:
        """Columns and `seconds` of every row of the tables that match, where the time is a positive number."""
        parts = [part for file in self.files(pattern) if (part := _read(file, (*columns, value))) is not None]
        if not parts:
            return {}
        held = {name: np.concatenate([part[name] for part in parts]) for name in (*columns, value)}
        held["seconds"] = held.pop(value).astype(float) * unit
        fine = np.isfinite(held["seconds"]) & (held["seconds"] > 0)
        return {name: found[fine] for name, found in held.items()}

    def files(self, pattern: str) -> list[Path]:
        """Tables that match and are believed, in the order of their names."""
        found = sorted((self.root / "data" / self.system).glob(pattern))
        others = set(ENGINES) - {self.engine} if self.engine else set()
        found = [file for file in found if file.parent.parent.name not in others]
        return [file for file in found if not any(part in file.as_posix() for part in IMPOSSIBLE)]

    def labelled(self, pattern: str, columns: tuple[str, ...], label: Label) -> Iterator[tuple[str, Columns]]:
        """(label, columns with `seconds`) of the rows that `label` gives a name: for each shape the fastest of what
        was measured, in the order in which shapes first appear.
        """
        rows = self.rows(pattern, columns)
        if not rows:
            return
        names = label(rows)
        for name in sorted(set(names.tolist()) - {""}):
            here = np.flatnonzero(names == name)
            yield str(name), fastest({column: values[here] for column, values in rows.items()})


def installed() -> Path:
    """The folder `systems` of the installed package. Raises InputError where it is missing or another version."""
    import importlib.metadata

    try:
        version = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            Problem(f"{PACKAGE} is not installed"), hint="pip install 'tonnage[silicon]' brings the measured tables"
        ) from None
    if version != VERSION:
        raise InputError(
            Problem(f"{PACKAGE} {version} is installed; the tables of {VERSION} are those that were checked"),
            hint=f"pip install {PACKAGE}=={VERSION}",
        )
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if found is None or found.origin is None:
        raise InputError(Problem(f"{PACKAGE} {version} has no files"))
    return Path(found.origin).parent / "systems"


def described(root: Path, system: str) -> Accelerator:
    """The chip as the package's own system file has it."""
    text = (root / f"{system}.yaml").read_text(encoding="utf-8")
    value = {m[1]: float(m[2]) for m in re.finditer(r"^\s+(\w+):\s*([\d.eE+]+)", text, re.MULTILINE)}
    names = {"bfloat16_tc_flops": "bf16", "fp8_tc_flops": "fp8", "int8_tc_flops": "int8", "fp4_tc_flops": "fp4"}
    return Accelerator(
        name=CHIPS[system],
        title=system,
        vendor="NVIDIA",
        rates={short: value[name] for name, short in names.items() if name in value},
        memory=value["mem_capacity"],
        bandwidth=value["mem_bw"],
        link=value["intra_node_bw"],
        domain=72 if system.startswith("gb") else int(value["num_gpus_per_node"]),  # the file counts one tray
        nic=value["inter_node_bw"],
        power=value["power"],
        stack="cuda",
    )


def _read(file: Path, columns: tuple[str, ...]) -> Columns | None:
    """Columns of one table; None where it lacks one. Raises InputError for a file that is none, or too large."""
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        if file.stat().st_size > LARGEST_FILE:
            raise InputError(Problem(f"larger than the {LARGEST_FILE:,} bytes that are read", str(file)))
        schema = parquet.read_metadata(file)
        if schema.num_rows > LARGEST_TABLE:
            raise InputError(Problem(f"more than the {LARGEST_TABLE:,} rows that are read", str(file)))
        if set(columns) - set(schema.schema.names):
            return None
        table = parquet.read_table(file, columns=list(columns))
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(Problem(f"is not a table that can be read: {str(error)[:100]}", str(file))) from None
    return {name: _array(table[name].combine_chunks()) for name in columns}


def _array(column: pyarrow.Array) -> Column:
    """A column of pyarrow (which has no types) as an array."""
    import pyarrow.types as types

    if types.is_string(column.type) or types.is_large_string(column.type):
        coded = column.dictionary_encode()
        words = np.array(coded.dictionary.to_pylist(), dtype=str)
        named: Column = words[coded.indices.to_numpy(zero_copy_only=False)]
        return named
    numbers: Column = column.to_numpy(zero_copy_only=False)
    return numbers


def fastest(rows: Columns) -> Columns:
    """For each shape the least of `seconds`, in the order in which shapes first appear."""
    key = np.zeros(len(rows["seconds"]), dtype=np.int64)
    for column, values in rows.items():
        if column != "seconds" and not np.all(values == values[0]):
            names, codes = np.unique(values, return_inverse=True)
            key = key * len(names) + codes
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    best = np.full(len(first), np.inf)
    np.minimum.at(best, group, rows["seconds"])
    order = np.argsort(first)
    return {name: values[first[order]] for name, values in rows.items()} | {"seconds": best[order]}


def _number(rows: Columns, name: str) -> Floats:
    """A column as floats."""
    return rows[name].astype(float)


def _numbers(rows: Columns, names: tuple[str, ...] | str) -> list[Floats]:
    """Columns as floats."""
    return [_number(rows, name) for name in names]


def _named(values: Column, names: Mapping[str, str], fine: Flags = True) -> NDArray[np.str_]:
    """The name of each value, empty where it has none or is not fine."""
    found = np.full(len(values), "", dtype="<U24")
    for value, name in names.items():
        found[(values == value) & fine] = name
    return found


def gemms(tables: Silicon, smallest: tuple[int, int] = (64, 64)) -> Iterator[Samples]:
    """Dense multiplications; smallest: n and k."""

    def label(rows: Columns) -> NDArray[np.str_]:
        n, k = _numbers(rows, "nk")
        return _named(rows["gemm_dtype"], FORMATS, (n >= smallest[0]) & (k >= smallest[1]))

    for name, rows in tables.labelled("gemm/*/*/gemm_perf.parquet", ("gemm_dtype", "m", "n", "k"), label):
        if tables.system == "a100_sxm" and name != "bf16":
            continue  # no such arithmetic: weight-only kernels
        m, n, k = _numbers(rows, "mnk")
        yield Samples(name, Precision(linear=name), (gemm(m, n, k),), _number(rows, "seconds"))


_EXPERTS = (
    *("moe_dtype", "num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size"),
    "distribution",
)


def experts(tables: Silicon) -> Iterator[Samples]:
    """Fused expert layers with balanced routing: permutation, two grouped GEMMs, activation, combination."""

    def label(rows: Columns) -> NDArray[np.str_]:
        hidden, inner, top, ranks = _numbers(rows, ("hidden_size", "inter_size", "topk", "moe_ep_size"))
        pairs = hidden * 100_000 + inner
        fine = np.isin(pairs, [wide * 100_000 + narrow for wide, narrow in GATED])
        # where most tokens belong to other ranks, the work on those rules, which an all-to-all avoids
        fine &= (top >= 0.5 * ranks) & (top > 1) & (rows["distribution"] == "balanced")
        return _named(rows["moe_dtype"], FORMATS, fine)

    for name, rows in tables.labelled("moe/*/*/moe_perf.parquet", _EXPERTS, label):
        if tables.system == "a100_sxm" or (tables.system in GDDR and name == "fp8_block"):
            continue  # A100: balanced rows up to 7 times slower than skewed ones; GDDR chips: no kernel of their own
        yield Samples(name, Precision(linear=name), _layer(rows, fused=True), _number(rows, "seconds"))


def wide_experts(tables: Silicon) -> Iterator[Samples]:
    """Expert layers behind an all-to-all (DeepGEMM kernels), uniform routing: what wide expert parallelism runs."""
    for phase in ("context", "generation"):

        def label(rows: Columns, phase: str = phase) -> NDArray[np.str_]:
            # prefill: long enough to hide an eager launch of 0.4 ms
            tokens, top, ranks = _numbers(rows, ("num_tokens", "topk", "moe_ep_size"))
            busy = tokens * top >= 16384 * ranks
            return _named(rows["distribution"], {"uniform": "fp8_block wide"}, busy if phase == "context" else True)

        for name, rows in tables.labelled(f"moe/sglang/*/wideep_{phase}_moe_perf.parquet", _EXPERTS, label):
            work = _layer(rows, fused=False, moved=phase == "context")
            yield Samples(f"{name} {phase}", Precision(linear="fp8_block"), work, _number(rows, "seconds"))


def _layer(rows: Columns, *, fused: bool, moved: bool = True) -> tuple[Sample, ...]:
    """An expert layer of one rank, from the columns of `_EXPERTS`."""
    tokens, hidden, inner, top, many, tp, ep = _numbers(rows, _EXPERTS[1:-1])
    return expert_layer(tokens * top / ep, many / ep, hidden, inner / tp, tokens if fused else 0.0, moved=moved)


_HEADS = ("num_heads", "num_key_value_heads", "head_dim", "window_size")
_SHORT = {"bfloat16": "bf16", "fp8": "fp8"}


def prefills(tables: Silicon, sizes: tuple[int, ...] = (64, 128), least: int = 64) -> Iterator[Samples]:
    """Causal prefill without context: grouped-query and multi-head, and latent attention in its expanded form."""

    def label(rows: Columns) -> NDArray[np.str_]:
        window, new, dim = _numbers(rows, ("window_size", "isl", "head_dim"))
        fine = (window == 0) & (new >= least) & np.isin(dim, sizes)
        return _named(rows["attn_dtype"], _SHORT, fine)

    columns = ("attn_dtype", "kv_cache_dtype", "batch_size", "isl", *_HEADS)
    for name, rows in tables.labelled("attention/*/*/context_attention_perf.parquet", columns, label):
        batch, new, heads, kv, dim = _numbers(rows, columns[2:-1])
        work = prefill(batch, new, heads, 2 * dim, 2 * kv * dim)
        yield Samples(name, Precision(attention=name), (work,), _number(rows, "seconds"))

    def latent(rows: Columns) -> NDArray[np.str_]:
        return np.where(_number(rows, "isl") >= least, "bf16 latent prefill", "")

    own = ("mla_dtype", "kv_cache_dtype", "num_heads", "batch_size", "isl")
    for name, rows in tables.labelled("mla/*/*/context_mla_perf.parquet", own, latent):
        heads, batch, new = _numbers(rows, own[2:])
        work = prefill(batch, new, heads, 192.0 + 128.0, heads * 320.0)
        yield Samples(name, Precision(), (work,), _number(rows, "seconds"))


def decodes(tables: Silicon, sizes: tuple[int, ...] = (64, 128), least: int = 64) -> Iterator[Samples]:
    """Decode over a cache: grouped-query and multi-head, and absorbed latent attention."""

    def label(rows: Columns) -> NDArray[np.str_]:
        window, step, dim = _numbers(rows, ("window_size", "step", "head_dim"))
        fine = (window == 0) & (step >= least - 1) & np.isin(dim, sizes)
        return _named(rows["kv_cache_dtype"], {long: f"{short} cache" for long, short in _SHORT.items()}, fine)

    columns = ("attn_dtype", "kv_cache_dtype", "batch_size", "step", *_HEADS)
    for name, rows in tables.labelled("attention/*/*/generation_attention_perf.parquet", columns, label):
        batch, step, heads, kv, dim = _numbers(rows, columns[2:-1])
        work = decode(batch, step + 1, heads, 2 * dim, 2 * kv * dim)
        yield Samples(name, Precision(cache=name.split()[0]), (work,), _number(rows, "seconds"))

    def latent(rows: Columns) -> NDArray[np.str_]:
        names = {long: f"{short} latent" for long, short in _SHORT.items()}
        return _named(rows["kv_cache_dtype"], names, _number(rows, "step") >= least - 1)

    own = ("mla_dtype", "kv_cache_dtype", "num_heads", "batch_size", "step")
    for name, rows in tables.labelled("mla/*/*/generation_mla_perf.parquet", own, latent):
        if tables.system == "a100_sxm" or (tables.system in GDDR and name == "fp8 latent"):
            continue  # no kernel of its own: 2 to 20 times slower than the same chip's grouped-query decode
        heads, batch, step = _numbers(rows, own[2:])
        work = decode(batch, step + 1, heads, 576.0 + 512.0, 576.0)
        yield Samples(name, Precision(cache=name.split()[0]), (work,), _number(rows, "seconds"))


def scans(tables: Silicon) -> Iterator[Samples]:
    """Gated delta rule (Qwen3-Next/3.5): chunked prefill, recurrent decode."""
    kernels = {"chunk_gated_delta_rule": "prefill", "fused_recurrent_gated_delta_rule_packed_decode": "decode"}
    columns = ("kernel_source", "batch_size", "seq_len", "num_k_heads", "num_v_heads")

    def label(rows: Columns) -> NDArray[np.str_]:
        return _named(rows["kernel_source"], kernels)

    for name, rows in tables.labelled("linear_attention/*/*/gdn_perf.parquet", columns, label):
        batch, length, keys, values = _numbers(rows, columns[1:])
        length = length if name == "prefill" else np.ones_like(length)
        work = scan(batch * length, batch, np.minimum(length, 64.0), keys, values)
        yield Samples(name, Precision(), (work,), _number(rows, "seconds"))


def elementwise(tables: Silicon) -> Iterator[Samples]:
    """Scaling and narrowing of an m x k matrix: two bytes read, one written."""
    pattern = "quantize/*/*/scale_matrix_perf.parquet"
    for name, rows in tables.labelled(
        pattern, ("m", "k", "quant_dtype"), lambda rows: np.full(len(rows["m"]), "scale")
    ):
        yield Samples(
            name, Precision(), (pointwise(1.5 * _number(rows, "m") * _number(rows, "k")),), _number(rows, "seconds")
        )


_NCCL, _OWN = "comm/nccl/*/nccl_perf.parquet", "comm/*/*/custom_allreduce_perf.parquet"
_MESSAGE = ("op_name", "nccl_dtype", "num_gpus", "message_size")


def _library(rows: Columns) -> NDArray[np.str_]:
    """NCCL's reductions and all-to-all in 16 bits."""
    kinds = {"all_reduce": "all_reduce", "alltoall": "all_to_all"}
    return _named(rows["op_name"], kinds, rows["nccl_dtype"] == "half")


def _own(rows: Columns) -> NDArray[np.str_]:
    """All rows: the engines' own reductions."""
    return np.full(len(rows["num_gpus"]), "fused")


def exchanges(tables: Silicon) -> Iterator[Samples]:
    """NCCL inside one scale-up domain, and the engines' own reductions (`fused`).

    The tables' message_size counts elements of 16 bit. Chips whose ranks meet over PCIe have no scale-up fabric.
    """
    if tables.system in GDDR:
        return
    for name, rows in tables.labelled(_NCCL, _MESSAGE, _library):
        kind: Kind = "all_reduce" if name == "all_reduce" else "all_to_all"
        yield Samples(name, Precision(), (_message(rows, kind),), _number(rows, "seconds"))
    for _, rows in tables.labelled(_OWN, _MESSAGE[2:], _own):
        yield Samples("fused", Precision(), (_message(rows, "all_reduce"),), _number(rows, "seconds"), fused=True)


def reductions(tables: Silicon) -> Iterator[Samples]:
    """All-reduce of an engine, which takes its own kernels or NCCL, whichever is faster; and NCCL alone."""
    if tables.system in GDDR:
        return
    parts = [rows for name, rows in tables.labelled(_NCCL, _MESSAGE, _library) if name == "all_reduce"]
    for rows in parts:
        yield Samples("all_reduce", Precision(), (_message(rows, "all_reduce"),), _number(rows, "seconds"))
    parts += [rows for _, rows in tables.labelled(_OWN, _MESSAGE[2:], _own)]
    if parts:
        rows = fastest({name: np.concatenate([part[name] for part in parts]) for name in (*_MESSAGE[2:], "seconds")})
        yield Samples("fused", Precision(), (_message(rows, "all_reduce"),), _number(rows, "seconds"), fused=True)


def _message(rows: Columns, kind: Kind) -> Collective:
    """A collective of the columns of `_MESSAGE`."""
    ranks, elements = _numbers(rows, _MESSAGE[2:])
    return Collective(kind, kind, elements * 2.0, ranks, forwarding=False)


def networks(tables: Silicon) -> Iterator[Samples]:
    """DeepEP dispatch (FP8) and combine (BF16) over one to eight nodes of eight H100, 7168 wide, 8 of 256 experts.

    H200's multi-node rows are a copy of H100's; normal dispatch on eight nodes reaches a third of what DeepEP publishes
    (51 GB/s at 64 ranks): both are left out.
    """
    if tables.system != "h100_sxm":
        return
    columns = ("hidden_size", "num_topk", "num_experts", "node_num", "num_token")
    for mode, suffix in (("normal", "transmit_us"), ("ll", "avg_t_us")):
        pattern = f"comm/sglang/0.5.6.post2/wideep_deepep_{mode}_perf.parquet"
        for phase, element in (("dispatch", 1.0), ("combine", 2.0)):
            rows = fastest(tables.rows(pattern, columns, f"{phase}_{suffix}", 1e-6))
            hidden, top, many, nodes, tokens = _numbers(rows, columns)
            fine = (hidden == 7168) & (top == 8) & (many == 256) & (tokens >= 8)
            fine &= (nodes != 8) | (mode != "normal")
            payload, ranks = tokens[fine] * 7168 * element, 8 * nodes[fine]
            work = Collective(mode, "all_to_all", payload, ranks, copies=8.0, limit=4.0, forwarding=mode == "normal")
            yield Samples(f"{mode} {phase}", Precision(), (work,), _number(rows, "seconds")[fine])


_TABLES: dict[str, tuple[Callable[[Silicon], Iterator[Samples]], ...]] = {
    "gemm": (gemms,),
    "prefill": (functools.partial(prefills, sizes=SIZES, least=1),),
    "decode": (functools.partial(decodes, sizes=SIZES, least=1),),
    "all_reduce": (reductions,),
    "all_to_all": (networks, exchanges),
}
"""What corrects the model. Not the expert tables: they time whole layers with routing and permutation, 20 to 70 %
longer than the model at one or two rows an expert, and services are predicted worse with them (docs/lab.md)."""


def silicon(accelerator: Accelerator, root: Path | None = None, engine: str = "") -> Measured | None:
    """What the package measured on a chip, read table by table when it is first needed; None for a chip it lacks.

    root: its folder `systems`, the installed package's where None. Raises InputError where the package is missing or
    another version.
    """
    system = {chip: system for system, chip in CHIPS.items()}.get(accelerator.name)
    if system is None:
        return None
    tables = Silicon(root or installed(), system, engine)

    chip = replace(accelerator, measured=None)

    @functools.cache
    def read(kind: str) -> tuple[Samples, ...]:
        return tuple(itertools.chain.from_iterable(each(tables) for each in _TABLES.get(kind, ())))

    @functools.cache
    def grid(key: str) -> Grid | None:
        found = [samples for samples in read(kind_of(key)) if key in keys(samples, chip)]
        return grids(found, chip).get(key)

    return Measured(f"{PACKAGE} {VERSION}, {system} (NVIDIA, Apache-2.0)", chip, grid)
