"""Shell scripts that start the servers of a plan: one for each kind of instance, each flag with its reason.

A script takes what only the cluster knows from its environment: NODE_RANK, HEAD_ADDR, MODEL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields

from tonnage.export.exported import CannotExport, ExportedFile
from tonnage.export.flags import EngineLaunch, launches
from tonnage.export.reasons import grouped
from tonnage.printable import one_line
from tonnage.serve.instances import Instance
from tonnage.serve.result import ServePlan
from tonnage.units import show_number

HEAD = "#!/usr/bin/env bash\n"


def told(plan: ServePlan, engine: str) -> tuple[tuple[Instance, EngineLaunch], ...]:
    """The instances of a plan and how an engine starts them. Raises CannotExport where it cannot be told, or where the
    plan was priced for another engine.
    """
    if not plan.outcome.feasible or not plan.instances:
        raise CannotExport(engine, "the plan is infeasible: there is nothing to start")
    for one in plan.instances:
        _clean(engine, one)
    rows = launches(plan)
    priced = sorted({one.engine for one in plan.instances})
    if priced != [engine]:
        hint = f"tonnage serve ... --engine {engine} -o plan.json, then export that"
        raise CannotExport(
            engine, f"the plan was priced for {' and '.join(priced)}, whose steps and memory differ", hint
        )
    for row in rows:
        if row.flags is None:
            raise CannotExport(engine, f"{row.role}: {row.why}")
    return tuple(zip(plan.instances, rows, strict=True))


_PLAIN = re.compile(r"(?:\$MODEL|[\w./@:+-]*)")
"""What text of a plan may have, so that a shell takes it as one word and a comment stays one."""


def _clean(engine: str, one: Instance) -> None:
    """A saved plan may come from anybody: its words go into scripts. Raises CannotExport for one that is no word."""
    for each in fields(one):
        value = getattr(one, each.name)
        if isinstance(value, str) and (not _PLAIN.fullmatch(value) or value.startswith("-")):
            raise CannotExport(engine, f"{each.name} of an instance is no plain word: {one_line(repr(value), 60)}")


def header(plan: ServePlan, one: Instance, row: EngineLaunch) -> Iterator[str]:
    """What a file is for, in lines without a mark of comment."""
    many = f"{row.count} of them" if row.count > 1 else "one"
    yield f"{row.role}: {many}, each {one.ranks} ranks of {one.chip} on {row.nodes} server{'s' * (row.nodes > 1)}"
    yield f"for {row.engine} {row.version or 'of a version that is not known'}, as priced by tonnage"
    if plan.tpot is not None and row.role in ("serve", "decode"):
        value, low, high = (1e3 * end for end in (plan.tpot.value, plan.tpot.low, plan.tpot.high))
        yield f"predicted: {value:.4g} ms a token ({low:.4g} to {high:.4g})"
    if plan.ttft is not None and row.role in ("serve", "prefill"):
        yield f"predicted: first token after {plan.ttft.value:.3g} s ({plan.ttft.low:.3g} to {plan.ttft.high:.3g})"
    if one.running is not None:
        yield f"{show_number(one.running)} sequences in flight on each attention replica"
    if row.why:
        yield one_line(row.why, 1000)


def script(plan: ServePlan, one: Instance, row: EngineLaunch) -> str:
    """The script of one kind of instance; where the first server has a command of its own, both stand in it."""
    lines = [HEAD.rstrip(), *(f"# {text}" for text in header(plan, one, row)), "set -euo pipefail", ""]
    needs = [name for name in ("MODEL", "HEAD_ADDR", "NODE_RANK") if any(f"${name}" in c for _, c in row.commands)]
    if len(row.commands) > 1 and "NODE_RANK" not in needs:
        needs.append("NODE_RANK")
    lines += [f': "${{{name}:?{_ASKED[name]}}}"' for name in needs]
    if len(row.commands) == 1:
        return "\n".join([*lines, *_started(row.commands[0][1])]) + "\n"
    (_, first), (_, other) = row.commands
    both = ['if [ "$NODE_RANK" = 0 ]; then', *_started(first), "else", *_started(other), "fi"]
    return "\n".join([*lines, *both]) + "\n"


_ASKED = {
    "MODEL": "id or folder of the weights",
    "HEAD_ADDR": "address of the first server of the instance",
    "NODE_RANK": "number of this server, from 0",
}


def _started(command: str) -> Iterator[str]:
    """One command: what it starts, and its flags one a line."""
    if " --" not in command or "<(" in command:
        yield f"exec {command}" if "=" not in command.split()[0] else f"exec env {command}"
        return
    start, flags = command.split(" --", 1)
    yield "flags=("
    for text, why in grouped("--" + flags):
        yield f"  {text}" + (f"  # {why}" if why else "")
    yield ")"
    env = "env " if "=" in start.split()[0] else ""
    yield f'exec {env}{start} "${{flags[@]}}"'


ROUTERS = {
    "vllm": 'exec vllm-router --vllm-pd-disaggregation --prefill "$PREFILL_URL" --decode "$DECODE_URL"',
    "sglang": 'exec python3 -m sglang_router.launch_router --pd-disaggregation --prefill "$PREFILL_URL" '
    '--decode "$DECODE_URL"',
}
"""What stands before two pools, by engine: github.com/vllm-project/router and sglang-router, README of each. A router
that is given several servers of a pool takes the flag once for each."""


def files(plan: ServePlan, engine: str) -> tuple[ExportedFile, ...]:
    """A script for each kind of instance; with two pools, one for what stands before them."""
    rows = told(plan, engine)
    made = [ExportedFile(f"{row.role}.sh", script(plan, one, row), True) for one, row in rows]
    if "prefill" in {row.role for _, row in rows} and engine in ROUTERS:
        asked = "# PREFILL_URL, DECODE_URL: a server of each pool; repeat the flag for more of them"
        made.append(ExportedFile("router.sh", f"{HEAD}{asked}\nset -euo pipefail\n{ROUTERS[engine]}\n", True))
    return tuple(made)
