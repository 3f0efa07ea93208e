"""What an engine has to be told to run an instance as it was priced: parallelism, tokens of a step, batch, formats.

Where an engine cannot be told so, or its flags are not known, the reason stands instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tonnage.export import sglang, trtllm, vllm
from tonnage.export.words import copies
from tonnage.serve.instances import Instance
from tonnage.serve.replica.afd import plugin_refuses
from tonnage.serve.replica.engines import ENGINES, Startup, running_on
from tonnage.serve.result import ServePlan
from tonnage.values import Plain

Commands = tuple[tuple[str, str], ...]

WRITERS: dict[str, tuple[Callable[[Instance], str], Callable[[Instance], Commands]]] = {
    "sglang": (sglang.flags, sglang.commands),
    "vllm": (vllm.flags, vllm.commands),
    "vllm-ascend": (vllm.flags, vllm.commands),
    "trtllm": (trtllm.flags, trtllm.commands),
}
"""What writes the flags of each engine, and whole commands."""


@dataclass(frozen=True)
class EngineLaunch:
    """How one kind of instance is started. flags: of its first server, None where the engine cannot be told; why: not,
    or not quite so; version: the release whose flags they are; nodes: servers of one instance; commands: (which
    servers, the whole command) for each kind of server.
    """

    chip: str
    role: str
    count: int
    engine: str
    flags: str | None
    why: str | None
    version: str | None = None
    nodes: int = 1
    commands: Commands = ()

    def to_json(self, *, chip: bool) -> dict[str, Plain]:
        """Keys of the interface; `chip` where several kinds serve."""
        whose: dict[str, Plain] = {"chip": self.chip} if chip else {}
        own: dict[str, Plain] = {"role": self.role, "count": self.count, "engine": self.engine}
        told: list[Plain] = [{"where": where, "command": command} for where, command in self.commands]
        more: dict[str, Plain] = {"version": self.version, "nodes": self.nodes, "commands": told}
        return {**whose, **own, "flags": self.flags, "why": self.why, **more}


def launch(one: Instance) -> EngineLaunch:
    """How an instance is started."""
    why, flags = refuses(one), None
    told: Commands = ()
    engine, version = one.engine, ENGINES[one.engine].can.version
    if one.afd is not None:
        engine, version = "vllm with afd-plugin", ENGINES["vllm"].can.version
    if why is None and one.afd is not None:
        flags, told = vllm.afd_flags(one), vllm.afd_commands(one)
    elif why is None and one.engine in WRITERS:
        flag, command = WRITERS[one.engine]
        flags, told = flag(one), command(one)
    elif why is None:
        why = f"the flags of {one.engine} are not known here"
    notes = "; ".join(_notes(one)) if flags else ""
    return EngineLaunch(one.chip, one.role, one.count, engine, flags, why or notes or None, version, one.nodes, told)


def _notes(one: Instance) -> Iterator[str]:
    """What a command line cannot say."""
    if one.converted:
        yield f"$MODEL: the weights in {one.converted}, which are not the release's"
    elif one.model.startswith("$"):
        yield f"{one.model}: path of the weights"
    if copies(one):
        many = f"{copies(one)} redundant experts a layer"
        yield f"{many}, for {one.experts} do not divide over {int(one.layout.ep)} ranks"
    if one.nodes > 1:
        number = f"$NODE_RANK: 0 on it, to {one.nodes - 1} on the last"
        yield f"$HEAD_ADDR: address of the first of the {one.nodes} servers of an instance; {number}"
    if one.dies > 1:
        yield f"one accelerator is {one.dies} ranks"
    if one.drafts and not one.own_layers and one.draft_model is None:
        yield "DRAFT_MODEL: path of the model that drafts"
    if ENGINES[one.engine].can.runs_on(one.stack) is False and not running_on(one.stack):
        yield f"no engine here is known to run on {one.stack}"


def launches(plan: ServePlan) -> tuple[EngineLaunch, ...]:
    """How every kind of instance of a plan is started."""
    return _strangers([launch(one) for one in plan.instances])


def refuses(one: Instance) -> str | None:
    """Why an engine cannot be told to run an instance."""
    if one.afd is not None:
        unit = one.afd
        for bad, why in plugin_refuses(unit.attention_ranks, unit.ffn_ranks, unit.micro_batches):
            if bad:
                return why
    if int(one.layout.cp) > 1 and one.role != "prefill":
        return "prompts are shared by ranks (cp) in a pool that prefills alone"
    engine = ENGINES[one.engine]
    if engine.can.runs_on(one.stack) is False and running_on(one.stack):
        return f"{one.engine} does not run on {one.stack}"
    if one.afd is not None:
        if one.experts and one.experts % int(one.layout.ep):
            return f"FFN ranks hold whole experts: {one.experts} do not divide over {int(one.layout.ep)}"
        return engine.refuses(replace(one.layout, ep=1), one.kv)
    start = Startup(one.experts, one.drafts > 0, one.server, one.whole, one.blocks)
    return engine.refuses(one.layout, one.kv, start)


def _strangers(rows: Sequence[EngineLaunch]) -> tuple[EngineLaunch, ...]:
    """Rows of two pools, with what stands in the way where their engines differ."""
    pools = ("prefill", "decode")
    engines = {row.engine for row in rows if row.role in pools}
    if len(engines) < 2:
        return tuple(rows)
    both = " and ".join(sorted(engines))
    why = f"priced as if {both} handed over the cache in one form, which they do not by themselves"

    def told(row: EngineLaunch) -> str:
        return why if row.why is None else f"{why}; {row.why}"

    return tuple(replace(row, why=told(row)) if row.role in pools else row for row in rows)
