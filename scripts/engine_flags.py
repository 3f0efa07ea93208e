"""Draw the tables of flags that serving engines take from their published wheels: `src/tonnage/export/data/`.

    pip download sglang==0.5.23 --no-deps; pip download vllm==0.33.0 --no-deps
    python scripts/engine_flags.py sglang-0.5.23-*.whl vllm-0.33.0-*.whl

    python scripts/engine_flags.py TensorRT-LLM/tests/unittest/api_stability COMMIT DAY
    python scripts/engine_flags.py keys-vllm-ascend.json

TensorRT-LLM has no wheel that installs without its index: its fields are those of the stability tests of its interface
(references and references_committed). vLLM Ascend's keys of `--additional-config` are those of a list of its source.

The wheels are read by `ast`, nothing of them is imported or run. Of each flag: its names, and what it takes (`flag`,
`on/off`, `int`, `float`, `str`, `json` or `choice`), its choices, and the keys of objects written as JSON.
"""

from __future__ import annotations

import ast
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ruamel.yaml import YAML

DATA = Path(__file__).parent.parent / "src" / "tonnage" / "export" / "data"
PLAIN = {"int": "int", "float": "float", "str": "str", "bool": "bool"}

Tree = ast.Module | ast.ClassDef


def trees(wheel: Path, under: tuple[str, ...]) -> dict[str, ast.Module]:
    """The modules of a wheel below some paths."""
    with zipfile.ZipFile(wheel) as held:
        names = [name for name in held.namelist() if name.endswith(".py") and name.startswith(under)]
        return {name: ast.parse(held.read(name)) for name in names}


def assigned(modules: Mapping[str, ast.Module]) -> dict[str, ast.expr]:
    """Names that modules give values to at their top."""
    found: dict[str, ast.expr] = {}
    for tree in modules.values():
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                found[node.target.id] = node.value
    return found


def classes(modules: Mapping[str, ast.Module]) -> dict[str, ast.ClassDef]:
    """Classes by name."""
    every = (node for tree in modules.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return {node.name: node for node in every}


def annotated(owner: ast.ClassDef, known: Mapping[str, ast.ClassDef]) -> dict[str, ast.expr]:
    """Fields of a class and of those that it derives from, with their annotations."""
    found: dict[str, ast.expr] = {}
    for base in owner.bases:
        if isinstance(base, ast.Name) and base.id in known:
            found |= annotated(known[base.id], known)
    for node in owner.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node.annotation
    return found


def words(node: ast.expr, names: Mapping[str, ast.expr]) -> list[object]:
    """The constants of a list, a tuple, a set, `Literal[...]` or a name for one, in order."""
    if isinstance(node, ast.Constant):
        return [node.value]
    if isinstance(node, ast.Name):
        return words(names[node.id], names) if node.id in names else []
    if isinstance(node, ast.Subscript):
        return words(node.slice, names)
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [value for each in node.elts for value in words(each, names)]
    if isinstance(node, ast.Call):
        return [value for each in node.args for value in words(each, names)]
    if isinstance(node, ast.BinOp):
        return [*words(node.left, names), *words(node.right, names)]
    return []


def unions(node: ast.expr) -> Iterator[ast.expr]:
    """The alternatives of a type but for None."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value, mode="eval").body
    if isinstance(node, ast.BinOp):
        yield from unions(node.left)
        yield from unions(node.right)
    elif isinstance(node, ast.Subscript) and name_of(node.value) in ("Optional", "Union"):
        yield from (one for each in _parts(node.slice) for one in unions(each))
    elif not (isinstance(node, ast.Constant) and node.value is None):
        yield node


def _parts(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def name_of(node: ast.expr | None) -> str:
    """The last part of a name."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def taken(kind: ast.expr, names: Mapping[str, ast.expr], known: Mapping[str, ast.ClassDef]) -> dict[str, object]:
    """What a flag of a type takes."""
    every = list(unions(kind))
    plain = [PLAIN[name_of(one)] for one in every if name_of(one) in PLAIN]
    if "bool" in plain:
        return {"takes": "on/off"}
    for one in every:
        alias = names.get(name_of(one)) if isinstance(one, ast.Name) else one
        if isinstance(alias, ast.Subscript) and name_of(alias.value) == "Literal":
            return {"takes": "choice", "choices": words(alias, names)} if not plain else {"takes": plain[0]}
        if isinstance(one, ast.Subscript) and name_of(one.value).lower() in ("list", "tuple", "set", "sequence"):
            return {"takes": "list"}
        if name_of(one) in known and any(
            "config" in name_of(d).lower() or isinstance(d, ast.Call) for d in known[name_of(one)].decorator_list
        ):
            return {"takes": "json", "keys": sorted(annotated(known[name_of(one)], known))}
        if name_of(one if not isinstance(one, ast.Subscript) else one.value) in ("dict", "Dict"):
            return {"takes": "json"}
    return {"takes": plain[0] if plain else "str"}


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    """Keyword arguments of a call that have a name."""
    return {word.arg: word.value for word in call.keywords if word.arg}


def sglang(wheel: Path) -> dict[str, dict[str, object]]:
    """Flags of `sglang.launch_server`: fields annotated with `A[type, help or Arg(...)]`, and a few written out."""
    under = "sglang/srt/arg_groups/"
    fields, choices = trees(wheel, (under + "fields/",)), trees(wheel, (under + "choices.py",))
    names = assigned(choices)
    found: dict[str, dict[str, object]] = {}
    for tree in fields.values():
        for owner in (node for node in tree.body if isinstance(node, ast.ClassDef)):
            for field, mark in annotated(owner, {}).items():
                if isinstance(mark, ast.Subscript) and name_of(mark.value) == "A":
                    _sglang_field(found, field, _parts(mark.slice), names)
    server = trees(wheel, ("sglang/srt/server_args.py",))
    for call in _added(server["sglang/srt/server_args.py"]):
        told = keywords(call)
        takes = (
            "flag"
            if "True" in ast.dump(told.get("action", call))
            or "store_true" in ast.dump(told.get("action", ast.Constant("")))
            else name_of(told.get("type")) or "str"
        )
        found[str(words(call.args[0], {})[0])] = {"takes": takes}
    return found


def _sglang_field(
    found: dict[str, dict[str, object]], field: str, parts: list[ast.expr], names: Mapping[str, ast.expr]
) -> None:
    """A field's flag into `found`."""
    arg = next((part for part in parts[1:] if isinstance(part, ast.Call) and name_of(part.func) == "Arg"), None)
    text = any(isinstance(part, ast.Constant | ast.BinOp | ast.JoinedStr) for part in parts[1:])
    if arg is None and not text:
        return
    told = {} if arg is None else keywords(arg)
    if "no_cli" in told:
        return
    own = taken(parts[0], names, {})
    if own["takes"] == "on/off" and "action" not in told:
        own = {"takes": "flag"}
    if "action" in told and name_of(told["action"]) != "BooleanOptionalAction":
        own = {"takes": "list"} if own["takes"] == "list" or "nargs" in ast.dump(arg or parts[0]) else {"takes": "flag"}
    if "choices" in told and words(told["choices"], names):
        own = {"takes": "choice", "choices": words(told["choices"], names)}
    if "nargs" in told:
        own["takes"] = "list"
    if "type_parser" in told:
        own = {"takes": "str"}
    name = str(words(told["cli_name"], {})[0]) if "cli_name" in told else "--" + field.replace("_", "-")
    others = words(told["aliases"], {}) if "aliases" in told else []
    found[name] = {**({"names": others} if others else {}), **own}


def _added(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls of `add_argument` whose first word is a flag."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name_of(node.func) == "add_argument" and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and str(first.value).startswith("-"):
                yield node


def vllm(wheel: Path) -> dict[str, dict[str, object]]:
    """Flags of `vllm serve`: those of `EngineArgs.add_cli_args`, which take a field of a configuration, and those of
    the front end.
    """
    config = trees(
        wheel, ("vllm/config/", "vllm/engine/arg_utils.py", "vllm/v1/", "vllm/entrypoints/common/cli_args.py")
    )
    names, known = assigned(config), classes(config)
    found: dict[str, dict[str, object]] = {}
    for path in ("vllm/engine/arg_utils.py", "vllm/entrypoints/common/cli_args.py"):
        owners = _owners(config[path])
        for call in _added(config[path]):
            told = keywords(call)
            own = _field(call, owners, names, known) or _written(told)
            flags = [str(word) for arg in call.args for word in words(arg, {})]
            found[flags[0]] = {**({"names": flags[1:]} if flags[1:] else {}), **own}
    for field, kind in annotated(known["FrontendArgs"], known).items():
        found.setdefault("--" + field.replace("_", "-"), taken(kind, names, known))
    return found


def _owners(tree: ast.Module) -> dict[str, str]:
    """Which configuration `X_kwargs = get_kwargs(Configuration)` stands for."""
    found = {}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        if name_of(node.value.func) == "get_kwargs" and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = name_of(node.value.args[0])
    return found


def _field(
    call: ast.Call, owners: Mapping[str, str], names: Mapping[str, ast.expr], known: Mapping[str, ast.ClassDef]
) -> dict[str, object] | None:
    """What the field takes that a call unpacks; None where it unpacks none."""
    for node in (part for word in call.keywords if word.arg is None for part in ast.walk(word.value)):
        if isinstance(node, ast.Subscript) and name_of(node.value) in owners and isinstance(node.slice, ast.Constant):
            kinds = annotated(known[owners[name_of(node.value)]], known)
            kind = kinds.get(str(node.slice.value))
            return None if kind is None else taken(kind, names, known)
    return None


def _written(told: Mapping[str, ast.expr]) -> dict[str, object]:
    """What a flag takes that is written out."""
    action = ast.dump(told["action"]) if "action" in told else ""
    if "BooleanOptional" in action:
        return {"takes": "on/off"}
    if action and "store_true" in action:
        return {"takes": "flag"}
    if "choices" in told and words(told["choices"], {}):
        return {"takes": "choice", "choices": words(told["choices"], {})}
    return {"takes": PLAIN.get(name_of(told.get("type")), "str")}


READ = {"sglang": sglang, "vllm": vllm}


def trtllm(folder: Path, commit: str, day: str) -> dict[str, object]:
    """Fields of the YAML that `trtllm-serve --config` reads, as the stability tests of TensorRT-LLM write them down."""
    flags: dict[str, dict[str, object]] = {}
    for name in ("references_committed", "references"):
        rows = YAML(typ="safe").load((folder / name / "llm.yaml").read_text("utf-8"))
        for field, row in rows["methods"]["__init__"]["parameters"].items():
            if field not in ("model", "kwargs"):
                flags[field] = _annotated_field(str(row["annotation"]))
    source = "github.com/NVIDIA/TensorRT-LLM tests/unittest/api_stability, read by scripts/engine_flags.py"
    head = {"engine": "trtllm", "version": commit, "released": day, "source": source}
    return {**head, "flags": dict(sorted(flags.items()))}


def _annotated_field(annotation: str) -> dict[str, object]:
    """What a field of an annotation takes; one of the engine's own configurations takes an object."""
    node = ast.parse(annotation, mode="eval").body
    own = [name_of(one) for one in unions(node)]
    return {"takes": "json"} if any(name.endswith("Config") for name in own) else taken(node, {}, {})


def ascend(path: Path) -> dict[str, object]:
    """Keys of vLLM Ascend's `--additional-config`, from a list of them with its source."""
    held = json.loads(path.read_text("utf-8"))
    keys = {name: {"takes": "key"} for name in sorted(held["additional_config_keys"])}
    source = f"github.com/vllm-project/vllm-ascend {held['source']}, read by scripts/engine_flags.py"
    head = {"engine": "vllm-ascend", "version": held["commit"], "released": held["date"], "source": source}
    return {**head, "flags": keys}


def wrote(body: dict[str, object]) -> None:
    """The table of an engine, a flag a line."""
    flags = body.pop("flags")
    assert isinstance(flags, dict)
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in flags.items())
    target = DATA / f"{body['engine']}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(f'{json.dumps(body)[:-1]},\n "flags": {{\n{lines}\n}}}}\n', encoding="utf-8")
    print(f"{target.name}: {len(flags)} flags of {body['engine']} {body['version']}")


def table(wheel: Path) -> dict[str, object]:
    """The table of a wheel: engine, version, day of its files, source, flags."""
    engine, version = wheel.name.split("-")[:2]
    with zipfile.ZipFile(wheel) as held:
        day = max(
            "{:04d}-{:02d}-{:02d}".format(*one.date_time[:3]) for one in held.infolist() if one.filename.endswith(".py")
        )
    flags = READ[engine](wheel)
    source = f"wheel {engine} {version} of the Python Package Index, read by scripts/engine_flags.py"
    return {
        "engine": engine,
        "version": version,
        "released": day,
        "source": source,
        "flags": dict(sorted(flags.items())),
    }


def main(arguments: list[str]) -> int:
    """Write a table for each wheel, or for the engine whose source is given."""
    first = Path(arguments[0])
    if first.is_dir():
        wrote(trtllm(first, *arguments[1:3]))
        return 0
    for path in map(Path, arguments):
        wrote(ascend(path) if path.suffix == ".json" else table(path))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
