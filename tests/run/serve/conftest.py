"""A house for each test, and one for a whole file."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from house import House


@pytest.fixture
def house(tmp_path):
    one = House(tmp_path)
    yield one
    one.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    one = House(tmp_path_factory.mktemp("house"))
    yield one
    one.end()
