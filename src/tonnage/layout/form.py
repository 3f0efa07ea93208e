"""How a layout is kept: its degrees that are not the default, as whole numbers."""

from __future__ import annotations

from dataclasses import fields

from tonnage.layout.notation import Layout
from tonnage.values import Form, Plain


def write(layout: Layout) -> Plain:
    """Degrees by name; raises TypeError for an array of layouts."""
    degrees = {field.name: getattr(layout, field.name) for field in fields(layout)}
    return {name: int(value) for name, value in degrees.items() if int(value) != getattr(Layout, name)}


def read(plain: Plain) -> Layout:
    """The layout. Raises ValueError for what is none."""
    known = {field.name for field in fields(Layout)}
    if not isinstance(plain, dict) or not plain.keys() <= known:
        raise ValueError(f"expected degrees by name: {', '.join(sorted(known))}")
    degrees = {name: value for name, value in plain.items() if type(value) is int and value >= 0}
    if len(degrees) < len(plain):
        raise ValueError("expected whole numbers")
    return Layout(**degrees)


LAYOUT = Form(write, read)
