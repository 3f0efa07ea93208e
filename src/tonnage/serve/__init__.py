"""One service: prefill, decode, batching, disaggregation, service level, frontier, cost."""

from tonnage.serve.again import plan_again
from tonnage.serve.anchor import Measured, anchored, level
from tonnage.serve.capacity import FitPlan, fit, fit_again
from tonnage.serve.case import Case, Estimate, Pool, Prediction
from tonnage.serve.cost import DayMargin, margin, price_list, revenue
from tonnage.serve.instances import Instance
from tonnage.serve.job import ACCEPTANCE, ChipPower, ChipPrice, PriceList, ServeJob, Speculation
from tonnage.serve.measured import complete, read_measured
from tonnage.serve.mixed import plan_mixed
from tonnage.serve.plan import plan
from tonnage.serve.pools import show_serving
from tonnage.serve.predict import predict
from tonnage.serve.result import ServePlan, ServeQuestion
from tonnage.serve.tuning import Constants, constants

__all__ = [
    "ACCEPTANCE",
    "Case",
    "ChipPower",
    "ChipPrice",
    "Constants",
    "DayMargin",
    "Estimate",
    "FitPlan",
    "Instance",
    "Measured",
    "Pool",
    "Prediction",
    "PriceList",
    "ServeJob",
    "ServePlan",
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
