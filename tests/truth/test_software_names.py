"""The names under which results were published, and what they are priced as."""

from __future__ import annotations

import pytest

from tonnage.catalog.software import plain, software
from tonnage.errors import InputError
from tonnage.model import load
from tonnage.serve.replica.engines import ENGINES, engine
from tonnage.train import TrainJob
from tonnage.train.frameworks import published
from tonnage.truth.cases import load_cases
from tonnage.truth.serving import priced_as


def test_every_published_framework_has_been_looked_up() -> None:
    """None of them falls to `unknown` for want of an entry."""
    names = {row["framework"] for row in load_cases("training") if row.get("framework")}
    held = software().frameworks.values()
    listed = {plain(name) for one in held for name in (one.name, *one.aliases, *one.published)}
    assert {name for name in names if plain(name) not in listed} == set()
    assert published("Megatron-Bridge / Megatron-Core, NeMo container 26.08") == "megatron-bridge"
    assert published("Megatron-Core") == "megatron-core"
    assert published("a stack that nobody knows") == "unknown"


def test_every_published_engine_is_one_or_is_priced_as_one() -> None:
    names = {row["engine"] for row in load_cases("serving") if row.get("engine")}
    own = {name for one in ENGINES.values() for name in (one.name, *one.aliases)}
    assert names - own - priced_as().keys() == set()
    assert set(priced_as().values()) <= ENGINES.keys()


@pytest.mark.parametrize("name", ["lmdeploy", "jetstream", "mango", "moai", "pytorch", "deepseek", "mindie"])
def test_an_engine_that_we_do_not_know_is_not_another_one_for_users(name: str) -> None:
    assert name in priced_as()
    with pytest.raises(InputError, match="known: vllm, sglang, trtllm"):
        engine(name)


def test_a_framework_that_is_not_known_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="mindspeed") as error:
        TrainJob(load("qwen3-8b"), framework="mindsped")
    assert error.value.problems[0].suggestion == "mindspeed"
    assert TrainJob(load("qwen3-8b"), framework="Megatron_Bridge").traits.name == "megatron-bridge"
