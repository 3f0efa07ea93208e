"""Which model a launch file means: by its name, by a requantised release's, or by its sizes."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tonnage.catalog import Catalog
from tonnage.catalog.models import entry
from tonnage.errors import TonnageError
from tonnage.launchfile.names import data, plain, texts
from tonnage.model import load

MARKS = 6
"""Most words at the end of a name that are taken off."""


@dataclass(frozen=True)
class Named:
    """model: its name for `load`; weights: how a release stores them, by its name; notes: what was understood."""

    model: str
    weights: str | None = None
    notes: tuple[str, ...] = ()

    def moe(self, catalog: Catalog) -> bool:
        """Whether it has routed experts."""
        try:
            return bool(load(self.model, catalog).moe)
        except TonnageError:
            return False

    def layers(self, catalog: Catalog) -> int | None:
        """Its layers."""
        try:
            found = load(self.model, catalog).config
        except TonnageError:
            return None
        text = found.get("text_config")
        value = (text if isinstance(text, dict) else found).get("num_hidden_layers")
        return value if isinstance(value, int) else None


def named(said: str, catalog: Catalog) -> Named | None:
    """A name as releases write it: the id, its last part, or either without what says how the weights are stored."""
    said = _released(said)
    last = said.rstrip("/").rsplit("/", 1)[-1]
    for candidate in (said, last):
        if _known(candidate, catalog):
            return Named(candidate)
    return _shortened(last, catalog) or _family_and_size(last, catalog)


def _released(said: str) -> str:
    """The release that a path into the cache of Hugging Face, or an address, means; a name without a remark."""
    cached = re.search(r"models--([\w.-]+?)--([\w.-]+)", said)
    if cached:
        return f"{cached[1]}/{cached[2]}"
    return re.sub(r"\s*\(.*\)\s*$", "", said.partition("://")[2] if said.startswith("hf://") else said)


def _family_and_size(name: str, catalog: Catalog) -> Named | None:
    """The one bundled model whose name has all the words of a shorter one, a size among them: `Llama 405B`."""
    words = _split(name)
    if len(words) < 2 or not any(re.fullmatch(r"\d+(\.\d+)?[bt]", word) for word in words):
        return None
    found = [one for one in catalog.models() if _in_order(words, _split(one.rsplit("/", 1)[-1]))]
    plain_ = min(found, key=len, default="")
    if not plain_ or not all(one.startswith(plain_) for one in found):
        return None
    return Named(plain_, None, (f"{name} as {plain_}, by its name",))


def _split(name: str) -> list[str]:
    return [word for word in re.split(r"[\s_-]+", name.lower()) if word]


def _in_order(words: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(word in rest for word in words)


def _shortened(name: str, catalog: Catalog) -> Named | None:
    """The longest beginning of a name that is known, where all that follows are marks of a release."""
    formats, unsaid = texts("checkpoints"), data("serving")["unsaid"]["words"]
    assert isinstance(unsaid, list)
    parts = name.replace("_", "-").replace(".w", "-w").split("-")
    weights = None
    for _ in range(min(MARKS, len(parts) - 1)):
        last = parts.pop().lower()
        if last in formats:
            weights = weights or formats[last]
        elif last not in unsaid and not last.isdigit():
            return None
        short = "-".join(parts)
        for candidate in (short, short.removeprefix("Meta-"), short.removeprefix("NVIDIA-")):
            if _known(candidate, catalog):
                how = f", weights {weights}" if weights else ""
                note = f"{name} as {load(candidate, catalog).name}{how}, by its name"
                return Named(candidate, weights, (note,))
    return None


def _known(name: str, catalog: Catalog) -> bool:
    if not name or "$" in name or len(name) > 200:
        return False
    try:
        load(name, catalog)
    except (TonnageError, OSError, ValueError):
        return False
    return True


FIELDS: Mapping[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers", "n_layer"),
    "hidden": ("hidden_size", "n_embd"),
    "heads": ("num_attention_heads", "n_head"),
    "groups": ("num_key_value_heads",),
    "experts": ("n_routed_experts", "num_experts", "num_local_experts"),
    "ffn": ("intermediate_size",),
}
"""Keys of a config.json for sizes."""


def sized(sizes: Mapping[str, int | None], catalog: Catalog) -> Named | None:
    """The model that has all the sizes that are given: layers and hidden size at least; the shortest id of several."""
    given = {name: value for name, value in sizes.items() if value is not None}
    if not {"layers", "hidden"} <= given.keys():
        return None
    found = [one for one, own in _sizes(catalog.digest, _Held(catalog)).items() if _same(given, own)]
    if not found:
        return None
    name = min(found, key=len)
    return Named(name, None, (f"the model by its sizes: {name}",))


@dataclass(frozen=True, eq=False)
class _Held:
    """A catalogue, told apart by its digest alone."""

    catalog: Catalog

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held)


@functools.lru_cache(maxsize=4)
def _sizes(digest: str, held: _Held) -> dict[str, dict[str, int]]:
    lines = held.catalog.model_lines
    made: dict[str, dict[str, int]] = {}
    for identity in lines:
        config = entry(identity, lines).get("config", {})
        config = config.get("text_config", config) if isinstance(config, dict) else {}
        own = {
            name: next((config[key] for key in keys if isinstance(config.get(key), int)), None)
            for name, keys in FIELDS.items()
        }
        made[identity] = {name: value for name, value in own.items() if value is not None}
    return made


def _same(given: Mapping[str, int], own: Mapping[str, int]) -> bool:
    """Whether sizes agree; layers may be filled up by a few empty ones (pipelines of equal stages)."""
    layers = own.get("layers", 0)
    if not layers <= given["layers"] <= layers * 21 // 20 + 3 or given["hidden"] != own.get("hidden"):
        return False
    return all(own.get(name, value) == value for name, value in given.items() if name not in ("layers", "hidden")) and (
        ("experts" in given) == ("experts" in own)
    )


__all__ = ["Named", "named", "plain", "sized"]
