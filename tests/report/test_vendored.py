"""What the page and the reports carry of others is what its checksums say, with licences, and small."""

import json
from pathlib import Path

import pytest

import vendor

MOST = 1_000_000
"""Bytes of scripts: with everything else a page stays below 1.5 MB."""


def test_every_file_is_what_its_checksum_says() -> None:
    assert vendor.wrong() == []


def test_a_changed_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in vendor.HERE.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(vendor, "HERE", tmp_path)
    with (tmp_path / "vega.min.js").open("ab") as file:
        file.write(b" ")
    (tmp_path / "more.js").write_text("")
    assert vendor.wrong() == ["more.js: not both kept and listed", "vega.min.js: not what its checksum says"]


def test_each_has_its_licence_and_together_they_are_small() -> None:
    listed = json.loads((vendor.HERE / vendor.LIST).read_text(encoding="utf-8"))
    assert {row["package"] for name, row in listed.items() if "LICENSE" in name} == set(vendor.PACKAGES)
    assert all("Redistribution and use" in path.read_text() for path in vendor.HERE.glob("*.LICENSE.txt"))
    assert sum(path.stat().st_size for path in vendor.HERE.glob("*.js")) < MOST
