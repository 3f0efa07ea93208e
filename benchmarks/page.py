"""How soon the page shows something, and what it weighs: every view in Chromium, the first time and once it is warm.

    python benchmarks/page.py [PROGRAMME]

Needs a Chromium and playwright. For each view: bytes that are loaded, time from the start of the navigation to the
first chart, and to the whole answer, beside the bars; exit code 1 if one is missed. The launch is asked of a page that
was started just before, in an empty folder: nothing is planned or kept yet.
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

LAUNCH = "launch"
VIEWS = ("fit", "train", "serve", "simulate", "catalogue", "accuracy", "launch?off=us_2025_04_09_h20_letter")
WEIGHT, SOON, SOON_LAUNCH = 1.5e6, 1.0, 3.0
"""The bars: bytes of a view, time to its first chart, to the first answer of a launch [s]."""
FIRST = "document.querySelector('figure svg') !== null"
WHOLE = "document.getElementById('answer').dataset.whole === 'true'"
DONE = "document.getElementById('answer').dataset.done === '1'"
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
    for expression in (FIRST, WHOLE, DONE):
        while not page.evaluate(f"() => document.readyState !== 'loading' && ({expression})"):
            time.sleep(EVERY)
        times.append(time.perf_counter() - began)
    page.wait_for_load_state("networkidle")
    context.close()
    return sum(loaded), times[0], times[1]


def told(view: str, weight: float, times: tuple[float, float, float]) -> bool:
    """Print the line of a view: what was measured beside its bars. Whether both are met."""
    soon = SOON_LAUNCH if view.startswith(LAUNCH) else SOON
    first, whole, again = times
    met = weight <= WEIGHT and first <= soon
    figures = f"{weight / 1000:6.0f} of {WEIGHT / 1000:.0f} {first:8.2f} of {soon:.0f} s {whole:6.2f} s {again:6.2f} s"
    print(f"{view:40} {figures}  {'met' if met else 'MISSED'}", flush=True)
    return met


def main(programme: str) -> bool:
    """Start a page, measure each view twice, print the table. Whether every bar is met."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        raise SystemExit("no chromium")
    with tempfile.TemporaryDirectory() as work, sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=chromium, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        words = [sys.executable, "-m", "tonnage", "page", programme, "--no-open", "--port", "0", "--work", work]
        served = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        try:
            assert served.stderr is not None
            url = served.stderr.readline().split()[-1]
            print(f"{'view':40} {'kB':>6} {'bar':>7} {'first chart':>11} {'bar':>4} {'whole':>8} {'again':>8}")
            met = []
            for view in (LAUNCH, *VIEWS):
                weight, first, whole = measured(browser, url + view)
                _, again, _ = measured(browser, url + view)
                met.append(told(view, weight, (first, whole, again)))
            browser.close()
        finally:
            served.terminate()
            served.wait()
    return all(met)


if __name__ == "__main__":
    asked = sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).parents[1] / "examples" / "r2.yaml")
    sys.exit(0 if main(asked) else 1)
