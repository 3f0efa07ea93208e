"""Releases and replicas under load: bad releases, kills, hangs, drains, crowds. TONNAGE_SOAK=1 runs the long forms."""

import asyncio
import os
import signal
import threading

import figures
import httpx
import pytest
from house import model, release, until
from load import load

SOAK = bool(os.environ.get("TONNAGE_SOAK"))
LOAD = 10.0 if SOAK else 2.0


@pytest.mark.parametrize("mode", ["500", "slow", "hang"])
def test_a_bad_release_is_given_back_and_nobody_notices(house, mode):
    for _ in range(10 if SOAK else 1):
        back, failed, answers = figures.bad_release(house, mode, clients=20)
        assert failed == 0 and answers > 20
        assert back < 10


def test_a_good_release_takes_over_step_by_step(house):
    old, new = house.double("r1"), house.double("r2")
    for one in (old, new):
        one.control(first=0.02)
    plan = "{to: r2, steps: [20 %, 100 %], hold: 0.3s, answers: 5, start: at once}"
    more = f"    slo: {{errors: 1 %, ttft: 5s, latency: 5s}}\n    canary: {plan}\n"
    front = house.front(model(release("r1", old), release("r2", new, weight=0), more=more))
    found = asyncio.run(load(front.url, 8, 20, until=lambda: old.process.poll() is not None or launched(front)))
    assert not found.failures and found.answers["r1"] and found.answers["r2"]
    events = front.status()["models"]["m"]["events"]
    assert [event["state"] for event in events] == ["stepping", "stepping", "launched"]
    assert [event["shares"]["r2"] for event in events] == [0.2, 1.0, 1.0]
    old.kill()
    assert front.chat().headers["x-tonnage-release"] == "r2"


def launched(front):
    return front.status()["models"]["m"]["canary"]["state"] == "launched"


def test_shares_are_kept_and_can_be_set(house):
    one, other = house.double("r1"), house.double("r2")
    front = house.front(model(release("r1", one, weight=90), release("r2", other, weight=10)))
    names = [front.chat().headers["x-tonnage-release"] for _ in range(20)]
    assert names.count("r2") == 2
    assert front.order("shares", weights={"r2": 1}).json()["shares"] == {"r1": 0.0, "r2": 1.0}
    assert {front.chat().headers["x-tonnage-release"] for _ in range(5)} == {"r2"}
    for wrong in ({}, {"r3": 1}, {"r1": -1}, {"r1": 0}, {"r1": "1"}, {"r1": 1e400}, {"r1": True}):
        body = {"weights": wrong} if wrong != {"r1": 1e400} else {"weights": {"r1": 1e300}}
        assert front.order("shares", **body).status_code == 400, wrong
    assert front.order("canary", action="start").status_code == 400, "no plan"
    assert front.order("shares", model="n", weights={"r1": 1}).status_code == 404


def test_a_killed_replica_costs_no_whole_answer(house):
    for _ in range(5 if SOAK else 1):
        answers, failed, texts = figures.killed(house, streams=0.0, seconds=LOAD)
        assert failed == 0, texts
        assert answers > 20


def test_a_killed_replica_ends_its_streams_with_a_clear_error(house):
    answers, failed, texts = figures.killed(house, streams=1.0, seconds=LOAD)
    assert 0 < failed <= 20, "those that had begun there"
    assert all("stream_interrupted" in text for text in texts)
    assert answers > 20


def test_a_drained_replica_costs_nothing(house):
    for _ in range(5 if SOAK else 1):
        answers, failed, texts = figures.killed(house, streams=0.5, drained=True, seconds=LOAD)
        assert failed == 0, texts
        assert answers > 20


def test_what_waits_at_a_replica_that_hangs_is_answered_by_another(house):
    one, other = house.double("r1"), house.double("r1")
    watch = "    watch: {every: 100ms, within: 300ms, failures: 2}\n"
    front = house.front(model(release("r1", one, other), more=watch))
    for each in (one, other):
        each.control(first=0.3)
    timer = threading.Timer(0.5, lambda: one.kill(signal.SIGSTOP))
    timer.start()
    try:
        found = asyncio.run(load(front.url, 10, 2.0, streams=0.0))
    finally:
        timer.join()
        one.kill(signal.SIGCONT)
    assert not found.failures
    assert found.longest < 5
    until(lambda: front.status()["models"]["m"]["releases"]["r1"]["replicas"]["r1-0"]["up"])


def test_without_any_replica_the_answer_says_so_at_once(house):
    one = house.double("r1")
    front = house.front(model(release("r1", one)))
    one.kill()
    response = front.chat()
    assert response.status_code == 503 and response.json()["error"]["code"] == "engine_unavailable"
    assert int(response.headers["retry-after"]) >= 1
    assert front.get("/ready").status_code == 503
    house.double("r1", one.port)
    until(lambda: front.chat().status_code == 200)


def test_two_hundred_at_once_are_answered_and_memory_stays(house):
    answers, failed, longest, grown = figures.crowd(house, 200, 30.0 if SOAK else 1.0)
    assert failed == 0 and answers >= 200
    assert longest < 30, "none is starved"
    assert grown < 60e6


def test_what_is_too_much_is_refused_with_a_time_to_come_back(house):
    one = house.double("r1")
    one.control(first=0.5)
    front = house.front(model(release("r1", one), more="    at_once: 4\n    queue: 6\n    wait: 20s\n"))

    async def crowd():
        async with httpx.AsyncClient(base_url=front.url, timeout=60) as client:
            body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
            return await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for _ in range(30)))

    answers = asyncio.run(crowd())
    good = [one for one in answers if one.status_code == 200]
    bad = [one for one in answers if one.status_code == 429]
    assert len(good) == 10 and len(bad) == 20
    assert all(int(one.headers["retry-after"]) >= 1 for one in bad)
    assert {one.json()["error"]["code"] for one in bad} == {"engine_overloaded"}
    assert one.seen()["requests"] == 10


def test_large_bodies_together_are_bounded(house):
    one = house.double("r1")
    one.control(first=1.0)
    bounds = "bounds: {body: 1 MB, bodies: 3 MB}\n"
    front = house.front(model(release("r1", one)) + bounds)

    async def crowd():
        async with httpx.AsyncClient(base_url=front.url, timeout=60) as client:
            body = {"model": "m", "messages": [{"role": "user", "content": "x" * 900_000}]}
            return await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for _ in range(10)))

    codes = sorted(one.status_code for one in asyncio.run(crowd()))
    assert codes == [200] * 3 + [429] * 7
    assert front.chat().status_code == 200


def test_a_name_of_another_machine_is_not_answered_without_keys(house):
    front = house.front(model(release("r1", house.double("r1"))))
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    wrong = httpx.post(f"{front.url}/v1/chat/completions", json=body, headers={"host": "evil.example"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (403, "forbidden_host")
    right = httpx.post(f"{front.url}/v1/chat/completions", json=body, headers={"host": "localhost:8080"})
    assert right.status_code == 200


def test_the_front_lets_what_runs_end_before_it_ends(house):
    one = house.double("r1")
    one.control(between=0.1, pieces=10)
    front = house.front(model(release("r1", one)))
    timer = threading.Timer(0.5, lambda: front.process.send_signal(signal.SIGTERM))
    timer.start()
    assert front.chat(stream=True).text.endswith("data: [DONE]\n\n")
    timer.join()
    assert front.process.wait(10) == 0
    assert "Traceback" not in front.log.read_text(encoding="utf-8")


def test_the_front_adds_little(house):
    straight, through = figures.added_ttft(house, 200 if SOAK else 40)
    assert through - straight < (0.01 if SOAK else 0.05), "10 ms is the bar on a quiet machine"
    _, by_cpu = figures.chunk_rate(house, clients=5, seconds=1.0)
    assert by_cpu > 1500
    _, alone = figures.paced_rate(house, clients=5, seconds=1.0)
    assert alone > 4000, "each chunk by itself: 18,000 on a busy machine, 9,000 before the front read engines itself"


def test_time_is_not_lost_between_ports(house):
    """A listening socket without TCP_NODELAY costs 40 ms a stream."""
    one = house.double("r1")
    front = house.front(model(release("r1", one)))
    with httpx.Client(base_url=front.url) as client:
        times = sorted(figures.first_event(client) for _ in range(20))
    assert times[2] < 0.03, "the quickest are not held up"


def test_a_connection_that_the_engine_closes_when_it_is_idle_costs_nothing(house):
    """uvicorn, and so vLLM, closes idle connections: the one replica there is is asked again, not given up."""
    one = house.double("r1")
    front = house.front(model(release("r1", one), more="    watch: {every: 10min}\n"))
    one.control(close=True)
    for _ in range(20):
        assert front.chat().status_code == 200
