"""A bounded run of the hostile inputs; `make fuzz` runs ten thousand."""

from pathlib import Path

import pytest
from fuzz import KINDS, Tried, tries, wrong


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_hostile_inputs_get_an_error_or_an_answer(tmp_path: Path, kind: object) -> None:
    many = {"programme": 8, "arguments": 40, "config": 40, "packed_trace": 8, "shown": 8, "gguf": 10, "absurd": 40}.get(
        getattr(kind, "__name__", ""), 15
    )
    for number, tried in enumerate(tries(many, 1, (kind,))):  # type: ignore[arg-type]
        folder = tmp_path / str(number)
        folder.mkdir()
        assert wrong(tried, folder) is None, tried


def test_a_defect_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise KeyError("planted")

    monkeypatch.setattr("tonnage.ask.fit.read", broken)
    tried = Tried("planted", ("fit", "qwen3-0.6b", "--on", "1xh20"))
    assert "exit 70" in (wrong(tried, tmp_path) or "")
