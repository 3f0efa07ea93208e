"""The structure that the code is held to, with what is left to mend; and that each check can fail."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from structure import (
    CHECKS,
    FILE,
    FUNCTION,
    anys,
    by_part_of_name,
    circles,
    flags,
    imports,
    long,
    outside,
    own_flags,
    read,
    twice_named,
)

FILES = read()

LEFT: dict[str, list[str]] = {
    "anys": [],
    "by_part_of_name": [],
    "circles": [],
    "long": [],
    "own_flags": [],
    "twice_named": [],
}

"""Findings of each check that are known and not yet mended. What is mended is taken out; nothing is added."""


@pytest.mark.parametrize("name", CHECKS)
def test_only_what_is_known_is_found(name: str) -> None:
    found = CHECKS[name](FILES)
    new, mended = sorted(set(found) - set(LEFT[name])), sorted(set(LEFT[name]) - set(found))
    assert not new, f"{name}: new, mend them"
    assert not mended, f"{name}: mended, take them out of LEFT"


def test_what_is_left_is_sorted_and_said_once() -> None:
    assert list(LEFT) == sorted(LEFT) == sorted(CHECKS)
    for name, known in LEFT.items():
        assert known == sorted(set(known)), name


def test_all_files_are_read() -> None:
    assert len(FILES) > 150
    assert {"__init__.py", "law/data.py", "serve/search/grid.py", "units.py"} <= set(FILES)


# ---------------------------------------------------------------- each check can fail


def test_a_class_name_used_twice_is_found() -> None:
    files = {"a.py": "class One: pass\n", "b/c.py": "def f():\n    class One: pass\n", "d.py": "class Two: pass\n"}
    assert twice_named(files) == ["One: a.py, b/c.py"]
    assert twice_named({"a.py": "class One: pass\nclass One: pass\n"}) == ["One: a.py, a.py"]
    assert twice_named({"a.py": "class One: pass\n", "b.py": "from tonnage.a import One\n"}) == []


CIRCLES = {
    "two files": ({"a.py": "import tonnage.b\n", "b.py": "from tonnage.a import x\n"}, ["a.py <-> b.py"]),
    "within a function": (
        {"a.py": "def f():\n    from tonnage import b\n", "b.py": "import tonnage.a\n"},
        ["a.py <-> b.py"],
    ),
    "three files": (
        {"a.py": "import tonnage.b\n", "b.py": "import tonnage.c\n", "c.py": "import tonnage.a\n", "d.py": ""},
        ["a.py <-> b.py <-> c.py"],
    ),
    "itself": ({"a.py": "def f():\n    import tonnage.a\n"}, ["a.py"]),
    "through the room": (
        {"r/__init__.py": "from tonnage.r.a import x\n", "r/a.py": "from tonnage.r import y\n"},
        ["r/__init__.py <-> r/a.py"],
    ),
    "a function of a module's name": (
        {"r/__init__.py": "from tonnage.r.a import a\n", "r/a.py": "", "r/b.py": "from tonnage.r import a\n"},
        [],
    ),
    "the same, which the room takes from a file that takes it back": (
        {
            "r/__init__.py": "from tonnage.r.a import a\nfrom tonnage.r.b import b\n",
            "r/a.py": "",
            "r/b.py": "from tonnage.r import a\n",
        },
        ["r/__init__.py <-> r/b.py"],
    ),
    "for a type checker only": (
        {"a.py": "if TYPE_CHECKING:\n    import tonnage.b\n", "b.py": "import tonnage.a\n"},
        [],
    ),
    "when no type checker runs": (
        {"a.py": "if typing.TYPE_CHECKING:\n    x = 1\nelse:\n    import tonnage.b\n", "b.py": "import tonnage.a\n"},
        ["a.py <-> b.py"],
    ),
    "under another condition": (
        {"a.py": "try:\n    if x:\n        import tonnage.b\nexcept E: pass\n", "b.py": "import tonnage.a\n"},
        ["a.py <-> b.py"],
    ),
    "one way": ({"a.py": "import tonnage.b\nimport os\n", "b.py": "", "r/c.py": "import tonnage.a\n"}, []),
}


@pytest.mark.parametrize("case", CIRCLES)
def test_circles_are_found(case: str) -> None:
    files, expected = CIRCLES[case]
    assert circles(files) == expected


def test_the_arrows_of_the_package_are_seen() -> None:
    arrows = imports(FILES)
    assert "catalog/overlay.py" in arrows["catalog/loading.py"], "imported within a function"
    assert "catalog/catalog.py" not in arrows["law/criteria.py"], "for types only"
    assert "fleet/calendar.py" in arrows["fleet/launch.py"], "a module out of its room"


HEAD = "import typing\nfrom typing import Any\n"

ANYS = {
    "argument": ("def f(x: Any) -> int: ...", ["f(x)"]),
    "deep in an argument": ("def f(x: dict[str, list[Any]]) -> int: ...", ["f(x)"]),
    "by keyword, starred": ("def f(*a: Any, k: Any = 1, **b: Any) -> int: ...", ["f(a)", "f(b)", "f(k)"]),
    "return": ("def f() -> Any | None: ...", ["f ->"]),
    "quoted": ("def f(x: 'list[Any]') -> int: ...", ["f(x)"]),
    "by module": ("def f(x: typing.Any) -> int: ...", ["f(x)"]),
    "renamed": ("from typing import Any as A\ndef f(x: A) -> int: ...", ["f(x)"]),
    "method": ("class C:\n    def f(self, x: Any) -> int: ...", ["C.f(x)"]),
    "constructor": ("class C:\n    def __init__(self, x: Any) -> None: ...", ["C.__init__(x)"]),
    "property": ("class C:\n    @property\n    def f(self) -> Any: ...", ["C.f ->"]),
    "field": ("@dataclass\nclass C:\n    x: dict[str, Any] = field()\n    y: int = 0", ["C.x"]),
    "field of an inner class": ("class C:\n    class D:\n        x: Any", ["C.D.x"]),
    "a name for it": ("Numbers = Any", ["Numbers"]),
    "a private name for it": ("_Row = dict[str, Any]\ndef f(x: _Row) -> int: ...", ["_Row"]),
    "a declared name for it": ("Numbers: TypeAlias = float | Any", ["Numbers"]),
    "private function": ("def _f(x: Any) -> Any: ...", []),
    "private class": ("class _C:\n    x: Any\n    def f(self) -> Any: ...", []),
    "private member": ("class C:\n    _x: Any\n    def _f(self) -> Any: ...", []),
    "function in a function": ("def f() -> int:\n    def g(x: Any) -> Any: ...\n    return 1", []),
    "a variable": ("def f() -> int:\n    x: Any = 1\n    return x", []),
    "a call": ("x = f(Any)", []),
    "a text": ("def f(x: Literal['Anyone']) -> int: ...", []),
}


@pytest.mark.parametrize("case", ANYS)
def test_any_in_public_signatures_is_found(case: str) -> None:
    text, expected = ANYS[case]
    assert anys({"serve/a.py": HEAD + text}) == [f"serve/a.py {what}" for what in expected]
    assert anys({"cli/a.py": HEAD + text}) == []


def test_a_name_for_any_from_another_room_is_found() -> None:
    text = HEAD + "Json = dict[str, Any]\nOther = Any\n"
    files = {"files.py": text, "serve/a.py": "from tonnage.files import Json\n"}
    assert anys(files) == ["files.py Json"]


PARTS_OF_NAMES = {
    "in": ("'down' in operator.name", 1),
    "not in": ("'a100' not in die.name", 1),
    "in, of a chip": ("'910' in lot.chip", 1),
    "in, of a variable": ("'h' in chip", 1),
    "in, in turn": ("any(word in framework.lower() for word in words)", 1),
    "beginning": ("op.name.startswith(('a', 'b'))", 1),
    "beginning, in lower case": ("system.accelerator.vendor.lower().startswith('nv')", 1),
    "end": ("op.name.endswith('down')", 1),
    "cut": ("wire.name.partition('.')[0]", 1),
    "split": ("vendor.split()[0]", 1),
    "removed": ("framework.removesuffix('-x')", 1),
    "found": ("chip.find('h') >= 0", 1),
    "first letters": ("chip[:4] == 'h100'", 1),
    "pattern": ("re.match('h.*', job.chip)", 1),
    "through a variable": ("def f(op):\n    word = op.name.lower()\n    return word.startswith('a')", 1),
    "or nothing": ("(run.framework or '').startswith('m')", 1),
    "in a nested function": ("def f():\n    def g(chip): return 'h' in chip", 1),
    "equal": ("die.vendor == 'NVIDIA'", 0),
    "in a table": ("die.vendor in table", 0),
    "in a table of that name": ("die.vendor in found.vendor", 0),
    "one of several": ("chip in ('a', 'b')", 0),
    "file": ("path.name.startswith('.')", 0),
    "text of something else": ("line.startswith('#') and 'a' in text", 0),
    "a variable of another function": ("def f(op):\n    word = op.name\ndef g(word): return word.startswith('a')", 0),
    "written": ("f'{op.name}.{chip}'", 0),
}


@pytest.mark.parametrize("case", PARTS_OF_NAMES)
def test_what_is_decided_by_a_part_of_a_name_is_found(case: str) -> None:
    text, expected = PARTS_OF_NAMES[case]
    assert len(by_part_of_name({"serve/a.py": text})) == expected


def test_what_is_too_long_is_found() -> None:
    body = "\n    x = 1" * (FUNCTION - 1)
    assert long({"a.py": "def f():" + body}) == [f"a.py f: {FUNCTION} lines"]
    assert long({"a.py": "class C:\n  async def f():" + body}) == [f"a.py f: {FUNCTION} lines"]
    assert long({"a.py": "def f():" + body.removesuffix("\n    x = 1")}) == []
    assert long({"a.py": 'def f():\n    """One.\n\n    Two.\n    """' + body.removesuffix("\n    x = 1")}) == []
    assert long({"a.py": "x = 1\n" * FILE}) == [f"a.py: {FILE} lines"]
    assert long({"a.py": "x = 1\n" * (FILE - 1)}) == []


VERB = """
def serve(model: str, *, isl: int, micro_batches: int = 1, place: Annotated[str, Parameter(name="--in")] = "") -> int:
    return 0
def _other(secret: int) -> int: ...
@Parameter(name="*")
class Common:
    json: bool = False
    output: Annotated[str, Parameter(name=["--output", "-o"], negative="")] = ""
"""


def test_the_flags_are_those_of_the_verbs() -> None:
    assert flags({"cli/serve.py": VERB, "serve/job.py": "def job(x: int) -> int: ..."}) == {
        "--model", "--isl", "--micro-batches", "--in", "--json", "--output", "-o",
    }  # fmt: skip
    ours = flags(FILES)
    assert {"--isl", "--tpot", "--in", "--json", "--as-of", "--draws", "--framework"} <= ours
    assert not {"--place", "--tp-size", "--max-num-seqs", "--secret"} & ours


OWN = {
    "whole": ("Problem(text, '--isl')", ["--isl"]),
    "beginning": ("lift = f'--isl {n}'", ["--isl"]),
    "within": ("hint = 'less, or with --micro-batches 2'", ["--micro-batches"]),
    "both": ("x = ('--isl', '--in')", ["--in", "--isl"]),
    "default": ("def f(where: str = '--in') -> int: ...", ["--in"]),
    "an engine's": ("x = '--tp-size 8 --isl-cache'", []),
    "a dash too many": ("x = '---isl'", []),
    "docstring": ('def f():\n    """As `--isl`."""', []),
    "docstring of a constant": ('X = 1\n"""As `--isl`."""', []),
}


@pytest.mark.parametrize("case", OWN)
def test_our_flags_in_the_library_are_found(case: str) -> None:
    text, expected = OWN[case]
    verb = {"cli/serve.py": VERB}
    for path in ("serve/job.py", "units.py", "catalog/overlay.py"):
        assert own_flags({**verb, path: text}) == [f"{path} {flag}" for flag in expected]
    for path in ("export/vllm.py", "serve/launch.py", "cli/fit.py", "report/answer.py", "ask/serve.py"):
        assert own_flags({**verb, path: text}) == []


def test_only_the_command_line_knows_the_parser_of_flags() -> None:
    found = {path for path, text in FILES.items() if "cyclopts" in outside({path: text})}
    assert found and {path.partition("/")[0] for path in found} == {"cli"}


# ---------------------------------------------------------------- dependencies

PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_required_dependency_is_imported() -> None:
    assert outside({"a.py": "import x.y\ndef f():\n    from z.w import v\n"}) == {"x", "z"}
    required = {re.split(r"[.\[<>=~!; ]", text)[0] for text in PYPROJECT["project"]["dependencies"]}
    assert len(required) >= 4
    assert required - outside(FILES) == set()


def test_what_is_imported_is_required_or_comes_with_an_extra() -> None:
    required = {re.split(r"[.\[<>=~!; ]", text)[0] for text in PYPROJECT["project"]["dependencies"]}
    others = outside(FILES) - set(sys.stdlib_module_names) - {"tonnage"} - required
    brought = "the extras `fast`, `gguf`, `mcp`, `page`, `ray`, `run` and `silicon` bring them"
    agents = {"anyio", "mcp", "mcp_types"}
    run = {"h11", "httptools", "httpx", "reasoning_gym", "starlette", "tokenizers", "torch", "transformers", "uvicorn"}
    assert others == {"gguf", "jinja2", "numba", "pyarrow", "ray", *run, *agents}, brought
