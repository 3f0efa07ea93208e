"""One training run: memory, schedule, step time, search, goodput, cost."""

from tonnage.train.job import TrainJob
from tonnage.train.memory import Memory
from tonnage.train.result import Alternative, Search, TrainPlan
from tonnage.train.search import Evaluation, describe, evaluate, plan, predict
from tonnage.train.stack import Stack

__all__ = [
    "Alternative",
    "Evaluation",
    "Memory",
    "Search",
    "Stack",
    "TrainJob",
    "TrainPlan",
    "describe",
    "evaluate",
    "plan",
    "predict",
]
