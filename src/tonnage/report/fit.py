"""What `tonnage fit` says: whether a model fits, in what layout and memory, and what its cache takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonnage import units
from tonnage.report.answer import Answer, Table
from tonnage.report.memory import show_held

if TYPE_CHECKING:
    from tonnage.serve import FitPlan


def answer_of(model: str, on: str, plan: FitPlan) -> Answer:
    """The answer; model, on: as they were written."""
    system = plan.question.system
    title = f"{system.count:,} x {system.accelerator.title}"
    if not plan.outcome.feasible:
        bind = plan.outcome.binds[0]
        refused = [("bound by", bind.text), ("lifted by", bind.lift or "nothing known")]
        return Answer(f"No: {bind.text}.", tuple(refused), (_cache(plan),), feasible=False)
    held = plan.memory
    named = ("weights", "kv_cache", "activations", "buffers")
    per = ", ".join(f"{name.replace('_', ' ')} {units.show_memory(getattr(held, name))}" for name in named)
    sentence = (
        f"Yes: {model} ({plan.formats.weights}, cache in {plan.formats.kv}) fits on {title}, with one sequence of up "
        f"to {plan.max_context:,} tokens or {plan.max_batch:,} of {plan.context:,.0f}."
    )
    token, cached = f"{plan.kv_bytes_per_token:,.0f} bytes a token", units.show_tokens(plan.cached_tokens)
    rows = (
        ("layout", f"{plan.layout_text}; {plan.engine} defaults{_ranks(plan)}"),
        ("memory", f"{show_held(held)} each: {per}"),
        ("cache", f"{token}; {cached} tokens in all"),
        ("params", f"{plan.params:,} ({plan.active_params:,} active{_mtp(plan)})"),
        ("weights", plan.formats.why),
    )
    hint = f"tonnage serve {model} --on {on} --isl 4k --osl 1k --tpot 50ms"
    return Answer(sentence, rows, (_cache(plan),), hints=(hint,))


def _ranks(plan: FitPlan) -> str:
    """Accelerators that are several ranks."""
    one = plan.question.system.accelerator
    return f"; one {one.title.partition(' (')[0]} is {one.dies} ranks" if one.dies > 1 else ""


def _mtp(plan: FitPlan) -> str:
    return f"; {plan.mtp_params:,} more for multi-token prediction" if plan.mtp_params else ""


def _cache(plan: FitPlan) -> Table:
    rows = tuple(
        (row.kind, f"{row.layers}", units.show_memory(row.kv_bytes), units.show_memory(row.state_bytes))
        for row in plan.cache
    )
    title = f"cache of one sequence of {plan.context:,.0f} tokens, whole model"
    return Table(title, ("layer kind", "layers", "keys and values", "state"), rows)
