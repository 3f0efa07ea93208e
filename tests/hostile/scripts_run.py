"""Exported files started with programs that do nothing: whatever else happens comes from the plan's words."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tonnage.errors import InputError
from tonnage.files import parse_yaml

STUBS = (
    "vllm", "python", "python3", "torchrun", "srun", "tonnage", "vllm-router", "env", "mpirun", "trtllm-serve",
    "envsubst", "kubectl", "sky", "ray", "numactl",
)  # fmt: skip
"""Programs that the scripts start; here they do nothing."""

NAMES = ("MODEL", "HEAD_ADDR", "PREFILL_URL", "DECODE_URL", "URL", "IMAGE", "DATA", "TOKENIZER", "CHECKPOINTS", "LR")
SET = dict.fromkeys(NAMES, "x")


@functools.cache
def _stubs() -> str:
    """A folder with these programs."""
    folder = Path(tempfile.mkdtemp(prefix="stubs-"))
    for name in STUBS:
        path = folder / name
        path.write_text("#!/bin/sh\nexit 0\n")
        path.chmod(0o755)
    for name in ("touch", "bash", "sh", "cat", "mkdir", "dirname", "sleep"):
        found = next(Path(one) / name for one in ("/usr/bin", "/bin") if (Path(one) / name).exists())
        (folder / name).symlink_to(found)
    return str(folder)


def run_scripts(folder: Path) -> str | None:
    """What is wrong with the files of a folder: no bash, no YAML, no Python, or something of a plan ran."""
    from tonnage.run.train.plan import read_plan

    scripts = [(path.name, path.read_text()) for path in sorted(folder.glob("*.sh"))]
    for path in sorted(folder.glob("*.y*ml")):
        for text in path.read_text().split("\n---\n"):
            try:
                value = parse_yaml(text, path.name).value
            except InputError as error:
                return f"{path.name} is no YAML: {error.message}"
            scripts += [(path.name, script) for script in _within(value)]
        if path.name == "run.yaml":
            read_plan(path)
    for path in sorted(folder.glob("*.py")):
        compile(path.read_text(), path.name, "exec")
    for path in sorted(folder.glob("*.toml")):
        import tomllib

        tomllib.loads(path.read_text())
    for name, text in scripts:
        if wrong := _started(name, text):
            return wrong
    return None


def _within(value: object) -> list[str]:
    """Scripts in a manifest."""
    if isinstance(value, dict):
        own = [str(one) for one in value["args"]] if value.get("command") == ["bash", "-c"] else []
        own += [str(value[key]) for key in ("run", "setup") if isinstance(value.get(key), str)]
        return own + [one for item in value.values() for one in _within(item)]
    return [one for item in value for one in _within(item)] if isinstance(value, list) else []


def _started(name: str, text: str) -> str | None:
    """Runs one script; what it left."""
    with tempfile.TemporaryDirectory() as folder:
        set_ = {
            **SET,
            "PATH": _stubs(),
            "NODE_RANK": "0",
            "LWS_WORKER_INDEX": "0",
            "LWS_LEADER_ADDRESS": "a",
            "HOME": folder,
        }
        asked = {
            word.partition(":")[0]: "x" for word in text.replace("}", " ").split("${") if ":?" in word.split(" ")[0]
        }
        done = subprocess.run(
            [f"{_stubs()}/bash", "-c", text], cwd=folder, env={**asked, **set_}, capture_output=True,
            text=True, timeout=20,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        left = [path.name for path in Path(folder).iterdir()]
        if any("PWNED" in one for one in left):
            return f"{name} runs what the plan says"
        if "syntax error" in done.stderr or "unexpected" in done.stderr:
            return f"{name} is no bash: {done.stderr[:200]}"
        if "command not found" in done.stderr:
            return f"{name} starts something else: {done.stderr[:200]}"
    return None


if __name__ == "__main__":
    sys.exit(run_scripts(Path(os.fspath(sys.argv[1]))))
