"""The null model at hand examples, and the bare roofline it takes its share of."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from tonnage import catalog
from tonnage.model import flop_per_token, params
from tonnage.serve.as_run.deployment import Deployment, Pool
from tonnage.truth.cases import Skip
from tonnage.truth.ceilings import ceilings
from tonnage.truth.null import Anchored, fit, in_sample, left_out
from tonnage.truth.score import Prediction
from tonnage.truth.scored import INPUT_RATE, RATE, TPOT, TTFT
from tonnage.truth.shapes import Library


def anchored(group: str, chip: str, published: float, base: float, peak: float = 1.0, kind: str = "dense") -> Anchored:
    tags = {"chip": chip, "precision": "16", "kind": kind}
    figure = Prediction(f"{group}-{chip}-{published}", group, "rate", published, float("nan"), tags=tags)
    return Anchored(figure, base, peak)


def test_one_constant_per_cell_is_the_median_share() -> None:
    """Shares 0.4, 0.5 and 0.6 of the same chip: the constant is 0.5, and twice the work halves the prediction."""
    cases = [anchored("a", "h100", share * 100, 100.0) for share in (0.4, 0.5, 0.6)]
    assert [row.predicted for row in in_sample(cases, cases)] == pytest.approx([50.0] * 3)
    heavier = [anchored("a", "h100", 25.0, 50.0)]
    assert in_sample(heavier, cases)[0].predicted == pytest.approx(25.0)


def test_a_source_left_out_is_predicted_from_the_others() -> None:
    cases = [anchored("a", "h100", 40.0, 100.0), anchored("b", "h100", 60.0, 100.0)]
    assert [row.predicted for row in left_out(cases, cases)] == pytest.approx([60.0, 40.0])


def test_an_unknown_chip_gets_the_usual_share_of_its_peak() -> None:
    known = [anchored("a", "h100", 0.4 * 1000, 1.0, peak=1000.0), anchored("b", "b200", 0.4 * 2000, 1.0, peak=2000.0)]
    new = [anchored("c", "h20", 1.0, 1.0, peak=148.0)]
    assert in_sample(new, known)[0].predicted == pytest.approx(0.4 * 148)
    assert left_out(known, known, by="chip")[0].predicted == pytest.approx(400.0)


def test_dense_and_moe_have_constants_of_their_own() -> None:
    known = [anchored("a", "h100", 50.0, 100.0), anchored("a", "h100", 20.0, 100.0, kind="MoE")]
    assert [row.predicted for row in in_sample(known, known)] == pytest.approx([50.0, 20.0])
    assert len(fit(known)) == 2 + 2 + 2 + 1


def test_nothing_known_gives_no_prediction() -> None:
    assert in_sample([anchored("a", "h100", 1.0, 1.0)], []) == []


@pytest.fixture(scope="module")
def llama() -> Deployment:
    library = Library(catalog.load())
    return Deployment(
        id="x",
        arch=library.model("meta-llama/Llama-3.1-70B"),
        accelerator=library.chip("h100-sxm"),
        mode="aggregated",
        pool=Pool(count=4, tp=4),
        isl=1000.0,
        osl=1000.0,
        concurrency=1.0,
        weights="fp8",
        kv="fp8",
    )


def test_decode_of_one_request_reads_the_weights_once(llama: Deployment) -> None:
    chip = llama.accelerator
    total, embedding = params(llama.arch).total, params(llama.arch).by_name["embedding"]
    head = params(llama.arch).by_name["head"]
    read = (total - embedding - head) + 2 * head
    assert ceilings(replace(llama, osl=1e6, isl=1.0, context=1000.0))[TPOT] == pytest.approx(
        read / (4 * chip.bandwidth), rel=0.01
    )


def test_prefill_is_bound_by_arithmetic(llama: Deployment) -> None:
    found = ceilings(replace(llama, mode="prefill"))
    per_token = float(flop_per_token(llama.arch, 1000.0))
    assert found == {INPUT_RATE: pytest.approx(llama.accelerator.rates["fp8"] / per_token)}
    assert ceilings(llama)[TTFT] == pytest.approx(1000 * per_token / (4 * llama.accelerator.rates["fp8"]))


def test_more_in_flight_is_more_rate_and_slower_tokens(llama: Deployment) -> None:
    points = [ceilings(replace(llama, concurrency=float(load))) for load in (1, 8, 64, 256)]
    for less, more in itertools.pairwise(points):
        assert more[RATE] > less[RATE] and more[TPOT] > less[TPOT]
    saturated = ceilings(replace(llama, concurrency=None))
    assert saturated[RATE] > points[-1][RATE]


def test_no_more_run_than_the_memory_holds(llama: Deployment) -> None:
    asked = ceilings(replace(llama, concurrency=1e6))
    assert asked == ceilings(replace(llama, concurrency=None))


def test_half_of_the_prompt_in_the_cache_halves_its_prefill(llama: Deployment) -> None:
    assert ceilings(replace(llama, cache_hit=0.5))[TTFT] == pytest.approx(ceilings(llama)[TTFT] / 2)


def test_two_pools_run_at_the_pace_of_the_slower(llama: Deployment) -> None:
    apart = replace(llama, mode="disaggregated", prefill=Pool(count=4, tp=4), concurrency=64.0)
    found = ceilings(apart)
    assert found[TPOT] < ceilings(replace(llama, concurrency=64.0))[TPOT]
    starved = ceilings(replace(apart, isl=100_000.0, prefill=Pool(count=1, tp=1)))
    per_prompt = 100_000 * float(flop_per_token(llama.arch, 100_000.0)) / llama.accelerator.rates["fp8"]
    assert starved[RATE] == pytest.approx(llama.osl / per_prompt / 5)


def test_arrivals_fill_what_they_need(llama: Deployment) -> None:
    slow, fast = (ceilings(replace(llama, concurrency=None, rate=rate)) for rate in (0.1, 20.0))
    assert slow[TPOT] < fast[TPOT]
    assert slow[TPOT] == pytest.approx(ceilings(llama)[TPOT])


def test_an_unknown_format_is_said(llama: Deployment) -> None:
    with pytest.raises(Skip, match="format"):
        ceilings(replace(llama, weights="fp1"))
