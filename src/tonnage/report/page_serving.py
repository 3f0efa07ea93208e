"""The serving half of docs/accuracy.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tonnage.report import page
from tonnage.report.page import Line
from tonnage.truth import special
from tonnage.truth.board import Board, Made, shown
from tonnage.truth.cases import load_cases
from tonnage.truth.predict_serving import predict
from tonnage.truth.score import Prediction, summarise
from tonnage.truth.scored import RATE, TPOT, TTFT
from tonnage.truth.shapes import Library

Peer = Mapping[str, tuple[float, float]]
TAGS = (("chip", "chip"), ("family", "family"), ("engine", "engine"), ("mode", "mode"), ("kind", "kind"))


def serving_page(board: Board, library: Library, peer: Peer | None = None) -> list[str]:
    """Lines of the page; peer: AIConfigurator's (TPOT, TTFT) by case id, where it was run."""
    label = board.label
    cells, wide, cloud = (_extra(ids, library) for ids in (None, special.WIDE_EP, special.CLOUDMATRIX))
    lines = ["## Serving", "", page.votes(board), ""]
    lines += page.figures_table([*_levels(board), *_paired(board, peer or {}), *_tables(board, cells, wide, cloud)])
    for metric in (RATE, TPOT, TTFT):
        part, name = board.of(metric), page.NAMES[metric]
        lines += [f"### {name} by source", "", *page.source_table(part)]
        for tag, title in TAGS:
            lines += [f"### {name} by {title} ({label})", "", *page.tag_table(part, tag, title)]
    lines += ["### TensorRT-LLM, 23 cells", "", *page.rows_table(cells)]
    lines += ["### Wide expert parallelism", "", *page.rows_table(wide)]
    lines += ["### CloudMatrix384", "", *page.rows_table(cloud)]
    lines += ["### H20", "", *page.rows_table([row for row in board.rows if row.tags["chip"] == "h20-96gb"])]
    lines += [f"### Largest errors of the output rate ({label})", "", *page.worst_table(board.of(RATE))]
    return [*lines, "### Not predicted", "", *page.defects(board.defects), *page.skipped_table(board.skipped)]


def _levels(board: Board) -> list[Line]:
    lines, label = [], board.label
    bars = {RATE: ((15, 50), (11, 32), (16, 50)), TPOT: ((18, 60), (13, 40), (20, 60))}
    for metric, (every, inferencex, chips) in bars.items():
        part, name = board.of(metric), page.NAMES[metric]
        lines.append(page.pair(f"{name}, {label}, all scored", every, *part.fair))
        if part.left_out:
            lines.append(page.pair(f"{name}, in sample, all scored", every, part.rows, part.null))
        theirs = part.only(lambda row: row.group == "inferencex")
        lines.append(page.pair(f"{name}, InferenceX, {label}", inferencex, *theirs.fair))
        lines.append(_chips(f"{name}, chip left out, median over chips", chips, part))
    lines.append(page.pair(f"TTFT, {label}, all scored", (25, 90), *board.of(TTFT).fair))
    lines += _kinds(board)
    ids = {case["id"] for case in load_cases("silicon")}
    silicon = board.only(lambda row: row.id in ids)
    for metric, bar in ((TPOT, (11, 35)), (TTFT, (22, 70))):
        part = silicon.of(metric)
        lines.append(page.pair(f"silicon cases, {page.NAMES[metric]}, {label}", bar, *part.fair))
    lines += [page.beats(board.of(metric)) for metric in (RATE, TPOT)]
    rates = board.of(RATE)
    anchored = special.anchored_rows(rates.fair[0])
    lines.append(page.pair("anchored on three points of a sweep, the rest of it: output rate", (8, 30), anchored))
    for metric in (RATE, TPOT, TTFT):
        part = board.of(metric)
        covered = summarise(part.fair[0]).coverage_90
        lines.append(page.within(f"90 % intervals cover, {page.NAMES[metric]} ({label})", covered, 85, 95))
    return lines


def _kinds(board: Board) -> list[Line]:
    """Whole kinds of runs left out of the fit, for left-out sources of one kind flatter."""
    names = {"stack": "default stacks, that kind left out", "engine": "engine left out", "year": "year left out"}
    lines = []
    for kind, said in names.items():
        rows = [row for row in board.kinds.get(kind, ()) if row.metric == RATE]
        if rows:
            plain = Line(f"output rate, {said} ({len(rows)})", "-", shown(summarise(rows)))
            lines.append(page.pair(f"output rate, {said}", (25, 70), rows) if kind == "stack" else plain)
            lines.append(page.within(f"90 % intervals cover, {said}", summarise(rows).coverage_90, 85, 95))
    return lines


def _paired(board: Board, peer: Peer) -> list[Line]:
    """Ours and AIConfigurator's on the cases that it answers; met when ours reach the bar and are better."""
    lines = []
    for place, (metric, bar) in enumerate(((TPOT, (11, 35)), (TTFT, (22, 70)))):
        ours = [row for row in board.of(metric).fair[0] if row.id in peer]
        theirs = [row.scaled(peer[row.id][place]) for row in ours]
        if not ours:
            continue
        line = page.pair(f"paired with AIConfigurator 0.12, {page.NAMES[metric]}, {board.label}", bar, ours)
        mine, other = summarise(ours), summarise(theirs)
        better = (mine.median_abs_error or 0.0) < (other.median_abs_error or 0.0)
        lines.append(replace(line, null=f"AIC {shown(other)}", met=bool(line.met) and better))
    return lines


def _chips(what: str, bar: tuple[float, float], part: Board) -> Line:
    if not part.chip_out:
        return Line(what, f"{bar[0]:g} / {bar[1]:g} %", "no fit keeps its folds yet")
    ours, null = (
        special.median_over(rows, lambda row: row.tags["chip"]) for rows in (part.chip_out, part.null_chip_out)
    )
    said = [f"{100 * median:.1f} / {100 * p90:.0f} %" for median, p90 in (ours, null)]
    met = 100 * ours[0] <= bar[0] and 100 * ours[1] <= bar[1]
    return Line(what, f"{bar[0]:g} / {bar[1]:g} %", said[0], said[1], met)


def _tables(board: Board, cells: list[Prediction], wide: list[Prediction], cloud: list[Prediction]) -> list[Line]:
    hopper = [row for row in cells if row.tags["kind"] == "MoE" and row.tags["chip"] == "h200-sxm"]
    mean, worst = special.mean_and_worst(cells)
    lines = [page.below("TensorRT-LLM table, 23 cells: mean", mean, 8)]
    lines.append(page.below("... MoE on H200, 8 cells: mean", special.mean_and_worst(hopper)[0], 12))
    lines.append(page.below("... worst", worst, 25))
    lines.append(page.below("DeepSeek-V3/R1 wide EP: mean", special.mean_and_worst(wide)[0], 12))
    for chip, title in (("h20-96gb", "H20"),):
        here = [row for row in board.rows if row.tags["chip"] == chip]
        out = [row for row in board.chip_out if row.tags["chip"] == chip]
        lines.append(page.pair(f"{title}, chip left out", (25, 50), out))
        lines.append(page.pair(f"{title}, with other {title} cases in the fit", (15, 35), here))
    ascend = board.of(RATE).only(lambda row: row.tags["chip"].startswith("ascend"))
    for speculation, bar in (("off", (20, 45)), ("on", (30, 80))):
        rows, null = ([r for r in side if r.tags["speculation"] == speculation] for side in ascend.fair)
        lines.append(page.pair(f"Ascend 910B/910C, speculation {speculation}, output rate", bar, rows, null))
    lines.append(_marks([row for row in ascend.fair[0] if row.tags["figure"] == "pass mark"]))
    lines.append(page.below("CloudMatrix384 prefill and decode: mean", special.mean_and_worst(cloud)[0], 15))
    return lines


PASSES = 0.97
"""Share of its mark from which a test of Ascend's engines passes (0.95 to 0.98 in their files)."""


def _marks(rows: Sequence[Prediction]) -> Line:
    """Pass marks bound what is reached from below: how many of them a prediction meets."""
    met = sum(row.predicted >= PASSES * row.published for row in rows)
    return Line("Ascend's pass marks that predictions meet, source left out", "-", f"{met} of {len(rows)}")


def _extra(ids: Sequence[str] | None, library: Library) -> list[Prediction]:
    """Cases of these ids, scored or not; the TensorRT-LLM cells where None. Rates where there is one."""
    cases = load_cases("serving")
    chosen = special.trtllm_cells(cases) if ids is None else [case for case in cases if case["id"] in ids]
    made: Made = predict(chosen, library, Counter())
    return special.picked([row for row in made.rows if row.metric not in (TPOT, TTFT)], ids or special.TRTLLM_CELLS)
