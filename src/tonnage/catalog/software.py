"""Releases of software: what training frameworks and serving engines do, and from when on.

Read from `data/software.toml`. Names are matched whole, without regard to case, spaces, dashes and underscores; a
release without a source does not load.
"""

from __future__ import annotations

import datetime
import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Date = datetime.date
DATA = Path(__file__).parent / "data" / "software.toml"

Room = Literal["profiled", "reserved", "free"]
"""How an engine finds the room that it leaves for the cache."""

Sharing = Literal["alive", "whole", "pages", "pools"]
"""How layers of several kinds share the cache: what is `alive` is counted; `whole`: windows keep every key
(TensorRT-LLM unless told); `pages` of one size for groups of as many layers each (vLLM); `pools`: one for each kind,
those of windows a share of the full one (SGLang)."""

Hidden = Literal["gradients", "weights", "tensor"]
"""Communication that a framework may run behind compute."""


@dataclass(frozen=True)
class Feature:
    """Something that stacks do from a day on."""

    name: str
    since: Date
    source: str


@dataclass(frozen=True)
class Framework:
    """What a training framework does.

    aliases: further names that users give; published: names under which its results were printed; fused: element-wise
    operators come as fused kernels (Transformer Engine, Apex, MindSpeed) or from a compiler; kernels: attention kernels
    of the `vendor` for its newest chips (cuDNN, FlashAttention 3, CANN), or `generic` ones (FlashAttention 2 and its
    Triton kin, arXiv 2307.08691, written for Ampere's matrix unit); tuned: made and tuned for the run that is reported,
    so that the age of the software says nothing; since, always: from when on, or at any time, it runs the reduction of
    gradients, the gathering of weights and tensor-parallel collectives behind compute; wire: bytes of a gradient on
    the wire; turns: ZeRO gives whole parameters to ranks, which broadcast theirs one after the other; selective: share
    of matrix products that selective recomputation repeats; stops: full recomputation stops before a layer's last
    product, which nothing needs; loss_bytes: bytes alive for each logit (fused vocabulary-parallel loss; eager: 16-bit
    logits, a 32-bit copy, its softmax and its gradient); narrow_saved: inputs of 8-bit products are kept in 8 bits;
    deals: experts are dealt out over ranks beside gradients or weights that ZeRO shards, without being asked to; zero:
    its ways of sharding, as levels of ZeRO, that are tried where none is asked for; dualpipe: it runs that schedule
    without being asked to; forwards: from when on a token's copies for the experts of a server cross the network once,
    unless told otherwise; rounds: a pipeline takes as many micro-batches a step as it has ranks, unless told otherwise;
    usual: date of the software where a source gives none.
    """

    name: str
    source: str
    aliases: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    fused: bool = True
    kernels: str = "vendor"
    tuned: bool = False
    since: Mapping[str, Date] = field(default_factory=dict)
    always: tuple[str, ...] = ()
    wire: float = 4.0
    turns: bool = False
    selective: float = 0.0
    stops: bool = False
    loss_bytes: float = 6.0
    narrow_saved: bool = True
    deals: bool = True
    zero: tuple[int, ...] = (1, 3)
    dualpipe: bool = False
    forwards: Date | None = None
    rounds: bool = False
    usual: Date | None = None

    def hides(self, what: Hidden, day: Date) -> bool:
        """Whether releases of that day run `what` behind compute."""
        return what in self.always or (what in self.since and day >= self.since[what])


@dataclass(frozen=True)
class EngineRule:
    """What an engine did before a version: fields of `EngineFacts` with their values then; released: its day."""

    version: str
    changes: Mapping[str, Any]
    source: str
    released: Date | None = None


@dataclass(frozen=True)
class EngineFacts:
    """What a serving engine does unless told otherwise, in the newest version that is known or in `version`.

    memory_share: share of the accelerator's memory that it uses at most, None where it follows from the chip and the
    step (SGLang); room: what it leaves for the cache: `profiled`, that share less weights and the peak of a trial step
    (vLLM), `reserved`, that share less weights, the trial step being part of the rest (SGLang), `free`, a share of what
    a trial step leaves free (TensorRT-LLM); sampled: bytes for each sequence and vocabulary entry that sampling takes
    in that trial; few: sequences that it samples there on chips of less than 70 GiB and on `few_chips`, where nothing
    else is asked for (vLLM; None: as many as may run); few_chunk: new tokens in one step there; many_chunk: those on
    chips of 160 GiB and more (0: as on others); block: tokens in a KV block; chunk: new tokens in one step at most;
    running: sequences running at once at most, per attention replica;
    mixed: whether prefill chunks ride in decode steps; launched: whether the host launches each kernel of a step with
    prompts, which no graph holds; reserved: share of the output for which cache is kept free from
    the start (1: a started request is never evicted); states: recurrent states kept for one running sequence of a
    hybrid model; state_share: share of the cache's memory set aside for them, None where both share one pool; source:
    where the defaults are documented.

    cache: how layers of several kinds share its memory; flight: steps whose tokens a window still holds (`pages`);
    chunks: whether what an attention chunk has left behind is freed or kept;
    window_share: tokens of the windows' pool over those of the full one (`pools`), compressed_share: the same where
    entries are compressed; tails: whether what waits to be compressed by 128 is set aside for as many sequences as may
    run, or for the windows' tokens; drafting, compressing: sequences running at once at most where tokens are drafted,
    and of a model whose cache is compressed, None: as others; gathers: tokens of all replicas that routed experts of a
    rank take at once at most, where every replica's meet on each rank (0: they do not); copies: products of experts in
    fewer than 16 bits take copies of what they multiply; workspaces: what sparse attention works in is set aside in the
    trial step; wide: parts of a model that are cut over the ranks of all attention replicas; joined: bytes that a trial
    step takes outside of PyTorch's allocator on one of several ranks beyond those of a rank alone; graphs: bytes that
    each captured graph takes inside the share.

    newest: the newest version that is known; version: the one that these rules are of, where it is another; before:
    what older ones did.

    state_pages: whether it starts only where its cache has a page of states for each sequence that may run at once;
    whole_blocks: whether what a rank holds of a weight in FP8 has to be whole blocks of scales;

    caches: formats of cache that it keeps, None where nobody has said; replicas: `one rank` where several attention
    replicas have one rank each; experts: `together` where they are dealt over all ranks of an instance or all cut;
    stacks: software stacks whose usual engine it is.
    """

    name: str
    source: str
    room: Room
    sampled: float
    block: int
    chunk: int
    running: int
    mixed: bool
    reserved: float
    states: int
    memory_share: float | None = None
    state_share: float | None = None
    few: int | None = None
    few_chunk: int | None = None
    few_chips: tuple[str, ...] = ()
    many_chunk: int = 0
    cache: Sharing = "alive"
    flight: int = 1
    chunks: Literal["freed", "kept"] = "freed"
    window_share: float = 1.0
    compressed_share: float = 1.0
    tails: Literal["sequences", "tokens"] = "sequences"
    drafting: int | None = None
    compressing: int | None = None
    gathers: float = 0.0
    copies: bool = False
    workspaces: bool = False
    wide: tuple[str, ...] = ()
    joined: float = 0.45e9
    graphs: float = 0.0
    state_pages: bool = False
    whole_blocks: bool = False
    newest: str = ""
    version: str = ""
    before: tuple[EngineRule, ...] = ()
    launched: bool = False
    aliases: tuple[str, ...] = ()
    caches: tuple[str, ...] | None = None
    replicas: Literal["any", "one rank"] = "any"
    experts: Literal["any", "together"] = "any"
    stacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class SoftwareFacts:
    """Everything in the file, by name; wide_experts: from when on experts are dealt out over many servers, by stack."""

    features: Mapping[str, Feature]
    frameworks: Mapping[str, Framework]
    engines: Mapping[str, EngineFacts]
    wide_experts: Mapping[str, Feature] = field(default_factory=dict)


@functools.cache
def software() -> SoftwareFacts:
    """The releases that come with tonnage."""
    raw = tomllib.loads(DATA.read_text(encoding="utf-8"))
    features = {name: Feature(name, **body) for name, body in raw["feature"].items()}
    frameworks = [Framework(**_typed(body)) for body in raw["framework"]]
    engines = [_engine(body) for body in raw["engine"]]
    wide = {stack: Feature("wide experts", **body) for stack, body in raw["wide_experts"].items()}
    return SoftwareFacts(features, {one.name: one for one in frameworks}, {one.name: one for one in engines}, wide)


def _engine(body: Mapping[str, Any]) -> EngineFacts:
    """An engine with what its older versions did, the newest first."""
    rules = tuple(EngineRule(**{**rule, "changes": _typed(rule["changes"])}) for rule in body.get("before", ()))
    return EngineFacts(**_typed({**body, "before": rules}))


def _typed(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in body.items()}


def plain(name: str) -> str:
    """A name as it is compared: no case, and one space for spaces, dashes and underscores."""
    return " ".join(name.lower().replace("-", " ").replace("_", " ").split())


def named(name: str, releases: Iterable[tuple[str, tuple[str, ...]]]) -> str | None:
    """The release that `name` is, among (name, other names); None where it is none."""
    wanted = plain(name)
    return next((own for own, others in releases if wanted in map(plain, (own, *others))), None)
