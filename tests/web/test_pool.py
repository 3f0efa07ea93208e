"""Two lanes, bounded queues, one time for each question, answers shared and kept."""

import asyncio
import hashlib
import sys
from pathlib import Path

import pytest

from tonnage.web import pool as rules
from tonnage.web.keep import IN_MEMORY, Kept, made_of
from tonnage.web.pool import NotAnswered, Question, WorkerPool

FAKE = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))


def question(*argv, lane="quick", keeps="while"):
    return Question(hashlib.sha256(" ".join(argv).encode()).hexdigest(), argv, lane, keeps)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a coroutine with a pool of its own; `run.asked()` is what the workers were asked."""
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))

    def go(work):
        async def whole():
            pool = WorkerPool(FAKE, Kept(tmp_path / "kept"))
            await pool.open()
            try:
                return await asyncio.wait_for(work(pool), 30)
            finally:
                await pool.close()

        return asyncio.run(whole())

    go.asked = lambda: (tmp_path / "asked").read_text().split("\n")[:-1] if (tmp_path / "asked").exists() else []
    go.folder = tmp_path / "kept"
    return go


def sentence(said):
    return said["answer"]["sentence"]


def test_a_question_is_answered_and_its_progress_told(run):
    told = []

    async def work(pool):
        return await pool.ask(question("sleep", "0.01"), told.append)

    assert sentence(run(work)).startswith("answer to sleep 0.01 by ")
    assert told == [{"done": 1, "of": 2, "what": "half"}]


def test_lines_that_are_no_answer_to_the_question_are_passed_over(run):
    async def work(pool):
        return await pool.ask(question("noise"))

    assert sentence(run(work)).startswith("answer to noise")


def test_the_same_question_is_asked_once_while_it_is_under_way_and_after(run):
    async def work(pool):
        same = question("sleep", "0.2")
        both = await asyncio.gather(pool.ask(same), pool.ask(same))
        return [*both, await pool.ask(same)]

    assert len({sentence(said) for said in run(work)}) == 1
    assert run.asked() == ["sleep 0.2"]


def test_a_fresh_question_is_asked_each_time(run):
    async def work(pool):
        for _ in range(2):
            await pool.ask(question("x", keeps="fresh"))

    run(work)
    assert run.asked() == ["x", "x"]


def test_an_answer_on_disk_is_found_by_the_next_page(run):
    async def work(pool):
        return sentence(await pool.ask(question("x", keeps="disk")))

    assert run(work) == run(work)
    assert run.asked() == ["x"]


def test_what_is_kept_is_bounded_and_only_keys_are_looked_up(tmp_path):
    kept = Kept(tmp_path)
    for number in range(IN_MEMORY + 5):
        kept.put(f"{number:064x}", {"n": number}, disk=False)
    assert len(kept.held) == IN_MEMORY
    (tmp_path.parent / "secret.json").write_text("{}")
    assert kept.get("../secret") is None and kept.get("0" * 64) is None
    assert kept.get(f"{IN_MEMORY:064x}") == {"n": IN_MEMORY}


def test_the_program_is_told_by_its_files():
    assert made_of() == made_of() and len(made_of()) == 64


def test_heavy_questions_do_not_starve_quick_ones(run):
    async def work(pool):
        heavy = [asyncio.create_task(pool.ask(question("sleep", f"5.{n}", lane="heavy"))) for n in range(6)]
        await asyncio.sleep(0.3)
        async with asyncio.timeout(5):
            said = await pool.ask(question("quick"))
        for each in heavy:
            each.cancel()
        await asyncio.gather(*heavy, return_exceptions=True)
        return said

    assert sentence(run(work)).startswith("answer to quick")


def test_a_full_queue_is_told_at_once(run):
    async def work(pool):
        many = rules.WAITING["heavy"] + 3
        asks = [asyncio.create_task(pool.ask(question("sleep", f"9.{n}", lane="heavy"))) for n in range(many)]
        done, waiting = await asyncio.wait(asks, timeout=2)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return [each.exception().why for each in done], len(waiting)

    whys, waiting = run(work)
    assert set(whys) == {"busy"} and 2 <= len(whys) <= 3
    assert waiting >= rules.WAITING["heavy"]


def test_a_question_that_takes_too_long_is_ended_and_the_next_answered(run, monkeypatch):
    monkeypatch.setitem(rules.SECONDS, "heavy", 0.5)

    async def work(pool):
        with pytest.raises(NotAnswered) as refused:
            await pool.ask(question("sleep", "60", lane="heavy"))
        return refused.value.why, await pool.ask(question("after", lane="heavy"))

    why, said = run(work)
    assert why == "slow" and sentence(said).startswith("answer to after")


def test_a_worker_that_dies_is_told_and_replaced(run):
    async def work(pool):
        with pytest.raises(NotAnswered) as refused:
            await pool.ask(question("die", lane="heavy"))
        return refused.value.why, await pool.ask(question("after", lane="heavy"))

    why, said = run(work)
    assert why == "ended" and sentence(said).startswith("answer to after")


def test_a_question_that_nobody_wants_any_more_is_stopped(run):
    async def work(pool):
        asking = asyncio.create_task(pool.ask(question("sleep", "60", lane="heavy")))
        waiting = asyncio.create_task(pool.ask(question("sleep", "61", lane="heavy")))
        await asyncio.sleep(0.5)
        before = pool.workers[1].process
        for each in (waiting, asking):
            each.cancel()
        await asyncio.gather(asking, waiting, return_exceptions=True)
        said = await pool.ask(question("after", lane="heavy"))
        return before.returncode, said, len(pool.jobs)

    code, said, left = run(work)
    assert code == -9 and sentence(said).startswith("answer to after") and left == 0
    assert run.asked() == ["sleep 60", "after"]


def test_a_question_that_another_still_wants_goes_on(run):
    async def work(pool):
        one = asyncio.create_task(pool.ask(question("sleep", "0.6", lane="heavy")))
        other = asyncio.create_task(pool.ask(question("sleep", "0.6", lane="heavy")))
        await asyncio.sleep(0.2)
        one.cancel()
        return await other

    assert sentence(run(work)).startswith("answer to sleep 0.6")


def test_a_patient_question_gives_way_and_is_kept_to_when_somebody_wants_it(run):
    async def work(pool):
        first = asyncio.create_task(pool.ask(question("sleep", "60", lane="heavy"), patient=True))
        await asyncio.sleep(0.4)
        said = await pool.ask(question("now", lane="heavy"))
        second = asyncio.create_task(pool.ask(question("sleep", "0.6", lane="heavy"), patient=True))
        await asyncio.sleep(0.3)
        wanted = asyncio.create_task(pool.ask(question("sleep", "0.6", lane="heavy")))
        await asyncio.sleep(0.1)
        await pool.ask(question("other", lane="heavy"))
        return said, (await asyncio.gather(first, return_exceptions=True))[0], await second, await wanted

    said, stopped, second, wanted = run(work)
    assert sentence(said).startswith("answer to now") and stopped.why == "stopped"
    assert second == wanted and run.asked().count("sleep 0.6") == 1


def test_a_pool_ends_at_the_moment_at_which_its_question_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))

    async def work():
        pool = WorkerPool(FAKE, Kept(tmp_path / "kept"))
        await pool.open()
        asking = asyncio.create_task(pool.ask(question("sleep", "60"), patient=True))
        while not (tmp_path / "asked").exists():
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait_for(pool.close(), 10)

    asyncio.run(work())
