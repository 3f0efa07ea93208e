"""Every run draws the same examples, a failure found once is found again; and nothing is kept beyond it."""

import os

import pytest
from hypothesis import settings

os.environ["TONNAGE_CACHE"] = os.environ["TONNAGE_LEDGER"] = "off"

settings.register_profile("steady", derandomize=True, deadline=None, database=None, print_blob=False)
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def _no_width_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are as wide as in a pipe, whatever terminal the tests run in."""
    monkeypatch.delenv("COLUMNS", raising=False)
