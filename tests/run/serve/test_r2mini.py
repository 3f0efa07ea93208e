"""examples/r2-mini in short: its steps, its gate, a launch before engines' doubles, the report that is committed."""

from __future__ import annotations

import functools
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from house import House

from r2mini import __main__ as program
from r2mini import clients, commands, fronts, judge, launching, report, results, training
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
    lead = verdict([True] * 48 + [False] * 352, [False] * 48 + [True] * 74 + [False] * 278)
    assert lead.undecided and lead.surely == 0.0025 and lead.text.startswith("undecided: R2 is not surely better")
    last = verdict(([True] * 48 + [False] * 352) * 4, ([False] * 48 + [True] * 60 + [False] * 292) * 4)
    assert not last.passes and not last.undecided and last.surely == 0.005
    with pytest.raises(ValueError, match="2 answers of one, 1 of the other"):
        verdict([True, True], [True])


def test_more_is_asked_only_while_r2_leads_and_chance_may_be_why() -> None:
    """(R1 alone, R2 alone) of each 400: a clear lead is decided at once, none at once, a small one later."""
    for each, looks, passes in (((30, 90), 1, True), ((60, 60), 1, False), ((48, 74), 2, True), ((52, 62), 3, False)):
        asked: list[int] = []

        def right(count: int, ours: bool, each=each, asked=asked) -> list[bool]:
            asked.append(count)
            lost, won = each
            row = [not ours] * lost + [ours] * won + [True] * (400 - lost - won)
            return (row * 4)[:count]

        found = judge.examined(lambda n: right(n, False), lambda n: right(n, True), lambda text: None)
        assert (found.passes, asked[::2]) == (passes, list(judge.LOOKS)[:looks]) and asked[::2] == asked[1::2]
        assert not found.undecided and found.n == asked[-1]


@functools.cache
def fewest_won(of: int, surely: float) -> int:
    k, ways = of + 1, 0
    while k > 0 and (ways := ways + math.comb(of, k - 1)) < surely * 2.0**of:
        k -= 1
    assert by_chance(k, of) < surely <= by_chance(k - 1, of)
    return k


def launches(lead: float, alone: float, runs: int = 4_000) -> tuple[float, float]:
    """(Share of runs that end in a launch, mean questions) where R2 leads by so much; alone: right by one of both."""
    random, won, lost = np.random.default_rng(0), np.zeros(runs, int), np.zeros(runs, int)
    going, passed, asked, before = np.ones(runs, bool), np.zeros(runs, bool), 0.0, 0
    for look, surely in judge.LOOKS.items():
        shares = [(alone + lead) / 2, (alone - lead) / 2, 1 - alone]
        drawn = random.multinomial(look - before, shares, runs)
        won, lost, asked, before = won + drawn[:, 0], lost + drawn[:, 1], asked + going.mean() * (look - before), look
        good = going & (won >= np.array([fewest_won(int(of), surely) for of in won + lost]))
        passed, going = passed | good, going & ~good & (won > lost)
    return float(passed.mean()), float(asked)


def test_the_gate_errs_in_one_case_of_a_hundred_at_most_and_finds_what_there_is() -> None:
    """Simulated: no better, worse, and leads of 4, 6 and 15 points."""
    for alone in (0.1, 0.3, 0.5):
        assert launches(0.0, alone)[0] <= judge.SURELY + 2 * (judge.SURELY / 4_000) ** 0.5
    assert launches(-0.05, 0.3)[0] == 0
    (small, _), (seen, asked), (large, few) = (launches(lead, 0.3) for lead in (0.04, 0.065, 0.15))
    assert 0.5 < small < 0.75 and seen > 0.95 and asked < 1_000 and large > 0.99 and few < 420


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


def test_what_is_predicted_of_r2_has_its_mechanism() -> None:
    """A token's CPU time: its own, 1 ms, and its part of what a step costs whatever its batch, 6 ms. A canary's step
    lasts as long as its answers take: 20 of every tenth at 8 / 0.8 s, 20 s; of every second, its 4 s.
    """
    point = {"ttft": 0.1, "tpot": 0.01, "latency": 0.8}
    points = {str(n): {**point, "cpu": 0.001 + 0.006 / n} for n in (1, 4, 12)}
    assert launching.predicted(points)["cpu"] == pytest.approx(0.001 + 0.006 / 8)
    assert launching.canary_ahead(points) == pytest.approx(20.0 + 4.0 + 4.0)


def test_a_comparison_by_the_clock_says_its_own_doubt() -> None:
    def turn(r1: float, r2: float, cpu: tuple[float, float] = (0.2, 0.4)) -> dict[str, tuple[list[Reply], float]]:
        rows = {"r1": (r1, cpu[0]), "r2": (r2, cpu[1])}
        return {n: ([Reply(0.0, tokens=20, latency=20 * pace)] * 5, cost) for n, (pace, cost) in rows.items()}

    same = launching.by_clock([turn(0.01, 0.01)] * 4, 20)
    assert same["doubt"] == 0 and same["predicted"] == pytest.approx(same["measured"])
    noisy = launching.by_clock([turn(0.01, 0.02), turn(0.02, 0.01), turn(0.01, 0.02), turn(0.02, 0.01)], 20)
    assert noisy["doubt"] == pytest.approx(math.log(2) * 2 / 3**0.5 / 2)
    cpu = launching.on_the_processor([turn(0.01, 0.02), turn(0.02, 0.01)])
    assert cpu == pytest.approx({"predicted": 0.002, "measured": 0.004})
    row = {"barred": True, "error": -0.3}
    assert results.held_to(row) and results.held_to({**row, "doubt": 0.05})
    assert not results.held_to({**row, "doubt": 0.1}) and not results.held_to({**row, "barred": False})


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
    monkeypatch.setattr(launching, "TURNS", 4)
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
    assert (
        "canary" not in found and "bad" not in found and set(found["predicted"]) == {"ttft", "tpot", "latency", "cpu"}
    )


def test_a_bad_release_goes_back_and_a_good_one_is_launched_without_a_failed_request(
    doubles: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(judge, "verdict", lambda r1, r2: verdict([False] * 400, [True] * 400))
    found = launch_of_doubles(tmp_path)
    assert found["bad"]["state"] == "returned" and found["bad"]["failed"] == 0 and found["bad"]["hidden"] >= 3
    assert found["bad"]["took"] < 10 and found["bad"]["seen"][-1][1] == 0
    assert found["canary"]["state"] == "launched" and found["canary"]["failed"] == 0
    assert found["canary"]["seen"][-1][1] == 1 and found["drained"] and found["by"] == {"r2": 20}
    for name in ("per_token", "token_cpu"):
        assert 0 < found[name]["measured"] < 1 and 0 < found[name]["predicted"] < 1
    assert found["per_token"]["doubt"] > 0 and found["canary_ahead"] >= 3 * fronts.HOLD and found["cpu"] > 0
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
    assert found["cpu"] <= results.WHOLE
    for one in found["seeds"].values():
        gain = one["evaluated"]["grpo"]["sampled"] - one["evaluated"]["pretrain"]["sampled"]
        assert gain >= results.GAIN and one["evaluated"]["grpo"]["n"] >= 400
        missed = [row for row in one["predictions"] if results.held_to(row) and abs(row["error"]) > results.BAR]
        assert not missed or "**missed**" in text


def test_a_launch_that_waits_is_an_outcome_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads((COMMITTED / "results.json").read_text("utf-8"))
    seed, one = next(iter(found["seeds"].items()))
    for key in ("bad", "canary", "measured"):
        one.pop(key, None)
    one["verdict"] = verdict([True] * 400, [True] * 400).to_json()
    one["predictions"] = results.predictions(one, found["r1"])
    monkeypatch.setattr(program, "carry_out", lambda *args: None)
    monkeypatch.setattr(results, "gathered", lambda folder, seeds: {**found, "seeds": {seed: one}})
    program.main([str(tmp_path), "--report", str(tmp_path)])
    assert f"seed {seed}: the launch waits: R2 is not surely better (R1 100.0%, R2 100.0%" in capsys.readouterr().out
    assert "the launch waits" in (tmp_path / "report.md").read_text("utf-8")
    assert not (tmp_path / "canary.svg").exists()


def test_a_time_over_clients_is_never_less_than_nothing_nor_shorter_with_more() -> None:
    assert launching.law({1: 1.0, 4: 4.0, 12: 12.0})(8) == pytest.approx(8.0)
    assert launching.law({1: 3.0, 4: 2.0, 12: 1.0})(8) > 0
    assert launching.law({1: 0.0, 4: 4.0, 12: 12.0})(8) == pytest.approx(8.0)
    assert launching.law({1: 0.0, 4: 2.0})(8) == 2.0 and launching.law({1: 0.0})(8) == 0
    assert launching.law({1: 0.1, 4: 4.0, 12: 30.0})(8) > 0
