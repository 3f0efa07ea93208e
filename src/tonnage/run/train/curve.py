"""The loss of a run as one curve over all its devices, and the reward beside it: an SVG drawn from its events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from tonnage.printable import one_line
from tonnage.run.train import journal

WIDTH, HEIGHT, LEFT, MARGIN, GAP = 860, 240, 62, 36, 46
"""Size of a panel, room left and right of it for labels, and between panels [pixel]."""

COLOURS = ("#1f6feb", "#d1570b", "#1a7f37", "#8250df", "#bf3989", "#57606a")
SMOOTH = 10
"""Steps over which the bold line is averaged."""

BEGINNINGS = ("start", "resume", "switch")

Points = list[tuple[int, float]]


def segments(folder: Path, key: str, stages: Sequence[str]) -> list[tuple[str, Points]]:
    """(device, processes and precision; its steps with a value) by step; the last line of a step counts."""
    label, found = "", dict[int, tuple[str, float]]()
    for event in journal.events(folder):
        if event.get("event") in BEGINNINGS:
            many = f" x {event['nproc']}" if event["nproc"] > 1 else ""
            label = escape(one_line(f"{event['device']}{many} {event['precision']}", 60))
        elif event.get("event") == "step" and event.get("stage") in stages and event.get(key) is not None:
            found[event["step"]] = (label, float(event[key]))
    parts: list[tuple[str, Points]] = []
    for step, (name, value) in sorted(found.items()):
        if not parts or parts[-1][0] != name:
            parts.append((name, []))
        parts[-1][1].append((step, value))
    return parts


def smoothed(values: Sequence[float], over: int = SMOOTH) -> list[float]:
    """Means of the last `over` values."""
    means = []
    for index in range(len(values)):
        last = values[max(0, index + 1 - over) : index + 1]
        means.append(sum(last) / len(last))
    return means


def svg(folder: Path) -> str:
    """The picture: loss of pretraining, then reward and length of reasoning where there was reinforcement learning."""
    panels = [("loss", "pretrain"), ("reward", "grpo"), ("length", "grpo")]
    titles = {"loss": "loss [nat/token]", "reward": "mean reward", "length": "length of a completion [tokens]"}
    drawn = [(titles[key], segments(folder, key, (stage,))) for key, stage in panels]
    drawn = [(title, parts) for title, parts in drawn if parts]
    whole = (HEIGHT + GAP) * max(1, len(drawn)) + GAP
    body = [_panel(title, parts, GAP + at * (HEIGHT + GAP)) for at, (title, parts) in enumerate(drawn)]
    names = list(dict.fromkeys(name for _, parts in drawn for name, _ in parts))
    legend = [
        f'<text x="{LEFT + 190 * at}" y="20" fill="{_colour(name, names)}">&#9632; {name}</text>'
        for at, name in enumerate(names)
    ]
    coloured = "".join(body)
    for name in names:
        coloured = coloured.replace(f"colour-of:{name}:", _colour(name, names))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{whole}" viewBox="0 0 {WIDTH} {whole}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        + "".join(legend)
        + coloured
        + "</svg>\n"
    )


def _colour(name: str, names: Sequence[str]) -> str:
    return COLOURS[names.index(name) % len(COLOURS)]


def _panel(title: str, parts: list[tuple[str, Points]], top: int) -> str:
    points = [point for _, part in parts for point in part]
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)
    low, high = min(0.0, *(value for _, value in points)), max(value for _, value in points) or 1.0

    def x(step: int) -> float:
        return LEFT + (step - first) / (last - first) * (WIDTH - LEFT - MARGIN)

    def y(value: float) -> float:
        return top + HEIGHT - 24 - (value - low) / ((high - low) or 1.0) * (HEIGHT - 44)

    means = iter(smoothed([value for _, value in points]))
    lines = [f'<text x="{LEFT}" y="{top + 8}" font-weight="bold">{title}</text>']
    for value in (low, (low + high) / 2, high):
        lines.append(
            f'<line x1="{LEFT}" x2="{WIDTH - MARGIN}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#d0d7de"/>'
        )
        lines.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    lines += [
        f'<text x="{x(step):.1f}" y="{top + HEIGHT - 6}" text-anchor="middle">step {step}</text>'
        for step in (first, (first + last) // 2, last)
    ]
    joined: list[tuple[int, float]] = []
    for number, (name, part) in enumerate(parts):
        colour = f"colour-of:{name}:"
        bold = [(step, next(means)) for step, _ in part]
        lines.append(_line([(x(step), y(value)) for step, value in part], colour, 0.3, 1.0))
        lines.append(_line([(x(step), y(value)) for step, value in (*joined, *bold)], colour, 1.0, 2.0))
        joined = bold[-1:]
        if number:
            at = x(part[0][0])
            lines.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top + 16}" y2="{top + HEIGHT - 24}" '
                         'stroke="#57606a" stroke-dasharray="3 3"/>')  # fmt: skip
    return "".join(lines)


def _line(points: Iterable[tuple[float, float]], colour: str, opacity: float, width: float) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-opacity="{opacity}" stroke-width="{width}"/>'
    )
