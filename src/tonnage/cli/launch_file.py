"""`--from FILE` of fit, serve and train: what a launch file says, with flags over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tonnage.cli.common import Common
from tonnage.errors import InputError, Problem

if TYPE_CHECKING:
    from tonnage.ask.fit import FitWords
    from tonnage.ask.serve import ServeWords
    from tonnage.ask.train_words import TrainWords
    from tonnage.launchfile import Written

Options = TypeVar("Options", bound="FitWords | ServeWords | TrainWords")


def read_from(
    path: Path | None, model: str | None, on: Sequence[str], options: Options, common: Common, *, train: bool = False
) -> tuple[str, Options, Written | None]:
    """(model, options, what the file says): flags that are given stay, the file says the rest.

    Raises `InputError` where neither says the model or the chips.
    """
    if path is None:
        missing = [Problem("MODEL is missing: a name such as deepseek-r1, or a file with --from")] if not model else []
        missing += [] if on else [Problem("requires an argument, such as 8xh200", "--on")]
        if missing:
            raise InputError(missing)
        return model or "", options, None
    from tonnage.launchfile import read

    written = read(path, common.load_catalog(), on=on, model=model, train=train)
    several = {field.name: field.type for field in fields(options)}["on"] != "str"
    given: dict[str, object] = {**written.words}
    if written.on is not None:
        given["on"] = tuple(written.on.split(" + ")) if several else written.on
    own = {field.name: field.default for field in fields(options) if field.default is not MISSING}
    new = {name: value for name, value in given.items() if name in own and getattr(options, name) == own[name]}
    both: dict[str, Any] = {field.name: getattr(options, field.name) for field in fields(options)} | new
    return model or written.model or "", type(options)(**both), written


def dated(common: Common, written: Written | None) -> Common:
    """With the date of the facts that a file was planned with, unless another is asked for."""
    if written is None or written.as_of is None or common.as_of is not None:
        return common
    return replace(common, as_of=written.as_of)
