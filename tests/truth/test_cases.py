"""The bundled cases are whole and in the published schema; a foreign file never breaks a run."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tonnage.errors import InputError
from tonnage.truth.cases import KINDS, MAX_LINE, Skip, load_cases, number, read_cases, text, whole
from tonnage.truth.scored import RATE, TPOT, TTFT, arrival_limited, group, metrics, why_not_serving, why_not_training


@pytest.mark.parametrize(("kind", "count"), [("training", 713), ("serving", 1560), ("silicon", 1494)])
def test_every_visible_case_is_there_once_with_its_source(kind: str, count: int) -> None:
    cases = load_cases(kind)
    assert len(cases) == count
    assert len({case["id"] for case in cases}) == count
    for case in cases:
        assert set(case["source"]) == {"title", "url", "where"}
        assert case["source"]["url"].startswith("https://")
        assert case["source"]["title"] and case["source"]["where"]


def test_a_row_comes_back_as_it_was_published() -> None:
    case = {row["id"]: row for row in load_cases("training")}["deepseek-v3-2048h800"]
    assert case["source"]["url"] == "https://arxiv.org/abs/2412.19437"
    assert case["model"]["kv_lora_rank"] == 512 and case["model"]["bundled"] == "deepseek-ai/DeepSeek-V3"
    assert case["layout"] == {
        "tp": 1,
        "pp": 16,
        "ep": 64,
        "cp": 1,
        "dp": 128,
        "zero": 1,
        "recompute": "selective",
        "recompute_note": "RMSNorm and MLA up-projections",
        "schedule": "DualPipe",
    }
    assert case["published"] == 1543.21 and case["curated"] is True
    assert case["flags"][0] == "batch_ramp" and len(case["notes"]) == 4


def test_numbers_keep_their_type_and_saturation_its_word() -> None:
    loads = [case["workload"].get("concurrency") for case in load_cases("serving")]
    assert {type(load) for load in loads} == {int, str, type(None)}
    assert {load for load in loads if isinstance(load, str)} == {"saturated"}
    halves = [case["count"] for case in load_cases("serving") if isinstance(case.get("count"), float)]
    assert halves == [0.5, 0.5]


def test_a_caller_that_changes_one_row_changes_no_other() -> None:
    cases = load_cases("silicon")
    assert len({id(case["flags"]) for case in cases}) == len(cases)
    assert len({id(case["source"]) for case in cases}) == len(cases)


def test_scored_counts_of_the_visible_part() -> None:
    """The whole collection scores 439 training cases and 4,504 clean serving ones; these are the visible shares."""
    assert sum(why_not_training(case) is None for case in load_cases("training")) == 334
    assert sum(why_not_serving(case) is None for case in load_cases("serving")) == 1171
    assert sum(why_not_serving(case) is None for case in load_cases("silicon")) == 1260


def test_reasons_name_what_is_wrong() -> None:
    assert why_not_training({"quality": "full", "curated": True, "flags": ["synthetic_data"]}) is None
    assert why_not_training({"quality": "full", "curated": True, "flags": ["lower_bound"]}) == "flagged lower_bound"
    assert why_not_training({"quality": "headline", "curated": True}) == "quality is headline, not full"
    assert (
        why_not_serving({"expressible": True, "quality": "high", "flags": ["inconsistent"]}) == "flagged inconsistent"
    )
    assert why_not_serving({"expressible": False, "missing": ["layout"]}) == "not expressible: layout missing"
    assert why_not_serving({}) == "not expressible"


def test_inferencex_votes_once_however_its_points_came() -> None:
    assert group({"group": "aic-inferencex"}) == group({"group": "inferencex"}) == "inferencex"
    assert group({"group": "aic-silicon"}) == "aic-silicon"


def test_ttft_only_of_aggregated_cases_without_a_queue() -> None:
    figures = {RATE: 100.0, TPOT: 0.02, TTFT: 1.0}
    case = {"mode": "aggregated", "flags": [], "workload": {"arrival": "closed-loop"}, "metrics": figures}
    assert metrics(case) == figures
    assert TTFT not in metrics({**case, "flags": ["queueing_ttft"]})
    assert TTFT not in metrics({**case, "mode": "disaggregated"})


def test_a_rate_that_only_repeats_the_arrivals_is_no_evidence() -> None:
    figures = {RATE: 100.0, TPOT: 0.02}
    poisson = {"mode": "aggregated", "workload": {"arrival": "poisson", "request_rate": 4}, "metrics": figures}
    assert set(metrics(poisson)) == {TPOT}
    load = {"arrival": "closed-loop", "concurrency": 64, "output_len": 1000, "request_rate": 0.82}
    throttled = {"count": 8, "mode": "aggregated", "workload": load, "metrics": figures}
    assert arrival_limited(throttled)
    assert not arrival_limited({**throttled, "workload": {**load, "request_rate": 2}})


def _file(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "cases.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_bad_lines_are_left_out_with_a_reason_each(tmp_path: Path) -> None:
    lines = [
        '{"id": "a"}',
        "{not json",
        "[1, 2]",
        '{"id": "b", "published": NaN}',
        '{"id": "c", "id": "d"}',
        '{"x":' * 5000 + "1" + "}" * 5000,
        '{"x":' * 20 + "1" + "}" * 20,
        '{"x": "' + "y" * MAX_LINE + '"}',
        "",
        '{"n": ' + "9" * 5000 + "}",
        '{"id": "e"}',
    ]
    read = read_cases(_file(tmp_path, "\n".join(lines)))
    assert [case["id"] for case in read.cases] == ["a", "e"]
    assert read.skipped == {
        "not valid JSON": 3,
        "not a JSON object": 1,
        "holds a number that is not finite": 1,
        "a key is given twice": 1,
        "nested too deeply": 1,
        "line is longer than 1 MiB": 1,
    }
    assert read.first["not a JSON object"] == 3


@pytest.mark.parametrize("content", [b"", b"\n\n", b"hello\nworld\n", b"\x00\x01\x02", b"<html>", b"\xff\xfe" * 100])
def test_what_is_not_json_lines_is_said_once(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match="JSON Lines"):
        read_cases(_file(tmp_path, content))


def test_a_missing_file_and_a_directory_are_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(InputError):
            read_cases(path)


def test_a_pretty_printed_document_is_not_taken_for_cases(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_cases(_file(tmp_path, json.dumps([{"id": "a"}], indent=1)))


def test_windows_lines_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    read = read_cases(_file(tmp_path, '\ufeff{"id": "a"}\r\n{"id": "b\u2028c"}\r\n'))
    assert [case["id"] for case in read.cases] == ["a", "b\u2028c"]


def test_typed_readers_refuse_what_is_not_a_number() -> None:
    case = {"a": {"b": 3.0, "bad": "x", "true": True, "zero": 0, "half": 0.5, "big": 1e300}, "s": 7}
    assert whole(case, "a", "b") == 3 and number(case, "a", "none") is None and number(case, "a", "half") == 0.5
    for key in ("bad", "true", "zero", "big"):
        with pytest.raises(Skip, match=f"a.{key}"):
            number(case, "a", key)
    for wrong in (lambda: whole(case, "a", "half"), lambda: number(case, "s", "b"), lambda: text(case, "s")):
        with pytest.raises(Skip):
            wrong()


def _mangled(value: object, random_: random.Random) -> object:
    """A copy in which about one value in twenty is something else."""
    if random_.random() < 0.05:
        return random_.choice([None, "x", -1, 0, True, [], {}, 1e30, "9" * 600, {"a": {"b": []}}])
    if isinstance(value, dict):
        return {key: _mangled(item, random_) for key, item in value.items()}
    return [_mangled(item, random_) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", KINDS)
def test_mangled_rows_are_skipped_or_read_never_worse(kind: str) -> None:
    random_ = random.Random(7)
    for case in load_cases(kind)[::5]:
        row = _mangled(case, random_)
        if not isinstance(row, dict):
            continue
        assert isinstance(group(row), str)
        assert why_not_training(row) != "" and why_not_serving(row) != ""
        try:
            assert all(value > 0 for value in metrics(row).values())
        except Skip as reason:
            assert str(reason)
