"""The protocol: tools and resources for an agent, over standard input and output (Model Context Protocol)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from tonnage import __version__
from tonnage.agents.folder import QuestionFolder
from tonnage.agents.tool import AgentTool
from tonnage.agents.workers import Told, Unanswered, Workers
from tonnage.errors import InputError, Problem, nearest
from tonnage.printable import printable

MOST_SHOWN = 60_000
"""Characters of an answer in words; the structured answer has the rest."""

MOST_ASKED = 24_000_000
"""Characters of all inputs of a question together."""

NOT_FOUND = -32002
"""Code of a resource that is not there (Model Context Protocol, Resources, Error Handling)."""

SCHEME = "tonnage://"

Context = ServerRequestContext[dict[str, object], object]


@dataclass(frozen=True)
class AgentResource:
    """Something to read. path: after the scheme; text: the text itself, or else argv: the command that gives it."""

    path: str
    title: str
    description: str
    mime: str
    argv: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class ResourceFamily:
    """Resources with a name in their path: `show/{name}` is what the verb says of that name."""

    path: str
    title: str
    description: str
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Served:
    """All that is served. seconds: a question may take."""

    tools: Sequence[AgentTool]
    resources: Sequence[AgentResource]
    families: Sequence[ResourceFamily]
    instructions: str
    workers: Workers
    seconds: float


def run(served: Served) -> None:
    """Serve whoever speaks on standard input, until it ends."""
    anyio.run(_run, served)


async def _run(served: Served) -> None:
    server = _server(served)
    try:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())
    finally:
        await served.workers.end()


def _server(served: Served) -> Server[dict[str, object]]:
    tools = {tool.name: tool for tool in served.tools}

    async def list_tools(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_tool(tool) for tool in served.tools])

    async def call_tool(ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = tools.get(params.name)
        if tool is None:
            near = nearest(params.name[:60], tools)
            return _failed([_shown(Problem(f'no tool named "{params.name[:60]}"', suggestion=near))], None)
        return await _called(served, tool, params.arguments or {}, ctx)

    async def list_resources(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=[_resource(one) for one in served.resources])

    async def list_families(
        ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=[_family(one) for one in served.families])

    async def read_resource(ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        return await _read(served, str(params.uri))

    return Server(
        "tonnage",
        version=__version__,
        title="tonnage",
        instructions=served.instructions,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_families,
        on_read_resource=read_resource,
    )


# ---------------------------------------------------------------- what there is


def _tool(tool: AgentTool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.inputs,
        output_schema=None if tool.outputs is None else dict(tool.outputs),
        annotations=types.ToolAnnotations(
            title=tool.title, read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )


def _resource(one: AgentResource) -> types.Resource:
    return types.Resource(
        name=one.path, title=one.title, uri=SCHEME + one.path, description=one.description, mime_type=one.mime
    )


def _family(one: ResourceFamily) -> types.ResourceTemplate:
    return types.ResourceTemplate(
        name=one.path.partition("/")[0], title=one.title, uri_template=SCHEME + one.path,
        description=one.description, mime_type="application/json",
    )  # fmt: skip


# ---------------------------------------------------------------- answers


async def _called(served: Served, tool: AgentTool, given: Mapping[str, object], ctx: Context) -> types.CallToolResult:
    async def told(step: Mapping[str, object]) -> None:
        done, of = _number(step.get("done")), _number(step.get("of"))
        if done is not None:
            await ctx.session.report_progress(done, of or None, str(step.get("what", ""))[:200])

    with QuestionFolder(served.workers.start) as folder:
        try:
            _bounded(given)
            words = tool.words(given, folder)
            found = await _asked(served, words, told)
        except InputError as error:
            return _failed([_shown(problem) for problem in error.problems], error.hint)
        except Unanswered as error:
            return _failed([_shown(Problem(str(error)))], None)
        clean = folder.without(dict(found))
    return _result(clean if isinstance(clean, dict) else {})


async def _asked(served: Served, words: Sequence[str], told: Told) -> Mapping[str, object]:
    """The answer, within the time that it may take."""
    try:
        with anyio.fail_after(served.seconds):
            return await served.workers.ask(words, told)
    except TimeoutError:
        text = f"took longer than the {served.seconds:g} s that a question may take; ask less at once"
        raise Unanswered(text) from None


async def _unheard(step: Mapping[str, object]) -> None:
    """Nobody asked how far it is."""


def _bounded(given: Mapping[str, object]) -> None:
    try:
        size = len(json.dumps(given, ensure_ascii=False))
    except (ValueError, RecursionError):
        raise InputError(Problem("the inputs are nested too deeply")) from None
    if size > MOST_ASKED:
        raise InputError(Problem(f"the inputs have {size:,} characters; {MOST_ASKED:,} at most"))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _result(found: Mapping[str, object]) -> types.CallToolResult:
    """An answer, also one that says no; a tool's error where there is none."""
    errors, reply = found.get("errors"), found.get("reply")
    if isinstance(errors, list) and errors:
        hint = found.get("hint")
        return _failed(
            [_input(one) for one in errors if isinstance(one, dict)], hint if isinstance(hint, str) else None
        )
    text = str(found.get("printed") or found.get("text") or "")
    notes = found.get("notes")
    told = [f"note: {note}" for note in notes] if isinstance(notes, list) else []
    shown = "\n".join([text, *told])
    if len(shown) > MOST_SHOWN:
        shown = shown[:MOST_SHOWN] + f"\n... {len(shown) - MOST_SHOWN:,} more characters; the structured answer has all"
    structured = reply if isinstance(reply, dict) else {"text": text}
    return _told(shown, structured)


def _sound(value: object) -> object:
    """The same with every text one that can be written: a half of a pair (surrogate) becomes a question mark."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_sound(item) for item in value]
    if isinstance(value, dict):
        return {str(_sound(str(key))): _sound(item) for key, item in value.items()}
    return value


def _shown(problem: Problem) -> dict[str, object]:
    """A problem as `tonnage.cli.answering` tells one."""
    found = {"place": printable(problem.where), "path": printable(problem.path), "text": printable(problem.message)}
    return {**found, "nearest": problem.suggestion}


def _input(one: Mapping[str, object]) -> dict[str, object]:
    """A problem whose place is a flag of the command line, with the input that it is."""
    place = str(one["place"])
    return {**one, "place": place[2:].replace("-", "_") if place.startswith("--") else place}


def _failed(errors: Sequence[Mapping[str, object]], hint: str | None) -> types.CallToolResult:
    """A tool's error: every problem in words, and the same list as values."""
    lines = [_line(one) for one in errors]
    head = (
        [f"error: {len(lines)} problems", *(f"  {line}" for line in lines)]
        if len(lines) > 1
        else [f"error: {lines[0]}"]
    )
    text = "\n".join([*head, *([f"hint: {hint}"] if hint else [])])
    return _told(text[:MOST_SHOWN], {"errors": list(errors), "hint": hint}, is_error=True)


def _told(text: str, structured: object, *, is_error: bool = False) -> types.CallToolResult:
    block = types.TextContent(type="text", text=str(_sound(text)))
    return types.CallToolResult(content=[block], structured_content=_sound(structured), is_error=is_error)


def _line(one: Mapping[str, object]) -> str:
    near = one.get("nearest")
    return str(Problem(str(one["text"]), str(one["place"]), str(one["path"]), near if isinstance(near, str) else None))


# ---------------------------------------------------------------- resources


async def _read(served: Served, uri: str) -> types.ReadResourceResult:
    path = uri.removeprefix(SCHEME)
    known = {one.path: one for one in served.resources}
    if path in known and known[path].text:
        return _contents(uri, known[path].mime, known[path].text)
    argv = known[path].argv if path in known else _of_family(served, path)
    if argv is None or not uri.startswith(SCHEME):
        raise MCPError(NOT_FOUND, f"no resource {uri[:200]}")
    try:
        found = await _asked(served, argv, _unheard)
    except Unanswered as error:
        raise MCPError(types.INTERNAL_ERROR, str(error)) from None
    errors = found.get("errors")
    if isinstance(errors, list) and errors:
        raise MCPError(NOT_FOUND, "; ".join(_line(one) for one in errors if isinstance(one, dict)))
    if found.get("text"):
        return _contents(uri, known[path].mime if path in known else "text/plain", str(found["text"]))
    return _contents(uri, "application/json", json.dumps(found.get("reply"), ensure_ascii=False, indent=1))


def _of_family(served: Served, path: str) -> tuple[str, ...] | None:
    for family in served.families:
        head = family.path.partition("{")[0]
        name = unquote(path.removeprefix(head))
        if path.startswith(head) and 0 < len(name) <= 200 and not name.startswith("-") and "\0" not in name:
            return (*family.argv, name)
    return None


def _contents(uri: str, mime: str, text: str) -> types.ReadResourceResult:
    return types.ReadResourceResult(contents=[types.TextResourceContents(uri=uri, mime_type=mime, text=text)])
