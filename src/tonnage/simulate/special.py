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
from collections.abc import Callable, Container, Iterable, Mapping, Sequence

from tonnage.simulate import state
from tonnage.simulate.folding import clone, folded, number, stores
from tonnage.simulate.state import Row

Loop = Callable[[Row, int], int]
"""Goes on with a row for so many events; returns how many there were."""


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
        """A parameter, a local, or as it is."""
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
        """A call whose value nobody wants."""
        body = self._body(node.value, lambda _: [])
        return node if body is None else body or ast.Pass()

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.stmt]:
        """A call whose value is set."""
        return self._body(node.value, lambda value: [ast.Assign(node.targets, value or ast.Constant(0))]) or node

    def visit_Return(self, node: ast.Return) -> ast.AST | list[ast.stmt]:
        """A call whose value is returned."""
        if node.value is None:
            return node
        return self._body(node.value, lambda value: [ast.Return(value or ast.Constant(0))]) or node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST | list[ast.stmt]:
        """A call whose value is added."""
        return (
            self._body(node.value, lambda value: [ast.AugAssign(node.target, node.op, value or ast.Constant(0))])
            or node
        )


class Localising(ast.NodeTransformer):
    """Entries of a lone replica's record as local variables."""

    def __init__(self, places: Container[int]) -> None:
        self.places, self.found = places, set[int]()

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """An entry at one of the places."""
        self.generic_visit(node)
        at = number(node.slice)
        if at is None or at not in self.places:
            return node
        self.found.add(at)
        return ast.Name(f"x_{at}", node.ctx)


@functools.cache
def trees(functions: tuple[Callable[..., object], ...]) -> dict[str, ast.FunctionDef]:
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


def localised(functions: dict[str, ast.FunctionDef], name: str, others: Iterable[str], places: Container[int]) -> None:
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
    functions: Sequence[Callable[..., object]],
    names: Mapping[str, int],
    entries: Mapping[int, int],
    places: Container[int],
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
        made[name] = Inlining(made).visit(function)

    last = functions[-1].__name__
    make(last)
    made[last] = folded(made[last], names, entries)
    others = sorted(kept_apart(made, last))
    localised(made, last, others, places)
    return ast.unparse(ast.fix_missing_locations(ast.Module([made[one] for one in (*others, last)], [])))


@functools.lru_cache(32)
def _compiled(
    functions: tuple[Callable[..., object], ...], entries: tuple[tuple[int, int], ...], first: int | None
) -> Loop:
    names = {name: value for name, value in vars(state).items() if name.isupper() and isinstance(value, int)}
    places: set[int] = set()
    if first is not None:
        names["r"] = first
        places = {*range(state.COMMON), *range(first, first + state.R_SIZE)}
    space: dict[str, Loop] = {}
    exec(compile(specialised(functions, names, dict(entries), places), "<the loop for one service>", "exec"), space)
    return space[functions[-1].__name__]


def forget() -> None:
    """Nothing that was read or written is kept."""
    trees.cache_clear()
    _compiled.cache_clear()


def loop_for(x: Row, functions: tuple[Callable[..., object], ...]) -> Loop:
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
