"""The verdict is a pure function of its gates; bounds are exact; what it says fits the screen."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tonnage.errors import InputError
from tonnage.qualify.gate import Verified, rate_words, watched_words
from tonnage.qualify.rates import exposure, least, most, share_least, share_most
from tonnage.qualify.verdict import SERVING, SEVERAL, TRAINING, from_json, verdict
from tonnage.report.qualify import page, words

SUBJECTS = dict.fromkeys((*TRAINING, *SEVERAL))
SOUND = (
    Verified("speed", "speed", "inference", "pass"),
    *(
        Verified(
            f"<{name}>",
            "stability" if name in ("replay", "hang") else "numerics",
            "inference" if name in SERVING else "training",
            "pass",
            0.5,
            1.0,
            subject=name,
            decides=name != "loss",
        )
        for name in SUBJECTS
    ),
)


def said(*gates: Verified, cards: int = 8) -> str:
    return verdict(gates, "device", "model", cards).verdict


def changed(subject: str, **more: object) -> tuple[Verified, ...]:
    return tuple(replace(gate, **more) if gate.subject == subject else gate for gate in SOUND)  # type: ignore[arg-type]


def test_a_sound_device_is_fit() -> None:
    assert said(*SOUND) == "fit for training"


@pytest.mark.parametrize("name", SUBJECTS)
def test_without_a_gate_it_is_never_fit(name: str) -> None:
    found = verdict([gate for gate in SOUND if gate.subject != name], "device", "model", 8)
    assert (found.verdict, bool(found.missing)) == ("unknown", True)
    assert said(*changed(name, state="not enough evidence", why="few")) == "unknown"


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_gate_that_fails_refuses_what_needs_it(name: str) -> None:
    right = "unfit" if name in SERVING else "unknown" if name == "loss" else "inference only"
    assert said(*changed(name, state="fail", why="wrong")) == right


@pytest.mark.parametrize("part", ["speed", "numerics", "stability"])
def test_without_a_part_it_is_unknown(part: str) -> None:
    assert said(*(gate for gate in SOUND if gate.part != part)) == "unknown"


def test_several_cards_ask_for_more() -> None:
    alone = [gate for gate in SOUND if gate.subject != "across"]
    assert (said(*alone, cards=1), said(*alone)) == ("fit for training", "unknown")
    assert said() == "unknown"


def test_what_is_unknown_says_what_is_known() -> None:
    few = verdict(changed("interruptions", state="not enough evidence", why="few"), "device", "model", 1)
    assert few.sentence == (
        "unknown (it serves; whether it trains is open: nothing failed, 1 piece of evidence missing)"
    )
    none = verdict((), "device", "model", 1)
    assert none.sentence.startswith("unknown (whether it serves is open too: nothing failed, ")
    loss = verdict(changed("loss", state="fail", why="wrong"), "device", "model", 1)
    assert loss.sentence == "unknown (it serves; whether it trains is open: 1 of its gates failed)"
    assert verdict(SOUND, "device", "model", 8).sentence == said(*SOUND)


def test_what_was_watched_is_said_in_times_that_people_have() -> None:
    assert (watched_words(64), watched_words(0.29)) == ("64 card-days", "6.96 h of one card")
    assert rate_words(0.0468, "interruption") == "46.8 interruptions in 1,000 card-days"
    assert rate_words(10.4, "interruption") == "one interruption in 2.31 h of a card"


def test_one_recipe_of_fp8_is_enough() -> None:
    good, bad = (
        Verified(word, "numerics", "training", word, subject="fp8", decides=False) for word in ("pass", "fail")
    )  # type: ignore[arg-type]
    assert said(*SOUND, good, bad) == "fit for training"
    assert verdict((*SOUND, good, bad), "device", "model", 8).binds == ()
    assert said(*SOUND, bad) == "unknown"


def test_a_file_is_read_back_and_may_not_say_more_than_its_gates() -> None:
    found = verdict(changed("bias", state="fail", why="drifts"), "device", "model", 8, 3.0, software="s", date="d")
    assert from_json(found.to_json()) == found
    for wrong in ({"verdict": "fit for training"}, {"trains": "yes"}, {"schema": "other"}, {"gates": []}):
        with pytest.raises(InputError):
            from_json({**found.to_json(), **wrong})


def test_bounds_are_exact() -> None:
    assert most(0) == pytest.approx(2.995732)
    assert most(3) == pytest.approx(7.753657)  # Garwood 1936, one-sided 95 %
    assert least(3) == pytest.approx(0.817691)
    assert 1000 * most(0) / 64 == pytest.approx(46.8, abs=0.05)
    assert exposure(1.6e-3) == pytest.approx(1872.3, abs=0.1)
    assert share_most(0, 20) == pytest.approx(1 - 0.05 ** (1 / 20))
    assert share_most(20, 20) == 1 and share_least(0, 20) == pytest.approx(0)
    assert share_least(3, 10) == pytest.approx(0.087264, abs=1e-6)  # Clopper and Pearson 1934


@pytest.mark.parametrize("width", [80, 120])
def test_words_fit_the_screen(width: int) -> None:
    found = verdict(changed("width", name="x" * 200, state="fail", why="narrow " * 40), "device", "model", 8)
    text = words(found, width)
    assert max(map(len, text.splitlines())) <= width
    assert "inference only" in text and "what binds" in text


def test_the_page_is_whole_and_escaped() -> None:
    text = page(verdict(SOUND, "<b>device</b>", "a&b", 8))
    assert "&lt;b&gt;device" in text and "a&amp;b" in text and "<bias>" not in text
    assert not any(word in text for word in ("http", "<script", "@import", "url("))
    assert "prefers-color-scheme:dark" in text and "<svg" in text


def test_the_page_shows_what_did_not_pass_before_what_did() -> None:
    text = page(verdict(changed("bias", state="fail", why="drifts"), "device", "model", 8))
    assert text.index(">drifts<") < text.index("<details>", text.index("Numerics")) < text.index("&lt;width&gt;</td>")
    long = replace(SOUND[1], name="x" * 60 + ", bf16, forward")
    assert "x..." in page(verdict((long,), "d", "m")) and "bf16, forward</text>" in page(verdict((long,), "d", "m"))


def test_a_bar_that_is_the_least_that_passes_is_drawn_on_the_good_side() -> None:
    """Bits of an accumulator: 24 of 15 asked."""
    shown = [
        float(place)
        for gate in (
            replace(SOUND[1], measured=24.0, limit=15.0),
            replace(SOUND[1], state="fail", measured=8.0, limit=15.0),
        )
        for place in re.findall(r'cx="([\d.]+)"', page(verdict((gate,), "d", "m")))
    ]
    limit = float(
        re.findall(r'x1="(\d+)" x2="\d+" y1="16" y2="48" stroke="var\(--ink\)"', page(verdict(SOUND[1:2], "d", "m")))[0]
    )
    assert shown[0] < limit < shown[1]
