"""Commands as people type them, in this process."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from tonnage.cli import run

Captured = pytest.CaptureFixture[str]
Ask = Callable[..., dict[str, Any]]
Told = Callable[..., str]


@pytest.fixture
def ask(capsys: Captured) -> Ask:
    """The JSON of an answer."""

    def asked(words: str, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert run([*shlex.split(words), "--json", "-q"]) == code, capsys.readouterr().err
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return asked


@pytest.fixture
def told(capsys: Captured) -> Told:
    """What is printed, on one line unless it is to stay as it is."""

    def answered(words: str, code: int = 0, *, whole: bool = False) -> str:
        capsys.readouterr()
        assert run(shlex.split(words)) == code, capsys.readouterr().err
        out = capsys.readouterr()
        return out.out + out.err if whole else " ".join((out.out + out.err).split())

    return answered
