"""Answers as values: what the command line says, as JSON, with nothing printed and nothing written."""

import json
import shlex
from pathlib import Path

import pytest

from tonnage.cli import run
from tonnage.cli.answering import answer, serve
from tonnage.cli.heard import Heard, listener, listening
from tonnage.cli.progress import Bar

FIT = ["fit", "deepseek-r1", "--on", "8xh200"]


def test_the_answer_is_that_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*FIT, "--json", "-q"]) == 0
    printed = json.loads(capsys.readouterr().out)
    found = answer(FIT)
    assert found["reply"] == printed
    assert (found["code"], found["errors"], found["hint"], found["text"]) == (0, [], None, None)
    assert found["command"] == "tonnage fit deepseek-r1 --on 8xh200"
    out, err = capsys.readouterr()
    assert out + err == ""
    json.dumps(found, allow_nan=False)


def test_words_tables_and_charts_come_with_it() -> None:
    found = answer(FIT)
    said, charts = found["answer"], found["charts"]
    assert isinstance(said, dict) and isinstance(charts, list)
    assert said["sentence"].startswith("Yes: DeepSeek-R1") and said["feasible"] is True
    assert {"label", "text"} == set(said["rows"][0]) and {"title", "header", "rows", "note"} == set(said["tables"][0])
    assert [chart["name"] for chart in charts] == ["memory", "cache"]
    assert {"name", "title", "text", "spec"} == set(charts[0])


def test_what_is_infeasible_is_an_answer() -> None:
    found = answer(["fit", "deepseek-r1", "--on", "1xh200"])
    assert found["code"] == 1 and found["errors"] == []
    assert found["answer"]["feasible"] is False  # type: ignore[index]


def test_every_problem_is_told_at_once_with_the_nearest_name() -> None:
    found = answer(["fit", "deepseek-r1", "--on", "8xh20x", "--kv", "fp9"])
    assert found["code"] == 2 and found["reply"] is None and found["charts"] == []
    errors = found["errors"]
    assert isinstance(errors, list)
    assert [(row["place"], row["nearest"]) for row in errors] == [("--on", "h20"), ("--kv", "fp8")]


WRONG = {
    "no verb": ([], "expected a verb"),
    "a flag first": (["--version"], "expected a verb"),
    "unknown verb": (["fitt"], "no verb named"),
    "unknown flag": (["fit", "--bogus", "1"], "Unknown option"),
    "no file": (["launch", "no-such.yaml"], "no such file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told(case: str) -> None:
    argv, text = WRONG[case]
    found = answer(argv)
    assert found["code"] == 2
    assert text in str(found["errors"])


REFUSED = {
    "-o": [*FIT, "-o", "{}/a.json"],
    "--output=": [*FIT, "--output={}/a.json"],
    "-o joined": [*FIT, "-o={}/a.svg"],
    "ledger": [*FIT, "--ledger", "{}/a.sqlite"],
    "ledger add": ["ledger", "--ledger", "{}/a.sqlite", "add", "abc", "--set", "mfu=1"],
    "picture": ["launch", "examples/r2.yaml", "--picture={}/a.svg"],
    "resume": ["launch", "examples/r2.yaml", "--resume", "{}/a"],
    "ray": ["launch", "examples/r2.yaml", "--ray"],
    "new": ["new", "{}/a.yaml"],
    "new, the file last": ["new", "--from", "r2", "{}/a.yaml"],
    "new -o": ["new", "-o", "{}/a.yaml"],
    "schema -o": ["schema", "-o", "{}/a.json"],
    "run": ["run", "serve"],
    "qualify": ["qualify", "--into", "{}/a"],
    "help": ["fit", "--help"],
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_write_or_go_on_is_refused(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer([word.replace("{}", str(tmp_path)) for word in REFUSED[case]])
    assert found["code"] == 2 and found["errors"] and found["reply"] is None
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_the_ledger_of_the_environment_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONNAGE_LEDGER", str(tmp_path / "plans.sqlite"))
    assert answer(FIT)["code"] == 0
    assert list(tmp_path.iterdir()) == []


def test_a_verb_that_prints_a_text_gives_it() -> None:
    found = answer(["new", "--from", "r2"])
    assert found["code"] == 0 and "r2" in str(found["text"])


def test_a_saved_answer_is_asked_again_within(tmp_path: Path) -> None:
    path = tmp_path / "fit.json"
    assert run([*FIT, "-q", "-o", str(path)]) == 0
    found = answer(["rerun", str(path)])
    assert found["answer"]["sentence"] == "The answer is the same."  # type: ignore[index]


def test_notes_are_given() -> None:
    found = answer(["simulate", "no-such.json", "--rate", "1/s"])
    assert found["notes"] == []
    heard = Heard("fit")
    from tonnage.cli.common import tell

    with listening(heard):
        tell("so it is")
    assert heard.notes == ["so it is"] and listener() is None


def test_the_command_is_quoted_for_a_shell_and_shows_nothing_unsafe() -> None:
    found = answer(["fit", "a model; rm -rf \x1b[2J", "--on", "8xh200"])
    assert found["code"] == 2
    assert "\x1b" not in json.dumps(found)
    assert shlex.split(str(found["command"]))[2] == "a model; rm -rf \\x1b[2J"


def test_a_defect_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr("tonnage.cli.fit.finish", broken)
    found = answer(FIT)
    assert found["code"] == 70
    assert found["errors"][0]["text"] == "a defect in tonnage: RuntimeError: no such luck"  # type: ignore[index]
    assert "Traceback" not in json.dumps(found)


def test_how_far_it_is_is_told_to_who_listens(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[dict[str, object]] = []
    with listening(Heard("qualify", told.append)):
        Bar(False, "qualify").at(3, 9, "copy")
    assert told == [{"done": 3, "of": 9, "what": "copy"}]
    assert capsys.readouterr().err == ""


def _lines(*lines: str) -> list[dict[str, object]]:
    out: list[str] = []
    serve(lines, out.append)
    return [json.loads(line) for line in out]


def test_each_line_is_answered_with_one() -> None:
    found = _lines(json.dumps({"id": 7, "argv": FIT}), "\n", json.dumps({"id": "b", "argv": ["fitt"]}))
    assert [(row["id"], row["code"]) for row in found] == [(7, 0), ("b", 2)]


@pytest.mark.parametrize(
    "line", ["no json", "[]", '{"id": 1}', '{"id": 1, "argv": "fit"}', '{"id":1,"argv":[1]}', "[" * 5000]
)
def test_a_line_that_is_no_question_is_answered(line: str) -> None:
    (found,) = _lines(line)
    assert found["code"] == 2 and "expected one object" in str(found["errors"])


def test_progress_of_a_simulation_comes_before_its_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tmp_path / "plan.json"
    assert run(["serve", "qwen3-8b", "--on", "1xh100", "--isl", "1k", "--osl", "256", "-q", "-o", str(plan)]) in (0, 1)
    monkeypatch.setattr("tonnage.cli.simulate.SECONDS_BETWEEN", 0.0)
    argv = ["simulate", str(plan), "--rate", "1/s", "--requests", "300"]
    *before, last = _lines(json.dumps({"id": 1, "argv": argv}))
    assert last["code"] in (0, 1) and last["reply"] is not None
    assert before and all(row["id"] == 1 and "done" in row["progress"] for row in before)  # type: ignore[operator]
