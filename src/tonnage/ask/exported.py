"""A saved plan as files of an engine, each with the question that it answers in one comment."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tonnage.ask.serve import ServeWords
from tonnage.ask.train_words import TrainWords
from tonnage.catalog import Catalog
from tonnage.errors import InputError, Problem, nearest
from tonnage.export import SERVING, TRAINING, ExportedFile, serving_files, training_files
from tonnage.files import SCRATCH
from tonnage.launchfile import SERVING as SERVES
from tonnage.launchfile import TRAINING as TRAINS
from tonnage.launchfile import Remark, pooled, read, said_count, starts
from tonnage.printable import one_line
from tonnage.serve import ServePlan
from tonnage.train import TrainPlan

READ = (".sh", ".yaml")
"""Endings of files that `--from` reads."""

PATHS = ("anchor", "calibration", "measured")
"""Words that name files of the user's, which an exported file does not take along."""


def exported(
    saved: Mapping[str, Any], engine: str, catalog: Catalog, version: str | None = None
) -> tuple[ExportedFile, ...]:
    """The files of an answer of serve or train. Raises InputError for other answers, and for names that are not known;
    CannotExport where the engine cannot be told what the plan decided.
    """
    command = str(saved["command"])
    kinds = {"serve": SERVING, "train": TRAINING}
    if command not in kinds:
        raise InputError(Problem(f'answers of "{command}" are not exported'))
    if engine not in kinds[command]:
        every = kinds[command]
        message = f'"{engine[:40]}" is not one of {", ".join(every)}, which answers of {command} are exported for'
        raise InputError(Problem(message, suggestion=nearest(engine, every)))
    if "plan" not in saved or "parts" in saved["plan"]:
        raise InputError(Problem("a plan over several kinds of accelerators is not exported"))
    with _of_anybody():
        if command == "train":
            plan = TrainPlan.from_json(saved)
            made, words = training_files(plan, engine, version), _train_words(saved, plan, engine)
        else:
            made, words = serving_files(ServePlan.from_json(saved), engine, version), _words(saved, ServeWords)
    usual = {field.name: field.default for field in fields(ServeWords if command == "serve" else TrainWords)}
    return with_question(made, Remark(command, str(saved["inputs"].get("model", "")), words, {}), usual, catalog)


@contextlib.contextmanager
def _of_anybody() -> Iterator[None]:
    """A saved plan may have been changed by anybody: values that do not go together are wrong input, no defect."""
    try:
        yield
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        text = f"the values of this plan do not go together ({type(error).__name__}: {one_line(str(error), 80)})"
        raise InputError(Problem(text, path="plan"), hint="plan it again, and export that") from None


def _words(saved: Mapping[str, Any], kind: type[ServeWords | TrainWords]) -> dict[str, str | bool]:
    """What was asked, where it was not the usual."""
    usual = {field.name: field.default for field in fields(kind)} | {"as_of": None}
    asked = {("place" if name == "in" else name): value for name, value in saved["inputs"].items()}
    if isinstance(asked.get("on"), list):
        asked["on"] = " + ".join(map(str, asked["on"]))
    return {
        name: value
        for name, value in asked.items()
        if name in usual and name not in PATHS and isinstance(value, (str, bool)) and value != usual[name]
    }


def _train_words(saved: Mapping[str, Any], plan: TrainPlan, engine: str) -> dict[str, str | bool]:
    """Of verl the update is what its file trains; `run` has no layout of its own."""
    words = _words(saved, TrainWords)
    if engine == "run" and plan.layout is not None:
        words["layout"] = str(plan.layout)
    if engine == "verl" and plan.rl is not None:
        words.pop("tokens", None)
        job = plan.rl.update.job
        words |= {"seq": str(job.seq), "layout": str(plan.rl.update.layout)}
    return words


def with_question(
    made: tuple[ExportedFile, ...], remark: Remark, usual: Mapping[str, object], catalog: Catalog
) -> tuple[ExportedFile, ...]:
    """Files with the question in a comment; what they say without it is read from them as `--from` reads it. Words that
    were asked as they usually are (usual) stand in it where the files say something else of them.
    """
    train = remark.command == "train"
    kinds = TRAINS if train else SERVES
    with tempfile.TemporaryDirectory(prefix=SCRATCH) as folder:
        for one in made:
            (Path(folder) / one.name).write_text(one.text, encoding="utf-8")
        told = [one.name for one in made if Path(one.name).suffix in READ and one.name not in ("check.sh", "sbatch.sh")]
        begun = {name: [s for s in starts(str(Path(folder) / name)) if s.engine in kinds] for name in told}
        says = tuple(name for name in told if begun[name])
        remark = replace(remark, files=says if len(says) > 1 or says != tuple(told) else ())
        marked = {one.name: _marked(one, remark) for one in made if one.name in told}
        if says:
            (Path(folder) / says[0]).write_text(marked[says[0]].text, encoding="utf-8")
            on = [str(remark.words["on"])] if "on" in remark.words else []
            bare = [s for name in says for s in pooled(name, begun[name])]
            found = read(Path(folder) / says[0], catalog, on=on, model=remark.model, train=train)
            reads = {**found.said, "count": str(said_count(bare, train=train) or "")}
            plain = {name: usual[name] for name in reads if isinstance(usual.get(name), (str, bool))}
            words = {name: value for name, value in plain.items() if isinstance(value, (str, bool)) and name != "mode"}
            remark = replace(remark, reads=reads, words=words | dict(remark.words))
    return tuple(_marked(one, remark) if one.name in marked else one for one in made)


def _marked(one: ExportedFile, remark: Remark) -> ExportedFile:
    """The file with the comment as its first line, or after the one that names its shell."""
    first, _, rest = one.text.partition("\n")
    if first.startswith("#!"):
        return replace(one, text=f"{first}\n{remark.line()}\n{rest}")
    return replace(one, text=f"{remark.line()}\n{one.text}")
