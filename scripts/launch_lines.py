"""Launch lines of many searched plans, held to the engines' own flags and to what the engines refuse to start.

    python scripts/launch_lines.py            # 10 models x 10 fleets x 2 engines
    python scripts/launch_lines.py -o FILE    # the same, and the lines as JSON Lines, for the engines' own parsers

Each line is parsed by an argparse built from the engine's flags (`tonnage.export.accepted`); `broken` says which of the
engine's rules it breaks. The exit code says whether all plans keep all of them.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tonnage import catalog
from tonnage.errors import InputError
from tonnage.export import EngineLaunch, launches
from tonnage.export.accepted import parsed
from tonnage.model import load
from tonnage.serve import Instance, ServeJob, Speculation, plan
from tonnage.serve.result import ServePlan
from tonnage.system import System, accelerator

MODELS = (
    "deepseek-r1",
    "kimi-k2-instruct",
    "qwen3-235b-a22b",
    "qwen3-30b-a3b",
    "gpt-oss-120b",
    "glm-4.5-air",
    "llama-3.1-70b",
    "llama-3.1-8b",
    "qwen3-32b",
    "mixtral-8x7b",
)
FLEETS = (
    (16, "h20"),
    (16, "h200-sxm"),
    (32, "h800-sxm"),
    (64, "h100-sxm"),
    (8, "b200-sxm"),
    (36, "gb200"),
    (24, "mi300x"),
    (8, "mi355x"),
    (48, "a100-sxm-80gb"),
    (144, "h800-sxm"),
)
ENGINES = ("sglang", "vllm")

Case = tuple[str, tuple[int, str], str, int]


def cases() -> list[Case]:
    """(model, fleet, engine, number) of every plan."""
    every = [(model, fleet, engine) for model in MODELS for fleet in FLEETS for engine in ENGINES]
    return [(*case, i) for i, case in enumerate(every)]


def searched(case: Case) -> ServePlan:
    """The plan of a case: three kinds of limits in turn, every second with drafts; two pools where they fit."""
    model, (count, chip), engine, i = case
    known = catalog.load()
    arch = load(model, known)
    drafts = None
    if i % 4 < 2:
        drafts = Speculation(1.0, 0.85) if arch.mtp is not None else Speculation(3.0, 0.7, "draft")
    limits = ({"tpot": 0.05, "ttft": 5.0}, {"tpot": 0.1}, {"mode": "disaggregated"})[i % 3]
    job = ServeJob(arch, 4096.0, 1024.0, engine=engine, speculative=drafts, thorough=i % 5 == 0, **limits)
    system = System(accelerator(chip, known), count)
    found = plan(job, system)
    return found if found.outcome.feasible else plan(replace(job, mode="auto"), system)


def lines(found: ServePlan) -> Iterator[tuple[Instance, EngineLaunch]]:
    """Each kind of instance with how it is started."""
    yield from zip(found.instances, launches(found), strict=True)


def said(line: str) -> str:
    """A command's arguments, with numbers for the variables that a shell fills in."""
    arguments = line.split("sglang.launch_server ")[-1].split("vllm serve ")[-1]
    for text, value in (("$((NODE_RANK", "$((1"), ("$NODE_RANK", "1"), ("$HEAD_ADDR", "10.0.0.1")):
        arguments = arguments.replace(text, value)
    while "$((" in arguments:
        before, _, rest = arguments.partition("$((")
        sum_, _, after = rest.partition("))")
        first, _, second = sum_.partition(" * ")
        arguments = f"{before}{int(first) * int(second)}{after}"
    return arguments


def broken(found: ServePlan) -> list[str]:
    """What is wrong with the lines of a plan; nothing where all start."""
    if not found.outcome.feasible:
        return []
    wrong = []
    told = list(lines(found))
    for one, row in told:
        if row.flags is None:
            wrong.append(f"{row.role}: no flags: {row.why}")
        for where, command in row.commands:
            try:
                args = parsed(one.engine, said(command))
            except InputError as error:
                wrong.append(f"{row.role}, {where}: {error.message}")
                continue
            rules = _sglang if one.engine == "sglang" else _vllm
            wrong += [f"{row.role}, {where}: {text}" for text in rules(one, args)]
    drafting = {one.drafts for one, _ in told}
    if len(drafting) > 1:
        wrong.append("drafts on one pool alone")
    return wrong


def _sglang(one: Instance, args: Namespace) -> Iterator[str]:
    """Rules of SGLang 0.5.23 that a line breaks."""
    if one.experts and (one.experts + (args.ep_num_redundant_experts or 0)) % (args.ep_size or 1):
        yield "num_physical_experts % ep_size"
    if args.tp_size % (args.dp_size or 1) or args.tp_size % (args.ep_size or 1):
        yield "tp_size is no multiple of dp_size or ep_size"
    if (args.tp_size * (args.pp_size or 1)) % (args.nnodes or 1):
        yield "(tp_size * pp_size) % nnodes"
    if (args.pp_size or 1) > 1 and args.speculative_algorithm:
        yield "pipeline with drafts"
    if args.moe_a2a_backend and args.ep_size != args.tp_size:
        yield "an all-to-all over a part of the ranks"
    if args.tp_size * (args.pp_size or 1) != one.ranks or args.model_path is None:
        yield "not all ranks, or no model"
    if (args.nnodes or 1) > 1 and not args.dist_init_addr:
        yield "several servers that do not find each other"
    if one.ranks > (args.nnodes or 1) * (one.server or one.ranks):
        yield "more ranks than the servers have"
    if one.drafts and not args.speculative_algorithm:
        yield "priced with drafts, told of none"


def _vllm(one: Instance, args: Namespace) -> Iterator[str]:
    """Rules of vLLM 0.33.0 that a line breaks."""
    pp, dp = args.pipeline_parallel_size or 1, args.data_parallel_size or 1
    world = args.tensor_parallel_size * pp * dp * (args.prefill_context_parallel_size or 1)
    copies = (args.eplb_config or {}).get("num_redundant_experts", 0)
    if one.experts and args.enable_expert_parallel and (one.experts + copies) % (world // pp):
        yield "experts do not divide over the ranks"
    if copies and not args.enable_eplb:
        yield "redundant experts without EPLB"
    if pp > 1 and args.speculative_config:
        yield "pipeline with drafts"
    if world != one.ranks or not args.model_tag:
        yield "not all ranks, or no model"
    if world > (one.server or world):
        local = args.data_parallel_size_local
        joined = args.nnodes if local is None else args.data_parallel_address and local * (world // dp) == one.server
        if not joined:
            yield "several servers that do not find each other, or are not full"
        if local is None and world % args.nnodes:
            yield "nnodes does not divide the world size"
    if bool(one.drafts) != bool(args.speculative_config):
        yield "priced with drafts and told of none, or the other way round"


def main(arguments: Sequence[str]) -> int:
    """Check all cases; `-o FILE` writes their lines."""
    made: list[str] = []
    good = none = 0
    for case in cases():
        found = searched(case)
        wrong = broken(found)
        none += not found.outcome.feasible
        good += found.outcome.feasible and not wrong
        name = f"{case[0]} on {case[1][0]}x{case[1][1]}, {case[2]}"
        for text in wrong or ([] if found.outcome.feasible else [f"no plan: {found.outcome.binds[0].text}"]):
            print(f"{name}: {text}")
        for one, row in lines(found):
            made += [json.dumps({"case": name, "engine": one.engine, "arguments": said(c)}) for _, c in row.commands]
    print(f"{good} of {len(cases())} plans have lines that start, {none} cannot be served")
    if "-o" in arguments:
        Path(arguments[list(arguments).index("-o") + 1]).write_text("\n".join(made) + "\n", encoding="utf-8")
    return int(good < len(cases()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
