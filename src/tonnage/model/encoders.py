"""Vision towers of multimodal models: their parameters by name, so that totals are those of the whole model."""

from __future__ import annotations

from tonnage.model.config import Reader


def encoders(read: Reader) -> tuple[tuple[str, int], ...]:
    """Parameters of the encoders that a configuration describes."""
    return ()
