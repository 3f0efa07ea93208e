"""Accelerators from the catalogue, what they compute a format in, and their dies."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import pytest

from tonnage.catalog import load
from tonnage.errors import AmbiguousName, InputError, MissingFact
from tonnage.system import (
    FORMATS,
    Accelerator,
    Precision,
    accelerator,
    format_of,
    needed,
    per_die,
    rate,
    tier,
    unjoined,
)


def test_h20_as_its_datasheet_says() -> None:
    h20 = accelerator("h20", load())
    assert (h20.name, h20.vendor, h20.domain, h20.dies) == ("h20-96gb", "NVIDIA", 8, 1)
    assert h20.rates["bf16"] == 148e12
    assert (h20.memory, h20.bandwidth, h20.link, h20.nic) == (96e9, 4e12, 450e9, 50e9)
    assert h20.low["nic"] == 25e9
    facts = load()
    assert {facts.by_id(key).attribute for key in h20.facts} >= {"memory", "bandwidth", "link", "nic", "rates.bf16"}


def test_a_die_of_a_910c_is_half_of_it() -> None:
    whole = accelerator("ascend-910c", load())
    die = per_die(whole)
    assert (whole.dies, die.dies) == (2, 1)
    assert die.rates["bf16"] == whole.rates["bf16"] / 2
    assert die.domain == 2 * whole.domain
    assert die.bandwidth * 2 == whole.bandwidth
    h20 = accelerator("h20", load())
    assert per_die(h20) is h20


def test_a_chip_is_not_known_before_it_was_released() -> None:
    with pytest.raises(MissingFact):
        accelerator("h20", load(), datetime.date(2022, 1, 1))


def test_unknown_and_ambiguous_names() -> None:
    with pytest.raises(InputError):
        accelerator("h21x", load())
    with pytest.raises(AmbiguousName):
        accelerator("910", load())


def test_missing_rates_are_named() -> None:
    with pytest.raises(MissingFact, match=r"rates\.bf16"):
        accelerator("mi308x", load())


def _chip(**rates: float) -> Accelerator:
    return Accelerator("c", "c", "x", rates, 1e9, 1e12, 1e11, 8, 1e10)


@pytest.mark.parametrize(
    ("rates", "asked", "runs_in"),
    [
        ({"bf16": 1.0, "fp8": 2.0, "int8": 2.0, "fp4": 4.0}, "fp8", "fp8"),
        ({"bf16": 1.0, "fp8": 2.0}, "fp4", "bf16"),
        ({"bf16": 1.0}, "fp8", "bf16"),
        ({"fp16": 1.0}, "fp8", "fp16"),
        ({"bf16": 10.0, "int8": 1.0, "fp8": 20.0}, "int8", "fp8"),
        ({"bf16": 10.0, "int8": 1.0}, "int8", "bf16"),
    ],
)
def test_what_a_format_is_computed_in_is_said(rates: dict[str, float], asked: str, runs_in: str) -> None:
    answer = rate(_chip(**rates), asked)
    assert answer.runs_in == runs_in
    assert bool(answer.note) == (runs_in != asked)
    assert answer.value == rates[runs_in]


def test_no_rate_at_all_is_a_missing_fact() -> None:
    with pytest.raises(MissingFact):
        rate(_chip(fp64=1.0), "bf16")


def test_bytes_of_an_element_with_its_scales() -> None:
    """One scale of 1 byte for 16 (NVFP4) or 32 (MX) elements; 4 bytes for a block of 128 x 128 (DeepSeek-V3)."""
    assert FORMATS["nvfp4"].element == 0.5625
    assert FORMATS["mxfp4"].element == 0.53125
    assert FORMATS["fp8_block"].element == pytest.approx(1.000244, abs=1e-6)
    assert FORMATS["w4a16"].element == pytest.approx(0.5195, abs=1e-3)
    assert all(f.source for f in FORMATS.values())
    with pytest.raises(InputError) as caught:
        format_of("fp8_blok")
    assert caught.value.problems[0].suggestion == "fp8_block"


def test_precision_by_part() -> None:
    mixed = Precision(linear="fp8_block", experts="mxfp4")
    assert [mixed.weights(p).name for p in ("ffn", "experts", "head", "router", "shared_experts")] == [
        "fp8_block",
        "mxfp4",
        "bf16",
        "bf16",
        "fp8_block",
    ]


def test_every_chip_says_whose_it_is_and_what_it_is_programmed_by() -> None:
    """Facts with a source each; an overlay that does not say leaves them unknown."""
    catalog = load()
    for key in catalog.chips():
        facts = catalog.facts_of(key)
        assert {"vendor", "stack", "generation"} <= facts.keys(), key
        assert all(facts[name].source in catalog.source_list for name in ("vendor", "stack", "generation"))
    one = {key: accelerator(key, catalog) for key in ("a800", "h20-96gb", "mi300x", "atlas-350", "tpu-v5e")}
    assert [chip.stack for chip in one.values()] == ["cuda", "cuda", "rocm", "cann", "xla"]
    assert (one["a800"].generation, one["h20-96gb"].generation) == ("ampere", "hopper")


def test_a_chip_of_ones_own_is_of_no_ones_family(tmp_path: Path) -> None:
    (tmp_path / "nvidia-like.yaml").write_text(
        "chip: h100-clone\nsource: a quotation\nrates: {bf16: 300 TFLOP/s}\nmemory: 64 GB\nbandwidth: 1.6 TB/s\n"
    )
    own = accelerator("h100-clone", load(tmp_path))
    assert (own.vendor, own.stack, own.generation, own.link, own.nic) == (None, None, None, None, None)
    assert tier(own) == "analytic"
    assert unjoined(own, 1) is None
    assert unjoined(own, 2) == "nic"
    with pytest.raises(MissingFact, match="nic"):
        needed(own, "nic")
    (tmp_path / "nvidia-like.yaml").write_text((tmp_path / "nvidia-like.yaml").read_text() + "stack: cuda\n")
    assert accelerator("h100-clone", load(tmp_path)).stack == "cuda"


def test_a_chip_that_could_do_nothing_is_refused() -> None:
    """As an answer that somebody changed may hold: all of it is named."""
    chip = accelerator("h20", load())
    with pytest.raises(InputError) as caught:
        replace(chip, memory=0.0, rates={**chip.rates, "bf16": -1.0, "fp8": float("nan")})
    assert [problem.path for problem in caught.value.problems] == ["memory", "rates.bf16", "rates.fp8"]
