"""The run itself: steps, checkpoints, what went wrong and how the run went on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonnage.device.checkpoint import Saved, Store
from tonnage.device.kinds import KINDS
from tonnage.device.network import tensors
from tonnage.errors import InputError, Problem
from tonnage.printable import one_line
from tonnage.run.train import data, gates, grpo, network, predict
from tonnage.run.train.journal import Event
from tonnage.run.train.plan import PRECISIONS, RunPlan
from tonnage.run.train.ranks import Ranks
from tonnage.run.train.stages import StepFigures, gradient
from tonnage.run.train.tasks import TaskSource
from tonnage.run.train.timing import StepTime, medians
from tonnage.run.train.watch import HangWatch, LossWatch

if TYPE_CHECKING:
    import torch

TRIES = 3
"""How often one step may go wrong before the run stops and says so."""

CHECKPOINTS, MODEL = "checkpoints", "model"

Disturb = Callable[["Trainer", int], None]
"""Called before the gradient of a step; tests break things with it."""


@dataclass
class Progress:
    """Where a run is: steps done, seconds and cost of all attempts [s, USD], how often a step's data were replaced."""

    step: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    salts: dict[str, int] = field(default_factory=dict)
    troubles: dict[str, int] = field(default_factory=dict)


class StoppedError(Exception):
    """The run cannot go on: `reason` is one word, the message a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Trainer:
    """One process of a run."""

    def __init__(
        self,
        plan: RunPlan,
        folder: Path,
        ranks: Ranks,
        tell: Callable[[Event], None],
        disturb: Disturb | None = None,
    ) -> None:
        self.plan, self.folder, self.ranks, self._tell, self._disturb = plan, folder, ranks, tell, disturb
        self.store = Store(folder / CHECKPOINTS, plan.keep)
        self.tasks = TaskSource(plan.task)
        self.kind = KINDS[plan.device]
        self.progress, self.losses = Progress(), LossWatch()
        self.times: list[tuple[float, float]] = []
        self.watch = HangWatch(plan.hang, folder, ranks.rank, self._hung)
        self.stage = 0
        self.predicted: float | None = None
        self.model: torch.nn.Module
        self.made: torch.optim.Optimizer
        try:
            self._begin()
        except BaseException:
            self.watch.end()
            raise

    def tell(self, event: str, **what: Any) -> None:
        """Says what happened, once for all processes."""
        if self.ranks.rank == 0:
            self._tell({"event": event, "step": self.progress.step, "at": time.time(), **what})

    # ------------------------------------------------------------ beginning, keeping, going back

    def _begin(self) -> None:
        """Weights as the seed makes them, and fresh moments."""
        self.model = network.built(self.plan, self.ranks)
        self._open_stage(0)

    def _open_stage(self, number: int) -> None:
        self.stage = min(number, len(self.plan.stages) - 1)
        self.made = network.optimiser(self.model, self.plan.stages[self.stage])

    def resume(self) -> Saved | None:
        """The newest checkpoint that is whole; the beginning when there is none. Damaged ones are said."""
        saved, damaged = self.store.newest()
        for text in damaged:
            self.tell("damaged", text=text)
        self._return_to(saved)
        self.ranks.wait()
        if self.ranks.rank == 0:
            self.store.clear()
            self.store.forget_after(saved.step if saved else -1)
        self.ranks.wait()
        return saved

    def _return_to(self, saved: Saved | None) -> None:
        """The state of a checkpoint; troubles already counted and seconds already spent stay."""
        self.watch.at("load")
        before = self.progress
        if saved is None:
            self._begin()
            self.progress = replace(before, step=0)
        else:
            self._open_stage(self.plan.stage_at(saved.step)[0])
            with _readable(saved):
                network.read_state(saved.path, self.model, self.made, self.ranks)
                spent, cost = (max(getattr(before, key), float(saved.meta[key])) for key in ("seconds", "cost"))
                salts = {str(key): int(value) for key, value in {**saved.meta["salts"], **before.salts}.items()}
            self.progress = Progress(saved.step, spent, cost, salts, before.troubles)
        self.losses = LossWatch()
        if saved is not None and saved.meta["losses"]:
            with _readable(saved):
                self.losses.phase = tuple(saved.meta["phase"])
                self.losses.window = [float(loss) for loss in saved.meta["losses"]]

    def save(self) -> None:
        """A checkpoint of this step. When it cannot be written the run goes on, with the one before it."""
        self.watch.at("save")
        began = time.perf_counter()
        step, failed = self.progress.step, None
        rate = self._rate()
        found = gates.probed(self.model, self.made, self.tasks, self.plan, self.ranks, rate)
        probing = time.perf_counter() - began
        try:
            folder = self.store.root / f"step-{step:08d}.tmp"
            if self.ranks.rank == 0:
                folder = self.store.temporary(step)
            self.ranks.wait()
            network.write_state(folder, self.model, self.made, self.ranks)
            if self.ranks.rank == 0:
                gates.write(folder, found)
                self.store.commit(folder, self._meta(rate))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # torch's CheckpointException is no Exception
            failed = " ".join(str(error).split())[:200] or type(error).__name__
        if self.ranks.any(failed is not None):
            if self.ranks.rank == 0:
                self.store.abandon(step)
            self._trouble("save_failed", text=failed or "another process could not write")
        else:
            self.tell("saved", seconds=time.perf_counter() - began - probing, probe_seconds=probing)

    def _meta(self, rate: float) -> dict[str, Any]:
        plan = self.plan
        return {
            "identity": plan.identity(),
            "device": plan.device,
            "nproc": self.ranks.size,
            "precision": plan.precision,
            "seconds": self.progress.seconds,
            "cost": self.progress.cost,
            "salts": self.progress.salts,
            "losses": self.losses.window,
            "phase": self.losses.phase,
            "rate": rate,
        }

    def _rate(self) -> float:
        """Learning rate of the step that comes next, that of the stage where none does."""
        number, inner = self.plan.stage_at(self.progress.step)
        spec = self.plan.stages[self.stage]
        return network.rate_at(spec, inner) if number == self.stage else spec.rate

    def gates(self, saved: Saved) -> tuple[gates.Gate, ...]:
        """What this device computes from a checkpoint against what the device computed that wrote it."""
        self.watch.at("gates")
        rate = float(saved.meta["rate"])
        found = gates.probed(self.model, self.made, self.tasks, self.plan, self.ranks, rate)
        width = int(network.configuration(self.plan)["hidden_size"])
        learned = data.probe(self.tasks, self.plan).learned
        both = (str(saved.meta["precision"]), self.plan.precision)
        with _readable(saved):
            return gates.compared(saved.path, found, both, width, learned)

    # ------------------------------------------------------------ steps

    def run(self, until: int | None = None) -> None:
        """Steps to the end, or to step `until`. Raises StoppedError when it cannot go on."""
        last = self.plan.steps if until is None else min(until, self.plan.steps)
        if self.progress.step < last:
            self._predict()
        while self.progress.step < last:
            began, busy = time.perf_counter(), time.process_time()
            done = self._step()
            self.kind.settle()
            took, busy = time.perf_counter() - began, time.process_time() - busy
            self.spend(took)
            if done is None:
                continue
            self._tell_step(done, took, busy)
            self._predict_from_warm_up()
            number = self.plan.stage_at(self.progress.step)[0]
            if number != self.stage:
                self._close_stage(number)
            elif self.progress.step % self.plan.every == 0 or self.progress.step == last:
                self.save()
        self.watch.end()

    def _close_stage(self, number: int) -> None:
        self.evaluate()
        self.times = []
        if number < len(self.plan.stages):
            self._open_stage(number)
            self._predict()
        self.save()

    def _predict(self) -> None:
        """The time that a step of this stage should take, said before the first; at the beginning that of them all."""
        first = self.stage if self.progress.step else 0
        last = len(self.plan.stages) if self.progress.step == 0 else first + 1
        for number in range(first, last):
            self.watch.at("predict")
            found = predict.step_time(self.model, self.tasks, self.plan, self.ranks, number, self.kind.settle)
            if number == self.stage:
                self.predicted = found.wall
            spec = self.plan.stages[number]
            self.tell("predicted", stage=spec.kind, **_said(found), steps=spec.steps)

    def _predict_from_warm_up(self) -> None:
        """The time of the steps that are left in a stage, from its first ones, where it has many more."""
        spec = self.plan.stages[self.stage]
        if len(self.times) == predict.WARM and spec.steps > 2 * predict.WARM:
            found = medians(self.times[predict.COLD :])
            self.predicted = found.wall
            self.tell("predicted again", stage=spec.kind, **_said(found), warm_up=predict.WARM)

    def _step(self) -> StepFigures | None:
        """One step, or None when the run went back."""
        number, inner = self.plan.stage_at(self.progress.step)
        self.watch.at("step")
        if self.plan.replay and self.progress.step % self.plan.replay == 0 and self.progress.step > 0:
            return self._twice(number, inner)
        return self._once(number, inner)

    def _once(self, number: int, inner: int) -> StepFigures | None:
        spec, salt = self.plan.stages[number], self.progress.salts.get(str(self.progress.step), 0)
        if self._disturb:
            self._disturb(self, self.progress.step)
        found = gradient(self.model, self.tasks, self.plan, self.ranks, number, inner, salt)
        norm = network.norm_clipped(self.model, spec.clip) if found.teaches else 0.0
        wrong = self._verdict(found, norm, number, inner)
        if wrong is not None:
            self._go_back(wrong, f"loss {found.loss:.4g}, norm of the gradient {norm:.4g}")
            return None
        if found.teaches:
            for group in self.made.param_groups:
                group["lr"] = network.rate_at(spec, inner)
            self.made.step()
        self.made.zero_grad()
        self.progress.step += 1
        return found

    def _verdict(self, found: StepFigures, norm: float, number: int, inner: int) -> str | None:
        """Losses of GRPO are about zero by construction: only their being numbers is looked at."""
        spec = self.plan.stages[number]
        if spec.kind == "grpo":
            return LossWatch().verdict(found.loss, norm, ())
        return self.losses.verdict(found.loss, norm, (number, data.share_careful(spec, inner)))

    def _twice(self, number: int, inner: int) -> StepFigures | None:
        """A step done twice from the same state and compared bit for bit: sound devices repeat themselves."""
        import torch

        watched, salts = (self.losses.phase, list(self.losses.window)), dict(self.progress.salts)
        before = [value.clone() for value in tensors(self.model, self.made)]
        first = self._once(number, inner)
        if first is None:
            return None
        after = [value.clone() for value in tensors(self.model, self.made)]
        with torch.no_grad():
            for value, old in zip(tensors(self.model, self.made), before, strict=True):
                value.copy_(old)
        self.progress.step -= 1
        self.progress.salts = salts
        self.losses.phase, self.losses.window = watched
        second = self._once(number, inner)
        if second is None:
            return None
        pairs = zip(tensors(self.model, self.made), after, strict=True)
        same = first.loss == second.loss and all(torch.equal(value, old) for value, old in pairs)
        if self.ranks.any(not same):
            self.progress.step -= 1
            self._go_back("silent", f"the step twice: loss {first.loss!r}, then {second.loss!r}")
            return None
        return second

    def _trouble(self, kind: str, **what: Any) -> int:
        """Says and counts a trouble; how often this step has had it."""
        key = f"{kind} {self.progress.step}"
        self.progress.troubles[key] = self.progress.troubles.get(key, 0) + 1
        self.tell(kind, **what)
        return self.progress.troubles[key]

    def _go_back(self, kind: str, text: str) -> None:
        """Back to the last checkpoint that is whole; data that break a step twice are replaced by others."""
        step = self.progress.step
        times = self._trouble(kind, text=text)
        if times > TRIES:
            raise StoppedError(kind, f"step {step} went wrong {times} times: {text}")
        if times == 2 and kind != "silent":
            self.progress.salts[str(step)] = self.progress.salts.get(str(step), 0) + 1
            self.tell("skipped", text=f"the data of step {step} are replaced")
        self.made.zero_grad()
        self.resume()
        self.tell("rollback", cause=kind, at=step)

    def spend(self, seconds: float) -> None:
        """Time of all the devices, paid."""
        self.progress.seconds += seconds
        self.progress.cost += seconds * self.plan.price * self.ranks.size

    # ------------------------------------------------------------ what is said

    def _tell_step(self, found: StepFigures, took: float, busy: float) -> None:
        self.times.append((took, busy))
        plan, usual = self.plan, medians(self.times[-32:]).wall
        figures = {key: value for key, value in vars(found).items() if value is not None}
        if self.predicted is not None:
            figures["predicted"] = self.predicted
        self.tell(
            "step",
            of=plan.steps,
            stage=plan.stages[self.stage].kind,
            **figures,
            seconds=took,
            cpu_seconds=busy,
            spent=self.progress.seconds,
            cost=self.progress.cost,
            left=usual * (plan.steps - self.progress.step),
        )

    def evaluate(self) -> dict[str, float]:
        """Accuracy on questions never trained on, said."""
        if not self.plan.evaluate:
            return {}
        self.watch.at("evaluate")
        asked = data.unseen(self.tasks, self.plan, self.plan.evaluate)
        tokens = max(stage.tokens for stage in self.plan.stages)
        found = grpo.accuracy(self.model, self.tasks, self.plan, self.ranks, asked, tokens)
        self.tell("evaluated", after=self.plan.stages[self.stage].kind, **found)
        return found

    def export(self) -> Path:
        """The model as engines load it."""
        self.watch.at("export")
        network.write_model(self.folder / MODEL, self.model, self.ranks)
        return self.folder / MODEL

    def _hung(self, doing: str, file: Path) -> None:
        self._tell(
            {
                "event": "hang",
                "step": self.progress.step,
                "rank": self.ranks.rank,
                "text": f"no progress for {self.plan.hang:g} s while doing: {doing}; every thread is in {file}",
            }
        )


def _said(found: StepTime) -> dict[str, float]:
    """A predicted time, as events say it."""
    return {"step_time": found.wall, "step_cpu_time": found.cpu}


@contextlib.contextmanager
def _readable(saved: Saved) -> Iterator[None]:
    """What cannot be read of a checkpoint, as an InputError: it may come from anybody. Torch's own word of it
    (CheckpointException) is no Exception.
    """
    try:
        yield
    except (InputError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        text = one_line(" ".join(str(error).split())) or type(error).__name__
        hint = "take the folder of this step away, and the one before it is used"
        raise InputError(Problem(f"cannot be read into this model: {text}", str(saved.path)), hint=hint) from None


SAID: Mapping[str, tuple[type, ...]] = {
    "identity": (str,), "device": (str,), "nproc": (int,), "precision": (str,), "seconds": (int, float),
    "cost": (int, float), "salts": (dict,), "losses": (list,), "rate": (int, float),
}  # fmt: skip
"""What stands beside the weights of a checkpoint."""


def refuse_other(saved: Saved, plan: RunPlan) -> None:
    """Raises InputError when a checkpoint is of another model, data or recipe, or says nonsense of itself."""
    wrong = [name for name, kinds in SAID.items() if not isinstance(saved.meta.get(name), kinds)]
    if wrong or saved.meta["precision"] not in PRECISIONS:
        raise InputError(Problem(f"says nothing sensible of {', '.join(wrong) or 'precision'}", str(saved.path)))
    if saved.meta.get("identity") != plan.identity():
        raise InputError(
            Problem(f"the run in this folder has another model, task, seed or stages (step {saved.step})"),
            hint="resume with the plan that it began with, or begin in another folder with --into",
        )
