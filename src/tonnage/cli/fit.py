"""`tonnage fit MODEL --on 8xh20`: does it fit, with what context and batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonnage import units
from tonnage.cli.common import COMMON, Common, finish
from tonnage.errors import InputError, Problem
from tonnage.report.answer import Answer, Table, show_held
from tonnage.report.envelope import Reply

if TYPE_CHECKING:
    from tonnage.serve import FitPlan
    from tonnage.system import System


def fit(
    model: str,
    /,
    *,
    on: str,
    context: str = "8k",
    weights: str | None = None,
    kv: str | None = None,
    layout: str | None = None,
    engine: str | None = None,
    chunk: str | None = None,
    running: str | None = None,
    memory_share: str | None = None,
    common: Common = COMMON,
) -> int:
    """Does a model fit on these chips; with what context and batch.

    Parameters
    ----------
    model
        bundled name, HF id, config.json, folder with one, or an architecture in YAML.
    on
        chips, such as 8xh20.
    context
        tokens of a sequence, for the batch that fits.
    weights
        bf16, fp16, fp8, mxfp8, int8, fp4, mxfp4, w4a8 or w4a16; the release's own if not given.
    kv
        bf16, fp8 or int8 cache.
    layout
        what is fixed, such as tp8; the rest is chosen.
    engine
        vllm, sglang, trtllm, vllm-ascend or atom.
    chunk
        new tokens in a step at most, such as 16k; the engine's default if not given.
    running
        sequences that run at once at most, such as 256 (vLLM's --max-num-seqs); the engine's default if not given.
    memory_share
        share of the memory that the engine takes, such as 0.95.
    """
    from tonnage.model import load
    from tonnage.serve import fit as room
    from tonnage.system import System, accelerator

    catalog = common.load_catalog()
    problems: list[Problem] = []
    count, chip = 1, ""
    try:
        count, chip = units.parse_fleet(on)
    except ValueError as error:
        problems.append(Problem(str(error), "--on"))
    tokens = _number(context, "tokens", "--context", problems)
    step = None if chunk is None else _number(chunk, "tokens", "--chunk", problems)
    if step is not None and not 16 <= step <= 1e7:
        problems.append(Problem(f"expected 16 to 1e7 tokens, got {step:g}", "--chunk"))
    many = None if running is None else _number(running, "count", "--running", problems)
    if many is not None and not 1 <= many <= 1e6:
        problems.append(Problem(f"expected 1 to 1e6 sequences, got {many:g}", "--running"))
    fixed = None if layout is None else _fixed(layout, problems)
    share = None if memory_share is None else _number(memory_share, "share", "--memory-share", problems)
    if share is not None and not 0 < share <= 1:
        problems.append(Problem(f"expected a share above 0 and at most 1, got {share:g}", "--memory-share"))
    if tokens is not None and not 1 <= tokens <= 1e9:
        problems.append(Problem(f"expected 1 to 1e9 tokens, got {tokens:g}", "--context"))
    if problems:
        raise InputError(problems)
    system = System(accelerator(chip, catalog, common.date()), count)
    plan = room(
        load(model, catalog, common.date()),
        system,
        weights,
        kv,
        fixed,
        context=tokens,
        engine_name=engine,
        memory_share=share,
        chunk=None if step is None else int(step),
        running=None if many is None else int(many),
    )
    inputs = {
        "model": model,
        "on": on,
        "context": context,
        "weights": weights,
        "kv": kv,
        "layout": layout,
        "engine": engine,
        "chunk": chunk,
        "running": running,
        "memory_share": memory_share,
        "as_of": common.as_of,
    }
    answer = _answer(model, on, system, plan)
    return finish(
        Reply("fit", inputs, plan.to_json(), answer, plan.outcome, plan.evidence, plan.sources, catalog), common
    )


def _number(text: str, kind: str, flag: str, problems: list[Problem]) -> float | None:
    try:
        return units.parse(text, kind)
    except ValueError as error:
        problems.append(Problem(str(error), flag))
        return None


def _fixed(text: str, problems: list[Problem]) -> dict[str, int] | None:
    """What is fixed of a layout."""
    from tonnage.layout import parse_layout

    try:
        read = parse_layout(text)
    except InputError as error:
        problems.extend(error.problems)
        return None
    unfit = sorted(read.keys() - {"tp", "pp", "dp", "ep", "etp"})
    problems.extend(Problem(f"{name} has no meaning in serving", "--layout", name) for name in unfit)
    return read


def _answer(model: str, on: str, system: System, plan: FitPlan) -> Answer:
    title = f"{system.count:,} x {system.accelerator.title}"
    if not plan.outcome.feasible:
        bind = plan.outcome.binds[0]
        rows = [("bound by", bind.text), ("lifted by", bind.lift or "nothing known")]
        return Answer(f"No: {bind.text}.", tuple(rows), (_cache(plan),), feasible=False)
    held = plan.memory
    per = ", ".join(f"{name.replace('_', ' ')} {units.show_memory(held[name])}" for name in _PARTS)
    sentence = (
        f"Yes: {model} ({plan.weights}, cache in {plan.kv}) fits on {title}, with one sequence of up to "
        f"{plan.max_context:,} tokens or {plan.max_batch:,} of {plan.context:,.0f}."
    )
    rows = [
        ("layout", f"{plan.layout_text}; {plan.engine} defaults"),
        ("memory", f"{show_held(held)} each: {per}"),
        (
            "cache",
            f"{plan.kv_bytes_per_token:,.0f} bytes a token; {units.show_tokens(plan.cached_tokens)} tokens in all",
        ),
        ("params", f"{plan.params:,} ({plan.active_params:,} active" + _mtp(plan) + ")"),
        ("weights", plan.why),
    ]
    hint = f"tonnage serve {model} --on {on} --isl 4k --osl 1k --tpot 50ms"
    return Answer(sentence, tuple(rows), (_cache(plan),), hints=(hint,))


_PARTS = ("weights", "kv_cache", "activations", "buffers")


def _mtp(plan: FitPlan) -> str:
    return f"; {plan.mtp_params:,} more for multi-token prediction" if plan.mtp_params else ""


def _cache(plan: FitPlan) -> Table:
    rows = tuple(
        (
            str(row["kind"]),
            f"{row['layers']}",
            units.show_memory(row["kv_bytes"]),
            units.show_memory(row["state_bytes"]),
        )
        for row in plan.cache
    )
    title = f"cache of one sequence of {plan.context:,.0f} tokens, whole model"
    return Table(title, ("layer kind", "layers", "keys and values", "state"), rows)
