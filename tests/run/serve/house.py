"""Engines' doubles and a front as real processes, for the tests: started, steered, killed, and always ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

HERE = Path(__file__).parent
ADMIN = "admin-key-of-the-tests"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until(what, within: float = 20.0):
    """The first true value of a call, asked again and again."""
    end = time.monotonic() + within
    while True:
        try:
            if found := what():
                return found
        except httpx.HTTPError:
            pass
        assert time.monotonic() < end, "did not come in time"
        time.sleep(0.05)


class Double:
    """One engine's double."""

    def __init__(self, name: str = "double", port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen([sys.executable, str(HERE / "double.py"), str(self.port), name])
        until(lambda: httpx.get(f"{self.url}/health").status_code == 200)

    def control(self, **settings) -> None:
        httpx.post(f"{self.url}/control", json=settings).raise_for_status()

    def seen(self) -> dict:
        return httpx.get(f"{self.url}/seen").json()

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class House:
    """Doubles and fronts of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ends = folder, []

    def double(self, name: str = "double", port: int | None = None) -> Double:
        one = Double(name, port)
        self.ends.append(one.end)
        return one

    def front(
        self, text: str, environment: dict[str, str] | None = None, ready: bool = True, within: float = 20
    ) -> FrontProcess:
        one = FrontProcess(self.folder, text, environment or {})
        self.ends.append(one.end)
        until(lambda: one.get("/ready" if ready else "/health").status_code == 200, within)
        return one

    def end(self) -> None:
        for one in reversed(self.ends):
            one()


class FrontProcess:
    """`tonnage run serve FILE` as a user starts it."""

    def __init__(self, folder: Path, text: str, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        path = folder / f"front-{self.port}.yaml"
        path.write_text(f"listen: 127.0.0.1:{self.port}\nadmin: {{key_env: FRONT_ADMIN}}\n{text}", encoding="utf-8")
        self.log = folder / f"front-{self.port}.log"
        self.environment = os.environ | {"FRONT_ADMIN": ADMIN} | environment
        with self.log.open("wb") as out:
            words = [sys.executable, "-m", "tonnage", "run", "serve", str(path)]
            self.process = subprocess.Popen(words, env=self.environment, stdout=out, stderr=out)

    def get(self, path: str, key: str = "") -> httpx.Response:
        return httpx.get(self.url + path, headers={"authorization": f"Bearer {key}"} if key else {})

    def post(self, path: str = "/v1/chat/completions", key: str = "", **body) -> httpx.Response:
        return httpx.post(
            self.url + path, json=body, headers={"authorization": f"Bearer {key}"} if key else {}, timeout=60
        )

    def chat(self, key: str = "", **more) -> httpx.Response:
        return self.post(key=key, **({"model": "m", "messages": [{"role": "user", "content": "hi"}]} | more))

    def order(self, what: str, **body) -> httpx.Response:
        return self.post(f"/admin/{what}", ADMIN, **({"model": "m"} | body))

    def status(self) -> dict:
        return self.get("/admin/status", ADMIN).json()

    def memory(self) -> float:
        """Resident memory [byte]."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return 1024.0 * int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS")))

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def model(*releases: str, more: str = "") -> str:
    """The part `models` of a front's file with one model `m`."""
    return "models:\n  m:\n    releases:\n" + "".join(f"      {one}\n" for one in releases) + more


def release(name: str, *doubles: Double, weight: float = 100, more: str = "") -> str:
    """A release with its replicas."""
    return f"{name}: {{weight: {weight}, replicas: {json.dumps([{'url': one.url} for one in doubles])}{more}}}"
