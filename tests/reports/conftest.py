"""What public reports are asked with: a command, and its answer as the JSON object."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tonnage import catalog
from tonnage.model import load

Ask = Callable[..., dict[str, Any]]
Release = Callable[..., Path]


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A folder as a release has it: the configuration of a bundled model or keys of one, and files beside it."""

    def written(model: str | dict[str, Any], beside: dict[str, object] | None = None, **keys: object) -> Path:
        config = dict(load(model, catalog.load()).config) if isinstance(model, str) else model
        folder = tmp_path / "release"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({**config, **keys}))
        for name, content in (beside or {}).items():
            (folder / name).write_text(json.dumps(content))
        return folder

    return written
