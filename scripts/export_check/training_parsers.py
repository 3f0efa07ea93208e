"""The parsers of training engines: run by `scripts/export_check` with the Python of the engine's environment.

    ENV/bin/python training_parsers.py ENGINE SOURCE < cases.json > found.json

SOURCE: a checkout of Megatron-LM, or the folder that a wheel of torchtitan or verl is unpacked into. Megatron-LM's
arguments are parsed and validated by its own code for the ranks of the plan, with a device that answers only for its
generation; torchtitan's by its ConfigManager; verl's by hydra over its YAML.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import types
import typing
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def megatron(source: Path) -> Callable[[Mapping[str, Any]], None]:
    """Megatron-LM's own parser, `validate_args`, and the configuration that Megatron-Core makes of them."""
    typing.override = getattr(typing, "override", lambda function: function)  # type: ignore[attr-defined]
    sys.path.insert(0, str(source))
    os.environ["RANK"] = "0"
    import megatron.core.transformer.transformer_config as sizes  # type: ignore[import-not-found]
    import megatron.training.arguments as arguments  # type: ignore[import-not-found]
    import torch

    arguments.is_te_min_version = sizes.is_te_min_version = lambda *_, **__: True

    def taken(case: Mapping[str, Any]) -> None:
        own = types.SimpleNamespace(major=case["major"], minor=0, name="")
        torch.cuda.get_device_properties = lambda *_: own  # type: ignore[assignment]
        torch.cuda.get_device_capability = lambda *_: (case["major"], 0)
        os.environ["WORLD_SIZE"] = str(case["world"])
        sharded = "--use-megatron-fsdp" in case["argv"]
        os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] = "8" if sharded else "1"
        sys.argv = ["pretrain_gpt.py", *case["argv"]]
        found = arguments.parse_args()
        arguments.validate_args(found)
        found.apply_rope_fusion = False  # a kernel of Transformer Engine, which is not there
        arguments.core_transformer_config_from_args(found)

    return taken


def torchtitan(source: Path) -> Callable[[Mapping[str, Any]], None]:
    """The ConfigManager of torchtitan."""
    sys.path.insert(0, str(source))
    import torchtitan.tools.utils as utils  # type: ignore[import-not-found]

    utils.has_cuda_capability = lambda *_: True
    from torchtitan.config import ConfigManager  # type: ignore[import-not-found]

    return lambda case: ConfigManager().parse_args(list(case["argv"]))


def verl(source: Path) -> Callable[[Mapping[str, Any]], None]:
    """The YAML of verl, by hydra."""
    from hydra import compose, initialize_config_dir  # type: ignore[import-not-found]

    def taken(case: Mapping[str, Any]) -> None:
        with initialize_config_dir(config_dir=str(source / "verl/trainer/config"), version_base=None):
            compose(config_name="ppo_trainer", overrides=list(case["argv"]))

    return taken


PARSERS: Mapping[str, Callable[[Path], Callable[[Mapping[str, Any]], None]]] = {
    "megatron": megatron, "torchtitan": torchtitan, "verl": verl,
}  # fmt: skip


def before(engine: str, source: Path, held: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each case with why the engine's parser refused it, empty where it took it."""
    taken = PARSERS[engine](source)
    found = []
    for case in held:
        with tempfile.TemporaryFile("w") as unheard:
            kept, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), unheard, unheard
            try:
                taken(case)
                why = ""
            except (Exception, SystemExit) as error:
                why = (f"{type(error).__name__}: {error}".splitlines() or ["refused"])[0]
            finally:
                sys.stdout, sys.stderr = kept
        found.append({**case, "parser": why})
    return found


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    answers, sys.stdout = sys.stdout, sys.stderr  # engines print when they are imported
    json.dump(before(sys.argv[1], Path(sys.argv[2]), json.load(sys.stdin)), answers)
