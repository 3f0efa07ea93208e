"""The section of docs/accuracy.md on a ledger: there when something was measured, and only then."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tonnage import ledger

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("accuracy_script", ROOT / "scripts" / "accuracy.py")
assert spec is not None and spec.loader is not None
accuracy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(accuracy)

ANSWER = {
    "command": "train",
    "version": "1",
    "inputs": {"model": "m|n"},
    "step_time": 2.0,
    "step_time_low": 1.5,
    "step_time_high": 2.5,
    "plan": {"system": {"accelerator": {"name": "h20-96gb"}, "count": 8}},
}


def test_a_section_is_made_of_a_ledger_and_none_without(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with ledger.open(path) as held:
        plan = ledger.record(held, ANSWER)
    assert accuracy.recorded(None) == accuracy.recorded(path) == []
    with ledger.open(path) as held:
        ledger.measured(held, plan, {"step_time": 2.2})
        ledger.measured(held, plan, {"step_time": 4.0})
    page = "\n".join(accuracy.recorded(path))
    assert page.startswith("## Ledger\n\n")
    assert "| h20-96gb | step_time | 1 | 2 | 10.0% | 10.0% | -9.1% | 100% (90%) |" in page
    assert "| m/n on 8 h20-96gb | step_time | 2 s / 4 s | -0.693 outside |" in page
    assert "\n\n\n" not in page
