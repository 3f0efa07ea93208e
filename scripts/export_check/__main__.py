"""Exported files put before the engines' own parsers: `make export-check`.

    python -m export_check            # with PYTHONPATH=scripts; some 5 GB in build/vllm and build/check
    python -m export_check vllm ray   # these rows alone, and no table in the docs
    python -m export_check training   # the training engines alone

Ten kinds of plans for each engine; a row of the table for each file of an engine or scheduler. `engine`: its own parser
or schema took the file; `table`: the flags as drawn from its source; a dash: no file is written, with the reason below.
Each parser is given planted mistakes as well and must refuse them, ten of a kind.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export_check import mistakes, training
from export_check.environments import DOCS, ENGINES, ROOT, VERSIONS, python
from export_check.plans import ON_ASCEND, PLANS, Priced, priced, written
from tonnage.export import ExportedFile
from tonnage.export.accepted import table_takes

MARKS = ("<!-- export-check: start -->", "<!-- export-check: end -->")
TRAINED = ("<!-- export-check, training: start -->", "<!-- export-check, training: end -->")
SCHEMAS = ROOT / "tests" / "export" / "data" / "crds.json"
PARSERS = Path(__file__).parent / "parsers.py"

Case = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One engine's or scheduler's file. target: what it is exported as; priced: for which engine, by the files' own
    parser; where: the environment; parser: its name there, nothing where a table takes the place; cases: of the files;
    planted: mistakes in one case.
    """

    name: str
    target: str
    priced: str
    where: str
    parser: str
    version: str
    cases: Callable[[Sequence[ExportedFile]], Iterator[Case]]
    planted: Callable[[Case], Iterator[Case]]
    notes: str = ""


@dataclass
class Found:
    """What came of a row: a word for each plan, mistakes that were refused of those planted, reasons."""

    cells: dict[str, str] = field(default_factory=dict)
    refused: int = 0
    planted: int = 0
    wrong: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)


def words(text: str, of: str) -> list[str]:
    """Words of the command that a script starts, with numbers for what a cluster fills in."""
    text = re.sub(r"(?m)  # .*$", "", text)
    for name, value in {"$((NODE_RANK": "$((1", "$NODE_RANK": "1", "$HEAD_ADDR": "10.0.0.1", "$MODEL": "model"}.items():
        text = text.replace(name, value)
    text = re.sub(r"\$\(\((\d+) \* (\d+)\)\)", lambda m: str(int(m[1]) * int(m[2])), text)
    if of == "flags":
        block = re.search(r"flags=\(\n(.*?)\n\)", text, re.S)
        return shlex.split(block[1]) if block else []
    line = next(row for row in text.replace("\\\n", " ").splitlines() if of in row)
    line = re.sub(r"\$\{\w+:-([^}]*)\}|\$\{\w+:\?[^}]*\}", lambda m: m[1] or "http://router:8000", line)
    return shlex.split(line.partition(of)[2])


def scripts(before: Sequence[str] = (), skip: Sequence[str] = ()) -> Callable[[Sequence[ExportedFile]], Iterator[Case]]:
    """Cases of the scripts that start an engine; before: words that the script itself has before its flags."""

    def made(files: Sequence[ExportedFile]) -> Iterator[Case]:
        for one in files:
            if one.executable and one.name not in ("check.sh", "router.sh", "frontend.sh", *skip):
                yield {"words": [*before, *words(one.text, "flags")]}

    return made


def check(command: str) -> Callable[[Sequence[ExportedFile]], Iterator[Case]]:
    """The case of the check script."""

    def made(files: Sequence[ExportedFile]) -> Iterator[Case]:
        for one in files:
            if one.name == "check.sh" and command in one.text:
                yield {"words": words(one.text, command)}

    return made


def manifests(*kinds: str, schemas: bool = False) -> Callable[[Sequence[ExportedFile]], Iterator[Case]]:
    """Cases of YAML files; kinds: the documents that are looked at."""
    held = json.loads(SCHEMAS.read_text("utf-8")) if schemas else {}

    def made(files: Sequence[ExportedFile]) -> Iterator[Case]:
        for one in files:
            if one.name.endswith(".yaml"):
                for text in re.split(r"(?m)^---$", one.text):
                    found = re.search(r"(?m)^kind: (\w+)", text)
                    if not kinds or (found and found[1] in kinds):
                        yield {"text": text, "schemas": held, "kinds": []}

    return made


def planted_words(*sizes: str, bench: bool = False) -> Callable[[Case], Iterator[Case]]:
    """Mistakes in a command."""
    planted = mistakes.BENCH if bench else mistakes.WORDS
    return lambda case: ({"words": each} for each in mistakes.commands(case["words"], sizes, planted))


def planted_text(edits: tuple[mistakes.Edit, ...]) -> Callable[[Case], Iterator[Case]]:
    """Mistakes in a file."""
    return lambda case: ({**case, "text": text} for text in mistakes.files(case["text"], edits))


def trtllm(files: Sequence[ExportedFile]) -> Iterator[Case]:
    """The YAML that a script of TensorRT-LLM hands over."""
    for one in files:
        found = re.search(r"--config <\(echo '(.*?)'\)", one.text, re.S)
        if one.executable and found:
            yield {"text": found[1]}


def planted_yaml(case: Case) -> Iterator[Case]:
    """Mistakes in that YAML."""
    fields = json.loads(case["text"])
    for key, value in mistakes.FIELDS:
        yield {"text": json.dumps({**fields, key: value})}


SIZES = ("--tensor-parallel-size",)
ROWS = (
    Row("vLLM", "vllm", "vllm", "vllm", "vllm", "0.32.0", scripts(("model",)), planted_words(*SIZES)),
    Row("vLLM Ascend", "vllm-ascend", "vllm-ascend", "vllm", "vllm", "flags of vLLM 0.32.0", scripts(("model",)),
        planted_words(*SIZES), "`--additional-config` by its keys"),
    Row("SGLang", "sglang", "sglang", "sglang", "sglang", VERSIONS["sglang"], scripts(), planted_words("--tp-size")),
    Row("TensorRT-LLM", "trtllm", "trtllm", "", "trtllm", "1.2", trtllm, planted_yaml),
    Row("Dynamo, vLLM", "dynamo", "vllm", "dynamo", "dynamo-vllm", VERSIONS["ai-dynamo"], scripts(),
        planted_words(*SIZES)),
    Row("Dynamo, SGLang", "dynamo", "sglang", "dynamo", "dynamo-sglang", VERSIONS["ai-dynamo"], scripts(),
        planted_words("--tp-size")),
    Row("Ray Serve", "ray", "vllm", "light", "ray", VERSIONS["ray"], manifests(), planted_text(mistakes.RAY)),
    Row("Kubernetes", "k8s", "vllm", "light", "kubernetes", VERSIONS["kubernetes"],
        manifests("Deployment", "Service"), planted_text(mistakes.MANIFEST)),
    Row("LeaderWorkerSet", "k8s", "sglang", "light", "kubernetes", "CRD of 2026-08",
        manifests("LeaderWorkerSet", schemas=True), planted_text(mistakes.GROUP)),
    Row("Kueue", "k8s", "vllm", "light", "kubernetes", "CRDs of 2026-08",
        manifests("ClusterQueue", "LocalQueue", "ResourceFlavor", schemas=True), planted_text(mistakes.QUEUE)),
    Row("SkyPilot", "skypilot", "vllm", "skypilot", "skypilot", VERSIONS["skypilot"], manifests(),
        planted_text(mistakes.SKY)),
    Row("vllm bench serve", "vllm", "vllm", "vllm", "vllm-bench", "0.32.0", check("vllm bench serve"),
        planted_words(bench=True)),
    Row("sglang.bench_serving", "sglang", "sglang", "sglang", "sglang-bench", VERSIONS["sglang"],
        check("sglang.bench_serving"), planted_words(bench=True)),
)  # fmt: skip


def asked(row: Row, cases: Sequence[Case]) -> list[str]:
    """What the parser of a row says of each case: nothing where it takes it."""
    if not row.where:
        return [table_takes(row.parser, case["text"]) for case in cases]
    program, env = python(row.where)
    sent = "".join(json.dumps({**case, "id": index}) + "\n" for index, case in enumerate(cases))
    done = subprocess.run(
        [str(program), str(PARSERS), row.parser], input=sent, text=True, capture_output=True, env=env, check=False
    )
    answers = {one["id"]: str(one["why"]) for one in map(json.loads, done.stdout.splitlines())}
    if len(answers) < len(cases):
        raise SystemExit(f"{row.name}: its parser did not run: {done.stderr[-1500:]}")
    return [answers[index] for index in range(len(cases))]


def judged(row: Row, plans: Mapping[str, Priced]) -> Found:
    """A row of the table."""
    found = Found()
    every: list[tuple[str, Case, bool]] = []
    for kind, one in plans.items():
        files, why = written(one, row.target)
        cases = list(row.cases(files)) if files else []
        if not cases:
            found.cells[kind] = "–"
            found.reasons[kind] = why or (
                "fits one server" if row.name == "LeaderWorkerSet" else "lies on several servers"
            )
        every += [(kind, case, False) for case in cases]
    planted = [each for _, case, _ in every[:1] for each in row.planted(case)]
    if row.name in ("LeaderWorkerSet", "Kueue", "Kubernetes", "SkyPilot"):  # one document has not all that can be wrong
        planted = [each for _, case, _ in every for each in row.planted(case)]
    every += [("", case, True) for case in planted]
    for (kind, case, wrong), why in zip(every, asked(row, [case for _, case, _ in every]), strict=True):
        if wrong:
            found.planted += 1
            found.refused += bool(why)
            found.missed += [] if why else [case.get("text") or shlex.join(case["words"])]
        elif why:
            found.cells[kind] = "**no**"
            found.wrong.append(f"{row.name}, {kind}: {why}")
        else:
            found.cells.setdefault(kind, "engine" if row.where else "table")
    return found


def shown(rows: Sequence[tuple[Row, Found]]) -> str:
    """The table in Markdown, with what is not written and why."""
    lines = ["| files | taken by | " + " | ".join(PLANS) + " | mistakes refused |"]
    lines += ["| --- | --- |" + " --- |" * len(PLANS) + " --- |"]
    for row, found in rows:
        cells = " | ".join(found.cells[kind] for kind in PLANS)
        notes = f"; {row.notes}" if row.notes else ""
        lines.append(f"| {row.name} | {row.version}{notes} | {cells} | {found.refused} of {found.planted} |")
    why: dict[str, list[str]] = {}
    for row, found in rows:
        for kind, text in found.reasons.items():
            why.setdefault(text, []).append(f"{row.name} ({kind})")
    lines += ["", "No file, and why:", ""]
    lines += [f"- {text}: {', '.join(names)}." for text, names in why.items()]
    return "\n".join(lines)


def _missed(text: str) -> str:
    return f"a planted mistake was taken: {' '.join(text.split())[:300]}"


def main(names: Sequence[str]) -> int:
    """Check, print, and write the tables into the docs: of serving where all its rows were asked for."""
    bad = [] if set(names) == {"training"} else _serving([name for name in names if name != "training"])
    if not names or "training" in names:
        bad += _training()
    print("all taken, every mistake refused" if not bad else f"not so: {', '.join(bad)}")
    return int(bool(bad))


def _serving(names: Sequence[str]) -> list[str]:
    """The rows of serving that were asked for, all where none was named; those that are not as they should be."""
    chosen = [row for row in ROWS if not names or {row.target, row.parser, row.name} & set(names)]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        plans = {
            engine: {kind: priced(kind, engine, Path(folder)) for kind in PLANS}
            for engine in dict.fromkeys([*(row.priced for row in chosen), "vllm-ascend"])
        }
        on_ascend = {ON_ASCEND: plans["vllm-ascend"][ON_ASCEND]}
        for row in chosen:
            own = plans[row.priced] | (on_ascend if row.target == "k8s" and row.priced == "vllm" else {})
            results.append((row, judged(row, own)))
            print(row.name, *results[-1][1].wrong, *map(_missed, results[-1][1].missed), sep="\n  ", flush=True)
    text = shown(results)
    print(text)
    if not names:
        _write(MARKS, text)
    return [row.name for row, found in results if found.wrong or found.refused < found.planted or found.planted < 10]


def _training() -> list[str]:
    """The table of training; what is not as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        text, wrong = training.judged(Path(folder))
    print(text)
    _write(TRAINED, text)
    return wrong


def _write(marks: tuple[str, str], text: str) -> None:
    """A table into the docs, between its marks."""
    start, end = marks
    before, _, rest = DOCS.read_text("utf-8").partition(start)
    DOCS.write_text(f"{before}{start}\n\n{text}\n\n{end}{rest.partition(end)[2]}", "utf-8")


if __name__ == "__main__":
    assert ENGINES
    sys.exit(main(sys.argv[1:]))
