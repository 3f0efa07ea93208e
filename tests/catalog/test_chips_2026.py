"""Chips of small users and of the year, by hand; doubts as intervals; what is not public stays unknown."""

from __future__ import annotations

import datetime

import pytest

from tonnage.catalog import Catalog, load
from tonnage.errors import AmbiguousName, MissingFact
from tonnage.system import accelerator

D = datetime.date


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


@pytest.mark.parametrize(
    ("chip", "attribute", "value"),
    [
        ("rtx-3090", "bandwidth", 936e9),
        ("rtx-3090", "rates.bf16", 71e12),
        ("a6000", "memory", 48e9),
        ("a6000", "rates.bf16", 154.8e12),
        ("rtx-6000-ada", "rates.fp8", 729e12),
        ("a10", "rates.bf16", 125e12),
        ("a10g", "rates.bf16", 70e12),
        ("a30", "bandwidth", 933e9),
        ("a40", "bandwidth", 695.8e9),
        ("l40", "rates.fp16", 181e12),
        ("t4", "rates.fp16", 65.1e12),
        ("t4", "memory", 16e9),
        ("mi210", "rates.bf16", 181e12),
        ("mi210", "link", 150e9),
        ("maia-200", "bandwidth", 7e12),
        ("maia-200", "rates.fp4", 1e16),
        ("maia-100", "rates.bf16", 800e12),
        ("mtia-400", "rates.bf16", 3e15),
        ("mi430x", "memory", 432e9),
        ("rubin-cpx", "memory", 128e9),
        ("mlu690", "rates.bf16", 813e12),
        ("dcu-bw1000", "memory", 64 * 2**30),
        ("rtx-5090d", "rates.fp4", 1187.5e12),
        ("rtx-5090d-v2", "memory", 24e9),
        ("rtx-5090d-v2", "bandwidth", 1344e9),
        ("bi-v150", "rates.fp16", 240e12),
        ("ai200", "memory", 768e9),
        ("crescent-island", "bandwidth", 684e9),
        ("wse-3", "bandwidth", 2.1e16),
        ("trainium1", "rates.bf16", 190e12),
        # what listed chips lacked
        ("b30a", "rates.fp8", 2250e12),
        ("mi455x", "rates.bf16", 1e16),
        ("tpu-8t", "rates.bf16", 3150e12),
        ("tpu-8i", "link", 1200e9),
        ("rtx-pro-6000d", "power", 600),
        ("kunlun-p800", "link", 200e9),
        ("thead-ppu", "domain", 16),
        ("metax-c550", "rates.bf16", 280e12),
        ("mlu590", "nic", 25e9),
        ("ascend-960", "rates.bf16", 1e15),
    ],
)
def test_as_published(catalog: Catalog, chip: str, attribute: str, value: float) -> None:
    fact = catalog.fact(chip, attribute)
    assert fact.number == pytest.approx(value)
    assert fact.source in catalog.source_list


@pytest.mark.parametrize(
    ("chip", "attribute", "low", "value", "high"),
    [
        ("ascend-910c", "rates.bf16", 707.8e12, 800e12, 800e12),
        ("ascend-910c", "rates.fp16", 752e12, 800e12, 800e12),
        ("ascend-910b1", "rates.bf16", 400e12, 400e12, 414e12),
        ("rtx-pro-6000d", "bandwidth", 1398e9, 1398e9, 1568e9),
        ("b30a", "rates.bf16", 1125e12, 1125e12, 1500e12),
        ("mi308x", "bandwidth", 4000e9, 5300e9, 5300e9),
        ("vr200", "rates.fp4", 25e15, 35e15, 35e15),
        ("mtia-500", "memory", 384e9, 384e9, 512e9),
    ],
)
def test_doubts_are_intervals(
    catalog: Catalog, chip: str, attribute: str, low: float, value: float, high: float
) -> None:
    fact = catalog.fact(chip, attribute)
    assert (fact.low, fact.number, fact.high) == pytest.approx((low, value, high))
    assert fact.note


NOT_PUBLIC = ["mi308x", "dcu-z100", "enflame-l600", "br166", "metax-c600", "thead-m890", "mi430x", "wse-3"]


@pytest.mark.parametrize("chip", NOT_PUBLIC)
def test_what_is_not_public_is_named(catalog: Catalog, chip: str) -> None:
    with pytest.raises(MissingFact, match=chip):
        accelerator(chip, catalog)


@pytest.mark.parametrize(
    ("chip", "missing"),
    [
        ("thead-m890", "bandwidth, rates.bf16"),
        ("br166", "memory, bandwidth, rates.bf16"),
        ("kunlun-m100", "memory, bandwidth, rates.bf16"),
        ("rubin-cpx", "bandwidth, rates.bf16"),
        ("ai200", "bandwidth, rates.bf16"),
    ],
)
def test_all_that_is_missing_is_named_at_once(catalog: Catalog, chip: str, missing: str) -> None:
    with pytest.raises(MissingFact) as error:
        accelerator(chip, catalog)
    assert f"{chip}, {missing}" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("chip", "attribute", "value"),
    [
        ("bi-v150", "power", 350),  # its maker's prospectus; 600 stood on a machine-made page
        ("bi-v150", "link", 32e9),  # PCIe 4: its maker names no link of its own
        ("bi-v150", "bandwidth", 1100e9),
        ("ascend-910c", "rates.int8", 1504e12),  # 752 a die
        ("ascend-910b3", "rates.bf16", 313e12),  # 304 measured: the 294.9 of a tool is too low
        ("dcu-bw1000", "rates.bf16", 480e12),
        ("enflame-l600", "link", 400e9),  # 800 GB/s both ways
        ("kunlun-p800", "nic", 50e9),
        ("a30", "rates.bf16", 165e12),
        ("metax-c600", "power", 1000),
    ],
)
def test_what_was_looked_up(catalog: Catalog, chip: str, attribute: str, value: float) -> None:
    fact = catalog.fact(chip, attribute)
    assert fact.number == pytest.approx(value)
    assert not fact.recalled


def test_what_decides_a_readiness_a_law_or_a_rate_is_read(catalog: Catalog) -> None:
    """Of stacks, generations, dense rates, memory bandwidths and die areas; the rest says that it is recalled."""
    deciding = ("stack", "generation", "bandwidth", "die_area")
    facts = [fact for fact in catalog.tables["chips"] if fact.attribute in deciding or "rates." in fact.attribute]
    assert sum(fact.recalled for fact in facts) <= 0.08 * len(facts)


def test_an_l40_is_half_an_l40s(catalog: Catalog) -> None:
    assert catalog.chip("l40") == "l40"
    assert catalog.chip("L40S") == "l40s"
    half = catalog.fact("l40", "rates.bf16").number / catalog.fact("l40s", "rates.bf16").number
    assert half == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("h100", "h100-sxm"),
        ("a100", "a100-sxm-80gb"),
        ("A100-40GB", "a100-sxm-40gb"),
        ("nvidia h100 80gb hbm3", "h100-sxm"),
        ("t4", "t4"),
        ("a10", "a10"),
        ("a40", "a40"),
        ("3090", "rtx-3090"),
        ("RTX A6000", "a6000"),
        ("mi300", "mi300x"),
        ("5090d", "rtx-5090d"),
        ("trn2", "trainium2"),
        ("inf2", "inferentia2"),
        ("ironwood", "tpu-v7"),
        ("rubin", "vr200"),
        ("bw1000", "dcu-bw1000"),
        ("6000d", "rtx-pro-6000d"),
        ("rtx4090", "rtx-4090"),
        ("RTX 5090", "rtx-5090"),
        ("pro6000", "rtx-pro-6000"),
        ("rtx6000ada", "rtx-6000-ada"),
        ("h100sxm", "h100-sxm"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm-80gb"),
        ("a100-sxm4-40gb", "a100-sxm-40gb"),
        ("h200-141gb", "h200-sxm"),
        ("Tesla T4", "t4"),
        ("tesla-v100", "v100-sxm2-32gb"),
        ("ascend910b", "ascend-910b"),
        ("gaudi-3", "gaudi3"),
        ("maia200", "maia-200"),
    ],
)
def test_names_as_people_type_them(catalog: Catalog, name: str, key: str) -> None:
    assert catalog.chip(name) == key


def test_a_name_of_several_products_says_why_it_is_read_as_one(catalog: Catalog) -> None:
    alias = catalog.read_as("h100")
    assert alias is not None
    assert alias.key == "h100-sxm"
    assert "PCIe" in alias.reason
    assert catalog.read_as("h100-sxm") is catalog.read_as("910c") is catalog.read_as("nothing") is None
    for word in ("mtia", "maia", "gaudi"):
        with pytest.raises(AmbiguousName):
            catalog.chip(word)


def test_an_alias_is_of_one_chip_and_no_key(catalog: Catalog) -> None:
    facts = [fact for fact in catalog.tables["chips"] if fact.attribute in ("short", "read_as")]
    names = [name for fact in facts for name in str(fact.value).split()]
    assert len(names) == len(set(names)) == len(catalog.aliases)
    assert not set(names) & set(catalog.chips())
    assert all(fact.note for fact in facts if fact.attribute == "read_as")


def test_announced_first_shipped_and_released(catalog: Catalog) -> None:
    """NVIDIA announced the H200 in November 2023 and shipped it in April 2024."""
    assert catalog.announced("h200-sxm", D(2023, 11, 12)) is None
    assert catalog.announced("h200-sxm", D(2024, 2, 1)) == D(2023, 11, 13)
    assert catalog.announced("h200-sxm", D(2024, 8, 1)) is None
    assert catalog.first_had("h200-sxm") == D(2024, 4, 24)
    assert "h200-sxm" in catalog.chips(D(2024, 8, 1))
    assert "h200-sxm" not in catalog.chips(D(2024, 4, 23))
    assert "tpu-8t" not in catalog.chips(D(2026, 5, 1))
    assert catalog.announced("tpu-8t", D(2026, 5, 1)) == D(2026, 4, 22)


@pytest.mark.parametrize(
    ("chip", "memory", "bandwidth", "sixteen", "generation"),
    [
        ("rtx-4080", 16e9, 716.8e9, 97.5e12, "ada"),
        ("rtx-4070-ti-super", 16e9, 672.3e9, 88.2e12, "ada"),
        ("rtx-5080", 16e9, 960e9, 112.6e12, "blackwell-rtx"),
        ("rtx-5070-ti", 16e9, 896e9, 87.9e12, "blackwell-rtx"),
        ("rtx-a5000", 24e9, 768e9, 111.1e12, "ampere"),
        ("a16", 16e9, 200.1e9, 17.36e12, "ampere"),
        ("rtx-4500-ada", 24e9, 432e9, 158.5e12, "ada"),
        ("rtx-pro-4500", 32e9, 896e9, 202.1e12, "blackwell-rtx"),
        ("rtx-pro-5000", 48e9, 1344e9, 267.7e12, "blackwell-rtx"),
        ("p40", 24e9, 347.1e9, 11.76e12, "pascal"),
        ("mi100", 32e9, 1229e9, 92.3e12, "cdna1"),
        ("radeon-ai-pro-r9700", 32e9, 644.6e9, 191.4e12, "rdna4"),
        ("jetson-agx-orin-64gb", 64e9, 204.8e9, 42.6e12, "ampere"),
        ("jetson-agx-thor", 128e9, 273.2e9, 258.8e12, "blackwell-thor"),
    ],
)
def test_a_card_of_a_small_user_can_be_planned_on(
    catalog: Catalog, chip: str, memory: float, bandwidth: float, sixteen: float, generation: str
) -> None:
    die = accelerator(chip, catalog)
    assert (die.memory, die.bandwidth) == pytest.approx((memory, bandwidth), rel=1e-3)
    assert die.rates["bf16"] == pytest.approx(sixteen, rel=5e-3) and die.generation == generation


WRITTEN = {
    "RTX 4080": "rtx-4080",
    "4080 SUPER": "rtx-4080-super",
    "GeForce RTX 5070 Ti": "rtx-5070-ti",
    "A5000": "rtx-a5000",
    "W7900": "radeon-pro-w7900",
    "jetson-thor": "jetson-agx-thor",
    "P100": "p100-pcie",
    "Tesla P40": "p40",
    "RTX PRO 4500": "rtx-pro-4500",
    "5000 Ada": "rtx-5000-ada",
    "V100": "v100-sxm2-32gb",
}


@pytest.mark.parametrize("written", WRITTEN)
def test_small_cards_are_found_as_people_write_them(catalog: Catalog, written: str) -> None:
    assert accelerator(written, catalog).name == WRITTEN[written]
