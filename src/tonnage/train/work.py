"""The work of one micro-batch in one layer, in seconds by class, before anything is overlapped or scheduled.

Everything here is physics at the system room's rates: local operators and collectives, priced once for each distinct
(tp, cp, ep, etp, mbs). What a software stack makes of it (clocks, overlap, launches) is applied in `step`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tonnage.arrays import Numbers
from tonnage.layout import Layout, backward, collectives, shard
from tonnage.model.architecture import Architecture, operators
from tonnage.model.operators import EMBEDDING, Load, Operator, Step
from tonnage.system import Accelerator, Collective, Precision, collective_time, operator_time
from tonnage.train import adapters, upkeep
from tonnage.train.job import TrainJob

LAYER = ("tp", "cp", "ep", "etp", "mbs")
"""Degrees that the work of a layer depends on."""

FORMAT = {"bf16": "bf16", "fp16": "fp16", "fp8": "fp8", "mxfp8": "mxfp8", "nvfp4": "nvfp4"}


@dataclass(frozen=True)
class Passes:
    """Seconds of a set of operators in one micro-batch on one rank, by class.

    gemm, expert: matrix products (dense; of routed experts): forward, input gradient, weight gradient; core: attention,
    scan: linear attention and state-space scans, memory: element-wise work and look-ups, shuffle: the same of routed
    experts (permuting, activation, combining), each forward and backward. sparse: layers with routed experts; kernels:
    launches forward; up: MLA's up-projections forward, tail: the last products of the layers, both in `gemm` or
    `expert` too.
    """

    gemm: Numbers = 0.0
    gemm_input: Numbers = 0.0
    gemm_weight: Numbers = 0.0
    expert: Numbers = 0.0
    expert_input: Numbers = 0.0
    expert_weight: Numbers = 0.0
    core: Numbers = 0.0
    core_back: Numbers = 0.0
    scan: Numbers = 0.0
    scan_back: Numbers = 0.0
    memory: Numbers = 0.0
    memory_back: Numbers = 0.0
    shuffle: Numbers = 0.0
    shuffle_back: Numbers = 0.0
    sparse: Numbers = 0.0
    kernels: Numbers = 0.0
    up: Numbers = 0.0
    tail: Numbers = 0.0


@dataclass(frozen=True)
class LayerWork:
    """Work of an average decoder layer, of the ends of the model, and what they hold; one entry a combination.

    layer, head: `Passes` (head: final norm, logits, loss, multi-token prediction); embed: seconds of the look-up;
    tensor, expert, context: seconds of the collectives of one layer forward (over tp, ep and etp, cp); saved: bytes
    one layer keeps for backward by recomputation (none, selective, full); head_saved: bytes of the logits and MTP;
    peak: bytes alive while one layer is computed; dense, experts: parameters of one layer on a rank; first, last:
    parameters of the embedding and of the head on a rank; depth: layers; adapters: parameters of one layer's adapters
    on a rank (dense, of experts); polish: seconds in which one rank would orthogonalise the matrices of one uncut layer
    (dense, of experts); largest: elements of the largest matrix on a rank.
    """

    layer: Passes
    head: Passes
    embed: Numbers
    tensor: Numbers
    expert: Numbers
    context: Numbers
    saved: tuple[Numbers, Numbers, Numbers]
    head_saved: Numbers
    peak: Numbers
    dense: Numbers
    experts: Numbers
    first: Numbers
    last: Numbers
    depth: int
    adapters: tuple[Numbers, Numbers] = (0.0, 0.0)
    polish: tuple[Numbers, Numbers] = (0.0, 0.0)
    largest: Numbers = 0.0


def layer_work(job: TrainJob, chip: Accelerator, layout: Layout, imbalance: float) -> LayerWork:
    """Price the combinations of `layout` (its tp, cp, ep, etp, mbs)."""
    arch = job.arch
    tokens = np.asarray(layout.mbs, dtype=float) * job.seq
    step = Step((Load(np.asarray(layout.mbs, dtype=float), float(job.seq)),), tokens, mtp=arch.mtp is not None)
    whole = operators(arch, step)
    local = shard(whole, layout, sequence_parallel=job.sequence_parallel, imbalance=imbalance)
    decoder = [op for op in local if op.block >= 0]
    ends = [op for op in local if op.block < EMBEDDING]
    embedding = [op for op in local if op.block == EMBEDDING]
    formats = Precision(
        linear=FORMAT[job.precision], experts=EXPERTS.get(job.precision), attention=job.sixteen, head=job.sixteen
    )
    wires = _wires(job, [op for op in whole if op.block >= 0], layout, chip, imbalance)
    depth = arch.depth
    beside = () if job.lora_rank is None else adapters.adapters(decoder, job.lora_rank, job.lora_on)
    every = _beside(job, passes(job, decoder, chip, formats, layout), (beside, decoder), chip, formats)
    return LayerWork(
        layer=_scaled(every, 1.0 / depth),
        head=passes(job, ends, chip, formats, layout),
        embed=sum((_seconds(op, chip, formats) * op.count for op in embedding), start=0.0),
        tensor=wires["tp"] / depth,
        expert=(wires["ep"] + wires["etp"]) / depth,
        context=wires["cp"] / depth,
        saved=_saved(job, decoder, layout, depth),
        head_saved=_head_saved(job, ends),
        peak=_peak(job, decoder),
        dense=_held(op for op in decoder if op.part != "experts") / depth,
        experts=_held(op for op in decoder if op.part == "experts") / depth,
        first=_held(embedding) + _tied(arch, layout),
        last=_held(ends),
        depth=depth,
        adapters=_parts(beside, lambda op: op.weight * op.count / depth),
        polish=_polish(job, whole, chip, formats),
        largest=adapters.largest(decoder),
    )


def _parts(local: Iterable[Operator], measure: Callable[[Operator], Numbers]) -> tuple[Numbers, Numbers]:
    """(sum over dense operators, over those of routed experts)."""
    sums: list[Numbers] = [0.0, 0.0]
    for op in local:
        place = int(op.part == "experts")
        sums[place] = sums[place] + measure(op)
    return sums[0], sums[1]


def _beside(
    job: TrainJob,
    work: Passes,
    local: tuple[Sequence[Operator], Sequence[Operator]],
    chip: Accelerator,
    precision: Precision,
) -> Passes:
    """Passes with the products of adapters, whose own gradients are counted with those of their inputs, and with the
    unpacking of narrow weights, before each product forward and backward. local: adapters; the layers.
    """
    beside, decoder = local
    if beside:
        own = passes(job, beside, chip, precision, Layout())
        more = {
            "gemm": own.gemm,
            "gemm_input": own.gemm_input + own.gemm_weight,
            "expert": own.expert,
            "expert_input": own.expert_input + own.expert_weight,
            "kernels": own.kernels,
        }
        work = replace(work, **{name: getattr(work, name) + value for name, value in more.items()})
    if job.stored is None:
        return work
    unpack = adapters.unpacking(decoder, job.stored)
    dense, routed = _parts(unpack, lambda op: _seconds(op, chip, precision) * op.count)
    return replace(
        work,
        gemm=work.gemm + dense,
        gemm_input=work.gemm_input + dense,
        expert=work.expert + routed,
        expert_input=work.expert_input + routed,
    )


def _polish(
    job: TrainJob, whole: Sequence[Operator], chip: Accelerator, precision: Precision
) -> tuple[Numbers, Numbers]:
    """Seconds of Muon's products for the matrices of one uncut layer, in 16 bits: (dense, of experts)."""
    rounds = upkeep.OPTIMIZERS[job.optimizer].rounds
    if not rounds or job.frozen:
        return 0.0, 0.0
    sixteen = replace(precision, linear=job.sixteen, experts=None)
    sums = [0.0, 0.0]
    for product, copies in adapters.orthogonalisation((op for op in whole if op.block >= 0), rounds):
        plain = replace(product, part="ffn")
        seconds = float(np.ravel(_seconds(plain, chip, sixteen))[0])
        sums[int(product.part == "experts")] += copies * seconds / job.arch.depth
    return sums[0], sums[1]


def _seconds(op: Operator, chip: Accelerator, precision: Precision) -> Numbers:
    """Time of one local operator in one layer [s]; the products of a rank that holds one expert are plain ones."""
    seconds = operator_time(op, chip, precision).seconds
    if op.kind != "grouped_gemm" or np.all(np.asarray(op.groups) > 1):
        return seconds
    plain = replace(op, kind="gemm", m=op.m * op.top_k, groups=1.0, top_k=1.0)
    return np.where(np.asarray(op.groups) > 1, seconds, operator_time(plain, chip, precision).seconds)


def passes(job: TrainJob, local: Sequence[Operator], chip: Accelerator, precision: Precision, layout: Layout) -> Passes:
    """Seconds by class of local operators, their counts included."""
    sums: dict[str, Numbers] = dict.fromkeys(Passes.__dataclass_fields__, 0.0)
    for op in local:
        if op.part == "other" and op.kind == "lookup":
            continue
        name = CLASS.get(op.kind, "shuffle" if op.part == "experts" else "memory")
        if op.kind == "attention" and not job.flash:
            forward, *gradients = _materialised(op, job, chip, precision)
        else:
            forward = _seconds(op, chip, precision)
            gradients = [_seconds(back, chip, precision) for back in backward(op)]
        sums[name] = sums[name] + op.count * forward
        keys = (f"{name}_input", f"{name}_weight") if len(gradients) == 2 else (f"{name}_back",)
        for key, seconds in zip(keys, gradients, strict=True):
            sums[key] = sums[key] + op.count * seconds
        sums["kernels"] = sums["kernels"] + op.count
        if op.role == "router":
            sums["sparse"] = sums["sparse"] + op.count
        if op.role == "down" and op.part in ("ffn", "experts"):
            sums["tail"] = sums["tail"] + op.count * forward
        if op.role == "mla_up":
            sums["up"] = sums["up"] + op.count * forward
    return Passes(**sums)


def _materialised(op: Operator, job: TrainJob, chip: Accelerator, precision: Precision) -> list[Numbers]:
    """[forward, backward] seconds of attention that writes its scores to memory.

    The whole square is computed (twice the causal FLOP): two batched products of depth d and s; the scores are written,
    softmaxed, dropped out and read: 13 bytes an element forward, 18 backward (mask, softmax and product gradients).
    Korthikanti 2022 (arXiv 2205.05198, section 4.1) counts the 5 bytes of them that are kept.
    """
    scores = op.flop / np.maximum(op.k, 1.0)  # causal pairs x heads x 2 = the square
    products = []
    for depth, width in ((op.k / 2, job.seq), (job.seq, op.k / 2)):
        gemm = Operator("scores", "attention", "gemm", 0, 1, "none", m=float(job.seq), n=width, k=depth, flop=op.flop)
        products.append(_seconds(gemm, chip, precision))
    byte = scores / chip.bandwidth
    return [sum(products) + 13 * byte, 2 * sum(products) + 18 * byte]


def _scaled(work: Passes, factor: float) -> Passes:
    return Passes(**{name: getattr(work, name) * factor for name in Passes.__dataclass_fields__})


def _held(local: Iterable[Operator]) -> Numbers:
    """Parameters on a rank."""
    return sum((op.weight * op.count for op in local), start=0.0)


def _tied(arch: Architecture, layout: Layout) -> Numbers:
    """Parameters of the copy of a tied table that the first stage keeps."""
    return arch.vocab * arch.hidden / np.asarray(layout.tp, dtype=float) if arch.tied else 0.0


EXPERTS = {"nvfp4": "mxfp8"}
"""Format of routed experts where it is not the decoder's: preparing NVFP4 (Hadamard transform, stochastic rounding, two
levels of scales: arXiv 2509.25149) costs products as small as experts' what it saves; published NVFP4 runs of
mixtures are as fast as their MXFP8 twins. Assumption."""
PRODUCTS = 0.8
"""Share of what selective recomputation keeps that is there for matrix products, and goes as far as those are repeated
too (`Framework.selective`: torchtitan repeats every second one). Assumption."""
ALIVE = 1.25
"""Bytes alive while a layer is recomputed or differentiated, over all that it keeps: gradients beside. Assumption."""
CLASS = {"gemm": "gemm", "grouped_gemm": "expert", "attention": "core", "scan": "scan"}
"""Class of an operator by its kind; the rest is element-wise."""


def _saved(job: TrainJob, decoder: Sequence[Operator], layout: Layout, depth: int) -> tuple[Numbers, Numbers, Numbers]:
    """Bytes one layer keeps for backward, by recomputation: none, selective, full.

    Inputs of matrix products that run in 8 bits are kept in 8 bits, the rest in 16. Selective repeats what is
    element-wise, so that what norms and activation functions give to matrix products is not kept, only what they
    take, activation functions' inputs in 8 bits where the products are; and MLA's up-projections (Megatron-Core's
    `layernorm`, `moe_act`, `mla_up_proj`). Attention that is not fused keeps 5 bytes for each score unless repeated
    (arXiv 2205.05198, section 4.1). Full keeps the layer's input.
    """
    low = 1.0 if job.compute in ("fp8", "fp4") and job.traits.narrow_saved else 2.0
    latent = any(op.role == "mla_up" for op in decoder)
    every: Numbers = 0.0
    light: Numbers = 0.0
    for op in decoder:
        product = op.kind in ("gemm", "grouped_gemm") and op.part not in ("router", "other")
        size = (low if product else 2.0) * op.saved * op.count / depth
        every = every + size
        if op.kind == "attention":
            size = size * (0.0 if latent else 1.0)
        elif product and (op.role == "down" or _after_norm(op, job.arch.hidden)):
            size = 0.0 * size
        elif op.role == "activation":
            size = size * low / 2.0
        light = light + size
    light = light * (1.0 - PRODUCTS * job.traits.selective)
    scores: Numbers = 0.0
    if not job.flash:
        core = [op for op in decoder if op.kind == "attention"]
        scores = sum(5.0 * op.count * op.flop / np.maximum(op.k, 1.0) for op in core) / depth
    cut = np.asarray(layout.cp, dtype=float) * (layout.tp if job.sequence_parallel else 1)
    full = 2.0 * np.asarray(layout.mbs, dtype=float) * job.seq * job.arch.hidden / cut
    return every + scores, light, full


def _head_saved(job: TrainJob, ends: Sequence[Operator]) -> Numbers:
    """Bytes of the head, the loss and multi-token prediction; logits by what the framework's loss keeps of each, of one
    chunk of tokens where it goes chunk by chunk.
    """
    logit = job.traits.loss_bytes / 2.0 / (job.loss_chunks or 1)
    sizes = [op.saved * op.count * (logit if op.role == "logits" else 2.0) for op in ends]
    return sum(sizes, start=0.0)


def _after_norm(op: Operator, hidden: int) -> bool:
    """Whether a dense product reads the residual, which a norm has just made."""
    return op.kind == "gemm" and op.cut != "row" and bool(np.all(np.asarray(op.k) == hidden))


def _peak(job: TrainJob, decoder: Sequence[Operator]) -> Numbers:
    """Bytes alive while one layer is recomputed or differentiated: all that the fullest block keeps, and gradients."""
    blocks = {op.block for op in decoder}
    sizes = [sum(2.0 * op.saved for op in decoder if op.block == block) for block in blocks]
    largest = sizes[0]
    for size in sizes[1:]:
        largest = np.maximum(largest, size)
    return ALIVE * largest


def _wires(
    job: TrainJob, decoder: Sequence[Operator], layout: Layout, chip: Accelerator, imbalance: float
) -> dict[str, Numbers]:
    """Seconds of the collectives of all decoder layers, forward, by group (tp, ep, etp, cp)."""
    found = collectives(
        decoder,
        layout,
        sequence_parallel=job.sequence_parallel,
        dispatch=job.dispatch_bytes,
        domain_limit=job.node_limit,
        forwarding=job.forwards,
        imbalance=imbalance,
    )
    sums: dict[str, Numbers] = dict.fromkeys(("tp", "ep", "etp", "cp"), 0.0 * np.asarray(layout.mbs, dtype=float))
    for wire in found:
        assert wire.group in sums, wire
        sums[wire.group] = sums[wire.group] + wire.count * _time(wire, chip)
    return sums


def _time(wire: Collective, chip: Accelerator) -> Numbers:
    if np.all(np.asarray(wire.size) <= 1):
        return 0.0
    return collective_time(wire, chip)
