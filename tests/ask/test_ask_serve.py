"""What people write of a service, as numbers: every problem at once, each by the field that it is about."""

from __future__ import annotations

from dataclasses import fields

import pytest

from tonnage import catalog
from tonnage.ask import fit, serve
from tonnage.ask.price import chip_power, chip_price, place_code
from tonnage.cli.flags import as_flags
from tonnage.cli.serve import ServeOptions
from tonnage.errors import InputError, Problem
from tonnage.system import System, accelerator

CATALOG = catalog.load()


def test_words_become_numbers() -> None:
    asked = serve.read(
        serve.ServeWords(on=("8xh20", "8xh20"), tpot="50ms", chunk="16k", disaggregate=True, place="china")
    )
    assert asked.fleets == ((16, "h20"),) and asked.tpot == 0.05 and asked.chunk in (16000, 16384)
    assert asked.mode == "disaggregated" and not asked.afd and asked.place == "CN"
    apart = serve.read(serve.ServeWords(on=("8xh20", "8xh20"), afd=True, tpot="none"))
    assert apart.mode == "afd" and len(apart.fleets) == 2 and apart.tpot is None


def test_every_problem_is_told_by_its_field() -> None:
    words = serve.ServeWords(
        on=("h20",),
        isl="many",
        price="$0/h",
        power_share="2",
        chunk="1",
        layout="tp8,zero3",
        speculate="x",
        place="mars",
    )
    with pytest.raises(InputError) as caught:
        serve.read(words)
    told = {problem.path if problem.where == "" else problem.where for problem in caught.value.problems}
    assert told >= {"isl", "price", "power_share", "chunk", "layout", "speculate", "in"}
    assert not any("--" in str(problem) for problem in caught.value.problems)
    with pytest.raises(InputError) as caught:
        fit.read(fit.FitWords(on="8xh20", context="0", running="0", memory_share="2"))
    assert {problem.path for problem in caught.value.problems} == {"context", "running", "memory_share"}


def test_a_field_is_shown_as_its_flag_and_nothing_else_is() -> None:
    problems = [
        Problem("a", path="cache_hit"),
        Problem("b", "layout", "tp9z"),
        Problem("c", "file.yaml:3:1", "layers"),
        Problem("d", path="layers"),
    ]
    with pytest.raises(InputError) as caught, as_flags({"cache_hit", "layout"}):
        raise InputError(problems)
    assert caught.value.message.splitlines() == [
        "--cache-hit a",
        "--layout  tp9z: b",
        "file.yaml:3:1  layers: c",
        "layers: d",
    ]


def test_the_command_line_has_the_fields_of_the_question() -> None:
    words = {field.name for field in fields(serve.ServeWords)}
    assert {field.name for field in fields(ServeOptions)} == words | {"launch_file"}


def test_price_and_power_say_what_they_are() -> None:
    system = System(accelerator("h100-sxm", CATALOG), 8)
    price, half = chip_price(CATALOG, system, None, None), chip_power(CATALOG, system, 0.5, None)
    assert price is not None and price.value > 0 and price.source in {fact.id for fact in CATALOG.facts}
    assert half is not None and half.value == pytest.approx(350.0) and half.basis == "50% of the rated 700 W"
    with pytest.raises(InputError):
        place_code("atlantis")


def test_a_term_of_payment_is_asked_of_the_catalogue() -> None:
    system = System(accelerator("h100-sxm", CATALOG), 8)
    words = serve.ServeWords(on=("1xh100-sxm",), tpot="50ms", term="1-year")
    asked = serve.read(words)
    price = serve.plan_asked("llama-3.1-8b", asked, CATALOG).plan.bill.price
    known = chip_price(CATALOG, system, None, None, "1-year")
    assert known is not None and price == known and known.basis.startswith("1-year, ")
    usual = chip_price(CATALOG, system, None, None)
    assert usual is not None and usual.value != known.value
    h800 = chip_price(CATALOG, System(accelerator("h800", CATALOG), 8), None, None, "spot")
    assert h800 is not None and h800.basis.startswith("no spot price is known: internal, ")
    with pytest.raises(InputError, match="term: goes without `price`"):
        serve.read(serve.ServeWords(on=("1xh100-sxm",), term="spot", price="$2/h"))
