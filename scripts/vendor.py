"""Vega as the page and the reports carry it: fetched with npm, kept with versions, checksums and licences.

    python scripts/vendor.py            fetch the versions named here (needs npm and a network)
    python scripts/vendor.py --check    what is kept is what the checksums say (needs nothing)

The version of Vega-Lite is one that vl-convert draws too, so that a picture and a page show the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parents[1] / "src" / "tonnage" / "report" / "data" / "vega"

PACKAGES = {
    "vega": ("6.2.0", "build/vega.min.js"),
    "vega-lite": ("6.4.1", "build/vega-lite.min.js"),
    "vega-embed": ("7.0.2", "build/vega-embed.min.js"),
}
"""What is kept of each package, in the order in which a page loads it."""

LIST = "checksums.json"


def kept(package: str, version: str, name: str, folder: Path) -> dict[str, dict[str, str]]:
    """Fetch one package and keep its file and its licence; returns what the list says of them."""
    packed = ["npm", "pack", "--silent", f"{package}@{version}"]
    done = subprocess.run(packed, cwd=folder, capture_output=True, text=True, check=True)
    found = {}
    with tarfile.open(folder / done.stdout.split()[-1]) as archive:
        for inner, outer in ((name, Path(name).name), ("LICENSE", f"{package}.LICENSE.txt")):
            held = archive.extractfile(f"package/{inner}")
            if held is None:
                raise SystemExit(f"{package} {version} has no {inner}")
            content = held.read()
            (HERE / outer).write_bytes(content)
            found[outer] = {"package": package, "version": version, "sha256": hashlib.sha256(content).hexdigest()}
    return found


def fetch() -> None:
    """Fetch every package and write the list."""
    HERE.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for package, (version, name) in PACKAGES.items():
            found |= kept(package, version, name, Path(folder))
    (HERE / LIST).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def wrong() -> list[str]:
    """What is kept and not listed, listed and not kept, or other than its checksum or version here says."""
    listed = json.loads((HERE / LIST).read_text(encoding="utf-8"))
    there = {path.name for path in HERE.iterdir()} - {LIST}
    found = [f"{name}: not both kept and listed" for name in sorted(there ^ set(listed))]
    for name in sorted(there & set(listed)):
        if hashlib.sha256((HERE / name).read_bytes()).hexdigest() != listed[name]["sha256"]:
            found.append(f"{name}: not what its checksum says")
        if listed[name]["version"] != PACKAGES[listed[name]["package"]][0]:
            found.append(f"{name}: not of the version named in scripts/vendor.py")
    return found


def main() -> None:
    """Fetch, or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        fetch()
    problems = wrong()
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
