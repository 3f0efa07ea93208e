"""A launch file -> the question that it puts: which model, on what, cut how, under which limits."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tonnage.catalog import Catalog
from tonnage.errors import InputError, Problem, nearest
from tonnage.files import LIMIT, parse_yaml, read_text
from tonnage.files import Node as FileNode
from tonnage.launchfile import pycode, serving, training
from tonnage.launchfile.command import start_of
from tonnage.launchfile.containers import dockerfile, fenced, unit
from tonnage.launchfile.modelname import Named, named, sized
from tonnage.launchfile.names import SERVING, TRAINING, texts
from tonnage.launchfile.remark import Remark, remark_of, with_remark
from tonnage.launchfile.script import STARTING, Script, Variables, commands
from tonnage.launchfile.sorting import Sorted, sort, told
from tonnage.launchfile.tree import Around, Tree, config_engine
from tonnage.launchfile.value import EngineStart, Said, Word, Written
from tonnage.units import parse_fleet

DOCUMENTS = 100
"""Most documents of one YAML file that are read."""


def read(
    path: str | Path, catalog: Catalog, *, on: Sequence[str] = (), model: str | None = None, train: bool = False
) -> Written:
    """What a file asks. `FILE::NAME`: of several functions, the one of that name.

    on, model: what the user says beside it. Raises `InputError` with every problem and its line.
    """
    name, _, chosen = str(path).partition("::")
    remark = remark_of(read_text(name, LIMIT))
    kinds = TRAINING if train else SERVING
    remark = remark if remark is not None and (remark.command == "train") == train else None
    found = starts(name, chosen)
    if remark is not None and remark.files:
        found = [*pooled(name, found), *_beside(name, remark)]
    fit = [one for one in found if one.engine in kinds]
    if remark is not None:
        model, on = model or remark.model, on or _asked_on(remark, fit, train=train)
        if not fit and train:
            return with_remark(Written(name, "tonnage run", model, " + ".join(on), {}), remark)
    if not fit:
        other = next((one for one in found if one.engine in TRAINING or one.engine in SERVING), None)
        if other is not None:
            verb = "train" if other.engine in TRAINING else "serve"
            raise InputError(Problem(f"is of {other.engine}: ask `tonnage {verb}`", where=other.where))
        known = ", ".join(kinds)
        raise InputError(Problem(f"starts none of {known} that could be read", where=name))
    bench = [one for one in found if one.engine == "bench"]
    asked = _training(name, fit, catalog, on, model) if train else _serving(name, fit, bench, catalog, on, model)
    if remark is None:
        return asked
    return with_remark(asked if asked.on is not None else replace(asked, on=" + ".join(on) or None), remark)


def _beside(name: str, remark: Remark | None) -> list[EngineStart]:
    """Starts in the other files of an exported plan."""
    names = () if remark is None else remark.files
    paths = [Path(name).parent / one for one in names if one != Path(name).name]
    return [start for path in paths if path.is_file() for start in pooled(str(path), starts(str(path)))]


def pooled(name: str, found: Sequence[EngineStart]) -> list[EngineStart]:
    """Starts of a file that is named after its pool."""
    part = Path(name).stem
    named_ = part in ("prefill", "decode")
    return [replace(one, part=part) if named_ and not one.part else one for one in found]


def _asked_on(remark: Remark, found: Sequence[EngineStart], *, train: bool) -> tuple[str, ...]:
    """Chips as they were asked for; as many more or fewer as the file says by now."""
    said = remark.words.get("on")
    if not isinstance(said, str):
        return ()
    now, then = said_count(found, train=train), remark.reads.get("count")
    if " + " in said:
        return tuple(said.split(" + "))
    if now is not None and isinstance(then, str) and then.isdigit() and int(then) and now != int(then):
        count, chip = _fleet(said)
        return (f"{count * now // int(then)}x{chip}",)
    return (said,)


def _fleet(text: str) -> tuple[int, str]:
    """Number and chip, as somebody wrote them. Raises InputError."""
    try:
        return parse_fleet(text)
    except ValueError as error:
        raise InputError(Problem(str(error), path="on")) from None


def said_count(found: Sequence[EngineStart], *, train: bool) -> int | None:
    """Ranks that starts say by themselves."""
    if not found:
        return None
    if train:
        return training.run(found[0], None, None).count
    return sum(one.count for one in serving.merged([serving.instance(one) for one in found])[0])


def starts(name: str, chosen: str = "") -> list[EngineStart]:
    """Every start of an engine in a file."""
    text = read_text(name, LIMIT)
    ending = Path(name).suffix.lower()
    if ending == ".py":
        return _python(text, name, chosen)
    if ending in (".yaml", ".yml", ".json", ".toml") or (ending not in SCRIPTS or _manifest(text)):
        return _documents(text, name, ending)
    script = _script(text, Path(name))
    found = [made for made in (start_of(one, name) for one in script.commands) if made is not None]
    return [_with_config(one, script.files, name) for one in found]


def _script(text: str, path: Path) -> Script:
    """A script; or what a Dockerfile, a unit of systemd or a text in Markdown would start."""
    if path.suffix.lower() == ".md":
        return commands(fenced(text))
    if path.suffix.lower() in (".service", ".container"):
        held = unit(text)
        return commands(held[0], held[2], held[1]) if held is not None else Script()
    if path.name.lower().startswith(("dockerfile", "containerfile")) or path.suffix.lower() == ".dockerfile":
        recipe = dockerfile(text)
        script = Script(Variables({**(recipe.env or {})}), image=recipe.image)
        words = recipe.started().words
        if words:
            script.carried_out(list(words))
        return script
    return commands(text)


SCRIPTS = (
    ".sh",
    ".bash",
    ".sub",
    ".sbatch",
    ".slurm",
    ".txt",
    ".md",
    ".service",
    ".container",
    ".shell",
    ".dockerfile",
    "",
)
"""Endings of files that are not YAML unless they begin as it does."""


def _manifest(text: str) -> bool:
    """Whether a text without an ending is YAML or JSON: it begins with a key or a bracket."""
    first = next((row for row in text.splitlines() if row.strip() and not row.lstrip().startswith("#")), "")
    return bool(re.match(r"[\w-]+:(\s|$)|\{", first))


def _with_config(start: EngineStart, files: Mapping[str, tuple[str, int]], name: str) -> EngineStart:
    """With the settings of the file that `--config` names: one that the script writes, or one beside it."""
    from tonnage.launchfile.names import names

    own = names(start.engine)
    said = next((one for one in start.said if own.meaning(one.name) == "config" and isinstance(one.value, str)), None)
    if said is None:
        return start
    file = Path(str(said.value)).name
    text, line, where = "", 1, name
    if file in files:
        text, line = files[file]
    elif (beside := Path(name).parent / file).is_file():
        text, where = read_text(beside, LIMIT), str(beside)
    else:
        return start
    more = [one for start_ in _settings(text, where, Path(file).suffix, line) for one in start_]
    return replace(start, said=(*more, *start.said))


def _settings(text: str, name: str, ending: str, line: int = 1) -> list[list[Said]]:
    found = []
    for value, places in _values(text, name, ending, line):
        if isinstance(value, dict):
            found.append(Tree(name, places).said(value, ()))
    return found


def _python(text: str, name: str, chosen: str) -> list[EngineStart]:
    found, by, ray = pycode.starts(text, name)
    tree = Tree(name, {})
    found += [one for each in ray for one in tree.starts(each, Around())]
    found += [] if found else _commanded(text, name)
    if found:
        return found
    made: list[EngineStart] = []
    for function, said in by.items():
        engine = config_engine(said)
        if engine is not None and (not chosen or function == chosen):
            made.append(EngineStart(engine, tuple(said), said[0].where))
    if chosen and not made:
        problem = Problem(f'no settings in a function "{chosen[:60]}"', where=name, suggestion=nearest(chosen, by))
        raise InputError(problem)
    return made


def _commanded(text: str, name: str) -> list[EngineStart]:
    """Engines that a program starts by a command."""
    script = Script()
    for given, line in pycode.commands(pycode.parsed(text, name)):
        if isinstance(given, str) and STARTING.search(given):
            script.read(given, line)
        elif isinstance(given, list) and len(given) > 1:
            script.carried_out([Word(word, line) for word in given])
    return [made for made in (start_of(one, name) for one in script.commands) if made is not None]


def _documents(text: str, name: str, ending: str) -> list[EngineStart]:
    found: list[EngineStart] = []
    for value, places in _values(text, name, ending):
        tree = Tree(name, places)
        below = list(tree.starts(value, Around()))
        if not below and isinstance(value, dict):
            said = tree.said(value, ())
            engine = config_engine(said)
            below = [EngineStart(engine, tuple(said), name)] if engine is not None else []
        found += below
    return found


Places = dict[tuple[str | int, ...], str]


def _values(text: str, name: str, ending: str, line: int = 1) -> list[tuple[object, Places]]:
    """The documents of a text, with where everything in them stands."""
    if ending == ".toml":
        try:
            return [(tomllib.loads(text), _toml_places(text, name))]
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            found = re.search(r"line (\d+)", str(error))
            raise InputError(Problem("is not TOML that can be read", f"{name}:{found[1] if found else 1}")) from None
    text = re.sub(r"\{\{.*?\}\}", "TEMPLATE", text)
    parts = re.split(r"(?m)^---.*$", text)[:DOCUMENTS]
    made: list[tuple[object, Places]] = []
    before = line - 1
    for part in parts:
        if part.strip():
            document = parse_yaml("\n" * before + part, name)
            places: Places = {}
            _placed(document.root, (), places)
            made.append((document.value, places))
        before += part.count("\n")
    return made


def _placed(node: FileNode, path: tuple[str | int, ...], places: Places) -> None:
    places[path] = node.where
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            _placed(child, (*path, str(key)), places)
            if node.keys and str(key) in node.keys:
                places[(*path, str(key))] = node.keys[str(key)]
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            _placed(child, (*path, index), places)


def _toml_places(text: str, name: str) -> Places:
    """Lines of the keys of a TOML file."""
    places: Places = {}
    section: tuple[str, ...] = ()
    for number, row in enumerate(text.splitlines(), 1):
        if head := re.match(r"\s*\[+([\w.\- \"]+)\]", row):
            section = tuple(part.strip(' "') for part in head[1].split("."))
        elif key := re.match(r"\s*([\w-]+)\s*=", row):
            places[(*section, key[1])] = f"{name}:{number}"
    return places


def _chip(found: Sequence[EngineStart], catalog: Catalog) -> str | None:
    """The accelerator that a file names, as the catalogue's."""
    said = next((one.chip for one in found if one.chip), None)
    if said is None:
        return None
    name = texts("accelerators").get(said.lower(), said.lower())
    try:
        catalog.chip(name, "on")
    except InputError:
        return None
    return name


def _on(given: Sequence[str], count: int | None, chip: str | None, name: str, problems: list[Problem]) -> str | None:
    """Chips of the question; what is missing is said."""
    if given:
        return None
    if count is not None and chip is not None:
        return f"{count}x{chip}"
    many = f"{count}x" if count is not None else "N x "
    what = "which accelerators" if chip is None else "how many accelerators"
    example = f"{many}h100-sxm" if chip is None else f"8x{chip}"
    problems.append(Problem(f"does not say {what}: add `on`, such as {example.replace(' ', '')}", where=name))
    return None


def _model(
    said: str | None, where: str, given: str | None, catalog: Catalog, problems: list[Problem], sizes: Named | None
) -> Named | None:
    if given is not None:
        return Named(given)
    found = None if said is None else named(said, catalog)
    if found is None:
        found = sizes
    if found is not None:
        return found
    if said is None or "$" in said:
        problems.append(Problem("does not say which model: name it before `launch_file`", where=where))
    else:
        known = nearest(said, catalog.models())
        message = f'no model named "{said[:80]}": name one that is known, or its config.json, before `launch_file`'
        problems.append(Problem(message, where=where, suggestion=known))
    return None


def _serving(
    name: str,
    found: Sequence[EngineStart],
    bench: Sequence[EngineStart],
    catalog: Catalog,
    on: Sequence[str],
    model: str | None,
) -> Written:
    made, others = serving.merged([serving.instance(one) for one in found])
    engine = made[-1].sorted.engine
    problems = [problem for one in made for problem in one.sorted.problems]
    said = next((one.sorted.by["model"] for one in made if "model" in one.sorted.by), None)
    text = None if said is None else str(said.value)
    served = next((one.sorted.text("served") for one in made if "served" in one.sorted.by), None)
    meant = _model(text, said.where if said else found[0].where, model, catalog, problems, _served(served, catalog))
    notes = [f"{len(found)} starts of an engine in the file; read is {found[0].where}"] if others else []
    notes += [note for one in made for note in one.notes]
    count = sum(one.count for one in made)
    words: dict[str, str | bool] = {**made[-1].words}
    if meant is not None:
        notes += list(meant.notes)
        if meant.weights is not None:
            words.setdefault("weights", meant.weights)
    experts = meant is not None and meant.moe(catalog)
    words["layout"] = serving.layout_text(_copied(made, on), experts=experts)
    if len(made) == 2:
        words |= {"mode": "disaggregated", "prefill_layout": serving.layout_text(made[0].degrees, experts=experts)}
    elif made[0].part:
        words["mode"] = made[0].part
    words["engine"] = _versioned(engine, found)
    words |= _workload(bench, words)
    chosen = _on(on, count, _chip(found, catalog), name, problems)
    if problems:
        raise InputError(problems)
    sorts = [one.sorted for one in made]
    return Written(name, engine, meant.model if meant else None, chosen, words, tuple(notes), *_left(sorts), count)


def _served(name: str | None, catalog: Catalog) -> Named | None:
    """The model by the name under which it is served, where its own is a path that says nothing."""
    found = named(name, catalog) if name else None
    if found is None:
        return None
    return replace(found, notes=(f"the model by the name under which it is served: {name}", *found.notes))


def _copied(made: Sequence[serving.WrittenInstance], on: Sequence[str]) -> Mapping[str, int]:
    """Degrees of an instance, with whole copies of it as data parallel."""
    one = made[-1]
    count = _fleet(on[0])[0] if len(on) == 1 else one.count
    copies = count // one.ranks if len(made) == 1 and count % one.ranks == 0 else 1
    return {**one.degrees, "dp": one.degrees["dp"] * copies}


def _versioned(engine: str, found: Sequence[EngineStart]) -> str:
    """The engine with its version, where an image says one."""
    version = next((one.version for one in found if one.version), None)
    return f"{engine}@{version}" if version else engine


def _workload(bench: Sequence[EngineStart], words: Mapping[str, str | bool]) -> dict[str, str]:
    """Lengths and load of a benchmark in the same file; lengths that fit into the longest sequence otherwise."""
    found: dict[str, str] = {}
    if bench:
        said = sort("bench", bench[0].said)
        for meaning in ("isl", "osl", "concurrency"):
            value = said.whole(meaning)
            if value is not None:
                found[meaning] = str(value)
        rate = said.number("rate")
        if rate is not None and 0 < rate < 1e6 and "concurrency" not in found:
            found["rate"] = f"{rate:g}/s"
    context = int(str(words.get("context", 0)))
    if not found and 0 < context < USUAL:
        found = {"isl": str(max(context * 4 // 5, 1)), "osl": str(max(context // 5, 1))}
    return found


USUAL = 5_000
"""Tokens of the request that is asked for where nobody says which: 4k and 1k."""


def _left(sorts: Sequence[Sorted]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(settings that are not priced, settings that the engine does not have)."""
    unpriced = dict.fromkeys(told(one, each.engine) for each in sorts for one in each.unpriced)
    strange = dict.fromkeys(told(one, each.engine) for each in sorts for one in each.strange)
    return tuple(unpriced), tuple(strange)


def _training(
    name: str, found: Sequence[EngineStart], catalog: Catalog, on: Sequence[str], model: str | None
) -> Written:
    start = found[0]
    problems: list[Problem] = []
    first = training.run(start, None, None)
    by = first.sorted.by
    said = next((by[key] for key in ("model", "recipe_name", "tokenizer", "flavor", "module") if key in by), None)
    sizes = sized({key: first.sorted.whole(key) for key in SIZES}, catalog)
    order = [str(by[key].value) for key in ("model", "recipe_name", "tokenizer") if key in by]
    text = next((one for one in order if named(one, catalog) is not None), order[0] if order else None)
    meant = _model(text, said.where if said else start.where, model, catalog, problems, sizes)
    fleet = _fleet(on[0]) if len(on) == 1 else None
    layers = meant.layers(catalog) if meant is not None else None
    made = training.run(start, layers, fleet[0] * _dies(fleet[1], catalog) if fleet else None)
    problems += made.sorted.problems
    chosen = _on(on, made.count, _chip(found, catalog), name, problems)
    if problems:
        raise InputError(dict.fromkeys(problems))
    notes = [*(meant.notes if meant else ()), *made.notes]
    if len(found) > 1:
        notes.append(f"{len(found)} starts in the file; read is {start.where}")
    experts = meant is not None and meant.moe(catalog)
    layout = {k: v for k, v in made.layout.items() if experts or k not in ("ep", "etp")}
    text = ",".join(f"{k}={v}" if isinstance(v, str) else f"{k}{v}" for k, v in layout.items())
    words: dict[str, str | bool] = {**made.words, "layout": text}
    return Written(
        name,
        start.engine,
        meant.model if meant else None,
        chosen,
        words,
        tuple(notes),
        *_left([made.sorted]),
        made.count,
    )


def _dies(chip: str, catalog: Catalog) -> int:
    """Ranks of an accelerator; 1 where it is not known."""
    try:
        found = catalog.facts_of(catalog.chip(chip, "on")).get("dies")
    except InputError:
        return 1
    return 1 if found is None else int(found.number)


SIZES = ("layers", "hidden", "heads", "groups", "ffn", "experts")
"""Sizes by which a model is known that is given by its sizes alone."""
