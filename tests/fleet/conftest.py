"""Programmes and planners of the fleet's tests."""

from __future__ import annotations

import pytest
from stories import SPEEDS, STORY, Written

from tonnage import catalog as catalogues
from tonnage.fleet import read_programme


@pytest.fixture(scope="session")
def catalog():
    return catalogues.load()


@pytest.fixture
def planner():
    return Written(**SPEEDS)


@pytest.fixture
def written():
    return Written


@pytest.fixture
def programme(tmp_path, catalog):
    """A function: text or changes of the story -> programme."""

    def read(text=STORY, as_of=None, **sets):
        path = tmp_path / "p.yaml"
        path.write_text(text, encoding="utf-8")
        return read_programme(path, {key.replace("__", "."): value for key, value in sets.items()}, catalog, as_of)

    read.story = STORY
    return read
