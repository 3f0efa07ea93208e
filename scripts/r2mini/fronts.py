"""`tonnage run serve` started, asked how it stands, steered, and ended."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from r2mini.commands import TONNAGE, busy, environment

ADMIN = "R2MINI_ADMIN"
KEY = secrets.token_hex(16)

ENGINE_ARGS = ("--reasoning-parser", "deepseek_r1", "--enforce-eager", "--max-model-len", "96")
"""The longest sequence of these models, and no compilation: it takes longer than the whole launch."""

READY = 600.0
"""Most time until engines answer [s]."""


RESTARTS = 2
"""Starts of engines that fail before it is given up."""


class Front:
    """One front: a file, a process, an address."""

    def __init__(self, name: str, folder: Path, content: Mapping[str, Any], extra: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        file = folder / f"{name}.yaml"
        whole = {"listen": f"127.0.0.1:{port}", "admin": {"key_env": ADMIN}, "logs": str(folder / "logs"), **content}
        file.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")  # JSON is YAML
        self.log = folder / f"{name}.log"
        began = time.monotonic()
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [*TONNAGE, "run", "serve", str(file), *extra], env={**environment(), ADMIN: KEY}, stdout=out, stderr=out
            )
        self.client = httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {KEY}"}, timeout=70)
        self.cpu = 0.0
        self._until_ready()
        self.starting = time.monotonic() - began

    def __enter__(self) -> Front:
        return self

    def __exit__(self, *why: object) -> None:
        """Ended in order; its time on the processor is what it and its engines have used."""
        self.cpu = self.used()
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def used(self) -> float:
        """Seconds on the processor so far, with its engines."""
        return busy(self.process.pid)

    def _until_ready(self) -> None:
        end = time.monotonic() + READY
        while time.monotonic() < end and self.process.poll() is None and self._starts() <= RESTARTS:
            try:
                if self.client.get("/ready").status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        self.process.kill()
        raise SystemExit(f"the front is not ready: {self.log.read_text('utf-8')[-2000:]}")

    def _starts(self) -> int:
        """How often an engine has ended before it was ready."""
        return self.log.read_text("utf-8").count("; started again in ")

    def status(self, model: str) -> dict[str, Any]:
        """How a model stands."""
        found: dict[str, Any] = self.client.get("/admin/status").json()["models"][model]
        return found

    def until_usable(self, release: str) -> None:
        """Wait until a release has an engine that answers: the front is ready as soon as one release has."""
        end = time.monotonic() + READY
        while time.monotonic() < end:
            if any(one["usable"] for one in self.status("reasoner")["releases"][release]["replicas"].values()):
                return
            time.sleep(0.1)
        raise SystemExit(f"{release} does not answer: {self.log.read_text('utf-8')[-2000:]}")

    def order(self, what: str, **body: Any) -> dict[str, Any]:
        """An order of the administrator."""
        response = self.client.post(f"/admin/{what}", json=body)
        response.raise_for_status()
        found: dict[str, Any] = response.json()
        return found

    def failed_attempts(self) -> float:
        """Attempts at engines that failed, whether or not a client saw it."""
        lines = self.client.get("/metrics").text.splitlines()
        rows = [line for line in lines if line.startswith("tonnage_attempts_total{") and 'outcome="failed"' in line]
        return sum(float(row.rpartition(" ")[2]) for row in rows)


def engine(checkpoint: Path) -> dict[str, Any]:
    """A replica: vLLM, or where it is not found `transformers serve`, which says that it stands in."""
    return {"vllm": str(checkpoint), "args": list(ENGINE_ARGS), "fallback": "transformers", "start_within": "10min"}


def has_vllm() -> bool:
    """Whether vLLM's command is found."""
    return shutil.which(os.environ.get("TONNAGE_VLLM") or "vllm") is not None


WATCH = {"every": "2s", "within": "30s", "failures": 3}
"""How engines are looked at: patiently, for a small machine may be busy with others."""


def engines(checkpoints: Mapping[str, Path]) -> dict[str, Any]:
    """The file of the front before the engines: each model under its own name."""
    think = {} if has_vllm() else {"think": "tags"}
    return {
        "models": {
            name: {"releases": {name: {"replicas": [engine(path)], **think}}, "watch": WATCH}
            for name, path in checkpoints.items()
        }
    }


SLO = {"errors": "1 %", "late": "5 %", "ttft": "3s", "tpot": "1s", "latency": "15s"}
"""What clients are promised here: loose in time, for the machine may be shared; strict in errors."""

HOLD = 4.0
"""How long each step of the canary is held [s]."""

STEPS = (0.1, 0.5, 1.0)
"""Shares of R2, one after the other."""

ANSWERS = 20
"""Answers of R2 that each step needs."""


def launch(r1: str, r2: str, bad: bool = False, predicted: Mapping[str, float] | None = None) -> dict[str, Any]:
    """The file of the front that clients know: R1 has everything, R2 is the canary; or a release of it that is bad.

    r1, r2: addresses; predicted: what is expected of R2 [s], for the ledger.
    """
    faulty = {"command": [sys.executable, "-m", "r2mini.faulty", r2, "{port}"], "start_within": "1min"}
    releases: dict[str, dict[str, Any]] = {
        "r1": {"model": "r1", "weight": 100, "replicas": [{"url": r1}]},
        "r2": {"model": "r2" if r2 != r1 else "r1", "weight": 0, "replicas": [faulty if bad else {"url": r2}]},
    }
    if predicted:
        releases["r2"]["predicted"] = {name: f"{1e3 * value:.6f}ms" for name, value in predicted.items()}
    steps = [f"{100 * step:g} %" for step in STEPS]
    canary = {"to": "r2", "steps": steps, "hold": f"{HOLD:g}s", "answers": ANSWERS, "start": "asked"}
    return {"models": {"reasoner": {"releases": releases, "slo": SLO, "canary": canary, "watch": WATCH}}}
