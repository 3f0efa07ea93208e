"""A stage of reinforcement learning in words."""

from __future__ import annotations

from tonnage import units
from tonnage.train import RlPlan


def rl_sentence(stage: RlPlan) -> str:
    """How long the stage takes, or why it cannot be."""
    if stage.rounds is None or stage.wall_time is None:
        return f"Its stage of reinforcement learning cannot be: {stage.bind}."
    said = f"{units.show_tokens(stage.tokens)} rollout tokens take {units.show_time(stage.wall_time.value)}, "
    return f"{said}{stage.count:,.0f} rounds of {units.show_time(stage.rounds.each.total)}."


def rl_rows(stage: RlPlan) -> tuple[tuple[str, str], ...]:
    """The parts of a round, who generates, who trains, the whole stage."""
    rounds, wall, rollouts = stage.rounds, stage.wall_time, stage.rollouts
    if rounds is None or wall is None:
        return (("rl", stage.bind),)
    parts = ", ".join(
        f"{name} {units.show_time(getattr(rounds.each, name))}"
        for name in ("generate", "reward", "update", "transfer")
        if getattr(rounds.each, name) > 0
    )
    rate = units.show_number(rollouts.rate / stage.pool.count)
    span = f"{units.show_time(rounds.shortest)} to {units.show_time(rounds.longest)}"
    where = f"{stage.pool.count:,} {stage.pool.accelerator.name}, {stage.layout}, {stage.engine}"
    cost = "unpriced" if stage.cost is None else units.show_money(stage.cost)
    each = f"{rollouts.responses:,.0f} responses of {units.show_tokens(rollouts.response)} tokens on average"
    each += f", the longest {rollouts.tail:g} times"
    total = units.show_time(rounds.each.total)
    return (
        ("round", f"{total} ({span}): {parts}; {stage.pools}; {each}"),
        ("rollout", f"{rate} tokens/s per accelerator on {where}"),
        ("update", f"{stage.update.layout}, prompts trained on too, one pass and log-probabilities"),
        ("stage", f"{units.show_time(wall.value)}, {stage.count:,.0f} rounds, {cost}"),
    )
