"""What people write of a training run, and the plan that they ask for."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from tonnage import catalog
from tonnage.ask.train import read
from tonnage.ask.train_plan import planned, planned_mixed
from tonnage.ask.train_words import TrainWords
from tonnage.cli import run
from tonnage.errors import InputError
from tonnage.train import MixedPlan, TrainPlan, plan_again

CATALOG = catalog.load()


def test_every_problem_names_its_field_and_no_flag() -> None:
    words = TrainWords(
        on=("8xh800", "0xh800"), seq="x", layout="tp1 + tp9x", move_at="3 %", rollout_on="8xh20", place="atlantis"
    )
    with pytest.raises(InputError) as caught:
        read("llama-3.1-8b", words)
    paths = [problem.path for problem in caught.value.problems]
    assert paths == ["place", "on", "layout.tp9x", "move_at", "rollout_on", "seq"]
    assert "--" not in str(caught.value)


def test_words_become_quantities() -> None:
    asked = read("llama-3.1-8b", TrainWords(on=("8xh800",), tokens="15T", price="$2/h", place="china"))
    assert (asked.tokens, asked.quoted, asked.place, asked.fleets) == (15e12, 2 / 3600, "CN", ((8, "h800"),))
    day = datetime.date(2025, 3, 1)
    assert read("x", TrainWords(on=("8xh800",)), day).software == day


def test_all_that_is_asked_is_in_one_plan_that_comes_back(tmp_path: Path) -> None:
    runs = tmp_path / "runs.jsonl"
    runs.write_text('{"layout": "tp2,pp1,dp8,zero1,mbs1,recompute=none", "published": 9000}\n', encoding="utf-8")
    words = TrainWords(
        on=("16xh800",), global_batch="512", tokens="1T", anchor=runs, move_to="64xh800", move_at="10 %",
        rollout_tokens="10B", rollout_length="2k", rollout_on="16xh20",
    )  # fmt: skip
    asked = read("llama-3.1-8b", words)
    found = planned(asked, asked.job(CATALOG), CATALOG).plan
    assert found.anchor and found.move and found.rl and found.provenance.catalog == CATALOG.digest
    text = json.dumps(found.to_json(), allow_nan=False)
    runs.unlink()
    assert TrainPlan.from_json(json.loads(text)) == found
    assert plan_again(found) == found


def test_a_mixed_fleet_is_priced_part_by_part() -> None:
    words = TrainWords(on=("64xh800", "64xb30a"), tokens="1T", layout="tp2,cp1,pp1,mbs1")
    asked = read("llama-3.1-8b", words)
    found = planned_mixed(asked, asked.job(CATALOG), CATALOG)
    assert found.prices[0] is not None and found.prices[1] is None
    assert MixedPlan.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_term_of_payment_is_taken_and_where_it_is_not_known_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    def asked(chip: str, term: str | None) -> tuple[str, str]:
        words = TrainWords(on=(f"64x{chip}",), tokens="1T", term=term, layout="tp2,pp1,cp1,mbs1,zero1,recompute=full")
        question = read("llama-3.1-8b", words)
        paid = planned(question, question.job(CATALOG), CATALOG).paid
        assert paid.quote is not None
        return paid.quote.tenure, paid.note

    assert asked("h100-sxm", None) == ("on-demand", "")
    for term in ("spot", "monthly", "1-year", "3-year"):
        assert asked("h100-sxm", term) == (term, "")
    assert asked("h800", "3-year") == ("internal", "no 3-year price is known: ")
    assert run(["train", "llama-3.1-8b", "--on", "64xh100-sxm", "--tokens", "1T", "--term", "spot"]) == 0
    assert "; spot, 2026" in " ".join(capsys.readouterr().out.split())
    words = ["train", "llama-3.1-8b", "--on", "64xh100-sxm", "--on", "64xh800", "--tokens", "1T", "--term", "3-year"]
    assert run(words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "(3-year, 2026-03-01, US)" in said and "(no 3-year price is known: internal," in said


def test_a_term_that_is_none_or_beside_a_price_is_refused() -> None:
    with pytest.raises(InputError, match=r'term: "spott" is not one of on-demand.*did you mean "spot"'):
        read("llama-3.1-8b", TrainWords(on=("8xh800",), term="spott"))
    with pytest.raises(InputError, match="term: goes without `price`"):
        read("llama-3.1-8b", TrainWords(on=("8xh800",), term="spot", price="$2/h"))
