"""docs/accuracy.md can be made of any board, and says of each figure which fit it is of."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tonnage import catalog
from tonnage.report.page_serving import serving_page
from tonnage.report.page_training import training_page
from tonnage.truth.board import Board, assemble
from tonnage.truth.cases import load_cases
from tonnage.truth.predict_serving import predict as predict_serving
from tonnage.truth.predict_training import left_out
from tonnage.truth.predict_training import predict as predict_training
from tonnage.truth.scored import RATE, TPOT, TTFT
from tonnage.truth.shapes import Library


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(catalog.load())


def test_the_training_page_of_a_few_runs(library: Library) -> None:
    wanted = (
        "korthikanti-",
        "llama3-405b-",
        "deepseek-v3-2048h800",
        "megatron-sc21-gpt-1p7b",
        "megatron-sc21-gpt-3p6b",
    )
    cases = [case for case in load_cases("training") if case["id"].startswith(wanted)]
    made = predict_training(cases, library, Counter(), chips=True)
    board = assemble(made, "train", made.anchored, Counter({"odd": 2}))
    page = "\n".join(training_page(board, library))
    assert "Llama-3.1-405B, ratio 16K/8K" in page and "H800-hours per T tokens" in page
    assert "memory, where published" in page and "| 2 | odd |" in page
    assert f"| {board.label}, all scored cases" in page
    assert "nan" not in page.lower().replace("fsdp", "")


def test_without_folds_the_page_says_in_sample() -> None:
    """A figure in sample must never stand under the words `source left out`."""
    board = Board("train", ())
    assert board.label == "in sample" and board.fair == ((), ())


def test_a_fold_is_another_fit_of_the_same_layout(library: Library) -> None:
    """Without its source a case is predicted by other constants: another rate, the interval as wide in proportion."""
    cases = [case for case in load_cases("training") if case["id"] == "korthikanti-22b-8a100-full"]
    made = predict_training(cases, library, Counter())
    assert len(made.rows) == len(made.left_out) == 1 and not made.chip_out
    ours, without = made.rows[0], made.left_out[0]
    assert without.predicted != ours.predicted
    assert without.predicted == pytest.approx(ours.predicted, rel=0.5)
    assert ours.high and without.high
    assert without.high / without.predicted == pytest.approx(ours.high / ours.predicted)
    assert left_out([], "no such folds", "group") == []


def test_the_serving_page_of_a_few_cases(library: Library) -> None:
    serving = [case for case in load_cases("serving") if case["chip"] in ("h20-96gb", "ascend-910b")]
    silicon = [case for case in load_cases("silicon") if case["chip"] == "h200-sxm" and case["mode"] == "aggregated"][
        :12
    ]
    made = predict_serving([*serving, *silicon], library, Counter())
    board = assemble(made, "serve", made.anchored, Counter())
    peer = {row.id: (0.02, 1.0) for row in board.rows if row.metric in (TPOT, TTFT)}
    page = "\n".join(serving_page(board, library, peer))
    assert "TensorRT-LLM table, 23 cells: mean" in page and "paired with AIConfigurator 0.12, TPOT" in page
    assert page.count("trtllm-latest-") >= 23
    assert {RATE, TPOT} <= set(board.metrics)


def test_parts_of_a_board_keep_every_field(library: Library) -> None:
    made = predict_serving(load_cases("silicon")[:6], library, Counter())
    board = replace(assemble(made, "serve", made.anchored, Counter()), left_out=tuple(made.rows))
    part = board.of(TPOT)
    assert {row.metric for row in (*part.rows, *part.left_out, *part.null, *part.null_left_out)} == {TPOT}
    assert part.label == "source left out" and part.fair == (part.left_out, part.null_left_out)
