"""Writes what the configuration classes of transformers fill in where a file leaves a key out.

Only keys that the readers of families ask for, and only plain values. Run with the version of transformers that the
tests install: `python scripts/defaults.py`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

ROOM = Path(__file__).parent.parent / "src/tonnage/model"
FILE = ROOM / "data/defaults.json"
DRAFTS = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules", "use_mtp")
"""Keys of layers that transformers does not build: their defaults say nothing of a release."""


def found() -> dict[str, dict[str, Any]]:
    """Defaults by `model_type`, of the families that are read here and that transformers has."""
    import transformers

    from tonnage.model.known import FAMILIES

    text = "".join(path.read_text("utf-8") for path in ROOM.glob("*.py"))
    made = {}
    for kind in sorted(FAMILIES):
        try:
            known = _settings(transformers, kind)
        except (ValueError, TypeError, AttributeError):
            continue
        derived = _derived(transformers, kind, known)
        kept = {key: value for key, value in sorted(known.items()) if _kept(key, value) and key not in derived}
        made[kind] = {key: value for key, value in kept.items() if f'"{key}"' in text}
    return made


def _settings(transformers: Any, kind: str, **changed: int) -> dict[str, Any]:
    """A configuration of the text part as keys and values."""
    settings = transformers.AutoConfig.for_model(kind, **changed)
    found: dict[str, Any] = getattr(settings, "text_config", settings).to_dict()
    return found


def _derived(transformers: Any, kind: str, known: dict[str, Any]) -> set[str]:
    """Keys that follow from others: they change when one of these is set."""
    found = set()
    for key in ("hidden_size", "num_attention_heads", "num_hidden_layers", "num_key_value_heads"):
        if not isinstance(known.get(key), int):
            continue
        try:
            other = _settings(transformers, kind, **{key: 2 * known[key]})
        except Exception:  # a size that a class refuses tells nothing
            continue
        found |= {name for name, value in other.items() if name != key and value != known.get(name)}
    return found


def _kept(key: str, value: object) -> bool:
    return isinstance(value, (bool, int)) and key not in DRAFTS


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(found(), indent=1) + "\n", "utf-8")
