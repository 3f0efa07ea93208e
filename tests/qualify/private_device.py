"""Gates of operators on the private device, as JSON: in a process of its own, since torch makes room for the backward
passes of a device kind once, at the first of any.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from simulated import NAME, Fault, backend

from tonnage.device.ending import end
from tonnage.qualify import links, numerics
from tonnage.qualify.probes import activation, grouped, linear, lookup

PROBES = {
    "gemm": linear(16, 24, 48),
    "activation": activation(64),
    "experts": grouped(16, 24, 48, 4, 2),
    "lookup": lookup(64, 32),
}


def states(fault: str, probe: str, word: str) -> dict[str, str]:
    """State of each gate of an operator, by the last word of its name."""
    with backend(Fault(fault)) as device:
        gates = numerics._operator(device, PROBES[probe], word, 0)
        return {gate.name.rpartition(", ")[2]: gate.state for gate in gates}


def copied() -> dict[str, object]:
    """A tensor that goes there, is multiplied and comes back; the gates of the link that it took."""
    with backend(Fault()) as device:
        given = torch.arange(12.0).reshape(3, 4)
        there = given.to(device)
        same = torch.equal((there.t() @ there).cpu(), given.t() @ given)
        gates = [gate.state for gate in links.gates([device, device])]
    return {"kind": there.device.type, "same": same, "links": gates, "name": NAME}


def main(asked: Sequence[Sequence[str]]) -> None:
    """One line of JSON: the copy, then what was asked."""
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps({"copied": copied(), "states": [states(*each) for each in asked]}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
    end()
