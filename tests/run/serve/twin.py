"""HAProxy as an independent twin: the same engines, shares and bad release through both, side by side.

`python tests/run/serve/twin.py` (`make serve-twin`; needs HAProxy 2.6 or newer, in Debian `apt-get install haproxy`).
Both have to answer everything, to keep a share of 10 %, and to lose nothing when a replica is drained or killed.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parent))

from house import Double, House, free_port, model, release, until
from load import BODY

CONFIG = """
global
    stats socket {folder}/haproxy.sock mode 600 level admin
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    option http-buffer-request
    option redispatch 1
    retries 2
    retry-on 500 503 conn-failure empty-response response-timeout junk-response
frontend f
    bind 127.0.0.1:{port}
    default_backend b
backend b
    balance roundrobin
{servers}
"""


class Twin:
    """HAProxy before the same engines."""

    def __init__(self, folder: Path, engines: dict[Double, tuple[str, int]]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.socket = folder / "haproxy.sock"
        servers = "\n".join(
            f"    server {name} 127.0.0.1:{e.port} weight {w} check inter 200ms" for e, (name, w) in engines.items()
        )
        path = folder / "haproxy.cfg"
        path.write_text(CONFIG.format(folder=folder, port=self.port, servers=servers), encoding="utf-8")
        self.process = subprocess.Popen([shutil.which("haproxy") or "/usr/sbin/haproxy", "-f", str(path)])
        until(lambda: httpx.get(f"{self.url}/health").status_code == 200)

    def order(self, text: str) -> None:
        """A line for its socket."""
        import socket

        with socket.socket(socket.AF_UNIX) as one:
            one.connect(str(self.socket))
            one.sendall(text.encode() + b"\n")
            one.recv(1000)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


async def ask(url: str, count: int, clients: int = 10) -> tuple[dict[str, int], list[str]]:
    """(answers by engine, failures) of so many requests."""
    answers: dict[str, int] = {}
    failures: list[str] = []
    left = iter(range(count))
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def one() -> None:
            for _ in left:
                try:
                    response = await client.post("/v1/chat/completions", json=BODY)
                    text = response.json()["choices"][0]["message"]["content"]
                    answers[text] = answers.get(text, 0) + 1
                except (httpx.HTTPError, KeyError) as error:
                    failures.append(repr(error)[:80])

        await asyncio.gather(*(one() for _ in range(clients)))
    return answers, failures


def rows(house: House) -> list[tuple[str, str, str]]:
    """(what, the front's, HAProxy's) of every comparison; raises where one of them fails a request."""
    old, new, third = house.double("r1"), house.double("r2"), house.double("r3")
    for engine in (old, new, third):
        engine.control(first=0.02)
    front = house.front(model(release("r1", old, third, weight=90), release("r2", new, weight=10)))
    twin = Twin(house.folder, {old: ("r1", 45), third: ("r3", 45), new: ("r2", 10)})
    house.ends.append(twin.end)
    found = [("requests a second", *(speed(one.url) for one in (front, twin)))]
    found.append(("answers of a release of 10 %, of 400", *(told(one.url, 400) for one in (front, twin))))
    new.control(mode="500", share=0.5)
    found.append(("the same, half of it HTTP 500", *(told(one.url, 400) for one in (front, twin))))
    new.control(mode="ok")
    drains = (
        (front, lambda: front.order("drain", replica="r1-1")),
        (twin, lambda: twin.order("set server b/r3 state drain")),
    )
    found.append(("a replica drained, of 300", *(meanwhile(one.url, act) for one, act in drains)))
    front.order("drain", replica="r1-1", undo=True)
    twin.order("set server b/r3 state ready")
    kill = threading.Timer(0.3, third.kill)
    kill.start()
    both = asyncio.run(_both(front.url, twin.url))
    assert not both[0][1], both
    found.append(("a replica killed, of 300: failed", *(f"{len(one[1])}" for one in both)))
    return found


async def _both(one: str, other: str) -> list[tuple[dict[str, int], list[str]]]:
    return list(await asyncio.gather(ask(one, 300), ask(other, 300)))


def speed(url: str) -> str:
    begun = time.monotonic()
    _, failures = asyncio.run(ask(url, 300))
    assert not failures
    return f"{300 / (time.monotonic() - begun):.0f}"


def told(url: str, count: int) -> str:
    answers, failures = asyncio.run(ask(url, count))
    assert not failures, failures[:3]
    new = answers.get("answer of r2", 0)
    assert 0 < new <= 0.12 * count, answers
    return f"{new}, 0 failed"


def meanwhile(url: str, act) -> str:
    timer = threading.Timer(0.2, act)
    timer.start()
    _, failures = asyncio.run(ask(url, 300))
    timer.join()
    assert not failures, failures[:3]
    return "0 failed"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder))
        try:
            table = rows(house)
        finally:
            house.end()
    print("| what | tonnage run serve | HAProxy |\n| --- | --- | --- |")
    for row in table:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
