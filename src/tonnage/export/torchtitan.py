"""torchtitan: settings over one of its configurations (`data/torchtitan.json`)."""

from __future__ import annotations

from collections.abc import Iterator

from tonnage.export.exported import CannotExport, ExportedFile
from tonnage.export.setting import Setting
from tonnage.export.torchrun import scripts
from tonnage.export.train_launch import TrainLaunch, launched, priced_for, refuse, runs_on
from tonnage.export.train_tables import settings_of
from tonnage.train.result import TrainPlan

NAME = "torchtitan"

PLANNED_FOR = ("torchtitan",)

POLICIES = {"none": "none", "selective": "selective", "full": "full"}
"""What is computed again -> its policy of activation checkpointing."""


def files(plan: TrainPlan) -> tuple[ExportedFile, ...]:
    """`train.sh`, and `sbatch.sh` where several servers work."""
    run = launched(plan, NAME)
    priced_for(run, NAME, PLANNED_FOR, "torchtitan")
    runs_on(run, NAME, ("cuda", "rocm"))
    refuse(NAME, run.job.task != "pretrain", f"has no configuration for {run.job.task} of a whole model")
    made = (*_model(run), *_cut(run), *_work(run), *_states(run), *_yours(run))
    policy = f"activation-checkpoint:{POLICIES[run.recompute]}"
    made = (*made, Setting(policy, True, "recompute"))
    return scripts(run, NAME, "-m torchtitan.train", made, {})


def _model(run: TrainLaunch) -> Iterator[Setting]:
    """The configuration that has the model in the format of the plan."""
    rows = [row for row in settings_of(NAME).models if row["model"] == run.job.arch.name]
    known = sorted({row["model"] for row in settings_of(NAME).models})
    if not rows:
        raise CannotExport(NAME, f"has no configuration of {run.job.arch.title}", f"it has {', '.join(known)}")
    fit = [row for row in rows if row["precision"] == run.job.precision]
    if not fit:
        formats = ", ".join(sorted({row["precision"] for row in rows}))
        why = f"has no configuration of {run.job.arch.title} in {run.job.precision}, but in {formats}"
        raise CannotExport(NAME, why, f"--precision {formats.split(', ')[0]}")
    yield Setting("--module", fit[0]["module"], "model")
    yield Setting("--config", fit[0]["config"], "model")


def _cut(run: TrainLaunch) -> Iterator[Setting]:
    own, job = run.layout, run.job
    replicas, shards = _replicas(run)
    yield Setting("--parallelism.data_parallel_replicate_degree", replicas, "dp" if shards > 1 else "zero")
    yield Setting("--parallelism.data_parallel_shard_degree", shards, "zero")
    if int(own.zero) > 1:
        again = "always" if int(own.zero) == 3 else "never"
        yield Setting("--parallelism.fsdp_reshard_after_forward", again, "zero")
    yield Setting("--parallelism.tensor_parallel_degree", int(own.tp), "tp")
    if int(own.tp) > 1 and not job.sequence_parallel:
        yield Setting("--parallelism.no-enable_sequence_parallel", True, "sequence")
    yield Setting("--parallelism.context_parallel_degree", int(own.cp), "cp")
    yield Setting("--parallelism.pipeline_parallel_degree", int(own.pp), "pp")
    yield from _pipeline(run)
    if job.arch.moe:
        refuse(NAME, int(own.etp) > 1, "deals whole experts out: it has no etp", "tonnage train ... --layout etp1")
        dense = shards * int(own.cp) * int(own.tp)
        refuse(NAME, dense % int(own.ep) != 0, f"ep{int(own.ep)} does not divide dp_shard x cp x tp = {dense}")
        yield Setting("--parallelism.expert_parallel_degree", int(own.ep), "ep")


def _replicas(run: TrainLaunch) -> tuple[int, int]:
    """(replicas of the weights, ranks of dp over which they are sharded): FSDP shards over cp too."""
    dp, zero, group = int(run.layout.dp), int(run.layout.zero), run.job.shard_group
    hint = "tonnage train ... --framework torchtitan --layout zero3"
    refuse(NAME, zero == 1, "shards weights or nothing: it has no optimizer that is sharded alone (zero1)", hint)
    if zero == 0:
        return dp, 1
    cp = int(run.layout.cp)
    if group is None or group >= dp * cp:
        return 1, dp
    shards = group // cp
    refuse(NAME, group % cp != 0 or shards < 1 or dp % shards != 0, f"dp{dp} and cp{cp} make no groups of {group}")
    return dp // shards, shards


def _pipeline(run: TrainLaunch) -> Iterator[Setting]:
    own = run.layout
    pp, vpp = int(own.pp), int(own.vpp)
    if pp == 1:
        return
    why = "its DualPipeV holds each layer once, the plan's DualPipe twice"
    refuse(NAME, run.schedule == "dualpipe", why, "tonnage train ... --layout schedule=interleaved")
    why = "its zero-bubble schedules need two chunks on each stage, the plan has one"
    refuse(NAME, run.schedule == "zb", why, "tonnage train ... --layout schedule=1f1b")
    yield Setting("--parallelism.pipeline_parallel_schedule", "1F1B" if vpp == 1 else "Interleaved1F1B", "schedule")
    depth, chunks = run.job.arch.depth, pp * vpp
    less = 0 if depth % chunks == 0 else 1
    if vpp > 1:
        held = -(-depth // chunks)
        made = -(-(depth + 2 * less) // held)
        refuse(NAME, made != chunks, f"makes {made} chunks of {depth} layers by {held}, the plan has {chunks}")
        yield Setting("--parallelism.pipeline_parallel_layers_per_stage", held, "vpp")
    for end in ("first", "last"):
        yield Setting(f"--parallelism.pipeline_parallel_{end}_stage_less_layers", less, "stages" if less else "pp")
    yield Setting("--parallelism.pipeline_parallel_microbatch_size", int(own.mbs), "mbs")


def _work(run: TrainLaunch) -> Iterator[Setting]:
    """With a pipeline a replica's sequences of a step are one local batch, cut into micro-batches; without, a local
    batch is a micro-batch.
    """
    job, own = run.job, run.layout
    local = int(own.mbs) * (run.microbatches if int(own.pp) > 1 else 1)
    yield Setting("--training.local_batch_size", local, "mbs" if int(own.pp) == 1 else "microbatches")
    yield Setting("--training.global_batch_size", job.global_batch, "batch")
    yield Setting("--training.seq_len", job.seq, "seq")
    if run.steps is not None:
        yield Setting("--training.steps", run.steps, "tokens")
    if job.fuses:
        yield Setting("--compile.enable", True, "compiled")
    if int(own.pp) > 1 or int(own.ep) > 1:
        yield Setting("--training.disable_cuda_graphs", True, "engine")
    refuse(NAME, job.routing == "dropped", "does not drop tokens (--routing)")
    if job.routing == "forced" and job.arch.moe:
        yield Setting("--debug.moe_force_load_balance", True, "routing")
    if job.loss_chunks is not None:
        yield Setting("--loss.num_chunks", job.loss_chunks, "loss")


def _states(run: TrainLaunch) -> Iterator[Setting]:
    job = run.job
    refuse(NAME, job.optimizer != "adamw", f"its configurations have AdamW, not {job.optimizer}")
    refuse(NAME, job.moments not in (None, "fp32", "bf16"), f"has no moments in {job.moments}", "--moments bf16")
    if job.moments == "bf16":
        yield Setting("--optimizer.implementation", "fused_opt_states_bf16", "moments")
    refuse(NAME, job.gradients != "fp32", "sums gradients in 32 bits", "without --gradients")
    if job.master == "none":
        yield Setting("--training.dtype", "bfloat16", "master")
    refuse(NAME, job.precision == "fp16", "trains in bfloat16", "--precision bf16")
    yield Setting("--training.mixed_precision_param", "bfloat16", "precision")
    if job.offload:
        whole = {"optimizer", "params"}
        refuse(NAME, set(job.offload) != whole, "keeps weights and optimizer on the host together, and nothing else",
               "--offload optimizer,params")  # fmt: skip
        yield Setting("--training.enable_cpu_offload", True, "offload")


def _yours(run: TrainLaunch) -> Iterator[Setting]:
    if run.steps is None:
        yield Setting("--training.steps", "$STEPS", "yours")
    yield Setting("--hf_assets_path", "$TOKENIZER", "yours")
    yield Setting("--dataloader.dataset_path", "$DATA", "yours")
    yield Setting("--metrics.log_freq", 1, "yours")
