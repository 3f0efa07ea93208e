"""Which release answers next: by weight, evenly spread, without chance."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field


@dataclass
class ReleaseShares:
    """Weights of releases and what each has coming: smooth weighted round robin.

    Each turn every release gains its weight, and the one with most pays the sum: after n turns every release has had
    its share of n to within one. A release of 5 % answers every 20th request, not 20 in a row.
    """

    weights: dict[str, float]
    credit: dict[str, float] = field(default_factory=dict)

    def set(self, weights: Mapping[str, float]) -> None:
        """New weights; what was coming is forgotten."""
        self.weights, self.credit = dict(weights), {}

    def pick(self, able: Container[str]) -> str | None:
        """The release that answers next among those that are able; None where none of them has a weight."""
        open_to = {name: weight for name, weight in self.weights.items() if weight > 0 and name in able}
        if not open_to:
            return None
        for name, weight in open_to.items():
            self.credit[name] = self.credit.get(name, 0.0) + weight
        chosen = max(open_to, key=lambda name: self.credit[name])
        self.credit[chosen] -= sum(open_to.values())
        return chosen

    def share(self, name: str) -> float:
        """Share of a release."""
        return self.weights.get(name, 0.0) / (sum(self.weights.values()) or 1.0)
