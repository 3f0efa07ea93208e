"""What a trial step of vLLM takes outside of PyTorch on one of several ranks, and what leaving a version out changes.

`python scripts/rooms.py` prints the median of the logs in `truth/data/rooms.csv`, the same without each version's, and
what the logged rooms of that version are off with either (`truth/data/capacity.csv`). The median less `FORWARD` is
`joined` of vLLM in `catalog/data/software.toml`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tonnage import catalog
from tonnage.serve.replica.memory import FORWARD
from tonnage.truth import capacity
from tonnage.truth.shapes import Library
from tonnage.truth.table import read_table

DATA = Path(capacity.__file__).parent / "data" / "rooms.csv"
GIB = 2.0**30


def medians() -> tuple[float, dict[str, float]]:
    """Median of all logs, and without those of each version [GiB]."""
    rows = list(read_table(DATA))
    versions = sorted({str(row["engine"]) for row in rows})
    kept = {one: [float(row["outside_gib"]) for row in rows if row["engine"] != one] for one in versions}
    whole = float(np.median([float(row["outside_gib"]) for row in rows]))
    return whole, {one: float(np.median(values)) for one, values in kept.items()}


def errors(version: str, outside: float) -> list[float]:
    """How far off the logged rooms of a version on several ranks are with so much outside of PyTorch [GiB]."""
    library = Library(catalog.load())
    found = []
    for log in capacity.read_logs(library):
        if log.engine != version or log.what != "room" or int(log.row["count"]) == 1 or log.outlier:
            continue
        made = capacity._started(log.row, library)
        moved = made.pool - (outside * GIB - FORWARD - made.engine.joined)
        rank = replace(made.rank, pool=moved)
        found.append(capacity._UNITS[log.unit](replace(made, rank=rank)) / log.printed - 1.0)
    return found


def main() -> None:
    """The table."""
    whole, left = medians()
    print(f"all {len(list(read_table(DATA)))} logs: {whole:.2f} GiB, joined = {whole * GIB - FORWARD:.3g} bytes")
    for version, value in left.items():
        before, after = errors(version, whole), errors(version, value)
        rooms = ", ".join(f"{100 * a:+.1f} -> {100 * b:+.1f} %" for a, b in zip(before, after, strict=True))
        print(f"without {version}: {value:.2f} GiB; its rooms: {rooms or 'none logged'}")


if __name__ == "__main__":
    main()
