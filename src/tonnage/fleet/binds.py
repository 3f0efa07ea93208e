"""What stands between the start and the launch, how the question ended, and what would lift it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tonnage.errors import Bind, Outcome, infeasible
from tonnage.fleet import remedies, words
from tonnage.fleet.causes import Cause
from tonnage.fleet.forecast import Forecast
from tonnage.fleet.plan import Gap, WhatIf
from tonnage.fleet.programme import Programme
from tonnage.fleet.setting import SettledProgramme
from tonnage.fleet.uncertain import Floats, rank
from tonnage.units import DAY, show_share

LIKELY, POSSIBLE = 0.5, 0.1
"""Share of draws that launch within the horizon: below the first the answer says what stands against it, below the
second the programme is infeasible."""

UNSERVED = 0.005
"""Share of the demand before the launch that may find no capacity before that is called a shortage."""

NEGLIGIBLE = 0.5 * DAY
"""Time by a cause from which a draw counts as one that has it; of causes that are short wherever they come, a tenth of
their mean."""


def causes_of(result: Forecast) -> dict[Cause, Floats]:
    """Time on the way to the launch by cause [d], longest first, in the draws that launch, however late: nothing here
    depends on the horizon. In all draws if none launches.
    """
    some = np.isfinite(result.launch[-1])
    some = some if some.any() else np.ones_like(some)
    kept = {cause: value[some] for cause, value in result.causes.items() if value[some].mean() > 0}
    return dict(sorted(kept.items(), key=lambda item: (-item[1].mean(), words.cause(item[0]))))


def binds_of(
    setting: SettledProgramme, causes: Mapping[Cause, Floats], alternatives: tuple[WhatIf, ...], chance: float
) -> tuple[Bind, ...]:
    """What stands between the start and the launch, the longest first; `by` in days, averaged over the draws."""
    made = []
    places = {(model, place.name): place.lots for model, found in setting.places.items() for place in found}
    for cause, value in causes.items():
        days = float(value.mean() / DAY)
        if days < 0.05:
            continue
        share = float(np.mean(value > min(NEGLIGIBLE, value[value > 0].mean() / 10)))
        name = words.cause(cause)
        text = f"{name}: {days:.0f} days on average" if days >= 1 else f"{name}: under a day on average"
        text += f", in {show_share(share)} of the draws" if share < 0.995 else ""
        fit = tuple(item for item in alternatives if item.lawful and item.lever.acts_on(cause, places))
        made.append(Bind(name, text, days, _lift(fit, chance)))
    return tuple(made)


def _lift(fit: tuple[WhatIf, ...], chance: float) -> str | None:
    """Of the what-ifs that fit a cause, the one that brings the launch forward most, or makes it likelier."""
    sooner = [item for item in fit if item.shift is not None and item.shift < -0.5]
    if sooner:
        best = min(sooner, key=lambda item: item.shift or 0.0)
        return f"{best.name}: P50 {-(best.shift or 0.0):.0f} days earlier"
    surer = max(fit, key=lambda item: item.probability, default=None)
    if surer is None or surer.probability < chance + 0.02:
        return None
    return f"{surer.name}: {show_share(surer.probability)} instead of {show_share(chance)} by the horizon"


def outcome_of(setting: SettledProgramme, result: Forecast, chance: float, binds: tuple[Bind, ...]) -> Outcome:
    """Feasible, or why not: no lawful lot, a service level out of reach, demand that the fleet cannot serve, or no
    launch within the horizon.
    """
    programme = setting.programme
    if all(found.never for found in setting.calendars.values()):
        rules = dict.fromkeys(rule for found in setting.calendars.values() for rule in found.rulings[0].rules)
        text = f"no lot of the fleet may be planned on: {', '.join(rules)}"
        return infeasible(Bind("law", text, lift=remedies.lawful(setting)))
    unkept = remedies.unkept(setting)
    if unkept is not None and chance < POSSIBLE:
        return infeasible(unkept, *binds)
    short = float(np.mean(result.unserved > UNSERVED))
    if short >= LIKELY and chance < POSSIBLE and np.mean(np.isfinite(result.launch[-1])) < LIKELY:
        worst = rank(result.unserved, 0.5)
        at = rank(np.where(np.isfinite(result.unserved_at), result.unserved_at, np.inf), 0.5)
        day = programme.start + datetime.timedelta(seconds=min(at, programme.days * DAY))
        text = f"from {day} on the lawful fleet cannot carry the demand: up to {show_share(worst)} of it goes unserved"
        text += f", in {show_share(short)} of the draws" if short < 0.995 else ""
        return infeasible(Bind("capacity", text, worst, remedies.capacity(setting)), *binds)
    if chance >= LIKELY:
        return Outcome("feasible", binds)
    late = _late(setting, result, chance)
    if late.lift is None:  # the base case launches as it is: what brings the draws forward that do not
        late = replace(late, lift=next((bind.lift for bind in binds if bind.lift), None))
    return Outcome("feasible", (late, *binds)) if chance >= POSSIBLE else infeasible(late, *binds)


def gap_of(result: Forecast, programme: Programme) -> Gap | None:
    """The time in which demand in service finds no capacity before the launch, in the middle of the draws with one."""
    some = result.unserved > UNSERVED
    if not some.any():
        return None
    begin, end = rank(result.unserved_at[some], 0.5), rank(result.unserved_until[some], 0.5)
    days = [programme.start + datetime.timedelta(seconds=round(at)) for at in (begin, end)]
    return Gap(days[0], min(days[1], programme.end), rank(result.unserved[some], 0.5), float(np.mean(some)))


def _late(setting: SettledProgramme, result: Forecast, chance: float) -> Bind:
    programme, model = setting.programme, setting.programme.coming[-1]
    trained = float(np.mean(result.trained[-1] <= programme.days * DAY))
    what = "capacity" if trained - chance > 0.3 else "training"
    where = "is trained but finds no capacity to serve it" if what == "capacity" else "is not trained"
    text = f"{model.name} launches by {programme.end} with a probability of only {show_share(chance)}"
    text += f": in most of the other draws it {where}"
    blocked = [s for s in setting.speeds if s.reason and s.use != "serve"]
    text += f" ({blocked[0].reason})" if blocked and what == "training" else ""
    return Bind(what, text, 1 - chance, remedies.launch(setting))
