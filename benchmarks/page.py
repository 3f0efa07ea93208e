"""How soon the page shows something, and what it weighs: every view in Chromium, the first time and once it is warm.

    python benchmarks/page.py [PROGRAMME]

Needs a Chromium and playwright. For each view: bytes that are loaded, time from the start of the navigation to the
first chart, and to the whole answer. The bounds are 1.5 MB, 1 s for all but launch, 3 s for the first answer of a
launch; accuracy predicts every published case the first time, and keeps the answer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

VIEWS = ("fit", "train", "serve", "simulate", "catalogue", "launch", "launch?off=us_2025_04_09_h20_letter", "accuracy")
FIRST = "document.querySelector('figure svg') !== null"
WHOLE = "document.getElementById('answer').dataset.whole === 'true'"
EVERY = 0.01
"""Time between two looks [s]."""


def measured(browser: Browser, address: str) -> tuple[float, float, float]:
    """(bytes loaded, time to the first chart [s], time to the whole answer [s]) of a view, nothing cached."""
    context = browser.new_context()
    page = context.new_page()
    loaded: list[float] = []
    page.on("requestfinished", lambda request: loaded.append(request.sizes()["responseBodySize"]))
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    times = []
    for expression in (FIRST, WHOLE):
        while not page.evaluate(f"() => document.readyState !== 'loading' && ({expression})"):
            time.sleep(EVERY)
        times.append(time.perf_counter() - began)
    context.close()
    return sum(loaded), times[0], times[1]


def main(programme: str) -> None:
    """Start a page, measure each view twice, print the table."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        raise SystemExit("no chromium")
    with tempfile.TemporaryDirectory() as work, sync_playwright() as tool:
        words = [sys.executable, "-m", "tonnage", "page", programme, "--no-open", "--port", "0", "--work", work]
        served = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        try:
            assert served.stderr is not None
            url = served.stderr.readline().split()[-1]
            browser = tool.chromium.launch(executable_path=chromium, args=["--no-sandbox"] if os.geteuid() == 0 else [])
            print(f"{'view':40} {'kB':>6} {'first chart':>12} {'whole':>8} {'again':>8}")
            for view in VIEWS:
                weight, first, whole = measured(browser, url + view)
                _, again, _ = measured(browser, url + view)
                print(f"{view:40} {weight / 1000:6.0f} {first:10.2f} s {whole:6.2f} s {again:6.2f} s")
            browser.close()
        finally:
            served.terminate()
            served.wait()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).parents[1] / "examples" / "r2.yaml"))
