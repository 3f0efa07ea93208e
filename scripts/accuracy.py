"""Regenerate docs/accuracy.md: every published result we know against what tonnage predicts for it.

python scripts/accuracy.py [-o FILE]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tonnage import catalog, files
from tonnage.truth.evaluate import accuracy
from tonnage.truth.page import INTRODUCTION
from tonnage.truth.page_serving import serving_page
from tonnage.truth.page_training import training_page
from tonnage.truth.shapes import Library

OUT = Path(__file__).resolve().parents[1] / "docs/accuracy.md"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=OUT)
    options = parser.parse_args()
    start = time.perf_counter()
    facts = catalog.load()
    library = Library(facts)
    lines = [INTRODUCTION]
    lines += training_page(accuracy("train", facts, chips=True), library)
    lines += serving_page(accuracy("serve", facts, chips=True), library)
    files.write(options.output, "\n".join(lines).rstrip() + "\n")
    print(f"{options.output} ({time.perf_counter() - start:.0f} s)", file=sys.stderr)


if __name__ == "__main__":
    main()
