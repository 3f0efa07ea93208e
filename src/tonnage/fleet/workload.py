"""What a programme says that a model is to do: its requests, the stages of its run."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from tonnage.errors import InputError, nearest
from tonnage.fleet import programme as p
from tonnage.fleet import schema
from tonnage.fleet.keys import Keys
from tonnage.fleet.nights import HOURS
from tonnage.fleet.reading import Path as Where
from tonnage.fleet.reading import ProgrammeReader
from tonnage.fleet.uncertain import Uncertain, point
from tonnage.units import show_number

OUTPUT_LENGTH = 1000.0
"""Generated tokens of one request where the programme names no length: an assumption, shown in the answer."""


AGREE, NEAR = 20.0, 1.05
"""Times by which demand and lengths of requests may differ in their ratio before one of them is taken for a mistake,
and before the answer says which of them counts."""

NOT_SHARED = ("like", "takes_over", "within", "on")
"""Keys of a service that are its own, whatever else is like it."""


def like(
    reader: ProgrammeReader,
    own: Keys,
    after: str | None,
    services: Mapping[str, Keys | None],
    path: Where,
) -> tuple[Keys, str | None]:
    """(Keys that a service takes over from the one that it is `like`, or follows; that model's name)."""
    base = own.text("like") or after
    if base is not None and services.get(base) is own:
        reader.problem((*path, "like"), "is the model itself")
        return Keys(), None
    seen: set[str] = set()
    shared = Keys()
    while base is not None and base not in seen:
        seen.add(base)
        below = services.get(base)
        if below is None:
            if "like" in own:
                message = f'no service of a model "{base}" in this programme'
                reader.problem((*path, "like"), message, nearest(base, services))
            break
        shared = shared.over(below.without(NOT_SHARED))
        base = below.text("like")
    return shared, own.text("like") or after


def service(
    reader: ProgrammeReader, own: Keys, after: str | None, services: Mapping[str, Keys | None], path: Where
) -> p.ServiceSpec:
    """The demand for a model and its service level, on all lots."""
    shared, base = like(reader, own, after, services, path)
    keys, none = own.over(shared), point(0.0)
    if "takes_over" in own and after is None:
        reader.problem((*path, "takes_over"), "there is no model to take over from: add after: MODEL")
    inputs, outputs = own.uncertain("input_tokens", none), own.uncertain("output_tokens", none)
    if after is None and not (inputs.median > 0 or outputs.median > 0) and not base:
        reader.problem(path, "needs input_tokens and output_tokens, such as 608B/day and 168B/day")
    isl, osl, assumed = lengths(keys)
    assumed = (*assumed, *_disagreement(reader, own, keys, path))
    curve = day_curve(reader, keys.raw("day"), (*path, "day"))
    return p.ServiceSpec(
        isl,
        osl,
        inputs,
        outputs,
        keys.uncertain("growth", none),
        keys.uncertain("peak", point(len(curve) / sum(curve) if curve else 1.0)),
        keys.number("ttft"),
        keys.number("tpot"),
        keys.number("cache_hit", 0.0),
        own.uncertain("takes_over", point(1.0)),
        own.uncertain("within", none),
        own.uncertain("surge", none),
        own.uncertain("first_users", point(p.FIRST_USERS)),
        assumed=assumed,
        engine=engine_named(reader, keys.text("engine"), (*path, "engine")),
        day=curve,
    )


def _times(keys: Keys) -> float:
    """Ratio of prompt to generated tokens in the demand, over that of one request."""
    inputs, outputs = (keys.uncertain(k, point(0.0)).median for k in ("input_tokens", "output_tokens"))
    isl, osl = keys.number("isl"), keys.number("osl")
    if not (inputs > 0 and outputs > 0 and isl and osl):
        return 1.0
    return inputs / outputs / (isl / osl)


def _disagreement(reader: ProgrammeReader, own: Keys, keys: Keys, path: Where) -> tuple[str, ...]:
    """A problem where demand and lengths of requests cannot both be meant; what is assumed where they nearly can."""
    times = _times(keys)
    given = [key for key in ("isl", "osl", "input_tokens", "output_tokens") if key in own]
    if not given or max(times, 1 / times) <= NEAR:
        return ()
    if max(times, 1 / times) > AGREE:
        said = show_number(times)
        message = f"input_tokens over output_tokens is {said} times isl over osl; leave one of the two pairs out"
        reader.problem((*path, given[0]), message)
        return ()
    return ("requests are counted by their generated tokens; their prompts are isl long, whatever input_tokens says",)


def engine_named(reader: ProgrammeReader, name: str | None, path: Where) -> str | None:
    """An engine that there is, with its version; None where the reader has noted a problem."""
    from tonnage.serve.replica.engines import engine

    if name is None:
        return None
    try:
        engine(name)
    except InputError as error:
        for problem in error.problems:
            reader.problem(path, problem.message, problem.suggestion)
        return None
    return name


def day_curve(reader: ProgrammeReader, value: object, path: Where) -> tuple[float, ...]:
    """The load of each hour over the highest; none where it is not given, or does not fit."""
    if value is None:
        return ()
    if isinstance(value, Mapping):
        read = reader.mapping(value, path, schema.CURVE, "a curve of the day")
        night, hours = read.number("night"), read.number("hours")
        return () if night is None or hours is None else (night,) * int(hours) + (1.0,) * (HOURS - int(hours))
    field = schema.Field("number", "", point=True)
    items = value if isinstance(value, list) else []
    loads = [reader.value(item, (*path, index), field) for index, item in enumerate(items)]
    kept = [float(load) for load in loads if isinstance(load, float)]
    if len(items) != HOURS or (len(kept) == HOURS and not max(kept) > 0):
        reader.problem(path, f"expected {HOURS} numbers, the load of each hour, or {{night: 40 %, hours: 8}}")
    return tuple(load / max(kept) for load in kept) if len(kept) == HOURS and max(kept) > 0 else ()


def lengths(keys: Keys) -> tuple[float, float, tuple[str, ...]]:
    """Prompt and generated tokens of a request; what is not given follows from the ratio of the two demands."""
    inputs, outputs = (keys.uncertain(k, point(0.0)).median for k in ("input_tokens", "output_tokens"))
    ratio = inputs / outputs if inputs > 0 and outputs > 0 else 1.0
    isl, osl = keys.number("isl"), keys.number("osl")
    if isl is not None and osl is not None:
        return isl, osl, ()
    if osl is not None:
        return osl * ratio, osl, (f"isl {osl * ratio:,.0f} tokens, from the ratio of prompt to generated tokens",)
    if isl is not None:
        return isl, isl / ratio, (f"osl {isl / ratio:,.0f} tokens, from the ratio of prompt to generated tokens",)
    text = f"requests of {OUTPUT_LENGTH * ratio:,.0f} + {OUTPUT_LENGTH:,.0f} tokens, since isl and osl are not given"
    return OUTPUT_LENGTH * ratio, OUTPUT_LENGTH, (text,)


def under_way(
    reader: ProgrammeReader, read: Keys, start: datetime.date, path: Where
) -> tuple[Uncertain, datetime.date | None, int | None]:
    """What is said of a run under way: the share of its first stage that is done, since when, interruptions."""
    since, many = read.date("since"), read.number("interruptions")
    if "under_way" in read:
        place = (*path, "under_way")
        run = reader.mapping(read.raw("under_way"), place, schema.UNDER_WAY, "a run under way")
        if "ledger" in run and "done" not in read:
            reader.problem(place, "is in a ledger, and none was read: name its file, or say done, since, interruptions")
    told = {key: value for key, value in (("since", since), ("interruptions", many)) if value is not None}
    if told and "done" not in read:
        reader.problem(path, f"{next(iter(told))} is said of a run under way: add done: 40 %")
    if since is not None and since >= start:
        reader.problem((*path, "since"), f"is not before the start, {start}")
    return read.uncertain("done", point(0.0)), since, None if many is None else int(many)


def stage(reader: ProgrammeReader, item: object, path: Where) -> p.TrainingStage | None:
    """One stage of a run, `{pretrain: 20T tokens}` or with its keys; None where the reader has noted a problem."""
    if not isinstance(item, Mapping) or len(item) != 1:
        reader.problem(path, "expected one stage such as {pretrain: 20T tokens}")
        return None
    name = str(next(iter(item)))
    kind = schema.stage_kind(name)
    if kind is None:
        message = f'no stage named "{name[:60]}"; stages: {", ".join(schema.STAGES)}'
        reader.problem((*path, name), message, nearest(name, schema.STAGES), key=True)
        return None
    main, table = schema.SHORTHAND[kind], schema.STAGES[kind]
    value, below = item[kind], (*path, kind)
    if isinstance(value, Mapping):
        read = reader.mapping(value, below, table, f"the stage {kind}")
    else:
        read = Keys({main: reader.value(value, below, table[main])} if value is not None else {})
        if value is None:
            reader.problem(below, f"needs its amount, such as {kind}: 20T tokens")
    amount, batch = read.uncertain(main), read.number("global_batch")
    if amount is None:
        return None
    seq = read.number("seq")
    if kind in ("pretrain", "extend", "sft") and seq and batch and amount.interval[1] < seq * batch:
        message = f"is less than one step, {seq * batch:,.0f} tokens (seq x global_batch)"
        reader.problem((*below, main) if isinstance(value, Mapping) else below, message)
    return p.TrainingStage(
        kind,
        amount,
        read.number("seq"),
        None if batch is None else int(batch),
        read.text("precision"),
        read.number("isl"),
        read.number("osl"),
    )
