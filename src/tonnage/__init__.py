"""tonnage: can this model be trained and served on the chips we can lawfully have?

The public names, each loaded when it is first asked for. `docs/python.md` shows them at work.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_HOMES = {
    "Accelerator": "tonnage.system",
    "Architecture": "tonnage.model",
    "Catalog": "tonnage.catalog",
    "FitPlan": "tonnage.serve",
    "InputError": "tonnage.errors",
    "Interval": "tonnage.interval",
    "LaunchPlan": "tonnage.fleet",
    "Layout": "tonnage.layout",
    "Load": "tonnage.model",
    "MissingFact": "tonnage.errors",
    "Outcome": "tonnage.errors",
    "Programme": "tonnage.fleet",
    "Provenance": "tonnage.provenance",
    "ServeJob": "tonnage.serve",
    "ServePlan": "tonnage.serve",
    "Speculation": "tonnage.serve",
    "Step": "tonnage.model",
    "System": "tonnage.system",
    "TonnageError": "tonnage.errors",
    "TrainJob": "tonnage.train",
    "TrainPlan": "tonnage.train",
    "accelerator": "tonnage.system",
    "charts_of": "tonnage.report.charts",
    "classify": "tonnage.law",
    "collective_time": "tonnage.system",
    "collectives": "tonnage.layout",
    "compare": "tonnage.report.saved",
    "engine_flags": "tonnage.export:launches",
    "fit": "tonnage.serve",
    "launch": "tonnage.fleet",
    "load_catalog": "tonnage.catalog:load",
    "load_model": "tonnage.model:load",
    "operator_time": "tonnage.system",
    "operators": "tonnage.model",
    "parse_layout": "tonnage.layout",
    "plan_fleets": "tonnage.serve:plan_mixed",
    "plan_mixed_training": "tonnage.train:mixed",
    "plan_service": "tonnage.serve:plan",
    "plan_training": "tonnage.train:plan",
    "read_programme": "tonnage.fleet",
    "read_result": "tonnage.report.saved",
    "shard": "tonnage.layout",
}
"""Where each public name is from; after a colon, what it is called there."""

__all__ = [
    "Accelerator",
    "Architecture",
    "Catalog",
    "FitPlan",
    "InputError",
    "Interval",
    "LaunchPlan",
    "Layout",
    "Load",
    "MissingFact",
    "Outcome",
    "Programme",
    "Provenance",
    "ServeJob",
    "ServePlan",
    "Speculation",
    "Step",
    "System",
    "TonnageError",
    "TrainJob",
    "TrainPlan",
    "accelerator",
    "charts_of",
    "classify",
    "collective_time",
    "collectives",
    "compare",
    "engine_flags",
    "fit",
    "launch",
    "load_catalog",
    "load_model",
    "operator_time",
    "operators",
    "parse_layout",
    "plan_fleets",
    "plan_mixed_training",
    "plan_service",
    "plan_training",
    "read_programme",
    "read_result",
    "shard",
]


def __getattr__(name: str) -> object:
    """A public name, from its room."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tonnage' has no attribute '{name}'")
    module, _, own = home.partition(":")
    found: object = getattr(importlib.import_module(module), own or name)
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
