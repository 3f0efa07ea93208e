"""Every run draws the same examples, a failure found once is found again; and nothing is kept beyond it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["TONNAGE_CACHE"] = os.environ["TONNAGE_LEDGER"] = "off"

settings.register_profile("steady", derandomize=True, deadline=None, database=None, print_blob=False)
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def _no_width_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are as wide as in a pipe, whatever terminal the tests run in."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[object]:
    """A front before engines of the tests, for one test of tests/run/serve."""
    from house import House

    one = House(tmp_path)
    yield one
    one.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """The same for a whole file."""
    from house import House

    one = House(tmp_path_factory.mktemp("house"))
    yield one
    one.end()
