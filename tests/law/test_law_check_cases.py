"""Check cases of rules and chips, as their sources decide them: one row a case, US verdict first."""

from __future__ import annotations

import datetime

import pytest

from tonnage.catalog import load
from tonnage.law import Buyer, classify

CATALOG = load()

OWNED, HALF = Buyer(listed_share=0.52), Buyer(listed_share=0.40)

CASES = [
    # ownership: in force, suspended, back
    ("h100-sxm", "SG", None, OWNED, "2025-10-15", "licence"),
    ("h100-sxm", "SG", None, OWNED, "2026-06-01", "free"),
    ("h100-sxm", "SG", None, OWNED, "2026-11-15", "licence"),
    ("h100-sxm", "SG", None, HALF, "2025-10-15", "free"),
    # the diffusion rule is not enforced; the draft of 2026 was never law
    ("h100-sxm", "SG", None, None, "2026-09-01", "free"),
    ("h100-sxm", "DE", None, None, "2026-09-01", "free"),
    ("gb300", "DE", None, Buyer(count=500), "2026-04-01", "free"),
    # the Gulf
    ("gb300", "AE", None, Buyer("G42", count=20_000), "2025-12-01", "authorised"),
    ("gb300", "SA", None, Buyer("Humain", count=50_000), "2025-12-01", "approval"),
    ("gb300", "SA", None, None, "2025-12-01", "approval"),
    ("gb300", "AE", None, Buyer("Core42"), "2026-08-01", "free"),
    ("gb300", "AE", None, None, "2026-08-01", "approval"),
    ("gb300", "AE", None, Buyer("Core42", count=35_001), "2026-07-01", "approval"),
    # headquarters
    ("b200-sxm", "MY", "CN", None, "2026-06-15", "denied"),
    ("b200-sxm", "MY", "US", None, "2026-06-15", "free"),
    ("b200-sxm", "MY", None, None, "2026-10-01", "free"),  # rented from China over the network: no statute
    # China, case by case
    ("h200-sxm", "CN", None, None, "2026-10-01", "case-by-case"),
    ("b300-sxm", "CN", None, None, "2026-10-01", "denied"),
    ("h200-nvl", "CN", None, None, "2026-03-01", "case-by-case"),
    ("h200-sxm", "CN", None, None, "2026-03-01", "case-by-case"),
    ("h100-sxm", "CN", None, None, "2026-03-01", "case-by-case"),
    ("mi300x", "CN", None, None, "2026-03-01", "case-by-case"),
    ("mi308x", "CN", None, None, "2025-12-01", "case-by-case"),
    ("h20-96gb", "CN", None, None, "2025-11-01", "case-by-case"),
    ("rtx-5090d-v2", "CN", None, None, "2026-06-01", "free"),
    # other places
    ("b200-sxm", "US", None, None, "2026-08-01", "free"),
    ("b200-sxm", "AE", None, None, "2026-10-01", "approval"),
    ("h100-sxm", "MY", "US", None, "2025-10-01", "free"),
    ("h100-sxm", "TH", "US", None, "2026-09-01", "free"),
    ("h100-sxm", "ID", None, Buyer(origin="MY"), "2025-09-01", "free"),
    # paragraphs by numbers, October 2023
    ("rtx-3090", "CN", None, None, "2024-06-01", "free"),
    ("a6000", "CN", None, None, "2024-06-01", "free"),
    ("rtx-6000-ada", "CN", None, None, "2024-06-01", "exception"),
    ("a10", "CN", None, None, "2024-06-01", "free"),
    ("a10g", "CN", None, None, "2024-06-01", "free"),
    ("a30", "CN", None, None, "2024-06-01", "exception"),
    ("a40", "CN", None, None, "2024-06-01", "exception"),
    ("l40", "CN", None, None, "2024-06-01", "exception"),
    ("t4", "CN", None, None, "2024-06-01", "free"),
    ("rtx-5090d", "CN", None, None, "2025-09-15", "unverified"),  # 1,792 GB/s: over what the letters are said to name
    ("rtx-5090d-v2", "CN", None, None, "2025-09-15", "free"),
    ("h800-pcie", "CN", None, None, "2024-06-01", "denied"),
    ("a800-pcie", "CN", None, None, "2024-06-01", "denied"),
    ("maia-100", "CN", None, None, "2024-12-15", "denied"),
    ("mtia-v1", "CN", None, None, "2024-06-01", "free"),
    ("mtia-v2", "CN", None, None, "2024-12-15", "denied"),
]


@pytest.mark.parametrize(("chip", "place", "home", "buyer", "date", "status"), CASES)
def test_a_case_is_decided_as_its_source_decides_it(
    chip: str, place: str, home: str | None, buyer: Buyer | None, date: str, status: str
) -> None:
    day = datetime.date.fromisoformat(date)
    assert classify(chip, day, place, home, catalog=CATALOG, buyer=buyer).status == status


@pytest.mark.parametrize(
    ("chip", "date", "shares"),
    [
        ("h200-sxm", "2026-03-01", [0.25]),
        ("h200-nvl", "2026-03-01", []),  # TPP 13,364: under the floor of the first band
        ("h100-sxm", "2026-03-01", []),
        ("mi300x", "2026-03-01", []),
        ("mi308x", "2025-12-01", [0.15]),
        ("h20-96gb", "2025-11-01", [0.15]),
    ],
)
def test_the_fee_of_a_case(chip: str, date: str, shares: list[float]) -> None:
    found = classify(chip, datetime.date.fromisoformat(date), "CN", None, catalog=CATALOG)
    assert [fee.share for fee in found.fees] == shares


@pytest.mark.parametrize(
    ("chip", "date", "force"),
    [
        ("h20-96gb", "2025-11-01", "inspected"),
        ("h20-96gb", "2025-11-01", "discouraged"),
        ("h200-sxm", "2026-10-01", "conditional"),
        ("rtx-5090d-v2", "2026-06-01", "barred"),
    ],
)
def test_what_chinese_authorities_do_in_a_case(chip: str, date: str, force: str) -> None:
    found = classify(chip, datetime.date.fromisoformat(date), "CN", None, catalog=CATALOG)
    assert force in [measure.force for measure in found.measures]
