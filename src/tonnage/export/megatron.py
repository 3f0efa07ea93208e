"""Megatron-LM: arguments of `pretrain_gpt.py`, by the names of its own parser (`data/megatron.json`)."""

from __future__ import annotations

from collections.abc import Iterator

from tonnage.export import stages
from tonnage.export.exported import ExportedFile
from tonnage.export.setting import Setting
from tonnage.export.shape import shape
from tonnage.export.torchrun import scripts
from tonnage.export.train_launch import TrainLaunch, launched, priced_for, refuse, runs_on
from tonnage.train.result import TrainPlan

NAME = "megatron"

PLANNED_FOR = (None, "megatron-lm", "nemo", "megatron-core", "pytorch-nvidia")
"""Frameworks whose plans it carries out: all of them are Megatron-Core's loops."""

STACKS = ("cuda", "rocm")

OPTIMIZERS = {"adamw": "adam", "muon": "muon", "lion": "lion", "sgd": "sgd"}
"""Its names of optimizers (`--optimizer`); AdamW is its `adam` (`--decoupled-weight-decay` is on)."""

SHARDING = {2: "optim_grads", 3: "optim_grads_params"}
"""What Megatron-FSDP shards, by ZeRO's stage."""


def files(plan: TrainPlan) -> tuple[ExportedFile, ...]:
    """`train.sh`, and `sbatch.sh` where several servers work."""
    run = launched(plan, NAME)
    priced_for(run, NAME, PLANNED_FOR, "megatron-lm")
    runs_on(run, NAME, STACKS)
    refuse(NAME, run.job.task != "pretrain", f"{run.job.task} is not what pretrain_gpt.py does")
    made = (*layout(run, NAME), *work(run, NAME), *states(run, NAME), *shape(run.job.arch, NAME), *yours(run))
    return scripts(run, NAME, "pretrain_gpt.py", made, environment(run))


def layout(run: TrainLaunch, engine: str) -> Iterator[Setting]:
    """How the model is cut."""
    own = run.layout
    yield Setting("--tensor-model-parallel-size", int(own.tp), "tp")
    if int(own.tp) > 1 and run.job.sequence_parallel:
        yield Setting("--sequence-parallel", True, "sequence")
    yield Setting("--pipeline-model-parallel-size", int(own.pp), "pp")
    yield from _pipeline(run, engine)
    yield Setting("--context-parallel-size", int(own.cp), "cp")
    if run.job.arch.moe:
        yield Setting("--expert-model-parallel-size", int(own.ep), "ep")
        yield Setting("--expert-tensor-parallel-size", int(own.etp), "etp")


def _pipeline(run: TrainLaunch, engine: str) -> Iterator[Setting]:
    """Chunks of layers on stages; schedules that are 1F1B, interleaved or not."""
    own, depth = run.layout, run.job.arch.depth
    pp, vpp = int(own.pp), int(own.vpp)
    hint = "tonnage train ... --layout schedule=1f1b or schedule=interleaved"
    refuse(engine, run.schedule == "zb", "has no zero-bubble schedule", hint)
    refuse(engine, run.schedule == "dualpipe", "has no DualPipe", hint)
    if pp == 1:
        return
    mtp = run.job.arch.mtp.count if run.job.arch.mtp is not None else 0
    if not stages.even(depth, pp * vpp):
        yield Setting("--pipeline-model-parallel-layout", stages.written(depth, pp * vpp, mtp), "stages")
    elif vpp > 1:
        yield Setting("--num-virtual-stages-per-pipeline-rank", vpp, "vpp")
    if vpp > 1:
        many = run.microbatches
        why = f"{many} micro-batches of a step do not divide over pp{pp}, which its interleaved schedule needs"
        refuse(engine, many % pp != 0, why, "another --global-batch, or --layout with another mbs or dp")


def work(run: TrainLaunch, engine: str) -> Iterator[Setting]:
    """Batch, sequence, format of products, what is computed again, routing, what runs behind what."""
    job, own = run.job, run.layout
    yield Setting("--micro-batch-size", int(own.mbs), "mbs")
    yield Setting("--global-batch-size", job.global_batch, "batch")
    yield Setting("--seq-length", job.seq, "seq")
    yield Setting("--max-position-embeddings", job.seq, "seq")
    if run.steps is not None:
        yield Setting("--train-iters", run.steps, "tokens")
    yield from precision(run)
    if run.recompute != "none":
        yield Setting("--recompute-granularity", run.recompute, "recompute")
    if run.recompute == "full":
        yield Setting("--recompute-method", "uniform", "recompute")
        yield Setting("--recompute-num-layers", 1, "recompute")
    refuse(engine, job.routing == "dropped", "the capacity at which tokens are dropped is not in the plan")
    if job.routing == "forced" and job.arch.moe:
        yield Setting("--moe-router-force-load-balancing", True, "routing")
    refuse(engine, not job.fuses, "fuses element-wise operators; the plan was priced without (--no-compile)")
    refuse(engine, job.loss_chunks is not None, "computes the loss of a micro-batch at once (--loss-chunks)")
    yield from _hidden(run)


def precision(run: TrainLaunch) -> Iterator[Setting]:
    """Format of products; FP8 that scales otherwise than in blocks of 32 is left to the engine's own recipe."""
    yield Setting("--fp16" if run.job.precision == "fp16" else "--bf16", True, "precision")
    if run.job.precision == "fp8":
        yield Setting("--fp8-format", "hybrid", "precision")
    elif run.job.precision == "mxfp8":
        yield Setting("--fp8-format", "e4m3", "precision")
        yield Setting("--fp8-recipe", "mxfp8", "precision")
    elif run.job.precision == "nvfp4":
        yield Setting("--fp4-format", "e2m1", "precision")
        yield Setting("--fp4-recipe", "nvfp4", "precision")


def _hidden(run: TrainLaunch) -> Iterator[Setting]:
    """What was priced as running behind arithmetic."""
    job, own = run.job, run.layout
    if int(own.tp) > 1 and job.hides_tensor and job.sequence_parallel and run.chip.stack == "cuda":
        yield Setting("--tp-comm-overlap", True, "overlap_tp")
    if int(own.dp) * int(own.cp) > 1 and job.traits.hides("gradients", job.when) and int(own.zero):
        yield Setting("--overlap-grad-reduce", True, "overlap")
        if job.traits.hides("weights", job.when):
            yield Setting("--overlap-param-gather", True, "overlap")
    if not job.arch.moe:
        return
    yield Setting("--moe-grouped-gemm", True, "grouped")
    if int(own.ep) > 1:
        yield Setting("--moe-token-dispatcher-type", "alltoall", "dispatch")
    if int(own.ep) > 1 and job.hides_experts and int(own.vpp) > 1 and run.recompute != "full" and int(own.zero) < 2:
        yield Setting("--overlap-moe-expert-parallel-comm", True, "overlap_ep")


def states(run: TrainLaunch, engine: str) -> Iterator[Setting]:
    """What is sharded, the optimizer, its formats, what the host keeps."""
    job, own = run.job, run.layout
    zero = int(own.zero)
    refuse(engine, job.optimizer not in OPTIMIZERS, f"has no {job.optimizer}", f"it has {', '.join(OPTIMIZERS)}")
    if zero in SHARDING:
        yield Setting("--use-megatron-fsdp", True, "zero")
        yield Setting("--data-parallel-sharding-strategy", SHARDING[zero], "zero")
        yield Setting("--ckpt-format", "fsdp_dtensor", "engine")
        yield Setting("--use-distributed-optimizer", True, "engine")
    elif zero == 1:
        yield Setting("--use-distributed-optimizer", True, "zero")
    yield from _grouped(run, engine)
    yield Setting("--optimizer", OPTIMIZERS[job.optimizer], "optimizer")
    yield from _formats(run, engine)


def _grouped(run: TrainLaunch, engine: str) -> Iterator[Setting]:
    """Ranks over which is sharded, where they are not all."""
    replicas, group = int(run.layout.dp) * int(run.layout.cp), run.job.shard_group
    if group is None or group >= replicas or not int(run.layout.zero):
        return
    refuse(engine, replicas % group != 0, f"{replicas} replicas make no whole groups of {group}")
    yield Setting("--num-distributed-optimizer-instances", replicas // group, "group")


def _formats(run: TrainLaunch, engine: str) -> Iterator[Setting]:
    job = run.job
    refuse(engine, job.master != "fp32", "keeps a copy of the weights in 32 bits")
    refuse(engine, job.moments == "int8", "has no moments in 8-bit integers", "--moments bf16 or fp16")
    narrow = [one for one in ("bf16", "fp16") if one == job.moments]
    for one in narrow:
        yield Setting("--exp-avg-dtype", one, "moments")
        yield Setting("--exp-avg-sq-dtype", one, "moments")
    if job.gradients == "bf16":
        yield Setting("--main-grads-dtype", "bf16", "gradients")
    elif int(run.layout.zero) < 2:
        yield Setting("--accumulate-allreduce-grads-in-fp32", True, "gradients")
    host = "optimizer" in job.offload
    if narrow or host or job.gradients == "bf16":
        refuse(engine, int(run.layout.zero) != 1, "keeps narrow or offloaded states only of a distributed optimizer "
               "(zero1)", "tonnage train ... --layout zero1")  # fmt: skip
        yield Setting("--use-precision-aware-optimizer", True, "engine")
    if host:
        yield Setting("--optimizer-cpu-offload", True, "offload")
    refuse(engine, "params" in job.offload, "does not keep weights on the host")
    if "activations" in job.offload:
        odd = int(run.layout.pp) > 1 or run.recompute != "none"
        refuse(engine, odd, "offloads activations only without a pipeline and without recomputation")
        yield Setting("--cpu-offloading-num-layers", run.job.arch.depth - 1, "offload")


def yours(run: TrainLaunch) -> Iterator[Setting]:
    """What the plan does not decide."""
    if run.steps is None:
        yield Setting("--train-iters", "$STEPS", "yours")
    yield Setting("--lr", "$LR", "yours")
    yield Setting("--tokenizer-type", "HuggingFaceTokenizer", "yours")
    yield Setting("--tokenizer-model", "$TOKENIZER", "yours")
    yield Setting("--data-path", "$DATA", "yours")
    yield Setting("--log-interval", 1, "yours")


def environment(run: TrainLaunch) -> dict[str, str]:
    """Variables that the engine insists on: its collectives of tp and cp run in the order of their products on chips
    before Blackwell (`validate_args`), which FSDP forbids.
    """
    own = run.layout
    if (int(own.tp) > 1 or int(own.cp) > 1) and int(own.zero) < 2 and run.chip.stack == "cuda":
        return {"CUDA_DEVICE_MAX_CONNECTIONS": "1"}
    return {}
