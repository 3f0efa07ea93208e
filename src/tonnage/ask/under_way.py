"""A run of a ledger as what a programme says of one under way: how much is done, since when, what interrupted it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tonnage.errors import InputError, Problem
from tonnage.ledger import Ledger, MeasuredEntry, Plain, below


@dataclass(frozen=True)
class UnderWay:
    """done: share of the run's tokens that it has behind it; since: its first day; interruptions: so far, None where
    nobody counted; on: day of the last measurement of progress.
    """

    run: str
    done: float
    since: datetime.date
    interruptions: int | None
    on: datetime.date

    def changes(self, model: str) -> dict[str, str]:
        """The same as leaves of a programme, which then starts on the day of the measurement."""
        place = f"models.{model}.train"
        made = {"start": self.on.isoformat(), f"{place}.done": f"{self.done:.12g}"}
        made[f"{place}.since"] = self.since.isoformat()
        if self.interruptions is not None:
            made[f"{place}.interruptions"] = str(self.interruptions)
        return made


def under_way(ledger: Ledger, run: str) -> UnderWay:
    """How far a run is by its last measured progress. Raises InputError where nothing says it."""
    entry = ledger.run(run)
    rows = ledger.rows(run=run)
    progress = [(row, share) for row in rows if (share := _done(ledger.answer(entry.plan), row)) is not None]
    if not progress:
        text = f'nothing says how far "{run}" is: attach done, tokens, or step to it'
        raise InputError(Problem(text, str(ledger.path)), hint=f"tonnage ledger add {entry.plan[:12]} --run {run} ...")
    last, share = progress[-1]
    on = datetime.date.fromisoformat(last.at[:10])
    if on <= entry.started:
        text = f'"{run}" began on {entry.started} and was last measured on {on}: a pace needs a later day'
        raise InputError(Problem(text, str(ledger.path)))
    counts = [row.values["interruptions"] for row in rows if "interruptions" in row.values and row.at <= last.at]
    return UnderWay(run, min(share, 1.0), entry.started, round(counts[-1]) if counts else None, on)


def _done(answer: Plain, row: MeasuredEntry) -> float | None:
    """Share of the plan's tokens that a row says are trained on."""
    if "done" in row.values:
        return row.values["done"]
    job = below(answer, "plan", "job")
    tokens, seq, batch = (job.get(name) for name in ("tokens", "seq", "global_batch"))
    if not isinstance(tokens, (int, float)):
        return None
    if "tokens" in row.values:
        return row.values["tokens"] / tokens
    if "step" in row.values and isinstance(seq, (int, float)) and isinstance(batch, (int, float)):
        return row.values["step"] * seq * batch / tokens
    return None


def named_runs(programme: object, said: str | None, path: Path) -> dict[str, str]:
    """Model -> run of a ledger, by what a programme's `under_way` keys say and by `RUN` or `MODEL=RUN`."""
    models = programme.get("models") if isinstance(programme, Mapping) else None
    trained = {
        str(name): model["train"]
        for name, model in (models.items() if isinstance(models, Mapping) else ())
        if isinstance(model, Mapping) and isinstance(model.get("train"), Mapping)
    }
    found = {}
    for name, train in trained.items():
        key = train.get("under_way")
        if isinstance(key, Mapping) and isinstance(key.get("ledger"), str):
            found[name] = key["ledger"]
    if said is None:
        return found
    model, equals, run = said.rpartition("=")
    if not equals and len(trained) != 1:
        text = f"says no model, and {len(trained)} are trained: {', '.join(trained) or 'none'}"
        raise InputError(Problem(text, "run"), hint="write it as MODEL=RUN")
    if equals and model not in trained:
        raise InputError(Problem(f'no model "{model[:40]}" is trained in {path}: {", ".join(trained)}', "run"))
    return found | {model if equals else next(iter(trained)): run}
