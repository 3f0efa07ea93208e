"""A name, a config.json or an architecture in YAML -> `Architecture`."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from tonnage.catalog.catalog import Catalog
from tonnage.catalog.loading import DATA, MODELS
from tonnage.catalog.models import begun, found_if_known, lines_of
from tonnage.errors import InputError, Problem, nearest
from tonnage.files import Document, read_json, read_yaml
from tonnage.model import relations
from tonnage.model.architecture import Architecture, Block
from tonnage.model.beside import LARGEST, said_beside
from tonnage.model.changes import change
from tonnage.model.config import ConfigReader, Place
from tonnage.model.encoders import encoders
from tonnage.model.families import Body
from tonnage.model.gguf_file import configuration, held_to_tensors, is_gguf
from tonnage.model.known import FAMILIES, language
from tonnage.model.quantisation import names_of, plain_of, release_of, scheme_of, uniform

OWN = ("name", "title", "precision", "expert_precision")
"""Changes that are not sizes: they go beside the configuration."""

PLACED = 50_000
"""Largest JSON whose keys are told with their line [byte]."""

DEEPEST = 4
"""How many times one file may build on another with `like`."""


def load(name_or_path: str | Path, catalog: Catalog | None = None, as_of: datetime.date | None = None) -> Architecture:
    """The architecture that a user means.

    A bundled name or Hugging Face id (`deepseek-r1`, `deepseek-ai/DeepSeek-R1`), a `config.json`, a folder that holds
    one, or an architecture in YAML: the keys of a config.json, or `like: deepseek-v3` with changes (see `derive`). A
    catalogue with models of its own is asked first. Raises `InputError` with every problem; `UnsupportedModel` for a
    `model_type` that tonnage does not know.

    as_of: a bundled model that was released later is refused; one of no known date passes (see `released`).
    """
    if as_of is not None and catalog is not None:
        day = released(str(name_or_path), catalog)
        if day is not None and day > as_of:
            message = f"{_brief(str(name_or_path))} was released on {day}, and was not known on {as_of}"
            raise InputError(Problem(message))
    return _load(str(name_or_path), catalog, 0)


def released(name: str, catalog: Catalog) -> datetime.date | None:
    """The day on which a bundled model was released: None for any other, and where no source says it."""
    identity = meant(name, catalog)
    return None if identity is None else catalog.model_released(identity)


def is_bundled(name: str, catalog: Catalog) -> bool:
    """Whether a name means a bundled model."""
    return meant(name, catalog) is not None


def meant(name: str, catalog: Catalog) -> str | None:
    """Id of the bundled model that a name means, as `load` reads it."""
    found = _bundled(name, catalog)
    if found is not None:
        return found[0]
    return None if _is_path(name) else begun(name, catalog.model_lines)


def _load(name: str, catalog: Catalog | None, depth: int) -> Architecture:
    """See `load`; depth: how many files build on this one."""
    found = _bundled(name, catalog)
    if found is not None:
        identity, config, source = found
        return build(config, name=identity, source=source)
    if _is_path(name):
        return _read(name, catalog, depth)
    meant = begun(name, catalog.model_lines if catalog is not None else _lines())
    if meant is not None:
        return _load(meant, catalog, depth)
    names = bundled_names()
    raise InputError(
        Problem(f'no model named "{_brief(name)}"', suggestion=nearest(name, names)),
        hint="`tonnage show models` lists them; a config.json, a folder with one or a YAML architecture works too",
    )


def _brief(name: str) -> str:
    """A name fit for a message: printable and not long."""
    return "".join(c if c.isprintable() else "?" for c in name[:80])


def _is_path(name: str) -> bool:
    try:
        return Path(name).exists() or name.endswith((".json", ".yaml", ".yml", ".gguf"))
    except (OSError, ValueError):
        return False


def _bundled(name: str, catalog: Catalog | None) -> tuple[str, Mapping[str, object], str] | None:
    """(id, configuration, source) of a name that is known, None for any other."""
    lines = catalog.model_lines if catalog is not None else _lines()
    return found_if_known(name, lines)


@cache
def _lines() -> dict[str, str]:
    """The bundled models, one line of JSON each, by id."""
    return lines_of((DATA / MODELS).read_text("utf-8"))


def is_published(identity: str) -> bool:
    """Whether an id is that of a bundled model, by which engines fetch its weights; a file's model has a title."""
    return identity in _lines()


def bundled_names() -> tuple[str, ...]:
    """Every name by which a bundled model is known: ids, then aliases."""
    rows = [json.loads(line) for line in _lines().values()]
    return (*(row["id"] for row in rows), *(alias for row in rows for alias in row["aliases"]))


def _read(name: str, catalog: Catalog | None, depth: int) -> Architecture:
    """An architecture from a file or a folder."""
    path = Path(name)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(Problem("a folder without a config.json", where=name))
        path = path / "config.json"
    if is_gguf(path):
        return held_to_tensors(build(configuration(path), name=path.stem, source=f"{path}, its header"), path)
    document = _document(path)
    if not isinstance(document.value, dict):
        raise InputError(Problem("expected the keys of a model configuration", where=str(path)))
    if "like" in document.value:
        return _like(document, path, catalog, depth)
    config, source, place = document.value, str(path), _place(document)
    said = said_beside(path, config)
    if said is None:
        return build(config, name=_title(path), source=source, place=place)
    more, file = said
    return build({**config, **more}, name=_title(path), source=f"{source}; {file}", place=_or_file(place, file))


def _or_file(place: Place, file: str) -> Place:
    """Where a key stands: those of the quantisation are in a file of their own."""
    return lambda path: file if path.partition(".")[0] == "quantization_config" else place(path)


def _document(path: Path) -> Document:
    """YAML, or JSON that is not YAML too (tabs); JSON read as YAML tells the place of every key, but takes long."""
    if path.suffix == ".json" and path.is_file() and path.stat().st_size > PLACED:
        return read_json(path, limit=LARGEST)
    try:
        return read_yaml(path)
    except InputError:
        if path.suffix != ".json":
            raise
        return read_json(path, limit=LARGEST)


def _title(path: Path) -> str:
    """What a model without a name is called: its folder, or its file."""
    return path.parent.resolve().name if path.name == "config.json" else path.stem


def _place(document: Document) -> Place:
    """Where a key of a document stands."""
    return lambda path: document.place(tuple(path.split(".")), key=True)


def _like(document: Document, path: Path, catalog: Catalog | None, depth: int) -> Architecture:
    """A file that changes sizes of another model."""
    changes = dict(document.value)
    base = changes.pop("like")
    if not isinstance(base, str):
        raise InputError(Problem("expected the name of a model", _place(document)("like"), "like"))
    if depth >= DEEPEST:
        raise InputError(Problem(f"more than {DEEPEST} files build on one another", _place(document)("like"), "like"))
    beside = path.parent / base
    start = _load(str(beside) if _is_path(str(beside)) and beside.suffix else base, catalog, depth + 1)
    return derive(start, _places=_place(document), _name=_title(path), **changes)


def derive(
    arch: Architecture, *, _places: Place | None = None, _name: str | None = None, **changes: object
) -> Architecture:
    """`arch` with some sizes changed: `derive(v3, layers=80, experts=384)`.

    Keys: layers, hidden, heads, kv_heads, head_dim, ffn, experts, expert_ffn, top_k, shared_experts, dense_layers,
    vocab, context, window, mtp, name, precision, expert_precision; also any key that the model's configuration has.
    Lists of one entry a layer are shortened or continued in their rhythm. Raises `InputError` with every problem.
    """
    place = _places or (lambda path: "")
    problems: list[Problem] = []
    own: dict[str, str] = {}
    for key in [key for key in OWN if key in changes]:
        value = changes.pop(key)
        if isinstance(value, str):
            own[key] = value
        else:
            problems.append(Problem(f"expected a word, got {value!r}"[:90], place(key), key))
    config = change(arch.config, changes, problems, place)
    if problems:
        raise InputError(problems)
    shown = ", ".join(f"{key} {value}" for key, value in changes.items())
    name = own.pop("name", None) or _name or f"{arch.name} with {shown}"[:120]
    made = build(config, name=name, source=f"{arch.source}; changed: {shown}", place=place)
    return set_over(made, own)


def set_over(arch: Architecture, own: Mapping[str, str]) -> Architecture:
    """The architecture with a title, or formats of its weights, that somebody sets over what its configuration says."""
    made = replace(arch, title=own.get("title", arch.title))
    if not own.keys() & {"precision", "expert_precision"}:
        return made
    linear = own.get("precision", made.precision)
    experts = own.get("expert_precision", made.expert_precision)
    release = uniform(linear, experts, made.release.plain)
    return replace(made, precision=linear, expert_precision=experts, release=release)


def build(config: Mapping[str, object], *, name: str, source: str = "", place: Place | None = None) -> Architecture:
    """A configuration with the keys of a Hugging Face config.json -> `Architecture`."""
    problems: list[Problem] = []
    outer = ConfigReader(config, problems, place or (lambda path: ""))
    inner, kind = language(outer)
    body = FAMILIES[kind](inner)
    relations.check(inner)
    towers, left_out = encoders(outer)
    tied = outer.flag("tie_word_embeddings") if inner is not outer and not inner.has("tie_word_embeddings") else None
    plain, scheme = plain_of(outer, inner), scheme_of(outer, inner, len(body.layers))
    if problems:
        raise InputError(problems, hint=f"read as model_type {kind}")
    if tied is not None:
        body = replace(body, tied=tied)
    blocks, layers = _grouped(body)
    made = Architecture(
        name=name,
        title=name.rsplit("/", 1)[-1],
        model_type=kind,
        hidden=body.hidden,
        vocab=body.vocab,
        blocks=blocks,
        layers=layers,
        tied=body.tied,
        mtp=body.mtp,
        mtp_tables=body.mtp_tables,
        final_norm=body.final_norm,
        final_extras=body.final_extras,
        head_bias=body.head_bias,
        context=body.context,
        native_context=body.native_context or body.context,
        left_out=left_out,
        encoders=towers,
        embeddings=body.embeddings,
        source=source,
        config=dict(config),
    )
    release = release_of(made, scheme, plain)
    linear, experts = names_of(release)
    return replace(made, precision=linear, expert_precision=experts, release=release)


def _grouped(body: Body) -> tuple[tuple[Block, ...], tuple[int, ...]]:
    """Layers gathered into blocks of like ones, and the block of each layer."""
    kinds: dict[Block, int] = {}
    layers = tuple(kinds.setdefault(block, len(kinds)) for block in body.layers)
    return tuple(replace(block, count=layers.count(number)) for block, number in kinds.items()), layers
