"""A pool: engine instances of one layout, as numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass

from tonnage.layout import Layout, show_layout
from tonnage.values import Plain


@dataclass(frozen=True)
class PoolLayout:
    """Engine instances that do the same.

    layout: of one instance, the ranks that share one set of experts; instances: how many there are.
    """

    layout: Layout
    instances: int

    @property
    def text(self) -> str:
        """`tp1,dp16,ep16 x 2`."""
        return show_serving(self.layout, self.instances)

    def to_json(self) -> dict[str, Plain]:
        """Degrees of one instance, and `replicas`, the number of instances."""
        named = ("tp", "pp", "dp", "ep", "etp", *(("cp",) if self.layout.cp != 1 else ()))
        degrees: dict[str, Plain] = {name: int(getattr(self.layout, name)) for name in named}
        return degrees | {"replicas": self.instances}


def show_serving(layout: Layout, instances: float) -> str:
    """`tp8,dp1` with what differs from one, and how many copies: `tp1,dp16,ep16 x 2`."""
    text = show_layout(layout).split(",zero")[0]
    pieces = [text, *(f"{n}{getattr(layout, n)}" for n in ("etp",) if getattr(layout, n) != 1 and n not in text)]
    return ",".join(pieces) + (f" x {int(instances)}" if instances > 1 else "")
