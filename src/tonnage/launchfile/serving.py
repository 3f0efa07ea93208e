"""Starts of a serving engine -> the words of a question about serving."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tonnage.launchfile.names import plain, texts
from tonnage.launchfile.sorting import Sorted, sort
from tonnage.launchfile.value import EngineStart


@dataclass(frozen=True)
class WrittenInstance:
    """One kind of instance as it is written. degrees: of an instance; ranks: of one; count: accelerators of all."""

    part: str
    degrees: Mapping[str, int]
    ranks: int
    count: int
    words: Mapping[str, str | bool]
    sorted: Sorted
    notes: tuple[str, ...] = ()


@dataclass
class _Cut:
    """Degrees on the way."""

    tp: int = 1
    pp: int = 1
    cp: int = 1
    dp: int = 1
    ep: int = 1
    copies: int = 1
    notes: list[str] = field(default_factory=list)


ATTENTION = "dp as attention replicas, for the file gives an instance no more accelerators than tp"


def instance(start: EngineStart) -> WrittenInstance:
    """What one start of an engine means."""
    found = sort(start.engine, start.said)
    cut = _CUTS[start.engine](found)
    if cut.copies > 1 and start.each and start.each * (start.nodes or 1) == cut.tp * cut.pp:
        cut = replace(cut, tp=max(cut.tp // cut.copies, 1), dp=cut.copies, copies=1, notes=[ATTENTION])
    ranks = cut.tp * cut.pp * cut.cp * cut.dp
    count = ranks * cut.copies * (start.replicas or 1)
    servers = (start.each or 0) * (start.nodes or 1) * (start.replicas or 1)
    nodes = found.whole("nodes")
    if start.each and nodes and not start.nodes:
        servers = start.each * nodes * (start.replicas or 1)
    if servers > count and servers % ranks == 0:
        count = servers
    group = cut.tp * cut.cp * cut.dp
    degrees = {"tp": cut.tp, "pp": cut.pp, "cp": cut.cp, "dp": cut.dp, "ep": min(cut.ep, group)}
    degrees["etp"] = max(group // degrees["ep"], 1)
    return WrittenInstance(
        start.part or _part(found), degrees, ranks, count, _words(found, cut), found, tuple(cut.notes)
    )


def _part(found: Sorted) -> str:
    """The pool that an engine is told to be of."""
    role = plain(found.text("role") or found.text("kv_role") or "")
    role = {"kv-producer": "prefill", "kv-consumer": "decode"}.get(role, role)
    if role in ("prefill", "decode"):
        return role
    return next((one for one in ("prefill", "decode") if found.on(one)), "")


def _vllm(found: Sorted) -> _Cut:
    tp, pp, cp, dp = (found.whole(one) or 1 for one in ("tp", "pp", "cp", "dp"))
    cut = _Cut(tp, pp, cp, dp)
    if found.on("experts"):
        cut.ep = cut.tp * cut.cp * cut.dp
    return cut


def _sglang(found: Sorted) -> _Cut:
    """`--tp-size` counts all ranks; attention replicas (`--dp-size`) are inside with `--enable-dp-attention`, and whole
    copies of the model without it.
    """
    world, pp = found.whole("world") or 1, found.whole("pp") or 1
    cp, dp = found.whole("cp") or 1, found.whole("dp") or 1
    cut = _Cut(max(world // cp, 1), pp, cp)
    if dp > 1 and found.on("attention_dp"):
        cut.dp, cut.tp = dp, max(world // cp // dp, 1)
    elif dp > 1:
        cut.copies = dp
        cut.notes.append("dp without enable-dp-attention: copies of the model, as SGLang reads it")
    cut.ep = world if found.on("experts") else found.whole("ep") or 1
    return cut


def _trtllm(found: Sorted) -> _Cut:
    """With attention DP every rank of the tensor-parallel group is an attention replica."""
    world = found.whole("world") or 1
    cut = _Cut(world, found.whole("pp") or 1, found.whole("cp") or 1, ep=found.whole("ep") or 1)
    if found.on("attention_tp_is_dp"):
        cut.tp, cut.dp = 1, world
    return cut


_CUTS: Mapping[str, Callable[[Sorted], _Cut]] = {
    "vllm": _vllm,
    "vllm-ascend": _vllm,
    "sglang": _sglang,
    "trtllm": _trtllm,
}


def _words(found: Sorted, cut: _Cut) -> dict[str, str | bool]:
    """Formats, limits and drafts."""
    words: dict[str, str | bool] = {}
    for meaning in ("running", "chunk"):
        value = found.whole(meaning) or _each(found.whole(f"{meaning}_all"), cut.dp)
        if value is not None:
            words[meaning] = str(max(value, 16) if meaning == "chunk" else value)
    share = found.number("memory_share")
    if share is not None and 0 < share <= 1:
        words["memory_share"] = f"{share:g}"
    context = found.whole("context")
    if context is not None:
        words["context"] = str(context)
    graphs = found.by.get("graphs")
    if found.on("eager") or (graphs is not None and graphs.value is None):
        words["eager"] = True
    words |= _formats(found)
    drafts = _drafts(found)
    if drafts:
        words["speculate"] = str(min(drafts, 16))
    return words


def _each(total: int | None, replicas: int) -> int | None:
    return None if total is None else max(total // replicas, 1)


def _formats(found: Sorted) -> dict[str, str | bool]:
    words: dict[str, str | bool] = {}
    for field_, known in (("weights", texts("weights")), ("kv", texts("kv"))):
        said = found.text(field_)
        if said is None or plain(said) in ("none", "auto"):
            continue
        meant = known.get(plain(said))
        if meant:
            words[field_] = meant
        elif plain(said) != "ascend":
            found.leave(field_)
    return words


def _drafts(found: Sorted) -> int | None:
    """Tokens that are drafted; one where a method is named without them."""
    config = found.by.get("drafting")
    if config is not None and isinstance(config.value, str):
        found.leave("drafting")
        return None
    drafts, drafted = found.whole("drafts"), found.whole("drafted")
    if drafts is not None:
        return drafts
    if drafted is not None and drafted > 1:
        return drafted - 1
    return 1 if found.on("drafter") and found.text("drafter") not in (None, "none") else None


def merged(every: Sequence[WrittenInstance]) -> tuple[list[WrittenInstance], int]:
    """The instances that are read, one of each pool; how many others there are that are not like them."""
    kept: dict[str, WrittenInstance] = {}
    others = 0
    for one in every:
        before = kept.setdefault(one.part, one)
        others += before is not one and (before.degrees, before.words) != (one.degrees, one.words)
    parts = [kept[part] for part in ("prefill", "decode") if part in kept]
    if len(parts) == 2:
        return parts, others + ("" in kept)
    first = next(iter(kept.values()))
    return [first], others + len(kept) - 1


def layout_text(degrees: Mapping[str, int], *, experts: bool, known: Sequence[str] = ()) -> str:
    """Degrees as a layout is written: those of experts only of a model that has some."""
    own = [
        f"{name}{value}"
        for name, value in degrees.items()
        if (experts or name not in ("ep", "etp"))
        and not (name in ("cp", "etp") and value == 1)
        and (not known or name in known)
    ]
    return ",".join(own)
