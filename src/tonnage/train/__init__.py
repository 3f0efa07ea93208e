"""One training run: memory, schedule, step time, search, goodput, cost."""

from tonnage.train.anchor import Level, Measured, level, leveled
from tonnage.train.job import TrainJob
from tonnage.train.memory import Memory
from tonnage.train.result import Alternative, Search, TrainPlan
from tonnage.train.rl import Rollouts, Round, Rounds, rl_round, rl_rounds
from tonnage.train.search import Evaluation, describe, evaluate, plan, predict
from tonnage.train.stack import Stack
from tonnage.train.switch import Move, Switch, switch
from tonnage.train.unlike import Mixed, Part, groups, mixed, show_parts, whole

__all__ = [
    "Alternative",
    "Evaluation",
    "Level",
    "Measured",
    "Memory",
    "Mixed",
    "Move",
    "Part",
    "Rollouts",
    "Round",
    "Rounds",
    "Search",
    "Stack",
    "Switch",
    "TrainJob",
    "TrainPlan",
    "describe",
    "evaluate",
    "groups",
    "level",
    "leveled",
    "mixed",
    "plan",
    "predict",
    "rl_round",
    "rl_rounds",
    "show_parts",
    "switch",
    "whole",
]
