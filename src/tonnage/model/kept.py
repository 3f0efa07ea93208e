"""An architecture as it is kept in files: the configuration that it was read from, never its classes."""

from __future__ import annotations

from collections.abc import Mapping

from tonnage.model.architecture import Architecture, Drafter
from tonnage.model.drafts import drafter_of, usual_drafter, with_draft
from tonnage.model.load import build, set_over
from tonnage.values import Form, Forms, Plain, encode

OWN = ("title", "precision", "expert_precision")
"""What `derive` may set over what the configuration says."""


def _write(arch: Architecture) -> Plain:
    """Name, source, configuration, and what is set over it. Raises TypeError where these do not say all of it."""
    made = build(arch.config, name=arch.name, source=arch.source)
    own = {name: getattr(arch, name) for name in OWN if getattr(arch, name) != getattr(made, name)}
    whole = set_over(made, own)
    if arch.drafter is not None:
        whole = with_draft(whole, _drafter(arch.drafter.name, arch.drafter.config, whole))
    if whole != arch:
        raise TypeError(f"no value: the configuration of {arch.name} gives another architecture")
    kept: dict[str, Plain] = {"name": arch.name, "source": arch.source, "config": encode(arch.config), **own}
    if arch.drafter is not None:
        kept["drafter"] = {"name": arch.drafter.name, "config": encode(arch.drafter.config)}
    return kept


def _drafter(name: str, config: Mapping[str, object], target: Architecture) -> Drafter:
    """A model that drafts, from its configuration; one without a name is of usual shape."""
    return drafter_of(build(config, name=name), target) if name else usual_drafter(target)


def _read(plain: Plain) -> Architecture:
    if not isinstance(plain, Mapping) or not isinstance(plain.get("config"), Mapping):
        raise ValueError("expected the name, the source and the configuration of a model")
    words = {key: value for key, value in plain.items() if key not in ("config", "drafter")}
    if "name" not in words or words.keys() - {"name", "source", *OWN} or not all(map(_word, words.values())):
        raise ValueError(f"expected words under name, source, {', '.join(OWN)}")
    own = {key: words.pop(key) for key in OWN if key in words}
    made = set_over(build(plain["config"], **words), own)  # type: ignore[arg-type]
    drafter = plain.get("drafter")
    if drafter is None:
        return made
    if not isinstance(drafter, Mapping) or not isinstance(drafter.get("config"), Mapping):
        raise ValueError("expected the name and the configuration of the model that drafts")
    return with_draft(made, _drafter(str(drafter.get("name", "")), drafter["config"], made))  # type: ignore[arg-type]


def _word(value: object) -> bool:
    return isinstance(value, str)


FORMS: Forms = {Architecture: Form(_write, _read)}
"""How the values of this room are kept where not field by field."""
