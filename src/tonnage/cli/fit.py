"""`tonnage fit MODEL --on 8xh20`: does it fit, with what context and batch."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tonnage.ask.fit import FitWords
from tonnage.cli.calibration import catalog_with, said
from tonnage.cli.common import COMMON, Common, finish
from tonnage.cli.flags import as_flags
from tonnage.cli.launch_file import dated, read_from
from tonnage.report.envelope import Reply
from tonnage.report.fit import answer_of
from tonnage.report.written import fit_change, with_written, written_json


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
        bf16, fp16, fp8 or int8 cache.
    layout
        what is fixed, such as tp8; the rest is chosen.
    engine
        vllm, sglang, trtllm, vllm-ascend, cloudmatrix-infer or atom; of a version as vllm@0.11, else the newest known.
    chunk
        new tokens in a step at most, such as 16k; the engine's default if not given.
    running
        sequences that run at once at most, such as 256 (vLLM's --max-num-seqs); the engine's default if not given.
    memory_share
        share of the memory that the engine takes, such as 0.95.
    eager
        without captured graphs.
    speculate
        tokens drafted per step, such as 3: by the model's own extra layers, or by a small model beside it, which is not
        counted.
    calibration
        a file of `tonnage qualify`, measured on these chips; its device can be asked for by its name. May be repeated.
    launch_file
        a launch file of yours to ask of: a script, manifest or configuration of an engine; flags override what it says.
    """

    on: str = ""
    chunk: Annotated[str | None, Parameter(name=["--chunk", "--max-batched-tokens"])] = None
    running: Annotated[str | None, Parameter(name=["--running", "--max-running"])] = None
    eager: Annotated[bool, Parameter(negative="")] = False
    calibration: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    launch_file: Annotated[Path | None, Parameter(name="--from", negative="")] = None


NAMES = frozenset(field.name for field in fields(FitOptions))
"""Fields that have a flag."""


UNSAID = FitOptions()


def fit(model: str | None = None, /, *, options: FitOptions = UNSAID, common: Common = COMMON) -> int:
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

    with as_flags(NAMES):
        given = [options.on] if options.on else []
        model, options, written = read_from(options.launch_file, model, given, options, common)
    common = dated(common, written)
    more = (lambda: known_formats(options.weights, options.kv), lambda: engine(options.engine))
    load = catalog_with(options.calibration, common)
    rest = names(model, (options.on,), load, common.date)
    with as_flags(NAMES), with_the_rest(lambda: read(options), *rest, *more):
        catalog = load()
        plan = plan_asked(model, read(options), catalog, common.date(), common.seed)
    inputs = {"model": model, **said(vars(options)), "as_of": common.as_of}
    path = inputs.pop("launch_file")
    inputs |= {} if path is None else {"from": str(path)}
    answer, body = answer_of(model, options.on, plan), plan.to_json()
    if written is not None:
        free = replace(options, layout=None, chunk=None, running=None)
        change = fit_change(plan, plan_asked(model, read(free), catalog, common.date(), common.seed))
        answer, body = with_written(answer, written, change), {**body, "written": written_json(written, change)}
    known = plan.provenance
    result = Reply("fit", inputs, body, answer, plan.outcome, known.evidence, known.facts, catalog, formats="")
    return finish(result, common)
