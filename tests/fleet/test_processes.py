"""A launch on several processes: the same bytes for any number of them, when one dies, and an end when interrupted."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time

import pytest

from tonnage.errors import InputError
from tonnage.fleet import launch, pieces, processes
from tonnage.fleet.pieces import cut
from tonnage.fleet.processes import Processes, usual
from tonnage.fleet.setting import settle


@pytest.fixture
def told(programme, catalog, planner, monkeypatch):
    """A function: who plays -> the bytes of the story's answer, in pieces of 20 draws."""
    monkeypatch.setattr(pieces, "CHUNK", 20)
    asked = programme()
    return lambda runner: json.dumps(launch(asked, catalog, 0, 40, planner, runner=runner).to_json())


def test_the_answer_is_the_same_bytes_on_one_two_and_three_processes(told):
    found = []
    for workers in (1, 2, 3):
        with Processes(workers) as runner:
            found.append(told(runner))
            assert runner.ran().pieces > 10
    assert len(set(found)) == 1


def test_pieces_in_hand_are_few_and_in_order(programme, catalog, planner, monkeypatch):
    monkeypatch.setattr(processes, "IN_HAND", 2)
    setting, taken = settle(programme(), catalog, planner), []

    def works():
        for begin in range(0, 100, 20):
            taken.append(begin)
            yield from (pieces.PieceWork(setting, {}, 0, 100, begin, begin + 20),)

    with Processes(2) as runner:
        made = runner.run(works())
        assert taken == [0, 20]
        first = next(made)
        assert len(taken) <= 3
        rest = list(made)
    expected = pieces.played(next(cut(setting, {}, 0, 100, whole=False))).paid.result.launch[-1]
    assert [*first.paid.result.launch[-1], *(x for one in rest for x in one.paid.result.launch[-1])] == [*expected]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # Python 3.11's, see `LOOK`
def test_a_process_that_dies_changes_nothing(programme, catalog, planner):
    setting = settle(programme(), catalog, planner)
    works = [pieces.PieceWork(setting, {}, 0, 40, at, at + 10) for at in range(0, 40, 10)]
    with Processes(2) as runner:
        first = runner.run(works)
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGKILL)
        found = [one.paid.result.launch[-1].tobytes() for one in first]
        assert found == [pieces.played(work).paid.result.launch[-1].tobytes() for work in works]
        again = [one.paid.result.launch[-1].tobytes() for one in runner.run(works)]
    assert again == found


def test_an_interrupt_ends_the_processes(programme, catalog, planner):
    setting = settle(programme(), catalog, planner)
    works = [pieces.PieceWork(setting, {}, 0, 2000, 0, 200) for _ in range(40)]
    with pytest.raises(KeyboardInterrupt), Processes(2) as runner:
        next(runner.run(works))
        begun = multiprocessing.active_children()
        raise KeyboardInterrupt
    deadline = time.monotonic() + 20
    while any(child.exitcode is None for child in begun) and time.monotonic() < deadline:
        time.sleep(0.05)  # the pool's own thread may be the one that waits for them
    assert [child.exitcode for child in begun if child.exitcode is None] == []


@pytest.mark.parametrize("workers", [0, -1, processes.MOST_WORKERS + 1])
def test_a_number_of_processes_that_there_cannot_be(workers):
    with pytest.raises(InputError, match=f"expected from 1 to {processes.MOST_WORKERS} processes, got {workers}"):
        Processes(workers)


def test_a_second_process_only_where_it_pays(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert [usual(draws) for draws in (20, processes.WORTH - 1, processes.WORTH, 100_000)] == [1, 1, 2, 2]
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert usual(100_000) == 1
