"""What is to be run, read from a small YAML or from a saved answer of `tonnage train`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tonnage import files, units
from tonnage.errors import InputError, Problem, nearest
from tonnage.printable import one_line
from tonnage.values import Plain, decode

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


def from_json(plain: Mapping[str, Plain]) -> RunPlan:
    """The inverse of `RunPlan.to_json`. Raises InputError for what is no plan that can be run."""
    plan = decode(RunPlan, dict(plain))
    if problems := beyond(plan):
        raise InputError(problems)
    return plan


def read_kept(path: Path) -> RunPlan:
    """The plan that a run keeps in its folder. Raises InputError: a folder may come from anybody."""
    held = files.read_json(path, files.LIMIT).value
    if not isinstance(held, dict):
        raise InputError(Problem("is no plan of a run", where=str(path)))
    try:
        return from_json(held)
    except InputError as error:
        raise InputError(Problem(one.message, str(path), one.path) for one in error.problems) from None


PLAN_BOUNDS: Mapping[str, tuple[float, float]] = {
    "scale": (1, 1e6), "seed": (0, 2**32 - 1), "nproc": (1, 4096), "threads": (1, 4096), "price": (0, 1e3),
    "every": (1, 1e9), "keep": (1, 1e6), "replay": (0, 1e9), "hang": (0, 1e7), "evaluate": (0, 1e6),
}  # fmt: skip
STAGE_BOUNDS: Mapping[str, tuple[float, float]] = {
    "steps": (1, 1e9), "rate": (0, 1e3), "warm_up": (0, 1e9), "decay": (0, 1), "batch": (1, 1e6), "prompts": (1, 1e6),
    "group": (1, 1e6), "tokens": (1, 1e6), "weight_decay": (0, 1e3), "clip": (1e-12, 1e12),
}  # fmt: skip
TASK_BOUNDS: Mapping[str, tuple[float, float]] = {"largest": (1, 1e9), "held_out": (0, 1e9)}
SIZE, TERMS = (1, 1e6), (1, 1000)
"""Least and most of each number of a plan, of its stages and its task; of a size of the model, and of terms."""


def beyond(plan: RunPlan) -> list[Problem]:
    """Numbers with which nothing can be run."""
    found = [*_beyond(plan, PLAN_BOUNDS, ""), *_beyond(plan.task, TASK_BOUNDS, "task.")]
    found += [one for name, value in plan.sizes.items() for one in _outside(value, SIZE, f"sizes.{name}")]
    found += [one for value in plan.task.terms for one in _outside(value, TERMS, "task.terms")]
    if plan.task.terms[0] > plan.task.terms[1]:
        found.append(Problem("the first is more than the last", path="task.terms"))
    for number, stage in enumerate(plan.stages):
        path = f"stages[{number}]."
        found += _beyond(stage, STAGE_BOUNDS, path)
        found += [] if stage.kind in STAGES else [_no_choice(stage.kind, STAGES, f"{path}kind")]
        found += [] if stage.curriculum else [Problem("no phase", path=f"{path}curriculum")]
        found += [one for phase in stage.curriculum for one in _outside(phase.careful, (0, 1), f"{path}curriculum")]
        found += [one for beta in stage.betas for one in _outside(beta, (0, 0.999999), f"{path}betas")]
    found += [] if plan.stages else [Problem("no stage", path="stages")]
    for name, value, choices in (("device", plan.device, DEVICES), ("precision", plan.precision, PRECISIONS)):
        found += [] if value in choices else [_no_choice(value, choices, name)]
    return found


def _no_choice(value: str, choices: Iterable[str], path: str) -> Problem:
    return Problem(f'"{one_line(value, 40)}" is none of {", ".join(choices)}', "", path, nearest(value[:40], choices))


def _beyond(held: object, bounds: Mapping[str, tuple[float, float]], path: str) -> Iterator[Problem]:
    for name, bound in bounds.items():
        yield from _outside(getattr(held, name), bound, path + name)


def _outside(value: float, bound: tuple[float, float], path: str) -> Iterator[Problem]:
    if not bound[0] <= value <= bound[1]:
        yield Problem(f"expected {bound[0]:,g} to {bound[1]:,g}, got {value:g}", path=path)


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
    switch = saved.get("switch")
    figures = {
        "step_time": saved.get("step_time"),
        "wall_time": saved.get("wall_time"),
        "cost": saved.get("cost"),
        "switch_time": switch.get("total") if isinstance(switch, dict) else None,
    }
    planned = {
        key: float(value)
        for key, value in figures.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    model = saved["inputs"].get("model")
    if not isinstance(model, str) or not model:
        raise InputError(Problem("names no model", str(path), "inputs.model"))
    return RunPlan(name=path.stem, model=model, planned=planned)


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


_STEPS = re.compile(r"[0-9]{1,12}")


def _digits(text: str) -> int:
    """A whole number of few digits. Raises ValueError."""
    if not _STEPS.fullmatch(text.strip()):
        raise ValueError(f'expected a whole number, got "{one_line(text, 40)}"')
    return int(text)


class _PlanReader:
    """Reads one document; collects what is wrong."""

    def __init__(self, document: files.Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def plan(self) -> RunPlan:
        given = self._keys(self.document.value, KEYS, ())
        given |= self._keys(given.pop("checkpoint", {}), CHECKPOINT_KEYS, ("checkpoint",))
        sizes = given.get("sizes", {})
        read = {key: self._value(value, "whole", ("sizes", key)) for key, value in sizes.items()}
        given["sizes"] = {key: value for key, value in read.items() if value is not None}
        given["task"] = TaskSpec(**self._keys(given.get("task", {}), TASK_KEYS, ("task",)))
        given["planned"] = self._keys(given.get("planned", {}), PLANNED_KEYS, ("planned",))
        if "stages" in given:
            stages = [self._stage(value, ("stages", index)) for index, value in enumerate(given["stages"])]
            given["stages"] = tuple(stage for stage in stages if stage is not None)
        plan = RunPlan(**given)
        told = [one.path for one in self.problems]
        found = [self._placed(one) for one in beyond(plan)]
        self.problems += [one for one in found if not any(path.startswith(one.path) for path in told)]
        if self.problems:
            raise InputError(self.problems)
        return plan

    def _placed(self, problem: Problem) -> Problem:
        """A problem of a plan, with its place in the file; what stands under `checkpoint` there is told as it is."""
        path = f"checkpoint.{problem.path}" if problem.path in CHECKPOINT_KEYS else problem.path
        steps = [int(part) if part.isdecimal() else part for part in re.findall(r"[^.\[\]]+", path)]
        return replace(problem, where=self.document.place(steps), path=path)

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
                return self._whole(_digits(low)), self._whole(_digits(high or low))
            if kind == "text":
                return self._text(value)
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
            raise ValueError(f'expected a whole number, got "{one_line(str(value), 40)}"')
        return value

    @staticmethod
    def _text(value: object) -> str:
        if value is None or isinstance(value, (dict, list)) or not 0 < len(str(value)) <= 200:
            raise ValueError(f"expected a text of 1 to 200 characters, got {one_line(str(value), 40)}")
        return str(value)

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
        words = str(value[kind])[:200].split()
        if not words or not _STEPS.fullmatch(words[0]) or words[1:] not in ([], ["steps"], ["step"]):
            self._wrong(f'expected a number of steps, got "{one_line(str(value[kind]), 40)}"', (*path, kind))
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
