"""What settings are called, and what they mean: tables in `data/`."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tonnage.export.accepted import COMMANDS, TABLES, table
from tonnage.export.train_tables import settings_of

DATA = Path(__file__).parent / "data"

SERVING = {"vllm": "vllm", "vllm-ascend": "vllm", "sglang": "sglang", "trtllm": "trtllm"}
"""Serving engines, and whose table their settings are read by."""

TRAINING = {
    "megatron-lm": "megatron",
    "megatron-bridge": "megatron",
    "nemo": "megatron",
    "mindspeed-llm": "megatron",
    "slime": "megatron",
    "torchtitan": "torchtitan",
    "verl": "verl",
    "maxtext": "maxtext",
    "deepspeed": "deepspeed",
}
"""Training frameworks, the same."""

DRAWN = {"megatron": ("megatron", "mindspeed", "bridge"), "torchtitan": ("torchtitan",), "verl": ("verl",)}
"""Tables of settings that were drawn from engines' sources, by the table that says what settings mean."""

ALIASES = {"tensorrt-llm": "trtllm", "trt-llm": "trtllm", "megatron-core": "megatron-lm", "megatron": "megatron-lm"}
"""Other names of engines, as records of launches write them."""

TABLE_OF = {**SERVING, **TRAINING, "bench": "bench"}


@dataclass(frozen=True)
class Names:
    """means: setting -> what it is here; still: settings that change nothing that is priced; every: all of the engine,
    where they are known; sections: whether settings stand in sections that do not change what they mean.
    """

    means: Mapping[str, str]
    still: frozenset[str]
    every: frozenset[str]
    sections: bool = False

    def meaning(self, name: str) -> str | None:
        """What a setting means, by its whole name or its last part; None where it means nothing here."""
        last = plain(name.rpartition(".")[2]) if self.sections else ""
        return self.means.get(plain(name)) or self.means.get(last)

    def known(self, name: str) -> bool:
        """Whether the engine has such a setting."""
        last = plain(name.rpartition(".")[2])
        whole = plain(name)
        bare = [one.removeprefix("no-").removeprefix("disable-") for one in (whole, last)]
        first = plain(name.partition(".")[0])
        return any(one in self.still or one in self.means or one in self.every for one in (whole, last, *bare, first))

    def quiet(self, name: str) -> bool:
        """Whether a setting changes nothing that is priced."""
        last = plain(name.rpartition(".")[2])
        first = plain(name.partition(".")[0])
        every = (plain(name), last, first, last.removeprefix("no-"))
        return any(one in self.still for one in every)


def plain(name: str) -> str:
    """A name in lower case, its parts joined by `-`."""
    joined = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name.strip().lstrip("-+"))
    return re.sub(r"[-_. ]+", "-", joined).lower()


def sections(setting: str) -> tuple[str, ...]:
    """The parts of a setting that stands in sections: `trainer.num_nodes`."""
    return tuple(setting.split("."))


@functools.cache
def data(kind: str) -> Mapping[str, Mapping[str, object]]:
    """A table of `data/`: `serving` or `training`."""
    return tomllib.loads((DATA / f"{kind}.toml").read_text(encoding="utf-8"))


def texts(section: str) -> Mapping[str, str]:
    """A section of `serving.toml` whose values are texts."""
    return {key: str(value) for key, value in data("serving")[section].items()}


@functools.cache
def names(engine: str) -> Names:
    """The names of an engine."""
    section = TABLE_OF[engine]
    found = data("serving").get(section) or data("training")[section]
    means, still = found["means"], found["still"]
    assert isinstance(means, dict) and isinstance(still, list)
    more = found.get("more", [])
    assert isinstance(more, list)
    every = frozenset([*(_takes(engine) if engine in TABLES else ()), *map(str, more)])
    if engine == "slime":  # hands flags of its rollouts on
        rollouts = names("sglang")
        every |= {f"sglang-{one}" for one in (*rollouts.means, *rollouts.still, *rollouts.every)}
    inside = engine in TRAINING
    every |= frozenset(
        plain(name.rpartition(".")[2]) for one in DRAWN.get(section, ()) for name in settings_of(one).flags
    )
    return Names({str(k): str(v) for k, v in means.items()}, frozenset(map(str, still)), every, inside)


def arity(engine: str, name: str) -> str:
    """What a flag takes, by the engine's own table: `flag` takes nothing; `?` where it is not known."""
    if engine not in COMMANDS:
        return "?"
    found = _takes(engine).get(plain(name))
    return found or "?"


@functools.cache
def _takes(engine: str) -> Mapping[str, str]:
    flags = table(engine).flags
    return {plain(one): str(flag["takes"]) for name, flag in flags.items() for one in (name, *flag.get("names", ()))}


def engine_named(text: str) -> str | None:
    """The engine that a record names."""
    found = plain(text)
    found = ALIASES.get(found, found)
    return found if found in SERVING or found in TRAINING else None


def image_engine(image: object) -> tuple[str | None, str | None]:
    """(engine, version) of a container's image."""
    if not isinstance(image, str):
        return None, None
    name, _, tag = image.partition("@")[0].rpartition(":") if ":" in image.rsplit("/", 1)[-1] else (image, "", "")
    short = "/".join(name.rsplit("/", 2)[-2:])
    known = texts("images")
    engine = known.get(short) or next((known[key] for key in known if name.endswith("/" + key)), None)
    version = re.match(r"v?(\d+\.\d+(?:\.\d+)?)", tag)
    runtime = "/" in name and short.startswith("ai-dynamo/")
    return engine, version[1] if version and engine and not runtime else None
