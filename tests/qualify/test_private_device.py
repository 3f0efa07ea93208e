"""A device kind of its own (torch's place for private ones): operators, both passes, and copies reach it by its name.

The dispatch mode sees the processor's operators; a plug-in such as torch_npu is called as this one is. Its kernels size
their outputs as the meta ones say; attention and softmax, which do not, stay with the mode (docs/method/qualify.md).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch")

from simulated import NAME, Fault, backend  # noqa: E402

from tonnage.qualify import links, numerics  # noqa: E402
from tonnage.qualify.gate import Verified  # noqa: E402
from tonnage.qualify.probes import Probe, activation, grouped, linear, lookup  # noqa: E402

PROBES = (linear(16, 24, 48), activation(64), grouped(16, 24, 48, 4, 2), lookup(64, 32))


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def asked(fault: Fault, probe: Probe, word: str) -> dict[str, Verified]:
    """Gates of an operator on the private device, by the last word of their names."""
    with backend(fault) as device:
        assert device.type == NAME
        return {gate.name.rpartition(", ")[2]: gate for gate in numerics._operator(device, probe, word, 0)}


@pytest.mark.parametrize("word", ["fp32", "bf16"])
@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.kind)
def test_a_sound_one_passes(probe: Probe, word: str) -> None:
    found = asked(Fault(), probe, word)
    assert {"forward", "backward", "repeated"} <= found.keys()
    assert all(gate.state == "pass" for gate in found.values()), [gate.why for gate in found.values()]


@pytest.mark.parametrize(
    ("kind", "failed"),
    [
        ("truncated", {"forward", "backward", "bias"}),
        ("no backward", {"backward"}),
        ("wobbles", {"repeated"}),
        ("towards zero", {"bias"}),
    ],
)
def test_its_faults_are_found(kind: str, failed: set[str]) -> None:
    word = "bf16" if kind == "towards zero" else "fp32"
    found = asked(Fault(kind), PROBES[0], word)
    assert failed <= {name for name, gate in found.items() if gate.state == "fail"}
    assert all(gate.why for gate in found.values() if gate.state == "fail")


def test_tensors_come_and_go_by_copies_between_kinds() -> None:
    with backend(Fault()) as device:
        given = torch.arange(12.0).reshape(3, 4)
        there = given.to(device)
        assert there.device.type == NAME and torch.equal((there.t() @ there).cpu(), given.t() @ given)
        gates = list(links.gates([device, device]))
    assert [gate.state for gate in gates] == ["pass"], "one card named twice has no slower link"
