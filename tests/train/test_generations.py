"""What training takes from the generation of a chip: failures on record, kernels, watts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tonnage.catalog import load
from tonnage.system import System, accelerator
from tonnage.train.generations import GENERATIONS, generation
from tonnage.train.goodput import CRUSOE, LLAMA, META, UNPROVEN, failures


def record(name: str) -> object:
    return failures(System(accelerator(name, load()), 1024))


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (META, ("a100-sxm-40gb", "a100-sxm-80gb", "a800-sxm-80gb")),
        (LLAMA, ("h100-sxm", "h800-sxm", "h20-96gb", "h20-141gb")),
        (CRUSOE, ("h200-sxm",)),
        (UNPROVEN, ("b200-sxm", "ascend-910c", "mi300x")),
    ],
)
def test_the_dies_of_a_generation_share_its_record_and_an_own_fleet_goes_before(found, names) -> None:
    """The A800 is the A100's die, H800 and H20 are Hopper's; the H200 has a published fleet of its own."""
    assert [record(name) for name in names] == [found] * len(names)


def test_a_name_alone_makes_no_record() -> None:
    """A chip called like another, of which no generation is known."""
    clone = replace(accelerator("h20", load()), name="h100-clone", generation=None)
    assert failures(System(clone, 64)) == UNPROVEN
    assert generation(clone).watts is None


def test_every_generation_of_the_catalogue_is_known_to_training() -> None:
    catalog = load()
    named = {catalog.fact(key, "generation").text for key in catalog.chips()}
    assert named - GENERATIONS.keys() == set()
