"""Rooms whose public names are loaded when they are first asked for: a command imports what it uses, no more.

A room's `__init__` says where its names are from twice, once to type checkers and once to `opened`; a test holds both
to be the same.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from types import ModuleType


class Room(ModuleType):
    """A package each of whose public names is looked up in its module, also where a module is called the same."""

    _HOMES: Mapping[str, str]

    def __getattr__(self, name: str) -> object:
        home = self._HOMES.get(name)
        if home is None:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        found: object = getattr(importlib.import_module(f"{self.__name__}.{home}"), name)
        return found

    def __setattr__(self, name: str, value: object) -> None:
        """Python sets a module that was loaded on its package: a public name of that name (`serve.plan`) stays."""
        if not (name in self._HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *self._HOMES})


def opened(room: str, homes: Mapping[str, str]) -> None:
    """Makes a package a `Room`. homes: modules in it, and the public names that each holds, in one text."""
    module = sys.modules[room]
    module.__dict__["_HOMES"] = {name: home for home, names in homes.items() for name in names.split()}
    module.__class__ = Room
