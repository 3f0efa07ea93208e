"""The board: who is on it, what is left out and why, and the command that shows it."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tonnage import catalog, cli
from tonnage.report.page import below, figures_table, pair, rows_table, table, within
from tonnage.truth import special
from tonnage.truth.board import Board, choose, expressed, shown
from tonnage.truth.cases import Skip, load_cases
from tonnage.truth.evaluate import accuracy, bundled, split_kinds
from tonnage.truth.score import Prediction, summarise
from tonnage.truth.scored import RATE, TPOT, TRAINING_RATE, why_not_training


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def some(kind: str, *ids: str) -> list[dict[str, Any]]:
    return [case for case in load_cases(kind) if case["id"] in ids]


TRAIN = ("korthikanti-22b-8a100-full", "korthikanti-22b-8a100-selective", "megatron-sc21-gpt-1p7b-32a100")
SERVE = ("trtllm-latest-gpt-oss-120b-h200-tp1-1000-1000", "sglang-96h100-prefill-ep32-1024")


@pytest.fixture(scope="module")
def train_board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    path = tmp_path_factory.mktemp("cases") / "train.jsonl"
    unscored = {**some("training", TRAIN[0])[0], "id": "partial", "quality": "partial"}
    odd = {**some("training", TRAIN[0])[0], "id": "odd", "chip": "abacus"}
    return accuracy(
        "train",
        catalog.load(),
        [write(path, [*some("training", *TRAIN), unscored, odd, "{", *some("serving", *SERVE)])],
    )


@pytest.fixture(scope="module")
def serve_board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    path = write(
        tmp_path_factory.mktemp("cases") / "serve.jsonl", [*some("serving", *SERVE), *some("training", TRAIN[0])]
    )
    return accuracy("serve", catalog.load(), [path])


def test_every_row_is_predicted_or_counted(train_board: Board) -> None:
    assert {row.id for row in train_board.rows} == set(TRAIN)
    assert train_board.skipped["not scored: quality is partial, not full"] == 1
    assert train_board.skipped["not valid JSON"] == 1
    assert train_board.skipped["a case of the other command"] == 2
    assert sum(train_board.skipped.values()) == 5
    assert [row.id for row in train_board.null] == [row.id for row in train_board.rows]


def test_predictions_are_of_the_right_size(train_board: Board, serve_board: Board) -> None:
    """A factor of two either way would be a wrong unit or a wrong count, not an inaccuracy."""
    for row in (*train_board.rows, *serve_board.rows):
        assert 0.5 < row.predicted / row.published < 2, row
        assert row.low is not None and row.high is not None and row.low < row.predicted < row.high


def test_prefill_pools_have_an_input_rate(serve_board: Board) -> None:
    assert {row.metric for row in serve_board.rows} == {RATE, "input_tokens_per_second_per_accelerator"}


def test_json_has_the_promised_keys(train_board: Board) -> None:
    body = train_board.to_json()
    keys = {"n", "n_skipped", "skipped", "groups", "median_abs_error", "p90_abs_error", "bias", "coverage_90", "null"}
    assert keys | {"rows"} <= set(body)
    assert body["n"] == 3 and body["n_skipped"] == 5 and body["groups"] == 1
    assert {"median_abs_error", "p90_abs_error", "bias"} <= set(body["null"])
    row = next(row for row in body["rows"] if row["id"] == TRAIN[0])
    assert row["error"] == pytest.approx(row["predicted"] / row["published"] - 1)
    assert row["metric"] == TRAINING_RATE and row["null"] > 0


def test_all_takes_what_is_not_scored() -> None:
    cases = list(load_cases("training"))
    scored, left = choose(cases, why_not_training, everything=False)
    everything, none = choose(cases, why_not_training, everything=True)
    assert len(scored) + sum(left.values()) == len(cases) == len(everything)
    assert not none and len(scored) == len(bundled("train")) == 334


def test_cases_of_the_other_command_are_told_apart() -> None:
    for kind, command in (("training", "train"), ("serving", "serve"), ("silicon", "serve")):
        mine, other = split_kinds(load_cases(kind), command)
        assert other == 0 and len(mine) == len(load_cases(kind))
        assert split_kinds(load_cases(kind), "serve" if command == "train" else "train")[0] == []


def test_reasons_are_counted() -> None:
    def half(value: int) -> int:
        if value % 2:
            raise Skip("odd")
        return value // 2

    skipped: Counter[str] = Counter()
    assert expressed([1, 2, 3, 4], half, skipped) == [1, 2]
    assert skipped == {"odd": 2}


def test_the_command_answers_in_json_and_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write(tmp_path / "cases.jsonl", some("training", *TRAIN)))
    assert cli.run(["accuracy", "train", "--cases", path, "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["command"] == "accuracy" and body["n"] == 3 and body["outcome"] == "feasible"
    assert cli.run(["accuracy", "train", "--cases", path]) == 0
    said = capsys.readouterr().out
    assert "training rate" in said and "null" in said and "activation-recompute-a100" in said


def test_the_command_refuses_what_is_not_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "binary").write_bytes(b"\x00\x01")
    for path in (tmp_path / "none", tmp_path, tmp_path / "binary"):
        assert cli.run(["accuracy", "serve", "--cases", str(path)]) == 2
    assert cli.run(["accuracy", "fit"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_file_of_rows_that_cannot_be_used_is_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "cases.jsonl", [{}, {"metrics": 3}, {"published": "x", "quality": "full", "curated": True}])
    for command in ("train", "serve"):
        assert cli.run(["accuracy", command, "--cases", str(path), "--all", "--json"]) == 0
        body = json.loads(capsys.readouterr().out)
        assert body["n"] == 0 and body["n_skipped"] == 3 and body["median_abs_error"] is None


def row(id_: str, predicted: float, published: float = 100.0, group: str = "g") -> Prediction:
    return Prediction(id_, group, RATE, published, predicted, cluster=("m", "c", "e"))


def test_the_tables_everybody_compares_with_are_whole() -> None:
    training = [row(case["id"], 1.0) for case in load_cases("training")]
    assert len(special.starting(training, special.SC21)) == 10
    assert len(special.starting(training, special.KORTHIKANTI)) == 8
    assert len(special.starting(training, special.LLAMA)) == 3
    cells = special.trtllm_cells(load_cases("serving"))
    assert len(cells) == len({cell["id"] for cell in cells}) == 23
    assert cells[0]["metrics"] == {RATE: 2587.0} and cells[0]["chip"] == "h200-sxm"
    ids = {case["id"] for case in load_cases("serving")}
    assert set(special.WIDE_EP) | set(special.CLOUDMATRIX) <= ids


def test_mean_worst_and_rank_by_hand() -> None:
    rows = [row("a", 110.0), row("b", 80.0)]
    assert special.mean_and_worst(rows) == pytest.approx(((0.1 + 0.25) / 2, 0.25))
    assert all(math.isnan(value) for value in special.mean_and_worst([]))
    assert special.rank_correlation([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert special.rank_correlation([1, 2, 3], [30, 20, 10]) == pytest.approx(-1)


def test_anchors_take_the_level_out_of_a_sweep() -> None:
    """All points twice too high: three known ones leave no error in the others, and are not scored themselves."""
    sweep = [row(str(place), 2.0 * place, float(place)) for place in range(1, 11)]
    rest = special.anchored_rows(sweep)
    assert len(rest) == 7
    assert max(abs(one.log_error) for one in rest) == pytest.approx(0, abs=1e-12)
    assert special.anchored_rows(sweep[:5]) == []


def test_median_over_chips_by_hand() -> None:
    rows = [row("a", 110.0, group="x"), row("b", 120.0, group="y"), row("c", 150.0, group="z")]
    assert special.median_over(rows, lambda one: one.group)[0] == pytest.approx(0.2)


def test_figures_say_met_or_missed() -> None:
    rows = [row(str(n), 105.0) for n in range(10)]
    assert pair("x", (9, 24), rows).met is True
    assert pair("x", (4, 24), rows).met is False
    assert pair("x", (4, 24), []).met is None
    assert below("x", 0.1, 12).met is True and below("x", math.nan, 12).met is None
    assert within("x", 0.97, 85, 95).met is False and within("x", None, 85, 95).met is None
    assert figures_table([below("a|b", 0.5, 12)])[2] == "| a/b | 12 % | 50.0 % |  | missed |"
    assert shown(summarise(rows)) == "5.0 / 5 %"


def test_times_are_shown_in_milliseconds() -> None:
    line = rows_table([Prediction("a", "g", TPOT, 0.02, 0.025)])[2]
    assert "20 ms" in line and "25 ms" in line and "+25.0 %" in line
    assert table(("a",), [("b",)]) == ["| a |", "| --- |", "| b |", ""]
