"""What the gates say together: fit for training, inference only, unfit, or unknown. A pure function of the gates.

    serves    no       a deciding gate that inference needs failed
              unknown  one failed that does not decide, or one is missing
              yes      else
    trains    the same over all gates; no where it does not serve

    fit for training   serves and trains        inference only   serves, does not train
    unfit              does not serve           unknown          else

A gate is missing where a subject or part that the use asks for has no gate that passed or failed, or where a deciding
gate was not tested or has not enough evidence. So a noisy machine, whose speed gates have no verdict, is never fit. The
loss of a short training never decides: a broken accumulator hardly moves it (docs/method/qualify.md). Of FP8 one recipe
that passes is enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from tonnage.errors import InputError, Problem
from tonnage.qualify.gate import Needed, Part, Subject, Verified
from tonnage.shown import ShownResult
from tonnage.values import Plain, decode, encode

SCHEMA = "tonnage.verdict/1"
"""Name and version of the file."""

Answer = Literal["yes", "no", "unknown"]
Word = Literal["fit for training", "inference only", "unfit", "unknown"]

PARTS: tuple[Part, ...] = ("speed", "numerics", "stability")
SERVING: tuple[Subject, ...] = ("operators", "overflow", "repeat", "replay", "hang")
TRAINING: tuple[Subject, ...] = (
    *SERVING, "bias", "width", "steps", "loss", "spikes", "checkpoint", "latency", "interruptions", "undetected",
)  # fmt: skip
"""Subjects that a use asks for: each must have been looked at."""

SEVERAL: tuple[Subject, ...] = ("across",)
"""What training on more than one card asks for besides."""

SAID: Mapping[Subject, str] = {
    "operators": "the model's operators against float64",
    "bias": "bias of sums",
    "width": "width of the accumulator",
    "denormals": "denormal numbers",
    "overflow": "overflow",
    "repeat": "repetition bit for bit",
    "across": "the same bits on every card",
    "fp8": "FP8 products",
    "steps": "one training step against the reference",
    "loss": "a short training against the reference",
    "spikes": "spikes of loss and gradient",
    "checkpoint": "a checkpoint out and in",
    "move": "a checkpoint on another kind of device or number of processes",
    "replay": "steps replayed bit for bit",
    "hang": "hangs",
    "latency": "time of a step over the soak",
    "interruptions": "interruptions over the soak",
    "undetected": "silent errors that the planned run would meet",
}
"""Each subject in people's words."""


@dataclass(frozen=True)
class Verdict(ShownResult):
    """What was judged (device with its software; model, cards and days that are planned; date), whether it serves and
    whether it trains, the gates, those that bind, and what evidence is missing, in sentences.
    """

    serves: Answer
    trains: Answer
    device: str
    software: str
    date: str
    model: str
    cards: int
    days: float
    gates: tuple[Verified, ...]
    binds: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def verdict(self) -> Word:
        """In one word."""
        if self.serves == "no":
            return "unfit"
        if self.serves == "yes" and self.trains != "unknown":
            return "fit for training" if self.trains == "yes" else "inference only"
        return "unknown"

    @property
    def sentence(self) -> str:
        """The word, and where it is unknown what is known: `unknown (it serves; whether it trains is open: nothing
        failed, 2 pieces of evidence missing)`.
        """
        if self.verdict != "unknown":
            return self.verdict
        known = "it serves; whether it trains is open" if self.serves == "yes" else "whether it serves is open too"
        failed = "nothing failed" if not self.binds else f"{len(self.binds)} of its gates failed"
        count = len(self.missing)
        lacking = f", {count} {'piece' if count == 1 else 'pieces'} of evidence missing" if count else ""
        return f"unknown ({known}: {failed}{lacking})"

    def to_json(self) -> dict[str, Plain]:
        """As the verdict file has it."""
        fields = encode(self)
        assert isinstance(fields, dict)
        return {"schema": SCHEMA, "verdict": self.verdict, **fields}


def from_json(plain: Plain) -> Verdict:
    """The verdict of a file. Raises InputError where it is none, or where its word is not what its gates say."""
    if not isinstance(plain, dict) or plain.get("schema") != SCHEMA:
        raise InputError(Problem(f"is no verdict file ({SCHEMA})", path="schema"))
    found = decode(Verdict, {key: item for key, item in plain.items() if key not in ("schema", "verdict")})
    again = verdict(
        found.gates, found.device, found.model, found.cards, found.days, software=found.software, date=found.date
    )
    if again != found or again.verdict != plain.get("verdict"):
        raise InputError(Problem("is not what the gates of the file say", path="verdict"))
    return found


def verdict(
    gates: Iterable[Verified],
    device: str,
    model: str,
    cards: int = 1,
    days: float = 1.0,
    *,
    software: str = "",
    date: str = "",
) -> Verdict:
    """The verdict on a device for a model on so many cards over so many days, from the gates alone."""
    held = tuple(gates)
    asked = TRAINING + (SEVERAL if cards > 1 else ())
    serves = _answer([gate for gate in held if gate.needed == "inference"], SERVING, held)
    trains = "no" if serves == "no" else _answer(held, asked, held)
    binds = tuple(_bound(gate) for gate in _failed(held))
    lacking = [gate for gate in held if _open(gate)]
    named = {SAID[gate.subject] for gate in lacking if gate.subject in SAID}
    unasked = (text for text in _unasked(asked, held) if text not in named)
    missing = tuple(dict.fromkeys((*(_lacks(gate) for gate in lacking), *unasked)))
    return Verdict(serves, trains, device, software, date, model, cards, days, held, binds, missing)


def _answer(gates: Iterable[Verified], subjects: tuple[Subject, ...], held: tuple[Verified, ...]) -> Answer:
    counted = list(gates)
    failed = _failed(counted)
    if any(gate.decides for gate in failed):
        return "no"
    return "unknown" if failed or any(_open(gate) for gate in counted) or _unasked(subjects, held) else "yes"


def _failed(gates: Iterable[Verified]) -> list[Verified]:
    """Gates that failed and count: a recipe of FP8 that fails where another passes is one not to take."""
    held = list(gates)
    one = any(gate.subject == "fp8" and gate.state == "pass" for gate in held)
    return [gate for gate in held if gate.state == "fail" and not (one and gate.subject == "fp8")]


def _open(gate: Verified) -> bool:
    """Whether evidence is missing that a use needs."""
    return gate.decides and gate.state in ("not tested", "not enough evidence")


def _unasked(subjects: tuple[Subject, ...], held: tuple[Verified, ...]) -> list[str]:
    """Subjects and parts without a gate that says anything."""
    said = [gate for gate in held if gate.state in ("pass", "fail")]
    parts = [f"no gate of {part}" for part in PARTS if all(gate.part != part for gate in said)]
    return parts + [SAID[name] for name in subjects if all(gate.subject != name for gate in said)]


def _bound(gate: Verified) -> str:
    use: dict[Needed, str] = {"training": "training", "inference": "training and inference"}
    return f"{gate.name}: {gate.why or _figure(gate)} (needed for {use[gate.needed]})"


def _figure(gate: Verified) -> str:
    if gate.measured is None or gate.limit is None:
        return "failed"
    return f"{gate.measured:.4g} {gate.unit} against {gate.limit:.4g}".replace("  ", " ")


def _lacks(gate: Verified) -> str:
    return f"{gate.name}: {gate.why or gate.state}"
