"""One service: prefill, decode, batching, disaggregation, service level, frontier, cost."""

from tonnage.serve.case import Case, Estimate, Pool, Prediction
from tonnage.serve.job import Price, ServeJob, Speculation
from tonnage.serve.predict import predict

__all__ = ["Case", "Estimate", "Pool", "Prediction", "Price", "ServeJob", "Speculation", "predict"]
