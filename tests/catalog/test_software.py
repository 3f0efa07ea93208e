"""Releases of training frameworks and serving engines: sources, names matched whole, days from which features hold."""

from __future__ import annotations

import datetime
from itertools import chain

import pytest

from tonnage.catalog.software import named, plain, software

EVERY = software()


def test_every_release_and_feature_has_a_source() -> None:
    held = [*EVERY.features.values(), *EVERY.frameworks.values(), *EVERY.engines.values()]
    assert len(held) > 25
    assert all(len(one.source) > 10 for one in held)


@pytest.mark.parametrize("kind", ["frameworks", "engines"])
def test_no_name_means_two_releases(kind: str) -> None:
    """So that the order of the file decides nothing."""
    held = getattr(EVERY, kind).values()
    names = [plain(name) for one in held for name in (one.name, *one.aliases, *getattr(one, "published", ()))]
    assert len(names) == len(set(names))


def test_a_name_is_matched_whole_in_any_spelling() -> None:
    pairs = [(one.name, one.aliases) for one in EVERY.frameworks.values()]
    assert named("Megatron_Bridge", pairs) == named("megatron bridge", pairs) == "megatron-bridge"
    assert named("my nemo fork", pairs) is None


def test_a_stack_hides_what_its_date_allows() -> None:
    nemo = EVERY.frameworks["nemo"]
    day = nemo.since["tensor"]
    assert nemo.hides("tensor", day)
    assert not nemo.hides("tensor", day - datetime.timedelta(days=1))
    assert EVERY.frameworks["fsdp"].hides("weights", datetime.date(2000, 1, 1))
    assert not EVERY.frameworks["fsdp"].hides("tensor", datetime.date(2100, 1, 1))


def test_each_software_stack_has_one_usual_engine() -> None:
    stacks = list(chain.from_iterable(one.stacks for one in EVERY.engines.values()))
    assert len(stacks) == len(set(stacks))
    assert {"cann", "xla"} <= set(stacks)
