"""Verdict files of `tonnage qualify` in a programme: evidence, what they forbid, what they leave, what is refused."""

from __future__ import annotations

import datetime
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tonnage.errors import InputError
from tonnage.fleet import launch, plan
from tonnage.fleet.judged import Judged
from tonnage.fleet.plan import LaunchPlan
from tonnage.fleet.readiness import kind_of, readiness, record
from tonnage.fleet.setting import settle
from tonnage.fleet.verdict_file import LARGEST
from tonnage.qualify.gate import Verified
from tonnage.qualify.verdict import SERVING, SEVERAL, TRAINING, verdict
from tonnage.report.launch import answer

R2_CARD_DAYS = {"cards": 8192, "days": 60.0}


def gates(word: str, subject: str = "") -> list[Verified]:
    """Gates of which a word follows."""
    failed = subject or {"inference only": "width", "unfit": "operators"}.get(word, "")
    made = [Verified("speed", "speed", "inference", "pass")]
    for name in dict.fromkeys((*TRAINING, *SEVERAL)):
        needed = "inference" if name in SERVING else "training"
        part = "stability" if name in ("replay", "hang", "interruptions") else "numerics"
        state = "fail" if name == failed else "pass"
        made.append(Verified(f"<{name}>", part, needed, state, 3.0, 1.0, "units", subject=name, decides=name != "loss"))  # type: ignore[arg-type]
    return made[1:] if word == "unknown" else made


@pytest.fixture
def file(tmp_path: Path):
    """A function: a verdict file beside the programme -> its name."""

    def write(
        word: str, *, date="2025-02-01", model="deepseek-ai/DeepSeek-V3", cards=8192, days=60.0, chip="", subject=""
    ) -> str:
        found = verdict(gates(word, subject), "Ascend 910C", model, cards, days, software="CANN 8", date=date)
        assert found.verdict == word
        body = {"command": "qualify", "verdict": found.to_json(), "device": {"chip": chip}} if chip else found.to_json()
        name = f"{word}.json".replace(" ", "-")
        (tmp_path / name).write_text(json.dumps(body), encoding="utf-8")
        return f"{{file: {name}}}"

    return write


@pytest.fixture(scope="module")
def plans() -> dict[str, LaunchPlan]:
    """Plans that were made, by the verdict that they hold."""
    return {}


@pytest.fixture
def planned(programme, catalog, planner, plans):
    def make(said: str = "") -> LaunchPlan:
        if said not in plans:
            sets = {"assumptions__verdicts": f"{{ascend: {said}}}"} if said else {}
            plans[said] = launch(programme(programme.story, **sets), catalog, 0, 20, planner, False)
        return plans[said]

    return make


@pytest.fixture
def ready(programme, catalog, planner):
    """Readiness by place."""

    def at(text: str = "", **sets: str):
        found = settle(programme(text or programme.story, **sets), catalog, planner)
        return {place.name: place.readiness.probability for place in found.places["r2"]}

    return at


@pytest.fixture
def asked(programme):
    """The programme that is read with a verdict."""
    return lambda said, **more: programme(programme.story, assumptions__verdicts=said, **more)


# what they say


def test_a_better_verdict_never_launches_later(planned, file):
    words = ("fit for training", None, "inference only", "unfit")
    plans = [planned(file(word) if word else "") for word in words]
    chances = [found.readiness["r2: ascend"].probability for found in plans]
    assert chances[0] > chances[1] > chances[2] == chances[3] == 0
    for better, worse in itertools.pairwise(plans):
        assert all(np.array(better.days) <= np.array(worse.days) + 1e-9)
        assert better.probability >= worse.probability


def test_the_answer_and_its_json_name_the_file(planned, file):
    found = planned(file("fit for training"))
    told = found.readiness["r2: ascend"]
    assert told.judged is not None and told.judged.file == "fit-for-training.json"
    said = found.to_json()["readiness"]["r2: ascend"]
    assert said["verdict"]["file"] == "fit-for-training.json" and said["verdict"]["cards"] == 8192
    assert (
        "own trials: fit for training, by fit-for-training.json (deepseek-ai/DeepSeek-V3, 8,192 cards for 60 days"
        in said["text"]
    )
    assert any("fit-for-training.json" in str(row) for row in answer(found).rows)
    assert plan.from_json(found.to_json()) == found


def test_what_refuses_training_is_said_not_ready_with_its_gate(planned, file):
    told = planned(file("inference only")).readiness["r2: ascend"]
    assert told.text.startswith("not ready: no run is to be begun there; own trials: inference only, by inference-only")
    assert "<width>: 3 units against 1" in told.text and (told.low, told.high) == (0, 0)


def test_what_is_unfit_does_not_serve_either(planned, file):
    unfit, inference = planned(file("unfit")), planned(file("inference only"))

    def served(found):
        return {one.chip: one for one in found.throughputs if one.use == "serve" and one.model == "r1"}

    assert served(unfit)["ascend-910c"].rate == 0 < served(inference)["ascend-910c"].rate
    assert "unfit, by unfit.json" in served(unfit)["ascend-910c"].reason
    assert served(unfit)["h800-sxm"].rate > 0


def test_unknown_adds_nothing_and_says_so(asked, file):
    said = asked(f"{{ascend: {file('unknown')}}}")
    assert said.verdicts == {} and "unknown.json on ascend is unknown: it adds nothing" in "; ".join(said.notes)


def test_a_verdict_after_the_day_of_knowledge_is_not_used(asked, file, programme, catalog):
    said = asked(f"{{ascend: {file('unfit', date='2025-03-01')}}}")
    assert said.verdicts == {} and "is of 2025-03-01, after 2025-02-28: it is not used" in "; ".join(said.notes)
    later = programme(
        programme.story,
        assumptions__verdicts=f"{{ascend: {file('unfit', date='2025-03-01')}}}",
        as_of=said.start.replace(month=3),
    )
    assert later.verdicts["ascend"].word == "unfit"


def test_a_stated_readiness_wins(ready, file):
    said = f"{{ascend: {file('inference only')}}}"
    assert ready(assumptions__verdicts=said)["ascend"] == 0
    assert ready(assumptions__verdicts=said, assumptions__readiness="{ascend: 70 %}")["ascend"] == pytest.approx(0.7)


def test_it_may_be_of_a_lot_where_places_are_chips(ready, file, programme):
    text = programme.story.replace("      try: [ascend, own]\n", "")
    assert ready(text, assumptions__verdicts=f"{{ascend: {file('unfit')}}}")["ascend-910c"] == 0
    assert ready(text, assumptions__readiness="{ascend: 30 %}")["ascend-910c"] == pytest.approx(0.3)


def test_without_it_is_a_what_if(planned, file, programme, catalog, planner):
    said = programme(programme.story, assumptions__verdicts=f"{{ascend: {file('inference only')}}}")
    found = launch(said, catalog, 0, 20, planner)
    other = next(item for item in found.alternatives if item.key == "verdict:ascend")
    assert other.name == "without the verdict of inference-only.json on ascend (inference only)"
    plain = planned()
    assert (other.launch, other.probability) == (plain.launch, plain.probability)


# model and scale


def of(catalog, judged, size=1.2e12, sparse=True, card_days=1e5):
    day = record(catalog, datetime.date(2025, 2, 28))
    return readiness(kind_of(catalog, "ascend-910c"), size, sparse, day, "CN", judged, card_days).probability


FIT = Judged("fit", "v.json", cards=8192, days=60.0, params=671e9, sparse=True)


def test_fit_counts_most_for_its_own_kind_and_scale(catalog):
    whole = of(catalog, FIT)
    others = {
        "another kind": replace(FIT, sparse=False),
        "a small model": replace(FIT, params=8e9),
        "few card-days": replace(FIT, cards=1, days=1.0),
        "not known": replace(FIT, params=None, sparse=None),
    }
    for name, less in others.items():
        assert of(catalog, None) < of(catalog, less) < whole, name
    assert of(catalog, replace(FIT, sparse=True), sparse=False) == of(catalog, replace(FIT, sparse=False), sparse=False)


@pytest.mark.parametrize("word", ["inference only", "unfit"])
def test_what_fails_forbids_whatever_model_it_was_asked_for(catalog, word):
    for bad in (Judged(word, "v.json"), Judged(word, "v.json", cards=1, days=1.0, params=1e9, sparse=False)):
        assert of(catalog, bad) == 0


def test_too_many_interruptions_for_a_far_larger_run_do_not_forbid_a_small_one(catalog, asked, file):
    bad = replace(FIT, word="inference only", size_alone=True)
    assert of(catalog, bad, card_days=2e5) == 0
    assert 0 < of(catalog, bad, card_days=1e4) < of(catalog, None, card_days=1e4)
    read = asked(f"{{ascend: {file('inference only', subject='interruptions')}}}").verdicts["ascend"]
    assert read.size_alone and not asked(f"{{ascend: {file('inference only')}}}").verdicts["ascend"].size_alone


def test_a_larger_plan_is_never_surer_by_the_same_verdict(catalog):
    for judged in (FIT, replace(FIT, word="inference only", size_alone=True)):
        chances = [of(catalog, judged, card_days=days) for days in (1e3, 1e4, 1e5, 1e6, 1e7)]
        assert chances == sorted(chances, reverse=True)


# what is refused


def refused(asked, said) -> str:
    with pytest.raises(InputError) as caught:
        asked(said)
    return str(caught.value)


def test_errors_have_their_place_and_the_nearest_name(asked, file, tmp_path):
    name = file("fit for training")
    assert 'no lot and no chip named "ascent"' in (text := refused(asked, f"{{ascent: {name}}}"))
    assert "assumptions.verdicts.ascent" in text and 'did you mean "ascend"' in text
    assert 'did you mean "file"' in refused(asked, "{ascend: {fil: x.json}}")
    text = refused(asked, "{ascend: {file: fit-for-trainin.json}}")
    assert "no such file" in text and "verdicts.ascend.file" in text and 'mean "fit-for-training.json"' in text
    assert 'did you mean "fit"' in refused(asked, "{ascend: fitt}")


def test_what_is_no_verdict_is_refused(asked, file, tmp_path):
    def body(content: str) -> str:
        (tmp_path / "v.json").write_text(content, encoding="utf-8")
        return refused(asked, "{ascend: {file: v.json}}")

    file("inference only")
    good = json.loads((tmp_path / "inference-only.json").read_text())
    assert "is no verdict file (tonnage.verdict/1)" in body("{}") and "is no verdict file" in body("[1]")
    assert "is not what the gates of the file say" in body(json.dumps(good | {"verdict": "fit for training"}))
    assert "has no date" in body(json.dumps(good | {"date": "soon"}))
    assert "is not JSON" in body("!!python/object/apply:os.system [true]")
    assert "larger than" in body(" " * (LARGEST + 1))
    assert "cards" in body(json.dumps(good | {"cards": "many"}))
    assert "is a directory" in refused(asked, "{ascend: {file: .}}")


def test_a_verdict_on_another_chip_is_refused(asked, file):
    assert "is a verdict on h20-96gb, not on ascend-910c" in refused(
        asked, f"{{ascend: {file('unfit', chip='h20-96gb')}}}"
    )
    assert asked(f"{{ascend: {file('unfit', chip='ascend-910c')}}}").verdicts["ascend"].word == "unfit"
    assert asked(f"{{ascend: {file('unfit', chip='my-card')}}}").verdicts["ascend"].word == "unfit"
