"""Errors at hand values, votes that sum to one per source, and the weighted median."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.truth.score import POOL, Prediction, abs_error, beaten, breakdown, pooled, quantile, summarise, vote


def row(group: str, predicted: float, published: float = 100.0, **more: object) -> Prediction:
    return Prediction(
        id=f"{group}-{predicted}", group=group, metric="m", published=published, predicted=predicted, **more
    )  # type: ignore[arg-type]


def test_error_is_the_same_for_twice_and_for_half() -> None:
    assert abs_error(200.0, 100.0) == pytest.approx(1.0)
    assert abs_error(50.0, 100.0) == pytest.approx(1.0)
    assert abs_error(np.array([110.0, 90.0]), 100.0) == pytest.approx([0.1, 1 / 0.9 - 1])


def test_anywhere_inside_a_published_range_agrees() -> None:
    inside = row("a", 93.0, published_low=90.0, published_high=110.0)
    below = row("a", 80.0, published_low=90.0, published_high=110.0, low=70.0, high=91.0)
    assert inside.log_error == 0
    assert below.log_error == pytest.approx(math.log(80 / 90))
    assert below.covered and not row("a", 80.0, low=70.0, high=91.0).covered
    assert inside.covered is None


def test_each_source_has_one_vote_and_small_ones_share_one() -> None:
    rows = [row("large", 110.0)] * 30 + [row("middle", 120.0)] * 10 + [row("small", 150.0)] * 9 + [row("tiny", 90.0)]
    weights = vote(rows)
    assert weights.sum() == pytest.approx(1)
    assert set(pooled(rows)) == {"large", "middle", POOL}
    for name in ("large", "middle", POOL):
        mask = np.array([member == name for member in pooled(rows)])
        assert weights[mask].sum() == pytest.approx(1 / 3)
    assert summarise(rows).groups == 3 and summarise(rows).n == 50


def test_a_single_stray_case_is_not_a_whole_vote() -> None:
    large = [row("large", 110.0, cluster=(str(i % 3),)) for i in range(35)]
    weights = vote([*large, row("stray", 200.0)])
    assert weights[-1] == pytest.approx(0.1 / 1.1)
    assert vote([row("stray", 200.0)]) == pytest.approx([1.0])


def test_inside_a_source_a_cluster_has_one_vote_and_a_configuration_too() -> None:
    many = [row("g", 110.0, cluster=("llama", "h100"))] * 8
    twins = [row("g", 120.0, cluster=("qwen", "h100"), share=2.0)] * 2 + [row("g", 130.0, cluster=("qwen", "h100"))]
    weights = vote(many + twins)
    assert weights[:8] == pytest.approx(np.full(8, 1 / 16))
    assert weights[8:] == pytest.approx([1 / 8, 1 / 8, 1 / 4])


def test_weighted_median_by_hand() -> None:
    values = np.array([3.0, 1.0, 2.0])
    assert quantile(values, np.ones(3), 0.5) == 2.0
    assert quantile(values, np.array([2.0, 1.0, 1.0]), 0.5) == pytest.approx(2 + 0.125 / 0.375)
    assert quantile(np.array([5.0]), np.ones(1), 0.9) == 5.0
    assert quantile(np.array([1.0, 2.0]), np.ones(2), 0.5) == 1.5


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(1, 1e6)), min_size=1, max_size=80))
def test_votes_sum_to_one_and_quantiles_are_ordered(pairs: list[tuple[str, float]]) -> None:
    rows = [row(name, value) for name, value in pairs]
    assert vote(rows).sum() == pytest.approx(1)
    whole = summarise(rows)
    assert whole.median_abs_error is not None and whole.p90_abs_error is not None
    assert 0 <= whole.median_abs_error <= whole.p90_abs_error + 1e-12


def test_summary_of_a_hand_example() -> None:
    rows = [row("g", value, low=95.0, high=130.0) for value in (100.0, 110.0, 125.0)]
    found = summarise(rows)
    assert found.median_abs_error == pytest.approx(0.10)
    assert found.bias == pytest.approx((1.0 * 1.1 * 1.25) ** (1 / 3) - 1)
    assert found.coverage_90 == 1.0
    assert summarise([]).median_abs_error is None and summarise([]).n == 0


def test_breakdown_by_tag_and_by_group() -> None:
    rows = [row("a", 110.0, tags={"chip": "h100"}), row("b", 120.0, tags={"chip": "h20"}), row("b", 130.0)]
    assert list(breakdown(rows, "chip")) == ["h100", "h20", "not given"]
    assert breakdown(rows, "group")["b"].median_abs_error == pytest.approx(0.25)


def test_beating_the_null_is_counted_per_source() -> None:
    ours = [row("a", 105.0)] * 10 + [row("b", 150.0)] * 10
    null = [row_.scaled(120.0) for row_ in ours]
    assert beaten(ours, null) == (1, 2)


def test_json_row_has_the_published_keys() -> None:
    found = row("a", 110.0, low=90.0, high=120.0, evidence="analytic").to_json()
    keys = {"id", "group", "metric", "published", "predicted", "low", "high", "error", "evidence", "outcome"}
    assert keys <= set(found)
    assert found["error"] == pytest.approx(0.1)
    ranged = row("a", 110.0, published_low=90.0, published_high=105.0).to_json()
    assert ranged["error"] == pytest.approx(0.1) and ranged["error_to_range"] == pytest.approx(110 / 105 - 1)
