"""A verdict in sentences."""

from __future__ import annotations

from tonnage.law.classify import Classification, Finding
from tonnage.law.criteria import Margin
from tonnage.law.data import load_rules
from tonnage.units import show_number, show_share

_OPENING = {
    "free": "No licence is needed to bring {chip} to {place} on {date}.",
    "exception": "License Exception {exception} can serve to bring {chip} to {place} on {date}{notify}.",
    "authorised": "A licence is needed to bring {chip} to {place} on {date}, and one was announced for this buyer.",
    "approval": "A licence is needed to bring {chip} to {place} on {date} (presumption of approval).",
    "case-by-case": "A licence is needed to bring {chip} to {place} on {date} (decided case by case).",
    "licence": "A licence is needed to bring {chip} to {place} on {date}.",
    "denied": "A licence is needed to bring {chip} to {place} on {date} (presumption of denial).",
    "risk": "No licence rule stops {chip} in {place} on {date}, but using it risks violating General Prohibition 10.",
    "unverified": "It could not be verified whether {chip} needs a licence for {place} on {date}.",
}


def explain(verdict: Classification) -> list[str]:
    """The verdict in sentences: what is needed, by which rule and paragraph, how near, what else, what is in doubt."""
    lines = [_opening(verdict)]
    if not verdict.findings:
        lines.append(_unasked(verdict))
    lines += [_controlling(finding) for finding in verdict.controlling]
    unmet = dict.fromkeys(text for finding in verdict.controlling for text in finding.unmet)
    lines += [f"Not decided case by case under {text}." for text in unmet]
    lines += _nearest_thresholds(verdict)
    for fee in verdict.fees:
        lines.append(f"Fee: {show_share(fee.share)} of {fee.base} ({fee.rule}).")
    for measure in verdict.measures:
        lines.append(f"In {verdict.place}, {measure.force}: {measure.title} ({measure.rule}): {measure.text}.")
    lines += [f"Risk: {text}." for text in verdict.risks]
    lines += [f"Note: {text}." for text in verdict.notes]
    lines += [f"Could not verify: {text}." for text in verdict.could_not_verify]
    lines += [f"Changed: {text}." for text in verdict.changes]
    return lines


def _opening(verdict: Classification) -> str:
    found = verdict.exception
    notify = " after a notification of 25 days, to which the authority may object" if found and found.notify else ""
    home = "" if verdict.headquarters == verdict.place else f" for a firm with headquarters in {verdict.headquarters}"
    words = {"chip": verdict.title, "place": f"{verdict.place}{home}", "date": verdict.date, "notify": notify}
    return _OPENING[verdict.status].format(**words, exception=found.exception if found else "")


def _unasked(verdict: Classification) -> str:
    if verdict.domestic:
        return "It is designed in China or another D:5 country: US rules on export are not asked of it."
    home = "" if verdict.headquarters == verdict.place else f" for a firm with headquarters in {verdict.headquarters}"
    return f"No rule on file controls such chips in {verdict.place}{home} on {verdict.date}."


def _controlling(finding: Finding) -> str:
    why = finding.why or ("names it" if finding.named else _numbers(finding))
    review = f" Reviewed under {finding.review}." if finding.review else ""
    head = f"Rule: {finding.title} ({finding.rule}). {_upper(finding.paragraph)} {why}.{review}"
    return f"{head} {_upper(finding.text)}. Citation: {finding.citation}."


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _numbers(finding: Finding) -> str:
    if finding.applies is None:
        return "is open: " + (f"{', '.join(finding.unknown)} not known" if finding.unknown else "reported only")
    held: dict[str, Margin] = {}
    for margin in finding.margins:
        if margin.holds and margin.rule == finding.rule:
            best = held.setdefault(margin.metric, margin)
            held[margin.metric] = margin if margin.threshold > best.threshold else best
    return "is met: " + ", ".join(_margin(margin) for margin in held.values())


def _margin(margin: Margin) -> str:
    name = load_rules().metrics[margin.metric].name
    limit = show_number(margin.threshold, 4)
    if margin.value is None or margin.ratio is None:
        return f"{name} not known (limit {limit} {margin.unit})"
    op = margin.op if margin.holds else _FAILS[margin.op]
    return f"{name} {show_number(margin.value, 4)} {op} {limit}{_gap(margin.ratio)}"


def _gap(ratio: float) -> str:
    if ratio == 1:
        return ""
    if ratio >= 2:
        return f" ({show_number(ratio)} times)"
    return f" ({show_share(abs(ratio - 1))} {'above' if ratio > 1 else 'below'})"


_FAILS = {">=": "<", ">": "<=", "<": ">=", "<=": ">"}


def _nearest_thresholds(verdict: Classification) -> list[str]:
    """Per paragraph that does not apply, the thresholds that keep the chip out of it."""
    lines = []
    for finding in verdict.findings:
        kept = [margin for margin in finding.margins if margin.holds is False and margin.rule == finding.rule]
        if finding.applies is False and kept and finding.rule not in verdict.rules:
            words = "; ".join(dict.fromkeys(_margin(margin) for margin in kept))
            lines.append(f"{_upper(finding.paragraph)} ({finding.rule}) does not apply: {words}.")
    return list(dict.fromkeys(lines))
