"""The public names: few, explicit, where a newcomer guesses, and loaded only when they are asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

import tonnage

ROOT = Path(__file__).parent.parent


def test_the_public_names_are_these() -> None:
    assert tonnage.__all__ == sorted(tonnage._HOMES)
    assert 25 <= len(tonnage.__all__) <= 45
    assert set(tonnage.__all__) <= set(dir(tonnage))


@pytest.mark.parametrize("name", tonnage.__all__)
def test_each_public_name_is_there_and_says_what_it_is(name: str) -> None:
    found = getattr(tonnage, name)
    assert callable(found)
    assert found.__doc__


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        _ = tonnage.colour  # type: ignore[attr-defined]


def test_importing_tonnage_loads_no_room() -> None:
    code = "import sys, tonnage; print(sorted(m for m in sys.modules if m.startswith(('tonnage.', 'numpy'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_every_public_noun_stands_in_the_nomenclature() -> None:
    text = (ROOT / "docs" / "nomenclature.md").read_text(encoding="utf-8")
    missing = [name for name in tonnage.__all__ if f"`{name}`" not in text and f"`{name}(" not in text]
    assert not missing
