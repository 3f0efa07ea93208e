"""The training half of docs/accuracy.md."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from tonnage.report import page
from tonnage.report.page import Line
from tonnage.train.result import TrainPlan
from tonnage.truth import special
from tonnage.truth.board import Board, shown
from tonnage.truth.cases import load_cases
from tonnage.truth.predict_training import planned, prepare
from tonnage.truth.score import Prediction, quantile, summarise, vote
from tonnage.truth.shapes import Library

HOURS_PER_TRILLION = 180_000.0
"""DeepSeek-V3 report (arXiv 2412.19437), section 1: H800-hours per trillion tokens of pre-training."""


def training_page(board: Board, library: Library) -> list[str]:
    """Lines of the page."""
    label = board.label
    lines = ["## Training", "", page.votes(board), ""]
    lines += page.figures_table([*_levels(board), *_tables(board), *_runs(board, library)])
    lines += ["### Where a DeepSeek-V3 step goes", "", *_breakdown(library)]
    lines += ["### By source", "", *page.source_table(board)]
    for tag, title in (
        ("chip", "chip"),
        ("kind", "kind"),
        ("family", "family"),
        ("precision", "bits"),
        ("task", "task"),
    ):
        lines += [f"### By {title} ({label})", "", *page.tag_table(board, tag, title)]
    lines += ["### The tables that everybody compares with", ""]
    for name in (special.SC21, special.KORTHIKANTI, special.LLAMA, special.DEEPSEEK_V3):
        lines += page.rows_table(special.starting(board.rows, name))
    lines += [f"### Largest errors ({label})", "", *page.worst_table(board)]
    return [*lines, "### Not predicted", "", *page.defects(board.defects), *page.skipped_table(board.skipped)]


def _levels(board: Board) -> list[Line]:
    label, (honest, null) = board.label, board.fair

    def kind(rows: tuple[Prediction, ...], name: str) -> list[Prediction]:
        return [row for row in rows if row.tags["kind"] == name]

    ascend = "ascend-910b"
    chips = board.null_chip_out
    here = [row for row in board.rows if row.tags["chip"] == ascend]
    chip_out = [row for row in board.chip_out if row.tags["chip"] == ascend]
    return [
        page.pair(f"{label}, all scored cases", (9, 24), honest, null),
        *([page.pair("in sample, all scored cases", (9, 24), board.rows, board.null)] if board.left_out else []),
        page.pair("chip left out", (12, 28), board.chip_out, chips),
        page.pair(f"dense, {label}", (7, 18), kind(honest, "dense"), kind(null, "dense")),
        page.pair(f"MoE, {label}", (14, 30), kind(honest, "MoE"), kind(null, "MoE")),
        page.pair(
            "Ascend 910B with the Ascend cases in the fit",
            (9, 18),
            here,
            [r for r in board.null if r.tags["chip"] == ascend],
        ),
        page.pair("Ascend 910B with none", (18, 30), chip_out, [r for r in chips if r.tags["chip"] == ascend]),
        page.beats(board),
        page.within(f"90 % intervals cover ({label})", summarise(honest).coverage_90, 85, 95),
        *_kinds(board),
    ]


def _kinds(board: Board) -> list[Line]:
    """Whole kinds of runs left out of the fit, and whether the intervals hold them."""
    lines = []
    for kind, rows in board.kinds.items():
        if rows:
            lines.append(Line(f"{kind} left out ({len(rows)})", "-", shown(summarise(rows))))
            lines.append(page.within(f"90 % intervals cover, {kind} left out", summarise(rows).coverage_90, 85, 95))
    if board.chip_out:
        lines.append(page.within("90 % intervals cover, chip left out", summarise(board.chip_out).coverage_90, 85, 95))
    return lines


def _tables(board: Board) -> list[Line]:
    sc21, out = (special.starting(rows, special.SC21) for rows in (board.rows, board.chip_out))
    null = special.mean_and_worst(special.starting(board.null, special.SC21))
    said = f"{100 * null[0]:.1f}, {100 * null[1]:.1f} %"
    lines = [_mean_max("SC21 table, 10 rows: mean, max", sc21, (2.5, 6), said)]
    lines.append(_mean_max("SC21 with that chip left out: mean, max", out, (5, 10), ""))
    if sc21:
        lines.append(page.within("SC21 rank correlation of FLOP/s", _rank(board, sc21), 0.6, 1.0, unit="", scale=1.0))
    rows = special.starting(board.rows, special.KORTHIKANTI)
    other = special.mean_and_worst(special.starting(board.null, special.KORTHIKANTI))[0]
    lines.append(
        page.below("Korthikanti table 5, 8 rows: mean", special.mean_and_worst(rows)[0], 3.5, f"{100 * other:.1f} %")
    )
    return [*lines, *_llama(board)]


def _mean_max(what: str, rows: list[Prediction], bar: tuple[float, float], null: str) -> Line:
    mean, worst = special.mean_and_worst(rows)
    if math.isnan(mean):
        return Line(what, f"{bar[0]:g}, {bar[1]:g} %", "no case", null)
    met = 100 * mean <= bar[0] and 100 * worst <= bar[1]
    return Line(what, f"{bar[0]:g}, {bar[1]:g} %", f"{100 * mean:.1f}, {100 * worst:.1f} %", null, met)


def _rank(board: Board, rows: list[Prediction]) -> float:
    work = {one.figure.id: one.base for one in board.anchored}
    return special.rank_correlation([r.predicted / work[r.id] for r in rows], [r.published / work[r.id] for r in rows])


def _llama(board: Board) -> list[Line]:
    rows = {row.id: row for row in special.starting(board.rows, special.LLAMA)}
    names = {"8192h100-seq8192": 6, "16384h100-seq8192": 6, "16384h100-seq131072": 10}
    lines = []
    for name, bar in names.items():
        row = rows.get(special.LLAMA + name)
        value = math.nan if row is None else special.size(row)
        fits = "" if row is None or row.outcome == "feasible" else f"; predicted not to fit: {row.outcome}"
        lines.append(page.below(f"Llama-3.1-405B {name}, against the published range{fits}", value, bar))
    large, small = (rows.get(special.LLAMA + f"{count}h100-seq8192") for count in (16384, 8192))
    if large and small:
        ratio = large.predicted / small.predicted
        lines.append(page.within("Llama-3.1-405B, ratio 16K/8K", ratio, 0.89, 0.97, unit="", scale=1.0))
    return lines


def _runs(board: Board, library: Library) -> list[Line]:
    lines = []
    for row in special.starting(board.rows, special.DEEPSEEK_V3):
        hours = 1e12 / row.predicted / 3600
        off = abs(math.log(hours / HOURS_PER_TRILLION))
        text = f"{hours / 1e3:.0f}K hours ({100 * (hours / HOURS_PER_TRILLION - 1):+.1f} %)"
        lines.append(
            Line(
                "DeepSeek-V3 on 2,048 H800: H800-hours per T tokens",
                "180K, within 12 %",
                text,
                "",
                math.expm1(off) <= 0.12,
            )
        )
    return [*lines, _memory(library)]


def _memory(library: Library) -> Line:
    """Memory where it is published: predicted total on the fullest rank, each source one vote."""
    cases = [case for case in load_cases("training") if case.get("memory_per_accelerator")]
    rows: list[Prediction] = []
    for ready in prepare(cases, library, Counter()):
        plan = planned(ready)
        if plan is not None and plan.memory is not None:
            rows.append(ready.anchored.figure.scaled(float(plan.memory.total)))
    published = {case["id"]: float(case["memory_per_accelerator"]) for case in cases}
    errors = np.array([abs(row.predicted / published[row.id] - 1) for row in rows])
    value = quantile(errors, vote(rows), 0.5) if rows else math.nan
    return page.below(f"memory, where published ({len(rows)}): median", value, 8)


def _breakdown(library: Library) -> list[str]:
    case = next(case for case in load_cases("training") if case["id"] == special.DEEPSEEK_V3)
    ready = prepare([case], library, Counter())
    plan: TrainPlan | None = planned(ready[0]) if ready else None
    if plan is None or plan.step_time is None:
        return ["No prediction.", ""]
    step = plan.step_time.value
    parts = sorted(plan.breakdown.items(), key=lambda item: -item[1])
    rows = [(name, f"{seconds:.3f} s", f"{100 * seconds / step:.1f} %") for name, seconds in parts if seconds]
    return [f"Layout {plan.layout}.", "", *page.table(("part", "time", "share of the step"), rows)]
