"""Which command starts an engine: vLLM where it is found, `transformers serve` where it stands in, any other.

vLLM lives in an environment of its own: the command that the file names, or TONNAGE_VLLM, or `vllm` in PATH.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tonnage.run.serve.config import ReplicaSource, ServedRelease

VLLM = "TONNAGE_VLLM"
"""Variable of the environment with the command of vLLM."""
FALLBACK = "transformers (fallback)"
"""How a stand-in says that it is one: in the header of every answer, in the status and on the screen."""


MAIN = "import sys; from transformers.cli.transformers import main; sys.exit(main())"
"""The command of transformers where it is installed and has no file of its own."""


@dataclass(frozen=True)
class Start:
    """How one engine is started: words, and the name that it goes by."""

    words: tuple[str, ...]
    engine: str


def vllm_command(source: ReplicaSource, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The command of vLLM; nothing where it is not found."""
    if source.command:
        return source.command if shutil.which(source.command[0]) else ()
    if environment.get(VLLM):
        return (environment[VLLM],) if shutil.which(environment[VLLM]) else ()
    found = shutil.which("vllm")
    return (found,) if found else ()


def transformers_command(source: ReplicaSource) -> tuple[str, ...]:
    """The command of transformers: the one beside this Python before others."""
    beside = Path(sys.executable).with_name("transformers")
    found = str(beside) if beside.exists() else shutil.which("transformers")
    if source.kind == "transformers" and source.command:
        found = shutil.which(source.command[0])
        return source.command if found else ()
    if not found and importlib.util.find_spec("transformers"):
        return (sys.executable, "-c", MAIN)
    return (found,) if found else ()


def start_of(release: ServedRelease, source: ReplicaSource, port: int, environment: Mapping[str, str]) -> Start | None:
    """How a replica's engine is started; None where there is none on this machine."""
    where = ("--host", "127.0.0.1", "--port", str(port))
    if source.kind == "command":
        return Start(tuple(word.replace("{port}", str(port)) for word in (*source.command, *source.args)), "command")
    vllm = vllm_command(source, environment) if source.kind == "vllm" else ()
    if vllm:
        name = ("--served-model-name", release.model)
        return Start((*vllm, "serve", source.target, *name, *where, *source.args), "vllm")
    if source.kind == "vllm" and not source.fallback:
        return None
    command = transformers_command(source)
    args = source.args if source.kind == "transformers" else ()
    engine = "transformers" if source.kind == "transformers" else FALLBACK
    return Start((*command, "serve", source.target, *where, *args), engine) if command else None


def spoken(release: ServedRelease, source: ReplicaSource, engine: str) -> str:
    """Name of the model that an engine expects: transformers knows it by its checkpoint alone."""
    return source.target if engine in ("transformers", FALLBACK) else release.model
