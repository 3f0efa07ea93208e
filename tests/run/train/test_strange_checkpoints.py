"""Folders of runs that somebody else made: nothing in them runs, leads out of them, or is taken for what it is not."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import threading
import time
from pathlib import Path

import pytest

from tonnage.cli import run
from tonnage.device import distributed
from tonnage.device.checkpoint import Store
from tonnage.run.train.plan import from_json

Captured = pytest.CaptureFixture[str]

PLAN = """\
model: qwen3-0.6b
scale: 64
task: {largest: 3, terms: 2 to 3}
stages: [{pretrain: 2 steps, batch: 2, warm_up: 1}]
checkpoint: {every: 1, keep: 3}
evaluate: 0
hang: 60s
"""


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.path,)


def manifest(folder: Path, **meta: object) -> None:
    """A manifest that is right of everything in a folder, as whoever changes a checkpoint can write it."""
    held = folder / "manifest.json"
    said = {**json.loads(json.loads(held.read_text())["text"])["meta"], **meta} if held.exists() else meta
    held.unlink(missing_ok=True)
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}
    sign(folder, {"files": sums, "meta": said})


def sign(folder: Path, inner: object) -> None:
    text = json.dumps(inner)
    outer = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}
    (folder / "manifest.json").write_text(json.dumps(outer), encoding="utf-8")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "p.yaml").write_text(PLAN, encoding="utf-8")
    words = ["run", "train", str(folder / "p.yaml"), "--into", str(folder / "into"), "--until", "1", "-q"]
    assert run(words) == 0
    return folder / "into"


@pytest.fixture
def copy(begun: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "into"))


def watching() -> list[threading.Thread]:
    """Threads that end the process where no step is done."""
    return [one for one in threading.enumerate() if one.name == "hang"]


def newest(folder: Path) -> Path:
    return max((folder / "checkpoints").glob("step-*"))


RESUMED = ("run", "train", "--resume", "--until", "2", "-q", "--into")


@pytest.mark.parametrize("where", ["index", "value", "probe"])
def test_a_checkpoint_runs_nothing(copy: Path, tmp_path: Path, capsys: Captured, where: str) -> None:
    import torch

    folder, made = newest(copy), tmp_path / "PWNED"
    if where == "index":
        (folder / ".metadata").write_bytes(pickle.dumps(Evil(made)))
    elif where == "value":
        held = pickle.loads((folder / ".metadata").read_bytes())
        name = next(key for key in held.state_dict_metadata if key.endswith(".lr"))
        part = next(value for key, value in held.storage_data.items() if key.fqn == name)
        torch.save(Evil(made), folder / "evil")
        part.relative_path, part.offset, part.length = "evil", 0, (folder / "evil").stat().st_size
        (folder / ".metadata").write_bytes(pickle.dumps(held))
    else:
        torch.save({"forward": Evil(made)}, folder / "probe.pt")
    manifest(folder)
    more = ["--precision", "bf16"] if where == "probe" else []
    assert run([*RESUMED, str(copy), *more]) == 2
    told = capsys.readouterr().err
    assert "cannot be read into this model" in told, told
    assert not made.exists()
    deadline = time.monotonic() + 5
    while (left := watching()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, "a run that is refused leaves no thread that ends this process for a hang"


def test_an_index_that_leads_out_of_its_folder_is_none(copy: Path, tmp_path: Path) -> None:
    folder = newest(copy)
    assert distributed.index(folder / ".metadata").storage_data
    for name in ("../secret", str(tmp_path / "secret"), "..", ""):
        held = pickle.loads((folder / ".metadata").read_bytes())
        next(iter(held.storage_data.values())).relative_path = name
        (tmp_path / ".metadata").write_bytes(pickle.dumps(held))
        with pytest.raises(distributed.Unsafe, match="not in its folder"):
            distributed.index(tmp_path / ".metadata")
    for content in (b"", b"x", pickle.dumps(7), pickle.dumps([print]), b"\x80\x05" + b"\x00" * 100):
        (tmp_path / ".metadata").write_bytes(content)
        with pytest.raises(distributed.Unsafe):
            distributed.index(tmp_path / ".metadata")


def test_weights_of_another_shape_are_said_to_be(copy: Path, capsys: Captured) -> None:
    plan = json.loads((copy / "plan.json").read_text())
    other = {**plan, "scale": 8}
    (copy / "plan.json").write_text(json.dumps(other), encoding="utf-8")
    manifest(newest(copy), identity=from_json(other).identity())
    assert run([*RESUMED, str(copy)]) == 2
    assert "cannot be read into this model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "meta", [{"seconds": "x"}, {"salts": 3}, {"losses": {}}, {"rate": None}, {"precision": "fp1"}, {"nproc": []}]
)
def test_what_is_said_beside_the_weights_is_of_its_kind(copy: Path, capsys: Captured, meta: dict[str, object]) -> None:
    manifest(newest(copy), **meta)
    assert run([*RESUMED, str(copy)]) == 2
    assert "says nothing sensible of" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["../../../secret", "/dev/zero", "", ".", "..", "a/../../../../secret", "a//b", "..\\secret"]
)
def test_a_manifest_names_what_is_in_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("s")
    folder = tmp_path / "checkpoints" / "step-00000001"
    folder.mkdir(parents=True)
    sign(folder, {"files": {name: hashlib.sha256(b"s").hexdigest()}, "meta": {}})
    assert Store(tmp_path / "checkpoints", 3).newest()[0] is None


@pytest.mark.parametrize("kind", ["pipe", "endless", "secret", "loop", "folder", "itself"])
def test_links_pipes_and_devices_are_no_part_of_a_checkpoint(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "checkpoints"
    folder = root / "step-00000001"
    folder.mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    if kind == "pipe":
        os.mkfifo(folder / "f")
    elif kind == "itself":
        folder.rename(tmp_path / "other")
        folder.symlink_to(tmp_path / "other")
    else:
        target = {"endless": "/dev/zero", "secret": "../../secret", "loop": "f", "folder": ".."}[kind]
        (folder / "f").symlink_to(target)
    sign(folder, {"files": {"f": hashlib.sha256(b"s").hexdigest()} if kind != "itself" else {}, "meta": {}})
    began = time.process_time()
    assert Store(root, 3).newest()[0] is None
    assert time.process_time() - began < 2


@pytest.mark.parametrize("inner", [[], 7, {"files": 3, "meta": {}}, {"files": {}, "meta": 3}, {"meta": {}}, "x"])
def test_a_manifest_of_another_shape_is_damaged(tmp_path: Path, inner: object) -> None:
    folder = tmp_path / "step-00000001"
    folder.mkdir()
    sign(folder, inner)
    saved, damaged = Store(tmp_path, 3).newest()
    assert saved is None and "manifest is missing or damaged" in damaged[0]


# ---------------------------------------------------------------- plans


@pytest.mark.parametrize(
    "text", ["", "[]", "7", '{"steps": 3}', '{"stages": []}', '{"task": {"terms": "x"}}', "[" * 5000, '{"seed": 1e999}']
)
def test_a_kept_plan_that_is_none_is_said_to_be(tmp_path: Path, capsys: Captured, text: str) -> None:
    (tmp_path / "plan.json").write_text(text, encoding="utf-8")
    assert run(["run", "train", "--resume", "--into", str(tmp_path)]) == 2
    assert "plan.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("scale: 0.5", "scale: expected 1 to 1e+06"),
        ("seed: 99999999999999999", "seed: expected 0 to"),
        ("nproc: 0", "nproc: expected 1 to"),
        ("threads: 0", "threads: expected 1 to"),
        ("checkpoint: {every: 0}", "checkpoint.every: expected 1 to"),
        ("checkpoint: {keep: 0}", "checkpoint.keep: expected 1 to"),
        ("stages: [{pretrain: ² steps}]", "expected a number of steps"),
        ("stages: [{pretrain: 0 steps}]", "stages[0].steps: expected 1 to"),
        (f"stages: [{{pretrain: {'9' * 5000}}}]", "expected a number of steps"),
        ("stages: [{pretrain: 3 steps, batch: 0}]", "stages[0].batch: expected 1 to"),
        ("stages: [{pretrain: 3 steps, rate: [1]}]", "stages[0].rate: expected a number"),
        ("stages: [{grpo: 3 steps, group: 0}]", "stages[0].group: expected 1 to"),
        ("stages: []", "stages: no stage"),
        ("stages: [{pretrain: 3 steps, curriculum: []}]", "curriculum: the last phase"),
        ("task: {terms: 5 to 3}", "task.terms: the first is more than the last"),
        ("task: {terms: 0 to 3}", "task.terms: expected 1 to"),
        ("task: {largest: 0}", "task.largest: expected 1 to"),
        ("sizes: {hidden_size: 0}", "sizes.hidden_size: expected 1 to"),
        ("sizes: {hidden_size: 1000000000000}", "sizes.hidden_size: expected 1 to"),
        ("model: [a]", "model: expected a text"),
        ("price: {a: 1}", "price: expected a price"),
    ],
    ids=lambda value: value[:40],
)
def test_numbers_with_which_nothing_runs(tmp_path: Path, capsys: Captured, line: str, said: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(line + "\n", encoding="utf-8")
    assert run(["run", "train", str(path), "--into", str(tmp_path / "into")]) == 2
    told = capsys.readouterr().err
    assert said in told and "p.yaml:1:" in told, told
    assert not (tmp_path / "into").exists()


def test_a_model_that_its_device_cannot_hold_is_infeasible(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("model: deepseek-r1\nscale: 1\n", encoding="utf-8")
    assert run(["run", "train", str(path), "--into", str(tmp_path / "into")]) == 1
    assert "weights, gradients and moments take 11.1 TB" in capsys.readouterr().out


def test_a_task_that_has_no_question_to_train_on_ends(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(PLAN.replace("largest: 3", "largest: 3, held_out: 1"), encoding="utf-8")
    assert run(["run", "train", str(path), "--into", str(tmp_path / "into"), "-q"]) == 2
    assert "of 10,000 questions none is left to train on" in capsys.readouterr().err


def test_sizes_that_do_not_go_together_are_said(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(PLAN + "sizes: {num_key_value_heads: 3, num_attention_heads: 2, head_dim: 7}\n", encoding="utf-8")
    assert run(["run", "train", str(path), "--into", str(tmp_path / "into"), "-q"]) == 2
