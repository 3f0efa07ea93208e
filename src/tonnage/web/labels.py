"""All words of the page, in one file for each language."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from pathlib import PurePath

FALLBACK = "en"


@functools.cache
def labels(language: str = FALLBACK) -> dict[str, object]:
    """The words of a language, as the file has them."""
    text = resources.files("tonnage.web").joinpath(f"labels/{language}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@functools.cache
def languages() -> tuple[str, ...]:
    """Languages that there is a file of."""
    folder = resources.files("tonnage.web").joinpath("labels")
    return tuple(sorted(PurePath(each.name).stem for each in folder.iterdir() if PurePath(each.name).suffix == ".toml"))


def chosen(accepted: str) -> str:
    """The first language of an Accept-Language header that there is a file of."""
    wanted = [part.partition(";")[0].strip().lower().partition("-")[0] for part in accepted[:200].split(",")]
    return next((word for word in wanted if word in languages()), FALLBACK)


def word(words: dict[str, object], key: str) -> str:
    """The text of a dotted key; the key itself where there is none, so that a gap is seen."""
    found: object = words
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, str) else key
