"""What an engine has to be told to run an instance as it was priced: parallelism, tokens of a step, batch, formats.

Where an engine cannot be told so, or its flags are not known, the reason stands instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tonnage.export import sglang, trtllm, vllm
from tonnage.serve.instances import Instance
from tonnage.serve.replica.engines import ENGINES
from tonnage.serve.result import ServePlan
from tonnage.values import Plain

WRITERS: dict[str, Callable[[Instance], str]] = {
    "sglang": sglang.flags,
    "vllm": vllm.flags,
    "vllm-ascend": vllm.flags,
    "trtllm": trtllm.flags,
}
"""What writes the flags of each engine."""


@dataclass(frozen=True)
class EngineLaunch:
    """How one kind of instance is started. flags: None where the engine cannot be told; why: not, or not quite so."""

    chip: str
    role: str
    count: int
    engine: str
    flags: str | None
    why: str | None

    def to_json(self, *, chip: bool) -> dict[str, Plain]:
        """Keys of the interface; `chip` where several kinds serve."""
        whose: dict[str, Plain] = {"chip": self.chip} if chip else {}
        own: dict[str, Plain] = {"role": self.role, "count": self.count, "engine": self.engine}
        return {**whose, **own, "flags": self.flags, "why": self.why}


def launch(one: Instance) -> EngineLaunch:
    """How an instance is started."""
    why, flags = refuses(one), None
    if why is None and one.afd is not None:
        flags = vllm.afd_flags(one)
    elif why is None and one.engine in WRITERS:
        flags = WRITERS[one.engine](one)
    elif why is None:
        why = f"the flags of {one.engine} are not known here"
    engine = one.engine if one.afd is None else "vllm with afd-plugin"
    return EngineLaunch(one.chip, one.role, one.count, engine, flags, why)


def launches(plan: ServePlan) -> tuple[EngineLaunch, ...]:
    """How every kind of instance of a plan is started."""
    return _strangers([launch(one) for one in plan.instances])


def refuses(one: Instance) -> str | None:
    """Why an engine cannot be told to run an instance."""
    if why := vllm.afd_refuses(one):
        return why
    if int(one.layout.cp) > 1:
        return "prompts shared by ranks (cp) are set differently in each engine's version"
    held = replace(one.layout, ep=1) if one.role == "ffn" else one.layout
    return ENGINES[one.engine].refuses(held, one.kv)


def _strangers(rows: Sequence[EngineLaunch]) -> tuple[EngineLaunch, ...]:
    """Rows of two pools, with what stands in the way where their engines differ."""
    pools = ("prefill", "decode")
    engines = {row.engine for row in rows if row.role in pools}
    if len(engines) < 2:
        return tuple(rows)
    both = " and ".join(sorted(engines))
    why = f"priced as if {both} handed over the cache in one form, which they do not by themselves"
    return tuple(replace(row, why=row.why or why) if row.role in pools else row for row in rows)
