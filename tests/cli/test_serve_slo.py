"""`tonnage serve --slo`: the plan that is answered was simulated, and keeps what was asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tonnage.cli import run

ASKED = ["serve", "llama-3.1-8b", "--on", "1xh100-sxm", "--isl", "2k", "--osl", "300", "--engine", "vllm"]


def answered(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object], str]:
    capsys.readouterr()
    code = run([*ASKED, *words, "--json"])
    told = capsys.readouterr()
    return code, json.loads(told.out) if told.out else {}, told.err


def test_a_plan_that_breaks_its_limits_in_simulation_is_planned_again(capsys: pytest.CaptureFixture[str]) -> None:
    limits = "ttft p95 300ms, tpot p99 12ms, e2e p99 4s"
    code, body, _ = answered(capsys, "--slo", limits)
    made = body["simulated"]
    assert code == 0 and made["kept"] and made["plans"] > 1
    assert all(one["reached"] <= one["limit"] for one in made["limits"])
    assert made["limits"][1]["planned"] < 0.012
    steady, plain, _ = answered(capsys, "--ttft-p95", "300ms", "--tpot-p99", "12ms")
    assert steady == 0 and plain["requests_per_second"] > body["requests_per_second"] == made["rate"]


def test_where_nothing_keeps_them_the_answer_is_no(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    code, body, _ = answered(capsys, "--slo", "e2e p99 1s", "-o", str(path))
    assert code == 1 and body["binds"][0]["text"].startswith("e2e p99 is") and not body["simulated"]["kept"]
    capsys.readouterr()
    assert run(["rerun", str(path)]) == 1  # the same answer, which is no
    assert capsys.readouterr().out.startswith("The answer is the same.")
    assert run([*ASKED, "--slo", "e2e p99 1s"]) == 1
    assert "in a simulation of the plan, over 1 s." in capsys.readouterr().out


def test_every_problem_of_the_limits_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = answered(capsys, "--slo", "ttft p96 1s, tpot p95 40ms", "--tpot-p95", "50ms")
    assert code == 2
    assert "--slo ttft p96 is not planned for; p90, p95, p99 and mean are" in err
    assert "--slo tpot p95 is limited by --tpot-p95 as well" in err
    code, _, err = answered(capsys, "--slo", "ttft 1s")
    assert code == 2 and '--slo expected such as "ttft p95 2s", got "ttft 1s"' in err
