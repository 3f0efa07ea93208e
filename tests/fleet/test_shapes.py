"""Programmes of every shape are answered in words, JSON and picture, with dates in order and no negative cost."""

from __future__ import annotations

import json
import random
import xml.etree.ElementTree as ET

import pytest

from tonnage.fleet import launch
from tonnage.report import timeline
from tonnage.report.answer import render
from tonnage.report.launch import answer

CHIPS = {"h800": 0.8, "h20": 0.3, "ascend-910c": 0.6, "h100-sxm": 0.9, "b200": 2.0, "mi300x": 0.0}
KEYS = {"h800": "h800-sxm", "h20": "h20-96gb", "b200": "b200-sxm"}


def some(rng, key, values, chance, into):
    if rng.random() < chance:
        into[key] = rng.choice(values)


def lot(rng, index):
    made = {"lot": f"l{index}", "chip": rng.choice(list(CHIPS)), "price": rng.choice(["$1/h", "$1/h to $3/h"])}
    made["count"] = rng.choice(["8", "1000", "0", "100 to 5000", "uniform(0, 900)", "20000", "normal(100, 90)"])
    some(rng, "tenure", ["owned"], 0.3, made)
    some(rng, "from", ["2025-03-01", "2025-05-01 to 2025-09-01", "2024-01-01", "2027-01-01"], 0.6, made)
    some(rng, "over", ["26 weeks", "0 to 10 weeks", "1 day"], 0.3, made)
    some(rng, "until", ["2027-06-01"], 0.2, made)
    some(rng, "spare", ["10 %", "0 % to 20 %"], 0.2, made)
    some(rng, "acquired", ["2022-01-01"], 0.2, made)
    return made


def service(rng, follows):
    made = {"tpot": "50ms"}
    if not follows or rng.random() < 0.3:
        made |= {
            "input_tokens": rng.choice(["1B/day", "600B/day"]),
            "output_tokens": rng.choice(["1B/day", "168B/day"]),
        }
    some(rng, "growth", ["0 %/month", "5 %/month to 15 %/month", "-5 %/month to 5 %/month"], 0.5, made)
    if follows:
        some(rng, "within", ["4 weeks", "0 weeks", "20 weeks"], 0.8, made)
        some(rng, "takes_over", ["50 %", "0 % to 100 %", "normal(90 %, 20 %)"], 0.8, made)
        some(rng, "surge", ["0 to 3"], 0.3, made)
    return made


def training(rng, lots):
    first = rng.choice([{"pretrain": "1T to 30T"}, {"pretrain": "15T"}, {"sft": "100B"}])
    made = {"stages": [first, {"rl": "0.1T"}, {"sft": "1B"}][: rng.randint(1, 3)]}
    some(rng, "try", [[item["lot"] for item in rng.sample(lots, rng.randint(1, len(lots)))]], 0.6, made)
    some(rng, "at_most", [512], 0.2, made)
    return made


def programme_of(seed):
    rng = random.Random(seed)
    lots = [lot(rng, index) for index in range(rng.randint(1, 4))]
    models = {}
    names = ["a", "b", "c"][: rng.randint(1, 3)]
    for before, name in zip([None, *names], names, strict=False):
        model = {"model": rng.choice(["deepseek-r1", "llama-3.1-8b"])}
        if before and rng.random() < 0.7:
            model["after"] = before
        if rng.random() < 0.7:
            model["serve"] = service(rng, "after" in model)
        if rng.random() < 0.7 or len(model) == 1:
            model["train"] = training(rng, lots)
        some(
            rng,
            "good_enough",
            [{"rounds": "1 to 3", "each": "1 to 3 weeks"}, {"rounds": "0 to 2", "each": "1 d"}],
            0.4,
            model,
        )
        models[name] = model
    top = {"name": "f", "start": "2025-02-28", "place": rng.choice(["CN", "US"]), "fleet": lots, "models": models}
    top["horizon"] = rng.choice(["1 month", "1 year", "18 months"])
    some(rng, "rules", ["known-at 2025-02-28", "without h20", "with licence b200", "with ban ascend-910c"], 0.3, top)
    return top


@pytest.mark.parametrize("seed", range(24))
def test_every_shape_is_answered(programme, catalog, written, seed):
    rates = {KEYS.get(chip, chip): rate for chip, rate in CHIPS.items()}
    planner = written(serve=rates, train={chip: 1000 * rate for chip, rate in rates.items()})
    found = launch(programme(json.dumps(programme_of(seed))), catalog, seed, 20, planner, seed % 8 == 0)
    dates = [day for day in (found.launch.p10, found.launch.p50, found.launch.p90) if day]
    assert dates == sorted(dates) and 0 <= found.probability <= 1
    assert all(found.start <= day <= found.end for day in dates)
    assert 0 <= found.cost.p10 <= found.cost.p50 <= found.cost.p90
    assert found.outcome.feasible or (found.outcome.binds and found.outcome.binds[0].text)
    json.dumps(found.to_json(), allow_nan=False)
    assert render(answer(found)).startswith(("Yes", "No", "Unlikely"))
    ET.fromstring(timeline.svg(found))
