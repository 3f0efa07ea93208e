"""How an architecture is kept: the configuration that it was read from, and what was set beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from tonnage.model.architecture import Architecture
from tonnage.model.load import build
from tonnage.values import Form, Plain, encode

_SET = ("title", "precision", "expert_precision")
"""Fields that may differ from what the configuration says."""


def write(arch: Architecture) -> Plain:
    """Name, source, configuration, and what may have been set beside it."""
    own = {name: getattr(arch, name) for name in ("name", "source", *_SET)}
    return {**own, "config": encode(arch.config)}


def read(plain: Plain) -> Architecture:
    """The architecture built again. Raises ValueError or `InputError` for what is none."""
    if not isinstance(plain, dict) or not isinstance(plain.get("config"), dict):
        raise ValueError("expected an architecture: its name, source and config")
    texts = {name: plain.get(name) for name in ("name", "source", *_SET)}
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError(f"expected text for {', '.join(texts)}")
    known = cast(dict[str, str], texts)
    made = build(cast(dict[str, Plain], plain["config"]), name=known["name"], source=known["source"])
    return replace(made, title=known["title"], precision=known["precision"], expert_precision=known["expert_precision"])


ARCHITECTURE = Form(write, read)
