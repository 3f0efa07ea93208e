"""The data behind the rules, and the what-ifs on them."""

from __future__ import annotations

import dataclasses
import datetime

import pytest

from tonnage.catalog import load
from tonnage.errors import InputError
from tonnage.law import classify, load_rules, rule_book
from tonnage.law.data import parse_tree

Date = datetime.date
DATA = load_rules()
CATALOG = load()


def test_every_rule_metric_party_and_group_has_a_source_that_exists() -> None:
    users = [*DATA.rules, *DATA.metrics.values(), *DATA.parties, *DATA.places.groups.values()]
    assert len(DATA.rules) >= 30
    for user in users:
        assert user.sources
        assert set(user.sources) <= set(DATA.sources)
    for source in DATA.sources.values():
        assert source.title
        assert source.known in ("fetched", "recalled")
        assert source.url.startswith("http") or source.known == "recalled"


def test_no_source_lies_unused() -> None:
    users = [*DATA.rules, *DATA.metrics.values(), *DATA.parties, *DATA.places.groups.values()]
    assert set(DATA.sources) == {source for user in users for source in user.sources}


def test_a_rule_without_a_source_does_not_load() -> None:
    with pytest.raises(ValueError, match="needs a source"):
        dataclasses.replace(DATA.rules[0], sources=())
    with pytest.raises(ValueError, match="not a status"):
        dataclasses.replace(DATA.rules[0], status="forbidden")
    with pytest.raises(ValueError, match="not a criterion"):
        parse_tree({"metric": "tpp", "op": "~", "value": 1})


def test_dates_are_in_order() -> None:
    for rule in DATA.rules:
        known_after = {"cn_2026_07_h200_partial"}  # what a filing tells of the quarter before
        assert (rule.acts_from - rule.announced).days >= -14 or rule.id in known_after, rule.id
        if rule.ended is not None:
            assert rule.ended > rule.effective
            assert rule.ended_announced is not None
            assert rule.announced <= rule.ended_announced
            assert rule.ended_announced <= rule.ended or rule.kind == "measure"  # a filing tells it later


def test_every_chip_named_in_a_rule_is_in_the_catalogue() -> None:
    named = {chip for rule in DATA.rules for chip in rule.chips}
    assert named - set(CATALOG.chips()) <= {"ascend-910d", "rtx-5090d-v2"}  # announced, or not described yet


def test_country_groups() -> None:
    day = Date(2024, 6, 1)
    has = DATA.places.has
    wide = DATA.places.members("d1_d4_d5", day)
    assert 40 <= len(wide) <= 50  # the rule speaks of about 45
    assert {"CN", "MO", "HK", "AE", "SA", "VN", "KZ", "RU", "IR"} <= set(wide)
    assert not {"US", "JP", "SG", "TW", "IL", "IN", "KR", "GB", "CY"} & set(wide)
    assert set(DATA.places.members("d5_macau", day)) - {"MO"} == set(DATA.places.members("d5", day))
    assert not has("china_macau", "MO", Date(2023, 1, 16))
    assert has("china_macau", "MO", Date(2023, 1, 17))
    assert has("d5", "KH", Date(2026, 2, 2))
    assert not has("d5", "KH", Date(2026, 2, 3))
    assert has("d1_d4_d5", "KH", Date(2026, 2, 3))  # still D:1
    assert has("d4", "AE", Date(2026, 7, 9))
    assert not has("d4", "AE", Date(2026, 7, 10))
    assert has("d1_d4_d5", "AE", Date(2026, 7, 10))  # named in the rule itself


def test_a_vendor_of_every_chip_has_a_home() -> None:
    for chip in CATALOG.chips():
        vendor = CATALOG.fact(chip, "vendor").value
        assert isinstance(vendor, str)
        assert DATA.places.home(vendor) is not None, vendor


def test_without_a_rule() -> None:
    book = rule_book().without("us_2025_04_09_h20_letter")
    assert len(book.rules) == len(DATA.rules) - 1
    assert classify("h20", Date(2025, 6, 1), "CN", catalog=CATALOG, book=book).status == "free"
    assert len(rule_book().rules) == len(DATA.rules)  # the record itself is not altered
    assert book.changes == ("without us_2025_04_09_h20_letter",)


def test_with_a_change() -> None:
    book = rule_book("with us_2025_04_09_h20_letter.ended=2025-05-01")
    assert classify("h20", Date(2025, 4, 30), "CN", catalog=CATALOG, book=book).status == "licence"
    assert classify("h20", Date(2025, 5, 1), "CN", catalog=CATALOG, book=book).status == "free"
    dearer = rule_book("with us_2025_08_11_fee15.fee_share=25 %")
    fees = classify("h20", Date(2025, 8, 15), "CN", catalog=CATALOG, book=dearer).fees
    assert [fee.share for fee in fees] == [0.25]
    lower = rule_book("with us_2023_10_17.tpp=2400->2000")
    found = classify("h20", Date(2025, 3, 1), "CN", catalog=CATALOG, book=lower)
    assert (found.status, found.paragraphs) == ("exception", ("3A090.b",))
    assert found.changes
    enforced = rule_book("with us_2025_01_15_diffusion.ended=never")
    assert classify("h100-sxm", Date(2025, 6, 1), "SG", catalog=CATALOG, book=enforced).status == "approval"


def test_known_at() -> None:
    book = rule_book("known-at 2023-10-20")
    assert not any(rule.announced > Date(2023, 10, 20) for rule in book.rules)
    assert book.rule("us_2022_10_07").ended == Date(2023, 11, 17)  # its end was announced on 2023-10-17
    earlier = rule_book("known-at 2023-10-01").rule("us_2022_10_07")
    assert earlier.ended is None


def test_several_changes_and_all_mistakes_at_once() -> None:
    both = rule_book(["known-at 2025-06-01", "without us_2025_04_09_h20_letter"])
    assert len(both.changes) == 2
    with pytest.raises(InputError) as caught:
        rule_book(["without us_2025_04_09_h20_leter", "with x", "knwn-at 2025", "known-at someday"])
    problems = caught.value.problems
    assert len(problems) == 4
    assert problems[0].suggestion == "us_2025_04_09_h20_letter"
    assert problems[2].suggestion == "known-at"
    for wrong in ("with us_2025_08_11_fee15.color=red", "with us_2023_10_17.tpp=5->6", "with us_2023_10_17.status=odd"):
        with pytest.raises(InputError):
            rule_book(wrong)
