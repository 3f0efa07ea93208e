"""`tonnage mcp` as an agent meets it: one server, the official client, real standard input and output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from asking import MINI, ROOT, SMALL, Agent, words
from mcp.shared.exceptions import MCPError

from tonnage.cli.answering import answer
from tonnage.cli.tools import TOOLS

FIT = {"model": "deepseek-r1", "on": "8xh20"}


def test_the_verbs_are_tools_that_change_nothing(agent: Agent) -> None:
    found = agent.tools().tools
    assert [tool.name for tool in found] == [*TOOLS, "new"]
    for tool in found:
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is True and tool.annotations.destructive_hint is False
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        assert tool.description and all(one["description"] for one in tool.input_schema["properties"].values())
        if tool.output_schema is not None:
            jsonschema.Draft202012Validator.check_schema(tool.output_schema)
    assert len(json.dumps([tool.input_schema for tool in found])) < 45_000, "an agent reads all of it"


def test_the_answer_is_that_of_the_command_line(agent: Agent) -> None:
    found = agent.call("fit", **FIT)
    asked = answer(["fit", "deepseek-r1", "--on=8xh20"])
    assert found.structured_content == asked["reply"]
    assert words(found).startswith(str(asked["printed"])) and not found.is_error


def test_no_is_an_answer(agent: Agent) -> None:
    found = agent.call("fit", model="deepseek-r1", on="1xh20")
    assert not found.is_error
    assert found.structured_content["outcome"] == "memory"
    assert words(found).startswith("No: ")


def test_every_problem_is_told_with_its_place_and_the_nearest_name(agent: Agent) -> None:
    found = agent.call("fit", model="deepseek-r2", on="8xh21", kv="fp9")
    assert found.is_error
    rows = [(row["place"], row["nearest"]) for row in found.structured_content["errors"]]
    assert rows == [("", "deepseek-v2"), ("on", "h20"), ("kv", "fp8")]
    assert words(found).startswith("error: 3 problems\n") and 'did you mean "h20"?' in words(found)
    wrong = agent.call("fit", modle="deepseek-r1", on="8xh20")
    assert wrong.is_error and 'did you mean "model"?' in words(wrong)
    none = agent.call("serf")
    assert none.is_error and 'did you mean "serve"?' in words(none)


def test_numbers_may_be_numbers_and_lists_lists(agent: Agent) -> None:
    found = agent.call("serve", model="llama-3.1-8b", on=["1xh100"], isl=2000, osl=200.0, tpot="50ms", seed=3)
    assert not found.is_error, words(found)
    assert found.structured_content["inputs"]["on"] == ["1xh100"]
    assert (found.structured_content["inputs"]["isl"], found.structured_content["seed"]) == ("2000", 3)


def test_an_answer_is_passed_on_whole(agent: Agent) -> None:
    first = agent.call("fit", **FIT).structured_content
    second = agent.call("fit", model="deepseek-r1", on="16xh20").structured_content
    compared = agent.call("compare", first=first, second={"text": json.dumps(second), "name": "more.json"})
    assert not compared.is_error, words(compared)
    assert compared.structured_content["inputs"]["second"] == "more.json"
    told = agent.call("sources", result=first)
    assert not told.is_error and "h20" in words(told).lower()
    plan = agent.call("serve", model="llama-3.1-8b", on="1xh100", engine="vllm").structured_content
    played = agent.call("simulate", plan=plan, rate="1/s", requests=200)
    assert not played.is_error and played.structured_content["requests"] == 200, words(played)
    made = agent.call("export", result=plan, engine="vllm")
    assert not made.is_error, words(made)
    assert any("vllm serve" in one["text"] for one in made.structured_content["files"])
    assert sorted(path.name for path in agent.start.iterdir()) == [".secret.yaml", "link.yaml", "small.yaml"]


def test_a_programme_is_launched_from_its_text_and_from_its_file(agent: Agent) -> None:
    steps: list[tuple[float, float | None, str | None]] = []
    said = agent.heard("launch", lambda *step: steps.append(step), programme={"text": SMALL}, draws=20)
    assert not said.is_error, words(said)
    assert said.structured_content["inputs"]["programme"] == "programme.yaml"
    assert steps and all(of is None or done <= of for done, of, _ in steps)
    named = agent.call("launch", programme="small.yaml", draws=20)
    assert named.structured_content["launch"] == said.structured_content["launch"]
    wrong = agent.call("launch", programme={"text": SMALL.replace("count:", "cuont:"), "name": "mine.yaml"})
    assert wrong.is_error and "mine.yaml:" in words(wrong) and "did you mean" in words(wrong)
    start = agent.call("new", **{"from": "mini"})
    assert start.structured_content == {"text": MINI}


def test_other_verbs_answer(agent: Agent) -> None:
    for tool, given in {
        "show": {"what": "h20", "in": "CN"},
        "lawful": {"model": "llama-3.1-8b", "in": "CN"},
        "train": {"model": "llama-3.1-8b", "on": "64xh100", "tokens": "1T"},
        "accuracy": {"what": "capacity"},
        "ledger": {"what": "list"},
    }.items():
        found = agent.call(tool, **given)
        if tool == "ledger":
            assert found.is_error or found.structured_content["command"] == "ledger"
            continue
        assert not found.is_error, words(found)
        assert found.structured_content["command"] == tool


def test_what_is_known_can_be_read(agent: Agent) -> None:
    listed = agent.portal.call(agent.client.list_resources).resources
    assert {"tonnage://guide", "tonnage://chips", "tonnage://models", "tonnage://programme/schema"} <= {
        one.uri for one in listed
    }
    chips = json.loads(agent.read("tonnage://chips"))
    assert chips["command"] == "show" and "h20" in json.dumps(chips)
    assert json.loads(agent.read("tonnage://show/deepseek-ai%2FDeepSeek-R1"))["command"] == "show"
    source = chips["sources"][0] if chips["sources"] else "h20"
    assert json.loads(agent.read(f"tonnage://sources/{source}"))["command"] == "show"
    assert json.loads(agent.read("tonnage://programme/schema"))["type"] == "object"
    assert agent.read("tonnage://programme/mini") == MINI
    assert agent.read("tonnage://guide") == (ROOT / "SKILL.md").read_text(encoding="utf-8")
    for uri in (
        "tonnage://nothing",
        "tonnage://show/nothing-of-this-name",
        "tonnage://show/--help",
        "file:///etc/passwd",
    ):
        with pytest.raises(MCPError):
            agent.read(uri)


HOSTILE: dict[str, tuple[str, dict[str, Any], str]] = {
    "a path up": ("launch", {"programme": "../outside0/far.yaml"}, "outside the folder"),
    "an absolute path": ("launch", {"programme": "/etc/passwd"}, "outside the folder"),
    "a link out": ("launch", {"programme": "link.yaml"}, "outside the folder"),
    "a hidden file": ("launch", {"programme": ".secret.yaml"}, "hidden"),
    "a model's path": ("fit", {"model": "/etc/hosts", "on": "8xh20"}, "outside the folder"),
    "a flag as a model": ("fit", {"model": "--output=x.json", "on": "8xh20"}, 'cannot begin with "-"'),
    "a flag in a value": ("fit", {"model": "deepseek-r1", "on": "8xh20 --output=x.json"}, "8xh20 --output"),
    "an option of the terminal": ("fit", {**FIT, "output": "x.json"}, "is no input of fit"),
    "a ledger to write": ("fit", {**FIT, "ledger": "x.sqlite"}, "is no input of fit"),
    "add to the ledger": ("ledger", {"what": "add"}, "expected one of list, show, errors"),
    "a picture": ("launch", {"programme": "small.yaml", "picture": "x.svg"}, "is no input of launch"),
    "no text": ("launch", {"programme": {"name": "x.yaml"}}, 'an object with its "text"'),
    "a number as a file": ("launch", {"programme": 3.5}, "3.5"),
    "nothing": ("launch", {}, "is needed"),
    "a list as a model": ("fit", {"model": ["deepseek-r1"], "on": "8xh20"}, "expected a path"),
    "true as a chip": ("fit", {"model": "deepseek-r1", "on": True}, "expected a text"),
    "text as true": ("fit", {**FIT, "eager": "yes"}, "expected true or false"),
    "a seed with a dot": ("fit", {**FIT, "seed": 1.5}, "expected a whole number"),
    "a long name": ("fit", {"model": "x" * 5000, "on": "8xh20"}, "4,000 at most"),
    "many chips": ("serve", {"model": "deepseek-r1", "on": ["8xh20"] * 300}, "200 values at most"),
    "a null byte": ("fit", {"model": "deepseek\0r1", "on": "8xh20"}, "no name has"),
    "control characters": ("fit", {"model": "\x1b[2Jdeepseek", "on": "8xh20"}, "no model named"),
    "a script": ("fit", {"model": "<script>alert(1)</script>", "on": "8xh20"}, "no model named"),
    "no YAML": ("launch", {"programme": {"text": "{[:"}}, "programme.yaml:1"),
    "a tag": ("launch", {"programme": {"text": "!!python/object/apply:os.system [ls]"}}, "programme.yaml"),
    "a name with a folder": ("launch", {"programme": {"text": "x: 1", "name": "../../x.yaml"}}, "programme.yaml:1"),
    "a deep value": ("sources", {"result": {"a": json.loads("[" * 100 + "]" * 100)}}, ""),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_inputs_are_refused_in_words(case: str, agent: Agent) -> None:
    tool, given, text = HOSTILE[case]
    before = sorted(path.name for path in agent.start.iterdir())
    found = agent.call(tool, **given)
    said = words(found)
    assert found.is_error and text in said, said
    assert "Traceback" not in said and "defect" not in said and "\x1b" not in said
    assert "hidden-value" not in said and "far-value" not in said and "/tmp/" not in said.replace(str(agent.start), "")
    assert sorted(path.name for path in agent.start.iterdir()) == before


def test_half_a_character_of_a_file_stops_nothing(agent: Agent) -> None:
    """YAML and JSON can write what no encoding has."""
    text = SMALL.replace("name: small", 'name: "half \\ud800"')
    assert "ud800" in words(agent.call("launch", programme={"text": text + "more: x\n"}, draws=20))
    wrong = agent.call("sources", result={"text": '{"\\ud800": "\\udfff"}'})
    assert wrong.is_error
    assert not agent.call("fit", **FIT).is_error


def test_a_programme_cannot_name_what_lies_outside(agent: Agent, tmp_path: Path) -> None:
    """The process that answers may not open it, whatever leads there."""
    secret = tmp_path / "config.json"
    secret.write_text('{"model_type": "llama", "secret": "hidden-value"}', encoding="utf-8")
    text = SMALL.replace("model: ", f"model: {secret} # ", 1)
    assert str(secret) in text
    found = agent.call("launch", programme={"text": text}, draws=20)
    assert found.is_error and "lies outside of what may be read here" in words(found)
    assert "hidden-value" not in words(found)


def test_a_question_given_up_ends_and_the_next_is_answered(agent: Agent) -> None:
    big = SMALL.replace("horizon:", "horizon: 10 years #", 1)
    assert agent.given_up(1.5, "launch", programme={"text": big}, draws=100_000)
    assert not agent.call("fit", **FIT).is_error
