"""How many published launch files `--from` understands: `python scripts/launchfiles.py CASES.jsonl`.

Each line is a record of a launch: engine, model, chip, count and flags. A line is understood where a question comes of
it; where its model is not among the bundled ones, the rest is read with another in its place and it counts apart.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tonnage import catalog
from tonnage.catalog import Catalog
from tonnage.errors import TonnageError
from tonnage.launchfile import Written, read

STANDS_IN = "qwen3-32b"
"""The model that stands in the place of one that is not known: a dense one."""


def understood(line: str, known: Catalog, path: Path) -> tuple[str, Written | None, str]:
    """(yes, model or no; what was read; why not)."""
    case = json.loads(line)
    path.write_text(line, encoding="utf-8")
    on = () if case.get("chip") else (f"{case.get('count', 8)}xh200-sxm",)
    train, why = case["kind"] == "training", ""
    for verdict, model in (("yes", None), ("model", STANDS_IN)):
        try:
            return verdict, read(path, known, on=on, train=train, model=model), why
        except TonnageError as error:
            why = " ".join(str(error).split()).removeprefix(str(path))
    return "no", None, why


def main(cases: str) -> int:
    """Prints a row for each case, and the sums."""
    known = catalog.load()
    counts = {"yes": 0, "model": 0, "no": 0}
    flags = 0
    with tempfile.TemporaryDirectory() as folder:
        for line in filter(str.strip, Path(cases).read_text(encoding="utf-8").splitlines()):
            verdict, found, why = understood(line, known, Path(folder) / "case.json")
            counts[verdict] += 1
            flags += found is not None and not found.strange
            words = "" if found is None else " ".join(f"{k}={v}" for k, v in found.words.items())
            strange = "" if found is None else ", ".join(one.partition(" at ")[0] for one in found.strange)
            print(verdict, json.loads(line)["id"], words, f"not known: {strange}" if strange else "", why)
    total = sum(counts.values())
    unbundled = f"{counts['model']} but for a model that is not bundled"
    print(f"{counts['yes']} of {total} understood, {unbundled}, {counts['no']} not")
    print(f"{flags} of {total} with every flag known")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
