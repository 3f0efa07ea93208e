"""Measurements that users bring: the files of benchmarks, CSV, several fleets, and every problem at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tonnage.cli import run
from tonnage.errors import InputError
from tonnage.serve import complete, read_measured

VLLM = {
    "date": "20260101-000000",
    "model_id": "/models/llama",
    "request_rate": "inf",
    "max_concurrency": 32,
    "completed": 200,
    "total_input_tokens": 204_800,
    "total_output_tokens": 102_400,
    "request_throughput": 3.3,
    "output_throughput": 3413.0,
    "mean_ttft_ms": 80.0,
    "mean_tpot_ms": 20.0,
    "mean_itl_ms": 20.5,
}
"""Keys of `vllm bench serve --save-result` (docs.vllm.ai, api/vllm/benchmarks/serve), figures made up."""

PLAIN = ["serve", "meta-llama/Llama-3.1-8B", "--isl", "1024", "--osl", "512", "--json"]
ASKED = [*PLAIN, "--engine", "vllm"]


def kept(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert run([*(PLAIN if "--engine" in words else ASKED), *words]) == 0, capsys.readouterr().err
    body = json.loads(capsys.readouterr().out)
    return dict(body.get("result", body))


def test_vllms_result_is_read_in_base_units(tmp_path: Path) -> None:
    ((place, row),) = read_measured(kept(tmp_path, "v.json", json.dumps(VLLM)))
    assert place.endswith("v.json")
    assert row["workload"] == {
        "input_len": 1024.0,
        "output_len": 512.0,
        "arrival": "closed-loop",
        "concurrency": 32.0,
    }
    assert row["metrics"] == {"tpot": 0.020, "ttft": 0.080}
    whole = complete(row, {"count": 4, "workload": {"input_len": 9.0, "cache_hit": 0.5}, "engine": None})
    assert whole["metrics"]["output_tokens_per_second_per_accelerator"] == 3413.0 / 4
    assert whole["workload"]["input_len"] == 1024.0 and whole["workload"]["cache_hit"] == 0.5


def test_sglangs_lines_are_read_with_its_infinite_rate(tmp_path: Path) -> None:
    first = json.dumps({**VLLM, "request_rate": float("inf"), "mean_tpot_ms": None})
    arrivals = json.dumps({**VLLM, "request_rate": 2.0, "request_throughput": 1.99})
    crowded = json.dumps({**VLLM, "request_rate": 9.0})
    together = json.dumps({**VLLM, "max_concurrency": None})
    assert "Infinity" in first
    rows = [row for _, row in read_measured(kept(tmp_path, "s.jsonl", "\n".join([first, arrivals, crowded, together])))]
    assert rows[0]["metrics"]["tpot"] == 0.0205  # between tokens, where there is no other
    assert [row["workload"]["arrival"] for row in rows] == ["closed-loop", "poisson", "closed-loop", "all-at-once"]
    assert rows[1]["workload"]["request_rate"] == 2.0
    assert rows[3]["workload"]["num_requests"] == 200


def test_a_csv_has_units_in_its_names_or_its_cells(tmp_path: Path) -> None:
    text = "Concurrency,TPOT,ttft_ms,tp,etp,chip\n16,9ms,60,8,8,h20\n\n64, 0.012s,,8,8,\n"
    rows = read_measured(kept(tmp_path, "p.csv", text))
    assert [place.rpartition(":")[2] for place, _ in rows] == ["2", "4"]
    first, second = (row for _, row in rows)
    assert first["metrics"] == {"tpot": pytest.approx(0.009), "ttft": pytest.approx(0.06)}
    assert first["layout"] == {"tp": 8, "moe_tp": 8} and first["chip"] == "h20"
    assert second["metrics"] == {"tpot": pytest.approx(0.012)} and "chip" not in second


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "", "no measurement"),
        ("a.csv", "concurrency,tpott\n1,2\n", "tpot"),
        ("a.csv", "tpot_ms,itl_ms\n1,2\n", "two columns"),
        ("a.csv", "concurrency,tpot_ms\n1\n", "1 cells under 2"),
        ("a.csv", "concurrency,tpot_ms\n1,-5\n", "above 0"),
        ("a.csv", "concurrency,tpot_ms\n1,nan\n", "tpot_ms"),
        ("a.csv", 'concurrency,tpot_ms\n1,"5\n', "CSV"),
        ("a.json", "", "no measurement"),
        ("a.json", "nonsense", "not JSON"),
        ("a.json", '{"tpot": 1}', "mean_tpot_ms"),
        ("a.json", '[{"mean_tpot_ms": "fast", "max_concurrency": 4}, 7]', "expected a number"),
        ("a.json", '{"mean_tpot_ms": NaN, "max_concurrency": 4}', "NaN"),
        ("a.json", '{"mean_tpot_ms": 5}', "what the load was"),
        ("a.json", '{"metrics": {"tpot": 0.01}, "workload": 7}', "workload"),
        ("a.json", "[" * 100_000, "JSON"),
        ("a.json", '{"mean_tpot_ms": ' + "[" * 50 + "]" * 50 + "}", "deeply"),
        ("a.json", "\0", "binary"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        read_measured(kept(tmp_path, name, text))
    assert any(told in str(problem) for problem in caught.value.problems)


def test_all_problems_of_a_file_are_told_and_not_without_end(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_measured(kept(tmp_path, "a.csv", "concurrency,tpot_ms\n" + "x,y\n" * 100))
    assert 10 < len(caught.value.problems) <= 21
    assert "more" in caught.value.problems[-1].message
    with pytest.raises(InputError):
        read_measured(kept(tmp_path, "b.csv", "concurrency,tpot_ms\n" + "1,9\n" * 10_001))


def test_every_form_brings_the_same_prediction_onto_the_measured_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--on", "1xh100-sxm", "--concurrency", "32", "--layout", "tp1", "--anchor")
    row = {"workload": {"concurrency": 32}, "metrics": {"tpot": 0.02}, "layout": {"tp": 1}}
    forms = [
        kept(tmp_path, "v.json", json.dumps(VLLM)),
        kept(tmp_path, "p.csv", "max_concurrency,mean_tpot_ms\n32,20\n"),
        kept(tmp_path, "c.jsonl", json.dumps(row)),
    ]
    plans = [asked(capsys, *words, str(path)) for path in forms]
    for plan in plans:
        assert plan["tpot"] == pytest.approx(0.02, rel=0.03)
        assert plan["anchored"][0]["points"] == 1  # type: ignore[index]
        assert plan["anchored"] == plans[0]["anchored"]


def test_each_of_several_fleets_has_a_level_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleets = ("--on", "1xh100-sxm", "--on", "1xh20")
    plain = asked(capsys, *fleets)
    slow = kept(tmp_path, "p.csv", "concurrency,tpot_ms,chip\n32,20,h100-sxm\n")
    plan = asked(capsys, *fleets, "--anchor", str(slow))
    one, other = plan["anchored"]  # type: ignore[misc]
    assert one["chip"] == "h100-sxm" and one["level"] > 1.5
    assert other == {"chip": "h20-96gb", "points": 0, "level": None}
    assert plan["requests_per_second"] < plain["requests_per_second"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "words", "told"),
    [
        ("concurrency,tpot_ms\n32,20\n", ("--on", "1xh100-sxm", "--on", "1xh20"), "chip is not given"),
        ("concurrency,tpot_ms,chip\n32,20,h20\n", ("--on", "1xh100-sxm"), "not asked for"),
        ("concurrency,tpot_ms,chip\n32,20,h21\n", ("--on", "1xh100-sxm"), "h21"),
        ("concurrency,tpot_ms\n32,20\n", ("--on", "2xh100-sxm"), "--layout"),
        ("concurrency,tp\n32,1\n", ("--on", "1xh100-sxm"), "no tpot"),
        ("request_rate,output_throughput\n2,1024\n", ("--on", "1xh100-sxm"), "arrivals"),
        ("concurrency,tpot_ms,tp\n32,20,1\n", ("--on", "2xh100-sxm", "--disaggregate"), "mode is not given"),
    ],
)
def test_a_point_that_is_not_of_what_is_asked_is_bad_input(
    text: str, words: tuple[str, ...], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = kept(tmp_path, "p.csv", text)
    assert run([*ASKED, *words, "--anchor", str(path)]) == 2
    assert told in capsys.readouterr().err


def test_a_layout_for_several_fleets_is_refused_and_not_ignored(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ASKED, "--on", "1xh100-sxm", "--on", "1xh20", "--layout", "tp1"]) == 2
    assert "several --on" in capsys.readouterr().err


def test_points_and_plan_are_priced_with_the_same_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TensorRT-LLM's recipes have FP8 caches, plans have what they say: a plan's own figure leaves it where it is."""
    words = ["--on", "1xh100-sxm", "--weights", "fp8", "--engine", "trtllm", "--layout", "tp1", "--concurrency", "64"]
    once = asked(capsys, *words)
    assert once["kv"] == "bf16"
    path = kept(tmp_path, "own.csv", f"concurrency,tp,tpot\n64,1,{once['tpot']} s\n")
    again = asked(capsys, *words, "--anchor", str(path))
    assert again["tpot"] == pytest.approx(once["tpot"], rel=0.02)
