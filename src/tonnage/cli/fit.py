"""`tonnage fit MODEL --on 8xh20`: does it fit, with what context and batch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

from cyclopts import Parameter

from tonnage.ask.fit import FitWords
from tonnage.cli.calibration import catalog_with, said
from tonnage.cli.common import COMMON, Common, finish
from tonnage.cli.flags import as_flags
from tonnage.report.envelope import Reply
from tonnage.report.fit import answer_of


@Parameter(name="*")
@dataclass(frozen=True)
class FitOptions(FitWords):
    """What is to fit where.

    Parameters
    ----------
    on
        chips, such as 8xh20.
    context
        tokens of a sequence that must fit, and for which the batch is counted; 8k, or fewer if not given.
    weights
        bf16, fp16, fp8, mxfp8, int8, fp4, nvfp4, mxfp4, w4a8, w4a16 or w8a16; the release's own if not given.
    kv
        bf16, fp8 or int8 cache.
    layout
        what is fixed, such as tp8; the rest is chosen.
    engine
        vllm, sglang, trtllm, vllm-ascend or atom; of a version as vllm@0.11, else the newest known.
    chunk
        new tokens in a step at most, such as 16k; the engine's default if not given.
    running
        sequences that run at once at most, such as 256 (vLLM's --max-num-seqs); the engine's default if not given.
    memory_share
        share of the memory that the engine takes, such as 0.95.
    eager
        without captured graphs.
    calibration
        a file of `tonnage qualify`, measured on these chips; its device can be asked for by its name. May be repeated.
    """

    chunk: Annotated[str | None, Parameter(name=["--chunk", "--max-batched-tokens"])] = None
    running: Annotated[str | None, Parameter(name=["--running", "--max-running"])] = None
    eager: Annotated[bool, Parameter(negative="")] = False
    calibration: Annotated[tuple[str, ...], Parameter(negative="")] = ()


NAMES = frozenset(field.name for field in fields(FitOptions))
"""Fields that have a flag."""


def fit(model: str, /, *, options: FitOptions, common: Common = COMMON) -> int:
    """Does a model fit on these chips; with what context and batch.

    Parameters
    ----------
    model
        bundled name, HF id, config.json, folder with one, or an architecture in YAML.
    """
    from tonnage.ask.fit import plan_asked, read
    from tonnage.ask.together import names, with_the_rest
    from tonnage.serve.replica.engines import engine
    from tonnage.serve.replica.formats import known_formats

    more = (lambda: known_formats(options.weights, options.kv), lambda: engine(options.engine))
    load = catalog_with(options.calibration, common)
    rest = names(model, (options.on,), load, common.date)
    with as_flags(NAMES), with_the_rest(lambda: read(options), *rest, *more):
        catalog = load()
        plan = plan_asked(model, read(options), catalog, common.date(), common.seed)
    inputs = {"model": model, **said(vars(options)), "as_of": common.as_of}
    answer = answer_of(model, options.on, plan)
    known = plan.provenance
    result = Reply(
        "fit", inputs, plan.to_json(), answer, plan.outcome, known.evidence, known.facts, catalog, formats=""
    )
    return finish(result, common)
