"""What the services want at a time: their own demand, and what launches move between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tonnage.fleet.draws import demand
from tonnage.fleet.outlook import Index
from tonnage.fleet.projects import Demand, Project
from tonnage.fleet.uncertain import Floats


def needs(
    services: tuple[Demand, ...],
    projects: tuple[Project, ...],
    now: Floats,
    launch: Sequence[Floats],
    only: Mapping[int, Floats | float] | None = None,
    rows: Index | None = None,
) -> Floats:
    """Capacity wanted by each service at a time [d], peak included, requests/s [d, m]; launch: of each project [d];
    only: a share of the demand that a project brings, by its index; rows: draws that `now` and `launch` are of, all
    unless given.

    After a launch the share `takes_over` of the predecessor's demand moves evenly over `within`, and grows by `surge`.
    """

    def of(value: Floats | float) -> Floats | float:
        return value if rows is None or not isinstance(value, np.ndarray) or not value.ndim else value[rows]

    only = only or {}
    found = []
    for service in services:
        own = demand(np.asarray(of(service.base)), np.asarray(of(service.growth)), now)
        found.append(np.zeros_like(own) if service.from_launch else own)
    for k, (project, at) in enumerate(zip(projects, launch, strict=True)):
        if project.service is None:
            continue
        launched, part = now >= at, of(only.get(k, 1.0))
        one = services[project.service]
        if one.from_launch:
            own = demand(np.asarray(of(one.base)), np.asarray(of(one.growth)), now) * part
            found[project.service] = np.where(launched, own, found[project.service])
        if project.taken_from is None:
            continue
        since = np.where(launched, now - np.where(np.isfinite(at), at, 0.0), 0.0)
        ramp = np.where(launched, np.clip(since / np.maximum(of(project.within), 1.0), 0.0, 1.0), 0.0)
        moved = found[project.taken_from] * of(project.takes_over) * ramp * part
        found[project.taken_from] = found[project.taken_from] - moved
        found[project.service] = found[project.service] + moved * (1 + of(project.surge))
    if not found:
        return np.zeros((now.size, 0))
    peak = np.stack([np.asarray(of(service.peak)) for service in services], axis=1)
    return np.asarray(np.stack(found, axis=1) * peak)
