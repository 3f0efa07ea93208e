"""What is asked of a service: the model, the lengths, the service level, and what is given beforehand."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Literal

from tonnage.errors import InputError, Problem
from tonnage.model import Architecture

Stack = Literal["default", "tuned"]
"""How an engine is run: as it comes, or with its settings chosen for what it serves."""

STACKS: tuple[Stack, ...] = ("default", "tuned")

MODES = ("auto", "aggregated", "disaggregated", "prefill", "decode", "afd")


@dataclass(frozen=True)
class Speculation:
    """Speculative decoding: `tokens` drafted per step, each accepted with probability `acceptance` given that those
    before it were; method: `mtp` (the model's own extra layers), or how a model beside it drafts (`eagle3`, `eagle`,
    `dflash`, `model`), whose weights, cache and passes are counted if the model has it (`with_draft`), or `draft`: one
    of which nothing is counted; kept: of that probability with each further token, 1 where what was given is a mean
    over all of them.
    """

    tokens: float
    acceptance: float
    method: str = "mtp"
    source: str = ""
    kept: float = 1.0

    @property
    def accepted(self) -> float:
        """Tokens gained per step: 1 + a + a^2 + ... + a^tokens (Leviathan et al., arXiv 2211.17192, eq. 1), each
        further probability `kept` times the one before.
        """
        a, k = self.acceptance, self.tokens
        if self.kept == 1.0:
            return float((1 - a ** (k + 1)) / (1 - a + 1e-12))
        return float(sum(a**i * self.kept ** (i * (i - 1) / 2) for i in range(int(k) + 1)))


REUSED = 0.85
"""Of the probability of acceptance with each further token that one layer drafts from its own drafts: with 0.85 for the
first, seven drafts gain 3.17 tokens a step, where DeepSeek-V3's own layer was measured to gain 3.20 and 3.09 (at
temperatures 0 and 1, MT-Bench, HumanEval and GSM8K; 4.85 if the probability stayed).
https://huggingface.co/nebius/MTP-DeepSeek-V3-0324"""

TRAINED_ON = 0.6
"""Probability that a token is accepted which a small head drafts that was trained for a released model (EAGLE), where
the model has no layers of its own for it: 2.36 tokens a step of five drafts for gpt-oss
(https://github.com/vllm-project/vllm/pull/42764), 2.47 of six for MiniCPM3 (pull/24243), which is 0.60 each; 3.53 of
seven for Llama-3.1-8B (issues/26191), which is 0.74. The lower is taken."""

DRAFTED: dict[str, tuple[float, str]] = {
    "eagle3": (TRAINED_ON, "https://github.com/vllm-project/vllm/pull/42764 and pull/24243"),
    "eagle": (0.5, "https://github.com/vllm-project/vllm/pull/16035: 1.89 tokens a step of two drafts, 2.08 of four"),
    "dflash": (
        0.73,
        "3.45 tokens a step of seven drafts of prose, more of code: "
        "https://github.com/tonyd2wild/GLM-5.3-Flash-NVFP4-DFlash2-2x-DGX-Spark/issues/23",
    ),
    "model": (0.6, "arXiv 2211.17192, table 3: 0.53 to 0.75 of a small model of the same family"),
}
"""Probability of acceptance by how a model beside it drafts, and where it was measured."""


ACCEPTANCE = 0.85
"""Probability that a drafted token is accepted: DeepSeek-V3 reports 85 to 90 % for its second token (arXiv 2412.19437,
section 5.4.3); the lower end is taken, for drafts that are not news to the model are rare."""


@dataclass(frozen=True)
class ChipPrice:
    """What an accelerator costs [USD/accelerator-s], and as of when, where and by whom; low, high: its range; term: of
    payment (`owned`: cost of owning), empty where people said the price.
    """

    value: float
    basis: str
    low: float | None = None
    high: float | None = None
    source: str = ""
    term: str = ""


@dataclass(frozen=True)
class ChipPower:
    """What an accelerator draws [W], and what that figure is of: the chip at a share of its rating, or all that is
    provisioned for it (server, network, cooling).
    """

    value: float
    basis: str
    source: str = ""


@dataclass(frozen=True)
class PriceList:
    """What an API charges for input found in the cache, other input, and output [USD/token]; facts: their ids."""

    cached: float
    fresh: float
    output: float
    basis: str
    facts: tuple[str, ...] = ()


@dataclass(frozen=True)
class LateLimit:
    """A limit on what `share` of the requests do not exceed. what: `ttft` or `tpot`; limit [s]."""

    what: Literal["ttft", "tpot"]
    share: float
    limit: float

    @property
    def name(self) -> str:
        """As people ask for it: `ttft_p99`."""
        return f"{self.what}_p{100 * self.share:g}"


@dataclass(frozen=True)
class ServeJob:
    """One service.

    arch: the model; isl, osl: input and output tokens of a request; ttft, tpot: limits [s] on the mean time to the
    first token and per output token after it; rate: requests per second that must be met (Poisson arrivals);
    concurrency: requests kept in flight in the whole deployment (closed loop); cache_hit: share of the input found in
    the prefix cache; weights, kv: number formats, the release's own where None; engine: whose overheads and
    defaults; mode: `auto` (the better of together and apart), `aggregated`, `disaggregated`, or one pool alone,
    `prefill`, `decode` or `afd` (a pool that decodes with attention and FFN on ranks of their own); afd: whether the
    decode pool of a disaggregated service is such a pool; micro_batches: how many take turns in it, searched where
    None; speculative: drafts; imbalance: load of the hottest expert rank over the mean, from the
    calibration where None; batch: sequences per accelerator in flight, where it is given; chunk: new tokens per step
    and attention replica at most, the engine's default where None; thorough: whether other chunks are tried too, more
    batches, and every pair of pools, which takes some tenths of a second more; memory_share: as in `Engine`; running:
    sequences of an attention replica at once at most; eager: without captured graphs; stack:
    whether the engine is run as it comes or with settings chosen for this service, as the published recipes that most
    constants were fitted on, which is meant where None; price:
    what an accelerator costs; power: what it draws; price_list: what the tokens are sold at; date: of the software, the
    newest where None; late: limits on percentiles; usual_ttft:
    whether `ttft` is a usual bound that nobody asked for, so that of nearly equal points the soonest is taken; soon:
    such a bound, that the chosen point keeps unasked, for what is shown beside it.
    """

    arch: Architecture
    isl: float
    osl: float
    ttft: float | None = None
    tpot: float | None = None
    rate: float | None = None
    cache_hit: float = 0.0
    weights: str | None = None
    kv: str | None = None
    engine: str | None = None
    concurrency: float | None = None
    mode: str = "auto"
    afd: bool = False
    micro_batches: int | None = None
    speculative: Speculation | None = None
    imbalance: float | None = None
    batch: float | None = None
    chunk: int | None = None
    thorough: bool = False
    memory_share: float | None = None
    running: int | None = None
    eager: bool = False
    stack: Stack | None = None
    price: ChipPrice | None = None
    power: ChipPower | None = None
    price_list: PriceList | None = None
    date: datetime.date | None = None
    late: tuple[LateLimit, ...] = ()
    usual_ttft: bool = False
    soon: float | None = None

    @property
    def splits_ffn(self) -> bool:
        """Whether attention and FFN of the decoding ranks are apart."""
        return self.afd or self.mode == "afd"


def asking(name: str, value: str = "") -> str:
    """A change of a field as people ask for it, in what would lift a limit: the one place that knows how."""
    return f"--{name.replace('_', '-')} {value}".rstrip()


def check(job: ServeJob) -> None:
    """Raise InputError with every problem of a job whose numbers are plain."""
    problems = []
    if job.mode not in MODES:
        problems.append(Problem(f'"{job.mode}" is not one of {", ".join(MODES)}', path="mode"))
    if job.stack is not None and job.stack not in STACKS:
        problems.append(Problem(f'"{job.stack}" is not one of {", ".join(STACKS)}', path="stack"))
    for name, value, least in (("isl", job.isl, 1), ("osl", job.osl, 1)):
        if not least <= float(value) <= 1e8:
            problems.append(Problem(f"expected {least} to 1e8 tokens, got {float(value):g}", path=name))
    for name, limit in (("ttft", job.ttft), ("tpot", job.tpot), ("rate", job.rate)):
        if limit is not None and not limit > 0:
            problems.append(Problem(f"expected more than zero, got {limit:g}", path=name))
    if job.rate is not None and job.rate > 1e9:
        problems.append(Problem(f"expected at most 1e9 requests/s, got {job.rate:g}", path="rate"))
    if job.concurrency is not None and not 1 <= job.concurrency <= 1e9:
        problems.append(Problem(f"expected 1 to 1e9, got {job.concurrency:g}", path="concurrency"))
    if job.batch is not None and not 0 < job.batch <= 1e6:
        problems.append(Problem(f"expected more than 0, to 1e6, got {job.batch:g}", path="batch"))
    if job.imbalance is not None and not 1 <= job.imbalance <= 1000:
        message = f"expected 1 (the hottest rank has the mean load) to 1000, got {job.imbalance:g}"
        problems.append(Problem(message, path="imbalance"))
    if job.rate is not None and job.batch is not None:
        problems.append(Problem("give either a rate or a batch, not both", path="batch"))
    if job.concurrency is not None and job.batch is not None:
        problems.append(Problem("give either a concurrency or a batch, not both", path="batch"))
    if job.rate is not None and job.concurrency is not None:
        problems.append(Problem("give either a rate or a concurrency, not both", path="rate"))
    if job.mode == "disaggregated" and (job.concurrency is not None or job.batch is not None):
        message = "two pools are sized for a rate, or for all they can do; leave it out or take mode aggregated"
        problems.append(Problem(message, path="batch" if job.concurrency is None else "concurrency"))
    if job.afd and job.mode not in ("disaggregated", "afd"):
        problems.append(Problem(f"attention and FFN apart are for decode, not for mode {job.mode}", path="afd"))
    if job.mode in ("decode", "afd") and job.ttft is not None:
        problems.append(Problem("decode alone has no first token to wait for; disaggregate", path="ttft"))
    if job.mode == "prefill" and job.tpot is not None:
        problems.append(Problem("prefill alone has no time per output token", path="tpot"))
    if job.micro_batches is not None and not (job.splits_ffn and 1 <= job.micro_batches <= 16):
        problems.append(Problem("expected 1 to 16, with attention and FFN apart (afd)", path="micro_batches"))
    if not 0 <= float(job.cache_hit) < 1:
        problems.append(Problem(f"expected a share from 0 to below 1, got {float(job.cache_hit):g}", path="cache_hit"))
    problems += [problem for one in job.late for problem in _late(job, one)]
    if problems:
        raise InputError(problems)


def _late(job: ServeJob, one: LateLimit) -> list[Problem]:
    """What is wrong with a limit on a percentile."""
    found = []
    if not one.limit > 0:
        found.append(Problem(f"expected more than zero, got {one.limit:g}", path=one.name))
    if job.concurrency is not None:
        found.append(
            Problem("percentiles are known where requests come by themselves, not at a concurrency", path=one.name)
        )
    if (one.what == "ttft" and job.mode in ("decode", "afd")) or job.mode == "prefill":
        found.append(Problem(f"mode {job.mode} has no such percentile", path=one.name))
    return found
