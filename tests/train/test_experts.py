"""How expert copies travel, what a rank of one expert runs, how uneven many are, and which schedules are run."""

from __future__ import annotations

import datetime
from dataclasses import fields, replace

import numpy as np
import pytest

from tonnage import catalog
from tonnage.catalog.software import software
from tonnage.errors import InputError
from tonnage.layout import Layout
from tonnage.model import load
from tonnage.system import System, accelerator, per_die
from tonnage.train import TrainJob, candidates, pieces, schedule, step
from tonnage.train.layers import LayerBook
from tonnage.train.software import TrainSoftware, fitted
from tonnage.train.work import LayerWork

FACTS = catalog.load()
QWEN = load("qwen3-235b-a22b", FACTS)
DEEPSEEK = load("deepseek-v3", FACTS)
EARLY, LATE = datetime.date(2025, 9, 1), datetime.date(2026, 6, 1)


def layer(job: TrainJob, chip: str, **degrees: int) -> LayerWork:
    one = Layout(**{name: np.array([size]) for name, size in {"mbs": 1, **degrees}.items()})
    work, _ = LayerBook().work(job, per_die(accelerator(chip, FACTS)), one)
    return work


def sent(exchange: str, chip: str, ep: int, model: str = "qwen3-235b-a22b") -> float:
    job = TrainJob(load(model, FACTS), 4096, 64, exchange=exchange)
    return float(np.ravel(layer(job, chip, ep=ep).expert)[0])


@pytest.mark.parametrize(
    ("model", "ep", "times"),
    [
        # copies that leave the server of eight: 8 (1 - 8/ep) alone, once to each of the servers that a token visits
        ("qwen3-235b-a22b", 64, 8 / (8 * (1 - (7 / 8) ** 8))),
        ("qwen3-235b-a22b", 32, 8 / (4 * (1 - (3 / 4) ** 8))),
        # node-limited routing: at most four servers
        ("deepseek-v3", 64, 8 / (4 * (1 - (3 / 4) ** 8))),
    ],
)
def test_copies_sent_alone_cross_the_network_more_often(model: str, ep: int, times: float) -> None:
    assert sent("all-to-all", "h100-sxm", ep, model) / sent("forwarded", "h100-sxm", ep, model) == pytest.approx(
        times, rel=0.06
    )


def test_inside_one_domain_it_hardly_matters() -> None:
    assert sent("all-to-all", "gb200", 64) / sent("forwarded", "gb200", 64) < 1.1


@pytest.mark.parametrize(
    ("framework", "date", "forwards"),
    [
        ("megatron-bridge", EARLY, False),
        ("megatron-bridge", LATE, True),
        ("nemo", EARLY, False),
        (None, None, True),
        ("mindspeed", LATE, False),
        ("torchtitan", LATE, False),
        ("unknown", LATE, False),
        ("hai-llm", datetime.date(2024, 12, 1), True),
    ],
)
def test_who_forwards_copies_and_since_when(framework: str | None, date: datetime.date | None, forwards: bool) -> None:
    assert TrainJob(QWEN, framework=framework, date=date).forwards is forwards


@pytest.mark.parametrize("said", ["all-to-all", "forwarded"])
def test_what_is_said_counts_before_what_is_usual(said: str) -> None:
    for date in (EARLY, LATE):
        assert TrainJob(QWEN, date=date, exchange=said).forwards is (said == "forwarded")


def test_an_exchange_that_is_none_is_named() -> None:
    with pytest.raises(InputError, match="forwarded") as wrong:
        TrainJob(QWEN, exchange="forward")
    assert wrong.value.problems[0].path == "exchange" and wrong.value.problems[0].suggestion == "forwarded"


@pytest.mark.parametrize("precision", ["bf16", "fp8"])
def test_a_rank_of_one_expert_runs_plain_products(precision: str) -> None:
    """128 experts on 128 ranks against 64: half the experts, twice the rows, and no grouping to pay for."""
    job = TrainJob(QWEN, 4096, 128, precision=precision)
    one, two = (float(np.ravel(layer(job, "h100-sxm", ep=ep).layer.expert)[0]) for ep in (128, 64))
    assert one < 0.99 * two
    many = layer(job, "h100-sxm", ep=64).layer.expert
    both = np.ravel(
        LayerBook()
        .work(job, per_die(accelerator("h100-sxm", FACTS)), Layout(ep=np.array([64, 128]), mbs=np.array([1, 1])))[0]
        .layer.expert
    )
    assert sorted(both) == pytest.approx(sorted([one, float(np.ravel(many)[0])]))


PLAIN = tuple((item.name, getattr(Layout(), item.name)) for item in fields(Layout))


def excess(ep: int, routing: str = "learned") -> float:
    """Seconds of experts under a learned router over those of a forced one, less one."""
    system = System(accelerator("h100-sxm", FACTS), 128)
    layout = Layout(**{name: np.array([{"ep": ep, "dp": 128, "zero": 1}.get(name, int(held))]) for name, held in PLAIN})
    times = []
    for how in (routing, "forced"):
        made = pieces.measure(TrainJob(QWEN, 4096, 128, routing=how), system, layout)
        times.append(float(step.assemble(made, TrainSoftware(imbalance=1.5)).parts["experts"][0]))
    return times[0] / times[1] - 1


@pytest.mark.parametrize(("ep", "held"), [(128, 1), (64, 2), (16, 8), (8, 16), (2, 64)])
def test_a_rank_of_many_experts_is_less_uneven(ep: int, held: int) -> None:
    assert excess(ep) == pytest.approx(0.5 * (held / step.HELD) ** -step.EVENED)


def test_forced_routing_is_even() -> None:
    assert excess(8, "forced") == 0.0


@pytest.mark.parametrize(
    ("framework", "tried"), [(None, True), ("hai-llm", True), ("mindspeed", False), ("nemo", False)]
)
def test_dualpipe_is_tried_where_a_framework_has_it(framework: str | None, tried: bool) -> None:
    job = TrainJob(DEEPSEEK, 4096, 960, framework=framework)
    found = candidates.choices(job, System(accelerator("h800-sxm", FACTS), 256), {"pp": 8})
    assert (schedule.DUALPIPE in found["schedule"]) is tried
    asked = candidates.choices(job, System(accelerator("h800-sxm", FACTS), 256), {"pp": 8, "schedule": 3})
    assert list(asked["schedule"]) == [schedule.DUALPIPE]


def test_ways_of_exchange_have_a_source() -> None:
    for one in software().frameworks.values():
        if one.forwards is not None:
            assert "Megatron-Bridge" in one.source


def test_mixtures_are_as_near_as_the_fit_says() -> None:
    """Bars of the project, with a source, a chip, a year, a framework in no fit."""
    for left in ("source", "chip", "year", "framework"):
        found = fitted().errors[f"{left}_left_out"]
        assert found["all"]["median"] <= 0.08 and found["all"]["p90"] <= 0.245
        assert found["moe"]["median"] <= 0.145 and found["moe"]["p90"] <= 0.325
    source = fitted().errors["source_left_out"]
    assert source["all"]["p90"] <= 0.22 and source["moe"]["median"] <= 0.14 and source["moe"]["p90"] <= 0.32


def test_constants_without_a_year_and_without_a_framework_are_kept() -> None:
    years, frameworks = (fitted().kind_folds[kind] for kind in ("year", "framework"))
    assert {"2021", "2023", "2024", "2025", "2026"} <= set(years) and {"torchtitan", "mindspeed"} <= set(frameworks)
    assert replace(fitted().constants, imbalance=1.0) != fitted().constants not in years.values()
