"""A move of a training run in words."""

from __future__ import annotations

from tonnage import units
from tonnage.train import MovePlan, Switch

KINDS = ("checkpoint", "convert", "transfer", "warm_up", "check", "lost")


def move_sentence(move: MovePlan) -> str:
    """Whether and when it pays."""
    system, found = move.after.system, move.switch
    to = f"{system.count:,} {system.accelerator.title}"
    if found is None:
        return f"It cannot move to {to}: {move.after.outcome.binds[0].text}."
    if found.break_even is None:
        return f"Moving to {to} never pays: they are not faster."
    after = units.show_time(found.break_even)
    ends = f"the run ends {units.show_time(abs(found.saved))} {'sooner' if found.worth else 'later'}"
    return f"Moving at {move.share:.0%} to {to}: {ends}; it has paid {after} after the move."


def move_rows(move: MovePlan) -> tuple[tuple[str, str], ...]:
    """Where to, the pause, the break-even and the rest of the run, both ways."""
    found, run, system = move.switch, move.after.run, move.after.system
    if found is None or run is None:
        return (("switch", move_sentence(move)),)
    spent = ", ".join(
        f"{name.replace('_', ' ')} {units.show_time(getattr(found, name))}"
        for name in KINDS
        if getattr(found, name) > 0
    )
    each = f"{units.show_number(run.tokens_per_second)} tokens/s per accelerator"
    return (
        ("moves to", f"{system.count:,} {system.accelerator.name}, {move.after.layout}: {each}"),
        ("pause", f"{units.show_time(found.total)}: {spent} (assumptions, see docs/method/training-fleets.md)"),
        ("break-even", _pays(move, found)),
        ("rest", _rest(move, found)),
    )


def _pays(move: MovePlan, found: Switch) -> str:
    if found.break_even_tokens is None or found.break_even is None:
        return "never: the new system is not faster"
    text = f"{units.show_tokens(found.break_even_tokens)} tokens, {units.show_time(found.break_even)}, after the move"
    if move.dates.break_even_date:
        text += f", on {move.dates.break_even_date}"
    if move.latest is None:
        return text + "; the run is too short for any move to pay"
    return text + f"; a move later than at {move.latest:.1%} of the run does not pay"


def _rest(move: MovePlan, found: Switch) -> str:
    """Time and money to the end of the run, both ways."""
    texts = []
    for name, seconds, bill, end in (
        ("stay", found.stay, move.cost_stay, move.dates.end_stay),
        ("move", found.move, move.cost_move, move.dates.end_move),
    ):
        text = f"{units.show_time(seconds)} to {name}" + (f" (ends {end})" if end else "")
        texts.append(text + (", unpriced" if bill is None else f", {units.show_money(bill)}"))
    return "; ".join(texts)
