"""Every run draws the same examples, a failure found once is found again; and nothing is kept beyond it."""

import json
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
def ask(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """A function: the words of a command, and how it ends -> its answer as JSON."""
    from tonnage.cli import run

    def asked(words: str, code: int = 0) -> dict[str, Any]:
        assert run([*shlex.split(words), "--json"]) == code, capsys.readouterr().err
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return asked


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
