"""A process of the page that answers questions: confined to its folder, then `tonnage.cli.answering` as it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """arguments: the folder to write in, then files that may be read besides."""
    folder, *more = map(Path, arguments)
    os.environ["TONNAGE_CACHE"] = str(folder / "speeds")
    os.environ.pop("TONNAGE_LEDGER", None)
    (folder / "speeds").mkdir(exist_ok=True)
    from tonnage.cli import answering
    from tonnage.web.confine import confine

    confine(folder, more)
    answering.main()


if __name__ == "__main__":
    main(sys.argv[1:])
