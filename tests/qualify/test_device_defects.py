"""Each defect of a simulated device is caught, by the right gate, with the right verdict; a sound one is fit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch")

from defects import DEFECTS, SOUND, Defect, caught, judged  # noqa: E402
from simulated import tiny  # noqa: E402

from tonnage.model import Architecture  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Architecture]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tiny(tmp_path_factory.mktemp("tiny"))
    torch.set_num_threads(threads)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_each_defect_is_caught(defect: Defect, model: Architecture) -> None:
    found = judged(defect, model)
    assert found.verdict == defect.word, found.binds
    assert caught(found, defect), found.binds
    assert all(gate.why for gate in found.gates if gate.state != "pass")


def test_a_sound_device_is_fit_twenty_times(model: Architecture) -> None:
    for seed in range(20):
        found = judged(SOUND, model, seed)
        assert found.verdict == "fit for training", (seed, found.binds, found.missing)
