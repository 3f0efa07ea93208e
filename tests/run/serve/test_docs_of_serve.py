"""docs/run-serve.md: its file is read, what it says is usual is usual, and it fits a screen."""

import re
from pathlib import Path

from tonnage.run.serve.config import Bounds, Patience, Watch
from tonnage.run.serve.reading import read_front

PAGE = Path(__file__).parents[3] / "docs" / "run-serve.md"


def test_the_example_of_the_page_is_read(tmp_path):
    text = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)[1]
    (tmp_path / "front.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "lab.keys").write_text("a-key-of-the-lab-1\na-key-of-the-lab-2\n", encoding="utf-8")
    row = '{"launch": [{"engine": "vllm", "nodes": 1, "flags": "--tensor-parallel-size 8"}]}'
    (tmp_path / "r2-serve.json").write_text(row, encoding="utf-8")
    keys = {name: f"a-key-of-{name.lower()}-here" for name in ("ACME_KEY", "ADMIN_KEY", "R1_KEY")}
    front = read_front(tmp_path / "front.yaml", keys)
    assert front.models[0].canary.steps == (0.01, 0.05, 0.25, 0.5, 1.0)
    assert front.models[0].releases[1].replicas[0].args == ("--tensor-parallel-size", "8")
    assert [len(one.keys) for one in front.tenants] == [1, 2]


def test_what_the_page_calls_usual_is_usual(tmp_path):
    text = PAGE.read_text(encoding="utf-8")
    parts = {name: re.search(rf"`{name}: (\{{.*?\}})`", text, re.S)[1] for name in ("patience", "watch", "bounds")}
    model = "models:\n  m:\n    releases: {r: {replicas: [{url: http://x}]}}\n"
    model += f"    patience: {parts['patience']}\n    watch: {parts['watch']}\nbounds: {parts['bounds']}\n"
    (tmp_path / "front.yaml").write_text(
        model.replace("\nsend", "\n  send").replace("\nwithin", "\n      within"), "utf-8"
    )
    front = read_front(tmp_path / "front.yaml", {})
    assert (front.models[0].patience, front.models[0].watch, front.bounds) == (Patience(), Watch(), Bounds())
