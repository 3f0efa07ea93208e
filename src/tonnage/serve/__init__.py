"""One service: prefill, decode, batching, disaggregation, service level, frontier, cost."""

from tonnage.serve.capacity import FitPlan, fit, show_serving
from tonnage.serve.case import Case, Estimate, Pool, Prediction
from tonnage.serve.job import ACCEPTANCE, Price, ServeJob, Speculation
from tonnage.serve.plan import ServePlan, plan
from tonnage.serve.predict import predict

__all__ = [
    "ACCEPTANCE",
    "Case",
    "Estimate",
    "FitPlan",
    "Pool",
    "Prediction",
    "Price",
    "ServeJob",
    "ServePlan",
    "Speculation",
    "fit",
    "plan",
    "predict",
    "show_serving",
]
