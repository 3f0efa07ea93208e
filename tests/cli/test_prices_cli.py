"""Prices in answers: their term, place and day; what owning costs; names as they were read; what is refused."""

from __future__ import annotations

import json

import pytest

from tonnage.cli import run

SERVE = ("serve", "llama-3.1-8b", "--isl", "1k", "--osl", "128", "--layout", "tp1", "--concurrency", "8")
TRAIN = ("train", "llama-3.1-8b", "--tokens", "1B", "--global-batch", "64")


@pytest.fixture
def ask(capsys):
    def asked(*words: str, code: int = 0) -> dict:
        assert run([*words, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return asked


@pytest.fixture
def told(capsys):
    def answered(*words: str, code: int = 0) -> str:
        assert run([*words]) == code
        out = capsys.readouterr()
        return " ".join((out.out + out.err).split())

    return answered


@pytest.mark.parametrize(
    ("chip", "place", "term", "words"),
    [
        ("h100-sxm", "DE", "on-demand", "none known in DE: on-demand, FI, EU, 2026-10-01"),
        ("h100-sxm", "EU", "on-demand", "on-demand, FI, EU, 2026-10-01"),
        ("h100-sxm", "JP", "on-demand", "none known in JP or asia-pacific: on-demand, world"),
        ("h20-96gb", "CN", "monthly", "monthly, CN, 2025-01-01"),
        ("ascend-910b", "CN", "on-demand", "on-demand, CN, 2026-07-15, vendor claim"),
        ("ascend-910c", "CN", "owned", "no rent is known: owning cost: accelerator at 142k CNY"),
        ("rtx-4090", "US", "on-demand", "none known in US or north-america: on-demand, world"),
        ("gaudi3", "US", "owned", "no rent is known: none known in US or north-america: owning cost"),
        ("tpu-v6e", "US", "on-demand", "on-demand, US, 2026-08-19"),
        ("trainium2", "US", "on-demand", "on-demand, US, 2026-05-21"),
    ],
)
def test_a_service_says_term_place_and_day_of_its_price(ask, chip, place, term, words) -> None:
    found = ask(*SERVE, "--on", f"1x{chip}", "--in", place)
    assert (found["price_term"], found["price"].startswith(words)) == (term, True), found["price"]
    assert found["cost_per_million_output_tokens"] > 0


def test_eu_is_a_place_and_atlantis_is_none(told) -> None:
    assert "is not a country" in told(*SERVE, "--on", "1xh100-sxm", "--in", "Atlantis", code=2)
    assert "EU has no rules of its own" in told("lawful", "llama-3.1-8b", "--in", "EU", code=2)
    assert "to DE on" in told("show", "h100", "--in", "EU")


@pytest.mark.parametrize("price", ["$1e30/h", "$0/h", "$2000/h"])
@pytest.mark.parametrize("verb", [SERVE, TRAIN])
def test_an_absurd_price_is_refused_alike(told, verb, price) -> None:
    assert "expected more than nothing and at most $1080.00/h" in told(
        *verb, "--on", "1xh100-sxm", "--price", price, code=2
    )


@pytest.mark.parametrize("price", ["$-2/h", "-$2/h"])
@pytest.mark.parametrize("verb", [SERVE, TRAIN])
def test_a_negative_price_is_refused_alike(told, verb, price) -> None:
    assert "--price" in told(*verb, "--on", "1xh100-sxm", f"--price={price}", code=2)


def test_a_run_that_does_not_fit_has_a_price(ask, told) -> None:
    words = (
        "train",
        "llama-3.1-70b",
        "--on",
        "8xh100-sxm",
        "--task",
        "sft",
        "--tokens",
        "100M",
        "--global-batch",
        "64",
    )
    found = ask(*words, code=1)
    assert found["outcome"] == "memory"
    assert found["cost"] == pytest.approx(found["accelerator_hours"] * found["price"] * 3600)
    assert "no price is known" not in told(*words, code=1)


def test_a_run_on_ascend_is_priced_as_owned(ask, told) -> None:
    found = ask(*TRAIN, "--on", "8xascend-910c", "--in", "CN")
    assert found["cost"] > 0
    assert "ascend-910c/price.purchase.cny@2025-05" in found["sources"]
    assert "owning cost: accelerator at 142k CNY" in told(*TRAIN, "--on", "8xascend-910c", "--in", "CN")


def test_a_name_that_was_read_as_one_chip_is_said(ask, told) -> None:
    assert ask("fit", "llama-3.1-8b", "--on", "8xh100")["read_as"] == {"h100": "h100-sxm"}
    assert '"a100" as a100-sxm-80gb' in told("fit", "llama-3.1-8b", "--on", "8xa100")
    assert "read_as" not in ask("fit", "llama-3.1-8b", "--on", "8xh100-sxm")
    assert '"h100" is read as h100-sxm' in told("show", "h100")


def test_a_card_without_a_shop_and_a_fact_is_said(told) -> None:
    assert "rates.bf16 for mi308x" in told(*SERVE, "--on", "1xmi308x", code=3)
    assert "did you mean" not in told("show", "t4")


@pytest.mark.parametrize(
    ("day", "code", "words"),
    [
        ("2024-08-01", 0, "as known on 2024-08-01"),
        (
            "2024-02-01",
            0,
            "was announced on 2023-11-13 and could not be had yet on 2024-02-01: the first came on 2024-04",
        ),
        ("2023-02-01", 3, "it was released on 2024-04-24"),
    ],
)
def test_announced_is_not_shipped(told, day, code, words) -> None:
    assert words in told("show", "h200", "--as-of", day, code=code)


def test_a_chip_without_a_rent_shows_what_owning_costs(told) -> None:
    assert "no sourced rent; owning costs" in told("show", "gaudi3")
    assert "no sourced price" in told("show", "b30a")
