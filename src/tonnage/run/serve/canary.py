"""A new release takes over step by step, and gives everything back at once when it breaks the SLO. No clock of its own.

The rule: among the release's last answers, and those that are late already though unfinished, the share of failed or of
late ones is *surely* above the SLO's (lower end of Wilson's interval, one-sided 95 %), and there are at least three.
A failure ends sooner than an answer: what is under way counts among the answers, as one that has not failed, or the
first to end would all be failures.
Wilson (1927), JASA 22, 209: (p + z^2/2n - z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt

from tonnage.run.serve.config import CanaryPlan, Slo

Z = 1.6449
"""Quantile of the normal distribution at 95 %."""
LEAST, LAST, NEAR = 3, 200, 20
"""Bad answers without which nothing is returned, answers that are looked back on, and those beside unfinished ones."""


@dataclass(frozen=True)
class Answered:
    """How one answer of a release went."""

    failed: bool = False
    late: bool = False


@dataclass
class Canary:
    """Where a release stands: `waiting`, `stepping`, `launched`, or `returned` with the reason."""

    plan: CanaryPlan
    slo: Slo
    base: Mapping[str, float]
    state: str = "waiting"
    step: int = 0
    since: float = 0.0
    answers: int = 0
    why: str = ""
    last: deque[Answered] = field(default_factory=lambda: deque(maxlen=LAST))

    @property
    def moving(self) -> bool:
        """Whether shares follow the plan now."""
        return self.state == "stepping"

    def start(self, now: float) -> None:
        """Begin with the first step."""
        self.state, self.why, self.step = "stepping", "", 0
        self._begin(now)

    def stop(self, why: str) -> None:
        """Give everything back."""
        self.state, self.why = "returned", why

    def note(self, answered: Answered) -> None:
        """An answer of the new release came, or did not."""
        if self.moving:
            self.last.append(answered)
            self.answers += 1

    def look(self, now: float, overdue: int = 0, running: int = 0) -> bool:
        """Return, or go a step further, if it is time; whether anything changed. `overdue`: late and unfinished;
        `running`: unfinished and not late.
        """
        if not self.moving:
            return False
        why = self.breach(overdue, running)
        if why:
            self.stop(why)
            return True
        if now - self.since < self.plan.hold or self.answers < self.plan.answers:
            return False
        if self.step + 1 == len(self.plan.steps):
            self.state = "launched"
        else:
            self.step += 1
            self._begin(now)
        return True

    def breach(self, overdue: int = 0, running: int = 0) -> str:
        """What breaks the SLO, as a sentence; empty where nothing does."""
        near = list(self.last)[-NEAR:] if overdue else list(self.last)
        found = (
            (sum(one.failed for one in self.last), len(self.last) + running, self.slo.errors, "failed"),
            (sum(one.late for one in near) + overdue, len(near) + overdue, self.slo.late, "were late"),
        )
        for bad, count, limit, what in found:
            if bad >= LEAST and surely_above(bad, count, limit):
                return f"{bad} of {count} answers {what}; the SLO allows {100 * limit:g} %"
        return ""

    def weights(self) -> dict[str, float]:
        """Weights of all releases now: the others keep their proportions."""
        share = self.plan.steps[self.step] if self.moving else 1.0 if self.state == "launched" else 0.0
        if self.state == "waiting":
            return dict(self.base)
        others = {name: weight for name, weight in self.base.items() if name != self.plan.to}
        total = sum(others.values())
        return {**{name: (1 - share) * weight / total for name, weight in others.items()}, self.plan.to: share}

    def _begin(self, now: float) -> None:
        self.since, self.answers = now, 0
        self.last.clear()


def surely_above(bad: int, count: int, limit: float) -> bool:
    """Whether a share of bad answers is above a limit at 95 % (lower end of Wilson's interval)."""
    share = bad / count
    middle = share + Z * Z / (2 * count)
    spread = Z * sqrt(share * (1 - share) / count + Z * Z / (4 * count * count))
    return (middle - spread) / (1 + Z * Z / count) > limit
