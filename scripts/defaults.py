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
            settings = transformers.AutoConfig.for_model(kind)
        except (ValueError, TypeError, AttributeError):
            continue
        settings = getattr(settings, "text_config", settings)
        known = settings.to_dict().items()
        made[kind] = {key: value for key, value in sorted(known) if _kept(key, value) and f'"{key}"' in text}
    return made


def _kept(key: str, value: object) -> bool:
    return isinstance(value, (bool, int)) and key not in DRAFTS


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(found(), indent=1) + "\n", "utf-8")
