"""A configuration read key by key: every value bounded and typed, every problem collected."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tonnage.errors import Problem, nearest

LARGEST = {"layers": 10_000, "experts": 100_000, "heads": 65_536, "vocab": 100_000_000, "width": 10_000_000}
"""Bounds beyond any published model by two orders of magnitude: larger figures are refused as mistakes."""

KINDS = (
    "full_attention",
    "sliding_attention",
    "chunked_attention",
    "linear_attention",
    "indexed_attention",
    "deepseek_sparse_attention",
    "reference_sliding_attention",
    "minimax_m3_sparse",
    "hybrid",
    "hybrid_sliding",
    "attention",
    "mamba",
    "conv",
    "dense",
    "sparse",
    "full",
    "shared",
)
"""Words by which configurations tell kinds of layers apart (`layer_types` and its like)."""

Place = Callable[[str], str]


class ConfigReader:
    """Reads keys of one configuration. What is wrong goes to `problems`; a stand-in value lets reading go on."""

    def __init__(self, config: Mapping[str, object], problems: list[Problem], place: Place, path: str = "") -> None:
        self.config, self.problems, self.place, self.path = config, problems, place, path

    def has(self, key: str) -> bool:
        """Whether `key` is given and not null."""
        return self.config.get(key) is not None

    def wrong(self, key: str, message: str, suggestion: str | None = None) -> None:
        """Notes a problem at `key`."""
        path = f"{self.path}.{key}" if self.path else key
        self.problems.append(Problem(message, self.place(path), path, suggestion))

    def whole(self, *keys: str, default: int | None = None, low: int = 1, high: int = LARGEST["width"]) -> int:
        """A whole number under the first of `keys` that is given."""
        for key in keys:
            if not self.has(key):
                continue
            value = self.config[key]
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, bool) or not isinstance(value, int):
                self.wrong(key, f"expected a whole number, got {_short(value)}")
                return max(low, 1)
            if not low <= value <= high:
                self.wrong(key, f"expected a whole number from {low} to {high}, got {_short(value)}")
                return max(low, 1)
            return value
        if default is not None:
            return default
        self.wrong(keys[0], "is missing", nearest(keys[0], self.config))
        return max(low, 1)

    def flag(self, key: str, default: bool = False) -> bool:
        """A yes or no."""
        value = self.config.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.wrong(key, f"expected true or false, got {_short(value)}")
            return default
        return value

    def text(self, key: str, default: str = "") -> str:
        """A word."""
        value = self.config.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self.wrong(key, f"expected a word, got {_short(value)}")
            return default
        return value

    def listing(self, key: str, length: int | None = None) -> list[object] | None:
        """A list, of `length` entries if that is given; None when it is missing (or wrong, which is noted)."""
        value = self.config.get(key)
        if value is None:
            return None
        if not isinstance(value, (list, tuple)):
            self.wrong(key, f"expected a list, got {_short(value)}")
            return None
        if length is not None and len(value) < length:
            self.wrong(key, f"has {len(value)} entries for {length} layers")
            return None
        return list(value[:length])

    def kinds(self, key: str, depth: int) -> list[object] | None:
        """The kind of each layer, in words that are known; None when it is missing (or wrong, which is noted)."""
        found = self.listing(key, depth)
        strange = next((kind for kind in found or () if kind not in KINDS), None)
        if strange is None:
            return found
        close = nearest(strange, KINDS) if isinstance(strange, str) else None
        self.wrong(key, f"{_short(strange)} is no kind of layer that is known", close)
        return None

    def numbers(self, key: str) -> set[int]:
        """The layers that a list names; empty when it is missing."""
        found = self.listing(key) or []
        layers = {entry for entry in found if isinstance(entry, int)}
        if not all(isinstance(entry, int) for entry in found):
            self.wrong(key, "expected a list of layer numbers")
            return set()
        return layers

    def section(self, key: str) -> ConfigReader | None:
        """A nested configuration."""
        value = self.config.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.wrong(key, f"expected keys and values, got {_short(value)}")
            return None
        return ConfigReader(value, self.problems, self.place, f"{self.path}.{key}" if self.path else key)

    def layers(self, *keys: str) -> int:
        """The number of layers."""
        return self.whole(*(keys or ("num_hidden_layers",)), high=LARGEST["layers"])


def _short(value: object) -> str:
    """A value as a problem shows it."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**18:
        return "a number with too many digits"
    shown = repr(value) if not isinstance(value, (Mapping, list, tuple)) else f"a {type(value).__name__}"
    return shown if len(shown) <= 60 else shown[:57] + "..."
