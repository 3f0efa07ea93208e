"""The report's pictures as SVG: the joined loss, what reinforcement learning did, and both canaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tonnage.run.train.curve import smoothed

WIDTH, LEFT, RIGHT = 900, 66, 24
"""Size of a picture and room beside its panels [pixel]."""

COLOURS = ("#1f6feb", "#d1570b", "#1a7f37", "#8250df", "#57606a")
KILL, MOVE, GRID = "#cf222e", "#57606a", "#d8dee4"

COARSE = 10
"""Length of an axis from whole to whole number from which on its middle is whole too: of steps, tokens, minutes."""

Point = tuple[float, float]
Scale = Callable[[float], float]


class Panel:
    """A frame with axes in which lines and bars are drawn."""

    def __init__(self, title: str, box: tuple[float, float, float, float], x: Point, y: Point, unit: str = "") -> None:
        self.left, self.top, self.width, self.height = box
        self.first, self.last, self.low, self.high = *x, *y
        self.parts = [f'<text x="{self.left}" y="{self.top - 8}" font-weight="bold">{title}</text>']
        self._axes(unit)

    def x(self, value: float) -> float:
        """Place of a value from left to right."""
        return self.left + (value - self.first) / ((self.last - self.first) or 1) * self.width

    def y(self, value: float) -> float:
        """Place of a value from the bottom up."""
        return self.top + self.height - (value - self.low) / ((self.high - self.low) or 1) * self.height

    def _axes(self, unit: str) -> None:
        right = self.left + self.width
        for value in (self.low, middle(self.low, self.high), self.high):
            at = self.y(value)
            self.parts.append(f'<line x1="{self.left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}" stroke="{GRID}"/>')
            self.parts.append(f'<text x="{self.left - 6}" y="{at + 4:.1f}" text-anchor="end">{value:.3g}</text>')
        for value in (self.first, middle(self.first, self.last), self.last):
            at, below = self.x(value), self.top + self.height + 16
            self.parts.append(f'<text x="{at:.1f}" y="{below}" text-anchor="middle">{value:.4g}{unit}</text>')

    def line(self, points: Sequence[Point], colour: str, width: float = 2.0, opacity: float = 1.0) -> None:
        """A line through points."""
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}" '
            f'stroke-opacity="{opacity}"/>'
        )

    def bar(self, x: float, width: float, bottom: float, top: float, colour: str) -> None:
        """A bar from `bottom` to `top`."""
        size = self.y(bottom) - self.y(top)
        self.parts.append(
            f'<rect x="{self.x(x):.1f}" y="{self.y(top):.1f}" width="{self.x(x + width) - self.x(x) - 0.6:.1f}" '
            f'height="{size:.1f}" fill="{colour}"/>'
        )

    def mark(self, x: float, colour: str, text: str, row: int) -> None:
        """A line from top to bottom with a word beside it."""
        at, bottom = self.x(x), self.top + self.height
        late = at > self.left + 0.85 * self.width
        word = f'x="{at - 4:.1f}" text-anchor="end"' if late else f'x="{at + 4:.1f}"'
        self.parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{self.top}" y2="{bottom}" stroke="{colour}" '
            'stroke-dasharray="4 3"/>'
            f'<text {word} y="{self.top + 12 + 13 * row}" fill="{colour}" font-size="11">{text}</text>'
        )


def middle(low: float, high: float) -> float:
    """The middle of an axis: a whole number between whole ones that have room for it."""
    found = (low + high) / 2
    return float(int(found)) if low % 1 == high % 1 == 0 and high - low >= COARSE else found


def picture(height: float, parts: Sequence[str], legend: Sequence[tuple[str, str]]) -> str:
    """The whole SVG, with a legend above."""
    words, at = [], float(LEFT)
    for name, colour in legend:
        words.append(
            f'<rect x="{at}" y="12" width="12" height="12" fill="{colour}"/><text x="{at + 17}" y="22">{name}</text>'
        )
        at += 34 + 6.6 * len(name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}" viewBox="0 0 {WIDTH} {height:g}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        + "".join((*words, *parts))
        + "</svg>\n"
    )


def top_of(values: Sequence[float]) -> float:
    """A round end of an axis above all values."""
    most = max(values, default=1.0) or 1.0
    step = 10.0 ** len(str(int(most))) / 20 if most >= 1 else 0.05
    return step * -(-most // step)


# ---------------------------------------------------------------- training


def training(found: Mapping[str, Any]) -> str:
    """The loss of each seed's pretraining, joined over all its legs, with the kill and the moves marked."""
    height, parts = 170.0, []
    names = list(dict.fromkeys(row[1] for one in found["seeds"].values() for row in one["curve"]))
    for number, (seed, one) in enumerate(found["seeds"].items()):
        rows = [row for row in one["curve"] if row[2] == "pretrain"]
        box = (LEFT, 62 + number * (height + 56), WIDTH - LEFT - RIGHT, height)
        panel = Panel(f"seed {seed}: loss of pretraining [nat/token]", box, (rows[0][0], rows[-1][0]),
                      (0, top_of([row[3] for row in rows])))  # fmt: skip
        _joined(panel, rows, names)
        _marks(panel, one)
        parts += panel.parts
    whole = 62 + len(found["seeds"]) * (height + 56)
    return picture(whole, parts, [(name, COLOURS[index]) for index, name in enumerate(names)])


def _joined(panel: Panel, rows: Sequence[Sequence[Any]], names: Sequence[str]) -> None:
    """Single steps thin, their means over ten bold; each leg in its colour, joined to the one before."""
    bold = smoothed([row[3] for row in rows])
    begin = 0
    for index in range(1, len(rows) + 1):
        if index == len(rows) or rows[index][1] != rows[begin][1]:
            colour, back = COLOURS[names.index(rows[begin][1])], max(0, begin - 1)
            panel.line([(row[0], row[3]) for row in rows[back:index]], colour, 1.0, 0.35)
            panel.line([(rows[at][0], bold[at]) for at in range(back, index)], colour)
            begin = index


def _marks(panel: Panel, one: Mapping[str, Any]) -> None:
    panel.mark(one["killed_at"], KILL, "kill -9", 0)
    for row, event in enumerate(event for event in one["beginnings"] if event["event"] == "switch"):
        many = "1 process" if event["nproc"] == 1 else f"{event['nproc']} processes"
        panel.mark(event["step"], MOVE, f"{many}, {event['precision']}", 1 + row)
    for step in one["mixed_from"]:
        panel.mark(step, COLOURS[3], "data turn mixed", 0)


def learning(found: Mapping[str, Any]) -> str:
    """Reward and length of the completions over reinforcement learning, a line for each seed."""
    parts, height, names = [], 190.0, []
    for number, (column, title) in enumerate(((4, "mean reward"), (5, "length of a completion [tokens]"))):
        lines = {
            seed: [(row[0], row[column]) for row in one["curve"] if row[2] == "grpo"]
            for seed, one in found["seeds"].items()
        }
        every = [point for points in lines.values() for point in points]
        high = 1.0 if column == 4 else top_of([value for _, value in every])
        box = (LEFT, 62 + number * (height + 56), WIDTH - LEFT - RIGHT, height)
        panel = Panel(f"{title}, by step", box, (every[0][0], every[-1][0]), (0, high))
        for index, points in enumerate(lines.values()):
            panel.line(points, COLOURS[index], 1.0, 0.35)
            bold = smoothed([value for _, value in points], 5)
            panel.line([(step, value) for (step, _), value in zip(points, bold, strict=True)], COLOURS[index])
        parts += panel.parts
        names = [(f"seed {seed}", COLOURS[index]) for index, seed in enumerate(lines)]
    return picture(62 + 2 * (height + 56), parts, names)


# ---------------------------------------------------------------- canaries

R1, R2, FAILED, HIDDEN = "#8c959f", "#1f6feb", "#cf222e", "#d1570b"


def canaries(one: Mapping[str, Any]) -> str:
    """The bad release on the left, the good one on the right: R2's share, answers, what failed and who saw it."""
    parts: list[str] = []
    width = (WIDTH - 2 * LEFT - RIGHT) / 2
    for number, (key, title) in enumerate((("bad", "bad release"), ("canary", "canary"))):
        part = one[key]
        left = LEFT + number * (width + LEFT)
        span = (part["seen"][0][0], part["seen"][-1][0])
        parts += _share(part, title, (left, 62, width, 150), span)
        parts += _answers(part, (left, 270, width, 190), span)
    legend = [("answers by R1", R1), ("by R2", R2), ("attempts that failed, so far (tried again elsewhere)", HIDDEN),
              ("failed for a client", FAILED)]  # fmt: skip
    return picture(500, parts, legend)


def _share(part: Mapping[str, Any], title: str, box: tuple[float, float, float, float], span: Point) -> list[str]:
    panel = Panel(f"{title}: share of R2 [%]", box, span, (0, 100), " s")
    steps: list[Point] = []
    for at, share, _ in part["seen"]:
        steps += [(at, steps[-1][1] if steps else 100 * share), (at, 100 * share)]
    panel.line(steps, R2)
    panel.mark(0, MOVE, "begins", 0)
    panel.mark(part["took"], KILL if part["state"] == "returned" else COLOURS[2], part["state"], 1)
    return panel.parts


def _answers(part: Mapping[str, Any], box: tuple[float, float, float, float], span: Point) -> list[str]:
    rows = [row for row in part["bins"] if span[0] - 0.5 <= row[0] < span[1]]
    high = top_of([*(sum(row[1:]) for row in rows), part["hidden"]])
    panel = Panel("requests each half second; failures", box, span, (0, high), " s")
    for at, old, new, failed in rows:
        place = max(at, span[0])
        wide = min(at + 0.5, span[1]) - place
        panel.bar(place, wide, 0, old, R1)
        panel.bar(place, wide, old, old + new, R2)
        panel.bar(place, wide, old + new, old + new + failed, FAILED)
    panel.line([(at, hidden) for at, _, hidden in part["seen"]], HIDDEN)
    return panel.parts
