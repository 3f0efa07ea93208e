"""The front's own figures, printed as a table: what it adds to TTFT, chunks a second, kills, drains, a crowd.

`python tests/run/serve/figures.py [SECONDS]`. Engines are doubles, so that what is measured is the front.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parent))

from house import House, model, release, until
from load import BODY, load

SLO = """    slo: {errors: 1 %, ttft: 1s, latency: 2s}
    canary: {to: r2, steps: [10 %, 50 %, 100 %], hold: 60s, answers: 20}
"""


def first_event(client: httpx.Client) -> float:
    """Time to the first event of one stream [s]."""
    begun = time.perf_counter()
    with client.stream("POST", "/v1/chat/completions", json=BODY | {"stream": True}) as response:
        chunks = response.iter_raw()
        next(chunks)
        first = time.perf_counter() - begun
        for _ in chunks:
            pass
    return first


def added_ttft(house: House, number: int = 200) -> tuple[float, float]:
    """Median TTFT straight to the engine and through the front, one client, by turns [s]."""
    engine = house.double("r1")
    front = house.front(model(release("r1", engine)))
    with httpx.Client(base_url=engine.url) as straight, httpx.Client(base_url=front.url) as through:
        pairs = [(first_event(straight), first_event(through)) for _ in range(number)][10:]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def chunk_rate(house: House, pieces: int = 1000, clients: int = 20, seconds: float = 3.0) -> tuple[float, float]:
    """Streamed chunks a second that come through, by the wall and by the front's own CPU time."""
    engine = house.double("r1")
    engine.control(pieces=pieces)
    front = house.front(model(release("r1", engine)))
    asyncio.run(load(front.url, 2, 0.5, streams=1.0))
    before, begun = cpu(front.process.pid), time.perf_counter()
    found = asyncio.run(load(front.url, clients, seconds, streams=1.0))
    wall, used = time.perf_counter() - begun, cpu(front.process.pid) - before
    assert not found.failures
    chunks = sum(found.answers.values()) * (pieces + 2)
    return chunks / wall, chunks / used


def paced_rate(house: House, clients: int = 20, between: float = 0.01, seconds: float = 5.0) -> tuple[float, float]:
    """The same where every chunk comes alone, as from an engine: a hundred a second in each stream, 2,000 in all.

    The clients only count: one that reads each chunk as JSON takes more time than the front, and shares its cores.
    """
    engine = house.double("r1")
    engine.control(pieces=200, between=between)
    front = house.front(model(release("r1", engine)))
    before, begun = cpu(front.process.pid), time.perf_counter()
    chunks = asyncio.run(counted_chunks(front.port, clients, seconds))
    wall, used = time.perf_counter() - begun, cpu(front.process.pid) - before
    return chunks / wall, chunks / used


async def counted_chunks(port: int, clients: int, seconds: float) -> int:
    """Chunks that so many clients were sent in so long, one stream after the other; every stream must end in order."""
    body = json.dumps(BODY | {"stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    request = head.encode() + f"content-length: {len(body)}\r\n\r\n".encode() + body
    end = time.perf_counter() + seconds

    async def one() -> int:
        found = 0
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            writer.write(request)
            whole = bytearray()
            while not whole.endswith(b"0\r\n\r\n"):
                part = await reader.read(1 << 16)
                assert part, "cut off"
                whole += part
            assert b"data: [DONE]" in whole
            found += whole.count(b"data: {")
        writer.close()
        return found

    return sum(await asyncio.gather(*(one() for _ in range(clients))))


def cpu(pid: int) -> float:
    """CPU time of a process [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def bad_release(house: House, mode: str, clients: int = 20) -> tuple[float, int, int]:
    """(time until everything is given back [s], failed requests, answers) of a canary whose release is bad by half."""
    old, new = house.double("r1"), house.double("r2")
    for one in (old, new):
        one.control(first=0.05, between=0.01)
    new.control(mode=mode, share=0.5, delay=3.0)
    front = house.front(model(release("r1", old), release("r2", new, weight=0), more=SLO))
    back: list[float] = []

    def watch() -> None:
        time.sleep(0.5)
        begun = time.monotonic()
        assert front.order("canary", action="start").status_code == 200
        until(lambda: front.status()["models"]["m"]["canary"]["state"] == "returned", 40)
        back.append(time.monotonic() - begun)

    thread = threading.Thread(target=watch)
    thread.start()
    found = asyncio.run(load(front.url, clients, 45, until=lambda: bool(back)))
    thread.join()
    assert back, "was not given back"
    return back[0], len(found.failures), sum(found.answers.values())


def killed(
    house: House, streams: float, drained: bool = False, clients: int = 20, seconds: float = 3.0
) -> tuple[int, int, list[str]]:
    """(answers, failures, their texts) while one of two replicas is killed, or drained and then killed."""
    one, other = house.double("r1"), house.double("r1")
    for each in (one, other):
        each.control(first=0.05, between=0.05)
    front = house.front(model(release("r1", one, other)))

    def act() -> None:
        time.sleep(seconds / 3)
        if drained:
            assert front.order("drain", replica="r1-0").json()["drained"]
        one.kill()

    thread = threading.Thread(target=act)
    thread.start()
    found = asyncio.run(load(front.url, clients, seconds, streams=streams))
    thread.join()
    return sum(found.answers.values()), len(found.failures), found.failures


def crowd(house: House, clients: int = 200, seconds: float = 5.0) -> tuple[int, int, float, float]:
    """(answers, failures, longest [s], growth of memory [byte]) with 200 clients at once, all let wait."""
    engine = house.double("r1")
    engine.control(between=0.01)
    front = house.front(model(release("r1", engine), more="    queue: 300\n    wait: 60s\n"))
    asyncio.run(load(front.url, 20, 0.5))
    before = front.memory()
    found = asyncio.run(load(front.url, clients, seconds))
    return sum(found.answers.values()), len(found.failures), found.longest, front.memory() - before


def main() -> None:
    """Print the table."""
    rows: list[tuple[str, str]] = []
    with_house(lambda house: rows.append(("added to TTFT, one client (median)", ttft_text(house))))
    with_house(lambda house: rows.append(("chunks a second, 20 streams, at full speed", rate_text(chunk_rate(house)))))
    with_house(lambda house: rows.append(("chunks a second, 20 streams of 100/s", rate_text(paced_rate(house)))))
    with_house(
        lambda house: rows.append(
            ("chunks a second, 20 streams of 300/s", rate_text(paced_rate(house, between=1 / 300)))
        )
    )
    for mode in ("500", "slow", "hang"):
        with_house(
            lambda house, mode=mode: rows.append((f"canary, half of the new release: {mode}", bad_text(house, mode)))
        )
    for name, streams, drained in (
        ("killed, whole answers", 0.0, False),
        ("killed, streams", 1.0, False),
        ("drained", 0.5, True),
    ):
        with_house(lambda house, s=streams, d=drained, n=name: rows.append((f"replica {n}", killed_text(house, s, d))))
    with_house(lambda house: rows.append(("200 at once", crowd_text(house))))
    print("| what | figure |\n| --- | --- |")
    for row in rows:
        print(f"| {row[0]} | {row[1]} |")


def with_house(what) -> None:
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder))
        try:
            what(house)
        finally:
            house.end()


def ttft_text(house: House) -> str:
    straight, through = added_ttft(house)
    return f"{1e3 * (through - straight):.1f} ms ({1e3 * straight:.1f} straight, {1e3 * through:.1f} through the front)"


def rate_text(rates: tuple[float, float]) -> str:
    wall, used = rates
    return f"{wall:,.0f} by the wall, {used:,.0f} by the front's CPU time"


def bad_text(house: House, mode: str) -> str:
    back, failed, answers = bad_release(house, mode)
    return f"{failed} of {answers} failed, back in {back:.1f} s"


def killed_text(house: House, streams: float, drained: bool) -> str:
    answers, failed, texts = killed(house, streams, drained)
    clear = sum("stream_interrupted" in text for text in texts)
    return f"{failed} failed, {answers} answered" + (f"; {clear} of the failed say why" if failed else "")


def crowd_text(house: House) -> str:
    answers, failed, longest, grown = crowd(house)
    return f"{failed} of {answers} failed, longest {longest:.1f} s, memory grew by {grown / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
