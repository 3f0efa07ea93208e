"""A saved answer asked once more, from the question that it holds: no file, no catalogue, no command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tonnage.catalog import Catalog
from tonnage.errors import InputError, Problem
from tonnage.values import Plain

Body = Mapping[str, Plain]


def asked_again(saved: Body, catalog: Catalog) -> Mapping[str, object]:
    """The keys that the plan of `saved` leads to with the code as it is now.

    fit, train and serve hold their chips, prices and model whole, so that nothing but the code can move a number; a
    launch holds its programme's text, and facts come from `catalog`. Raises InputError for an answer without a plan.
    """
    plan = saved.get("plan")
    way = _WAYS.get(str(saved.get("command")))
    if way is None or not isinstance(plan, Mapping):
        raise InputError(Problem("this answer holds no plan to be made again"))
    inputs = saved.get("inputs")
    if isinstance(inputs, Mapping) and inputs.get("calibration"):
        raise InputError(Problem("this plan rests on what was measured, which it does not hold"))
    return way(saved, catalog)


def _fit(saved: Body, catalog: Catalog) -> Body:
    from tonnage.serve import FitPlan, fit_again

    return fit_again(FitPlan.from_json(saved)).to_json()


def _serve(saved: Body, catalog: Catalog) -> Body:
    from tonnage.serve import ServePlan, plan_again

    return plan_again(ServePlan.from_json(saved)).to_json()


def _train(saved: Body, catalog: Catalog) -> Body:
    from tonnage.train import MixedPlan, TrainPlan, mixed_again, plan_again

    plan = saved["plan"]
    if isinstance(plan, Mapping) and "systems" in plan:
        return mixed_again(MixedPlan.from_json(saved)).to_json()
    return plan_again(TrainPlan.from_json(saved)).to_json()


def _launch(saved: Body, catalog: Catalog) -> Mapping[str, object]:
    from tonnage.fleet import launch, read_programme_text
    from tonnage.fleet.plan import from_json

    kept = from_json(saved)
    asked = read_programme_text(kept.programme_text, kept.programme_name, kept.sets, catalog, kept.as_of)
    inputs = saved.get("inputs")
    every = not (isinstance(inputs, Mapping) and inputs.get("no_what_ifs"))
    return launch(
        asked,
        catalog,
        kept.seed,
        kept.draws,
        what_if=every,
        by=kept.by,
        sobol_base=kept.sobol_base,
        reasons=every,
    ).to_json()


_WAYS: Mapping[str, Callable[[Body, Catalog], Mapping[str, object]]] = {
    "fit": _fit,
    "serve": _serve,
    "train": _train,
    "launch": _launch,
}
