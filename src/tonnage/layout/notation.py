"""How a model is cut over accelerators: the layout, written and read.

Ranks are ordered tp (innermost, neighbours), cp, dp, pp (outermost); experts lie inside tp x cp x dp. Fields are
whole numbers or numpy arrays of one shape, so that one `Layout` holds one candidate or a million of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from tonnage.arrays import Index, Ints
from tonnage.errors import InputError, Problem, nearest
from tonnage.printable import one_line

RECOMPUTE = ("none", "selective", "full")
FIELDS = 32
"""Most pieces of a written layout that are read; it has eleven fields."""

SCHEDULE = ("1f1b", "interleaved", "zb", "dualpipe")


@dataclass(frozen=True)
class Layout:
    """A layout, or an array of them.

    tp: tensor parallel, pp: pipeline stages, vpp: virtual stages per rank, cp: context parallel, ep: expert parallel,
    etp: tensor parallel inside one expert, dp: data parallel replicas (serving: attention data parallel), zero: ZeRO
    stage (3 = fully sharded), mbs: sequences in a micro-batch, recompute: index into `RECOMPUTE`, schedule: index
    into `SCHEDULE`.
    """

    tp: Ints = 1
    pp: Ints = 1
    vpp: Ints = 1
    cp: Ints = 1
    ep: Ints = 1
    etp: Ints = 1
    dp: Ints = 1
    zero: Ints = 1
    mbs: Ints = 1
    recompute: Ints = 0
    schedule: Ints = 0

    @property
    def ranks(self) -> Ints:
        """Ranks in the whole layout: tp x pp x cp x dp."""
        return self.tp * self.pp * self.cp * self.dp

    def at(self, index: Index) -> Layout:
        """The candidate(s) at `index` of an array layout."""
        return Layout(**{f.name: _pick(getattr(self, f.name), index) for f in fields(self)})

    def __str__(self) -> str:
        return show_layout(self)


def _pick(value: Ints, index: Index) -> Ints:
    """Some entries of a field, or the one number that stands for all; one entry is a plain number."""
    if isinstance(value, int):
        return value
    picked = np.asarray(value) if np.ndim(value) == 0 else np.asarray(value)[index]
    return int(picked) if np.ndim(picked) == 0 else picked


_NUMBERED = ("tp", "pp", "vpp", "cp", "ep", "etp", "dp", "zero", "mbs")
_NAMED = {"recompute": RECOMPUTE, "schedule": SCHEDULE}


def parse_layout(text: str, where: str = "layout") -> dict[str, int]:
    """`tp8,pp16,vpp2,mbs1,recompute=full` -> the fields that were written, as numbers.

    What is left out is left out of the answer too: the search chooses it. Raises `InputError` with every problem.
    """
    chosen: dict[str, int] = {}
    problems: list[Problem] = []
    for part in filter(None, (piece.strip().lower() for piece in text.split(",", FIELDS)[:FIELDS])):
        name, value, problem = _parse_part(part)
        if problem is None and name in chosen:
            problem = Problem(f'"{name}" is given twice')
        if problem is not None:
            problems.append(Problem(problem.message, where, one_line(part, 40), problem.suggestion))
        else:
            chosen[name] = value
    if problems:
        raise InputError(
            problems, hint="layouts are written like tp8,pp16,vpp2,cp1,ep64,dp128,zero1,mbs1,recompute=full"
        )
    return chosen


def _parse_part(part: str) -> tuple[str, int, Problem | None]:
    """(field, its value, what is wrong with it) of one piece of a layout."""
    name, equals, value = part.partition("=")
    if not equals:
        name = part.rstrip("0123456789")
        value = part[len(name) :]
    names = (*_NUMBERED, *_NAMED)
    if name not in names:
        return name, 0, Problem(f'no layout field named "{one_line(name, 40)}"', suggestion=nearest(name, names))
    if name in _NAMED:
        if value not in _NAMED[name]:
            message = f'"{one_line(value, 40)}" is not one of {", ".join(_NAMED[name])}'
            return name, 0, Problem(message, suggestion=nearest(value, _NAMED[name]))
        return name, _NAMED[name].index(value), None
    smallest = 0 if name == "zero" else 1
    largest = 3 if name == "zero" else 1_000_000
    if not (value.isascii() and value.isdigit() and len(value) <= 7 and smallest <= int(value) <= largest):
        return name, 0, Problem(f'expected a whole number from {smallest} to {largest}, got "{one_line(value, 40)}"')
    return name, int(value), None


def show_layout(layout: Layout) -> str:
    """`tp8,pp16,dp128,zero1,mbs1,schedule=1f1b`: degrees of 1 are left out, except tp and dp."""
    parts = []
    for name in _NUMBERED:
        value = getattr(layout, name)
        if np.ndim(value):
            return f"{np.size(value)} layouts"
        if value != 1 or name in ("tp", "dp", "zero", "mbs"):
            parts.append(f"{name}{value}")
    parts.append(f"recompute={RECOMPUTE[int(layout.recompute)]}")
    if layout.pp != 1:
        parts.append(f"schedule={SCHEDULE[int(layout.schedule)]}")
    return ",".join(parts)
