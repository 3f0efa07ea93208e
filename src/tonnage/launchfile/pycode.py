"""Python that starts an engine or writes its configuration, read as text (`ast`) and never executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from tonnage.errors import InputError, Problem
from tonnage.launchfile.command import inside
from tonnage.launchfile.value import EngineStart, Said

CALLS = {
    "LLM": "vllm",
    "EngineArgs": "vllm",
    "AsyncEngineArgs": "vllm",
    "AsyncLLM": "vllm",
    "Engine": "sglang",
    "ServerArgs": "sglang",
    "LlmArgs": "trtllm",
    "TorchLlmArgs": "trtllm",
    "TrtLlmArgs": "trtllm",
}
"""Calls that start an engine, or hold its settings."""

NODES = 200_000
"""Most nodes of a program that are looked at."""


def starts(text: str, name: str) -> tuple[list[EngineStart], dict[str, list[Said]], list[Mapping[str, object]]]:
    """(engines that are started, settings by the function that makes them, configurations of Ray Serve)."""
    tree = parsed(text, name)
    known: dict[str, object] = {}
    for node in tree.body:
        _remembered(node, known)
    found = [one for node in _walked(tree) if isinstance(node, ast.Call) for one in _started(node, known, name, text)]
    by: dict[str, list[Said]] = {}
    for function in [node for node in tree.body if isinstance(node, ast.FunctionDef)]:
        said = list(_said(function, dict(known), name))
        if said:
            by[function.name] = said
    loose = ast.Module([node for node in tree.body if not isinstance(node, (ast.FunctionDef, ast.ClassDef))], [])
    said = list(_said(loose, known, name))
    if said:
        by[""] = said
    ray: list[Mapping[str, object]] = [
        _keywords(node, known) for node in _walked(tree) if isinstance(node, ast.Call) and _called(node) == "LLMConfig"
    ]
    return found, by, ray


def parsed(text: str, name: str) -> ast.Module:
    """The syntax tree of a program."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        raise InputError(Problem("is not Python that can be read", where=f"{name}:{line}")) from None


def _walked(tree: ast.AST) -> Iterator[ast.AST]:
    for index, node in enumerate(ast.walk(tree)):
        if index > NODES:
            return
        yield node


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _remembered(node: ast.AST, known: dict[str, object]) -> None:
    """A variable that is set to something plain."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        known[node.targets[0].id] = _value(node.value, known)


def _value(node: ast.expr, known: Mapping[str, object], depth: int = 0) -> object:
    """A value as far as it is written; `...` where it is not."""
    if depth > 20:
        return ...
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return known.get(node.id, ...)
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item, known, depth + 1) for item in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {str(key.value): _value(item, known, depth + 1) for key, item in pairs if isinstance(key, ast.Constant)}
    if isinstance(node, ast.Call) and _called(node) == "dict":
        return _keywords(node, known, depth + 1)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _value(node.operand, known, depth + 1)
        return -inner if isinstance(inner, (int, float)) else ...
    if isinstance(node, ast.Call) and _called(node) in ("bf16_mixed", "bf16_with_fp8_hybrid", "bf16_with_mxfp8"):
        return _called(node)
    if isinstance(node, ast.Call) and _called(node).endswith("Config") and not node.args:
        return _keywords(node, known, depth + 1)
    return ...


def _keywords(node: ast.Call, known: Mapping[str, object], depth: int = 0) -> dict[str, object]:
    found: dict[str, object] = {}
    for one in node.keywords:
        value = _value(one.value, known, depth)
        if one.arg is None and isinstance(value, dict):
            found |= value
        elif one.arg is not None:
            found[one.arg] = value
    return found


def commands(tree: ast.AST) -> Iterator[tuple[str | list[str], int]]:
    """Commands that a program starts: texts, and lists of words with what is added to them."""
    known: dict[str, object] = {}
    lists: dict[str, tuple[list[str], int]] = {}
    loose: list[tuple[str | list[str], int]] = []
    for node in sorted((n for n in _walked(tree) if isinstance(n, (ast.stmt, ast.Call))), key=lambda n: n.lineno):
        _remembered(node, known)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and _words(node.value, known):
            lists[node.targets[0].id] = (_words(node.value, known), node.lineno)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id in lists:
            lists[node.target.id][0].extend(_words(node.value, known))
        elif isinstance(node, ast.Call):
            loose += _given(node, known, lists)
    yield from loose
    yield from lists.values()


def _given(
    node: ast.Call, known: Mapping[str, object], lists: Mapping[str, tuple[list[str], int]]
) -> Iterator[tuple[str | list[str], int]]:
    """What a call is given as words or as a text; words that it adds to a list go there."""
    owner = node.func.value if isinstance(node.func, ast.Attribute) else None
    if isinstance(owner, ast.Name) and owner.id in lists and _called(node) in ("append", "extend"):
        for one in node.args:
            lists[owner.id][0].extend(_words(one, known) or [_word(one, known)])
        return
    for one in node.args:
        if isinstance(one, ast.List):
            yield _words(one, known), node.lineno
        elif isinstance(one, (ast.Constant, ast.JoinedStr)):
            yield _word(one, known), node.lineno


def _words(node: ast.expr, known: Mapping[str, object]) -> list[str]:
    """A list as words; of a choice the first way."""
    if isinstance(node, ast.IfExp):
        return _words(node.body, known)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_words(node.left, known), *_words(node.right, known)]
    if not isinstance(node, (ast.List, ast.Tuple)):
        return []
    return [_word(item, known) for item in node.elts]


def _word(node: ast.expr, known: Mapping[str, object], depth: int = 0) -> str:
    """A word as far as it is written; `$UNKNOWN` where it is not."""
    if depth > 20:
        return UNKNOWN
    if isinstance(node, ast.IfExp):
        return _word(node.body, known, depth + 1)
    if isinstance(node, ast.Call) and _called(node) == "str" and node.args:
        return _word(node.args[0], known, depth + 1)
    if isinstance(node, ast.JoinedStr):
        return "".join(_word(part, known, depth + 1) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _word(node.value, known, depth + 1)
    value = _value(node, known)
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else UNKNOWN


UNKNOWN = "$UNKNOWN"
"""Stands for what is not known."""


def _started(node: ast.Call, known: Mapping[str, object], name: str, text: str) -> Iterator[EngineStart]:
    engine = CALLS.get(_called(node))
    if engine is None:
        return
    if _called(node) == "LLM" and "tensorrt_llm" in text and "vllm" not in text.replace("tensorrt_llm", ""):
        engine = "trtllm"
    given = _keywords(node, known)
    if node.args and "model" not in given:
        given = {"model": _value(node.args[0], known), **given}
    lines = {one.arg: one.value.lineno for one in node.keywords}
    said = []
    for key, value in given.items():
        where = f"{name}:{lines.get(key, node.lineno)}"
        said += list(inside(key, value, where)) if isinstance(value, dict) else [Said(key, value, where)]
    yield EngineStart(engine, tuple(one for one in said if one.value is not ...), f"{name}:{node.lineno}")


def _said(tree: ast.AST, known: dict[str, object], name: str) -> Iterator[Said]:
    """Settings that a function makes: `cfg.model.tensor_model_parallel_size = 4`, and keywords of its calls."""
    for node in _walked(tree):
        _remembered(node, known)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
            value = _value(node.value, known)
            if value is not ...:
                yield Said(_dotted(node.targets[0]), value, f"{name}:{node.lineno}")
        elif isinstance(node, ast.Call):
            for one in node.keywords:
                value = _value(one.value, known)
                if one.arg is not None and value is not ... and not isinstance(value, (dict, list)):
                    yield Said(one.arg, value, f"{name}:{one.value.lineno}")


def _dotted(node: ast.expr, depth: int = 0) -> str:
    """`cfg.model.x` -> `model.x`."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and depth < 20:
        parts.append(node.attr)
        node, depth = node.value, depth + 1
    return ".".join(reversed(parts))
