"""Frozen values to plain JSON and back, exactly: `decode(type(value), encode(value)) == value`.

A value is a frozen dataclass of numbers, text, dates, None, other values, tuples, sets of text or mappings of these.
What stands in a file is looked at with the type in hand and never executed: a field that the type does not have, or
that has another kind of content, is an `InputError` with its path. A class that is better kept in another form (an
architecture as the configuration that it was read from) has a `Form`.
"""

from __future__ import annotations

import datetime
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, cast

from tonnage.errors import InputError, Problem

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
"""What JSON has."""

Value = TypeVar("Value")

DEEPEST = 64
"""How deep values may lie inside each other."""


@dataclass(frozen=True)
class Form:
    """How a class is kept where not field by field: write to plain JSON, read from it (raising ValueError)."""

    write: Callable[[Any], Plain]
    read: Callable[[Any], object]


Forms = Mapping[type, Form]
"""Forms by class."""


def encode(value: object, forms: Forms | None = None) -> Plain:
    """Plain JSON of a value. Fields that do not count in comparisons are left out; raises TypeError for no value."""
    form = (forms or {}).get(type(value))
    if form is not None:
        return form.write(value)
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, datetime.date):
        return value.isoformat()
    if is_dataclass(value):
        return {f.name: encode(getattr(value, f.name), forms) for f in fields(value) if f.compare}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: encode(item, forms) for key, item in value.items()}
        return [[encode(key, forms), encode(item, forms)] for key, item in value.items()]
    if isinstance(value, (tuple, list)):
        return [encode(item, forms) for item in value]
    if isinstance(value, frozenset):
        return [encode(item, forms) for item in sorted(value)]
    raise TypeError(f"no value: {type(value).__name__}")


def decode(kind: type[Value], plain: Plain, forms: Forms | None = None) -> Value:
    """The value of a type that plain JSON holds. Raises `InputError` with the path of what does not fit."""
    return cast(Value, _decode(kind, plain, forms or {}, "", 0))


def _decode(kind: Any, plain: Plain, forms: Forms, path: str, depth: int) -> object:
    if depth > DEEPEST:
        raise _wrong(path, f"nested deeper than {DEEPEST}")
    form = forms.get(kind) if isinstance(kind, type) else None
    if form is not None:
        return _formed(form, plain, path)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of(inner, plain, forms, path, depth)
    if origin is Literal:
        return _plain_of(plain, path, plain in inner, " or ".join(map(str, inner)))
    if origin in (tuple, list, Sequence):
        return _tuple(inner, plain, forms, path, depth)
    if origin is frozenset:
        return frozenset(cast("tuple[object, ...]", _tuple((inner[0], ...), plain, forms, path, depth)))
    if origin in (dict, Mapping):
        return _mapping(inner, plain, forms, path, depth)
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass(kind, plain, forms, path, depth)
    if isinstance(origin, type) and is_dataclass(origin):
        return _dataclass(origin, plain, forms, path, depth, dict(zip(_parameters(origin), inner, strict=True)))
    return _leaf(kind, plain, path)


def _formed(form: Form, plain: Plain, path: str) -> object:
    try:
        return form.read(plain)
    except (ValueError, TypeError, KeyError) as error:
        raise _wrong(path, str(error)) from None


def _one_of(kinds: tuple[Any, ...], plain: Plain, forms: Forms, path: str, depth: int) -> object:
    """The first of a union's types that fits: None where it may be, then in the order of the union."""
    if plain is None and type(None) in kinds:
        return None
    problems: list[Problem] = []
    for kind in kinds:
        if kind is not type(None):
            try:
                return _decode(kind, plain, forms, path, depth)
            except InputError as error:
                problems += error.problems
            except TypeError:  # a type of which no value is kept: another has to fit
                if len(kinds) == 1:
                    raise
    raise InputError(problems or Problem("expected another value", path=path.lstrip(".")))


def _tuple(inner: tuple[Any, ...], plain: Plain, forms: Forms, path: str, depth: int) -> object:
    if not isinstance(plain, list):
        raise _wrong(path, "expected a list")
    same = len(inner) == 1 or (len(inner) == 2 and inner[1] is Ellipsis)
    if not same and len(inner) != len(plain):
        raise _wrong(path, f"expected {len(inner)} entries, got {len(plain)}")
    kinds = [inner[0]] * len(plain) if same else list(inner)
    return tuple(
        _decode(k, p, forms, f"{path}[{i}]", depth + 1) for i, (k, p) in enumerate(zip(kinds, plain, strict=True))
    )


def _parameters(kind: Any) -> tuple[Any, ...]:
    """Type variables of a generic class."""
    return tuple(kind.__parameters__)


def _mapping(inner: tuple[Any, ...], plain: Plain, forms: Forms, path: str, depth: int) -> object:
    """A mapping; one whose keys are values themselves is kept as pairs."""
    if isinstance(plain, dict) and inner[0] in (str, Any):
        return {key: _decode(inner[1], item, forms, f"{path}.{key}", depth + 1) for key, item in plain.items()}
    if plain == {}:
        return {}
    if (
        inner[0] is str
        or not isinstance(plain, list)
        or not all(isinstance(pair, list) and len(pair) == 2 for pair in plain)
    ):
        raise _wrong(path, "expected a mapping")
    pairs = [_tuple(inner, pair, forms, f"{path}[{index}]", depth + 1) for index, pair in enumerate(plain)]
    return dict(cast("list[tuple[Any, Any]]", pairs))


def _dataclass(
    kind: type, plain: Plain, forms: Forms, path: str, depth: int, bound: Mapping[Any, Any] | None = None
) -> object:
    """A dataclass from its fields; bound: what the type variables of a generic one stand for."""
    if not isinstance(plain, dict):
        raise _wrong(path, f"expected the fields of {kind.__name__}")
    known = _fields(kind)
    strange = sorted(plain.keys() - known.keys())
    missing = sorted(name for name, (field, _) in known.items() if name not in plain and _needed(field))
    problems = [Problem(f"{kind.__name__} has no such field", path=f"{path}.{name}".lstrip(".")) for name in strange]
    problems += [Problem(f"{kind.__name__} needs it", path=f"{path}.{name}".lstrip(".")) for name in missing]
    if problems:
        raise InputError(problems)
    kinds = {name: _bind(hint, bound or {}) for name, (_, hint) in known.items()}
    return kind(
        **{name: _decode(kinds[name], item, forms, f"{path}.{name}", depth + 1) for name, item in plain.items()}
    )


def _bind(hint: Any, bound: Mapping[Any, Any]) -> Any:
    """A field's type with its type variables replaced by what they stand for."""
    if hint in bound:
        return bound[hint]
    open_ = getattr(hint, "__parameters__", ()) if bound else ()
    return hint[tuple(bound[variable] for variable in open_)] if open_ else hint


@functools.cache
def _fields(kind: type) -> dict[str, tuple[Field[Any], Any]]:
    hints = typing.get_type_hints(kind)
    return {field.name: (field, hints[field.name]) for field in fields(kind) if field.compare}


def _needed(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _leaf(kind: Any, plain: Plain, path: str) -> object:
    if kind is float:
        if isinstance(plain, str) and plain in ("inf", "-inf"):
            return float(plain)
        _plain_of(plain, path, isinstance(plain, (int, float)) and not isinstance(plain, bool), "a number")
        return float(cast(float, plain))
    if kind is datetime.date:
        try:
            return datetime.date.fromisoformat(str(plain))
        except ValueError:
            raise _wrong(path, f'expected a date, got "{plain}"') from None
    if kind in (int, bool, str):
        fits = isinstance(plain, kind) and (kind is bool or not isinstance(plain, bool))
        return _plain_of(plain, path, fits, {int: "a whole number", bool: "true or false", str: "text"}[kind])
    if kind in (Any, object):
        return plain
    raise TypeError(f"{path}: values of type {kind} are not kept")


def _plain_of(plain: Plain, path: str, fits: bool, expected: str) -> Plain:
    if not fits:
        raise _wrong(path, f"expected {expected}, got {str(plain)[:40]}")
    return plain


def _wrong(path: str, message: str) -> InputError:
    return InputError(Problem(message, path=path.lstrip(".")))
