"""Where the memory of one rank goes: weights, KV cache, activations, buffers; and how many sequences it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tonnage.arrays import Numbers
from tonnage.layout import Layout, shard
from tonnage.model import EMBEDDING, HEAD, MTP, Architecture, Operator, unit_operators
from tonnage.serve.replica import compressed
from tonnage.serve.replica.engines import Engine
from tonnage.serve.replica.pages import Asked, held, state_bytes, token_bytes
from tonnage.serve.replica.workspaces import attention_bytes, workspace_bytes
from tonnage.system import Accelerator, Precision, rate

VISIBLE = 1.0635
"""Memory that a program finds on a chip (`cudaMemGetInfo`) over the figure on the label, where the catalogue has no
`memory_visible` of it: 79.18 GiB of an 80 GB H100, 139.8 of a 141 GB H200, 178.35 of a 180 GB B200 give 1.063 to 1.065;
labels count in GiB what they print as GB, less what firmware and driver keep. 24 GB cards have 1.052, MI300X 1.072."""

CONTEXT = 0.65e9
"""Bytes of the driver's context and loaded kernels on a rank before anything is loaded: 78.57 of 79.18 GiB are free
(vLLM 0.11 on an H100, llm-d-benchmark `config_explorer/empirical-vllm-memory-results.md`). Interval 0.4 to 0.9 GB."""

JOINED = 1.0e9
"""The same for what ranks that work together set up before weights are loaded: 77.64 instead of 78.57 GiB free (same
source, two H100). Interval 0.6 to 1.5 GB."""

FORWARD = 0.14e9
"""Bytes that a trial step takes outside of PyTorch's allocator on a rank alone: 0.13 GiB (same source; 0.05 to 0.25 in
vLLM 0.7 logs). On one of several ranks `Engine.joined` beyond that."""

LARGE = 70 * 2.0**30
"""Bytes from which vLLM's default `max_num_seqs` is 1,024 instead of 256, but for the A100 (`Engine.few_chips`: those
whose driver calls them so, not the A800; `EngineArgs.get_batch_defaults`, vLLM 0.9 to 0.33)."""
LARGEST = 160 * 2.0**30
"""Bytes from which vLLM's default `max_num_batched_tokens` is `Engine.many_chunk` (the same function, 0.28 to 0.33)."""

CAPTURED, SIZES = 512, 8
"""Sequences of the largest captured graph, and steps between sizes: 1, 2, 4, then every 8 to 256 and every 16 above,
for prefill mixed in up to twice the sequences that run and for decode alone (vLLM: "PIECEWISE=51 (largest=512),
FULL=35 (largest=256)", github.com/vllm-project/vllm/pull/39559)."""

RAISED = 0.05
"""Share of a chip's memory up to which a cache is widened, as far as a step allows, where SGLang's formula leaves less:
its message is then to raise `--mem-fraction-static`. An assumption, 0.03 to 0.1: DeepSeek-R1 on 8 H20 of 96 GB, which
the formula does not start, is served at shares of 0.9 to 0.95."""

MIB, BF16 = 2.0**20, 2.0

NARROW = {"fp8": 1.0, "int8": 1.0, "fp4": 0.5}
"""Bytes of an element that is multiplied in fewer than 16 bits."""


@dataclass(frozen=True)
class RankMemory:
    """Bytes on one rank, per what they are for; may be arrays.

    activations: peak of a step; pool: what the engine leaves for the cache; sequence: cache of one sequence at the
    context it is planned for, state included; context: that many tokens; token: bytes of a token of the cache where
    that is one figure for every context; state: recurrent state of one sequence, all copies that the engine keeps;
    state_share: share of the pool set aside for states; started: what must be free for one sequence when the engine
    starts, where that is more than `sequence`; usable: what the engine takes of `capacity` at most; capacity:
    what a program finds on the chip; labelled: what its data sheet says.
    """

    weights: Numbers
    activations: Numbers
    buffers: Numbers
    pool: Numbers
    sequence: Numbers
    context: Numbers
    token: Numbers | None
    state: Numbers
    state_share: float | None
    usable: Numbers
    capacity: float
    labelled: float
    started: Numbers = 0.0

    @property
    def sequences(self) -> Numbers:
        """Sequences that fit at once on one attention replica; 0 or less when the weights alone do not fit."""
        if self.state_share is None:
            return self.pool / self.sequence
        keys = np.maximum(self.sequence - self.state, 1.0)
        state = np.maximum(self.state, 1e-9)
        apart = np.minimum(self.pool * self.state_share / state, self.pool * (1 - self.state_share) / keys)
        return np.where(np.asarray(self.state) > 0, apart, self.pool / self.sequence)

    @property
    def starts(self) -> Numbers:
        """Whether an engine starts with one sequence of the context."""
        free: Numbers = np.logical_and(self.sequences >= 1, np.asarray(self.pool) >= np.asarray(self.started))
        return free

    @property
    def tokens(self) -> Numbers:
        """Tokens that the cache of one attention replica holds, in sequences of the context it is planned for."""
        apart = np.asarray(self.state) > 0 if self.state_share is not None else np.asarray(False)
        pool = self.pool * np.where(apart, 1 - (self.state_share or 0.0), 1.0)
        if self.token is None:
            return pool / self.sequence * self.context
        return pool / self.token

    def used(self, sequences: Numbers) -> Numbers:
        """Bytes used with that many sequences."""
        return self.weights + self.activations + self.buffers + sequences * self.sequence


def weight_bytes(
    arch: Architecture, precision: Precision, layout: Layout, *, mtp: bool = False, wide: Sequence[str] = ()
) -> Numbers:
    """Bytes of weights on the fullest rank [byte].

    Layers are dealt to pipeline stages whole: ceil(depth / pp) of them; the first stage holds the embedding, the last
    the head, the larger of which counts when there is more than one stage. wide: parts that are cut over the ranks of
    all attention replicas (`Engine.wide`).
    """
    whole = unit_operators(arch, mtp=mtp)
    local = shard([each for each in whole if each.part not in wide], layout, sequence_parallel=False)
    local += shard([each for each in whole if each.part in wide], _all_ranks(layout), sequence_parallel=False)
    ends = {EMBEDDING: np.asarray(0.0), HEAD: np.asarray(0.0)}
    layers: Numbers = np.asarray(0.0)
    for operator in local:
        held = held_bytes(operator, precision) * _whole_experts(operator)
        if operator.block in ends:
            ends[operator.block] = ends[operator.block] + held
        else:
            layers = layers + held
    pp = np.asarray(layout.pp, dtype=float)
    share = np.ceil(arch.depth / pp) / arch.depth
    both = ends[EMBEDDING] + ends[HEAD]
    fullest: Numbers = layers * share + np.where(pp > 1, np.maximum(ends[EMBEDDING], ends[HEAD]), both)
    return fullest


def _all_ranks(layout: Layout) -> Layout:
    """A layout whose attention replicas are one."""
    return replace(layout, tp=layout.tp * layout.dp, dp=1)


def _whole_experts(operator: Operator) -> Numbers:
    """Experts that the fullest rank holds over the mean: whole ones, or copies that fill the other ranks up."""
    if operator.kind != "grouped_gemm":
        return 1.0
    each = np.asarray(operator.groups, dtype=float)
    whole: Numbers = np.ceil(each - 1e-9) / each
    return whole


def held_bytes(operator: Operator, precision: Precision) -> Numbers:
    """Bytes of an operator's weights as they are held, all its layers [byte]."""
    form = precision.weights(operator.part, draft=operator.block == MTP)
    return operator.weight * operator.count * form.element * _padding(operator, form.name)


def _padding(operator: Operator, form: str) -> Numbers:
    """How much larger experts in MXFP4 are held: kernels want the model's width in multiples of 256.

    gpt-oss, 2,880 wide: 13.47 and 64.38 GiB where its checkpoints have 12.81 and 60.71 (vLLM 0.11 on an H100; in 0.19
    `fused_moe/oracle/mxfp4.py` rounds the width of an expert up as well for some kernels, another 2 to 7 %).
    """
    if form != "mxfp4" or operator.kind != "grouped_gemm":
        return 1.0
    width = operator.n if operator.role == "down" else operator.k
    return np.ceil(np.asarray(width) / 256.0) * 256.0 / width


def activation_bytes(arch: Architecture, layout: Layout, tokens: Numbers) -> Numbers:
    """Peak of activations when a step has `tokens` new tokens on a replica [byte].

    Input and output of the widest operator, and three times the residual stream (the residual, what the operator was
    given, what the layer has made so far), in BF16; one layer at a time is alive. Llama-3.1-8B takes 109.8 kB a token
    in vLLM's profile (20,000 against 29,000 tokens, github.com/vllm-project/vllm/issues/10517); this says 110.6.
    Tokens of other replicas that meet in this rank's experts come with their streams: at most those of top_k replicas,
    as a token visits no more ranks than experts (all-to-all dispatch).
    """
    peak: Numbers = BF16 * tokens * activation_width(arch, layout)
    return peak


def activation_width(arch: Architecture, layout: Layout) -> Numbers:
    """Activations of a token on a rank that are alive at once [elements]; see `activation_bytes`."""
    local = shard(unit_operators(arch), layout, sequence_parallel=False)
    widest: Numbers = np.asarray(0.0)
    visits = 1.0
    for operator in local:
        if operator.block != HEAD:
            widest = np.maximum(widest, operator.stream)
    for operator in unit_operators(arch):
        if operator.kind == "grouped_gemm":
            visits = max(visits, float(operator.top_k))
    replicas = np.asarray(layout.ep) * layout.etp / np.asarray(layout.tp)
    gathered = np.clip(replicas, 1.0, visits) - 1.0
    width: Numbers = widest + arch.hidden * (3.0 + 2.0 * gathered)
    return width


def sampling_bytes(arch: Architecture, die: Accelerator, engine: Engine, tokens: Numbers) -> Numbers:
    """Peak of sampling in an engine's trial step [byte]: for as many sequences as it may run, every logit at once."""
    return engine.sampled * np.minimum(running_most(arch, engine, die), tokens) * arch.vocab


def static_share(layout: Layout, capacity: float, tokens: Numbers) -> Numbers:
    """Share of the memory that SGLang takes for weights and cache unless told.

    `(memory - reserved) / memory`, in MiB: 512, 1.5 a token of a step (at least 2,048; see `usual_chunk`), 1,024 for
    each 8 ranks, 2 a sequence of the largest captured graph, and not less than 10,240 on chips of over 60 GiB
    (`arg_groups/memory_hook.py`, SGLang 0.5.23; `server_args.py` before). What it adds for attention in data parallel,
    in hundreds of GiB for wide layouts, is left out: such deployments set the share.
    """
    size = capacity / MIB
    reserved = 1.5 * np.maximum(tokens, 2048.0) + _apart(layout, capacity)
    return 1 - np.where(size > 60 * 1024, np.maximum(reserved, 10 * 1024), reserved) / size


def usual_step(engine: Engine, die: Accelerator) -> float:
    """New tokens of a step where nothing is said: the engine's default on a chip of this size."""
    capacity = visible(die)
    if engine.room == "reserved":
        return min(float(engine.chunk), _size(capacity)[0])
    if engine.many_chunk and capacity >= LARGEST:
        return float(engine.many_chunk)
    return float(engine.few_chunk if engine.few_chunk is not None and small(engine, die) else engine.chunk)


def visible(die: Accelerator) -> float:
    """Bytes that a program finds on a rank's chip."""
    return die.visible or die.memory * VISIBLE


def small(engine: Engine, die: Accelerator) -> bool:
    """Whether vLLM takes its defaults for small chips."""
    return visible(die) < LARGE or die.name in engine.few_chips


def running_most(arch: Architecture, engine: Engine, die: Accelerator, drafts: Numbers = 0.0) -> Numbers:
    """Sequences that run at once at most on a replica where nothing is said: by engine, chip, model and drafts."""
    most = engine.few if engine.few is not None and small(engine, die) else engine.running
    if engine.compressing is not None and compressed.kept(arch):
        most = min(most, engine.compressing)
    if engine.drafting is None:
        return most
    return np.where(np.asarray(drafts) > 0, min(most, engine.drafting), most)


def as_it_comes(engine: Engine, arch: Architecture, die: Accelerator, *, drafts: bool) -> Engine:
    """The engine with the limits that it has on this chip for this model where nobody sets any."""
    most = int(np.max(np.asarray(running_most(arch, engine, die, 1.0 if drafts else 0.0))))
    return engine.told(int(usual_step(engine, die)), most)


def graphs(running: Numbers) -> Numbers:
    """Graphs that vLLM captures for so many sequences at most."""
    return _captured(np.minimum(2 * np.asarray(running), CAPTURED)) + _captured(np.minimum(running, CAPTURED))


def _captured(largest: Numbers) -> Numbers:
    fine = np.floor(np.minimum(largest, 256) / SIZES)
    coarse = np.floor(np.maximum(np.asarray(largest) - 256, 0) / (2 * SIZES))
    found: Numbers = 3 + fine + coarse
    return found


def _apart(layout: Layout, capacity: float) -> Numbers:
    """What SGLang's formula reserves beside the step [MiB]."""
    ranks = np.minimum(np.asarray(layout.tp) * layout.dp, 8) * np.asarray(layout.pp)
    apart: Numbers = 512 + 1024 * ranks / 8 + 2 * np.where(ranks < 4, *_size(capacity)[1:])
    return apart


def _size(capacity: float) -> tuple[float, float, float]:
    return next((chunk, few, many) for below, chunk, few, many in _SIZES if capacity / MIB < below)


_SIZES = (
    (20 * 1024, 2048, 8, 8),
    (35 * 1024, 4096, 48, 160),
    (60 * 1024, 4096, 32, 160),
    (90 * 1024, 8192, 256, 512),
    (160 * 1024, 8192, 256, 512),
    (np.inf, 16384, 512, 512),
)
"""Of SGLang, below a size of memory [MiB]: tokens of a chunk, sequences of the largest graph on fewer than 4 ranks, on
more."""


def gathered_bytes(
    arch: Architecture, die: Accelerator, precision: Precision, layout: Layout, tokens: Numbers, engine: Engine
) -> Numbers:
    """Peak of routed experts where every replica's tokens meet on every rank (vLLM's default, `allgather_reducescatter`
    and `naive` before; TensorRT-LLM) [byte]: their streams in and out, and for `gathers` of them at once (vLLM's
    `VLLM_FUSED_MOE_CHUNK_SIZE`, pull request 7995; TensorRT-LLM takes all), one row for each expert they visit, the
    wider of what goes in and comes out, and what is between (`fused_moe`, `workspace13` and `workspace2`). Products in
    fewer bits may take copies of what goes in and of what is between (vLLM's `moe_kernel_quantize_input`).
    """
    replicas = np.maximum(np.asarray(layout.ep) * layout.etp / np.asarray(layout.tp), 1.0)
    everyone = np.asarray(tokens, dtype=float) * replicas
    peak: Numbers = np.asarray(0.0)
    for operator in unit_operators(arch):
        if operator.kind == "grouped_gemm" and operator.role == "down":
            inner, chunk = float(operator.k) / np.asarray(layout.etp), np.minimum(everyone, engine.gathers)
            rows = chunk * float(operator.top_k)
            runs_in = rate(die, precision.weights(operator.part).compute).runs_in
            narrow = NARROW.get(runs_in, 0.0) if engine.copies else 0.0
            copies = narrow * (chunk * float(operator.n) + rows * inner)
            peak = np.maximum(peak, BF16 * rows * (np.maximum(float(operator.n), 2 * inner) + inner) + copies)
    return np.where(replicas > 1, peak + 2 * BF16 * everyone * arch.hidden, 0.0)


@dataclass(frozen=True)
class PricedRank:
    """One rank (`die`) of a layout, under an engine. What does not depend on a step or a context is computed once.

    mtp: whether the multi-token-prediction layers are held.
    """

    arch: Architecture
    die: Accelerator
    precision: Precision
    layout: Layout
    engine: Engine
    mtp: bool = False

    @cached_property
    def weights(self) -> Numbers:
        """Bytes of its weights."""
        return weight_bytes(self.arch, self.precision, self.layout, mtp=self.mtp, wide=self.engine.wide)

    @cached_property
    def width(self) -> Numbers:
        """Elements of a token that are alive at once."""
        return activation_width(self.arch, self.layout)

    @cached_property
    def token(self) -> Numbers | None:
        """Bytes of a token of its cache, where that is one figure."""
        return token_bytes(self.arch, self.precision.cache, self.layout, self.engine, mtp=self.mtp)

    @cached_property
    def state(self) -> Numbers:
        """Bytes of one recurrent state, all copies that the engine keeps."""
        return state_bytes(self.arch, self.layout) * self.engine.states

    def peak(self, tokens: Numbers, longest: float | None = None) -> Numbers:
        """Peak of an engine's trial step [byte]: forward pass, sampling or experts, the largest, and what stays set
        aside; longest: sequence that the engine is told to expect, the model's own limit where None.
        """
        arch, engine = self.arch, self.engine
        forward = BF16 * tokens * self.width
        if engine.workspaces:
            forward = forward + attention_bytes(arch, self.layout, tokens)
        peak = np.maximum(forward, sampling_bytes(arch, self.die, engine, np.asarray(tokens)))
        if engine.gathers:
            peak = np.maximum(peak, gathered_bytes(arch, self.die, self.precision, self.layout, tokens, engine))
        return peak + workspace_bytes(arch, tokens, longest) if engine.workspaces else peak

    def held(self, asked: Asked) -> Numbers:
        """Bytes that a sequence holds in its cache."""
        return held(self.arch, self.precision.cache, self.layout, self.engine, asked)

    def memory(
        self,
        *,
        context: Numbers,
        tokens: Numbers,
        drafts: Numbers = 0.0,
        share: Numbers | None = None,
        longest: float | None = None,
    ) -> RankMemory:
        """Its memory; see `memory`."""
        arch, die, layout, engine = self.arch, self.die, self.layout, self.engine
        capacity = visible(die)
        weights = self.weights
        peak = self.peak(tokens, longest)
        several = np.asarray(layout.tp) * layout.dp * np.asarray(layout.pp) > 1
        most = running_most(arch, engine, die, drafts)
        before, inside = CONTEXT + JOINED * several, FORWARD + engine.joined * several
        inside = inside + (engine.graphs * graphs(most) if engine.graphs else 0.0)
        buffers = {"profiled": inside, "reserved": before, "free": before + inside}[engine.room]
        taken = engine.memory_share if share is None else share
        if taken is None:
            usual = np.where(np.asarray(tokens) == engine.chunk, usual_step(engine, die), tokens)
            usable = (capacity - before) * static_share(layout, capacity, usual)
            room = capacity - before - peak - _apart(layout, capacity) * MIB
            usable = np.maximum(usable, np.minimum(room, weights + RAISED * capacity))
        else:
            usable = (capacity - before if engine.room == "reserved" else capacity) * taken
        pool = usable - weights
        if engine.room == "profiled":
            pool = pool - peak - buffers
        elif engine.room == "free":
            pool = (capacity - buffers - weights - peak) * taken
        elif engine.cache == "pools":
            fixed = compressed.fixed_bytes(arch, engine, float(np.max(np.asarray(most))))
            pool, buffers = pool - fixed, buffers + fixed
        flying = tokens - np.where(np.asarray(drafts) > 0, most * drafts, 0.0) if engine.cache == "pages" else tokens
        asked = Asked(context, np.maximum(flying, 0.0), drafts, self.mtp)
        first = replace(asked, start=True)
        return RankMemory(
            weights,
            peak,
            buffers,
            pool,
            self.held(asked),
            context,
            self.token,
            self.state,
            engine.state_share,
            usable,
            capacity,
            die.memory,
            self.held(first) if compressed.kept(arch) else 0.0,
        )


def memory(
    arch: Architecture,
    die: Accelerator,
    precision: Precision,
    layout: Layout,
    engine: Engine,
    *,
    context: Numbers,
    tokens: Numbers,
    drafts: Numbers = 0.0,
    mtp: bool = False,
    share: Numbers | None = None,
    longest: float | None = None,
) -> RankMemory:
    """Memory of one rank (`die`) of `layout`; context: what a sequence is planned for; tokens: most in one step;
    drafts: tokens drafted for a sequence in a step; longest: sequence that the engine is told to expect.

    What is left for the cache follows the engine's own rule. Profiled: share x memory - weights - peak of a trial step
    - graphs. Reserved: share x memory free before loading - weights. Free: share x (memory - weights - peak of a trial
    step).
    """
    rank = PricedRank(arch, die, precision, layout, engine, mtp)
    return rank.memory(context=context, tokens=tokens, drafts=drafts, share=share, longest=longest)


def decode_memory(
    arch: Architecture,
    die: Accelerator,
    precision: Precision,
    layout: Layout,
    engine: Engine,
    *,
    context: Numbers,
    drafts: Numbers = 0.0,
    mtp: bool = False,
    share: Numbers | None = None,
) -> RankMemory:
    """Memory of one rank of a pool that only decodes: a step has the sequences that fit x (1 + drafts) new tokens."""
    rank = PricedRank(arch, die, precision, layout, engine, mtp)
    still = rank.memory(context=context, tokens=0.0, drafts=drafts, share=share)
    running = np.clip(still.sequences, 0.0, engine.running)
    tokens = running * (1.0 + np.asarray(drafts))
    return rank.memory(context=context, tokens=tokens, drafts=drafts, share=share)
