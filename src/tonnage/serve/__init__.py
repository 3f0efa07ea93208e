"""One service: prefill, decode, batching, disaggregation, service level, frontier, cost."""

from tonnage.serve.anchor import Measured, anchored, level
from tonnage.serve.capacity import FitPlan, fit, show_serving
from tonnage.serve.case import Case, Estimate, Pool, Prediction
from tonnage.serve.cost import Margin, margin, price_list, revenue
from tonnage.serve.job import ACCEPTANCE, Power, Price, PriceList, ServeJob, Speculation
from tonnage.serve.measured import complete, read_measured
from tonnage.serve.mixed import plan_mixed
from tonnage.serve.plan import ServePlan, plan
from tonnage.serve.predict import predict
from tonnage.serve.tuning import Constants, constants

__all__ = [
    "ACCEPTANCE",
    "Case",
    "Constants",
    "Estimate",
    "FitPlan",
    "Margin",
    "Measured",
    "Pool",
    "Power",
    "Prediction",
    "Price",
    "PriceList",
    "ServeJob",
    "ServePlan",
    "Speculation",
    "anchored",
    "complete",
    "constants",
    "fit",
    "level",
    "margin",
    "plan",
    "plan_mixed",
    "predict",
    "price_list",
    "read_measured",
    "revenue",
    "show_serving",
]
