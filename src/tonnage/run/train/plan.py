"""What is to be run, read from a small YAML or from a saved answer of `tonnage train`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tonnage import files, units
from tonnage.errors import InputError, Problem, nearest

DEVICES = ("cpu", "cuda", "npu")
PRECISIONS = ("fp32", "bf16")
"""fp32, or products in bf16 (autocast); the weights that are trained are fp32 in both."""


@dataclass(frozen=True)
class TaskSpec:
    """Verifiable tasks: which, of how many terms, up to which number; 1 in `held_out` is never trained on."""

    name: str = "chain_sum"
    terms: tuple[int, int] = (3, 5)
    largest: int = 5
    held_out: int = 8


@dataclass(frozen=True)
class Phase:
    """A part of a curriculum: until which share of the stage, and the share of careful traces in it."""

    until: float
    careful: float


@dataclass(frozen=True)
class StageSpec:
    """One stage: `pretrain` or `grpo`, its steps and learning rate (warm-up in steps, decay over its last share).

    batch: sequences in a step of pretraining; prompts x group: completions in one of GRPO; tokens: longest completion;
    betas: AdamW's; clip: largest norm of the gradient.
    """

    kind: str
    steps: int
    rate: float
    warm_up: int = 0
    decay: float = 0.3
    batch: int = 64
    curriculum: tuple[Phase, ...] = (Phase(0.8, 1.0), Phase(1.0, 0.3))
    prompts: int = 16
    group: int = 8
    tokens: int = 40
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    clip: float = 1.0


PRETRAIN = StageSpec("pretrain", 500, 3e-3, warm_up=50)
GRPO = StageSpec("grpo", 60, 3e-4, decay=0.5, betas=(0.9, 0.99))
"""The recipe whose gain repeats over seeds (docs/run.md): a clean curriculum first, mixed data last, then GRPO."""


@dataclass(frozen=True)
class RunPlan:
    """A run: the model and its scale, the stages, and how it is kept and watched.

    price: of one device [USD/s]; every, keep: steps between checkpoints and how many stay; replay: steps between those
    that are done twice and compared bit for bit, 0 for none; hang: time without a step after which the run is
    diagnosed and ended [s]; planned: figures of the plan that it carries out.
    """

    name: str = "run"
    model: str = "deepseek-r1"
    scale: float = 56.0
    sizes: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    device: str = "cpu"
    nproc: int = 1
    precision: str = "fp32"
    threads: int = 1
    price: float = 0.0
    task: TaskSpec = TaskSpec()
    stages: tuple[StageSpec, ...] = (PRETRAIN, GRPO)
    every: int = 50
    keep: int = 3
    replay: int = 0
    hang: float = 300.0
    evaluate: int = 400
    planned: Mapping[str, float] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> tuple[int, int]:
        """(stage, step within it) of a step counted over the whole run; the last stage's end is past it."""
        for number, stage in enumerate(self.stages):
            if step < stage.steps:
                return number, step
            step -= stage.steps
        return len(self.stages), step

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def identity(self) -> str:
        """Digest of what the weights depend on, so that a run is not resumed as another. Devices are no part of it."""
        kept = ("model", "scale", "sizes", "seed", "task", "stages")
        parts = [json.dumps(self.to_json()[key], sort_keys=True).encode() for key in kept]
        return files.digest(parts)[:16]


def from_json(plain: Mapping[str, Any]) -> RunPlan:
    """The inverse of `RunPlan.to_json`."""
    stages = tuple(
        StageSpec(
            **{
                **stage,
                "curriculum": tuple(Phase(**phase) for phase in stage["curriculum"]),
                "betas": tuple(stage["betas"]),
            }
        )
        for stage in plain["stages"]
    )
    task = TaskSpec(**{**plain["task"], "terms": tuple(plain["task"]["terms"])})
    return RunPlan(**{**plain, "task": task, "stages": stages})


def read_plan(path: Path) -> RunPlan:
    """The plan in a file. Raises InputError with every problem and its place."""
    if path.suffix == ".json":
        return _of_answer(files.read_json(path), path)
    return _PlanReader(files.read_yaml(path)).plan()


def _of_answer(document: files.Document, path: Path) -> RunPlan:
    """A saved answer of `train`: its model, small; its step time, switch and price stand beside what happens."""
    saved = document.value
    if not isinstance(saved, dict) or saved.get("command") != "train" or not isinstance(saved.get("inputs"), dict):
        raise InputError(Problem("is no saved answer of `tonnage train`, and no plan in YAML", where=str(path)))
    if saved.get("outcome") != "feasible":
        raise InputError(Problem(f"the plan is not feasible ({saved.get('outcome')})", where=str(path)))
    switch = saved.get("switch") or {}
    figures = {
        "step_time": saved.get("step_time"),
        "wall_time": saved.get("wall_time"),
        "cost": saved.get("cost"),
        "switch_time": switch.get("total"),
    }
    planned = {key: float(value) for key, value in figures.items() if isinstance(value, (int, float))}
    return RunPlan(name=path.stem, model=str(saved["inputs"].get("model")), planned=planned)


STAGES = {"pretrain": PRETRAIN, "grpo": GRPO}

KEYS = {
    "name": "text",
    "model": "text",
    "scale": "number",
    "sizes": "map",
    "seed": "whole",
    "device": "text",
    "nproc": "whole",
    "precision": "text",
    "threads": "whole",
    "price": "price",
    "task": "map",
    "stages": "list",
    "checkpoint": "map",
    "replay": "whole",
    "hang": "time",
    "evaluate": "whole",
    "planned": "map",
}
STAGE_KEYS = {
    "rate": "number",
    "warm_up": "whole",
    "decay": "share",
    "batch": "whole",
    "curriculum": "list",
    "prompts": "whole",
    "group": "whole",
    "tokens": "whole",
    "weight_decay": "number",
    "clip": "number",
}
TASK_KEYS = {"name": "text", "terms": "range", "largest": "whole", "held_out": "whole"}
CHECKPOINT_KEYS = {"every": "whole", "keep": "whole"}
PLANNED_KEYS = {
    "step_time": "time",
    "wall_time": "time",
    "cost": "money",
    "switch_time": "time",
    "switch_cost": "money",
}


class _PlanReader:
    """Reads one document; collects what is wrong."""

    def __init__(self, document: files.Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def plan(self) -> RunPlan:
        given = self._keys(self.document.value, KEYS, ())
        given |= self._keys(given.pop("checkpoint", {}), CHECKPOINT_KEYS, ("checkpoint",))
        sizes = given.get("sizes", {})
        given["sizes"] = {key: self._value(value, "whole", ("sizes", key)) for key, value in sizes.items()}
        given["task"] = TaskSpec(**self._keys(given.get("task", {}), TASK_KEYS, ("task",)))
        given["planned"] = self._keys(given.get("planned", {}), PLANNED_KEYS, ("planned",))
        if "stages" in given:
            stages = [self._stage(value, ("stages", index)) for index, value in enumerate(given["stages"])]
            given["stages"] = tuple(stage for stage in stages if stage is not None)
        self._choices(given)
        if self.problems:
            raise InputError(self.problems)
        return RunPlan(**given)

    def _choices(self, given: Mapping[str, Any]) -> None:
        for key, choices in (("device", DEVICES), ("precision", PRECISIONS)):
            if key in given and given[key] not in choices:
                text = f'"{given[key]}" is none of {", ".join(choices)}'
                self._wrong(text, (key,), nearest(str(given[key]), choices))
        if "stages" in given and not given["stages"]:
            self._wrong("no stage", ("stages",))
        if "scale" in given and given["scale"] is not None and given["scale"] < 1:
            self._wrong("a scale is at least 1: sizes are divided by it", ("scale",))

    def _keys(self, value: object, kinds: Mapping[str, str], path: tuple[files.Key, ...]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._wrong("expected keys and values", path)
            return {}
        for key in value:
            if key not in kinds:
                self._wrong("is not known", (*path, key), nearest(key, kinds), key=True)
        found = {key: self._value(value[key], kind, (*path, key)) for key, kind in kinds.items() if key in value}
        return {key: item for key, item in found.items() if item is not None}

    def _value(self, value: Any, kind: str, path: tuple[files.Key, ...]) -> Any:
        """A value of a kind, None (and a problem) where it is not one."""
        try:
            if kind == "whole":
                return self._whole(value)
            if kind == "range":
                low, _, high = str(value).partition(" to ")
                return self._whole(int(low)), self._whole(int(high or low))
            if kind == "text":
                return str(value)
            if kind in ("map", "list"):
                return self._shaped(value, dict if kind == "map" else list)
            found = units.parse(value, kind)
            if found < 0:
                raise ValueError(f"{value} is below zero")
            return found
        except ValueError as error:
            self._wrong(str(error), path)
            return None

    @staticmethod
    def _whole(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError(f'expected a whole number, got "{value}"')
        return value

    @staticmethod
    def _shaped(value: Any, kind: type) -> Any:
        if not isinstance(value, kind):
            raise ValueError("expected keys and values" if kind is dict else "expected a list")
        return value

    def _stage(self, value: Any, path: tuple[files.Key, ...]) -> StageSpec | None:
        kinds = [key for key in value if key in STAGES] if isinstance(value, dict) else []
        if len(kinds) != 1:
            self._wrong("a stage is `pretrain: STEPS steps` or `grpo: STEPS steps`", path)
            return None
        kind = kinds[0]
        said = self._keys({key: item for key, item in value.items() if key != kind}, STAGE_KEYS, path)
        words = str(value[kind]).split()
        if not words or not words[0].isdigit() or words[1:] not in ([], ["steps"], ["step"]) or int(words[0]) < 1:
            self._wrong(f'expected a number of steps, got "{value[kind]}"', (*path, kind))
            return None
        if "curriculum" in said:
            said["curriculum"] = self._curriculum(said["curriculum"], (*path, "curriculum"))
        usual = STAGES[kind]
        return StageSpec(**{**asdict(usual), "curriculum": usual.curriculum, **said, "steps": int(words[0])})

    def _curriculum(self, value: list[Any], path: tuple[files.Key, ...]) -> tuple[Phase, ...]:
        phases = []
        for index, item in enumerate(value):
            said = self._keys(item, {"until": "share", "careful": "share"}, (*path, index))
            if len(said) == 2:
                phases.append(Phase(**said))
        if [phase.until for phase in phases] != sorted(phase.until for phase in phases):
            self._wrong("phases come in the order of `until`", path)
        if not phases or phases[-1].until != 1:
            self._wrong("the last phase lasts until 100 %", path)
        return tuple(phases)

    def _wrong(self, text: str, path: tuple[files.Key, ...], near: str | None = None, *, key: bool = False) -> None:
        name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
        self.problems.append(Problem(text, self.document.place(path, key=key), name, near))
