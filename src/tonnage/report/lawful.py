"""Lawful chips by what they do for a model, and the best design within the limits: in words, and as values."""

from __future__ import annotations

from typing import Any

from tonnage import units
from tonnage.ask.lawful import ChipRate, DesignSpace, LawfulChip, LawfulDesign, LawfulFound, best, best_design
from tonnage.law import Shares, load_rules
from tonnage.report.answer import Answer, Table

Row = dict[str, Any]
USES = ("training", "serving")
WAYS = {"free": "no licence", "exception": "by exception"}
AXES = {"rate": "dense rates", "bandwidth": "memory bandwidth", "link": "link"}


def body(found: LawfulFound) -> Row:
    """The answer's own keys, in base units."""
    top = {use: best(found.chips, use) for use in USES}
    return {
        "date": found.day.isoformat(),
        "in": found.place,
        "headquarters": found.headquarters,
        "model": found.model,
        "accelerators": found.asked.count,
        "best": {use: chip.chip if chip else None for use, chip in top.items()},
        "chips": [_values(chip) for chip in found.chips],
        "left_out": [{"chip": chip, "reason": reason} for chip, reason in found.left_out],
        "not_lawful": found.forbidden,
        "design": _space_values(found.space) if found.space else None,
    }


def _rates(one: LawfulChip | LawfulDesign) -> Row:
    return {
        "tokens_per_second_per_accelerator": one.training.value,
        "layout": one.training.layout or None,
        "training_reason": one.training.reason or None,
        "requests_per_second_per_accelerator": one.serving.value,
        "serving_layout": one.serving.layout or None,
        "serving_reason": one.serving.reason or None,
    }


def _values(chip: LawfulChip) -> Row:
    return {"chip": chip.chip, "title": chip.title, "status": chip.status, **_rates(chip)}


def _space_values(space: DesignSpace) -> Row:
    top = {use: best_design(space.designs, use) for use in USES}
    return {
        "from": space.whole.chip,
        "whole": _values(space.whole),
        "rules_met": list(space.met),
        "best": {use: space.designs.index(made) if made else None for use, made in top.items()},
        "designs": [_design_values(made) for made in space.designs],
        "case_by_case": [vars(shares) for shares in space.licensed],
        "case_by_case_refused": list(space.refused),
    }


def _design_values(made: LawfulDesign) -> Row:
    chip = made.accelerator
    return {
        "shares": vars(made.shares),
        "status": made.status,
        "tpp": made.tpp,
        "rates": chip.rates,
        "bandwidth": chip.bandwidth,
        "link": chip.link,
        "memory": chip.memory,
        "rules_above": {axis: list(rules) for axis, rules in made.above.items()},
        **_rates(made),
    }


def answer(found: LawfulFound) -> Answer:
    """The answer in words."""
    rows = [*_top_rows(found), *(_design_rows(found.space) if found.space else [])]
    rows.append(("not counted", f"{found.forbidden} chips that need a licence or are barred there on that day"))
    if found.left_out:
        names = ", ".join(chip for chip, _ in found.left_out)
        rows.append(("", f"lawful, but their facts are not known: {names}"))
    rows.append(("law", "the rules on file, as published; planning figures, not legal advice: see docs/method/law.md"))
    tables = [_chips(found), *([_designs(found.space)] if found.space else [])]
    command = f"tonnage show chips --as-of {found.day} --in {found.place}"
    records = tuple(_values(chip) for chip in found.chips)
    tables = [table for table in tables if table.rows]
    return Answer(_sentence(found), tuple(rows), tuple(tables), None, (command,), records, found.outcome.feasible)


def _sentence(found: LawfulFound) -> str:
    where = f"in {found.place} on {found.day}"
    top = {use: best(found.chips, use) for use in USES}
    if not any(top.values()):
        return f"No chip that may be brought to {found.place} without a licence on {found.day} carries {found.model}."
    said = [f"the best to {verb} {found.model} is {chip.title}" if chip else f"none can {verb} {found.model}"
            for verb, chip in (("train", top["training"]), ("serve", top["serving"]))]  # fmt: skip
    text = f"Of {len(found.chips)} chips without a licence {where}, {said[0]}, and {said[1].removeprefix('the best ')}"
    if top["training"] and top["serving"]:
        text = text.replace(f"to serve {found.model} is", "to serve it")
    return f"{text}."


def _top_rows(found: LawfulFound) -> list[tuple[str, str]]:
    rows = []
    for use, verb in zip(USES, ("training", "serving"), strict=True):
        chip = best(found.chips, use)
        if chip is not None:
            rate: ChipRate = getattr(chip, use)
            rows.append((verb, f"{chip.chip}: {_rate(rate, use)} each, {rate.layout}, {rate.evidence}"))
    return rows


def _design_rows(space: DesignSpace) -> list[tuple[str, str]]:
    """What of a chip stays within the limits, and what it does."""
    name = space.whole.title
    if not space.designs:
        why = f": {', '.join(space.met)}" if space.met else ""
        return [("design", f"no share of {name} is outside every rule on file{why}"), *_licensed_rows(space)]
    rows = []
    for use in USES:
        made = best_design(space.designs, use)
        if made is None:
            continue
        own, whole = getattr(made, use), getattr(space.whole, use)
        share = f" ({units.show_share(own.value / whole.value)} of the whole chip)" if whole.value else ""
        rows.append((f"design, {use}", f"{_shares(made)} of {name}: {_rate(own, use)} each{share}"))
    known = {rule.id: rule for rule in load_rules().rules}
    above = {(axis, rule): None for made in space.designs for axis, rules in made.above.items() for rule in rules}
    rows += [("limit", f"more {AXES[axis]}: {known[rule].title} ({rule})") for axis, rule in above]
    doubts = dict.fromkeys(text for _, rule in above for text in known[rule].unverified)
    return [*rows, *_licensed_rows(space), *(("could not verify", text) for text in doubts)]


def _licensed_rows(space: DesignSpace) -> list[tuple[str, str]]:
    """What a licence decided case by case would reach, apart from what needs none; or why none would be."""
    rows = [
        ("with a licence", f"decided case by case, may be refused: {_share_words(shares)} of {space.whole.title}")
        for shares in space.licensed
    ]
    return rows + [("with a licence", f"not decided case by case under {text}") for text in space.refused]


def _shares(made: LawfulDesign) -> str:
    return _share_words(made.shares)


def _share_words(shares: Shares) -> str:
    parts = [f"{getattr(shares, axis):.2%} of the {words}" for axis, words in AXES.items()]
    kept = [part for axis, part in zip(AXES, parts, strict=True) if getattr(shares, axis) < 1]
    return (", ".join(kept) + ", all else") if kept else "all"


def _rate(rate: ChipRate, use: str) -> str:
    if rate.value is None:
        return f"cannot: {rate.reason}"
    return f"{units.show_number(rate.value)} {'tokens/s' if use == 'training' else 'requests/s'}"


def _cell(rate: ChipRate) -> str:
    return "-" if rate.value is None else units.show_number(rate.value)


def _chips(found: LawfulFound) -> Table:
    able = [chip for chip in found.chips if chip.training.value or chip.serving.value]
    rows = tuple(
        (chip.chip, WAYS.get(chip.status, chip.status), _cell(chip.training), _cell(chip.serving), _why(chip))
        for chip in able
    )
    header = ("chip", "status", "tokens/s", "requests/s", "why not")
    a = found.asked
    limit = f", at most {units.show_time(a.tpot)} a token" if a.tpot else ""
    note = (
        f"per accelerator, of {a.count:,}: training in {a.precision} of {a.seq:,} x {a.global_batch:,} tokens a step; "
        f"requests of {a.isl:,.0f} + {a.osl:,.0f} tokens{limit}"
    )
    if len(able) < len(found.chips):
        note += f"; {len(found.chips) - len(able)} more do neither, --json says why"
    return Table("lawful chips", header, rows, note)


def _why(chip: LawfulChip) -> str:
    reasons = dict.fromkeys(rate.reason for rate in (chip.training, chip.serving) if rate.value is None)
    return "; ".join(reasons)


def _designs(space: DesignSpace) -> Table:
    whole = space.accelerator
    cells = [_line("as it is", (1.0, 1.0, 1.0), whole, None, space.whole)]
    for index, made in enumerate(space.designs, 1):
        shares = (made.shares.rate, made.shares.bandwidth, made.shares.link)
        cells.append(_line(f"design {index}", shares, made.accelerator, made.tpp, made))
    header = ("", "rates", "bandwidth", "link", "TPP", "memory bandwidth", "link rate", "tokens/s", "requests/s")
    note = "shares of its dense rates, memory bandwidth and link; die, memory, NIC and domain as they are"
    return Table(f"from {space.whole.title}", header, tuple(cells), note)


def _line(
    name: str, shares: tuple[float, ...], chip: Any, total: float | None, one: LawfulChip | LawfulDesign
) -> tuple[str, ...]:
    return (
        name,
        *(f"{share:.2%}" for share in shares),
        "" if total is None else f"{total:,.0f}",
        units.show_bandwidth(chip.bandwidth),
        "-" if chip.link is None else units.show_bandwidth(chip.link),
        _cell(one.training),
        _cell(one.serving),
    )
