"""What a programme says that a model is to do: its requests, the stages of its run."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from tonnage.errors import nearest
from tonnage.fleet import programme as p
from tonnage.fleet import schema
from tonnage.fleet.reading import Path as Where
from tonnage.fleet.reading import ProgrammeReader

OUTPUT_LENGTH = 1000.0
"""Generated tokens of one request where the programme names no length: an assumption, shown in the answer."""


def like(
    reader: ProgrammeReader,
    own: dict[str, Any],
    after: str | None,
    services: Mapping[str, dict[str, Any] | None],
    path: Where,
) -> tuple[dict[str, Any], str | None]:
    """(Keys that a service takes over from the one that it is `like`, or follows; that model's name)."""
    base = own.get("like", after)
    seen: set[str] = set()
    shared: dict[str, Any] = {}
    while base is not None and base not in seen:
        seen.add(base)
        below = services.get(base)
        if below is None:
            if "like" in own:
                message = f'no service of a model "{base}" in this programme'
                reader.problem((*path, "like"), message, nearest(base, services))
            break
        shared = {**{k: v for k, v in below.items() if k not in ("like", "takes_over", "within", "on")}, **shared}
        base = below.get("like")
    return shared, own.get("like", after)


def lengths(keys: Mapping[str, Any]) -> tuple[float, float, tuple[str, ...]]:
    """Prompt and generated tokens of a request; what is not given follows from the ratio of the two demands."""
    inputs, outputs = (keys[k].median if k in keys else 0.0 for k in ("input_tokens", "output_tokens"))
    ratio = inputs / outputs if inputs > 0 and outputs > 0 else 1.0
    isl, osl = keys.get("isl"), keys.get("osl")
    if isl is not None and osl is not None:
        return isl, osl, ()
    if osl is not None:
        return osl * ratio, osl, (f"isl {osl * ratio:,.0f} tokens, from the ratio of prompt to generated tokens",)
    if isl is not None:
        return isl, isl / ratio, (f"osl {isl / ratio:,.0f} tokens, from the ratio of prompt to generated tokens",)
    text = f"requests of {OUTPUT_LENGTH * ratio:,.0f} + {OUTPUT_LENGTH:,.0f} tokens, since isl and osl are not given"
    return OUTPUT_LENGTH * ratio, OUTPUT_LENGTH, (text,)


def under_way(reader: ProgrammeReader, read: Mapping[str, Any], start: datetime.date, path: Where) -> dict[str, Any]:
    """What is said of a run under way."""
    since, many = read.get("since"), read.get("interruptions")
    told = {key: value for key, value in (("since", since), ("interruptions", many)) if value is not None}
    if told and "done" not in read:
        reader.problem(path, f"{next(iter(told))} is said of a run under way: add done: 40 %")
    if since is not None and since >= start:
        reader.problem((*path, "since"), f"is not before the start, {start}")
    made: dict[str, Any] = {"done": read["done"]} if "done" in read else {}
    return made | {"since": since, "interruptions": None if many is None else int(many)}


def stage(reader: ProgrammeReader, item: Any, path: Where) -> p.TrainingStage | None:
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
        read = {main: reader.value(value, below, table[main])} if value is not None else {}
        if value is None:
            reader.problem(below, f"needs its amount, such as {kind}: 20T tokens")
    if read.get(main) is None:
        return None
    batch = read.get("global_batch")
    kept = {key: read[key] for key in ("seq", "precision", "isl", "osl") if key in read}
    return p.TrainingStage(kind, read[main], global_batch=None if batch is None else int(batch), **kept)
