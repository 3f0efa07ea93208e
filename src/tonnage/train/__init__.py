"""One training run: memory, schedule, step time, search, goodput, cost."""

from tonnage.train.job import TrainJob
from tonnage.train.memory import Memory
from tonnage.train.result import Alternative, Search, TrainPlan
from tonnage.train.search import Evaluation, describe, evaluate, plan, predict
from tonnage.train.stack import Stack
from tonnage.train.stages import Mixed, Round, mixed, rl_round
from tonnage.train.switch import Move, Switch, switch

__all__ = [
    "Alternative",
    "Evaluation",
    "Memory",
    "Mixed",
    "Move",
    "Round",
    "Search",
    "Stack",
    "Switch",
    "TrainJob",
    "TrainPlan",
    "describe",
    "evaluate",
    "mixed",
    "plan",
    "predict",
    "rl_round",
    "switch",
]
