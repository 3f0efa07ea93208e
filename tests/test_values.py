"""Values are kept in JSON and come back the same; what is no such value is refused with its path."""

import datetime
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.errors import InputError
from tonnage.interval import Interval
from tonnage.values import Form, decode, encode


@dataclass(frozen=True)
class Leaf:
    name: str
    kind: Literal["a", "b"]
    day: datetime.date
    doubt: Interval | None = None


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    pair: tuple[int, float]
    sizes: Mapping[str, float]
    most: float
    own: complex = 0j
    time: float = field(default=0.0, compare=False)


FORMS = {complex: Form(lambda z: [z.real, z.imag], lambda pair: complex(*pair))}

numbers = st.floats(allow_nan=False)
leaves = st.builds(
    Leaf,
    st.text(),
    st.sampled_from(["a", "b"]),
    st.dates(),
    st.none() | st.builds(Interval, numbers, numbers, numbers),
)
trees = st.builds(
    Tree,
    st.lists(leaves, max_size=3).map(tuple),
    st.tuples(st.integers(), numbers),
    st.dictionaries(st.text(), numbers, max_size=3),
    numbers,
    st.complex_numbers(allow_nan=False, allow_infinity=False),
)


@given(trees)
def test_a_value_comes_back_from_its_json(tree: Tree) -> None:
    text = json.dumps(encode(tree, FORMS), allow_nan=False)
    assert decode(Tree, json.loads(text), FORMS) == tree


GOOD = Tree((Leaf("x", "a", datetime.date(2025, 1, 2)),), (1, 2.0), {"s": 1.0}, math.inf)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("leaves", 0, "kind"), "c", "leaves[0].kind: expected a or b, got c"),
        (("leaves", 0, "day"), "soon", 'leaves[0].day: expected a date, got "soon"'),
        (("leaves", 0, "code"), "x", "leaves[0].code: Leaf has no such field"),
        (("pair",), [1], "pair: expected 2 entries, got 1"),
        (("most",), True, "most: expected a number, got True"),
        (("sizes",), [], "sizes: expected a mapping"),
        (("own",), ["a", 1], "own:"),
    ],
)
def test_what_does_not_fit_is_told_with_its_path(path: tuple[str | int, ...], value: object, told: str) -> None:
    plain = json.loads(json.dumps(encode(GOOD, FORMS)))
    inside = plain
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    with pytest.raises(InputError) as caught:
        decode(Tree, plain, FORMS)
    assert told in str(caught.value)


def test_a_missing_field_is_told() -> None:
    plain = encode(GOOD, FORMS)
    assert isinstance(plain, dict)
    del plain["most"]
    with pytest.raises(InputError, match="most: Tree needs it"):
        decode(Tree, plain, FORMS)


def test_what_is_no_value_is_not_written() -> None:
    with pytest.raises(TypeError, match="no value: set"):
        encode({"a": {1}})


T = TypeVar("T")


@dataclass(frozen=True)
class Ends(Generic[T]):
    first: T
    last: T | None


@dataclass(frozen=True)
class Story:
    days: Ends[datetime.date]
    costs: Ends[float]
    of: Mapping[Leaf, float]


def test_generic_values_and_mappings_by_value_come_back() -> None:
    leaf = Leaf("x", "a", datetime.date(2025, 1, 2))
    story = Story(Ends(datetime.date(2025, 1, 2), None), Ends(1.0, 2.0), {leaf: 3.0})
    assert decode(Story, json.loads(json.dumps(encode(story)))) == story
    assert decode(Story, json.loads(json.dumps(encode(replace(story, of={}))))).of == {}
