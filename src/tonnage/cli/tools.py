"""The verbs as tools of an agent: their inputs are the options of the verbs, read from where they are written."""

from __future__ import annotations

import types
from pathlib import Path
from typing import get_args, get_origin

from tonnage.agents.outputs import answer_schema
from tonnage.agents.server import AgentResource, ResourceFamily
from tonnage.agents.tool import AgentTool, Property
from tonnage.cli.arguments import Option, VerbWords, verb_words
from tonnage.cli.choices import kind

TOOLS = (
    "fit", "train", "serve", "launch", "simulate", "compare", "show", "lawful", "sources", "rerun", "accuracy",
    "export", "ledger",
)  # fmt: skip
"""Verbs that answer; what starts, measures or writes something is left to people."""

LEFT_OUT = {
    "bars", "cache", "color", "csv", "json", "output", "picture", "quiet", "ray", "requests_out", "resume", "verbose",
    "workers",
}  # fmt: skip
"""Options of the terminal, of files that are written, and of how the work is shared out."""

ONLY = {"set": ("launch",), "ledger": ("ledger",), "measured": ("serve",), "run": ("launch",)}
"""Options that only these verbs keep: the others' say the same as flags of their own, or write."""

FEWER = {"what": {"ledger": ("list", "show", "errors")}}
"""Choices of a verb that are kept."""

ANSWERS = {"plan", "result", "first", "second"}
"""Saved answers, which an agent has at hand as values."""

TITLES = {
    "fit": "Does a model fit",
    "train": "Plan a training run",
    "serve": "Plan a service",
    "launch": "When does a programme launch",
    "simulate": "Simulate a service",
    "compare": "Compare two answers",
    "show": "What is known",
    "lawful": "Which chips are lawful",
    "sources": "Sources of an answer",
    "rerun": "Ask a saved answer again",
    "accuracy": "Predicted against published",
    "export": "Plan as launch files",
    "ledger": "Predicted against happened",
}

MORE = {
    "launch": "The programme is YAML: `new` gives one to start from, the resource tonnage://programme/schema its "
    'schema; pass it as {"text": ...}. Takes seconds to minutes; `draws` fewer are quicker.',
    "serve": "State `isl` and `osl`, and a service level (`ttft`, `tpot`) or a load (`rate`, `concurrency`).",
    "train": "State `tokens` for time and cost.",
    "lawful": "Planning figures with their sources, not legal advice.",
    "sources": "Pass the whole answer that a tool gave.",
    "simulate": "Pass the answer of `serve` as `plan`, and a `rate` or a `trace`.",
    "export": "Pass the answer of `serve` as `result`. The files are in the answer; nothing is written.",
}
"""What an agent must know besides the verb's own line."""


def tools() -> tuple[AgentTool, ...]:
    """Every tool."""
    made = [_tool(verb_words((verb,))) for verb in TOOLS]
    return (*made, _new())


def _tool(verb: VerbWords) -> AgentTool:
    name = verb.path[0]
    own = tuple(_property(verb, option) for option in verb.options if _kept(name, option))
    text = " ".join(part for part in (verb.summary, MORE.get(name, "")) if part)
    return AgentTool(name, TITLES[name], text, verb.path, own, answer_schema(name))


def _new() -> AgentTool:
    """A programme to start from, as text."""
    verb = verb_words(("new",))
    (start,) = (option for option in verb.flags if option.name == "from")
    from tonnage.cli.new import STARTS

    one = Property("from", "--from", "text", choices=tuple(STARTS), help=start.help)
    said = 'A commented programme file (YAML) to start from; change it and pass it to launch as {"text": ...}.'
    return AgentTool("new", "A programme to start from", said, ("new",), (one,), None)


def _kept(verb: str, option: Option) -> bool:
    return option.name not in LEFT_OUT and verb in ONLY.get(option.name, (verb,))


def _property(verb: VerbWords, option: Option) -> Property:
    found = kind(verb, option)
    flag = option.off or (option.names[0] if option.names else "")
    default = option.default
    choices = FEWER.get(option.name, {}).get(verb.path[0], option.choices)
    return Property(
        name=option.name,
        flag=flag,
        kind="flag" if not option.takes else _kind(option.hint),
        many=option.many,
        files=_files(option, found),
        ending=found.partition(":")[2].strip("*/") or "txt",
        choices=tuple(choices),
        required=option.required,
        help=option.help,
        default=""
        if default in (None, "", ())
        else str(default).lower()
        if isinstance(default, bool)
        else str(default),
    )


def _kind(hint: object) -> str:
    """`int | None` -> `whole`, and so on."""
    inner = [one for one in get_args(hint) if one is not type(None)] if _optional(hint) else [hint]
    return {int: "whole", float: "number"}.get(inner[0], "text") if isinstance(inner[0], type) else "text"


def _optional(hint: object) -> bool:
    return get_origin(hint) is types.UnionType


def _files(option: Option, found: str) -> str:
    if option.name in ANSWERS and found == "file:json":
        return "answer"
    if found == "model":
        return "model"
    return "file" if found.startswith("file:") or option.hint is Path else ""


# ---------------------------------------------------------------- resources


def resources(skill: str) -> tuple[AgentResource, ...]:
    """What can be read: lists of what is known, the schema of a programme, programmes to start from, the guide."""
    from tonnage.cli.new import STARTS
    from tonnage.report.show import listed

    lists = [
        AgentResource(name, f"Known: {name}", f"what `tonnage show {name}` lists, with sources", JSON, ("show", name))
        for name in listed()
    ]
    starts = [
        AgentResource(f"programme/{name}", f"Programme: {name}", what, YAML, ("new", f"--from={name}"))
        for name, what in STARTS.items()
    ]
    schema = AgentResource("programme/schema", "Schema of a programme", "JSON Schema, for launch", JSON, ("schema",))
    guide = AgentResource(
        "guide", "How to use tonnage", "when to ask, how to read answers", "text/markdown", text=skill
    )
    return (guide, *lists, schema, *starts)


JSON, YAML = "application/json", "application/yaml"

FAMILIES = (
    ResourceFamily("show/{name}", "One thing by name", "a chip, model, rule, event, record or fact", ("show",)),
    ResourceFamily("sources/{name}", "One source by name", "a source of facts: title, address, date, kind", ("show",)),
)
