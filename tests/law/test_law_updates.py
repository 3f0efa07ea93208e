"""What the rules say of the year to November 2026: pauses, buyers, conditions that decide, what was sold."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from tonnage.catalog import load
from tonnage.catalog.names import Alias, resolve
from tonnage.errors import InputError
from tonnage.law import (
    Buyer,
    Classification,
    Shares,
    classify,
    explain,
    lawful,
    lawful_designs,
    licence_refused,
    licensed_designs,
    load_rules,
    rule_book,
    rule_rows,
    rule_state,
    traits,
)
from tonnage.law.criteria import ChipTraits, traits_from_mapping
from tonnage.law.data import Pause

Date = datetime.date
CATALOG = load()


def verdict(
    chip: str | ChipTraits, date: str, place: str = "CN", home: str | None = None, buyer: Buyer | None = None
) -> Classification:
    return classify(chip, Date.fromisoformat(date), place, home, catalog=CATALOG, buyer=buyer)


def state(rule: str, day: str, known: str | None = None) -> str:
    book = rule_book().as_known(Date.fromisoformat(known or day))
    return rule_state(book.rule(rule), Date.fromisoformat(day))


# ---------------------------------------------------------------- rules that pause


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("2025-10-15", "in force"),
        ("2025-11-05", "in force, suspended from 2025-11-10"),
        ("2025-11-10", "suspended until 2026-11-09, back unless extended"),
        ("2026-11-09", "suspended until 2026-11-09, back unless extended"),
        ("2026-11-10", "in force again since 2026-11-10 unless the pause was extended"),
    ],
)
def test_the_affiliates_rule_as_planners_saw_it_on_each_day(day: str, words: str) -> None:
    assert state("us_2025_09_29_affiliates", day) == words


def test_a_planner_who_does_not_know_of_the_suspension_plans_with_the_rule() -> None:
    assert state("us_2025_09_29_affiliates", "2026-01-01", known="2025-10-15") == "in force"


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("2025-01-20", "in force, compliance from 2025-05-15"),
        ("2025-05-12", "in force, compliance from 2025-05-15"),
        ("2025-05-13", "in force, not enforced since 2025-05-13"),
        ("2026-11-29", "in force, not enforced since 2025-05-13"),
    ],
)
def test_the_diffusion_rule_is_on_the_books_and_not_enforced(day: str, words: str) -> None:
    assert state("us_2025_01_15_diffusion", day) == words


@pytest.mark.parametrize("place", ["SG", "MY", "IN", "PL"])
def test_a_return_of_the_diffusion_rule_is_said_as_a_risk(place: str) -> None:
    found = verdict("h100-sxm", "2026-09-01", place)
    assert found.status == "free"
    assert any("not enforced since 2025-05-13" in text for text in found.risks)
    assert any("Diffusion" in text for text in lawful("h100-sxm", Date(2026, 9, 1), place, catalog=CATALOG).notes)


@pytest.mark.parametrize(("chip", "place"), [("h100-sxm", "DE"), ("h100-sxm", "JP"), ("rtx-4090", "SG"), ("l20", "PL")])
def test_allies_and_small_chips_carry_no_such_risk(chip: str, place: str) -> None:
    found = verdict(chip, "2026-09-01", place)
    assert found.status == "free"
    assert found.risks == ()


def test_a_rule_made_never_paused_bites_again() -> None:
    for spec in ("with us_2025_01_15_diffusion.paused=never", "with us_2025_01_15_diffusion.ended=never"):
        book = rule_book(spec)
        found = classify("h100-sxm", Date(2025, 6, 1), "SG", catalog=CATALOG, book=book)
        assert found.status == "approval"
        assert "never paused" in book.changes[0]
    with pytest.raises(InputError, match="never"):
        rule_book("with us_2025_01_15_diffusion.paused=2026-01-01")


def test_a_pause_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="not a pause"):
        Pause(Date(2026, 1, 2), Date(2026, 1, 1), "suspended", Date(2026, 1, 1))
    with pytest.raises(ValueError, match="not a pause"):
        Pause(Date(2026, 1, 2), Date(2026, 1, 1), "forgotten")


@pytest.mark.parametrize(
    ("rule", "day", "words"),
    [
        ("us_2026_03_05_draft_global_licence", "2026-03-10", "proposed, not in force"),
        ("us_2026_03_05_draft_global_licence", "2026-04-01", "withdrawn 2026-03-13, never in force"),
        ("us_2026_02_26_action_plan_rule", "2026-04-01", "withdrawn 2026-03-13, never in force"),
        ("us_bill_gain_ai", "2026-01-01", "left out of the final act 2025-12-07, never in force"),
        ("us_bill_chip_security", "2026-10-01", "proposed, not in force"),
    ],
)
def test_drafts_and_bills_are_never_law(rule: str, day: str, words: str) -> None:
    assert state(rule, day) == words


def test_the_tiers_of_the_draft_are_not_applied() -> None:
    for place in ("DE", "JP", "US"):
        found = verdict("gb300", "2026-03-10", place, buyer=Buyer(count=500_000))
        assert (found.status, found.findings) == ("free", ())


# ---------------------------------------------------------------- buyers

OWNED = [
    ("2025-10-15", 0.52, "licence", "ownership test"),
    ("2026-06-01", 0.52, "free", "suspended until 2026-11-09"),
    ("2026-11-15", 0.52, "licence", "extended beyond 2026-11-09"),
    ("2025-10-15", 0.40, "free", "red flag"),
    ("2025-10-15", 0.50, "licence", "ownership test"),
    ("2025-09-28", 0.52, "free", ""),
]


@pytest.mark.parametrize(("date", "share", "status", "words"), OWNED)
def test_a_buyer_whom_listed_firms_own(date: str, share: float, status: str, words: str) -> None:
    found = verdict("h100-sxm", date, "SG", buyer=Buyer(listed_share=share))
    assert found.status == status
    assert words in " ".join(explain(found))
    assert verdict("h100-sxm", date, "SG").status == "free"


def test_ownership_does_not_make_a_denial_milder() -> None:
    found = verdict("h100-sxm", "2025-10-15", "CN", buyer=Buyer(listed_share=0.6))
    assert found.status == "denied"


GULF = [
    ("gb300", "AE", "G42", 20_000, "2025-12-01", "authorised"),
    ("gb300", "SA", "Humain", 35_000, "2025-12-01", "authorised"),
    ("gb300", "SA", "Humain", 50_000, "2025-12-01", "approval"),
    ("gb300", "SA", "another firm", 100, "2025-12-01", "approval"),
    ("gb300", "SA", "G42", 100, "2025-12-01", "approval"),
    ("gb300", "AE", "G42", 20_000, "2025-11-18", "approval"),
    ("gb300", "AE", "Core42", 20_000, "2026-08-01", "free"),
    ("gb300", "AE", "another firm", 100, "2026-08-01", "approval"),
    ("gb300", "AE", "Core42", 20_000, "2026-07-01", "authorised"),
    ("gb300", "AE", "Core42", 50_000, "2026-07-01", "approval"),
    ("gb300", "AE", "g42", 50_000, "2027-04-06", "approval"),
    ("gb300", "AE", "Microsoft", 5_000, "2025-12-01", "authorised"),
    ("gb300", "AE", "Microsoft", 6_000, "2025-12-01", "approval"),
    ("h200-sxm", "AE", "G42", 100_000, "2025-12-01", "authorised"),
]


@pytest.mark.parametrize(("chip", "place", "name", "count", "date", "status"), GULF)
def test_licences_of_the_gulf(chip: str, place: str, name: str, count: float, date: str, status: str) -> None:
    assert verdict(chip, date, place, buyer=Buyer(name, count=count)).status == status


def test_what_exceeds_a_grant_is_said() -> None:
    found = verdict("gb300", "2025-12-01", "SA", buyer=Buyer("Humain", count=50_000))
    assert any("more licences are needed" in text for text in found.notes)
    free = verdict("gb300", "2026-08-01", "AE", buyer=Buyer("Core42", count=50_000))
    assert free.rules == ("us_2026_07_10_uae_listed",)


@pytest.mark.parametrize(("place", "words"), [("AE", "35,000 GB300"), ("SA", "35,000 GB300"), ("AE", "500,000 chips")])
def test_the_record_of_the_gulf_is_shown_to_every_buyer(place: str, words: str) -> None:
    assert any(words in text for text in verdict("h100-sxm", "2026-01-05", place).notes)
    assert not any("35,000" in text for text in verdict("h100-sxm", "2025-06-01", place).notes)


def test_what_is_not_data_centre_licence_says_nothing_of_validated_end_users() -> None:
    assert any("Validated End User" in text for text in verdict("h100-sxm", "2025-06-01", "KZ").notes)
    assert not any("Validated End User" in text for text in verdict("h100-sxm", "2025-06-01", "DE").notes)
    assert not any("Validated End User" in text for text in verdict("h100-sxm", "2025-06-01", "CN").notes)


def test_a_firm_on_the_entity_list_is_refused_anywhere() -> None:
    found = verdict("l20", "2026-01-05", "SG", buyer=Buyer("Inspur"))
    assert (found.status, found.paragraphs) == ("denied", ("the list",))
    assert "Entity List" in " ".join(explain(found))
    assert verdict("l20", "2023-03-01", "SG", buyer=Buyer("Inspur")).status == "free"
    assert verdict("l20", "2026-01-05", "SG", buyer=Buyer("DeepSeek")).status == "free"  # no listing was found
    assert verdict("ascend-910b", "2024-01-05", "CN", buyer=Buyer("Inspur")).status == "free"  # US rules do not start


HEADQUARTERS = [
    ("b200-sxm", "2026-06-15", "MY", "CN", "denied"),
    ("b200-sxm", "2026-06-15", "MY", "US", "free"),
    ("b200-sxm", "2026-06-15", "DE", "CN", "denied"),
    ("b200-sxm", "2026-06-15", "DE", None, "free"),
    ("h200-sxm", "2026-06-15", "DE", "CN", "denied"),  # the case-by-case review is for China itself
    ("b200-sxm", "2026-10-01", "AE", "US", "approval"),
    ("h100-sxm", "2026-09-01", "TH", "US", "free"),
    ("h100-sxm", "2025-10-01", "MY", "US", "free"),
]


@pytest.mark.parametrize(("chip", "date", "place", "home", "status"), HEADQUARTERS)
def test_headquarters(chip: str, date: str, place: str, home: str | None, status: str) -> None:
    assert verdict(chip, date, place, home).status == status


# ---------------------------------------------------------------- where chips are shipped from


def test_malaysias_own_permit_is_for_goods_that_leave() -> None:
    leaving = verdict("h100-sxm", "2025-09-01", "ID", buyer=Buyer(origin="MY"))
    assert any("Strategic Trade Permit" in text for text in leaving.notes)
    assert leaving.status == "free"  # besides any US rule
    staying = verdict("h100-sxm", "2025-09-01", "MY", buyer=Buyer(origin="US"))
    assert any("import and use in Malaysia do not" in text for text in staying.notes)
    assert not any("Strategic Trade" in text for text in verdict("h100-sxm", "2025-07-13", "MY").notes)


def test_only_exports_from_the_united_states_are_decided_case_by_case() -> None:
    assert verdict("h200-sxm", "2026-02-01", buyer=Buyer(origin="US")).status == "case-by-case"
    found = verdict("h200-sxm", "2026-02-01", buyer=Buyer(origin="Singapore"))
    assert found.status == "denied"
    assert any("only exports from the United States, not from SG" in line for line in explain(found))


def test_dual_use_lists_of_where_chips_leave_from() -> None:
    assert any("500 series" in text for text in verdict("h100-sxm", "2026-02-01", "SG", buyer=Buyer(origin="DE")).notes)
    assert any("United Kingdom" in t for t in verdict("h100-sxm", "2026-02-01", "SG", buyer=Buyer(origin="GB")).notes)
    assert not any("500 series" in text for text in verdict("h100-sxm", "2026-02-01", "DE").notes)


def test_imports_into_the_united_states_for_data_centres_pay_no_duty() -> None:
    found = verdict("b200-sxm", "2026-08-01", "US")
    assert (found.status, found.fees) == ("free", ())
    assert any("phase 2 was not triggered" in text for text in found.notes)


# ---------------------------------------------------------------- conditions that decide

SOLD = [
    ("tpu-v6e", "denied"),
    ("tpu-v5p", "denied"),
    ("trainium2", "denied"),
    ("trainium3", "denied"),
    ("h100-sxm", "case-by-case"),
    ("h800-sxm", "case-by-case"),
    ("mi300x", "case-by-case"),
    ("h200-sxm", "case-by-case"),
    ("b300-sxm", "denied"),
]


@pytest.mark.parametrize(("chip", "status"), SOLD)
def test_what_is_not_sold_in_the_united_states_is_not_decided_case_by_case(chip: str, status: str) -> None:
    found = verdict(chip, "2026-10-01")
    assert found.status == status
    rented = "only rented in its maker's cloud" in " ".join(explain(found))
    assert rented is (chip.startswith(("tpu", "trainium")))


def test_a_chip_of_ones_own_that_is_not_sold_or_came_later() -> None:
    chip = {"name": "own", "vendor": "NVIDIA", "rates": {"fp8": "1900 TFLOP/s"}, "die_area": "800 mm2"}
    chip |= {"memory_bandwidth": "4.7 TB/s", "datacentre": True}
    on_sale = traits_from_mapping(chip | {"sold": True, "released": "2025-06"})
    assert verdict(on_sale, "2026-02-01").status == "case-by-case"
    assert verdict(traits_from_mapping(chip | {"sold": False}), "2026-02-01").status == "denied"
    later = verdict(traits_from_mapping(chip | {"sold": True, "released": "2026-06-01"}), "2026-07-01")
    assert later.status == "denied"
    assert any("when it had to be on sale" in line for line in explain(later))


def test_chips_made_for_china_leave_the_condition_open() -> None:
    assert any("made for China" in text for text in verdict("h800-sxm", "2026-03-01").could_not_verify)
    assert not any("made for China" in text for text in verdict("h100-sxm", "2026-03-01").could_not_verify)


DUTY = [(15_832, 4800, True), (13_364, 4800, False), (15_832, 3350, False), (20_900, 5300, False), (20_919, 6000, True)]


@pytest.mark.parametrize(("total", "memory", "duty"), DUTY)
def test_the_bands_of_the_duty(total: float, memory: float, duty: bool) -> None:
    """H200 SXM, H200 NVL, H100 SXM, MI300X and MI325X by their numbers."""
    rates = (("fp8", total / 8 * 1e12),)
    chip = ChipTraits("x", rates=rates, die_area_mm2=814.0, bandwidth=memory * 1e9, datacentre=True, designed_in="US")
    found = verdict(chip, "2026-03-01")
    assert found.status == "case-by-case"
    assert bool(found.fees) is duty


# ---------------------------------------------------------------- what was sold, and what letters reach


def test_the_rtx_pro_6000d_was_sold_without_a_licence() -> None:
    for day in ("2025-08-01", "2025-10-01", "2026-10-01"):
        found = verdict("rtx-pro-6000d", day)
        assert found.status == "free"
        assert any("sold to China without a licence from 2025-07-14" in text for text in found.could_not_verify)
    assert "barred" in {measure.force for measure in verdict("rtx-pro-6000d", "2025-10-01").measures}
    assert not lawful("rtx-pro-6000d", Date(2025, 10, 1), "CN", catalog=CATALOG).planned  # by China, not by the US


def test_a_chip_of_which_nothing_is_known_is_not_presumed_free() -> None:
    chip = ChipTraits("x", datacentre=True, designed_in="US", china_oriented=True)
    assert verdict(chip, "2025-10-01").status == "unverified"


def test_a_chip_above_the_reported_letter_has_no_certain_exception() -> None:
    """RTX 5090: 3A090.a with NAC by its numbers, and 1,792 GB/s over the 1,400 that the letters are said to name."""
    assert verdict("rtx-5090", "2025-04-08").status == "exception"
    for day in ("2025-04-09", "2025-09-15", "2026-10-01"):
        found = verdict("rtx-5090", day)
        assert found.status == "unverified"
        assert {"us_2023_10_17", "us_2025_04_09_h20_letter"} <= set(found.rules)
        assert not lawful("rtx-5090", Date.fromisoformat(day), "CN", catalog=CATALOG).planned
    assert verdict("rtx-4090", "2025-09-15").status == "exception"  # 1,008 GB/s
    assert verdict("rtx-5090", "2025-09-15", "DE").status == "free"


NEIGHBOURS = [  # (TPP, die [mm2], memory [GB/s], data centre, day, status): cards of small users by their numbers
    (2897, 608.5, 864, True, "2024-06-01", "exception"),  # L40, 3A090.b and not L40S
    (5864, 608.5, 864, True, "2024-06-01", "denied"),  # L40S
    (2640, 826, 933, True, "2024-06-01", "exception"),  # A30
    (2395, 628, 696, True, "2024-06-01", "exception"),  # A40
    (1042, 545, 320, True, "2024-06-01", "free"),  # T4
    (4750, 750, 1344, False, "2025-09-15", "free"),  # RTX 5090 D V2
    (4750, 750, 1792, False, "2025-04-01", "free"),  # RTX 5090 D
    (4750, 750, 1792, False, "2025-09-15", "unverified"),  # after the letters
    (12104, 814, 2000, True, "2024-06-01", "denied"),  # H800 PCIe
    (2832, 421, 205, True, "2024-12-15", "denied"),  # MTIA v2
    (819, 373, 176, True, "2024-06-01", "free"),  # MTIA v1
]


@pytest.mark.parametrize(("total", "area", "memory", "datacentre", "date", "status"), NEIGHBOURS)
def test_cards_by_their_numbers(
    total: float, area: float, memory: float, datacentre: bool, date: str, status: str
) -> None:
    chip = ChipTraits(
        "card",
        rates=(("fp8", total / 8 * 1e12),),
        die_area_mm2=area,
        bandwidth=memory * 1e9,
        datacentre=datacentre,
        designed_in="US",
    )
    assert verdict(chip, date).status == status


ALIASES = {"mi308": Alias("mi308x")}


def test_an_l40_is_not_read_as_an_l40s() -> None:
    """Two chips of two paragraphs: one is never answered for the other, whether or not it is in the catalogue."""
    keys = ("l40s", "b30a", "mi250x", "mi308x", "h100-sxm", "inferentia2")
    for name in ("l40", "b30", "mi250"):
        with pytest.raises(InputError) as caught:
            resolve(name, keys, ALIASES)
        assert caught.value.problems[0].suggestion in keys
    assert resolve("l40", (*keys, "l40"), ALIASES) == "l40"
    assert resolve("mi308", keys, ALIASES) == "mi308x"
    assert resolve("h100", keys, ALIASES) == "h100-sxm"
    assert resolve("inferentia", keys, ALIASES) == "inferentia2"


# ---------------------------------------------------------------- Chinese measures


def forces(chip: str, date: str) -> set[str]:
    return {measure.force for measure in verdict(chip, date).measures}


def test_customs_sweeps() -> None:
    assert {"discouraged", "inspected"} <= forces("h20-96gb", "2025-11-01")
    assert "inspected" not in forces("h20-96gb", "2025-10-09")
    assert "inspected" in forces("h100-sxm", "2025-11-01")  # all advanced chips
    assert "inspected" not in forces("rtx-4090", "2025-11-01")
    assert "inspected" not in forces("ascend-910c", "2025-11-01")
    assert [fee.share for fee in verdict("h20-96gb", "2025-11-01").fees] == [0.15]


def test_h200_after_the_summer_of_2026() -> None:
    assert "barred" in forces("h200-sxm", "2026-07-25")
    found = verdict("h200-sxm", "2026-10-01")
    assert found.status == "case-by-case"
    assert "conditional" in {measure.force for measure in found.measures}
    assert "barred" not in {measure.force for measure in found.measures}
    unaware = classify("h200-sxm", Date(2026, 10, 1), "CN", catalog=CATALOG, known_at=Date(2026, 9, 1))
    assert "barred" in {measure.force for measure in unaware.measures}  # it was told on 2026-10-09


def test_mi308x_in_december_2025() -> None:
    found = verdict("mi308x", "2025-12-01")
    assert found.status == "case-by-case"
    assert [fee.share for fee in found.fees] == [0.15]


def test_every_row_of_the_update_is_on_file() -> None:
    states = {row["id"]: row["state"] for row in rule_rows(Date(2026, 11, 29))}
    assert states["my_2025_07_14_permit"] == "in force"
    assert states["tw_2025_06_14_shtc"] == "in force"
    assert states["us_2024_09_30_dc_veu"] == "in force"
    assert "us_2026_05_13_gpgpu_consultation" not in states  # one page of low trust
    assert load_rules().sources["gao_b337935"].known == "fetched"


# ---------------------------------------------------------------- designs that a licence would allow


def test_designs_that_would_be_decided_case_by_case_stand_apart() -> None:
    h100 = traits("h100-sxm", CATALOG)
    day = Date(2023, 1, 15)
    owned = licensed_designs(h100, day, "CN", "US")  # firms of A:5 and A:6 are decided case by case
    assert owned == (Shares(),)
    assert licensed_designs(h100, day, "CN") == ()
    assert all(shares != Shares() for shares in lawful_designs(h100, day, "CN"))


def test_a_new_design_was_not_on_sale_in_january_2026() -> None:
    h100 = traits("h100-sxm", CATALOG)
    day = Date(2026, 3, 1)
    assert licensed_designs(h100, day, "CN") == ()
    assert "had to be on sale" in licence_refused(h100, day, "CN")[0]
    assert licence_refused(h100, Date(2025, 3, 1), "CN") == ()


def test_a_chip_of_an_overlay_says_whether_it_is_sold(tmp_path: Path) -> None:
    text = """chip: mine
vendor: AMD
source: Quotation of our supplier
rates: {fp8: 1900 TFLOP/s, bf16: 950 TFLOP/s}
bandwidth: 4.7 TB/s
die_area: 800 mm2
datacentre: true
sold: %s
"""
    found = []
    for name, word in (("yes", "true"), ("no", "false")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "mine.yaml").write_text(text % word, encoding="utf-8")
        found.append(classify("mine", Date(2026, 2, 1), "CN", catalog=load(folder)).status)
    assert found == ["case-by-case", "denied"]
