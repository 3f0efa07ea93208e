"""What the code is held to, read from its text with `ast`: each check takes files and returns what it finds, sorted.

`python tests/structure.py` prints what is found now, as `LEFT` of test_structure.py holds it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src" / "tonnage"
PACKAGE = "tonnage"

Files = Mapping[str, str]
"""Text of each file by its path below the package, such as `serve/job.py`."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def read(root: Path = ROOT) -> dict[str, str]:
    """All files of the package."""
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.py"))}


def trees(files: Files) -> Iterator[tuple[str, ast.Module]]:
    for path, text in sorted(files.items()):
        yield path, ast.parse(text)


def room(path: str) -> str:
    """`serve/job.py` -> `serve`; a file that stands in no room is one of its own."""
    return path.partition("/")[0].removesuffix(".py")


# ---------------------------------------------------------------- one name, one class


def twice_named(files: Files) -> list[str]:
    """Classes of one name: `Case: serve/case.py, truth/cases.py`."""
    found: dict[str, list[str]] = defaultdict(list)
    for path, tree in trees(files):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(path)
    return sorted(f"{name}: {', '.join(paths)}" for name, paths in found.items() if len(paths) > 1)


# ---------------------------------------------------------------- no circle


def circles(files: Files) -> list[str]:
    """Sets of files that import one another, also from within functions, but for what only a type checker sees."""
    arrows = imports(files)
    reach = {name: _reached(name, arrows) for name in arrows}
    found = set()
    for name in arrows:
        if name in reach[name]:
            found.add(frozenset(other for other in reach[name] if name in reach[other]))
    return sorted(" <-> ".join(sorted(circle)) for circle in found)


def imports(files: Files) -> dict[str, set[str]]:
    """File -> files that it imports by name. That a module's package is loaded before it is left out."""
    paths = {_module(path): path for path in files}
    bound = {_module(path): _bound(ast.parse(text)) for path, text in files.items() if path.endswith("__init__.py")}
    return {path: set(_imported(tree, paths, bound)) for path, tree in trees(files)}


def _module(path: str) -> str:
    parts = [PACKAGE, *path.removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _bound(tree: ast.Module) -> set[str]:
    """Names that a package's own file imports or defines, which its modules of the same name do not replace."""
    names = set()
    for node in running(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
    return names


def _imported(tree: ast.Module, paths: Mapping[str, str], bound: Mapping[str, set[str]]) -> Iterator[str]:
    for node in running(tree):
        if isinstance(node, ast.Import):
            yield from (paths[alias.name] for alias in node.names if alias.name in paths)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                inner = whole in paths and alias.name not in bound.get(node.module, ())
                target = whole if inner else node.module
                if target in paths:
                    yield paths[target]


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker runs; a room that is `opened` when asked runs them too."""
    if isinstance(tree, ast.Module) and any(_opens(node) for node in tree.body):
        yield from ast.walk(tree)
        return
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _checking(node.test):
            for other in node.orelse:
                yield other
                yield from running(other)
            continue
        yield node
        yield from running(node)


def _opens(node: ast.stmt) -> bool:
    """Whether it is `opened(__name__, {...})` of `tonnage.lazily`."""
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith("opened(__name__, ")


def _checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _reached(start: str, arrows: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    ahead = list(arrows[start])
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += arrows[name]
    return seen


# ---------------------------------------------------------------- types that say something

TYPED = ("model", "system", "layout", "train", "serve", "fleet")
"""Rooms in which public names have types."""


def anys(files: Files) -> list[str]:
    """`Any` in public signatures and fields, `serve/plan.py plan(job)`, and names for it, `model/operators.py Numbers`.

    A name for a type with `Any` in it is found once, where it is defined, not where it is used; one
    of another room is found when these rooms import it.
    """
    found: set[str] = set()
    aliases = {path: set(_aliases(tree, _names_of_any(tree))) for path, tree in trees(files)}
    taken: dict[str, set[str]] = defaultdict(set)
    for path, tree in trees(files):
        if room(path) in TYPED:
            taken[path] |= aliases[path]
            found |= {f"{path} {what}" for what in _signatures(tree, _names_of_any(tree))}
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module:
                    taken[node.module] |= {alias.name for alias in node.names}
    for path in aliases:
        found |= {f"{path} {name}" for name in aliases[path] & (taken[path] | taken[_module(path)])}
    return sorted(found)


def _signatures(tree: ast.Module, names: set[str]) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _loose(node, "", names)
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _members(node, names)


def _names_of_any(tree: ast.Module) -> set[str]:
    names = {"typing.Any"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "typing":
            names |= {alias.asname or alias.name for alias in node.names if alias.name == "Any"}
        elif isinstance(node, ast.Import):
            names |= {f"{alias.asname}.Any" for alias in node.names if alias.name == "typing" and alias.asname}
    return names


def _aliases(tree: ast.Module, names: set[str]) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and _is_type(node.value) and _has_any(node.value, names):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            declared = ast.unparse(node.annotation).endswith("TypeAlias")
            yield from [node.target.id] if declared and _has_any(node.value, names) else ()


def _is_type(value: ast.expr) -> bool:
    """Whether an assigned value can be a type: `Any`, `dict[str, Any]`, `float | Any`."""
    return isinstance(value, (ast.Name, ast.Attribute, ast.Subscript, ast.BinOp))


def _members(owner: ast.ClassDef, names: set[str]) -> Iterator[str]:
    for node in owner.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _loose(node, f"{owner.name}.", names)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if not node.target.id.startswith("_") and _has_any(node.annotation, names):
                yield f"{owner.name}.{node.target.id}"
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from (f"{owner.name}.{what}" for what in _members(node, names))


def _loose(function: Function, owner: str, names: set[str]) -> Iterator[str]:
    if function.name.startswith("_") and not function.name.endswith("__"):
        return
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    loose = [one.arg for one in every if _has_any(one.annotation, names)]
    yield from (f"{owner}{function.name}({name})" for name in loose)
    if _has_any(function.returns, names):
        yield f"{owner}{function.name} ->"


def _has_any(annotation: ast.expr | None, names: set[str]) -> bool:
    if annotation is None:
        return False
    for node in ast.walk(annotation):
        if isinstance(node, (ast.Name, ast.Attribute)) and ast.unparse(node) in names:
            return True
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _quoted(node.value, names):
            return True
    return False


def _quoted(text: str, names: set[str]) -> bool:
    try:
        return _has_any(ast.parse(text, mode="eval").body, names)
    except SyntaxError:
        return False


# ---------------------------------------------------------------- nothing decided by a part of a name

NAMES = ("chip", "vendor", "framework")
"""Variables and attributes that name something; `.name` of anything but a path does too."""

PARTS = ("startswith", "endswith", "partition", "rpartition", "split", "rsplit", "find", "rfind", "index", "rindex")
PARTS = (*PARTS, "removeprefix", "removesuffix")
CASES = ("lower", "upper", "casefold", "strip", "replace", "title")
PATTERNS = ("match", "search", "fullmatch", "findall", "split", "sub", "fnmatch", "fnmatchcase")


def by_part_of_name(files: Files) -> list[str]:
    """Tests of a part of a name, `serve/memory.py: 'a100' not in die.name`."""
    found: set[str] = set()
    for path, tree in trees(files):
        for scope in _scopes(tree):
            held = _holding(scope)
            for node in _own(scope):
                if _takes_part(node, held):
                    found.add(f"{path}: {_one_line(node)}")
    return sorted(found)


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    yield tree
    yield from (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a scope, without those of the functions in it."""
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node
            yield from _own(node)


def _holding(scope: ast.AST) -> set[str]:
    """Variables that hold a name because it was assigned to them."""
    held: set[str] = set()
    for node in _own(scope):
        if isinstance(node, ast.Assign) and _is_name(node.value, held):
            held |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return held


def _is_name(node: ast.AST, held: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in NAMES or node.id in held
    if isinstance(node, ast.Attribute):
        return node.attr in NAMES or (node.attr == "name" and not _is_path(node.value))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CASES:
        return _is_name(node.func.value, held)
    return isinstance(node, ast.BoolOp) and any(_is_name(value, held) for value in node.values)


def _is_path(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("path", "folder", "file")


def _takes_part(node: ast.AST, held: set[str]) -> bool:
    if isinstance(node, ast.Compare):
        sides = zip((node.left, *node.comparators), node.ops, node.comparators, strict=False)
        if any(isinstance(op, (ast.In, ast.NotIn)) and _within(left, right, held) for left, op, right in sides):
            return True
        return any(_is_slice(side, held) for side in (node.left, *node.comparators))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in PARTS and _is_name(node.func.value, held):
            return True
        return node.func.attr in PATTERNS and any(_is_name(given, held) for given in node.args)
    return False


def _within(left: ast.expr, right: ast.expr, held: set[str]) -> bool:
    """Whether a text is looked for in a name. A whole vendor, looked up in a table `vendor`, is not."""
    whole = isinstance(left, ast.Attribute) and left.attr in NAMES
    return _is_name(right, held) and not whole


def _is_slice(node: ast.expr, held: set[str]) -> bool:
    return isinstance(node, ast.Subscript) and _is_name(node.value, held)


def _one_line(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


# ---------------------------------------------------------------- small files, small functions

FILE, FUNCTION = 600, 80
"""Lines under which a file and a function stay."""


def long(files: Files) -> list[str]:
    """Files and functions of too many lines; docstrings of functions are not counted."""
    found = []
    for path, tree in trees(files):
        lines = len(files[path].splitlines())
        if lines >= FILE:
            found.append(f"{path}: {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                size = _lines(node) - (_lines(node.body[0]) if ast.get_docstring(node) is not None else 0)
                if size >= FUNCTION:
                    found.append(f"{path} {node.name}: {size} lines")
    return sorted(found)


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


# ---------------------------------------------------------------- flags belong to the command line

FACES = ("web", "cli", "report", "run", "ask")
"""Rooms that may speak of our flags. All others are a library, which is also called without a command line."""

ENGINES = ("export/", "serve/launch.py")
"""Where the flags of serving engines and training frameworks are written."""


def flags(files: Files) -> set[str]:
    """Flags of the verbs: arguments of the function that has a file's name, fields of what `Parameter` decorates and of
    what that is made from.
    """
    asked = [(path, tree) for path, tree in trees(files) if room(path) in ("cli", "ask")]
    classes = {node.name: node for _, tree in asked for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    found: set[str] = set()
    for path, tree in asked:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and room(path) == "cli" and node.name == Path(path).stem:
                given = [*node.args.args, *node.args.kwonlyargs]
                found |= {flag for one in given for flag in _flag(one.arg, one.annotation)}
    for node in classes.values():
        if any("Parameter" in ast.unparse(decorator) for decorator in node.decorator_list):
            bases = [classes[name] for name in map(ast.unparse, node.bases) if name in classes]
            parts = (part for held in (*bases, node) for part in held.body if isinstance(part, ast.AnnAssign))
            own = {ast.unparse(part.target): part.annotation for part in parts}
            found |= {flag for name, annotation in own.items() for flag in _flag(name, annotation)}
    return found


def _flag(name: str, annotation: ast.expr | None) -> Iterator[str]:
    """Those that `Parameter(name=...)` says, else the argument's own name."""
    said: list[str] = []
    for node in ast.walk(annotation) if annotation else ():
        if isinstance(node, ast.keyword) and node.arg == "name":
            said += [part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant)]
    yield from said or ["--" + name.replace("_", "-")]


def own_flags(files: Files) -> list[str]:
    """Our flags in text that the library writes, `serve/job.py --isl`. Docstrings may speak of them."""
    ours = {flag for flag in flags(files) if flag.startswith("--")}
    found: set[str] = set()
    for path, tree in trees(files):
        if room(path) in FACES or path.startswith(ENGINES):
            continue
        for text in _texts(tree):
            found |= {f"{path} {flag}" for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text) if flag in ours}
    return sorted(found)


def _texts(tree: ast.Module) -> Iterator[str]:
    """Texts of a file that are not docstrings (those of constants are bare expressions too)."""
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.value


# ---------------------------------------------------------------- dependencies


def outside(files: Files) -> set[str]:
    """Top-level names of all that is imported, also within functions, but for what only a type checker sees."""
    found: set[str] = set()
    for _, tree in trees(files):
        for node in running(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found


CHECKS: dict[str, Callable[[Files], list[str]]] = {
    "anys": anys,
    "by_part_of_name": by_part_of_name,
    "circles": circles,
    "long": long,
    "own_flags": own_flags,
    "twice_named": twice_named,
}
"""Each check by name."""


def show(found: Mapping[str, Iterable[str]]) -> str:
    """Findings as the constant of the test is written."""
    lines = ["LEFT: dict[str, list[str]] = {"]
    for name, items in found.items():
        inner = [f"        {item!r}," for item in items]
        lines += [f'    "{name}": [', *inner, "    ],"] if inner else [f'    "{name}": [],']
    return "\n".join([*lines, "}"])


if __name__ == "__main__":
    every = read()
    sys.stdout.write(show({name: check(every) for name, check in CHECKS.items()}) + "\n")
