"""examples/r2-mini in short: its steps, its gate, a launch before engines' doubles, the report that is committed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from house import House

from r2mini import __main__ as program
from r2mini import clients, commands, fronts, launching, report, results, training
from r2mini.clients import Asked, Reply
from r2mini.judge import by_chance, verdict
from tonnage.cli import run


def test_r2_is_launched_only_where_it_is_surely_better() -> None:
    before = [True] * 200 + [False] * 200
    better = verdict(before, [True] * 230 + [False] * 170)
    assert better.passes and (better.only_before, better.only_after) == (0, 30) and better.chance == 2.0**-30
    same = verdict(before, [False] * 20 + [True] * 200 + [False] * 180)
    assert not same.passes and same.text.startswith("the launch waits: R2 is not surely better")
    few = verdict([False] * 399, [True] * 399)
    assert not few.passes and few.text.startswith("the launch waits: 399 tasks are fewer than 400")
    with pytest.raises(ValueError, match="2 answers of one, 1 of the other"):
        verdict([True, True], [True])


def test_by_chance_is_the_tail_of_a_fair_coin() -> None:
    assert by_chance(0, 0) == 1 and by_chance(2, 2) == 0.25 and by_chance(2, 3) == 0.5


def test_a_command_is_killed_where_it_is_asked_and_a_step_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = (
        "import json, time\n"
        'for s in range(9): print(json.dumps({"event": "step", "step": s}), flush=True)\n'
        "time.sleep(60)"
    )
    monkeypatch.setattr(commands, "TONNAGE", (sys.executable, "-c", talk))
    spent, last = commands.run("killed", [], tmp_path / "log", lambda event: event["step"] == 5)
    assert spent.code == -9 and last["step"] == 5 and spent.cpu > 0
    calls: list[int] = []
    for _ in range(2):
        assert commands.kept(tmp_path / "a" / "b.json", lambda: {"n": calls.append(1) or len(calls)}) == {"n": 1}


def test_r2_is_killed_resumed_moved_and_changed_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[list[str]] = []

    def run(name, words, log, seen=lambda event: False):
        done.append(words)
        killed = seen({"event": "step", "step": training.kill_at(0), "of": 540, "loss": 1.0, "seconds": 1.0})
        until = int(words[words.index("--until") + 1]) if "--until" in words else 540
        (folder / "checkpoints" / f"step-{150 if killed else until:08d}").mkdir(parents=True, exist_ok=True)
        return commands.Spent(name, 1.0, 1.0, 0.0, 0.0, -9 if killed and name == "begun, killed" else 0), {}

    folder = tmp_path / "r2"
    monkeypatch.setattr(training, "run", run)
    spent = training.carried_out(Path("r2.yaml"), folder, 0, ("--ledger", "x"))
    assert [one.code for one in spent] == [-9, 0, 0, 0, 0, 0]
    assert [words[words.index("--nproc") + 1] for words in done[1:]] == ["1", "2", "1", "1", "1"]
    assert [words[words.index("--precision") + 1] for words in done[1:]] == ["fp32", "fp32", "fp32", "bf16", "fp32"]
    assert all(words[-2:] == ["--ledger", "x"] for words in done[1:]) and "--seed" in done[0]
    done.clear()
    training.carried_out(Path("r2.yaml"), folder, 0, ())
    assert len(done) == 1 and "--until" not in done[0]
    assert all(training.KILLED[0] <= training.kill_at(seed) <= training.KILLED[1] for seed in range(100))


def test_a_time_over_clients_is_the_line_through_what_was_measured() -> None:
    assert launching.law({1: 3.0, 4: 6.0, 12: 14.0})(8) == pytest.approx(10.0)


@pytest.fixture
def doubles(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """Engines that answer at once, and a launch of seconds."""
    made = {name: house.double(name) for name in ("r1", "r2")}
    for one in made.values():
        one.control(pieces=3)
    monkeypatch.setattr(
        fronts,
        "engines",
        lambda checkpoints: {
            "models": {n: {"releases": {n: {"replicas": [{"url": made[n].url}]}}} for n in checkpoints}
        },
    )
    monkeypatch.setattr(fronts, "HOLD", 0.5)
    monkeypatch.setattr(launching, "CALIBRATED", {1: 5, 4: 10})
    monkeypatch.setattr(launching, "WARM", {2: 4})
    monkeypatch.setattr(launching, "MEASURED", 20)
    monkeypatch.setattr(launching, "QUICKEST", 0.4)
    monkeypatch.setattr(launching, "unseen", lambda run, count: [Asked("1+1", "2")] * count)
    return house


def launch_of_doubles(folder: Path) -> dict[str, Any]:
    with launching.R1(folder / "served", folder) as r1:
        known = r1.known()
        assert set(known["calibrated"]) == {"1", "4"} and known["right"] == [False] * 400 and known["cpu"] > 0
        assert known["length"] == 3
        return launching.launched(folder / "launch", r1, known, folder, ("--ledger", str(folder / "kept.sqlite")))


def test_a_launch_waits_before_anything_of_r2_is_offered(doubles: House, tmp_path: Path) -> None:
    found = launch_of_doubles(tmp_path)
    assert not found["verdict"]["passes"] and "not surely better" in found["verdict"]["text"]
    assert "canary" not in found and "bad" not in found and set(found["predicted"]) == {"ttft", "tpot"}


def test_a_bad_release_goes_back_and_a_good_one_is_launched_without_a_failed_request(
    doubles: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launching, "verdict", lambda r1, r2: verdict([False] * 400, [True] * 400))
    found = launch_of_doubles(tmp_path)
    assert found["bad"]["state"] == "returned" and found["bad"]["failed"] == 0 and found["bad"]["hidden"] >= 3
    assert found["bad"]["took"] < 10 and found["bad"]["seen"][-1][1] == 0
    assert found["canary"]["state"] == "launched" and found["canary"]["failed"] == 0
    assert found["canary"]["seen"][-1][1] == 1 and found["drained"] and found["by"] == {"r2": 20}
    assert 0 < found["per_token"]["measured"] < 1 and 0 < found["per_token"]["predicted"] < 1
    capsys.readouterr()
    assert run(["ledger", "list", "--ledger", str(tmp_path / "kept.sqlite")]) == 0
    assert "run serve" in capsys.readouterr().out


def test_time_per_token_does_not_need_gaps_between_chunks() -> None:
    """Answers that come whole, each of 0.1 s and 0.01 s a token: gaps say 0, tokens over time what it is."""
    replies = [Reply(0.0, ttft=0.1 + 0.01 * n, tokens=n, latency=0.1 + 0.01 * n) for n in (10, 20, 30)]
    replies.append(Reply(0.0, "HTTP 500"))
    assert clients.lengths(replies) == 20 and clients.per_token(replies) == pytest.approx(0.3 / 20)
    assert clients.per_token_at(replies, 40) == pytest.approx(0.5 / 40)
    falling = [Reply(0.0, tokens=n, latency=0.2 - 0.001 * n) for n in (10, 20)]
    assert clients.per_token_at(falling, 15) == pytest.approx(0.185 / 15)


def test_a_step_of_grpo_is_judged_by_the_prediction_from_its_warm_up() -> None:
    legs = [
        (
            "1 process, fp32",
            [
                {"event": "predicted", "stage": "grpo", "step_time": 2.0, "step_cpu_time": 2.0},
                *({"event": "step", "stage": "grpo", "seconds": 3.0, "cpu_seconds": 3.0} for _ in range(2)),
                {"event": "predicted again", "stage": "grpo", "step_time": 1.1, "step_cpu_time": 1.1},
                *({"event": "step", "stage": "grpo", "seconds": 1.0, "cpu_seconds": 1.0} for _ in range(3)),
            ],
        )
    ]
    (row,) = results.times(legs)
    assert (row["predicted"], row["again"], row["warm"], row["after"], row["steps"]) == (2.0, 1.1, 2, 1.0, 5)
    ahead, again = results._of_grpo(row)
    assert not ahead["barred"] and ahead["error"] == 1.0
    assert again["barred"] and again["error"] == pytest.approx(0.1)


COMMITTED = Path(__file__).parents[3] / "examples" / "r2-mini"


def test_the_report_is_the_one_of_its_results() -> None:
    found = json.loads((COMMITTED / "results.json").read_text("utf-8"))
    for name, text in report.drawn(found).items():
        assert (COMMITTED / name).read_text("utf-8") == text, f"{name}: `make r2-mini` writes it"


def test_the_results_keep_their_bars_or_say_that_they_do_not() -> None:
    found = json.loads((COMMITTED / "results.json").read_text("utf-8"))
    text = (COMMITTED / "report.md").read_text("utf-8")
    for one in found["seeds"].values():
        gain = one["evaluated"]["grpo"]["sampled"] - one["evaluated"]["pretrain"]["sampled"]
        assert gain >= results.GAIN and one["evaluated"]["grpo"]["n"] >= 400
        missed = [row for row in one["predictions"] if row["barred"] and abs(row["error"]) > results.BAR]
        assert not missed or "**missed**" in text


def test_a_launch_that_waits_ends_the_command_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads((COMMITTED / "results.json").read_text("utf-8"))
    seed, one = next(iter(found["seeds"].items()))
    for key in ("bad", "canary", "measured"):
        one.pop(key, None)
    one["verdict"] = verdict([True] * 400, [True] * 400).to_json()
    one["predictions"] = results.predictions(one, found["r1"])
    monkeypatch.setattr(program, "carry_out", lambda *args: None)
    monkeypatch.setattr(results, "gathered", lambda folder, seeds: {**found, "seeds": {seed: one}})
    with pytest.raises(SystemExit, match=f"the launch waits .seed {seed}.: R2 is not surely better"):
        program.main([str(tmp_path), "--report", str(tmp_path)])
    assert "the launch waits" in (tmp_path / "report.md").read_text("utf-8")
    assert not (tmp_path / "canary.svg").exists()


def test_a_time_over_clients_is_never_less_than_nothing_nor_shorter_with_more() -> None:
    assert launching.law({1: 1.0, 4: 4.0, 12: 12.0})(8) == pytest.approx(8.0)
    assert launching.law({1: 3.0, 4: 2.0, 12: 1.0})(8) > 0
    assert launching.law({1: 0.1, 4: 4.0, 12: 30.0})(8) > 0
