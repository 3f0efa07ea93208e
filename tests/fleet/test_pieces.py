"""A launch in pieces: the same bytes whoever plays them, and what an interrupted run has played is taken over."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from tonnage.cli import run
from tonnage.errors import InputError
from tonnage.fleet import kept, launch, pieces
from tonnage.fleet.kept import KeptPieces
from tonnage.fleet.pieces import InProcess, Ran, cut, played
from tonnage.fleet.setting import settle


class Elsewhere:
    """Plays the last piece first, each in bytes that came from elsewhere and go back there."""

    def run(self, works):
        sent = [pickle.dumps(work) for work in works]
        back = [pickle.dumps(played(pickle.loads(work))) for work in reversed(sent)]
        yield from (pickle.loads(piece) for piece in reversed(back))

    def ran(self):
        return Ran("elsewhere", 0)


class Interrupted(InProcess):
    """Is interrupted after so many pieces."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def run(self, works):
        for piece in super().run(works):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            yield piece


@pytest.fixture
def told(programme, catalog, planner, monkeypatch):
    """A function: who plays -> the bytes of the story's answer, in pieces of 20 draws."""
    monkeypatch.setattr(pieces, "CHUNK", 20)
    asked = programme()

    def tell(runner=None, seed=0, draws=50):
        return json.dumps(launch(asked, catalog, seed, draws, planner, runner=runner).to_json())

    return tell


@pytest.fixture
def setting(programme, catalog, planner):
    return settle(programme(), catalog, planner)


def test_the_answer_is_the_same_bytes_whoever_plays(told):
    assert told(Elsewhere()) == told() == told(InProcess())


@pytest.mark.parametrize("number", [1, 2, 7])
def test_draws_do_not_depend_on_how_they_are_cut(number, setting, monkeypatch):
    whole = played(next(cut(setting, {}, 3, 140, whole=True)))
    monkeypatch.setattr(pieces, "CHUNK", 140 // number)
    parts = [played(work) for work in cut(setting, {}, 3, 140, whole=True)]
    assert len(parts) == number

    def same(get):
        assert np.concatenate([get(part) for part in parts]).tobytes() == np.ascontiguousarray(get(whole)).tobytes()

    same(lambda piece: piece.paid.result.launch[-1])
    same(lambda piece: piece.paid.result.training_cost)
    same(lambda piece: piece.paid.result.held)
    same(lambda piece: piece.paid.bill.committed)
    same(lambda piece: piece.there)
    for name in whole.drawn:
        same(lambda piece, name=name: piece.drawn[name])


def test_a_kept_piece_is_read_as_it_was_and_without_pickle(setting, tmp_path):
    work = next(cut(setting, {}, 0, 30, whole=True))
    piece = played(work)
    data = kept.to_bytes(piece, work.digest)
    again = kept.from_bytes(data, work.digest)
    assert again is not None and kept.to_bytes(again, work.digest) == data
    assert list(again.paid.result.causes) == list(piece.paid.result.causes)
    (tmp_path / "piece.npz").write_bytes(data)
    with np.load(tmp_path / "piece.npz", allow_pickle=False) as opened:
        assert not [name for name in opened.files if opened[name].dtype.hasobject]


def test_an_interrupted_run_is_gone_on_with(told, tmp_path):
    folder = tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        told(KeptPieces(folder, Interrupted(4)))
    assert len(list(folder.iterdir())) == 4
    second = KeptPieces(folder, InProcess())
    assert told(second) == told()
    ran = second.ran()
    assert ran.taken_over == 4 and ran.damaged == 0 and ran.pieces == len(list(folder.iterdir()))
    third = KeptPieces(folder, Interrupted(0))
    assert told(third) == told()
    assert third.ran() == Ran("one process", ran.pieces, taken_over=ran.pieces)


def test_what_is_damaged_is_played_again(told, tmp_path):
    told(KeptPieces(tmp_path, InProcess()))
    first, second, third, fourth, fifth = sorted(tmp_path.iterdir())[:5]
    first.write_bytes(first.read_bytes()[:-300])
    data = bytearray(second.read_bytes())
    for at in range(len(data) // 2 - 150, len(data) // 2 + 150):  # a byte of a name or a time stamp alone harms nothing
        data[at] ^= 1
    second.write_bytes(data)
    third.write_bytes(fourth.read_bytes())
    fourth.write_bytes(b"")
    fifth.write_bytes(pickle.dumps([1, 2]))
    runner = KeptPieces(tmp_path, InProcess())
    assert told(runner) == told()
    assert runner.ran().damaged == 5
    last = KeptPieces(tmp_path, InProcess())
    assert told(last) == told() and last.ran().damaged == 0


def test_every_bit_of_the_arrays_is_under_the_checksum(setting):
    work = next(cut(setting, {}, 0, 20, whole=False))
    piece = played(work)
    data = kept.to_bytes(piece, work.digest)
    piece.paid.result.training_cost[3] = np.nextafter(piece.paid.result.training_cost[3], 0)
    changed = kept.to_bytes(piece, work.digest)
    with np.load(_file(data)) as old, np.load(_file(changed)) as new:
        forged = {name: new[name] for name in new.files} | {"checksum": old["checksum"]}
    out = _file(b"")
    np.savez(out, **forged)
    assert kept.from_bytes(changed, work.digest) is not None
    assert kept.from_bytes(out.getvalue(), work.digest) is None


def _file(data):
    import io

    return io.BytesIO(data)


def test_a_piece_is_of_one_question_and_one_code(setting, programme, catalog, planner, monkeypatch):
    def digest(of=setting, watts=None, seed=0, draws=30):
        return next(cut(of, watts or {}, seed, draws, whole=True)).digest

    other = settle(programme(fleet__ascend__count="9000"), catalog, planner)
    found = [digest(), digest(other), digest(watts={"own": 700.0}), digest(seed=1), digest(draws=31)]
    monkeypatch.setattr(pieces, "code", lambda: "other")
    found.append(digest())
    assert len(set(found)) == len(found)
    assert digest() == digest()


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        KeptPieces(tmp_path / "none" / "deeper", InProcess())


ASKED = ["launch", "examples/cloud.yaml", "--draws", "40", "--json", "-q"]


def test_the_command_goes_on_and_says_so(tmp_path, capsys):
    assert run(ASKED) == 0
    plain = json.loads(capsys.readouterr().out)
    pieces = 1 + len(plain["alternatives"])
    for over in (0, pieces):
        assert run([*ASKED, "--resume", str(tmp_path / "kept")]) == 0
        body = json.loads(capsys.readouterr().out)
        assert body.pop("run") == {"on": "one process", "pieces": pieces, "again": 0, "taken_over": over, "damaged": 0}
        assert body == plain
    assert run([*ASKED[:-2], "-q", "--resume", str(tmp_path / "kept")]) == 0
    assert f"{pieces} pieces on one process; {pieces} taken over from an earlier run" in " ".join(
        capsys.readouterr().out.split()
    )


def test_without_ray_the_command_says_what_brings_it(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    assert run([*ASKED, "--ray"]) == 2
    assert "pip install 'tonnage[ray]'" in capsys.readouterr().err
