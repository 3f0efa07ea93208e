"""Saved answers: compared, traced, asked again."""

import json

import pytest

from tonnage.ask.saved import leaves
from tonnage.cli import run
from tonnage.cli.rerun import command_words
from tonnage.report.compare import differences


def test_leaves_are_named_by_their_path():
    assert leaves({"a": {"b": [1, {"c": 2}]}, "d": None}) == {"a.b[0]": 1, "a.b[1].c": 2, "d": None}


def test_differences_are_ranked_by_their_ratio():
    found = differences({"x": 1.0, "y": 10.0, "z": "a"}, {"x": 1.1, "y": 40.0, "z": "a"})
    assert [row["path"] for row in found] == ["y", "x"]
    assert found[0]["ratio"] == pytest.approx(4)


def test_what_is_read_first_comes_first_the_largest_change_ahead_and_entries_of_lists_last():
    first = {"frontier": [{"ttft": 1.0}], "search": {"found": 1}, "cost": 1.0, "tpot": 1.0, "memory": {"total": 1.0}}
    second = {"frontier": [{"ttft": 9.0}], "search": {"found": 5}, "cost": 3.0, "tpot": 1.1, "memory": {"total": 2.0}}
    found = [row["path"] for row in differences(first, second)]
    assert found == ["cost", "memory.total", "tpot", "search.found", "frontier[0].ttft"]


def test_answers_of_two_commands_are_compared_with_a_warning(tmp_path, capsys):
    for name, command in (("a.json", "fit"), ("b.json", "serve")):
        (tmp_path / name).write_text(json.dumps({"schema": "tonnage/1", "command": command, "inputs": {}}))
    assert run(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    assert capsys.readouterr().out.startswith("These answer two different commands, fit and serve:")


def test_a_saved_answer_says_how_it_was_asked():
    saved = {
        "command": "serve",
        "seed": 3,
        "inputs": {"model": "deepseek-r1", "on": ["16xh20"], "isl": "4k", "ttft": None},
    }
    assert command_words(saved) == ["serve", "deepseek-r1", "--on=16xh20", "--isl=4k", "--seed=3"]


@pytest.mark.parametrize("text", ["{}", "[1, 2]", "not json", '{"schema": "other/9", "command": "fit", "inputs": {}}'])
def test_what_is_no_answer_is_refused(tmp_path, capsys, text):
    file = tmp_path / "a.json"
    file.write_text(text)
    for verb in (["sources", str(file)], ["rerun", str(file)], ["compare", str(file), str(file)]):
        assert run(verb) == 2
        assert "Traceback" not in capsys.readouterr().err


def test_an_answer_can_be_saved_traced_compared_and_asked_again(tmp_path, capsys):
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    assert run(["fit", "deepseek-r1", "--on", "16xh20", "-o", str(first), "-q"]) == 0
    assert run(["fit", "deepseek-r1", "--on", "16xh200", "-o", str(second), "-q"]) == 0
    capsys.readouterr()
    assert run(["sources", str(first), "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["facts"]
    assert not body["lost"]
    assert all(fact["source"] for fact in body["facts"])
    assert run(["sources", str(first)]) == 0
    assert "96 GB" in capsys.readouterr().out
    assert run(["compare", str(first), str(second)]) == 0
    assert "memory.capacity" in capsys.readouterr().out
    assert run(["rerun", str(first), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == []


def test_what_a_plan_keeps_is_not_told_as_a_difference_again(tmp_path, capsys):
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file, batch in zip(files, ("512", "1024"), strict=True):
        words = ["train", "llama-3.1-8b", "--on", "8xh800", "--layout", "tp1,pp1,zero3", "--global-batch", batch]
        assert run([*words, "-o", str(file), "-q"]) == 0
    first, second = (json.loads(file.read_text()) for file in files)
    assert first["plan"]["job"]["global_batch"] == 512
    paths = [row["path"] for row in differences(first, second)]
    assert "step_time" in paths and not [path for path in paths if path.startswith("plan")]
