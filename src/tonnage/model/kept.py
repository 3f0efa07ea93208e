"""An architecture as it is kept in files: the configuration that it was read from, never its classes."""

from __future__ import annotations

from collections.abc import Mapping

from tonnage.model.architecture import Architecture
from tonnage.model.load import build, set_over
from tonnage.values import Form, Forms, Plain, encode

OWN = ("title", "precision", "expert_precision")
"""What `derive` may set over what the configuration says."""


def _write(arch: Architecture) -> Plain:
    """Name, source, configuration, and what is set over it. Raises TypeError where these do not say all of it."""
    made = build(arch.config, name=arch.name, source=arch.source)
    own = {name: getattr(arch, name) for name in OWN if getattr(arch, name) != getattr(made, name)}
    if set_over(made, own) != arch:
        raise TypeError(f"no value: the configuration of {arch.name} gives another architecture")
    return {"name": arch.name, "source": arch.source, "config": encode(arch.config), **own}


def _read(plain: Plain) -> Architecture:
    if not isinstance(plain, Mapping) or not isinstance(plain.get("config"), Mapping):
        raise ValueError("expected the name, the source and the configuration of a model")
    words = {key: value for key, value in plain.items() if key != "config"}
    if "name" not in words or words.keys() - {"name", "source", *OWN} or not all(map(_word, words.values())):
        raise ValueError(f"expected words under name, source, {', '.join(OWN)}")
    own = {key: words.pop(key) for key in OWN if key in words}
    return set_over(build(plain["config"], **words), own)  # type: ignore[arg-type]


def _word(value: object) -> bool:
    return isinstance(value, str)


FORMS: Forms = {Architecture: Form(_write, _read)}
"""How the values of this room are kept where not field by field."""
