"""What an answer is about, as far as it says: model, chip, how many, engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from tonnage.ledger.quantities import Plain


@dataclass(frozen=True)
class Subject:
    """None where an answer is about none, or about several: chips of a mixed fleet are joined with " + "."""

    model: str | None = None
    chip: str | None = None
    count: int | None = None
    engine: str | None = None


def subject(answer: Plain) -> Subject:
    """Of the plan that an answer holds: a run of training, a service, whether a model fits, or a launch."""
    plan = below(answer, "plan")
    job = below(plan, "job") or below(plan, "question", "job")
    chips = _systems(plan)
    names = " + ".join(dict.fromkeys(name for name, _ in chips)) or None
    count = sum(many for _, many in chips) or None
    engine = answer.get("engine") or job.get("framework")
    return Subject(_model(answer, job), names, count, None if engine is None else str(engine))


def _model(answer: Plain, job: Plain) -> str | None:
    name = below(job, "arch").get("name") or below(answer, "inputs").get("model") or answer.get("model")
    return None if name is None else PurePath(str(name)).parts[-1].lower()[:200]


def _systems(plan: Plain) -> list[tuple[str, int]]:
    """(chip, how many) of each fleet."""
    held = [below(plan, "system")]
    for place in (plan.get("systems"), below(plan, "question").get("fleets")):
        items = place if isinstance(place, list) else []
        held += [below(item, "system") or item for item in items if isinstance(item, Mapping)]
    found = []
    for one in held:
        name, count = below(one, "accelerator").get("name"), one.get("count")
        if isinstance(name, str) and isinstance(count, int):
            found.append((name, count))
    return found


def below(value: Plain, *keys: str) -> Plain:
    """The mapping at a place; an empty one where there is none."""
    found: object = value
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}
