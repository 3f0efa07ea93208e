"""FP8 by recipe: a wide accumulator passes all, a narrow one only blocks, one in bf16 none."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tonnage.qualify import fp8  # noqa: E402


def kept(total: Any, bits: int) -> Any:
    """Cut to so many bits behind the leading one."""
    part, power = torch.frexp(total)
    return torch.ldexp(torch.trunc(part * 2**bits) / 2**bits, power)


def multiplier(bits: int) -> Any:
    """A product whose accumulator has so many bits, 32 terms at a time."""

    def scaled(left: Any, right: Any, down: Any, along: Any, *, out_dtype: Any) -> Any:
        one, other = left.float(), right.float()
        total = torch.zeros(left.shape[0], right.shape[1])
        for at in range(0, left.shape[1], 32):
            total = kept(total + one[:, at : at + 32] @ other[at : at + 32], bits)
        return (total * down * along).to(out_dtype)

    return scaled


def states() -> list[str]:
    return [gate.state for gate in fp8.gates(torch.device("cpu"))]


@pytest.mark.parametrize(
    ("bits", "right"),
    [(24, ["pass", "pass", "pass"]), (13, ["fail", "fail", "pass"]), (7, ["fail", "fail", "fail"])],
)
def test_the_accumulator_decides_which_recipes_pass(
    bits: int, right: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """14 bits and promotion every 128 terms: what DeepSeek-V3 found and did (arXiv 2412.19437, section 3.3.2)."""
    monkeypatch.setattr(torch, "_scaled_mm", multiplier(bits))
    assert states() == right


def test_a_wrong_scale_of_a_block_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = multiplier(24)
    calls: list[int] = []

    def third(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return plain(*args, **kwargs) * (2.0 if len(calls) == 5 else 1.0)

    monkeypatch.setattr(torch, "_scaled_mm", third)
    assert states() == ["pass", "pass", "fail"]


def test_what_torch_does_not_have_is_not_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: Any, **__: Any) -> Any:
        raise NotImplementedError("no FP8 here")

    monkeypatch.setattr(torch, "_scaled_mm", absent)
    found = list(fp8.gates(torch.device("cpu")))
    assert [gate.state for gate in found] == ["not tested"] * 3 and not any(gate.decides for gate in found)
    assert "no FP8 here" in found[0].why
