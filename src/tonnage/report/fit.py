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
        refused += [("rules", plan.engine_rules)] if plan.engine_rules else []
        return Answer(f"No: {bind.text}.", tuple(refused), (_cache(plan),), feasible=False)
    held = plan.memory
    named = ("weights", "kv_cache", "activations", "buffers")
    per = ", ".join(f"{name.replace('_', ' ')} {units.show_memory(getattr(held, name))}" for name in named)
    sentence = (
        f"Yes: {plan.question.arch.title} ({plan.formats.weights}, cache in {plan.formats.kv}) fits on {title}, with "
        f"one sequence of up to {plan.max_context:,} tokens or {plan.max_batch:,} of {plan.context:,.0f}."
    )
    rows = (
        ("layout", f"{plan.layout_text}; {plan.engine_rules or plan.engine}{_ranks(plan)}"),
        *_start(plan),
        ("memory", f"{show_held(held)} each: {per}"),
        ("cache", _line(plan)),
        ("doubt", _doubt(plan)),
        *_drafts(plan),
        ("params", f"{plan.params:,} ({plan.active_params:,} active{_mtp(plan)})"),
        ("weights", plan.formats.why),
    )
    hint = f"tonnage serve {model} --on {on} --isl 4k --osl 1k --tpot 50ms"
    tables = (_cache(plan), *([_curve(plan)] if _bent(plan) else []))
    return Answer(sentence, rows, tables, hints=(hint,))


def _start(plan: FitPlan) -> tuple[tuple[str, str], ...]:
    """With how many sequences at once the engine starts, where its default is more."""
    if plan.starts_with is None:
        return ()
    text = (
        f"{plan.engine} does not start at its default of {plan.max_running:,} sequences at once: its cache has pages "
        f"for {plan.starts_with:,} states; --max-running {plan.starts_with} (--max-num-seqs) or fewer"
    )
    return (("start", text),)


def _drafts(plan: FitPlan) -> tuple[tuple[str, str], ...]:
    """What drafts take, and what of them is not counted."""
    q = plan.question
    if not q.drafts:
        return ()
    by = "the model's own layers, counted" if q.own_layers else "a model beside it, whose weights are not counted"
    return (("drafts", f"{q.drafts} a step by {by}"),)


def _line(plan: FitPlan) -> str:
    """Bytes of a token on an accelerator times its tokens are its cache; all tokens beside where there are more."""
    each, kept = units.show_tokens(plan.tokens_each), units.show_memory(plan.memory.kv_cache)
    at = f" in sequences of {plan.context:,.0f}" if _bent(plan) else ""
    line = f"{plan.token_bytes:,.0f} bytes a token x {each} tokens{at} = {kept} on each accelerator"
    many = plan.cached_tokens > 1.001 * plan.tokens_each
    return f"{line}; {units.show_tokens(plan.cached_tokens)} tokens in all" if many else line


def _doubt(plan: FitPlan) -> str:
    """What the room for the cache may be, and the tokens in it."""
    low, high = plan.room
    ends = " to ".join(units.show_memory(end) for end in (low, high))
    tokens = " to ".join(units.show_tokens(end / plan.token_bytes) for end in (low, high))
    return f"cache {ends}, {tokens} tokens (90 % of logged starts)"


def _bent(plan: FitPlan) -> bool:
    """Whether what a token takes depends on the context: windows, compressed entries, states."""
    sizes = [point.token_bytes for point in plan.curve]
    return bool(sizes) and max(sizes) > 1.01 * min(sizes)


def _curve(plan: FitPlan) -> Table:
    rows = tuple(
        (
            f"{point.context:,}",
            f"{point.sequences:,.1f}",
            units.show_tokens(point.tokens),
            f"{point.token_bytes:,.0f}",
        )
        for point in plan.curve
    )
    return Table("what the whole cache holds", ("context", "sequences", "tokens", "bytes a token"), rows)


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
