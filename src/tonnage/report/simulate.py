"""What `tonnage simulate` says: whether the limits are kept, then times, throughput, use, cost; and each request."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np

from tonnage import units
from tonnage.errors import Bind, Outcome, infeasible
from tonnage.report.answer import Answer, Table
from tonnage.simulate.measure import (
    PercentileLimit,
    ServiceFigures,
    by_model,
    by_priority,
    each,
    figures,
    good,
    reached,
    summary,
)

if TYPE_CHECKING:
    from tonnage.ask.simulated import SimulatedService
    from tonnage.simulate.prepare import Happened
    from tonnage.values import Plain

PERCENTILES = ("p50", "p90", "p95", "p99", "mean")

NAMES = {
    "ttft": "time to first token",
    "tpot": "time per output token after it",
    "e2e": "whole request",
    "queueing": "wait before the first step",
}

DEFINITIONS = (
    "ttft: from arrival to the first token, the wait included; tpot: (last token - first token) / (tokens out - 1)",
    "goodput: requests per second that keep every limit themselves, of all that came",
    "duration: from the first arrival to the end of the last request",
    "use: share of the time that replicas are at work; kv: mean share of their cache that requests hold",
)


def broken(found: SimulatedService) -> list[tuple[PercentileLimit, float, str]]:
    """Limits that are not kept, with what was reached [s] and of which model, where there are several."""
    lost = []
    for part, name in _models(found):
        times = each(part)
        held = [(one, reached(times[one.what], one)) for one in found.limits]
        lost += [(one, value, name) for one, value in held if value > one.limit]
    return lost


def _models(found: SimulatedService) -> list[tuple[Happened, str]]:
    """What happened by model, with its name; without one where it is alone."""
    if len(found.plans) == 1:
        return [(found.run, "")]
    names = [plan.job.arch.name for plan in found.plans]
    if len(set(names)) < len(names):
        names = [f"{name} ({n})" for n, name in enumerate(names, 1)]
    present = np.unique(found.run.load.model)
    return [(part, names[int(m)]) for part, m in zip(by_model(found.run), present, strict=True)]


def outcome(found: SimulatedService) -> Outcome:
    """Feasible, or which limit is broken, or that requests fit nowhere."""
    run = found.run
    if run.refused.all() and run.refused.size:
        return infeasible(Bind("memory", "no request fits into the cache of a replica"))
    if found.searched == "rate" and found.value is None:
        return infeasible(Bind("slo", "no rate keeps the limits, however low"))
    if found.searched == "replicas" and found.value is None:
        return infeasible(Bind("slo", "no number of replicas that was tried keeps the limits"))
    binds = [
        Bind(
            one.what,
            f"{one.name}{f' of {name}' if name else ''} is {units.show_time(value)}, over the limit of "
            f"{units.show_time(one.limit)}",
            value / one.limit if np.isfinite(value) else None,
            "fewer requests, or more replicas (`replicas` auto finds how many)",
        )
        for one, value, name in broken(found)
    ]
    return infeasible(*binds) if binds else Outcome()


def body_of(found: SimulatedService) -> dict[str, Plain]:
    """Keys of the JSON answer, base units."""
    made = figures(found.run, found.service, found.limits)
    limits, given = found.service.limits, found.service.deployment
    body: dict[str, Plain] = {
        "requests": made.requests,
        "duration": made.duration,
        **{name: dict(made.times[name]) for name in NAMES},
        "goodput": made.goodput,
        "within_limits": made.kept,
        "requests_per_second": made.requests_per_second,
        "output_tokens_per_second": made.output,
        "input_tokens_per_second": made.input,
        "steps": made.steps,
        "preemptions": made.preemptions,
        "unfinished": made.unfinished,
        "refused": made.refused,
        "utilisation": made.use,
        "kv_occupancy": made.kv,
        "hit_rate": made.hit,
        "cost": made.cost,
        "cost_per_million_output_tokens": made.per_million,
        "partial": made.partial,
        "workload": found.run.load.name,
        "notes": list(found.run.load.notes),
        "engine_limits": {
            "sequences": limits.sequences,
            "tokens": limits.tokens,
            "blocks": limits.blocks,
            "block": limits.block,
            "mixed": limits.mixed,
        },
        "replicas": given.replicas,
        "prefill_replicas": given.prefill,
        "mean_replicas": made.replicas,
        "limits": [{"what": one.what, "percentile": one.key, "limit": one.limit} for one in found.limits],
        "searched": found.searched,
        "found": found.value,
        "tries": found.tries,
        "definitions": list(DEFINITIONS),
    }
    if len(found.plans) > 1:
        body["models"] = [_model_body(part, name, found.limits) for part, name in _models(found)]
    parts = by_priority(found.run)
    if len(parts) > 1:
        body["priorities"] = [{"priority": n, **_part_body(part, found.limits)} for n, part in enumerate(parts, 1)]
    return body


def _model_body(part: Happened, name: str, limits: tuple[PercentileLimit, ...]) -> dict[str, Plain]:
    """Keys of one of several models."""
    return {"model": name, **_part_body(part, limits)}


def _part_body(part: Happened, limits: tuple[PercentileLimit, ...]) -> dict[str, Plain]:
    """Keys of a part of the requests."""
    times: dict[str, Plain] = {what: dict(summary(values)) for what, values in each(part).items()}
    share = good(part, limits) if limits else None
    return {"requests": int(part.done.sum()), "within_limits": share, **times}


def answer_of(found: SimulatedService) -> Answer:
    """The answer in words."""
    made, ended = figures(found.run, found.service, found.limits), outcome(found)
    return Answer(
        sentence=_sentence(found, made, ended),
        rows=tuple(_rows(found, made)),
        tables=(_times(made), *_by_model(found), *_by_priority(found)),
        hints=(
            "-o run.json -o run.svg save the numbers and a picture over time, --requests-out FILE.csv each request",
        ),
        records=tuple(_record(name, made) for name in NAMES),
        feasible=ended.feasible,
    )


def _sentence(found: SimulatedService, made: ServiceFigures, ended: Outcome) -> str:
    given = found.service.deployment
    where = f"{given.replicas:,} replica{'s' * (given.replicas > 1)}"
    if given.prefill:
        where = f"{given.prefill:,} prefill and {given.replicas:,} decode replica{'s' * (given.replicas > 1)}"
    if given.autoscale is not None:
        where = f"up to {where}"
    ttft, tpot = made.times["ttft"]["p95"], made.times["tpot"]["p95"]
    speed = f"95 % of first tokens within {_time(ttft)}, of tokens after them {_time(tpot)}"
    partial = "Stopped before the end: of what was simulated, " if made.partial else ""
    if found.searched == "rate" and found.value is not None:
        return f"{partial}At most {found.value:.3g} requests/s keep the limits on {where}: {speed}."
    if found.searched == "replicas" and found.value is not None:
        return f"{partial}{where} keep{'s' * (given.every == 1)} the limits: {speed}."
    if not ended.feasible:
        return f"{partial}No: {ended.binds[0].text}."
    lead = "Yes: " if found.limits and not made.partial else partial
    kept = f"; {made.goodput:.3g}/s keep every limit" if made.goodput is not None else ""
    return f"{lead}{made.requests:,} requests in {units.show_time(made.duration)} on {where}: {speed}{kept}."


def _time(value: float | None) -> str:
    return "(none)" if value is None else units.show_time(value)


def _rows(found: SimulatedService, made: ServiceFigures) -> list[tuple[str, str]]:
    run, limits, given = found.run, found.service.limits, found.service.deployment
    rows = [
        ("workload", run.load.name),
        (
            "speed",
            f"{made.requests_per_second:.4g} requests/s, {made.output:,.0f} output, {made.input:,.0f} input tokens/s",
        ),
        (
            "steps",
            f"{made.steps:,}; replicas at work {units.show_share(made.use)} of the time; "
            f"{made.preemptions:,} preemptions",
        ),
        (
            "cache",
            f"{units.show_share(made.kv)} held on average, {units.show_share(made.hit)} of the input found in it",
        ),
        (
            "engine",
            f"{limits.sequences:,} sequences, {limits.tokens:,} new tokens a step, {limits.blocks:,} blocks of "
            f"{limits.block} token{'s' * (limits.block != 1)}; {given.order}, {given.routing}",
        ),
    ]
    if given.autoscale is not None:
        rows.append(("replicas", f"{made.replicas:.3g} at a time on average, of {given.every:,}"))
    tiers = [(name, tier) for name, tier in (("host", limits.host), ("disk", limits.disk)) if tier.tokens]
    if tiers:
        rows.append(("behind it", "; ".join(f"{name} {tier.tokens:,} tokens a replica" for name, tier in tiers)))
    if len(found.plans) > 1:
        rows.append(("switch", f"{units.show_time(given.switch)} to load another model"))
    if made.cost is not None:
        per = "" if made.per_million is None else f", ${made.per_million:.3g} per M output tokens"
        rows.append(("cost", f"{units.show_money(made.cost)}{per}"))
    if made.goodput is not None:
        rows.append(("goodput", f"{made.goodput:.4g} requests/s, {units.show_share(made.kept or 0.0)} of all"))
    if made.refused and made.example is not None:
        i = made.example
        tokens = int(run.load.isl[i] + run.load.osl[i])
        room = limits.blocks * limits.block
        rows.append(
            (
                "refused",
                f"{made.refused:,} that no replica could hold, such as request {i + 1:,}: {tokens:,} tokens, where a "
                f"cache holds {room:,}",
            )
        )
    if made.unfinished:
        rows.append(("unfinished", f"{made.unfinished:,} requests"))
    rows += [("note", note) for note in run.load.notes]
    if found.searched:
        rows.append(("searched", f"{found.tries} run{'s' * (found.tries > 1)}"))
    return rows


def _by_model(found: SimulatedService) -> list[Table]:
    """The same of each model, where several share the replicas."""
    if len(found.plans) == 1:
        return []
    return [_by_part("models on the same replicas", [(name, part) for part, name in _models(found)])]


def _by_priority(found: SimulatedService) -> list[Table]:
    """The same of each priority, where there are several."""
    parts = by_priority(found.run)
    if len(parts) == 1:
        return []
    return [_by_part("by priority", [(str(n), part) for n, part in enumerate(parts, 1)])]


def _by_part(title: str, parts: list[tuple[str, Happened]]) -> Table:
    rows = []
    for name, part in parts:
        times = {what: summary(values) for what, values in each(part).items()}
        shown = [_time(times[what][key]) for what in ("ttft", "tpot") for key in ("p50", "p95", "p99")]
        rows.append((name, f"{int(part.done.sum()):,}", *shown))
    head = ("", "requests", *(f"{what} {key}" for what in ("ttft", "tpot") for key in ("p50", "p95", "p99")))
    return Table(title, head, tuple(rows))


def _times(made: ServiceFigures) -> Table:
    rows = tuple((NAMES[name], *(_time(made.times[name][key]) for key in PERCENTILES)) for name in NAMES)
    return Table("times of a request", ("", *PERCENTILES), rows)


def _record(name: str, made: ServiceFigures) -> dict[str, object]:
    return {"time": name, **{key: made.times[name][key] for key in PERCENTILES}}


COLUMNS = (
    "request",
    "arrival",
    "input_tokens",
    "output_tokens",
    "replica",
    "start",
    "first_token",
    "finish",
    "ttft",
    "tpot",
    "e2e",
    "cached_tokens",
    "preemptions",
)


def columns(run: Happened) -> dict[str, np.ndarray]:
    """Each request's figures; seconds, NaN where it did not come to that."""
    times, load = each(run), run.load
    values = (
        np.arange(1, load.size + 1),
        run.arrival,
        load.isl,
        load.osl,
        run.replica,
        run.start,
        run.first,
        run.finish,
        times["ttft"],
        times["tpot"],
        times["e2e"],
        run.hit,
        run.again,
    )
    return dict(zip(COLUMNS, values, strict=True))


def requests_csv(run: Happened) -> str:
    """Each request as a row of CSV; an empty cell where it did not come to that."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    lists = [values.tolist() for values in columns(run).values()]
    writer.writerows([["" if cell != cell else cell for cell in row] for row in zip(*lists, strict=True)])
    return out.getvalue()


WIDTH, HEIGHT, LEFT, TOP = 900, 110, 90, 60
"""Of the picture: its width, the height of a panel, room at the left and above [px]."""

PANELS = (
    ("arriving", "requests/s", "#3B6EA5"),
    ("waiting", "waiting", "#B5483A"),
    ("running", "running", "#3F7F4F"),
    ("output", "tokens/s", "#7A5195"),
)


def svg(found: SimulatedService) -> str:
    """What came, waited, ran and was put out over time: four panels, one self-contained SVG."""
    from xml.sax.saxutils import escape

    from tonnage.printable import printable
    from tonnage.simulate.measure import series

    rows = series(found.run)
    height = TOP + len(PANELS) * (HEIGHT + 30) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#22262B">',
        f'<rect width="{WIDTH}" height="{height}" fill="#FFFFFF"/>',
        f'<text x="16" y="28" font-size="16" font-weight="bold">{escape(answer_of(found).sentence[:140])}</text>',
    ]
    end = float(rows["time"][-1]) if rows["time"].size else 0.0
    for index, (name, unit, colour) in enumerate(PANELS):
        top = TOP + index * (HEIGHT + 30)
        most = float(np.max(rows[name], initial=0.0))
        across = LEFT + (WIDTH - LEFT - 20) * rows["time"] / max(end, 1e-9)
        up = top + HEIGHT * (1.0 - np.maximum(rows[name], 0.0) / max(most, 1e-9))
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, up, strict=True))
        parts += [
            f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{top + HEIGHT}" y2="{top + HEIGHT}" stroke="#C8CDD2"/>',
            f'<text x="16" y="{top + 14}">{name}</text><text x="16" y="{top + 30}" fill="#5B636D">{unit}</text>',
            f'<text x="{LEFT - 6}" y="{top + 44}" fill="#5B636D" text-anchor="end">{units.show_number(most)}</text>',
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>',
        ]
    parts += [
        f'<text x="{WIDTH - 20}" y="{height - 16}" text-anchor="end" fill="#5B636D">{units.show_time(end)}</text>',
        "</svg>",
    ]
    return printable("\n".join(parts)) + "\n"
