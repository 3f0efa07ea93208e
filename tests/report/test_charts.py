"""Charts: one Vega-Lite value each, complete, that Vega-Lite takes; legible in both themes; of what is there."""

import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import vl_convert

from tonnage.cli.answering import answer
from tonnage.report.charts import DRAWN, Chart, charts_of, theme, themed
from tonnage.report.charts.bars import BarRow, bars
from tonnage.report.charts.chart import kinds
from tonnage.report.charts.dates import changed
from tonnage.report.charts.points import KINDS, MOST, Dot, few
from tonnage.report.charts.reading import at
from tonnage.report.charts.themes import COLOURS, Theme

HERE = Path(__file__).parent
THEMES: tuple[Theme, ...] = ("light", "dark")
VERSION = "6.4"
"""Of Vega-Lite, as it is vendored."""

ASKED = {
    "fit": ["fit", "qwen3-8b", "--on", "1xh100"],
    "fit, too much": ["fit", "deepseek-r1", "--on", "1xh200"],
    "serve": ["serve", "qwen3-8b", "--on", "2xh100", "--isl", "1k", "--osl", "256"],
    "train": ["train", "qwen3-8b", "--on", "16xh100", "--tokens", "1B"],
    "launch": ["launch", str(HERE / "small.yaml"), "--draws", "40"],
    "chips": ["show", "chips"],
    "one chip": ["show", "h100"],
    "prices": ["show", "prices"],
    "rules": ["show", "rules"],
    "models": ["show", "models"],
    "accuracy": ["accuracy", "durations"],
    "capacity": ["accuracy", "capacity"],
}
NAMES = {
    "fit": ["memory", "cache"],
    "fit, too much": ["memory"],
    "serve": ["frontier", "memory", "breakdown"],
    "train": ["breakdown", "memory", "alternatives"],
    "launch": ["timeline", "dates", "tornado", "what-ifs", "in-the-way", "cost"],
    "chips": ["chips"],
    "one chip": ["prices"],
    "prices": ["prices"],
    "rules": ["rules"],
    "models": ["models"],
    "accuracy": ["predicted-accelerator-hours", "error-by-source", "error-by-chip", "intervals"],
    "capacity": ["capacity"],
    "simulate": ["waits", "shares"],
    "compare": ["differences"],
    "lawful": ["training", "serving"],
    "qualify": ["gates", "limits"],
    "ledger errors": ["readings", "errors"],
    "ledger show": ["measured"],
    "ledger list": ["plans"],
}

SAVED: dict[str, dict[str, object]] = {
    "simulate": {
        "command": "simulate",
        "ttft": {"p50": 0.04, "p90": 0.05, "p95": 0.06, "p99": 0.07},
        "e2e": {"p50": 2.3, "p90": 2.4, "p95": 2.5, "p99": None},
        "utilisation": 0.9,
    },
    "compare": {
        "command": "compare",
        "differences": [
            {"path": "ttft", "first": 1.0, "second": 2.0, "ratio": 2.0},
            {"path": "inputs.tpot", "first": "50ms", "second": "40ms", "ratio": None},
        ],
    },
    "lawful": {
        "command": "lawful",
        "chips": [
            {
                "title": "A",
                "status": "free",
                "tokens_per_second_per_accelerator": 10.0,
                "requests_per_second_per_accelerator": 1.0,
            },
            {"title": "B", "status": "licence", "tokens_per_second_per_accelerator": None},
        ],
    },
    "qualify": {
        "command": "qualify",
        "verdict": {
            "gates": [
                {"name": "copy", "state": "pass", "measured": 1.0, "limit": 2.0, "unit": "%", "why": ""},
                {"name": "sum", "state": "fail", "measured": 900.0, "limit": 2.0, "unit": "%", "why": "far off"},
                {"name": "soak", "state": "not tested", "measured": None, "limit": None, "unit": "", "why": ""},
            ]
        },
    },
    "ledger errors": {
        "command": "ledger",
        "rows": [
            {"at": f"2026-01-0{day}T00:00:00", "metric": "mfu", "predicted": 0.4, "measured": 0.4 + day / 100}
            for day in (1, 2, 3)
        ],
        "groups": {"mfu": {"mfu": {"median_abs_error": 0.02, "p90_abs_error": 0.1}}},
    },
    "ledger show": {
        "command": "ledger",
        "predicted": {"mfu": {"value": 0.4}},
        "rows": [{"at": "2026-01-01T00:00:00", "run": "a", "values": {"mfu": 0.41, "loss": 2.0}}],
    },
    "ledger list": {"command": "ledger", "plans": [{"id": "0123456789", "of": "fit", "model": "m", "measured": 3}]},
}
"""Answers as they are saved, with what the charts take, of verbs whose answers take long to come by."""


@pytest.fixture(scope="module")
def replies() -> dict[str, dict[str, object]]:
    """An answer of each verb, asked once."""
    found = dict(SAVED)
    for name, argv in ASKED.items():
        made = answer(argv)
        assert made["code"] in (0, 1), made["errors"]
        assert isinstance(made["reply"], dict)
        found[name] = made["reply"]
    found["rules"]["rules"] = found["rules"]["rules"][:9]  # type: ignore[index]
    return found


@pytest.mark.parametrize("case", NAMES)
def test_the_charts_of_a_verb(case: str, replies: dict[str, dict[str, object]]) -> None:
    made = charts_of(replies[case])
    assert [chart.name for chart in made] == NAMES[case]
    for chart in made:
        assert chart.title and chart.text.endswith(".") and "None" not in chart.text
        assert chart.spec["description"] == chart.text
        assert json.loads(json.dumps(chart.spec, allow_nan=False)) == chart.spec
        assert chart.data()


@pytest.mark.parametrize("case", NAMES)
def test_vega_lite_takes_every_chart_in_both_themes(case: str, replies: dict[str, dict[str, object]]) -> None:
    for chart, name in itertools.product(charts_of(replies[case]), THEMES):
        drawn = vl_convert.vegalite_to_svg(themed(chart, name, 400), vl_version=VERSION)
        assert COLOURS[name].ground in drawn
        assert drawn.count("<path") + drawn.count("<text") > 8
        assert "NaN" not in drawn and "undefined" not in drawn


def _chart(case: str, name: str, replies: dict[str, dict[str, object]]) -> Chart:
    return next(chart for chart in charts_of(replies[case]) if chart.name == name)


def test_the_memory_bar_stacks_to_the_whole_and_says_what_is_free(replies: dict[str, dict[str, object]]) -> None:
    held = replies["fit"]["memory"]
    assert isinstance(held, Mapping)
    rows = {str(row["label"]): row for row in _chart("fit", "memory", replies).data() if "from" in row}
    assert rows["together"]["to"] == pytest.approx(held["total"] / 1e9)
    assert rows["buffers"]["to"] == pytest.approx(rows["together"]["to"])
    assert rows["free"]["to"] == pytest.approx(held["capacity"] / 1e9)


def test_too_much_is_said_in_words(replies: dict[str, dict[str, object]]) -> None:
    (row,) = [row for row in _chart("fit, too much", "memory", replies).data() if row.get("style") == "alert"]
    assert str(row["shown"]).endswith("too much")


def test_the_frontier_has_the_chosen_layout_once_and_tells_layouts(replies: dict[str, dict[str, object]]) -> None:
    rows = [row for row in _chart("serve", "frontier", replies).data() if "words" not in row]
    assert len(rows) == len(replies["serve"]["frontier"])  # type: ignore[arg-type]
    (chosen,) = [row for row in rows if row["chosen"]]
    assert chosen["layout"] == replies["serve"]["layout_text"]


def test_the_timeline_shows_lots_rules_and_dates(replies: dict[str, dict[str, object]]) -> None:
    rows = _chart("launch", "timeline", replies).data()
    words = {str(row["words"]) for row in rows if "words" in row}
    assert "own: 64 accelerators" in words
    assert "2025-04-09 no more h20-96gb" in words
    assert any(word.startswith("P10 ") for word in words)
    for row in rows:
        if "bottom" in row:
            assert float(str(row["top"])) <= float(str(row["bottom"])) and str(row["from"]) <= str(row["to"])


def test_the_chance_by_date_never_falls_and_ends_at_that_by_the_horizon(replies: dict[str, dict[str, object]]) -> None:
    rows = [row for row in _chart("launch", "dates", replies).data() if "by" in row]
    shares = [float(str(row["p"])) for row in rows]
    assert shares == sorted(shares) and len(shares) > 10
    launch = replies["launch"]["launch"]
    assert isinstance(launch, Mapping) and shares[-1] == pytest.approx(launch["probability_by_horizon"])
    without = {key: value for key, value in replies["launch"].items() if key != "plan"}
    fewer = next(chart for chart in charts_of(without) if chart.name == "dates")
    assert 1 < len(fewer.data()) < len(rows)


def _behind(reply: dict[str, object]) -> dict[str, object]:
    """The same launch where P50 and P90 lie behind the horizon."""
    launch = {"p10": "2025-06-01", "p50": None, "p90": None, "probability_by_horizon": 0.46, "probability_never": 0.45}
    moved = ((0.6, "one"), (0.2, "two"), (0.461, "three"))
    changes = [{"name": name, "shift_days": None, "probability_by_horizon": chance} for chance, name in moved]
    return {**reply, "launch": launch, "alternatives": changes, "plan": {"days": [10.0] * 46 + ["inf"] * 54}}


def test_where_p50_lies_behind_the_horizon_the_chance_says_what_moves(replies: dict[str, dict[str, object]]) -> None:
    made = {chart.name: chart for chart in charts_of(_behind(replies["launch"]))}
    assert made["dates"].text.endswith("46 % of the draws have launched by 2026-05-31, 9 % later, 45 % never.")
    assert "46 % by then, 9 % later, 45 % never" in [row.get("words") for row in made["dates"].data()]
    what_ifs = made["what-ifs"]
    assert what_ifs.text == "two: 20 % in time, in place of 46 %; one: 60 % in time, in place of 46 %."
    assert [row["name"] for row in what_ifs.data() if "shown" in row] == ["as planned", "two", "one", "three"]


def test_a_launch_is_seen_beside_the_same_before_a_change(replies: dict[str, dict[str, object]]) -> None:
    now, before = ([chart.to_json() for chart in charts_of(reply)] for reply in (replies["launch"], {}))
    assert changed(now, before) == now
    before = [chart.to_json() for chart in charts_of(_behind(replies["launch"]))]
    made = changed(now, before)
    assert [chart["name"] for chart in made] == NAMES["launch"]
    fan = next(chart for chart in made if chart["name"] == "dates")
    assert "Before, dashed: P10 2025-06-01; 46 %" in str(fan["text"])
    shown = Chart("dates", str(fan["title"]), str(fan["text"]), fan["spec"])  # type: ignore[arg-type]
    rows = [row for row in shown.data() if str(row.get("by")).startswith("before: ")]
    assert rows[-1]["p"] == 0.46 and len(rows) > 20
    assert "before: 46 %" in vl_convert.vegalite_to_svg(themed(shown, "light", 640), vl_version=VERSION)


def test_names_are_made_safe_and_kept_out_of_expressions(replies: dict[str, dict[str, object]]) -> None:
    nasty = "<script>alert(1)</script>'\"\\ \x1b[2J\u202e"
    text = json.dumps(replies["launch"]).replace('"own"', json.dumps(nasty))
    made = charts_of(json.loads(text))
    assert [chart.name for chart in made] == NAMES["launch"]
    for chart in made:
        shown = json.dumps(chart.spec, ensure_ascii=False)
        assert "\x1b" not in shown and "\u202e" not in shown
        assert all("script" not in expression for expression in _expressions(chart.spec))
        assert "<script>" not in vl_convert.vegalite_to_svg(themed(chart, "light", 400), vl_version=VERSION)


def _expressions(value: object) -> list[str]:
    """Everything in a specification that Vega would compute."""
    if isinstance(value, Mapping):
        own = [str(item) for key, item in value.items() if key in ("expr", "labelExpr", "calculate", "test")]
        own += [str(value["filter"])] if isinstance(value.get("filter"), str) else []
        return own + [found for key, item in value.items() if key != "values" for found in _expressions(item)]
    return [found for item in value for found in _expressions(item)] if isinstance(value, list) else []


@pytest.mark.parametrize("command", [*DRAWN, "no such", "sources"])
def test_what_is_not_there_or_of_another_kind_is_not_drawn(command: str) -> None:
    assert charts_of({"command": command}) == ()
    keys = ("memory", "frontier", "breakdown", "curve", "alternatives", "calendar", "launch", "cost", "binds", "plan")
    keys += ("rows", "by", "groups", "chips", "prices", "rules", "models", "differences", "verdict", "ttft", "plans")
    for odd in (None, 3, "x", [], [3], {"a": "b"}, [{"by": "x"}], [None]):
        body = {"command": command, "start": "2025-01-01", "horizon": "2025-09-01", **dict.fromkeys(keys, odd)}
        assert charts_of(body) == ()


def test_no_file_of_the_charts_names_a_colour() -> None:
    folder = Path(__file__).parents[2] / "src" / "tonnage" / "report" / "charts"
    named = {path.name for path in folder.glob("*.py") if '"#' in path.read_text(encoding="utf-8")}
    assert named == {"themes.py"}


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(first: str, second: str) -> float:
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", THEMES)
def test_words_and_marks_stand_out_from_their_ground(name: Theme) -> None:
    colours = COLOURS[name]
    for words in (colours.text, colours.quiet, colours.limit, colours.good):
        assert _contrast(words, colours.ground) >= 4.5
    for mark in (colours.mark, *colours.many):
        assert _contrast(mark, colours.ground) >= 4.5, "words in the colour of the ground stand on it"
    assert theme(name)["background"] == colours.ground
    assert len(set(colours.many)) == len(colours.many) >= 8


def test_a_gate_says_what_it_came_to_in_words_and_one_far_off_leaves_the_others_legible() -> None:
    rows = [row for row in charts_of(SAVED["qualify"])[1].data() if "from" in row]
    assert [(row["label"], row["to"]) for row in rows] == [("+ copy", 0.5), ("x sum", 3.0)]


def test_many_points_are_thinned_and_rare_kinds_are_one() -> None:
    points = [Dot(1.0 + i, 1.0, f"kind {i % 9}" if i > 50 else "rare", f"{i}") for i in range(5000)]
    kept = few(points)
    assert 500 < len(kept) <= MOST
    assert len({point.kind for point in kept}) == KINDS + 1 and {"other"} < {point.kind for point in kept}
    assert few(points[:3]) == points[:3]


def test_what_is_counted_has_whole_ticks(replies: dict[str, dict[str, object]]) -> None:
    for name in ("tornado", "in-the-way"):
        axes = [at(layer, "encoding", "x", "axis") for layer in _layers(_chart("launch", name, replies))]
        assert {"tickMinStep", "format"} <= {key for axis in axes if isinstance(axis, Mapping) for key in axis}
    svg = vl_convert.vegalite_to_svg(
        themed(bars("n", "t", "s", [BarRow("a", 0, 1, "1")]), "light", 400), vl_version=VERSION
    )
    assert ">0</text>" in svg and ">1</text>" in svg and "0.5" not in re.findall(r">([\d.]+)</text>", svg)


def _layers(made: Chart) -> list[Mapping[str, object]]:
    found = made.spec["layer"]
    assert isinstance(found, list)
    return found


def test_a_legend_has_no_more_columns_than_have_room() -> None:
    spec = kinds("kind", ["b200-sxm", "h100-sxm-hbm2e-500w"])
    pitch = int(re.findall(r"width / (\d+)", json.dumps(spec))[0])
    assert pitch >= 6.5 * len("h100-sxm-hbm2e-500w") + 28
