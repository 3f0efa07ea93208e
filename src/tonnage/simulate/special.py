"""The loop as Python, written anew for one service: what a run does not use is not in it.

The loop's functions are read as syntax trees. What does not change in a run (`LoopRules`, the places of a replica that
is alone) is put in as numbers, branches that it decides are dropped, functions are put in where they are called, and
what a lone replica's record holds becomes local variables. There is one source, that of `heaps`, `cache`, `core` and
`flow`, and the tests hold both to the same bytes.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
import types
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TypeVar

from tonnage.simulate import state
from tonnage.simulate.state import Row

Loop = Callable[[Row, int], int]
"""Goes on with a row for so many events; returns how many there were."""

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
        known = isinstance(node.ctx, ast.Load) and node.id in self.names
        return ast.Constant(self.names[node.id]) if known else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        at = number(node.slice)
        known = isinstance(node.ctx, ast.Load) and at is not None and at in self.entries
        return ast.Constant(self.entries[at]) if known else node  # type: ignore[index]

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
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
        if kind is ast.RShift and isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Mult) and right is not None:
            if number(inner.right) == 1 << right:
                return inner.left
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        value = number(node.operand)
        if value is None:
            return node
        return ast.Constant(-value if isinstance(node.op, ast.USub) else not value)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        left, right = number(node.left), number(node.comparators[0])
        if left is None or right is None:
            return node
        return ast.Constant(bool(OPERATORS[type(node.ops[0])](left, right)))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
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
        self.generic_visit(node)
        known = number(node.test)
        return node if known is None else (node.body if known else node.orelse)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        values = [number(one) for one in node.args]
        if isinstance(node.func, ast.Name) and node.func.id in ("min", "max") and None not in values:
            return ast.Constant({"min": min, "max": max}[node.func.id](values))
        return node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
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
        self.generic_visit(node)
        return [] if number(node.test) == 0 else node

    def visit_For(self, node: ast.For) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        bounds = [number(one) for one in node.iter.args] if isinstance(node.iter, ast.Call) else [None]
        if None not in bounds and not range(*bounds):  # type: ignore[arg-type]
            return []
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
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


class NotInline(Exception):
    """A function that cannot be put in where it is called."""


def returns(nodes: Sequence[ast.AST]) -> bool:
    """Whether there is a return somewhere."""
    return any(isinstance(one, ast.Return) for node in nodes for one in ast.walk(node))


def always(body: Sequence[ast.stmt]) -> bool:
    """Whether a body ends in a return whatever happens."""
    last = body[-1] if body else None
    return isinstance(last, ast.Return) or (isinstance(last, ast.If) and always(last.body) and always(last.orelse))


def tail(body: Sequence[ast.stmt], put: Callable[[ast.expr | None], list[ast.stmt]]) -> list[ast.stmt]:
    """A body whose returns are at the ends of branches, each replaced by what `put` makes of its value."""
    made: list[ast.stmt] = []
    for n, one in enumerate(body):
        rest = list(body[n + 1 :])
        if isinstance(one, ast.Return):
            return made + put(one.value)
        if isinstance(one, ast.If) and returns([one]):
            if always(one.body):
                other = tail(one.orelse + rest, put)
                return [*made, ast.If(one.test, tail(one.body, put) or [ast.Pass()], other)]
            if always(one.orelse):
                return [*made, ast.If(one.test, tail(one.body + rest, put) or [ast.Pass()], tail(one.orelse, put))]
            raise NotInline
        if returns([one]):
            raise NotInline
        made.append(one)
    return made + put(None)


class Renaming(ast.NodeTransformer):
    """Parameters by what they are called with, locals by names of their own."""

    def __init__(self, by: Mapping[str, ast.expr], suffix: str, own: set[str]) -> None:
        self.by, self.suffix, self.own = by, suffix, own

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.by:
            return clone(self.by[node.id])
        return ast.Name(node.id + self.suffix, node.ctx) if node.id in self.own else node


class Inlining(ast.NodeTransformer):
    """Puts functions in where they are called as a statement, or where what they return is set or added."""

    def __init__(self, functions: Mapping[str, ast.FunctionDef]) -> None:
        self.functions, self.count = functions, 0

    def _body(self, call: ast.AST, put: Callable[[ast.expr | None], list[ast.stmt]]) -> list[ast.stmt] | None:
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in self.functions):
            return None
        function = self.functions[call.func.id]
        self.count += 1
        suffix, written, begin, by = f"_{self.count}", set(stores(function)), [], {}
        for one, value in zip(function.args.args, call.args, strict=True):
            if isinstance(value, (ast.Name, ast.Constant)) and one.arg not in written:
                by[one.arg] = value
            else:
                written.add(one.arg)
                begin.append(ast.Assign([ast.Name(one.arg + suffix, ast.Store())], value))
        renaming = Renaming(by, suffix, written)
        body = [renaming.visit(clone(one)) for one in function.body]
        try:
            return begin + tail(body, put)
        except NotInline:
            return None

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        body = self._body(node.value, lambda _: [])
        return node if body is None else body or ast.Pass()

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.stmt]:
        return self._body(node.value, lambda value: [ast.Assign(node.targets, value or ast.Constant(0))]) or node

    def visit_Return(self, node: ast.Return) -> ast.AST | list[ast.stmt]:
        if node.value is None:
            return node
        return self._body(node.value, lambda value: [ast.Return(value or ast.Constant(0))]) or node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST | list[ast.stmt]:
        return self._body(node.value, lambda value: [ast.AugAssign(node.target, node.op, value or ast.Constant(0))]) or node


class Localising(ast.NodeTransformer):
    """Entries of a lone replica's record as local variables."""

    def __init__(self, places: Container[int]) -> None:
        self.places, self.found = places, set[int]()

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        at = number(node.slice)
        if at is None or at not in self.places:
            return node
        self.found.add(at)
        return ast.Name(f"x_{at}", node.ctx)


@functools.cache
def trees(functions: tuple[types.FunctionType, ...]) -> dict[str, ast.FunctionDef]:
    """The functions as they are written, without what they say of themselves."""
    found = {}
    for function in functions:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        tree.body, tree.returns = tree.body[1:], None
        for one in tree.args.args:
            one.annotation = None
        found[function.__name__] = tree
    return found


def called(function: ast.FunctionDef, among: Mapping[str, ast.FunctionDef]) -> set[str]:
    """Functions that one calls."""
    calls = (one.func for one in ast.walk(function) if isinstance(one, ast.Call))
    return {one.id for one in calls if isinstance(one, ast.Name) and one.id in among}


def kept_apart(functions: Mapping[str, ast.FunctionDef], name: str) -> set[str]:
    """Functions that are still called from one, at any depth."""
    found: set[str] = set()
    left = [name]
    while left:
        more = called(functions[left.pop()], functions) - found
        left += sorted(more)
        found |= more
    return found


def localised(
    functions: dict[str, ast.FunctionDef], name: str, others: Iterable[str], places: Container[int]
) -> None:
    """Entries of the row that one function alone reads and writes become its local variables."""
    for one in others:
        look = Localising(places)
        look.visit(clone(functions[one]))
        if look.found:
            return
    change = Localising(places)
    function = change.visit(functions[name])
    names = [f"x_{at}" for at in sorted(change.found)]
    written = set(stores(function))
    begin = [f"{one} = x[{one[2:]}]" for one in names]
    end = [f"x[{one[2:]}] = {one}" for one in names if one in written]
    *body, last = function.body
    function.body = [*ast.parse("\n".join(begin)).body, *body, *ast.parse("\n".join(end)).body, last]


def specialised(
    functions: Sequence[types.FunctionType], names: Mapping[str, int], entries: Mapping[int, int], places: Container[int]
) -> str:
    """The source of the last of some functions, with names and entries of the row put in, and those that it still
    calls; places: entries that it has as local variables.
    """
    written, made = trees(tuple(functions)), dict[str, ast.FunctionDef]()

    def make(name: str) -> None:
        function = folded(clone(written[name]), names, entries)
        for one in sorted(called(function, written)):
            if one not in made:
                make(one)
        made[name] = folded(Inlining(made).visit(function), names, entries)

    last = functions[-1].__name__
    make(last)
    others = sorted(kept_apart(made, last))
    localised(made, last, others, places)
    return ast.unparse(ast.fix_missing_locations(ast.Module([made[one] for one in (*others, last)], [])))


@functools.cache
def _compiled(functions: tuple[types.FunctionType, ...], entries: tuple[tuple[int, int], ...], first: int | None) -> Loop:
    names = {name: value for name, value in vars(state).items() if name.isupper() and isinstance(value, int)}
    places: set[int] = set()
    if first is not None:
        names["r"] = first
        places = {*range(state.COMMON), *range(first, first + state.R_SIZE)}
    space: dict[str, Loop] = {}
    exec(compile(specialised(functions, names, dict(entries), places), "<the loop for one service>", "exec"), space)
    return space[functions[-1].__name__]


def loop_for(x: Row, functions: tuple[types.FunctionType, ...]) -> Loop:
    """The loop, the last of these functions, for rows with the rules that this one has."""
    rules = range(state.COMMON, state.COMMON + len(state.LoopRules._fields))
    entries = [(at, int(x[at])) for at in rules if at != state.G_KNOWN]
    first = int(x[state.G_FIRST]) if x[state.G_ALONE] > 0 else None
    if first is not None:
        entries += [(first + at, int(x[first + at])) for at in STAYS]
    return _compiled(functions, tuple(entries), first)


STAYS = (
    state.R_ROLE,
    state.R_MODEL,
    state.R_CLASSES,
    state.R_ENDS,
    state.R_PROMPTS,
    state.R_PIECES,
    state.R_ORDER,
    state.R_SEQS,
    state.R_TOKENS,
    state.R_CAP,
    state.R_POOL,
)
"""Of a lone replica of one model, what does not change."""
