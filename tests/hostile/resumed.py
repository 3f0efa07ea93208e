"""What a run or a qualification that is resumed finds, changed by somebody, and names that are shown in every form."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import random
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.dom import minidom

from inputs import CHIP, PROGRAMME, Tried, atom, mutated, tweaked

from tonnage.cli import run
from tonnage.errors import InputError
from tonnage.printable import UNSAFE

# ---------------------------------------------------------------- qualifications and runs


class Sound:
    """A device as a qualification asks for it, without torch."""

    KIND = "cpu"

    def title(self) -> str:
        """What it calls itself."""
        return "A processor"

    def driver(self) -> str:
        """Nothing to drive."""
        return "none"


ROW = {"operator": "gemm", "format": "fp32", "shape": [8, 16, 16], "layout": "NT", "seconds": 1e-3, "wall": 1e-3,
       "cpu": 1e-3, "spread": 0.01, "samples": 3}  # fmt: skip


def qualification(dice: random.Random) -> Tried:
    """What an interrupted qualification left, damaged or of another device."""
    seed = dice.random()
    return Tried(
        "resumed", ("qualify",), outputs=("c.partial", "c.soak"), instead=lambda folder: _resumed(folder, seed)
    )


def _resumed(folder: Path, seed: float) -> str | None:
    from tonnage.qualify import partial
    from tonnage.qualify.stability import Soaked

    dice, kind, path = random.Random(seed), Sound(), folder / "c.partial"
    partial.begin(path, kind)  # type: ignore[arg-type]
    head = json.loads(path.read_text())
    head = head if dice.random() < 0.7 else mutated(head, dice, 1)
    rows = [mutated(ROW, dice, dice.choice((0, 0, 1, 2))) for _ in range(3)]
    text = "\n".join(json.dumps(one) for one in (head, *rows)) + dice.choice(("\n", "", "{", "\n{", "\n\0\n", "\n[[\n"))
    path.write_text(text if dice.random() < 0.9 else str(atom(dice)), "utf-8", "surrogatepass")
    seen = {"tonnage": partial.MARK, **partial.device_line(kind), "seen": vars(Soaked(steps=3, times=(1.0,)))}  # type: ignore[arg-type]
    (folder / "c.soak").write_text(json.dumps((mutated if dice.random() < 0.5 else tweaked)(seen, dice, 1)))
    with contextlib.suppress(InputError):
        for key, found in partial.rows(path, kind).items():  # type: ignore[arg-type]
            if not (0 < found.seconds < 1e9 and hash(key)):
                return f"a row that is none: {found}"
    with contextlib.suppress(InputError):
        found_soak = partial.read_soak(folder / "c.soak", kind)  # type: ignore[arg-type]
        if found_soak is not None and (found_soak.steps < 0 or not 0 <= found_soak.card_days < 1e12):
            return f"a soak that is none: {found_soak}"
    return None


EVENTS: list[dict[str, Any]] = [
    {"event": "start", "step": 0, "at": 1e9, "device": "cpu", "nproc": 1, "precision": "fp32", "title": "X"},
    {"event": "predicted", "step": 0, "stage": "pretrain", "step_time": 1.0, "step_time_low": 0.5},
    *({"event": "step", "step": n, "of": 9, "stage": "pretrain", "loss": 5.0 - n, "seconds": 1.0, "cpu_seconds": 0.5,
       "spent": float(n), "cost": 0.1 * n, "left": 3.0} for n in range(1, 5)),
    {"event": "nan", "step": 4, "text": "x"},
    {"event": "evaluated", "step": 4, "after": "pretrain", "sampled": 0.5, "greedy": 0.5, "n": 10.0, "length": 3.0},
]  # fmt: skip


def events(dice: random.Random) -> Tried:
    """What happened in a run, changed: its curve, its summary and its rows for a ledger are of what is sound."""
    seed = dice.random()
    return Tried("events", ("run", "train"), outputs=("events.jsonl",), instead=lambda folder: _events(folder, seed))


def _events(folder: Path, seed: float) -> str | None:
    from tonnage.report.run_train import answer
    from tonnage.run.train import curve, journal, parts
    from tonnage.run.train.plan import RunPlan
    from tonnage.run.train.start import Ended, summary

    dice = random.Random(seed)
    lines = [json.dumps((mutated if dice.random() < 0.6 else tweaked)(one, dice, 1) if dice.random() < 0.4 else one)
             for one in EVENTS]  # fmt: skip
    lines.insert(dice.randrange(len(lines)), dice.choice(("[" * 100_000, "{", "9" * 5000, "[]", '"x"', "\ud800", "\0")))
    (folder / journal.FILE).write_text("\n".join(lines), "utf-8", "surrogatepass")
    plan = RunPlan()
    minidom.parseString(curve.svg(folder))
    body = summary(plan, folder, Ended())
    text = json.dumps([answer(body, folder, _feasible()).rows, [one.run for one in parts.carried(plan, folder)]])
    return "nan in an answer" if "NaN" in text or "Infinity" in text else None


def _feasible() -> Any:
    from tonnage.errors import FEASIBLE

    return FEASIBLE


# ---------------------------------------------------------------- names in every form

NAMES = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'><svg onload=alert(1)>", "]]><x>",
    "&lt;b&gt;&#60;",     "--><script>", "javascript:alert(1)", "=HYPERLINK(1)", "-1+1", "@SUM(1)",
    "+1", "|x|y|", "[x](javascript:alert(1))",
    "![x](http://evil)", "# x", "`x`", "**x**", "</style><script>", "{{x}}", "${x}", "%s%n", "\u202eevil",
    "a\u0301" * 9,     "x" * 99, "\u0420", "\U0001f600", "</text>", "a&b", "\\", "$x$", "<!--", "]]>",
    "</script><script>alert(1)//",
)  # fmt: skip
FORMS = ("html", "svg", "csv", "md", "json", "txt", "parquet", "notebook")


class _Found(HTMLParser):
    """Elements and attributes of a page that a name could bring in."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        if any(name.startswith("on") for name in held) or held.get("src") == "x" or tag == "x":
            self.bad.append(self.get_starttag_text() or tag)
        if "javascript:" in (held.get("href") or ""):
            self.bad.append(str(held))

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and data.strip().startswith("alert("):
            self.bad.append(data)


def shown(dice: random.Random) -> Tried:
    """A lot, a model and a chip with names that something would obey, in every form of an answer."""
    name, form = dice.choice(NAMES), dice.choice(FORMS)
    return Tried("shown", ("launch",), outputs=("p.yaml", "own", "c.json", f"a.{form}"),
                 instead=lambda folder: _shown(folder, name, form))  # fmt: skip


def _shown(folder: Path, name: str, form: str) -> str | None:
    if form == "notebook":
        return _in_a_notebook(name)
    held = json.loads(json.dumps(PROGRAMME))
    held["fleet"][0]["lot"] = name
    held["models"][name] = held["models"].pop("new")
    held["models"][name]["train"]["try"] = [name]
    (folder / "p.yaml").write_text(json.dumps(held))
    (folder / "own").mkdir()
    (folder / "own" / "my.yaml").write_text(json.dumps({**CHIP, "title": name, "source": name}))
    out = folder / f"a.{form}"
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()) as told:
        if len(name) % 3:
            code = run(["fit", "qwen3-0.6b", "--on", "2xmy", "--catalog", str(folder / "own"), "-q", "-o", str(out)])
        else:
            code = run(["launch", str(folder / "p.yaml"), "--draws", "20", "-q", "-o", str(out)])
    if UNSAFE.search(said.getvalue() + told.getvalue()):
        return "printed what a terminal obeys"
    if code == 70:
        return told.getvalue()
    return obeyed(out) if out.exists() else None


def obeyed(out: Path) -> str | None:
    """What a browser, a spreadsheet or a reader of Markdown would obey of a file."""
    data = out.read_bytes()
    if out.suffix == ".svg":
        drawn = minidom.parseString(data)
        if any(drawn.getElementsByTagName(tag) for tag in ("script", "img", "x")):
            return "an element of a name in an SVG"
        every = drawn.getElementsByTagName("*")
        bad = [key for one in every for key in one.attributes.keys() if key.startswith("on")]  # noqa: SIM118
        return f"attributes {bad}" if bad else None
    if out.suffix == ".csv":
        cells = [cell for row in csv.reader(io.StringIO(data.decode())) for cell in row]
        bad = [cell for cell in cells if cell[:1] in ("=", "@") or cell[:2] == "-1+" or cell == "+1"]
        return f"a formula {bad}" if bad else None
    if out.suffix in (".html", ".notebook"):
        page = _Found()
        page.feed(data.decode())
        return f"markup of a name: {page.bad}" if page.bad else None
    if out.suffix == ".json":
        json.loads(data)
    if out.suffix == ".md" and re.search(rb"(?<!\\)<(script|img)", data):
        return "markup of a name in Markdown"
    return None


def _in_a_notebook(name: str) -> str | None:
    """A model and a chip of that title, as a notebook shows them."""
    from dataclasses import replace

    import tonnage as tn

    arch = replace(tn.load_model("qwen3-0.6b"), title=name)
    chip = replace(tn.accelerator("h20", tn.load_catalog()), title=name)
    page = _Found()
    page.feed(tn.fit(arch, tn.System(chip, 1))._repr_html_())
    return f"markup of a name: {page.bad}" if page.bad else None


# ---------------------------------------------------------------- widths


def width(dice: random.Random) -> Tried:
    """A terminal that says of itself what none is."""
    said = dice.choice(
        ("0", "-1", "1", "1e9", "\u00b2", "9" * 5000, "", " 80 ", "80x", "59", "61", "239", "241", "\u0661")
    )
    words = dice.choice((
        ("fit", "qwen3-0.6b", "--on", "1xh20"), ("show", "h20"), ("fit", "--help"), ("show", "chips"), ("--help",),
        ("serve", "qwen3-0.6b", "--on", "2xh20", "--bars"), ("show", "rules"), ("fit", "qwen3-0.6b"),
    ))  # fmt: skip

    def instead(folder: Path) -> str | None:
        before = os.environ.get("COLUMNS")
        os.environ["COLUMNS"] = said
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                code = run([*words])
        finally:
            os.environ.pop("COLUMNS", None)
            if before is not None:
                os.environ["COLUMNS"] = before
        longest = max((len(line) for line in out.getvalue().splitlines()), default=0)
        return (
            f"exit {code}" if code not in (0, 1, 2) else "a line is wider than any terminal" if longest > 240 else None
        )

    return Tried("width", words, instead=instead)
