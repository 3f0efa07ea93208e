"""`tonnage simulate`: words, JSON, files, refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tonnage.cli import run


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    words = "serve llama-3.1-8b --on 1xh100-sxm --isl 1k --osl 100 --engine vllm --rate 5/s -q -o"
    assert run([*words.split(), str(path)]) == 0
    return str(path)


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(["simulate", *words])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_keys_of_the_interface(plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = asked(capsys, plan, "--rate", "5/s", "--requests", "300", "--slo", "ttft p95 2s", "--json")
    body = json.loads(out)
    assert code == 0 and body["outcome"] == "feasible" and body["requests"] == 300
    for name in ("ttft", "tpot", "e2e", "queueing"):
        assert list(body[name]) == ["p50", "p90", "p95", "p99", "mean"]
        assert 0 < body[name]["p50"] <= body[name]["p99"]
    assert {
        "duration",
        "goodput",
        "output_tokens_per_second",
        "steps",
        "preemptions",
        "hit_rate",
        "cost",
    } <= body.keys()
    again = asked(capsys, plan, "--rate", "5/s", "--requests", "300", "--slo", "ttft p95 2s", "--json")[1]
    assert again == out
    other = asked(capsys, plan, "--rate", "5/s", "--requests", "300", "--slo", "ttft p95 2s", "--json", "--seed", "1")[
        1
    ]
    assert json.loads(other)["ttft"] != body["ttft"]


def test_the_answer_comes_first_and_limits_that_break_are_named(plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = asked(capsys, plan, "--rate", "5/s", "--requests", "200", "--slo", "ttft p95 2s")
    assert code == 0 and out.startswith("Yes: 200 requests in")
    code, out, _ = asked(capsys, plan, "--rate", "5/s", "--requests", "200", "--slo", "tpot p95 1ms")
    assert code == 1 and out.startswith("No: tpot p95 is") and "over the limit of 1 ms" in out


def test_a_trace_each_request_and_a_picture(plan: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "azure.csv"
    lines = [f"2023-11-16 18:15:{i % 60:02}.5,{100 + i},{10 + i}" for i in range(60)]
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(lines))
    rows, picture = tmp_path / "rows.csv", tmp_path / "run.svg"
    code, out, _ = asked(capsys, plan, "--trace", str(trace), "--requests", str(rows), "-o", str(picture))
    assert code == 0 and "azure.csv (Azure trace)" in out
    with rows.open(newline="") as file:
        read = list(csv.DictReader(file))
    assert len(read) == 60 and all(
        float(row["finish"]) > float(row["first_token"]) > float(row["arrival"]) for row in read
    )
    assert picture.read_text().startswith("<svg") and "polyline" in picture.read_text()
    code, out, _ = asked(capsys, plan, "--fit-trace", str(trace), "--requests", "100")
    assert code == 0 and "like azure.csv" in out


def test_a_rate_and_replicas_are_found(plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    limits = ("--slo", "ttft p95 1s, tpot p95 20ms", "--requests", "300", "--json")
    code, out, _ = asked(capsys, plan, "--find-rate", *limits)
    rate = json.loads(out)["found"]
    assert code == 0 and 5 < rate < 100
    code, out, _ = asked(capsys, plan, "--rate", f"{3 * rate}/s", "--replicas", "auto", *limits)
    body = json.loads(out)
    assert code == 0 and 2 <= body["found"] <= 4 and body["replicas"] == body["found"]
    code, out, _ = asked(capsys, plan, "--find-rate", "--slo", "tpot p95 0.1ms", "--requests", "50", "--json")
    assert code == 1 and json.loads(out)["binds"][0]["what"] == "slo"


def test_a_service_in_yaml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "service.yaml"
    path.write_text("model: llama-3.1-8b\non: 1xh100-sxm\nisl: 1k\nosl: 100\nengine: vllm\nrate: 5/s\n")
    code, out, _ = asked(capsys, str(path), "--arrivals", "closed", "--clients", "4", "--requests", "40")
    assert code == 0 and "4 clients in a closed loop" in out
    path.write_text("model: llama-3.1-8b\nonn: 1xh100-sxm\n")
    code, _, err = asked(capsys, str(path), "--rate", "5/s")
    assert code == 2 and 'did you mean "on"' in err and "on: is missing" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--rate say how requests come"),
        (["--rate", "5/s", "--order", "fcs"], 'did you mean "fcfs"'),
        (["--rate", "5/s", "--routing", "random"], "--routing"),
        (["--rate", "5/s", "--slo", "ttft p95"], 'expected such as "ttft p95 2s"'),
        (["--rate", "5/s", "--replicas", "auto"], "needs limits"),
        (["--find-rate"], "needs limits"),
        (["--rate", "-5/s"], "--rate"),
        (["--rate", "5/s", "--requests", "0"], "--requests"),
        (["--rate", "5/s", "--outage", "x"], "3@10s-60s"),
        (["--rate", "5/s", "--outage", "7@1s"], "outages"),
        (["--rate", "5/s", "--autoscale", "loading=5s"], "target=32"),
        (["--arrivals", "closed"], "--clients"),
        (["--trace", "absent.csv"], "absent.csv"),
        (["--rate", "5/s", "--isl-spread", "normal"], "--isl-spread"),
        (["--rate", "5/s", "--requests-out", "a.xml"], ".parquet"),
        (["--rate", "5/s", "--clients", "4"], "--clients is of a closed loop (--arrivals closed)"),
        (["--rate", "5/s", "--cv", "4"], "--cv is of gamma arrivals"),
        (["--rate", "5/s", "--swing", "0.4"], "--swing is of a day"),
        (["--rate", "5/s", "--think", "4s"], "--think is of sessions (--turns) or of a closed loop"),
        (["--rate", "5/s", "--due", "4s"], "--due is of the order of least time left (--order slo)"),
        (["--rate", "5/s", "--order", "priority"], "such as --priorities 10%,90%"),
        (["--rate", "5/s", "--order", "priority", "--priorities", "10%,80%"], "shares that add up to 100 %"),
        (["--rate", "5/s", "--priorities", "10%,90%"], "take --order priority or slo"),
        (["--trace", "absent.csv", "--isl", "4k"], "--isl is what --trace says itself"),
        (["--trace", "absent.csv", "--arrivals", "gamma"], "--arrivals a trace says when its requests come"),
        (["--fit-trace", "absent.csv", "--turns", "4"], "--turns is what --fit-trace says itself"),
    ],
)
def test_what_is_wrong_is_said(plan: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = asked(capsys, plan, *words)
    assert code == 2 and out == "" and said in err, err


def test_other_answers_are_no_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fit.json"
    assert run(["fit", "llama-3.1-8b", "--on", "1xh100-sxm", "-q", "-o", str(path)]) == 0
    code, _, err = asked(capsys, str(path), "--rate", "5/s")
    assert code == 2 and 'an answer of "fit"' in err


def test_an_interrupt_gives_what_was_simulated(
    plan: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tonnage.cli import simulate as verb

    monkeypatch.setattr(verb.Stopped, "was", True)
    code, out, _ = asked(capsys, plan, "--rate", "5/s", "--requests", "9000", "--json")
    body = json.loads(out)
    assert code == 130 and body["partial"] and 0 < body["requests"] < 9000
    assert body["unfinished"] == 9000 - body["requests"]


def test_two_models_share_the_replicas(plan: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = str(tmp_path / "other.json")
    words = "serve qwen3-8b --on 1xh100-sxm --isl 500 --osl 50 --engine vllm --rate 1/s -q -o"
    assert run([*words.split(), other]) == 0
    beside = [
        "--beside",
        f"{other}@1/s",
        "--switch",
        "5s",
        "--slo",
        "ttft p95 1s",
        "--requests",
        "400",
        "--rate",
        "5/s",
    ]
    code, out, _ = asked(capsys, plan, *beside, "--replicas", "1", "--json")
    one = json.loads(out)
    assert code == 1 and [part["requests"] for part in one["models"]] == [400, 81]
    assert one["binds"][0]["text"].startswith("ttft p95 of ")
    code, out, _ = asked(capsys, plan, *beside, "--replicas", "2", "--json")
    two = json.loads(out)
    assert code == 0 and all(part["ttft"]["p95"] < 1 for part in two["models"])
    assert two["models"][1]["tpot"]["mean"] != two["models"][0]["tpot"]["mean"]
    code, out, _ = asked(capsys, plan, *beside, "--replicas", "auto")
    assert code == 0 and out.startswith("2 replicas keep the limits") and "models on the same replicas" in out
    wide = str(tmp_path / "wide.json")
    words = "serve qwen3-8b --on 2xh100-sxm --layout tp2,pp1 --engine vllm --rate 1/s -q -o"
    assert run([*words.split(), wide]) == 0
    code, _, err = asked(capsys, plan, "--beside", f"{wide}@1/s", "--switch", "5s", "--rate", "5/s")
    assert code == 2 and "a replica is of 2 accelerators, that of the first plan of 1" in err


def test_what_the_cache_has_no_room_for_comes_back_from_the_host(plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    talk = [
        "--rate",
        "0.5/s",
        "--turns",
        "6",
        "--think",
        "20s",
        "--isl",
        "6k",
        "--requests",
        "600",
        "--blocks",
        "2500",
        "--json",
    ]
    found = [
        json.loads(asked(capsys, plan, *talk, *more)[1])
        for more in ([], ["--host-cache", "20GB@40GB/s"], ["--host-cache", "20GB@40GB/s", "--disk-cache", "1TB@5GB/s"])
    ]
    hits = [one["hit_rate"] for one in found]
    assert hits[0] < 0.8 * hits[1] and hits[1] <= hits[2]
    assert found[0]["ttft"]["mean"] > found[1]["ttft"]["mean"]
    slow = json.loads(asked(capsys, plan, *talk, "--host-cache", "20GB@3GB/s")[1])
    assert slow["hit_rate"] > hits[0] and slow["ttft"]["mean"] > found[1]["ttft"]["mean"]


def test_words_of_pools_that_are_shared_belong_together(plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = asked(
        capsys, plan, "--rate", "1/s", "--beside", "x.json", "--host-cache", "4", "--disk-cache", "1GB@0"
    )
    assert code == 2 and err.count("\n  --") == 4
    assert "--beside say how long a replica takes to load another model, such as --switch 60s" in err
    assert '--beside expected a plan and its rate, such as r2.json@3/s, got "x.json"' in err
    code, _, err = asked(capsys, plan, "--rate", "1/s", "--switch", "5s")
    assert code == 2 and "--switch is of models that share the replicas" in err


def test_an_answer_is_asked_again(plan: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved, table = tmp_path / "run.json", tmp_path / "each.csv"
    words = [plan, "--rate", "5/s", "--requests", "200", "--outage", "0@10s-12s", "--requests-out", str(table)]
    assert asked(capsys, *words, "-o", str(saved))[0] == 0
    table.unlink()
    assert run(["rerun", str(saved)]) == 0
    assert capsys.readouterr().out.startswith("The answer is the same.") and not table.exists()
    body = json.loads(saved.read_text())
    body["inputs"]["requests_out"] = str(table)
    saved.write_text(json.dumps(body))
    assert run(["rerun", str(saved)]) == 2 and not table.exists()
    assert "inputs.requests_out: is not among what simulate is asked" in capsys.readouterr().err


def test_those_of_the_first_priority_wait_least(plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--rate", "60/s", "--requests", "400", "--running", "8", "--order", "priority", "--priorities", "10%,90%"]
    code, out, _ = asked(capsys, plan, *words, "--json")
    first, second = json.loads(out)["priorities"]
    assert code == 0 and first["requests"] + second["requests"] == 400 and 20 < first["requests"] < 60
    assert first["ttft"]["mean"] < 0.2 * second["ttft"]["mean"]
    assert "by priority" in asked(capsys, plan, *words)[1]


def test_clients_have_one_session_at_a_time(plan: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "each.csv"
    words = ["--arrivals", "closed", "--clients", "3", "--turns", "4", "--requests", "48", "--requests-out", str(table)]
    assert asked(capsys, plan, *words)[0] == 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    moments = [(float(row["arrival"]), 1) for row in rows] + [(float(row["finish"]), -1) for row in rows]
    flying = most = 0
    for _, change in sorted(moments, key=lambda one: (one[0], one[1])):
        flying += change
        most = max(most, flying)
    assert len(rows) == 48 and most == 3 and sum(float(row["arrival"]) == 0 for row in rows) == 3


def test_a_day_is_drawn_whole_and_less_of_it_is_said(plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = asked(capsys, plan, "--rate", "0.005/s", "--arrivals", "day", "--json")
    body = json.loads(out)
    assert code == 0 and body["requests"] == 432 and 0.9 < body["duration"] / 86400 < 1.15 and not body["notes"]
    assert "of the day of 24 h" in asked(capsys, plan, "--rate", "5/s", "--arrivals", "day", "--requests", "90")[1]


def test_a_step_has_a_token_of_each_sequence(plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = asked(capsys, plan, "--rate", "5/s", "--requests", "50", "--chunk", "64", "--running", "128")[1]
    assert "128 new tokens a step instead of 64: each of 128 sequences has one" in " ".join(out.split())


def test_replicas_by_load_are_told_on_average(plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--rate", "5/s", "--requests", "200", "--replicas", "3", "--autoscale", "target=4,loading=1s,every=1s"]
    out = asked(capsys, plan, *words)[1]
    assert "on up to 3 replicas" in out and "at a time on average, of 3" in out
