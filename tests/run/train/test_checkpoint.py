"""Checkpoints on the disk: whole or not there, verified, the last few kept; and what watches a run. No torch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from xml.dom import minidom

import pytest

from tonnage.device.checkpoint import Store, verify
from tonnage.run.train import curve, journal
from tonnage.run.train.watch import FEWEST, LossWatch


def kept(root: Path, *steps: int, keep: int = 3) -> Store:
    store = Store(root, keep)
    for step in steps:
        folder = store.temporary(step)
        (folder / "weights").write_bytes(bytes([step]) * 1000)
        store.commit(folder, {"step": step})
    return store


def test_the_last_ones_are_kept_and_the_newest_is_found(tmp_path: Path) -> None:
    store = kept(tmp_path, 1, 2, 3, 4)
    assert store.steps() == [4, 3, 2]
    saved, damaged = store.newest()
    assert saved is not None and (saved.step, saved.meta, damaged) == (4, {"step": 4}, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"step-0000000{step}" for step in (2, 3, 4)]


@pytest.mark.parametrize("part", ["weights", "manifest.json"])
@pytest.mark.parametrize("how", ["cut", "flipped", "gone", "empty"])
def test_a_damaged_one_is_passed_over_and_said(tmp_path: Path, part: str, how: str) -> None:
    store = kept(tmp_path, 1, 2)
    file = tmp_path / "step-00000002" / part
    content = file.read_bytes()
    if how == "gone":
        file.unlink()
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        file.write_bytes({"cut": content[:-1], "flipped": flipped, "empty": b""}[how])
    saved, damaged = store.newest()
    assert saved is not None and saved.step == 1
    assert len(damaged) == 1 and damaged[0].startswith("step 2: ")


def test_what_was_not_finished_is_no_checkpoint(tmp_path: Path) -> None:
    store = kept(tmp_path, 1)
    (store.temporary(2) / "weights").write_bytes(b"half")
    assert store.steps() == [1]
    store.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_one_that_is_written_again_replaces_the_old(tmp_path: Path) -> None:
    store = kept(tmp_path, 1, 1)
    assert verify(tmp_path / "step-00000001") == {"step": 1}
    store.forget_after(0)
    assert store.newest() == (None, [])


def test_a_loss_that_is_no_number_or_jumps_is_seen() -> None:
    watch = LossWatch()
    for step in range(FEWEST):
        assert watch.verdict(1.0 + 0.01 * (step % 2), 1.0, 0) is None
    assert watch.verdict(math.nan, 1.0, 0) == "nan"
    assert watch.verdict(1.0, math.inf, 0) == "nan"
    assert watch.verdict(1.1, 1.0, 0) is None, "above the spread, and no spike"
    assert watch.verdict(9.0, 1.0, 0) == "spike"
    assert watch.verdict(9.0, 1.0, 1) is None, "another phase of the curriculum has losses of its own"


def stepped(step: int, loss: float) -> dict[str, object]:
    """A step as a run tells of it."""
    took = {"seconds": 1.0, "cpu_seconds": 1.0, "spent": 1.0, "cost": 0.0}
    return {"event": "step", "step": step, "loss": loss, "stage": "pretrain", **took}


def test_half_a_line_and_steps_done_again(tmp_path: Path) -> None:
    for loss in (3.0, 2.0):
        journal.append(tmp_path, stepped(1, loss))
    with (tmp_path / journal.FILE).open("a") as file:
        file.write('{"event": "step", "st')
    journal.append(tmp_path, {"event": "nan", "step": 2})
    assert journal.losses(tmp_path) == {1: 2.0}
    assert journal.counts(tmp_path) == {"nan": 1}


def test_the_curve_joins_what_ran_on_different_devices(tmp_path: Path) -> None:
    for first, device, nproc in ((1, "cpu", 1), (11, "cuda", 2), (21, "cpu", 1)):
        kind = "start" if first == 1 else "switch"
        journal.append(
            tmp_path, {"event": kind, "step": first - 1, "device": device, "nproc": nproc, "precision": "fp32"}
        )
        for step in range(first, first + 10):
            journal.append(tmp_path, stepped(step, 5.0 - 0.1 * step))
    parts = curve.segments(tmp_path, "loss", ("pretrain",))
    assert [(name, len(points)) for name, points in parts] == [
        ("cpu fp32", 10),
        ("cuda x 2 fp32", 10),
        ("cpu fp32", 10),
    ]
    drawn = curve.svg(tmp_path)
    assert drawn.count("stroke-dasharray") == 2
    assert "cuda x 2 fp32" in drawn and "colour-of" not in drawn
    assert curve.smoothed([1.0, 2.0, 3.0], 2) == [1.0, 1.5, 2.5]


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "step"}',
        json.dumps(stepped(-1, 2.0)),
        json.dumps(stepped(10**30, 2.0)),
        json.dumps(stepped(2, float("nan"))),
        json.dumps(stepped(2, float("inf"))),
        json.dumps(stepped(2, "x")),  # type: ignore[arg-type]
        json.dumps(stepped(2, 1.0) | {"stage": ["pretrain"]}),
        json.dumps(stepped(2, 1.0) | {"at": 1e300}),
        json.dumps(stepped(2, 1.0) | {"step": True}),
        '{"event": "start", "device": 3, "nproc": "x", "precision": "fp32"}',
        '{"event": ["step"]}',
        "[" * 100_000,
        '"step"',
        "9" * 5000,
    ],
    ids=lambda line: line[:40],
)
def test_a_line_that_holds_no_event_is_passed_over(tmp_path: Path, line: str) -> None:
    journal.append(tmp_path, stepped(1, 2.0))
    with (tmp_path / journal.FILE).open("a") as file:
        file.write(f"{line}\n")
    assert journal.losses(tmp_path) == {1: 2.0}
    assert "nan" not in curve.svg(tmp_path)


def test_the_curve_is_xml_whatever_a_device_calls_itself(tmp_path: Path) -> None:
    name = '</text><script>alert(1)</script>" onload="x\x1b[31m'
    journal.append(tmp_path, {"event": "start", "step": 0, "device": name, "nproc": 1, "precision": "fp32"})
    journal.append(tmp_path, stepped(1, 2.0))
    drawn = minidom.parseString(curve.svg(tmp_path))
    assert not drawn.getElementsByTagName("script")
