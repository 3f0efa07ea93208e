"""Architectures are kept as their configuration and come back the same."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tonnage import catalog
from tonnage.errors import InputError
from tonnage.model import Architecture, bundled_names, derive, load
from tonnage.model.kept import FORMS
from tonnage.values import decode, encode

CATALOG = catalog.load()


def back(arch: Architecture) -> Architecture:
    return decode(Architecture, json.loads(json.dumps(encode(arch, FORMS))), FORMS)


def test_every_bundled_model_comes_back() -> None:
    for name in sorted({load(name, CATALOG).name for name in bundled_names()}):
        arch = load(name, CATALOG)
        assert back(arch) == arch
        assert back(arch).config == json.loads(json.dumps(arch.config))


def test_a_derived_model_comes_back_with_what_was_set_over_its_configuration() -> None:
    arch = derive(load("deepseek-v3", CATALOG), layers=80, precision="bf16", title="Ours")
    assert (arch.title, arch.precision) == ("Ours", "bf16")
    assert back(arch) == arch


def test_a_model_that_its_configuration_does_not_give_is_not_written() -> None:
    with pytest.raises(TypeError, match="another architecture"):
        encode(replace(load("qwen3-32b", CATALOG), vocab=128), FORMS)


@pytest.mark.parametrize("plain", [None, {}, {"name": "x", "config": []}, {"config": {}}, {"name": 3, "config": {}}])
def test_what_is_no_model_is_refused(plain: object) -> None:
    with pytest.raises(InputError):
        decode(Architecture, plain, FORMS)  # type: ignore[arg-type]
