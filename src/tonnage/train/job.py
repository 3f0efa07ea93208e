"""What is to be trained: one run, as a value."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tonnage.catalog.software import Framework, software
from tonnage.errors import InputError, Problem, nearest
from tonnage.model.architecture import Architecture
from tonnage.system import Accelerator, unmultiplied
from tonnage.train import frameworks, upkeep
from tonnage.train.adapters import PLACES
from tonnage.train.upkeep import Apiece
from tonnage.units import decimal_year

TASKS = ("pretrain", "sft", "lora", "qlora")
PRECISIONS = ("bf16", "fp16", "fp8", "mxfp8", "nvfp4")
COMPUTE = {"bf16": "bf16", "fp16": "fp16", "fp8": "fp8", "mxfp8": "fp8", "nvfp4": "fp4"}
"""Rate at which the decoder's GEMMs run; attention, embedding, head, router and norms stay in 16 bits."""


@dataclass(frozen=True)
class TrainJob:
    """One training run.

    arch: the model; seq: tokens in a sequence; global_batch: sequences in a step; tokens: tokens of the whole run;
    precision: one of `PRECISIONS`; task: pretrain, sft, lora (frozen weights: no weight gradient, no optimizer but for
    the adapters) or qlora (lora over a base of four bits); framework: its name, if known; date: when the software is
    from (None: the newest known).

    routing: `learned` (a trained router: experts are unevenly loaded), `forced` (benchmarks that balance by force) or
    `dropped` (tokens over an expert's capacity are dropped and shapes are fixed);
    moe_overlap: the framework hides expert all-to-all behind another micro-batch's compute in schedules other than
    DualPipe; sequence_parallel: norms and residuals are divided by tp too; shard_group: ranks over which ZeRO shards
    (HSDP, MiCS); None: all data-parallel ranks; tp_overlap: tensor-parallel collectives run under GEMMs (user buffers,
    asynchronous tensor parallelism); exchange: how a token's copies get to its experts, `all-to-all` (each alone) or
    `forwarded` (once to each server, passed on inside); compiled: element-wise operators are fused by a compiler or
    fused kernels.
    None on a switch: what frameworks of that date do by default.

    lora_rank: rank of the adapters, None: what they take is left out; lora_on: what they stand beside
    (`adapters.PLACES`); base: format that frozen weights are stored in (`upkeep.BASES`), None: 16 bits, of qlora four;
    optimizer, moments, master, gradients: what is kept for a parameter that trains (`upkeep`), moments None: in the
    optimizer's own format; offload: what the host keeps (`upkeep.OFFLOADS`); loss_chunks: parts of a micro-batch's
    tokens whose logits are computed, scored and forgotten one after the other, None: all at once.
    """

    arch: Architecture
    seq: int = 4096
    global_batch: int = 1024
    tokens: float | None = None
    precision: str = "bf16"
    task: str = "pretrain"
    framework: str | None = None
    date: datetime.date | None = None
    routing: str = "learned"
    moe_overlap: bool | None = None
    sequence_parallel: bool = True
    shard_group: int | None = None
    tp_overlap: bool | None = None
    compiled: bool | None = None
    lora_rank: int | None = None
    lora_on: str = "all-linear"
    base: str | None = None
    optimizer: str = "adamw"
    moments: str | None = None
    master: str = "fp32"
    gradients: str = "fp32"
    offload: tuple[str, ...] = ()
    loss_chunks: int | None = None
    exchange: str | None = None

    def __post_init__(self) -> None:
        problems = [
            *_choice("precision", self.precision, PRECISIONS),
            *_choice("task", self.task, TASKS),
            *_choice("routing", self.routing, ("learned", "forced", "dropped")),
            *_choice("exchange", self.exchange or EXCHANGES[0], EXCHANGES),
            *(
                Problem(f"expected a whole number of at least 1, got {value}", path=name)
                for name, value in (("seq", self.seq), ("global_batch", self.global_batch))
                if value < 1 or value != int(value)
            ),
        ]
        problems += upkeep.problems(self.frozen, self._words, self._counts, self.offload)
        if self.framework is not None and (wrong := frameworks.problem(self.framework)):
            problems.append(wrong)
        if self.tokens is not None and self.tokens <= 0:
            problems.append(Problem(f"expected a positive number of tokens, got {self.tokens}", path="tokens"))
        if problems:
            raise InputError(problems)

    @property
    def _words(self) -> dict[str, tuple[str | None, tuple[str, ...]]]:
        """How parameters are kept, each with what it may be."""
        return {
            "lora_on": (self.lora_on, PLACES),
            "base": (self.base, tuple(upkeep.BASES)),
            "optimizer": (self.optimizer, tuple(upkeep.OPTIMIZERS)),
            "moments": (self.moments, tuple(upkeep.FORMATS)),
            "master": (self.master, tuple(upkeep.MASTERS)),
            "gradients": (self.gradients, tuple(upkeep.GRADIENTS)),
        }

    @property
    def _counts(self) -> dict[str, int | None]:
        return {"lora_rank": self.lora_rank, "loss_chunks": self.loss_chunks}

    @property
    def frozen(self) -> bool:
        """Whether weights are frozen and adapters train."""
        return self.task in ("lora", "qlora")

    @property
    def stored(self) -> str | None:
        """Format of frozen weights that are stored narrower than they are multiplied with; None where they are not."""
        return self.base or ("nf4" if self.task == "qlora" else None)

    @property
    def detailed(self) -> bool:
        """Whether enough is said of adapters or of a narrow base to count what they take."""
        return self.frozen and (self.lora_rank is not None or self.stored is not None)

    def apiece(self, *, ends: bool = False) -> Apiece:
        """Bytes of one parameter that trains; ends: of embedding and head."""
        optimizer = upkeep.of_the_ends(self.optimizer) if ends else self.optimizer
        return upkeep.apiece(optimizer, self.moments, self.master, self.gradients)

    @property
    def tokens_per_step(self) -> float:
        """Tokens in one optimizer step."""
        return float(self.seq) * self.global_batch

    @property
    def compute(self) -> str:
        """Rate name of the decoder's GEMMs."""
        return COMPUTE[self.precision]

    @property
    def sixteen(self) -> str:
        """Rate name of what stays in 16 bits."""
        return "fp16" if self.precision == "fp16" else "bf16"

    def _said(self, key: str) -> Any:
        """What the model's configuration says, in its text part where it has one."""
        text = self.arch.config.get("text_config")
        return (text if isinstance(text, dict) else self.arch.config).get(key)

    @property
    def flash(self) -> bool:
        """Whether attention is fused: FlashAttention is of May 2022 (arXiv 2205.14135), in frameworks by 2023."""
        return self.has("flash-attention")

    @property
    def dispatch_bytes(self) -> float:
        """Bytes of one element of a token sent to an expert: FP8 with a scale a 128 where GEMMs run in FP8 blocks."""
        return 2.0

    @property
    def node_limit(self) -> float:
        """Scale-up domains that one token may visit: node-limited routing by groups (arXiv 2412.19437, 2.1.2)."""
        groups, kept = self.arch.routing_groups
        return float(kept) if groups > 1 else math.inf

    @property
    def forwards(self) -> bool:
        """Whether a token's copies for experts of one scale-up domain cross the NIC once and are passed on inside.

        DeepEP and HybridEP do (arXiv 2412.19437, section 3.2.2); a plain all-to-all sends each copy alone.
        """
        if self.exchange is not None:
            return self.exchange == "forwarded"
        since = self.traits.forwards
        return self.traits.tuned or (since is not None and self.when >= since)

    @property
    def unevenness(self) -> float:
        """How unevenly experts are loaded, over a router balanced by an auxiliary loss (1); 0 when forced or dense.

        Balanced without a loss by a bias (`noaux_tc`, DeepSeek-V3 and after): the busiest expert has 0.04 more than the
        mean instead of 0.5 to 0.7 over a whole batch (arXiv 2408.15664, table 2), somewhat more in one micro-batch.
        """
        if self.routing != "learned" or not self.arch.moe:
            return 0.0
        return 0.2 if self._said("topk_method") == "noaux_tc" else 1.0

    @property
    def hides_experts(self) -> bool:
        """Whether expert all-to-all runs behind another micro-batch's compute where chunks are interleaved.

        Megatron-Core's `overlap-moe-expert-parallel-comm`: 2025-06 and later; stacks tuned for one run: DeepSeek-V3,
        MegaScale-MoE (arXiv 2505.11432).
        """
        return (
            self.moe_overlap
            if self.moe_overlap is not None
            else self.traits.tuned or self.has("hidden-expert-exchange")
        )

    @property
    def paired(self) -> bool:
        """Whether DualPipe is among the schedules: its framework has it, or none is named and any may be used."""
        return self.framework is None or self.traits.dualpipe

    @property
    def hides_tensor(self) -> bool:
        """Whether tensor-parallel collectives run under GEMMs (user buffers in Transformer Engine, from 2023 on)."""
        return self.tp_overlap if self.tp_overlap is not None else self.traits.hides("tensor", self.when)

    @property
    def fuses(self) -> bool:
        """Whether element-wise operators are fused."""
        return self.compiled if self.compiled is not None else self.traits.fused

    @property
    def traits(self) -> Framework:
        """What its framework does."""
        return frameworks.traits(self.framework)

    def has(self, feature: str) -> bool:
        """Whether software of its date has a feature of the catalogue."""
        return self.when >= software().features[feature].since

    @property
    def generation(self) -> int:
        """Attention kernels: 0 for the newest chips, 1 FlashAttention 2, 2 the first FlashAttention and its Triton kin.

        FlashAttention 2 is of July 2023 (arXiv 2307.08691); vendors' kernels for Hopper are of 2024 (arXiv 2407.08608).
        """
        if not self.has("kernels-of-the-generation"):
            return 2 if not self.has("flash-attention-2") or self.traits.kernels == "generic" else 1
        return 1 if self.traits.kernels == "generic" else 0

    @property
    def when(self) -> datetime.date:
        """Date of the software; where none is given, what is usual of the framework, else the newest known."""
        return self.date or self.traits.usual or NEWEST

    @property
    def age(self) -> float:
        """Years that the software is older than the newest known; 0 for a stack tuned for its run."""
        return 0.0 if self.traits.tuned else max(decimal_year(NEWEST) - decimal_year(self.when), 0.0)


EXCHANGES = ("all-to-all", "forwarded")
"""Ways of a token's copies to its experts."""

NEWEST = datetime.date(2026, 8, 1)
"""Date of the newest published result that the constants know of."""


def untrained(job: TrainJob, chips: Iterable[Accelerator]) -> str:
    """Why chips do not train in the job's precision, empty where they do. A recipe in a narrow format is one of
    products in it: a chip that would widen them trains in 16 bits, which is to be asked for.
    """
    reasons = (unmultiplied(chip, job.precision) for chip in chips)
    return next(filter(None, reasons), "")


def check_precision(job: TrainJob, chips: Iterable[Accelerator]) -> None:
    """Raises `InputError` for a precision that a chip does not multiply, with the widest narrow one that all do."""
    chips = tuple(chips)
    why = untrained(job, chips)
    if why:
        able = [one for one in ("fp8", job.sixteen) if not any(unmultiplied(chip, one) for chip in chips)]
        raise InputError(Problem(why, path="precision", suggestion=able[0]))


def _choice(name: str, value: str, names: tuple[str, ...]) -> list[Problem]:
    if value in names:
        return []
    return [Problem(f'"{value}" is not one of {", ".join(names)}', path=name, suggestion=nearest(value, names))]
