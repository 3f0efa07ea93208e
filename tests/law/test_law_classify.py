"""Verdicts that the public record states, for chips of the catalogue and for described ones."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from tonnage.catalog import load
from tonnage.errors import InputError
from tonnage.law import (
    ChipTraits,
    Classification,
    classify,
    explain,
    open_questions,
    performance_density,
    rule_book,
    rule_rows,
    source_rows,
    tpp,
    traits,
    traits_from_mapping,
)

Date = datetime.date
CATALOG = load()


def verdict(chip: str, date: str, place: str = "CN", headquarters: str | None = None) -> Classification:
    return classify(chip, Date.fromisoformat(date), place, headquarters, catalog=CATALOG)


# Rule of October 2023: (chip, paragraph or None, status in China, TPP, performance density), on any day of 2024.
CASES_2023 = [
    ("h100-sxm", "3A090.a", "denied", 15831, 19.45),
    ("h800-sxm", "3A090.a", "denied", 15832, 19.45),
    ("a800-sxm-80gb", "3A090.a", "denied", 4992, 6.04),
    ("h20-96gb", None, "free", 2368, 2.91),
    ("l20", None, "free", 1912, 3.14),
    ("l2", None, "free", 1544, 5.25),
    ("rtx-4090", "3A090.a", "exception", 5285, 8.68),
    ("rtx-4090d", None, "free", 4704, 7.72),
    ("l4", "3A090.a", "denied", 1936, 6.59),
]


@pytest.mark.parametrize(("chip", "paragraph", "status", "performance", "density"), CASES_2023)
def test_check_cases_of_the_rule_of_october_2023(
    chip: str, paragraph: str | None, status: str, performance: float, density: float
) -> None:
    found = verdict(chip, "2024-06-01")
    assert found.status == status
    assert found.paragraphs == ((paragraph,) if paragraph else ())
    assert found.rules == (("us_2023_10_17",) if paragraph else ())
    about = traits(chip, CATALOG)
    assert tpp(about) == pytest.approx(performance, rel=1e-3)
    assert performance_density(about) == pytest.approx(density, abs=0.01)


def test_a_consumer_chip_over_4800_may_use_the_notified_exception() -> None:
    found = verdict("rtx-4090", "2024-06-01")
    assert found.exception is not None
    assert (found.exception.exception, found.exception.notify) == ("NAC", True)
    elsewhere = verdict("rtx-4090", "2024-06-01", "VN")
    assert elsewhere.exception is not None
    assert (elsewhere.exception.exception, elsewhere.exception.notify) == ("ACA", False)


# Rule of January 2026: (chip, decided case by case, TPP, DRAM bandwidth [GB/s]).
CASES_2026 = [
    ("h20-96gb", True, 2368, 4000),
    ("h200-sxm", True, 15831, 4800),
    ("mi325x", True, 20919, 6000),
    ("b200-sxm", False, 36000, 7700),
    ("mi355x", False, 40264, 8000),
    ("rtx-pro-6000", True, 7485, 1792),
]


@pytest.mark.parametrize(("chip", "eligible", "performance", "bandwidth"), CASES_2026)
def test_check_cases_of_the_rule_of_january_2026(
    chip: str, eligible: bool, performance: float, bandwidth: float
) -> None:
    found = verdict(chip, "2026-01-20")
    assert found.status == ("case-by-case" if eligible else "denied")
    assert ("us_2026_01_15_case_by_case" in found.rules) is eligible
    about = traits(chip, CATALOG)
    assert tpp(about) == pytest.approx(performance, rel=1e-3)
    assert about.bandwidth == pytest.approx(bandwidth * 1e9)
    if eligible:
        assert any("commercially available in the United States" in text for text in found.conditions)


@pytest.mark.parametrize(
    ("date", "status", "rules"),
    [
        ("2024-02-01", "free", ()),
        ("2025-03-01", "free", ()),
        ("2025-04-08", "free", ()),
        ("2025-04-09", "licence", ("us_2025_04_09_h20_letter",)),
        ("2025-04-16", "licence", ("us_2025_04_09_h20_letter",)),
        ("2025-08-15", "case-by-case", ("us_2025_04_09_h20_letter", "us_2025_07_14_h20_reversal")),
        ("2026-01-20", "case-by-case", ("us_2025_04_09_h20_letter", "us_2026_01_15_case_by_case")),
    ],
)
def test_the_h20_in_china_day_by_day(date: str, status: str, rules: tuple[str, ...]) -> None:
    found = verdict("h20", date)
    assert (found.status, found.rules) == (status, rules)
    assert found.licence_needed is (status != "free")


def test_in_august_2025_the_h20_carries_a_fee_and_is_discouraged() -> None:
    found = verdict("h20", "2025-08-15")
    assert [(fee.share, fee.base) for fee in found.fees] == [(0.15, "revenue")]
    assert {measure.force for measure in found.measures} == {"inquiry", "discouraged"}
    assert any("15 % arrangement" in text for text in found.could_not_verify)
    assert verdict("h20", "2025-08-10").fees == ()


def test_what_was_not_yet_announced_could_not_be_known() -> None:
    day = Date(2025, 4, 10)
    assert classify("h20", day, "CN", catalog=CATALOG, known_at=day).status == "free"
    assert classify("h20", day, "CN", catalog=CATALOG, known_at=Date(2025, 4, 15)).status == "licence"
    assert classify("h20", Date(2026, 1, 20), "CN", catalog=CATALOG, known_at=Date(2025, 2, 28)).status == "free"


@pytest.mark.parametrize(
    ("chip", "date", "status"),
    [
        ("a100-sxm-80gb", "2022-08-25", "free"),
        ("a100-sxm-80gb", "2022-08-26", "licence"),
        ("a100-sxm-80gb", "2022-10-21", "denied"),
        ("a800-sxm-80gb", "2023-10-22", "free"),  # 400 GB/s of NVLink: under the 600 GB/s of 2022
        ("h800-sxm", "2023-10-22", "free"),
        ("h800-sxm", "2023-10-23", "licence"),  # at once for NVIDIA
        ("h800-sxm", "2023-11-17", "denied"),
        ("b30a", "2025-11-06", "denied"),
        ("mi308x", "2025-03-01", "free"),
        ("mi308x", "2025-04-16", "licence"),
        ("h200-sxm", "2025-12-31", "denied"),
        ("v100-sxm2-32gb", "2026-06-01", "free"),
    ],
)
def test_turning_points(chip: str, date: str, status: str) -> None:
    assert verdict(chip, date).status == status


def test_the_requirement_follows_the_headquarters() -> None:
    assert verdict("h100-sxm", "2024-06-01", "SG").status == "free"
    assert verdict("h100-sxm", "2024-06-01", "SG", "CN").status == "denied"
    assert verdict("h100-sxm", "2023-06-01", "SG", "CN").status == "free"
    assert verdict("h200-sxm", "2026-02-01", "SG", "CN").status == "denied"  # the review policy is for China only
    assert verdict("h100-sxm", "2024-06-01", "US", "CN").status == "free"
    assert any("follows the headquarters" in text for text in verdict("h200", "2026-06-01", "SG", "CN").notes)


def test_other_destinations() -> None:
    assert verdict("h100-sxm", "2024-06-01", "AE").status == "approval"
    assert verdict("h100-sxm", "2024-06-01", "RU").status == "denied"
    assert verdict("h100-sxm", "2024-06-01", "JP").status == "free"
    assert verdict("h100-sxm", "2023-06-01", "AE").status == "free"
    assert verdict("h100-sxm", "2024-06-01", "IL").status == "free"  # D:4, but A:6
    assert verdict("h100-sxm", "2024-06-01", "Hong Kong").status == "denied"
    later = verdict("h200-sxm", "2026-08-01", "AE")
    assert later.status == "approval"  # out of D:4, the requirement stays
    assert any("G42" in text for text in later.notes)


def test_chips_designed_in_china() -> None:
    at_home = verdict("ascend-910c", "2025-06-01", "CN")
    assert at_home.status == "free"
    assert any("General Prohibition 10" in text for text in at_home.risks)
    assert any("Entity List" in text for text in at_home.notes)
    assert verdict("ascend-910c", "2025-05-12", "CN").risks == ()
    abroad = verdict("ascend-910c", "2025-06-01", "SG")
    assert (abroad.status, abroad.rules) == ("risk", ("us_2025_05_13_guidance",))
    assert verdict("ascend-910c", "2025-05-12", "SG").status == "free"


def test_the_duty_on_the_h200_and_the_hold_at_the_border() -> None:
    found = verdict("h200", "2026-01-20")
    assert [(fee.share, fee.base) for fee in found.fees] == [(0.25, "import value")]
    assert "barred" in {measure.force for measure in found.measures}
    assert "barred" not in {measure.force for measure in verdict("h200", "2026-03-01").measures}
    assert "barred" in {measure.force for measure in verdict("h200", "2026-06-01").measures}


def test_the_diffusion_rule_was_not_enforced_but_might_have_been() -> None:
    day = Date(2025, 6, 1)
    assert classify("h100-sxm", day, "SG", catalog=CATALOG).status == "free"
    foreseen = classify("h100-sxm", day, "SG", catalog=CATALOG, known_at=Date(2025, 3, 1))
    assert (foreseen.status, foreseen.rules) == ("approval", ("us_2025_01_15_diffusion",))
    assert classify("h100-sxm", day, "JP", catalog=CATALOG, known_at=Date(2025, 3, 1)).status == "free"


def test_margins_are_given_for_what_does_not_apply_too() -> None:
    found = {(m.paragraph, m.metric, m.threshold): m for m in verdict("h20", "2025-03-01").margins}
    near = found["3A090.b", "tpp", 2400]
    assert near.value == pytest.approx(2368)
    assert near.ratio == pytest.approx(2368 / 2400)
    assert near.margin == pytest.approx(-32 / 2400)
    assert near.holds is False
    assert found["3A090.b", "performance_density", 3.2].ratio == pytest.approx(2.909 / 3.2, rel=1e-3)


def test_missing_facts_are_said_not_guessed() -> None:
    chip = ChipTraits("x", rates=(("fp8", 350e12),), datacentre=True, designed_in="US", bandwidth=1e12)
    found = classify(chip, Date(2024, 6, 1), "CN")
    assert found.status == "unverified"
    assert any("performance density of x is not known" in text for text in found.could_not_verify)
    slow = ChipTraits("y", rates=(("fp8", 100e12),), datacentre=True, designed_in="US", bandwidth=1e12)
    assert classify(slow, Date(2024, 6, 1), "CN").status == "free"  # under 1,600 whatever its area
    fast = ChipTraits("z", rates=(("fp8", 600e12),), datacentre=True, designed_in="US", bandwidth=1e12)
    assert classify(fast, Date(2024, 6, 1), "CN").status == "denied"  # 600 TOPS x 8 bits = 4,800: BIS's own example


# (TPP, die area [mm2], memory [GB/s], link both ways [GB/s], data centre, day, status): both sides of each threshold.
EDGES: list[tuple[float, float, float, float, bool, str, str]] = [
    (4800, 5000, 1000, 600, True, "2023-01-01", "denied"),  # 87 FR 62186: 4,800 and 600 GB/s
    (4799, 5000, 1000, 600, True, "2023-01-01", "free"),
    (4800, 5000, 1000, 599, True, "2023-01-01", "free"),
    (4800, 5000, 1000, 100, True, "2024-06-01", "denied"),  # 3A090.a.1
    (4799, 5000, 1000, 100, True, "2024-06-01", "free"),
    (1600, 1600 / 5.93, 1000, 100, True, "2024-06-01", "denied"),  # 3A090.a.2: density 5.92
    (1599, 1599 / 5.93, 1000, 100, True, "2024-06-01", "free"),
    (1600, 1600 / 5.91, 1000, 100, True, "2024-06-01", "exception"),
    (2400, 2400 / 1.61, 1000, 100, True, "2024-06-01", "exception"),  # 3A090.b.1: density 1.6
    (2400, 2400 / 1.59, 1000, 100, True, "2024-06-01", "free"),
    (2399, 2399 / 1.61, 1000, 100, True, "2024-06-01", "free"),
    (1600, 1600 / 3.21, 1000, 100, True, "2024-06-01", "exception"),  # 3A090.b.2: density 3.2
    (1600, 1600 / 3.19, 1000, 100, True, "2024-06-01", "free"),
    (4799, 100, 1000, 100, False, "2024-06-01", "free"),  # note 2: not for data centres
    (4800, 100, 1000, 100, False, "2024-06-01", "exception"),
    (20999, 800, 6499, 100, True, "2026-01-20", "case-by-case"),  # 91 FR 1684, both strict
    (21000, 800, 6499, 100, True, "2026-01-20", "denied"),
    (20999, 800, 6500, 100, True, "2026-01-20", "denied"),
    (1000, 800, 4000, 100, True, "2025-06-01", "licence"),  # the letter, as inferred
    (1000, 800, 1399, 900, True, "2025-06-01", "licence"),
    (1000, 800, 1399, 899, True, "2025-06-01", "free"),
    (1000, 800, 1400, 899, True, "2025-06-01", "unverified"),  # the letter, as reported
]


@pytest.mark.parametrize(("total", "area", "memory", "link", "datacentre", "date", "status"), EDGES)
def test_both_sides_of_every_threshold(
    total: float, area: float, memory: float, link: float, datacentre: bool, date: str, status: str
) -> None:
    chip = ChipTraits(
        "edge",
        rates=(("fp8", total / 8 * 1e12),),
        die_area_mm2=area,
        bandwidth=memory * 1e9,
        link=link / 2 * 1e9,
        datacentre=datacentre,
        designed_in="US",
    )
    assert classify(chip, Date.fromisoformat(date), "CN").status == status


def test_memory_sold_by_itself() -> None:
    stack = ChipTraits("hbm", memory_bandwidth_density=2.4, datacentre=True, designed_in="KR", rates=(("fp8", 1.0),))
    assert classify(stack, Date(2025, 3, 1), "CN").paragraphs == ("3A090.c",)
    assert classify(stack, Date(2024, 12, 30), "CN").status == "free"  # compliance began on 2024-12-31
    assert not any(m.metric == "memory_bandwidth_density" for m in verdict("h20", "2025-03-01").margins)


def test_a_described_chip_is_classified_like_a_known_one() -> None:
    chip = traits_from_mapping(
        {
            "name": "like-h20",
            "vendor": "NVIDIA",
            "rates": {"fp8": "296 TFLOP/s", "bf16": "148 TFLOP/s"},
            "die_area": "814 mm2",
            "memory_bandwidth": "4 TB/s",
            "link": "450 GB/s",
            "datacentre": True,
            "released": "2024-01",
        }
    )
    known = traits("h20", CATALOG)
    assert (tpp(chip), chip.bandwidth, chip.link, chip.designed_in) == (tpp(known), known.bandwidth, known.link, "US")
    assert classify(chip, Date(2025, 3, 1), "CN").status == "free"
    assert classify(chip, Date(2025, 4, 16), "CN").status == "licence"  # by its numbers: it is not named
    assert classify(chip, Date(2025, 8, 15), "CN").status == "licence"  # the reversal names other chips
    assert classify(chip, Date(2026, 1, 20), "CN").status == "case-by-case"


def test_all_mistakes_of_a_described_chip_are_told_at_once() -> None:
    wrong = {"nam": "x", "rates": {"fp9": "1 TFLOP/s", "int8": "3 GB"}, "die_area": "big", "bandwidth": "4 km"}
    with pytest.raises(InputError) as caught:
        traits_from_mapping(wrong | {"datacentre": "yes", "designed_in": "Chna", "link": -3})
    problems = {problem.path: problem for problem in caught.value.problems}
    assert set(problems) == {
        *("chip.nam", "chip.name", "chip.rates.fp9", "chip.rates.int8", "chip.die_area"),
        *("chip.bandwidth", "chip.datacentre", "chip.designed_in", "chip.link"),
    }
    assert problems["chip.nam"].suggestion == "name"
    assert problems["chip.designed_in"].suggestion == "china"


def test_a_chip_of_an_overlay_is_classified_from_its_numbers(tmp_path: Path) -> None:
    text = """chip: mine
vendor: Foo
source: Quotation of our supplier
rates: {bf16: 290 to 310 TFLOP/s}
bandwidth: 1.2 TB/s
link: 200 GB/s
domain: 8
die_area: 3000 mm2
datacentre: true
"""
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    own = load(tmp_path)
    found = classify("mine", Date(2024, 6, 1), "CN", catalog=own)
    about = traits("mine", own)
    assert tpp(about) == pytest.approx(300 * 16)
    assert performance_density(about) == pytest.approx(1.6)
    assert found.status == "denied"  # 4,800 exactly
    near = text.replace("290 to 310", "280 to 310")
    (tmp_path / "mine.yaml").write_text(near, encoding="utf-8")
    doubtful = classify("mine", Date(2024, 6, 1), "CN", catalog=load(tmp_path))
    assert (doubtful.status, doubtful.paragraphs) == ("free", ())  # TPP 4,720, density 1.57
    assert any("upper ends" in text for text in doubtful.could_not_verify)


def test_places_are_checked() -> None:
    with pytest.raises(InputError, match="two-letter code"):
        verdict("h20", "2025-03-01", "Atlantis")
    assert verdict("h20", "2025-04-16", "china").place == "CN"
    assert verdict("h20", "2025-04-16", "CN-inner-mongolia").place == "CN"


def test_the_explanation_says_what_why_and_how_near() -> None:
    needed = " ".join(explain(verdict("h20", "2025-04-16")))
    assert needed.startswith("A licence is needed")
    assert "us_2025_04_09_h20_letter" in needed
    assert "8-K" in needed
    not_needed = explain(verdict("h20", "2025-03-01"))
    assert not_needed[0].startswith("No licence is needed")
    assert any("TPP 2,368 < 2,400 (1.3 % below)" in line for line in not_needed)
    at_home = explain(verdict("ascend-910b", "2025-06-01"))
    assert "are not asked of it" in at_home[1]
    assert any("General Prohibition 10" in line for line in at_home)
    assert "No rule on file controls such chips in JP" in explain(verdict("h100-sxm", "2025-06-01", "JP"))[1]
    assert any("25 % of import value" in line for line in explain(verdict("h200", "2026-02-01")))


def test_every_chip_on_every_turning_day_has_a_verdict_with_sources() -> None:
    days = sorted({rule.acts_from for rule in rule_book().rules})
    for chip in CATALOG.chips():
        about = traits(chip, CATALOG)
        for day in (days[0], days[len(days) // 2], days[-1]):
            for place in ("CN", "AE", "US"):
                found = classify(about, day, place)
                assert found.status == "free" or found.sources
                assert explain(found)
                json.dumps(found.to_json(), allow_nan=False)


def test_rows_for_show() -> None:
    rows = rule_rows(Date(2025, 4, 16), "CN")
    states = {row["id"]: row["state"] for row in rows}
    assert states["us_2025_04_09_h20_letter"] == "in force"
    assert states["us_2022_10_07"] == "ended"
    assert states["us_2025_01_15_diffusion"] == "in force, compliance from 2025-05-15"
    assert "us_2025_08_11_fee15" not in states
    whole = {row["id"]: row["state"] for row in rule_rows()}
    assert whole["us_2025_01_15_diffusion"] == "in force, not enforced since 2025-05-13"
    letter = next(row for row in rows if row["id"] == "us_2025_04_09_h20_letter")
    assert "memory bandwidth >= 4000 GB/s (inferred)" in letter["thresholds"]
    caps = {row["id"]: (row["fee_share"], row["volume_cap"], row["unit_cap"]) for row in rule_rows()}
    assert caps["us_2026_01_15_case_by_case"] == (None, 0.5, None)
    assert caps["us_2026_05_h200_ten_firms"] == (None, None, 75000)
    assert caps["us_2026_01_15_tariff232"] == (0.25, None, None)
    assert any("letters of April 2025" in text for text in open_questions())
    shown = source_rows(rows[0]["sources"])
    assert shown[0]["title"]
    assert shown[0]["known"] in ("fetched", "recalled")
