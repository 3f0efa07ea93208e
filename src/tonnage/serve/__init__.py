"""One service: prefill, decode, batching, disaggregation, service level, frontier, cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonnage.lazily import opened

if TYPE_CHECKING:
    from tonnage.serve.again import plan_again
    from tonnage.serve.as_run.anchor import MeasuredService, anchored, level
    from tonnage.serve.as_run.benchmarks import complete, read_measured
    from tonnage.serve.as_run.deployment import Deployment, Pool, ServePrediction
    from tonnage.serve.as_run.predict import predict
    from tonnage.serve.cost import DayMargin, margin, price_list, revenue
    from tonnage.serve.fit import FitPlan, fit, fit_again
    from tonnage.serve.fleets import plan_mixed
    from tonnage.serve.instances import Instance
    from tonnage.serve.job import (
        ACCEPTANCE,
        DRAFTED,
        REUSED,
        ChipPower,
        ChipPrice,
        LateLimit,
        PriceList,
        ServeJob,
        Speculation,
    )
    from tonnage.serve.plan import plan
    from tonnage.serve.pools import show_serving
    from tonnage.serve.replica.software import Constants, constants
    from tonnage.serve.result import ServePlan, ServeQuestion

__all__ = [
    "ACCEPTANCE",
    "DRAFTED",
    "REUSED",
    "ChipPower",
    "ChipPrice",
    "Constants",
    "DayMargin",
    "Deployment",
    "FitPlan",
    "Instance",
    "LateLimit",
    "MeasuredService",
    "Pool",
    "PriceList",
    "ServeJob",
    "ServePlan",
    "ServePrediction",
    "ServeQuestion",
    "Speculation",
    "anchored",
    "complete",
    "constants",
    "fit",
    "fit_again",
    "level",
    "margin",
    "plan",
    "plan_again",
    "plan_mixed",
    "predict",
    "price_list",
    "read_measured",
    "revenue",
    "show_serving",
]

opened(
    __name__,
    {
        "again": "plan_again",
        "as_run.anchor": "MeasuredService anchored level",
        "as_run.benchmarks": "complete read_measured",
        "as_run.deployment": "Deployment Pool ServePrediction",
        "as_run.predict": "predict",
        "cost": "DayMargin margin price_list revenue",
        "fit": "FitPlan fit fit_again",
        "fleets": "plan_mixed",
        "instances": "Instance",
        "job": "ACCEPTANCE DRAFTED REUSED ChipPower ChipPrice LateLimit PriceList ServeJob Speculation",
        "plan": "plan",
        "pools": "show_serving",
        "replica.software": "Constants constants",
        "result": "ServePlan ServeQuestion",
    },
)
