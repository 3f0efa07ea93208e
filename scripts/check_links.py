"""Fail on links in the project's Markdown that lead to no file or to no heading."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """The anchors that a Markdown page's headings make."""
    headings = re.findall(r"^#{1,6} +(.+?) *$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead(page: Path) -> list[str]:
    """The dead links of one page."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in LINK.finditer(re.sub(r"```.*?```", "", text, flags=re.S)):
        target = match[1] or match[2]
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists():
            found.append(f"{page}: no file {target}")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
            found.append(f"{page}: no heading {target}")
    return found


def main() -> int:
    """Check every tracked Markdown page."""
    pages = subprocess.run(["git", "ls-files", "*.md"], capture_output=True, text=True, check=True).stdout.split()
    problems = [problem for page in pages if Path(page).exists() for problem in dead(Path(page))]
    print("\n".join(problems) or f"no dead links in {len(pages)} pages")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
