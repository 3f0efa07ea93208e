"""`--ledger` records what a verb plans; `tonnage ledger` attaches what was measured and holds one against the other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tonnage import ledger
from tonnage.cli import run
from tonnage.cli.ledger_file import usual_file

TRAIN = ("train", "llama-3.1-8b", "--on", "64xh100", "--tokens", "1T", "--layout", "tp1,pp2,dp32,mbs1")
SERVE = ("serve", "llama-3.1-8b", "--on", "8xh100", "--layout", "tp1,dp8", "--concurrency", "256")
STEPS = """\
{"step": 1000, "interruptions": 1, "step_time": 8.0, "loss": 3.1, "at": "2025-03-03"}
{"step": 60000, "interruptions": 2, "step_time": "8200 ms", "at": "2025-03-09T10:00Z"}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "l.sqlite"


@pytest.fixture
def ask(capsys, path):
    """The JSON of a command with this ledger."""

    def asked(*words: str, code: int = 0):
        assert run([*words, "--json", "-q", "--ledger", str(path)]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return asked


@pytest.fixture
def told(capsys, path):
    """What a command that is refused says."""

    def said(*words: str) -> str:
        assert run([*words, "--ledger", str(path)]) == 2
        return capsys.readouterr().err

    return said


def newest(ask) -> str:
    return str(ask("ledger")["plans"][0]["id"])


def test_a_plan_is_recorded_and_nothing_unless_asked(ask, path, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("TONNAGE_LEDGER")
    assert run([*TRAIN, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert not (tmp_path / "data").exists()
    assert ask(*TRAIN) == plain, "recording changes no answer"
    with ledger.reading(path) as held:
        (plan,) = held.plans()
        assert held.answer(plan.id) == plain
    assert plan.predicted[0].value == plain["step_time"]
    assert (plan.catalog, plan.version) == (plain["catalog"], plain["version"])


def test_the_environment_names_a_ledger_and_the_flag_overrules_it(path, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("TONNAGE_LEDGER", str(path))
    assert run([*TRAIN]) == 0
    err = capsys.readouterr().err
    assert "recorded as plan " in err and str(path) in err
    assert run([*SERVE, "--ledger", "off"]) == run(["show", "chips"]) == 0
    capsys.readouterr()
    assert run(["ledger", "--json"]) == 0
    assert [plan["of"] for plan in json.loads(capsys.readouterr().out)["plans"]] == ["train"]
    monkeypatch.setenv("TONNAGE_LEDGER", "default")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert run([*TRAIN, "-q"]) == 0
    assert usual_file() == tmp_path / "data" / "tonnage" / "ledger.sqlite"
    assert ledger.is_ledger(usual_file())


def test_what_was_measured_is_attached_and_scored(ask, path, tmp_path, capsys):
    predicted = ask(*TRAIN)["step_time"]
    plan = newest(ask)
    log = tmp_path / "steps.jsonl"
    log.write_text(STEPS)
    body = ask("ledger", "add", plan[:8], "--measured", str(log), "--run", "pre", "--since", "2025-03-01")
    assert (body["added"], body["run"]) == (2, "pre")
    assert body["values"] == {"step_time": 8.2, "step": 60000.0, "interruptions": 2.0}
    ask("ledger", "add", plan[:8], "--set", "step_time=9s,cost=$1,200", "--set", "mfu=40%", "--at", "2025-04-01")
    found = ask("ledger", "errors", "--by", "month")
    assert found["n"] == 5 and set(found["groups"]) == {"2025-03", "2025-04"}
    first = found["rows"][0]
    assert (first["chip"], first["metric"], first["measured"]) == ("h100-sxm", "step_time", 8.0)
    assert first["error"] == pytest.approx(predicted / 8.0 - 1)
    assert found["groups"]["2025-04"]["cost"]["readings"] == 1
    assert [row["measured"] for row in found["rows"] if row["metric"] == "cost"] == [1200.0]
    shown = ask("ledger", "show", plan[:8])
    assert shown["runs"] == [{"id": "pre", "plan": plan, "started": "2025-03-01"}]
    assert len(shown["rows"]) == 3
    with ledger.reading(path) as held:
        assert held.rows()[0].row["loss"] == 3.1, "what is no quantity is kept in its row"
    for words in (("ledger",), ("ledger", "show", plan[:8]), ("ledger", "errors")):
        assert run([*words, "--ledger", str(path)]) == 0
        assert plan[:8] in capsys.readouterr().out


def test_rows_of_docs_cases_and_of_benchmarks_are_read(ask, tmp_path):
    ask(*TRAIN)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "a", "chip": "h100", "count": 64, "published": 9000}\n'
                    '{"metric": "accelerator_hours", "published": 30000, "tokens": 1e12}\n')  # fmt: skip
    body = ask("ledger", "add", newest(ask), "--measured", str(rows))
    assert body["values"] == {"tokens_per_second_per_accelerator": 9000.0, "accelerator_hours": 30000.0}
    ask(*SERVE)
    bench = tmp_path / "bench.json"
    bench.write_text(json.dumps({"max_concurrency": 256, "mean_tpot_ms": 40.0, "output_throughput": 8000.0}, indent=1))
    body = ask("ledger", "add", newest(ask), "--measured", str(bench))
    assert body["values"] == {"tpot": 0.04, "output_tokens_per_second_per_accelerator": 1000.0}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ('{"step_time": 8}\n{"chip": "h20", "step_time": 8}', ":2 measured on h20-96gb; the plan is for h100-sxm"),
        ('{"count": 32, "step_time": 8}', ":1 measured on 32 accelerators; the plan is for 64"),
        ('{"loss": 3}', ":1 says nothing of a quantity"),
        ('{"step_time": "8"}', ":1 step_time: expected a time with its unit"),
        ('{"step_time": -8}', ":1  step_time: expected a number above zero, got -8"),
        ('{"step_time": 8, "at": "soon"}', ':1 "soon" is no date or moment'),
        ("[1, 2]", ":1 expected a JSON object on each line"),
        ('{"step_time": 8', "is not JSON"),
        ("", "expected a JSON object on each line"),
    ],
)
def test_a_bad_row_is_told_with_its_place_and_nothing_is_attached(rows, words, ask, told, tmp_path):
    ask(*TRAIN)
    log = tmp_path / "rows.jsonl"
    log.write_text(rows)
    assert words in told("ledger", "add", newest(ask), "--measured", str(log))
    assert ask("ledger")["plans"][0]["measured"] == 0


def test_what_cannot_be_meant_is_refused_with_the_nearest_name(ask, told):
    ask(*TRAIN)
    plan = newest(ask)
    err = told("ledger", "add", plan, "--set", "step_tim=3s,mfu=120%,step_time=3,launch=2025-01-01,cost")
    assert 'step_tim: is no quantity that is measured   did you mean "step_time"?' in err
    assert "mfu: expected a share of at most 100 %" in err
    assert "step_time: expected a time with its unit" in err
    assert "launch: is of a launch, which this plan is not" in err
    assert 'cost: expected QUANTITY=VALUE, got "cost"' in err
    assert "expected one of --measured FILE and --set" in told("ledger", "add", plan)
    assert "needs the id of a plan" in told("ledger", "show")
    assert "--by does not go with ledger list" in told("ledger", "--by", "chip")
    assert "--run is a new run" in told("ledger", "add", plan, "--set", "step=5", "--run", "x")
    assert "--since needs --run" in told("ledger", "add", plan, "--set", "step=5", "--since", "2025-01-01")
    other = "0" * 8 if plan[0] != "0" else "1" * 8
    assert f'no plan "{other}"' in told("ledger", "show", other)
    assert ask("ledger")["plans"][0]["measured"] == 0


def test_a_verb_without_a_plan_records_none_and_says_so(ask, told, path):
    ask(*TRAIN)
    assert "show is not recorded" in told("show", "chips")
    assert len(ask("ledger")["plans"]) == 1


def test_a_bad_ledger_is_refused_before_anything_is_planned(told, path):
    path.write_text("# notes\n")
    err = told("train", "no-such-model", "--on", "8xh100")
    assert "is not a sound ledger" in err and "no-such-model" not in err
    assert path.read_text() == "# notes\n"


def test_a_ledger_of_the_environment_that_fails_costs_no_answer(path, capsys, monkeypatch):
    path.write_text("# notes\n")
    monkeypatch.setenv("TONNAGE_LEDGER", str(path))
    assert run([*TRAIN]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("Llama-3.1-8B on 64 H100") and "is not a sound ledger" in err


def test_an_answer_is_not_written_over_the_ledger(ask, told, path, tmp_path):
    ask(*TRAIN)
    linked = tmp_path / "l.json"
    linked.symlink_to(path)
    for verb in (TRAIN, ("ledger",)):
        assert "write the answer to another" in told(*verb, "-o", str(linked))
    assert ledger.is_ledger(path)


def test_a_missing_ledger_is_said_and_not_made(told, path):
    assert "no such file" in told("ledger")
    assert not path.exists()


def test_training_is_anchored_on_what_the_ledger_has_of_the_chip(ask, told, capsys, path):
    before = ask(*TRAIN)
    assert "no run on h100-sxm was measured in this ledger" in told(*TRAIN, "--anchor", "ledger")
    ask("ledger", "add", newest(ask), "--set", f"step_time={before['step_time'] * 1.25}s")
    after = ask(*TRAIN, "--anchor", "ledger")
    assert after["step_time"] == pytest.approx(1.25 * before["step_time"])
    assert after["inputs"]["anchor"] == str(path), "so that it can be asked again"
    assert run([*TRAIN, "--anchor", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["step_time"] == after["step_time"]
    assert "no run on h800-sxm" in told("train", "llama-3.1-8b", "--on", "64xh800", "--anchor", "ledger")


def test_a_service_is_anchored_on_what_the_ledger_has_of_model_and_chip(ask, told):
    before = ask(*SERVE)
    assert "no service of meta-llama/Llama-3.1-8B on h100-sxm" in told(*SERVE, "--anchor", "ledger")
    ask("ledger", "add", newest(ask), "--set", f"tpot={before['tpot'] * 1.3}s")
    after = ask(*SERVE, "--anchor", "ledger")
    assert after["tpot"] == pytest.approx(1.3 * before["tpot"], rel=0.02)
    assert after["tpot_high"] / after["tpot"] < before["tpot_high"] / before["tpot"]
    batch = ("serve", "llama-3.1-8b", "--on", "8xh100", "--layout", "tp1,dp8", "--batch", "32")
    planned = ask(*batch)["tpot"]
    ask("ledger", "add", newest(ask), "--set", f"tpot={planned * 1.3}s")
    assert ask(*batch, "--anchor", "ledger")["tpot"] == pytest.approx(1.3 * planned, rel=0.02)
    other = ("serve", "qwen3-8b", "--on", "8xh100", "--layout", "tp1,dp8", "--concurrency", "256")
    assert "no service of Qwen/Qwen3-8B" in told(*other, "--anchor", "ledger")


def test_a_service_with_prefill_apart_needs_its_layout_and_load(ask, told, tmp_path):
    words = ("serve", "llama-3.1-70b", "--on", "16xh200", "--disaggregate", "--weights", "fp8")
    pinned = (*words, "--layout", "tp4", "--prefill-layout", "tp2")
    assert ask(*pinned)["mode"] == "disaggregated"
    plan = newest(ask)
    ask("ledger", "add", plan, "--set", "tpot=50ms")
    assert "no service of meta-llama/Llama-3.1-70B on h200" in told(*pinned, "--anchor", "ledger")
    side = {"tp": 4, "count": 8, "workers": 2}
    row = {"metrics": {"tpot": 0.03}, "layout": {"prefill": side, "decode": side}, "workload": {"concurrency": 64}}
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(row))
    ask("ledger", "add", plan, "--measured", str(rows))
    (found,) = ask(*pinned, "--anchor", "ledger")["anchored"]
    assert (found["chip"], found["points"]) == ("h200-sxm", 1)


def test_rerun_records_nothing(ask, path, tmp_path, capsys, monkeypatch):
    saved = tmp_path / "a.json"
    ask(*TRAIN, "-o", str(saved))
    answer = json.loads(saved.read_text())
    answer["inputs"]["tokens"] = "2T"
    saved.write_text(json.dumps(answer))
    monkeypatch.setenv("TONNAGE_LEDGER", str(path))
    assert run(["rerun", str(saved)]) == 0
    capsys.readouterr()
    assert len(ask("ledger")["plans"]) == 1


PROGRAMME = """
name: small
start: 2025-02-01
horizon: 8 months
place: US
fleet:
  - {lot: own, chip: h100-sxm, count: 64, tenure: owned, price: $2/h}
models:
  m:
    model: llama-3.1-8b
    train: {KEYstages: [{pretrain: 1T tokens}], try: [own]}
"""


@pytest.fixture
def programme(ask, tmp_path):
    """A programme of the run that is in the ledger."""
    ask(*TRAIN)
    log = tmp_path / "steps.jsonl"
    log.write_text(STEPS)
    ask("ledger", "add", newest(ask), "--measured", str(log), "--run", "pre", "--since", "2025-03-01")
    file = tmp_path / "p.yaml"
    file.write_text(PROGRAMME.replace("KEY", ""))
    return file


def test_a_launch_is_planned_again_from_a_run_under_way(programme, ask, path):
    share = 60000 * 4096 * 1024 / 1e12
    stated = [f"start=2025-03-09,models.m.train.done={share:.12g}", "models.m.train.since=2025-03-01"]
    words = ("launch", str(programme), "--draws", "40")
    sets = [part for text in [*stated, "models.m.train.interruptions=2"] for part in ("--set", text)]
    by_hand = ask(*words, *(part for text in sets for part in _one_each(text)))
    found = ask(*words, "--run", "pre")
    for key in ("launch", "start", "doubt"):
        assert found[key] == by_hand[key]
    assert found["start"] == "2025-03-09"
    assert f"models.m.train.done={share:.12g}" in found["inputs"]["set"]
    programme.write_text(PROGRAMME.replace("KEY", "under_way: {ledger: pre}, "))
    assert ask(*words)["launch"] == found["launch"]
    assert ask(*words, "--run", "m=pre")["launch"] == found["launch"]
    several = ask(*words, "--sweep", "fleet.own.count=64,32")["launches"]
    assert several[0]["launch"] == found["launch"] != several[1]["launch"]


def _one_each(text: str) -> tuple[str, ...]:
    """`a=1,b=2` as two words with the flag between them."""
    return (text,) if "," not in text else tuple(" --set ".join(text.split(",")).split(" "))


def test_more_that_is_measured_moves_the_launch_week_by_week(programme, ask):
    words = ("launch", str(programme), "--draws", "40", "--run", "pre")
    first = ask(*words)
    ask("ledger", "add", newest_of(ask, "train"), "--set", "step=61000", "--run", "pre", "--at", "2025-03-16")
    later = ask(*words)
    assert later["start"] == "2025-03-16"
    assert later["launch"]["p50"] > first["launch"]["p50"], "a week with a sixtieth of the work of the one before"


def newest_of(ask, verb: str) -> str:
    return next(plan["id"] for plan in ask("ledger")["plans"] if plan["of"] == verb)


def test_a_run_that_says_too_little_is_refused(programme, ask, told, tmp_path):
    words = ("launch", str(programme), "--draws", "40")
    assert 'no run "pree"' in told(*words, "--run", "pree")
    assert 'no model "x" is trained' in told(*words, "--run", "x=pre")
    plan = newest_of(ask, "train")
    ask("ledger", "add", plan, "--set", "step_time=8s", "--run", "bare", "--since", "2025-03-01")
    assert 'nothing says how far "bare" is' in told(*words, "--run", "bare")
    ask("ledger", "add", plan, "--set", "done=1%", "--run", "new", "--since", "2025-03-01", "--at", "2025-03-01")
    assert "a pace needs a later day" in told(*words, "--run", "new")


def test_a_programme_of_a_run_needs_its_ledger(programme, capsys):
    programme.write_text(PROGRAMME.replace("KEY", "under_way: {ledger: pre, of: x}, "))
    assert run(["launch", str(programme), "--draws", "40"]) == 2
    err = capsys.readouterr().err
    assert "models.m.train.under_way: is in a ledger, and none was read" in err
    assert "models.m.train.under_way.of: unknown key" in err


def test_nothing_is_wider_than_the_terminal(programme, ask, path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    for words in (("ledger",), ("ledger", "show", newest_of(ask, "train")), ("ledger", "errors", "--by", "engine")):
        assert run([*words, "--ledger", str(path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 60
