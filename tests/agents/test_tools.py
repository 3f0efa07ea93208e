"""Inputs of a tool as words of a command line, files of a question, and what the process that answers may read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import jsonschema
import pytest

from tonnage.agents.folder import MOST_TEXT, QuestionFolder
from tonnage.agents.outputs import HEAD, OWN, answer_schema
from tonnage.agents.tool import AgentTool, Property
from tonnage.agents.workers import MOST_WAITING, Unanswered, Workers
from tonnage.cli import VERBS
from tonnage.cli.answering import answer
from tonnage.cli.tools import FEWER, LEFT_OUT, ONLY, TITLES, TOOLS, tools
from tonnage.errors import InputError

NAMED = {tool.name: tool for tool in tools()}
TOOL = AgentTool(
    "fit", "", "", ("fit",),
    (
        Property("model", "", "text", files="model", required=True),
        Property("more", "", "text", many=True),
        Property("on", "--on", "text", many=True),
        Property("seed", "--seed", "whole"),
        Property("days", "--days", "number"),
        Property("eager", "--eager", "flag", default="false"),
        Property("cache", "--no-cache", "flag", default="true"),
        Property("trace", "--trace", "text", files="file", ending="csv"),
    ),
    None,
)  # fmt: skip


def words(given: dict[str, object], start: Path = Path()) -> list[str]:
    with QuestionFolder(start) as folder:
        return TOOL.words(given, folder)


def test_words_come_first_and_a_value_stays_with_its_flag() -> None:
    given: dict[str, object] = {"on": ["8xh20", "-1"], "model": "m", "seed": 7, "days": 2.0, "more": "n"}
    assert words(given) == ["fit", "m", "n", "--on=8xh20", "--on=-1", "--seed=7", "--days=2"]


def test_what_is_on_or_off_is_said_only_where_it_differs() -> None:
    assert words({"model": "m", "eager": True, "cache": True}) == ["fit", "m", "--eager"]
    assert words({"model": "m", "eager": False, "cache": False}) == ["fit", "m", "--no-cache"]
    assert words({"model": "m", "eager": None}) == ["fit", "m"]


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "not finite": ({"model": "m", "days": float("nan")}, "expected a finite number"),
    "not whole": ({"model": "m", "seed": "x"}, "expected a whole number"),
    "an object": ({"model": "m", "on": {"text": "x"}}, "expected a text"),
    "lists in lists": ({"model": "m", "on": [["8xh20"]]}, "expected a text"),
    "no list": ({"model": "m", "seed": [1]}, "expected a whole number"),
    "one of the files": ({"model": "m", "trace": {"path": "x"}}, 'an object with its "text"'),
    "a folder up": ({"model": "m", "trace": "a/../../x"}, "outside the folder"),
    "home": ({"model": "m", "trace": str(Path.home())}, "outside the folder"),
    "endless": ({"model": "m", "trace": "x" * 3000}, "x"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_of_its_input(case: str, tmp_path: Path) -> None:
    given, text = WRONG[case]
    if case == "endless":
        assert "--trace=" in words(given, tmp_path)[-1], (
            "a name that is too long for the system is for the verb to refuse"
        )
        return
    with pytest.raises(InputError) as found:
        words(given, tmp_path)
    assert text in str(found.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InputError) as found:
        words({"modle": "m", "seed": "x", "eager": 1})
    assert [problem.where for problem in found.value.problems] == ["modle", "model", "seed", "eager"]


def test_given_files_are_kept_while_the_question_lasts(tmp_path: Path) -> None:
    with QuestionFolder(tmp_path) as folder:
        first = Path(folder.given("trace", "a,b\n", "my trace.csv", "csv"))
        second = Path(folder.given("trace", "c", "t.csv", "csv"))
        assert (first.name, second.name) == ("trace.csv", "t.csv"), "a name with a space is not taken"
        assert first.read_text(encoding="utf-8") == "a,b\n" and first.parent != second.parent
        assert folder.without({"where": f"{second}:1:2", "list": [str(first), 3]}) == {
            "where": "t.csv:1:2", "list": ["trace.csv", 3]
        }  # fmt: skip
        assert folder.given("trace", "x" * (MOST_TEXT + 1), None, "csv") == "" and folder.problems
    assert not first.exists() and not second.parent.exists()


def test_a_link_and_what_is_hidden_are_outside(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").touch()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "in" / "own").symlink_to(tmp_path / "in" / "file")
    for path, inside in {
        "file": True, "a/b": True, ".": True, str(tmp_path / "in" / "x"): True, "own": True, "link": False, "..": False,
        "../in/x": True, ".git/config": False, "a/.b": False, "\0": False, "/": False,
    }.items():  # fmt: skip
        with QuestionFolder(tmp_path / "in") as folder:
            folder.named("x", path)
            assert (folder.problems == []) is inside, path


# ---------------------------------------------------------------- tools and what they give


def test_every_verb_is_a_tool_or_is_left_to_people() -> None:
    people = {"run", "qualify", "mcp", "new", "schema", "completion", "page"}
    assert {*VERBS} - people == {*TOOLS} == {*TITLES}
    assert {name for names in ONLY.values() for name in names} | {*FEWER["what"]} <= {*TOOLS}


def test_inputs_are_the_options_of_the_verb_and_write_nothing() -> None:
    serve = NAMED["serve"].inputs["properties"]
    assert isinstance(serve, dict) and {"model", "on", "isl", "osl", "tpot", "as_of", "in", "seed"} <= set(serve)
    for tool in NAMED.values():
        own = {one.name for one in tool.properties}
        assert not own & LEFT_OUT
        assert "ledger" not in own or tool.name == "ledger"
    assert [one.choices for one in NAMED["ledger"].properties if one.name == "what"] == [("list", "show", "errors")]
    assert [one.required for one in NAMED["launch"].properties if one.name == "programme"] == [True]


@pytest.mark.parametrize("verb", [v for v in OWN if v in ("fit", "serve", "train")])
def test_answers_are_as_their_schema_says(verb: str) -> None:
    asked = {"fit": ["--on=8xh20"], "serve": ["--on=8xh200"], "train": ["--on=2048xh800", "--tokens=1T"]}
    reply = answer([verb, "deepseek-r1", *asked[verb]])["reply"]
    jsonschema.Draft202012Validator(answer_schema(verb)).validate(reply)
    assert isinstance(reply, dict) and set(OWN[verb]) <= set(reply), "the schema names keys that are there"
    assert list(HEAD) == list(reply)[: len(HEAD)]


# ---------------------------------------------------------------- workers

WORKER = """
import json, os, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    word = asked["argv"][0]
    if word == "die": os._exit(3)
    if word == "sleep": time.sleep(60)
    if word == "shout": print("x" * 40_000_000)
    if word == "steps":
        for step in range(3): print(json.dumps({"id": asked["id"], "progress": {"done": step, "of": 3, "what": "x"}}))
    print(json.dumps({"id": asked["id"], "pid": os.getpid(), "cwd": os.getcwd()}), flush=True)
"""


async def unheard(step: object) -> None:
    """Nobody asked."""


def made(start: Path, most: int = 1) -> Workers:
    return Workers((sys.executable, "-c", WORKER), start, most)


def test_a_worker_is_kept_and_told_of(tmp_path: Path) -> None:
    async def ask() -> None:
        workers, steps = made(tmp_path), []

        async def told(step: object) -> None:
            steps.append(step)

        first, second = await workers.ask(["a"], unheard), await workers.ask(["steps"], told)
        assert first["pid"] == second["pid"] and first["cwd"] == str(tmp_path)
        assert [step["done"] for step in steps] == [0, 1, 2]
        await workers.end()

    anyio.run(ask)


def test_a_worker_that_ends_or_shouts_costs_its_question_only(tmp_path: Path) -> None:
    async def ask() -> None:
        workers = made(tmp_path)
        before = (await workers.ask(["a"], unheard))["pid"]
        with pytest.raises(Unanswered, match="ended before"):
            await workers.ask(["die"], unheard)
        with pytest.raises(Unanswered, match="more than 32 MB"):
            await workers.ask(["shout"], unheard)
        after = await workers.ask(["a"], unheard)
        assert after["pid"] != before
        await workers.end()

    anyio.run(ask)


def test_a_question_given_up_ends_its_process_and_makes_room(tmp_path: Path) -> None:
    async def ask() -> None:
        workers = made(tmp_path)
        before = (await workers.ask(["a"], unheard))["pid"]
        with anyio.move_on_after(0.3) as scope:
            await workers.ask(["sleep"], unheard)
        assert scope.cancelled_caught
        assert (await workers.ask(["a"], unheard))["pid"] != before
        with pytest.raises(ProcessLookupError):
            os.kill(int(str(before)), 0)
        await workers.end()

    anyio.run(ask)


def test_no_more_wait_than_there_is_room_for(tmp_path: Path) -> None:
    async def ask() -> None:
        workers = made(tmp_path)
        async with anyio.create_task_group() as group:
            group.start_soon(workers.ask, ["sleep"], unheard)
            await anyio.sleep(0.1)
            for _ in range(MOST_WAITING):
                group.start_soon(workers.ask, ["sleep"], unheard)
            await anyio.sleep(0.1)
            with pytest.raises(Unanswered, match="wait already"):
                await workers.ask(["a"], unheard)
            group.cancel_scope.cancel()
        await workers.end()

    anyio.run(ask)


# ---------------------------------------------------------------- the process that answers

TRIES = r"""
import json, os, sqlite3, subprocess, sys, socket
from pathlib import Path
from tonnage.cli.confined import confine
start, outside = Path(sys.argv[1]), Path(sys.argv[2])
os.chdir(start)
confine(start)
def tried(what):
    try:
        what()
    except PermissionError as error:
        return "refused"
    except Exception as error:
        return type(error).__name__
    return "done"
import tonnage.fleet, tonnage.serve, csv
ways = {
    "read inside": lambda: open("inside.txt").read(),
    "read hidden": lambda: open(".hidden").read(),
    "read outside": lambda: open(outside / "far.txt").read(),
    "read by os": lambda: os.open(outside / "far.txt", os.O_RDONLY),
    "read by a link": lambda: open("link").read(),
    "list outside": lambda: os.listdir(outside),
    "read passwords": lambda: open("/etc/passwd").read(),
    "write inside": lambda: open("new.txt", "w"),
    "append inside": lambda: open("inside.txt", "a"),
    "write by os": lambda: os.open("new.txt", os.O_WRONLY | os.O_CREAT),
    "remove": lambda: os.remove("inside.txt"),
    "rename": lambda: os.rename("inside.txt", "x"),
    "make a folder": lambda: os.mkdir("folder"),
    "a database outside": lambda: sqlite3.connect(outside / "x.sqlite"),
    "a database in memory": lambda: sqlite3.connect(":memory:"),
    "a program": lambda: subprocess.run(["true"]),
    "a shell": lambda: os.system("true"),
    "an address": lambda: socket.create_connection(("127.0.0.1", 9)),
    "facts": lambda: __import__("tonnage").catalog.load() if hasattr(__import__("tonnage"), "catalog") else 0,
}
print(json.dumps({name: tried(way) for name, way in ways.items()}))
"""


def test_the_process_that_answers_keeps_within_bounds(tmp_path: Path) -> None:
    start, outside = tmp_path / "start", tmp_path / "outside"
    start.mkdir()
    outside.mkdir()
    for path in (start / "inside.txt", start / ".hidden", outside / "far.txt"):
        path.write_text("text", encoding="utf-8")
    (start / "link").symlink_to(outside / "far.txt")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", TRIES, str(start), str(outside)], capture_output=True, text=True, check=True,
        env=environment,
    )  # fmt: skip
    found = json.loads(done.stdout)
    allowed = {"read inside", "a database in memory", "facts"}
    assert {name for name, how in found.items() if how == "done"} == allowed
    assert {how for name, how in found.items() if name not in allowed} == {"refused"}
    assert sorted(path.name for path in start.iterdir()) == [".hidden", "inside.txt", "link"]


@pytest.mark.parametrize("words", [("--in", "/no/such"), ("--seconds", "0"), ("--workers", "0"), ("-o", "x.json")])
def test_a_server_that_cannot_be_is_refused(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "tonnage", "mcp", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and words[0].lstrip("-")[0] in done.stderr and not done.stdout


def test_lines_that_are_no_questions_stop_nothing(tmp_path: Path) -> None:
    """What no client would send: JSON with half a character, a line that is no JSON, one that is no question."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
    call = '{"name": "fit", "arguments": {"model": "deep\\udcffseek", "on": "8xh20", "\\ud800": 1}}'
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
        '{"jsonrpc": "2.0", "method": "notifications/initialized"}',
        "this is no JSON",
        "[1, 2, {}]",
        f'{{"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {call}}}',
        '{"jsonrpc": "2.0", "id": 3, "method": "ping"}',
    ]
    command = [sys.executable, "-m", "tonnage", "mcp", "--in", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        late = threading.Timer(60, server.kill)
        late.start()
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write(("\n".join(lines) + "\n").encode())
        server.stdin.flush()
        answered = {}
        while 3 not in answered:
            found = json.loads(server.stdout.readline())
            answered[found.get("id")] = found
        server.stdin.close()
        assert server.wait(20) == 0
        late.cancel()
    assert answered[3]["result"] == {}
