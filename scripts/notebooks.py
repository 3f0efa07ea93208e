"""Executes examples/*.ipynb and keeps what comes out: `python scripts/notebooks.py [NAME ...]`.

Cells run in this process, in the folder of the notebook, as a kernel would run them: the value of a last line is shown
by its own `_repr_mimebundle_`. The charts are kept as pictures within the HTML; the Vega-Lite values, which a reader's
own notebook makes again, are left out.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import sys
from collections.abc import Iterable
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"

KEPT = ("text/plain", "text/html")
"""MIME types that are kept of an output."""

Cell = dict[str, object]


def source(cell: Cell) -> str:
    """The text of a cell, which a notebook keeps in lines."""
    held = cell["source"]
    return held if isinstance(held, str) else "".join(held if isinstance(held, list) else [])


def lines(text: str) -> list[str]:
    """The same as a notebook keeps it."""
    return text.splitlines(keepends=True)


def bundle(value: object) -> dict[str, object]:
    """A value by MIME type, as a notebook shows it."""
    made = getattr(value, "_repr_mimebundle_", None)
    held: dict[str, object] = made() if made is not None else {"text/plain": repr(value)}
    return {kind: lines(str(held[kind])) for kind in KEPT if kind in held}


def run_cell(text: str, names: dict[str, object]) -> list[Cell]:
    """The outputs of one cell: what it prints, and the value of its last line."""
    tree, printed, last = ast.parse(text), io.StringIO(), None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "<cell>", "exec"), names)
        value = eval(compile(last, "<cell>", "eval"), names) if last else None
    made: list[Cell] = []
    if printed.getvalue():
        made.append({"output_type": "stream", "name": "stdout", "text": lines(printed.getvalue())})
    if value is not None:
        made.append({"output_type": "execute_result", "metadata": {}, "data": bundle(value)})
    return made


def executed(path: Path) -> dict[str, object]:
    """The notebook with the outputs that its cells have now."""
    notebook: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, object] = {"__name__": "__main__"}
    cells = notebook["cells"]
    assert isinstance(cells, list)
    with contextlib.chdir(path.parent):
        for count, cell in enumerate((cell for cell in cells if cell["cell_type"] == "code"), 1):
            outputs = run_cell(source(cell), names)
            for output in outputs:
                if output["output_type"] == "execute_result":
                    output["execution_count"] = count
            cell |= {"execution_count": count, "outputs": outputs}
    return notebook


def said(notebook: dict[str, object]) -> list[str]:
    """What its outputs say in plain text: what is held against what is kept."""
    found = []
    cells = notebook["cells"]
    assert isinstance(cells, list)
    for cell in cells:
        for output in cell.get("outputs", []):
            held = output.get("text") or output["data"]["text/plain"]
            found.append("".join(held))
    return found


def main(names: Iterable[str]) -> None:
    """Execute the notebooks of these names, or all, and write them."""
    wanted = set(names)
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        if not wanted or path.stem in wanted:
            text = json.dumps(executed(path), indent=1, ensure_ascii=False, sort_keys=True)
            path.write_text(text + "\n", encoding="utf-8")
            print(path.relative_to(EXAMPLES.parent), len(text))


if __name__ == "__main__":
    main(sys.argv[1:])
