"""What hurt in what came later: each with what is right instead."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from newer import EVIL, GATE, HEAD, _book, _calibration_rows, saved_plan
from scripts_run import run_scripts
from test_hostile import FIT, SERVE

from tonnage import files
from tonnage.cli import run
from tonnage.errors import InputError
from tonnage.printable import UNSAFE
from tonnage.web import verdicts

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(saved_plan("serve")), encoding="utf-8")
    return path


# ---------------------------------------------------------------- files

TRACE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:01.5,100,5\n2024-05-10 00:00:02.5,120,6\n"


@pytest.mark.parametrize("name", ["t.csv", "./t.csv", "below/../t.csv", "link.csv", "hard.csv"])
@pytest.mark.parametrize("flag", ["-o", "--requests-out"])
def test_a_trace_is_not_written_over(
    plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, name: str, flag: str
) -> None:
    monkeypatch.chdir(plan.parent)
    Path("below").mkdir()
    Path("t.csv").write_text(TRACE, encoding="utf-8")
    Path("link.csv").symlink_to("t.csv")
    os.link("t.csv", "hard.csv")
    assert run(["simulate", "plan.json", "--trace", "t.csv", flag, name]) == 2
    assert "was read" in capsys.readouterr().err
    assert Path("t.csv").read_text(encoding="utf-8") == TRACE and Path("hard.csv").samefile("t.csv")


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (("simulate", "s.yaml", "--rate=2/s", "--requests=9"), "s.yaml"),
        (("simulate", "plan.json", "--rate=2/s", "--requests=9"), "plan.json"),
        (("rerun", "plan.json"), "plan.json"),
        (("sources", "plan.json"), "plan.json"),
        (("export", "plan.json", "vllm"), "plan.json"),
        (("serve", "--from", "v.json", "--on", "2xh100-sxm"), "v.json"),
        (("fit", "qwen3-0.6b", "--on", "1xmy-card", "--calibration", "c.jsonl"), "c.jsonl"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_no_file_that_was_read_is_written_over(
    plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, words: tuple[str, ...], read: str
) -> None:
    monkeypatch.chdir(plan.parent)
    Path("s.yaml").write_text("model: qwen3-0.6b\non: 1xh20\nisl: 1k\nosl: 20\n", encoding="utf-8")
    Path("v.json").write_text('{"model": "Qwen/Qwen3-8B", "tensor_parallel_size": 2}', encoding="utf-8")
    Path("c.jsonl").write_text("\n".join(json.dumps(row) for row in (HEAD, *_calibration_rows())), encoding="utf-8")
    kept = Path(read).read_bytes()
    link = Path("link.json")
    link.symlink_to(read)
    assert run([*words, "-o", "other.md", "-o", "link.json"]) == 2
    assert "was read" in capsys.readouterr().err
    assert Path(read).read_bytes() == kept and not Path("other.md").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" + "[]," * 2_000_000 + "[]]", "lists and objects"),
        ('{"a": 1e999}', "beyond 1e+308"),
        ('{"a": -1e999}', "beyond 1e+308"),
        (f'{{"a": {"9" * 400}}}', "400 digits"),
        (f'{{"a": {"9" * 5000}}}', "5,000 digits"),
    ],
    ids=["empty lists", "more", "less", "400 digits", "5000 digits"],
)
def test_json_that_is_no_number_or_has_no_end(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("+", r"\+")):
        files.parse_json(text, "x.json")


def test_a_number_beyond_all_numbers_is_text_in_yaml() -> None:
    assert files.parse_yaml("[1e999, -1e999, 1e308]").value == ["1e999", "-1e999", 1e308]


@pytest.mark.parametrize("seed", ["-1", "99999999999999999999"])
@pytest.mark.parametrize("words", [FIT, SERVE, ("simulate", "plan.json"), ("launch", "p.yaml"), ("show", "h20-96gb")])
def test_a_seed_is_a_whole_number_from_nought(capsys: Captured, words: tuple[str, ...], seed: str) -> None:
    assert run([*words, f"--seed={seed}"]) == 2
    assert "--seed" in capsys.readouterr().err


# ---------------------------------------------------------------- exports

PLACES: dict[str, tuple[tuple[str, ...], ...]] = {
    "serve": (
        ("inputs", "model"), ("plan", "question", "job", "arch", "title"), ("plan", "question", "job", "arch", "name"),
    ),
    "train": (("inputs", "model"), ("plan", "job", "arch", "title"), ("plan", "job", "arch", "name")),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "engine"),
    [("serve", "vllm"), ("serve", "k8s"), ("serve", "ray"), ("train", "megatron"), ("train", "torchtitan"),
     ("train", "run")],
)  # fmt: skip
def test_nothing_of_a_plan_becomes_code_of_a_script(tmp_path: Path, kind: str, engine: str) -> None:
    """Names that a shell obeys in every place of a plan that is a name, and in every key of its inputs."""
    ran = 0
    for number, evil in enumerate(EVIL[::2] if engine in ("k8s", "ray") else EVIL[1::2]):
        body = json.loads(json.dumps(saved_plan(kind)))
        for path in PLACES[kind]:
            parent: Any = body
            for step in path[:-1]:
                parent = parent[step]
            parent[path[-1]] = f"m{evil}"
        body["inputs"] |= {"isl": f"4k{evil}", "layout": evil, "place": evil, evil: evil}
        for one in body["plan"].get("instances", []):
            one["model"] = "$MODEL" if number % 2 else evil
        source, out = tmp_path / "p.json", tmp_path / f"out{number}"
        source.write_text(json.dumps(body), encoding="utf-8")
        code = run(["export", str(source), engine, "-o", str(out), "-q"])
        assert code in (0, 2)
        if code == 0:
            ran += 1
            assert run_scripts(out) is None, evil
    assert not list(tmp_path.rglob("*PWNED*"))
    assert ran or engine in ("ray", "run", "torchtitan"), "these take models by names that they know"


@pytest.mark.parametrize("name", ["qwen3-0.6b", "a b", "x'y", "$(touch PWNED)"])
def test_scripts_of_a_plan_are_sound(tmp_path: Path, name: str) -> None:
    body = json.loads(json.dumps(saved_plan("pools")))
    body["plan"]["question"]["job"]["arch"]["title"] = name
    (tmp_path / "p.json").write_text(json.dumps(body), encoding="utf-8")
    assert run(["export", str(tmp_path / "p.json"), "sglang", "-o", str(tmp_path / "out"), "-q"]) == 0
    assert run_scripts(tmp_path / "out") is None


def test_the_stubs_would_see_what_runs(tmp_path: Path) -> None:
    (tmp_path / "serve.sh").write_text("#!/usr/bin/env bash\nvllm serve $(touch PWNED)\n", encoding="utf-8")
    assert run_scripts(tmp_path) == "serve.sh runs what the plan says"
    (tmp_path / "serve.sh").write_text("#!/usr/bin/env bash\nvllm serve 'x\n", encoding="utf-8")
    assert "is no bash" in (run_scripts(tmp_path) or "")


@pytest.mark.parametrize("error", [IndexError, KeyError, ZeroDivisionError, ValueError, TypeError, AttributeError])
def test_a_plan_whose_values_do_not_go_together_is_wrong_input(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def broken(*_: object) -> object:
        raise error("planted")

    monkeypatch.setattr("tonnage.ask.exported.training_files", broken)
    path = tmp_path / "p.json"
    path.write_text(json.dumps(saved_plan("train")), encoding="utf-8")
    assert run(["export", str(path), "megatron"]) == 2
    assert "do not go together" in capsys.readouterr().err


# ---------------------------------------------------------------- launch files


@pytest.mark.parametrize("on", ["*", "8", "x", "0xh20", "9" * 4301])
def test_chips_beside_a_launch_file_are_chips(tmp_path: Path, capsys: Captured, on: str) -> None:
    path = tmp_path / "s.sh"
    path.write_text("vllm serve Qwen/Qwen3-8B --tensor-parallel-size 2\n", encoding="utf-8")
    assert run(["serve", "--from", str(path), f"--on={on}"]) == 2
    assert "chips" in capsys.readouterr().err
    asked = {"command": "serve", "model": "qwen3-8b", "words": {"on": on}, "reads": {"count": "1"}, "files": []}
    path.write_text(f"# tonnage asked: {json.dumps(asked)}\nvllm serve $MODEL --tensor-parallel-size 2\n", "utf-8")
    assert run(["serve", "--from", str(path)]) == 2


# ---------------------------------------------------------------- ledgers, calibrations, verdicts, fronts


@pytest.mark.parametrize("value", [float("inf"), 1e300])
@pytest.mark.parametrize("table", ["predicted", "reading"])
def test_a_ledger_holds_quantities(tmp_path: Path, capsys: Captured, table: str, value: float) -> None:
    path = tmp_path / "l.sqlite"
    path.write_bytes(_book())
    held = sqlite3.connect(path, isolation_level=None)
    held.execute(f"UPDATE {table} SET value = ?", (value,))
    held.close()
    assert run(["ledger", "errors", "--ledger", str(path)]) == 2
    assert "is no quantity" in capsys.readouterr().err


def test_a_ledger_whose_schema_is_no_text_is_damaged(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "l.sqlite"
    data = bytearray(_book())
    at = data.index(b"CREATE TABLE measured")
    data[at + 13 : at + 16] = b"\xd5\xd5\xd5"
    path.write_bytes(data)
    assert run(["ledger", "list", "--ledger", str(path)]) == 2
    assert "not a sound ledger" in capsys.readouterr().err


@pytest.mark.parametrize("layout", [["NT"], {"a": 1}, 3, True, "XX"])
def test_a_layout_of_a_measured_row_is_one(tmp_path: Path, capsys: Captured, layout: object) -> None:
    path = tmp_path / "c.jsonl"
    rows = [HEAD, *_calibration_rows()]
    rows[3]["layout"] = layout
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    assert run(["fit", "qwen3-0.6b", "--on", "1xmy-card", "--calibration", str(path)]) == 2
    assert "c.jsonl:4" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "9" * 400, "1e308", '"x"', "[]", "null"])
def test_a_verdict_of_odd_numbers_is_shown_or_is_none(tmp_path: Path, number: str) -> None:
    body = {"schema": "tonnage/1", "command": "qualify", "verdict": {"device": "d\x1b[31m", "gates": [GATE]}}
    text = json.dumps(body).replace("3.0", number)
    (tmp_path / "v.json").write_text(text, encoding="utf-8")
    found = verdicts.read(tmp_path, "v")
    assert (found is None) == (number in ("1e999", "-1e999", "NaN", "9" * 400))
    for one in (found, verdicts.listed(tmp_path)):
        assert not UNSAFE.search(json.dumps(one, allow_nan=False, ensure_ascii=False))


def test_a_front_prints_nothing_that_a_terminal_obeys(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "f.yaml"
    path.write_text('models: {m: {releases: {r: {replicas: [{command: "e \\e[31m \\u202e {port}"}]}}}}\n', "utf-8")
    assert run(["run", "serve", str(path), "--check"]) == 0
    told = capsys.readouterr().out
    assert "x1b" in told and not UNSAFE.search(told)


def test_more_replicas_than_are_simulated_are_refused(plan: Path, capsys: Captured) -> None:
    assert run(["simulate", str(plan), "--rate=1/s", "--requests=20", "--replicas=100000"]) == 2
    assert "at most 10,000 that are simulated" in capsys.readouterr().err
