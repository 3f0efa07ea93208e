"""One training run: memory, schedule, step time, search, goodput, cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonnage.lazily import opened

if TYPE_CHECKING:
    from tonnage.train.again import mixed_again, plan_again
    from tonnage.train.anchor import MeasuredRun, level, leveled
    from tonnage.train.evidence import NearestRun, TrainDoubt
    from tonnage.train.figures import TrainBill, TrainFigures, TrainMemory
    from tonnage.train.job import TrainJob
    from tonnage.train.mixed import groups, mixed
    from tonnage.train.near import NearPlan, enough, nearby
    from tonnage.train.result import (
        LayoutSearch,
        Level,
        MixedPart,
        MixedPlan,
        Move,
        MoveDates,
        MovePlan,
        OtherLayout,
        RlPlan,
        Rollouts,
        Round,
        Rounds,
        Switch,
        TrainPlan,
    )
    from tonnage.train.rl import rl_round, rl_rounds, stage
    from tonnage.train.search import Evaluation, describe, evaluate, fastest, least_memory, plan, predict
    from tonnage.train.software import TrainSoftware
    from tonnage.train.switch import move, switch

__all__ = [
    "Evaluation",
    "LayoutSearch",
    "Level",
    "MeasuredRun",
    "MixedPart",
    "MixedPlan",
    "Move",
    "MoveDates",
    "MovePlan",
    "NearPlan",
    "NearestRun",
    "OtherLayout",
    "RlPlan",
    "Rollouts",
    "Round",
    "Rounds",
    "Switch",
    "TrainBill",
    "TrainDoubt",
    "TrainFigures",
    "TrainJob",
    "TrainMemory",
    "TrainPlan",
    "TrainSoftware",
    "describe",
    "enough",
    "evaluate",
    "fastest",
    "groups",
    "least_memory",
    "level",
    "leveled",
    "mixed",
    "mixed_again",
    "move",
    "nearby",
    "plan",
    "plan_again",
    "predict",
    "rl_round",
    "rl_rounds",
    "stage",
    "switch",
]

opened(
    __name__,
    {
        "again": "mixed_again plan_again",
        "anchor": "MeasuredRun level leveled",
        "evidence": "NearestRun TrainDoubt",
        "figures": "TrainBill TrainFigures TrainMemory",
        "job": "TrainJob",
        "mixed": "groups mixed",
        "near": "NearPlan enough nearby",
        "result": "LayoutSearch Level MixedPart MixedPlan Move MoveDates MovePlan OtherLayout "
        "RlPlan Rollouts Round Rounds Switch TrainPlan",
        "rl": "rl_round rl_rounds stage",
        "search": "Evaluation describe evaluate fastest least_memory plan predict",
        "software": "TrainSoftware",
        "switch": "move switch",
    },
)
