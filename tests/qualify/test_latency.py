"""Whether steps become slower over a soak: by medians, and by the fastest of each quarter."""

from __future__ import annotations

import pytest

from tonnage.qualify.stability import FEWEST, Soaked, _latency

STEADY = (1.0,) * (4 * FEWEST)


@pytest.mark.parametrize(
    ("times", "state"),
    [
        (STEADY, "pass"),
        (tuple(1 + 0.02 * at for at in range(4 * FEWEST)), "fail"),
        ((*STEADY[:-FEWEST], *([2.0, 1.0] * FEWEST)[:FEWEST]), "not enough evidence"),
        (STEADY[: FEWEST - 1], "not enough evidence"),
    ],
)
def test_growth_is_told_from_a_busy_machine(times: tuple[float, ...], state: str) -> None:
    found = _latency(Soaked(steps=len(times), times=times))
    assert found.state == state and bool(found.why) == (state != "pass")
