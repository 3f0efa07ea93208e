"""What a programme file may hold: one table of fields that both the reader and the JSON Schema are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tonnage import units
from tonnage.catalog.limits import RENT
from tonnage.fleet.judged import SAID
from tonnage.fleet.programme import StageKind

INF = float("inf")
MOST_TOKENS = 1e17 / units.DAY
"""Most demand that is taken [token/s]: a thousand times what the largest service published in 2025 (1e14 a day)."""


@dataclass(frozen=True)
class Field:
    """One key. kind: a quantity of `units.KINDS`, `date`, `span` (a duration or a date), `name`, `names`, `choice`
    or `nested` (read by its own table); doc: one line; point: whether it must be one number; low, high: bounds in
    base units; whole: whether a point must be a whole number.
    """

    kind: str
    doc: str
    required: bool = False
    point: bool = False
    low: float = 0.0
    high: float = INF
    whole: bool = False
    choices: tuple[str, ...] = ()


Table = Mapping[str, Field]

PROGRAMME: Table = {
    "name": Field("name", "Name of the programme.", required=True),
    "start": Field(
        "date", "First day of the plan; what was known by this day is what counts.", required=True, point=True
    ),
    "horizon": Field("span", "How far to look: a duration such as 18 months, or a last day.", required=True),
    "place": Field("name", "Where the accelerators stand: CN, US, EU ...", required=True),
    "headquarters": Field("name", "Where the owner has its headquarters; the place unless given."),
    "fleet": Field("nested", "Lots of accelerators.", required=True),
    "models": Field("nested", "Models in service and models to come, by a short name.", required=True),
    "rules": Field("nested", "as-of, or known-at DATE, without RULE, with CHANGE; one or a list."),
    "assumptions": Field("nested", "Assumptions that can be set."),
    "correlations": Field("nested", "Correlated inputs: {between: [fleet.a.from, fleet.b.from], r: 0.5}."),
    "budget": Field(
        "money", "Most that may be paid until the launch and committed beyond it.", point=True, low=1.0, high=1e13
    ),
    "nights": Field(
        "choice",
        "Whether training takes what services leave at night, by their curves of the day.",
        choices=("train", "idle"),
    ),
    "power": Field("power", "Power of the site, which all lots share: 40 MW.", point=True, low=1e3, high=1e12),
}

LOT: Table = {
    "lot": Field("name", "Name of the lot.", required=True),
    "chip": Field("name", "Accelerator, as tonnage show chips lists it.", required=True),
    "count": Field("count", "How many accelerators.", required=True, high=1e8, whole=True),
    "tenure": Field("choice", "Owned or rented.", choices=("owned", "rented")),
    "price": Field(
        "price",
        "Price of one accelerator; the catalogue's for place and date unless given.",
        low=RENT.low,
        high=RENT.high,
    ),
    "from": Field("date", "First day; in hand at the start unless given."),
    "until": Field("date", "Last day; no end unless given."),
    "over": Field("time", "Delivered evenly over this time from the first day on.", high=10 * units.YEAR),
    "optional": Field("choice", "Whether it may be taken or left, as the best plan decides.", choices=("yes", "no")),
    "step": Field(
        "count", "Accelerators in which an optional lot may be taken in part.", point=True, low=1, high=1e8, whole=True
    ),
    "acquired": Field("date", "Day on which the chips came into the place, which is what rules look at."),
    "licence": Field("name", "Licence under which the lot is lawful although a rule asks for one."),
    "spare": Field("share", "Share held back for failures.", high=0.99),
    "busy": Field("nested", "Share that other people's demand takes: 60 % to 80 %, or {share, growth}."),
    "term": Field(
        "term",
        "Least time for which a lease is paid, or the term by which it is priced: on-demand, 1-year, spot ...",
        point=True,
        high=10 * units.YEAR,
    ),
    "notice": Field(
        "time", "A lease may end early, so long after notice; bound to until unless given.", point=True, high=units.YEAR
    ),
    "lead": Field("time", "From the order, on the day `from`, to the arrival.", high=3 * units.YEAR),
    "purchase": Field(
        "money", "What one accelerator of an owned lot costs, with its share of server and network.", low=1.0, high=1e7
    ),
    "life": Field("time", "Over which a purchase is written off.", point=True, low=units.MONTH, high=20 * units.YEAR),
    "resale": Field("share", "Share of the purchase that is left at the end of its life.", point=True, high=1.0),
    "power_price": Field("energy_price", "Price of electricity of an owned lot.", point=True, high=10 / 3.6e6),
    "hosting": Field("price", "What housing one owned accelerator costs, power apart.", point=True, high=0.01),
}

MODEL: Table = {
    "model": Field("nested", "A bundled name, a path, or {like: NAME, what: differs}.", required=True),
    "serve": Field("nested", "The demand for it and the service level."),
    "train": Field("nested", "How it is trained."),
    "after": Field("name", "The model that it follows and takes over from."),
    "good_enough": Field("nested", "Rounds of improvement before it is good enough."),
}

SERVE: Table = {
    "like": Field("name", "Model whose demand and service level it shares."),
    "input_tokens": Field("token_rate", "Prompt tokens, cached ones included: 608B/day.", high=MOST_TOKENS),
    "output_tokens": Field("token_rate", "Generated tokens: 168B/day.", high=MOST_TOKENS),
    "growth": Field(
        "growth", "Growth of the demand, compounded monthly: 5 %/month.", low=-0.5 / units.MONTH, high=2 / units.MONTH
    ),
    "peak": Field("number", "Capacity held, as a multiple of the average demand.", low=1.0, high=20.0),
    "day": Field("nested", "Load over the day: 24 numbers, one an hour, or {night: 40 %, hours: 8}."),
    "isl": Field("tokens", "Prompt tokens of one request.", point=True, low=1, high=1e8, whole=True),
    "osl": Field("tokens", "Generated tokens of one request.", point=True, low=1, high=1e7, whole=True),
    "ttft": Field("time", "Longest mean time to the first token.", point=True, low=1e-4, high=3600),
    "tpot": Field("time", "Longest mean time per further token.", point=True, low=1e-5, high=60),
    "cache_hit": Field("share", "Share of prompt tokens found in the cache.", point=True, high=0.9999),
    "engine": Field("name", "Engine that serves it, such as vllm@0.11; the usual one of the chips unless given."),
    "takes_over": Field("share", "Share of the predecessor's demand that moves to it.", high=1.0),
    "within": Field("time", "How long the move takes, and how far ahead capacity must be there.", high=2 * units.YEAR),
    "surge": Field("number", "Demand that the launch adds, as a share of the demand that moves.", high=100.0),
    "first_users": Field("share", "Share of the demand at launch with which it has its first users.", high=1.0),
    "on": Field("names", "Lots that may serve it; all unless given."),
}

TRAIN: Table = {
    "stages": Field(
        "nested", "Stages in order: {pretrain: 20T tokens}, {rl: {rollout_tokens: 0.5T}} ...", required=True
    ),
    "try": Field("names", "Lots, or chips, to train on: the first, then where to go if the run fails there."),
    "at_most": Field("count", "Most accelerators that one run uses.", point=True, low=1, high=1e8, whole=True),
    "done": Field("share", "Share of the first stage that is done at the start: a run under way.", high=1.0),
    "since": Field("date", "Day on which the run under way began.", point=True),
    "interruptions": Field("count", "Interruptions of the run under way so far.", point=True, high=1e6, whole=True),
    "under_way": Field("nested", "The run under way as a ledger has it, instead of the three: {ledger: RUN}."),
}

UNDER_WAY: Table = {"ledger": Field("name", "Name of the run in the ledger.", required=True)}

_SEQ = Field("tokens", "Sequence length.", point=True, low=1, high=1e8, whole=True)
_BATCH = Field("count", "Sequences in a global batch.", point=True, low=1, high=1e7, whole=True)
_PRECISION = Field("choice", "Training precision.", choices=("bf16", "fp8"))
_TOKENS = Field("tokens", "Tokens trained on.", required=True, low=1, high=1e18)

_TRAINED: Table = {"tokens": _TOKENS, "seq": _SEQ, "global_batch": _BATCH, "precision": _PRECISION}
STAGES: Mapping[StageKind, Table] = {
    "pretrain": _TRAINED,
    "extend": _TRAINED,
    "sft": _TRAINED,
    "rl": {
        "rollout_tokens": Field(
            "tokens", "Tokens generated in rollouts; each is trained on once.", required=True, low=1, high=1e18
        ),
        "isl": Field("tokens", "Prompt tokens of one rollout.", point=True, low=1, high=1e7, whole=True),
        "osl": Field("tokens", "Generated tokens of one rollout.", point=True, low=1, high=1e7, whole=True),
        "global_batch": _BATCH,
        "precision": _PRECISION,
    },
    "pause": {"time": Field("time", "Time in which the accelerators wait.", required=True, high=10 * units.YEAR)},
}
SHORTHAND: Mapping[StageKind, str] = {
    "pretrain": "tokens",
    "extend": "tokens",
    "sft": "tokens",
    "rl": "rollout_tokens",
    "pause": "time",
}
"""What `{pretrain: 20T tokens}` means: the key that a stage's bare value fills."""

GOOD_ENOUGH: Table = {
    "rounds": Field("count", "Rounds of improvement, rounded to whole ones.", required=True, high=100),
    "each": Field("time", "How long a round takes.", required=True, high=2 * units.YEAR),
    "hold": Field(
        "count", "Accelerators that rounds hold and need; 1,024, or all of a smaller place.", low=1, high=1e8
    ),
}

BUSY: Table = {
    "share": Field("share", "Share of the lot that other people's demand takes at the start.", required=True, high=1.0),
    "growth": Field("growth", "Growth of that, compounded monthly.", low=-0.5 / units.MONTH, high=2 / units.MONTH),
}

CURVE: Table = {
    "night": Field("share", "Load at night, over that of the other hours.", required=True, point=True, high=1.0),
    "hours": Field("number", "Hours of the night.", required=True, point=True, low=1.0, high=23.0, whole=True),
}

CORRELATION: Table = {
    "between": Field("names", "Two inputs by their dotted names.", required=True),
    "r": Field("number", "Correlation of their normal scores.", required=True, point=True, low=-1.0, high=1.0),
}

VERDICT: Table = {"file": Field("name", "A verdict file of tonnage qualify, beside the programme.", required=True)}

ASSUMPTIONS: Table = {
    "slip": Field(
        "number", "Time a run takes over its plan, on a stack whose readiness is 0 (1 = none).", low=1.0, high=20.0
    ),
    "give_up": Field("share", "Share of its planned time after which a run that fails is given up.", high=5.0),
    "debug": Field("time", "How long a run that fails is looked into and tried again before it is given up.", high=1e8),
    "readiness": Field("nested", "Probability that a run completes, by lot or chip, in place of the public record's."),
    "verdicts": Field(
        "nested", "What one's own trials say, by lot or chip: fit, inference only, unfit, or {file: verdict.json}."
    ),
}

RULES: Table = {
    "known-at": Field("date", "Only rules announced by this day.", point=True),
    "without": Field("names", "Rules left out, by id or by the chip they are about."),
    "with": Field("names", "Changes: licence CHIP, ban CHIP, fee CHIP SHARE, each [from DATE]; RULE.FIELD=VALUE."),
}

_DESCRIBED = {
    "number": "1.2, 1.1 to 1.4",
    "count": "8000, 10k, 8000 to 20000",
    "tokens": "14.8T tokens, 20T to 30T tokens",
    "token_rate": "608B/day",
    "time": "50ms, 3 to 8 weeks",
    "price": "$2.10/h, $0.9/h to $1.6/h",
    "money": "$30,000",
    "power": "40 MW",
    "energy_price": "$0.09/kWh",
    "term": "1 year, on-demand",
    "share": "60 %, 60 % to 90 %",
    "growth": "5 %/month to 15 %/month",
    "date": "2025-03-01, 2025-05-01 to 2025-07-01",
    "span": "18 months, 2026-08-31",
}


def stage_kind(name: str) -> StageKind | None:
    """The kind of stage of that name, or None."""
    return next((kind for kind in STAGES if kind == name), None)


def programme_schema() -> dict[str, object]:
    """JSON Schema (2020-12) of a programme file, for completion and checks in an editor."""
    stage = {"oneOf": [_stage_schema(kind, table) for kind, table in STAGES.items()]}
    stages = {"type": "array", "items": stage, "minItems": 1}
    train = _object(TRAIN, stages=stages, under_way=_object(UNDER_WAY))
    hours = {"type": "array", "items": {"type": "number"}, "minItems": 24, "maxItems": 24}
    named = {"type": "object", "properties": {"like": {"type": "string"}}, "required": ["like"]}
    model = _object(
        MODEL,
        model={"oneOf": [{"type": "string"}, named]},
        serve=_object(SERVE, day={"oneOf": [hours, _object(CURVE)]}),
        train=train,
        good_enough=_object(GOOD_ENOUGH),
    )
    busy = {"oneOf": [_scalar("60 % to 80 %"), _object(BUSY)]}
    chances = {"type": "object", "additionalProperties": _scalar("60 %")}
    verdict = {"oneOf": [{"type": "string", "enum": list(SAID)}, _object(VERDICT)]}
    verdicts = {"type": "object", "additionalProperties": verdict}
    rule = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, _object(RULES)]}
    top = _object(
        PROGRAMME,
        fleet={"type": "array", "items": _object(LOT, busy=busy), "minItems": 1},
        correlations={"type": "array", "items": _object(CORRELATION)},
        models={"type": "object", "additionalProperties": model, "minProperties": 1},
        rules=rule,
        assumptions=_object(ASSUMPTIONS, readiness=chances, verdicts=verdicts),
    )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "tonnage programme", **top}


def _stage_schema(kind: str, table: Table) -> dict[str, object]:
    inside = {"oneOf": [_scalar(""), _object(table)]}
    return {"type": "object", "properties": {kind: inside}, "required": [kind], "additionalProperties": False}


def _object(table: Table, **nested: Mapping[str, object]) -> dict[str, object]:
    properties = {key: {**nested.get(key, _field(field)), "description": field.doc} for key, field in table.items()}
    required = [key for key, field in table.items() if field.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _field(field: Field) -> dict[str, object]:
    if field.kind == "names":
        return {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    if field.kind == "choice":
        return {"type": "string", "enum": list(field.choices)}
    if field.kind == "name":
        return {"type": "string"}
    return _scalar(_DESCRIBED.get(field.kind, ""))


def _scalar(example: str) -> dict[str, object]:
    found: dict[str, object] = {"type": ["string", "number"]}
    return {**found, "examples": [example]} if example else found
