"""Layouts that a service can have on so many ranks, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tonnage.catalog.capabilities import in_server
from tonnage.errors import InputError, Problem
from tonnage.layout import Layout
from tonnage.model import Architecture, Load, Step, operators, unit_operators
from tonnage.serve.replica.engines import Engine, Startup, fills
from tonnage.serve.replica.formats import cut_blocks
from tonnage.system import Accelerator, System

LARGEST = 384
"""Ranks of one instance at most: what is in service somewhere (CloudMatrix384; DeepSeek decodes on 144)."""

STAGES = (1, 2, 4, 8)

CONTEXTS = (2, 4, 8, 16)
"""Ranks that share one prompt in a pool that prefills, where nothing else is fast enough."""


@dataclass(frozen=True)
class LayoutCandidates:
    """layout: of one instance (the ranks that share one set of experts); instances: how many the ranks allow."""

    layout: Layout
    instances: NDArray[np.float64]

    @property
    def size(self) -> int:
        """How many candidates."""
        return int(np.size(self.instances))

    @property
    def ranks(self) -> NDArray[np.float64]:
        """Ranks of one instance."""
        return np.asarray(self.layout.ranks, dtype=float)

    def at(self, index: NDArray[np.int64]) -> LayoutCandidates:
        """The candidates of these indices."""
        named = self.layout.__dict__.items()
        layout = Layout(**{name: (v if np.ndim(v) == 0 else np.asarray(v)[index]) for name, v in named})
        return LayoutCandidates(layout, self.instances[index])


@lru_cache(maxsize=64)
def heads(arch: Architecture) -> int:
    """Attention heads that limit tensor parallelism."""
    one = Step((Load(1.0, 1.0, 1.0),), 1.0)
    limits = [operator.groups for operator in operators(arch, one) if operator.kind == "attention"]
    return int(min(limits)) if limits else 1 << 20


def experts(arch: Architecture) -> int:
    """Routed experts of a layer; 0 for dense models."""
    return int(max((o.groups for o in unit_operators(arch) if o.kind == "grouped_gemm"), default=0))


def candidates(
    arch: Architecture,
    die: Accelerator,
    ranks: int,
    fixed: Mapping[str, int] | None = None,
    contexts: tuple[int, ...] = (1,),
) -> LayoutCandidates:
    """Every layout that divides the model on at most `ranks` ranks, with what `fixed` fixes.

    tp: powers of two inside the scale-up domain, up to the attention heads; pp: 1, 2, 4, 8; mixtures of experts: one
    tensor-parallel group with its experts cut (etp = tp) or dealt out (ep = tp), or attention replicas side by side
    over which the experts are dealt out (ep = tp x dp). contexts: ranks that may share one prompt (cp), over which
    experts are dealt out too. Raises InputError when nothing fits `fixed`.
    """
    fixed = dict(fixed or {})
    many = experts(arch)
    if not many and max(fixed.get("ep", 1), fixed.get("etp", 1)) > 1:
        raise InputError(Problem("a dense model has no experts to deal out (ep, etp)", path="layout"))
    rows = {row for cp in contexts for row in _rows(arch, die, ranks, fixed, cp)}
    if not rows:
        raise InputError(Problem(_none(arch, die, ranks, fixed), path="layout"))
    ordered = np.array(sorted(rows), dtype=np.int64)
    tp, pp, dp, ep, etp, cp = ordered.T
    copies = np.floor(ranks / (tp * pp * dp * cp)).astype(float)
    if "dp" in fixed:
        copies = np.minimum(copies, np.maximum(fixed["dp"] / dp, 1.0))
    return LayoutCandidates(Layout(tp=tp, pp=pp, dp=dp, ep=ep, etp=etp, cp=cp), copies)


def _none(arch: Architecture, die: Accelerator, ranks: int, fixed: Mapping[str, int]) -> str:
    """That no layout agrees with what is fixed: what it needs more than there are, or what comes nearest."""
    wanted = ",".join(f"{name}{value}" for name, value in fixed.items())
    needs = max(
        fixed.get("tp", 1) * fixed.get("pp", 1) * fixed.get("cp", 1) * fixed.get("dp", 1),
        fixed.get("ep", 1) * fixed.get("etp", 1) * fixed.get("pp", 1),
    )
    if needs > ranks:
        return f'"{wanted}" needs {needs:,} ranks, there {"is" if ranks == 1 else "are"} {ranks:,}'
    text = f'no layout of this model on {ranks} ranks agrees with "{wanted}"'
    near = nearest_degrees(arch, die, ranks, fixed)
    return f"{text}; nearest: {', '.join(near)}" if near else text


def nearest_degrees(arch: Architecture, die: Accelerator, ranks: int, fixed: Mapping[str, int]) -> list[str]:
    """Up to three values of the degree of experts that layouts have, nearest to the one that is fixed and cannot be."""
    if "ep" not in fixed or not experts(arch):
        return []
    free = {name: value for name, value in fixed.items() if name in ("tp", "pp")}
    found = {row[3] for row in _rows(arch, die, ranks, free, 1)} - {fixed["ep"]}
    return [f"ep{ep}" for ep in sorted(found, key=lambda ep: (abs(ep - fixed["ep"]), ep))[:3]]


def starting(arch: Architecture, system: System, *, drafts: bool = False, weights: str | None = None) -> Startup:
    """What decides beside the layout whether an engine starts on a system; weights: the format asked for."""
    dies = system.accelerator.dies
    blocks = cut_blocks(arch, system.accelerator, weights)
    return Startup(experts(arch), drafts, in_server(system.accelerator.name) * dies, system.count * dies, blocks)


def startable(
    arch: Architecture,
    die: Accelerator,
    found: LayoutCandidates,
    engine: Engine,
    fixed: Mapping[str, int] | None,
    kv: str | None,
    start: Startup,
) -> LayoutCandidates:
    """Layouts that an engine can be told to run; all where what is fixed leaves none. Raises InputError where it runs
    none of those that are free, and where ranks with experts as fixed would not lie in servers equally.
    """
    good = np.broadcast_to(engine.runs(found.layout, kv, start), found.instances.shape)
    if good.any():
        return found if good.all() else found.at(np.flatnonzero(good))
    if not fixed:
        why = engine.refuses(found.layout.at(0), kv, start)
        raise InputError(Problem(why or f"{engine.name} runs none of these layouts", path="engine"))
    if "ep" in fixed and not np.any(fills(found.layout.ranks, start.server or 1, start.ranks)):
        near = [one for one in nearest_degrees(arch, die, start.ranks or 1, fixed) if _lies(one, start)]
        why = f"{fixed['ep']} ranks with experts do not lie in servers of {start.server} equally"
        raise InputError(Problem(f"{why}; nearest: {', '.join(near)}" if near else why, path="layout"))
    return found


def _lies(degree: str, start: Startup) -> bool:
    """Whether so many ranks with experts (`ep24`) lie in servers equally."""
    return bool(np.any(fills(np.array([int(degree[2:])]), start.server or 1, start.ranks)))


Row = tuple[int, int, int, int, int]


def _rows(
    arch: Architecture, die: Accelerator, ranks: int, fixed: Mapping[str, int], cp: int
) -> set[tuple[int, int, int, int, int, int]]:
    """(tp, pp, dp, ep, etp, cp) of every layout in which `cp` ranks share a prompt."""
    many, each = experts(arch), ranks // cp
    own, dealt = {name: value for name, value in fixed.items() if name != "cp"}, fixed.get("ep", 1)
    if each < 1 or fixed.get("cp", cp) != cp or (dealt > 1 and dealt % cp):
        return set()
    if dealt > 1:
        own["ep"] = dealt // cp
    rows: set[Row] = {
        row
        for tp in tensor_degrees(arch, die, each, own)
        for pp in _pipeline(arch, each // tp, own)
        for row in (_mixture(tp, pp, many, each, own) if many else [(tp, pp, 1, 1, 1)])
    }
    most = own.get("dp", 1)
    rows = {row for row in rows if _agrees(row, own, many) and row[0] * row[1] * max(row[2], most) <= each}
    if many:  # experts lie on exactly the ranks of a replica group
        rows = {row for row in rows if row[0] * row[2] == row[3] * row[4]}
    if cp == 1 or not many:
        return {(*row, cp) for row in rows}
    spread = {(tp, pp, dp, ep * cp, etp, cp) for tp, pp, dp, ep, etp in rows if etp == 1 and ep * cp <= many}
    alike = {(*row, cp) for row in rows if row[3] == 1 and "ep" not in fixed}
    return {row for row in spread | alike if row[3] == dealt or dealt == 1}


def tensor_degrees(arch: Architecture, die: Accelerator, ranks: int, fixed: Mapping[str, int]) -> list[int]:
    """Degrees that divide the attention heads, as vLLM and SGLang demand."""
    many = heads(arch)
    if "tp" in fixed:
        if many % fixed["tp"]:
            raise InputError(Problem(f"tp{fixed['tp']} does not divide the {many} attention heads", path="layout"))
        return [fixed["tp"]]
    most = min(die.domain, ranks, many, 64)
    return [1 << i for i in range(most.bit_length()) if 1 << i <= most and many % (1 << i) == 0]


def _pipeline(arch: Architecture, left: int, fixed: Mapping[str, int]) -> list[int]:
    if "pp" in fixed:
        return [fixed["pp"]]
    return [pp for pp in STAGES if pp <= min(max(left, 1), arch.depth)]


def _mixture(tp: int, pp: int, many: int, ranks: int, fixed: Mapping[str, int]) -> list[Row]:
    """(tp, pp, dp, ep, etp) of a mixture of experts: experts over all ranks of a replica, or within tp."""
    if tp * pp > ranks:
        return []
    most = min(ranks // (tp * pp), max(min(many, LARGEST) // tp, 1))
    wide = {1 << i for i in range(most.bit_length()) if 1 << i <= most}
    wide |= {most} if most < 64 else {size // tp for size in (72, 144, 320) if size // tp <= most}
    if "dp" in fixed:
        wide = {fixed["dp"]} | ({1} if fixed.get("ep", 1) * fixed.get("etp", 1) <= tp else set())
    if "ep" in fixed:
        inner = max(fixed["ep"] * fixed.get("etp", 1) // tp, 1)
        return [(tp, pp, inner, fixed["ep"], fixed.get("etp", max(tp // fixed["ep"], 1)))]
    rows = [(tp, pp, dp, tp * dp, 1) for dp in wide if tp * dp <= many]
    rows += [(tp, pp, 1, 1, tp)]
    if "etp" in fixed:
        rows += [(tp, pp, dp, tp * dp // fixed["etp"], fixed["etp"]) for dp in wide if tp * dp >= fixed["etp"]]
    return rows


def _agrees(row: Row, fixed: Mapping[str, int], many: int) -> bool:
    named = dict(zip(("tp", "pp", "dp", "ep", "etp"), row, strict=True))
    wanted = {name: value for name, value in fixed.items() if name in ("tp", "pp", "ep", "etp")}
    if not many:
        wanted = {name: value for name, value in wanted.items() if name in ("tp", "pp")}
    return all(named[name] == value for name, value in wanted.items())
