"""`tonnage show CHIP --in PLACE` for a firm with a headquarters elsewhere, and for a named buyer."""

from __future__ import annotations

import json

import pytest

from tonnage.cli import run


def answered(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert run(["show", *words, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def law(capsys: pytest.CaptureFixture[str], *words: str) -> object:
    found = answered(capsys, *words)["law"]
    assert isinstance(found, dict)
    return found["status"]


def test_a_subsidiary_of_a_chinese_firm_in_germany(capsys: pytest.CaptureFixture[str]) -> None:
    day = ("--as-of", "2026-06-15")
    assert law(capsys, "b200", "--in", "DE", "--headquarters", "CN", *day) == "denied"
    assert law(capsys, "b200", "--in", "DE", *day) == "free"
    assert run(["show", "chips", "--in", "DE", "--headquarters", "china", *day]) == 0
    assert "for a firm with headquarters in CN" in " ".join(capsys.readouterr().out.split())


def test_named_buyers_and_owners(capsys: pytest.CaptureFixture[str]) -> None:
    gulf = ("gb300", "--as-of", "2025-12-01", "--in")
    assert law(capsys, *gulf, "AE", "--buyer", "G42", "--count", "20k") == "authorised"
    assert law(capsys, *gulf, "SA", "--buyer", "Humain", "--count", "50000") == "approval"
    owned = ("h100-sxm", "--in", "SG", "--listed-owner", "52%", "--as-of")
    assert law(capsys, *owned, "2025-10-15") == "licence"
    assert law(capsys, *owned, "2026-06-01") == "free"
    assert law(capsys, *owned, "2026-11-15") == "licence"
    assert law(capsys, "h200", "--in", "CN", "--as-of", "2026-02-01", "--shipped-from", "MY") == "denied"


def test_what_is_wrong_with_a_buyer_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "b200", "--headquarters", "CN", "--count", "-3", "--listed-owner", "152%"]) == 2
    told = capsys.readouterr().err
    for part in ("goes with --in", "--count", "--listed-owner"):
        assert part in told
    assert run(["show", "b200", "--in", "DE", "--headquarters", "Chna"]) == 2
    assert "china" in capsys.readouterr().err
