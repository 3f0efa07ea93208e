"""A launch on Ray, with a worker killed under it: the same bytes as one process, and it says so."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import types
from pathlib import Path

import pytest

from tonnage.cli import run
from tonnage.errors import InputError
from tonnage.fleet import pieces, ray_runner
from tonnage.fleet.pieces import cut
from tonnage.fleet.ray_runner import RayRunner, alike
from tonnage.fleet.setting import settle

linux = pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info >= (3, 14),
    reason="the tests bring Ray for Linux and Python below 3.14, and find its workers in /proc",
)


def busy() -> list[int]:
    """Processes below this one that play a piece."""
    parents, playing = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat, name = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except OSError:
            continue
        parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
        if name.startswith(b"ray::alike"):
            playing.append(int(folder.name))
    return [pid for pid in playing if os.getpid() in _above(pid, parents)]


def _above(pid, parents):
    found = [pid]
    while found[-1] in parents:
        found.append(parents[found[-1]])
    return found


class Killing(RayRunner):
    """Kills a worker that plays a piece, until a piece had to be played again."""

    def run(self, works):
        for piece in super().run(works):
            if not self.ran().again:
                self.kill()
            yield piece

    def kill(self):
        late = time.monotonic() + 10
        while time.monotonic() < late:
            for pid in busy()[:1]:
                os.kill(pid, signal.SIGKILL)
                return


ASKED = ["launch", "examples/cloud.yaml", "--draws", "1200", "--json", "-q"]


@linux
def test_a_worker_that_is_killed_changes_no_byte(monkeypatch, capsys):
    """Standard output is the answer alone, whatever Ray says of the worker."""
    monkeypatch.setattr(pieces, "CHUNK", 400)
    monkeypatch.setattr(ray_runner, "RayRunner", Killing)
    assert run(ASKED) == 0
    whole = json.loads(capsys.readouterr().out)
    assert run([*ASKED, "--ray"]) == 0
    found = json.loads(capsys.readouterr().out)
    ran = found.pop("run")
    assert json.dumps(found) == json.dumps(whole)
    assert (
        ran["on"] == "Ray, local" and ran["pieces"] == 3 * (1 + len(whole["alternatives"])) and 1 <= ran["again"] <= 3
    ), ran


def test_what_is_kept_of_compiled_code_is_no_other_code(monkeypatch, tmp_path):
    monkeypatch.setattr(pieces.tonnage, "__file__", str(tmp_path / "__init__.py"))
    (tmp_path / "core.py").write_text("x = 1\n")
    before = pieces.code.__wrapped__()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "core.loop.py311.1.nbc").write_bytes(b"kept")
    assert pieces.code.__wrapped__() == before
    (tmp_path / "core.py").write_text("x = 2\n")
    assert pieces.code.__wrapped__() != before


def test_a_worker_with_other_code_is_refused(programme, catalog, planner):
    work = next(cut(settle(programme(), catalog, planner), {}, 0, 20, whole=False))
    with pytest.raises(InputError, match="other code"):
        alike(work, "another digest")
    assert alike(work, pieces.code()).paid.result.place.size == 20


@pytest.mark.parametrize(("address", "said"), [("there:6379", "RAY_AUTH_TOKEN"), ("local", None)])
def test_a_cluster_that_does_not_answer_may_want_a_token(monkeypatch, address, said):
    def refuse(*_, **__):
        raise ConnectionError("Failed to connect to Ray cluster\nand more")

    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(init=refuse))
    monkeypatch.setenv(ray_runner.CLUSTERS, "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with pytest.raises(InputError, match=f"no Ray at {address}: Failed to connect") as found, RayRunner(address):
        pass
    assert found.value.hint is None if said is None else said in found.value.hint
