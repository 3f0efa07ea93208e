"""Syntax trees of the loop's functions with what is known put in, and what follows from it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

OPERATORS: dict[type[ast.operator] | type[ast.cmpop], Callable[[int, int], int]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.LShift: lambda a, b: a << b,
    ast.RShift: lambda a, b: a >> b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}
SAME = {ast.Add: 0, ast.Sub: 0, ast.Mult: 1, ast.FloorDiv: 1, ast.LShift: 0, ast.RShift: 0}
"""What changes nothing on the right of an operator."""


Copied = TypeVar("Copied")


def clone(node: Copied) -> Copied:
    """A copy of a tree, or of a list of trees."""
    if isinstance(node, list):
        return [clone(one) for one in node]  # type: ignore[return-value]
    if not isinstance(node, ast.AST) or isinstance(node, ast.expr_context):
        return node
    return type(node)(*[clone(getattr(node, name, None)) for name in node._fields])


def number(node: ast.AST) -> int | None:
    """The number that a node is, if it is one."""
    return int(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, int) else None


class Folding(ast.NodeTransformer):
    """Puts numbers in for names and entries that are known, and works out what follows from them."""

    def __init__(self, names: Mapping[str, int], entries: Mapping[int, int]) -> None:
        self.names, self.entries = names, entries

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """A name that is known."""
        known = isinstance(node.ctx, ast.Load) and node.id in self.names
        return ast.Constant(self.names[node.id]) if known else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """An entry of the row that is known."""
        self.generic_visit(node)
        at = number(node.slice)
        known = isinstance(node.ctx, ast.Load) and at is not None and at in self.entries
        return ast.Constant(self.entries[at]) if known else node  # type: ignore[index]

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """Numbers worked out; what changes nothing left out."""
        self.generic_visit(node)
        left, right, kind = number(node.left), number(node.right), type(node.op)
        if left is not None and right is not None:
            return ast.Constant(OPERATORS[kind](left, right))
        if right is not None and SAME.get(kind) == right:
            return node.left
        if left == 0 and kind is ast.Add:
            return node.right
        if right == 0 and kind is ast.Mult and pure(node.left):
            return node.right
        inner = node.left
        scaled = kind is ast.RShift and isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Mult)
        if scaled and isinstance(inner, ast.BinOp) and right is not None and number(inner.right) == 1 << right:
            return inner.left
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        """Of a number."""
        self.generic_visit(node)
        value = number(node.operand)
        if value is None:
            return node
        return ast.Constant(-value if isinstance(node.op, ast.USub) else not value)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """Of numbers."""
        self.generic_visit(node)
        left, right = number(node.left), number(node.comparators[0])
        if left is None or right is None:
            return node
        return ast.Constant(bool(OPERATORS[type(node.ops[0])](left, right)))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """Without what is known, or as far as what decides."""
        self.generic_visit(node)
        ends, kept = isinstance(node.op, ast.Or), []
        for value in node.values:
            known = number(value)
            if known is None:
                kept.append(value)
            elif bool(known) == ends:
                kept.append(ast.Constant(ends))
                break
        if not kept:
            return ast.Constant(not ends)
        return kept[0] if len(kept) == 1 else ast.BoolOp(node.op, kept)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """The branch that is known."""
        self.generic_visit(node)
        known = number(node.test)
        return node if known is None else (node.body if known else node.orelse)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """The least or the most of numbers."""
        self.generic_visit(node)
        values = [value for one in node.args if (value := number(one)) is not None]
        if isinstance(node.func, ast.Name) and node.func.id in ("min", "max") and len(values) == len(node.args):
            return ast.Constant({"min": min, "max": max}[node.func.id](values))
        return node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """The branch that is known; none without anything in it."""
        self.generic_visit(node)
        known = number(node.test)
        if known is not None:
            return node.body if known else node.orelse
        if not node.body or isinstance(node.body[0], ast.Pass):
            if not node.orelse:
                return [] if pure(node.test) else node
            node.test, node.body, node.orelse = ast.UnaryOp(ast.Not(), node.test), node.orelse, []
        return node

    def visit_While(self, node: ast.While) -> ast.AST | list[ast.stmt]:
        """Not what never runs."""
        self.generic_visit(node)
        return [] if number(node.test) == 0 else node

    def visit_For(self, node: ast.For) -> ast.AST | list[ast.stmt]:
        """Not over nothing."""
        self.generic_visit(node)
        given = node.iter.args if isinstance(node.iter, ast.Call) else []
        bounds = [value for one in given if (value := number(one)) is not None]
        return [] if bounds and len(bounds) == len(given) and not range(*bounds) else node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.stmt]:
        """Several at once as one after the other, where that is the same."""
        self.generic_visit(node)
        if len(node.targets) > 1 and pure(node.value):
            return [ast.Assign([one], node.value) for one in node.targets]
        target, value = node.targets[0], node.value
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            stored = {one.id for one in target.elts if isinstance(one, ast.Name)}
            if len(stored) == len(target.elts) and not stored & loaded(value):
                return [ast.Assign([one], what) for one, what in zip(target.elts, value.elts, strict=True)]
        return node


class Unread(ast.NodeTransformer):
    """Drops what is set and never read."""

    def __init__(self, read: set[str]) -> None:
        self.read = read

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """Not what nobody reads."""
        target = node.targets[0]
        return node if not isinstance(target, ast.Name) or target.id in self.read or not pure(node.value) else None


def pure(node: ast.AST) -> bool:
    """Whether nothing is called."""
    return not any(isinstance(one, ast.Call) for one in ast.walk(node))


def loaded(node: ast.AST) -> set[str]:
    """Names that are read in a piece of a tree."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}


def stores(node: ast.AST) -> list[str]:
    """Names that are written, as often as they are."""
    return [one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]


def folded(function: ast.FunctionDef, names: Mapping[str, int], entries: Mapping[int, int]) -> ast.FunctionDef:
    """A function with all that is known put in, and what follows from locals that are set once, to a number."""
    own = set(stores(function))
    known = {name: value for name, value in names.items() if name not in own}
    while True:
        function = Folding(known, entries).visit(function)
        function = Unread(loaded(function)).visit(function)
        written = Counter(stores(function))
        known = {
            one.targets[0].id: value
            for one in ast.walk(function)
            if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)
            and (value := number(one.value)) is not None and written[one.targets[0].id] == 1
        }  # fmt: skip
        if not known:
            return function
