"""The page in a real browser: it loads, moves, travels in its address, saves, is kept to by keyboard and screen reader.

`make browser`: not among `make test`, for it needs a Chromium (Debian's `chromium`) and its time. Pictures go to
build/screens.
"""

import csv
import gzip
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paging import Paged

from tonnage.web.fields import VIEWS

ROOT = Path(__file__).parents[2]
SCREENS = ROOT / "build" / "screens"
DATA = Path(__file__).parent / "data"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
TimeoutError_ = TimeoutError
if importlib.util.find_spec("playwright"):
    from playwright.sync_api import TimeoutError as TimeoutError_

ABSENT = [
    name
    for name, there in (("chromium", CHROMIUM), ("playwright", importlib.util.find_spec("playwright")))
    if not there
]

LONG = 300_000
"""Longest wait [ms]: machines of checks are slow."""


@pytest.fixture(scope="module")
def browser():
    if ABSENT:
        pytest.fail(f"make browser needs {' and '.join(ABSENT)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        found = tool.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield found
        found.close()


@pytest.fixture(scope="module")
def paged(tmp_path_factory, browser):
    """A page with real workers, a ledger, a run and a verdict."""
    work = tmp_path_factory.mktemp("work")
    _run_of(work / "pre1")
    _verdict_of(work / "verdict.json")
    with Paged(work, ROOT / "examples" / "r2.yaml", _ledger_of(work / "ledger.sqlite")) as found:
        yield found


def _run_of(folder):
    folder.mkdir()
    steps = [{"event": "step", "step": n, "loss": 5 / (1 + n / 20), "seconds": 0.5} for n in range(60)]
    lines = [{"event": "start", "device": "cpu"}, *steps]
    (folder / "events.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))


def _verdict_of(path):
    gates = [
        {
            "name": "bf16 gemm against fp64",
            "part": "numerics",
            "state": "pass",
            "measured": 0.0031,
            "limit": 0.004,
            "unit": "",
        },
        {
            "name": "steps done twice differ",
            "part": "soak",
            "state": "fail",
            "measured": 3,
            "limit": 1,
            "unit": "steps",
        },
    ]
    held = {"device": "Ascend 910C", "verdict": "inference only", "model": "deepseek-v3", "cards": 1024, "days": 30}
    held |= {"serves": "yes", "trains": "no", "software": "torch 2.13", "date": "2026-11-01", "gates": gates}
    path.write_text(
        json.dumps({"command": "qualify", "verdict": held | {"binds": ["steps done twice differ"], "missing": []}})
    )


def _ledger_of(path):
    words = ["train", "llama-3.1-8b", "--on", "64xh100", "--tokens", "1T", "--ledger", str(path), "-q"]
    subprocess.run([sys.executable, "-m", "tonnage", *words], check=True, capture_output=True)
    listed = [sys.executable, "-m", "tonnage", "ledger", "list", "--ledger", str(path), "--json"]
    (plan,) = json.loads(subprocess.run(listed, check=True, capture_output=True).stdout)["plans"]
    added = ["ledger", "add", plan["id"], "--set", "step_time=7.1s", "--ledger", str(path)]
    subprocess.run([sys.executable, "-m", "tonnage", *added], check=True, capture_output=True)
    return path


@pytest.fixture
def opened(browser, paged):
    """Opens a path in a context of its own, and fails what the console, the page or a foreign request says."""
    said, contexts = [], []

    def go(path="/fit", *, wait=True, theme="light", width=1280, height=900):
        context = browser.new_context(
            color_scheme=theme, viewport={"width": width, "height": height}, accept_downloads=True
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(LONG)
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if not _ours(request.url, paged.url) else None)
        page.goto(paged.url + path)
        if wait:
            done(page)
        return page

    go.said = said
    yield go
    for context in contexts:
        context.close()
    assert not said


def _ours(url, own):
    return url.startswith((own + "/", "data:", "blob:"))


def done(page, times=1):
    """Waits until so many questions are answered whole."""
    until(page, f"Number(document.getElementById('answer')?.dataset.done ?? 0) >= {times}")


def until(page, expression):
    """Waits for an expression: Playwright's own way would need eval, which the page forbids."""
    began = time.monotonic()
    while not page.evaluate(expression):
        assert time.monotonic() - began < LONG / 1000, (expression, page.locator("#main").inner_text()[:500])
        page.wait_for_timeout(50)


def sentence(page):
    return page.locator("#sentence").inner_text()


def marks(page, chart):
    """How many marks a chart has, and the words in it."""
    svg = page.locator(f'figure[data-chart="{chart}"] svg')
    return svg.locator('[class*="mark-"] path').count(), svg.locator("text").all_text_contents()


def pictured(page, name):
    """A picture of the whole page in build/screens. A busy machine may miss one: once more."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(200)
    for last in (False, True):
        try:
            page.screenshot(path=SCREENS / f"{name}.png", full_page=True, animations="disabled", timeout=60_000)
            return
        except TimeoutError_:
            if last:
                raise


ASKED = [view for view in VIEWS if view not in ("qualify", "launch")]


# ---------------------------------------------------------------- it loads


@pytest.mark.parametrize("view", [*ASKED, "qualify"])
def test_each_view_loads_answers_and_draws(opened, view):
    page = opened(f"/{view}", wait=view != "qualify")
    until(page, "document.getElementById('sentence').className.trim() === 'sentence'")
    assert len(sentence(page)) > 10
    page.wait_for_selector("figure svg")
    for figure in page.locator("figure").all():
        name = figure.get_attribute("data-chart")
        count, words = marks(page, name)
        assert count > 0 and words, name
        assert figure.locator(".plot").get_attribute("role") == "img"
        assert len(figure.locator("figcaption span").first.inner_text()) > 10
    assert page.locator("table").count() > 0
    if view != "qualify":
        assert (
            page.locator("#cli")
            .inner_text()
            .splitlines()[-1 if view != "simulate" else 0]
            .startswith(("tonnage ", "cat "))
        )


def test_a_run_is_watched(opened, paged):
    page = opened("/runs")
    page.get_by_role("button", name="Watch").click()
    page.wait_for_selector('figure[data-chart="loss"] svg')
    assert "step 59" in sentence(page) and "device cpu" in page.locator("#live").inner_text()


# ---------------------------------------------------------------- it moves


def test_another_question_moves_the_charts(opened):
    page = opened("/fit")
    before, told = marks(page, "memory"), sentence(page)
    page.get_by_label("Accelerators").fill("16xh800")
    page.get_by_label("Accelerators").press("Enter")
    done(page, 2)
    after = marks(page, "memory")
    assert told != sentence(page) and "H800" in sentence(page)
    assert before[0] == after[0] > 4 and before[1] != after[1]
    assert any("80 GB" in text for text in after[1])


def test_the_frontier_says_the_layout_of_a_point(opened):
    page = opened("/serve")
    page.locator('figure[data-chart="frontier"] svg [class*="mark-symbol"] path').nth(3).hover(force=True)
    page.wait_for_selector("#tip:visible")
    assert re.search(r"layout\s+tp\d", page.locator("#tip").inner_text())


def test_a_rule_is_moved_away_with_one_click_and_the_day_moves_and_says_why(opened):
    page = opened("/launch?draws=40")
    before = sentence(page)
    page.locator(".switch").first.click()
    done(page, 2)
    moved = page.locator("#moved").inner_text()
    assert sentence(page) != before
    assert moved.startswith("Without Is-informed letters: H20")
    assert re.search(
        r"P50 is (\S+, (\d+ days (earlier|later)|on the same day)|\S+|after \S+), in place of|P50 stays", moved
    )
    assert "keeps 79 % of cloud-h20 away" in moved
    assert (
        "off=us_2025_04_09_h20_letter" in page.url
        and "without us_2025_04_09_h20_letter" in page.locator("#cli").inner_text()
    )
    other = opened(page.url.removeprefix(page.url.split("/launch")[0]))
    assert sentence(other) == sentence(page)
    assert not other.get_by_role("switch").first.is_checked()


def test_a_newcomer_moves_a_rule_away_sends_the_address_and_the_report(opened, tmp_path):
    """What `make page` opens, with all draws of the launch."""
    page = opened("/")
    horizon = r"(Yes|Unlikely \(.*\)|No \(.*\)): r2 launches by \d{4}-\d\d-\d\d"
    assert page.url.endswith("/launch") and re.match(horizon, sentence(page))
    assert page.locator('figure[data-chart="timeline"] svg').count() == 1
    before, told = saved_launch(page, tmp_path), sentence(page)
    switch = page.get_by_role("switch", name=re.compile("Is-informed letters: H20"))
    switch.click()
    done(page, 2)
    after, moved = saved_launch(page, tmp_path), page.locator("#moved").inner_text()
    assert sentence(page) != told and after["probability_by_horizon"] > before["probability_by_horizon"]
    assert moved.startswith("Without Is-informed letters: H20")
    for part in what_moved(before, after):
        assert part in moved
    assert "keeps 79 % of cloud-h20 away" in moved
    assert any(text.startswith("before: ") for text in marks(page, "dates")[1])
    assert page.url.split("/launch")[1] == "?off=us_2025_04_09_h20_letter"
    other = opened(page.url.removeprefix(page.url.split("/launch")[0]))
    assert sentence(other) == sentence(page) and other.locator("#moved").inner_text() == moved
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Report").click()
    waiting.value.save_as(tmp_path / "report.html")
    far = page.context.browser.new_context()
    far.set_offline(True)
    report = far.new_page()
    asked = []
    report.on("request", lambda request: asked.append(request.url) if request.url.startswith("http") else None)
    report.goto((tmp_path / "report.html").as_uri())
    report.wait_for_selector("figure svg")
    assert sentence(page) in report.locator("h1").inner_text()
    report.locator('figure svg [class*="mark-rect"] path').nth(5).hover(force=True)
    report.wait_for_selector("#vg-tooltip-element.visible")
    assert re.search(r"accelerators\s*[\d,]+", report.locator("#vg-tooltip-element").inner_text())
    assert "how right such dates were" in report.locator("figure h2").all_inner_texts()
    assert report.locator("figure svg").count() == report.locator("figure").count()
    assert not asked
    far.close()


def saved_launch(page, folder):
    """`launch` of the answer that is seen, saved as JSON."""
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Answer as JSON").click()
    waiting.value.save_as(folder / "answer.json")
    return json.loads((folder / "answer.json").read_text())["launch"]


def what_moved(before, after):
    """What has to be said of two launches: the days where both have P50, else the chance, P50 where one has it, P10."""
    was, now = before["p50"], after["p50"]
    share = "{:.0f} % of the draws launch by"
    if was and now:
        return [f"P50 is {now}, ", f" in place of {was}."]
    chances = [share.format(100 * each["probability_by_horizon"]) for each in (before, after)]
    days = [f"P50 is {now or 'after '}", f"in place of {was or 'after '}"] if was or now else ["P50 stays "]
    return [chances[1], f"in place of {chances[0].split(' of ')[0]}", *days, f"P10 is {after['p10']}, ", before["p10"]]


def test_the_same_by_keyboard_alone(opened):
    page = opened("/launch?draws=40")
    told = sentence(page)
    tab_to(page, "document.activeElement.getAttribute('role') === 'switch'")
    page.keyboard.press("Space")
    done(page, 2)
    assert sentence(page) != told and page.locator("#moved").is_visible()
    assert page.evaluate("document.activeElement.getAttribute('role')") == "switch"
    tab_to(page, "document.activeElement.textContent === 'Report (one file)'", 200)
    with page.expect_download():
        page.keyboard.press("Enter")


def tab_to(page, expression, most=60):
    """Goes on with the tabulator until something has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(expression):
            return
    raise AssertionError(expression)


def test_a_launch_is_answered_at_once_and_then_in_full(opened):
    page = opened("/launch?draws=200&seed=3", wait=False)
    page.wait_for_selector("figure svg")
    until(page, "document.getElementById('answer').dataset.whole !== undefined")
    assert page.evaluate("document.getElementById('answer').dataset.whole") == "false"
    assert "few draws" in page.locator("#doing").inner_text() and page.locator("#files a").count() == 0
    done(page)
    assert page.evaluate("document.getElementById('answer').dataset.whole") == "true"
    assert page.locator("#files a").all_inner_texts() == ["Report (one file)", "Answer as JSON", "Table as CSV"]
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Table as CSV").click()
    assert waiting.value.suggested_filename == "tonnage-launch.csv"


def test_a_launch_shows_how_right_such_dates_were(opened):
    page = opened("/launch?draws=40")
    count, words = marks(page, "back-test")
    assert count > 26 and "Llama 4 Behemoth, 2025-04-05" in words and "372, rival 155" in words


def test_a_rule_leads_to_what_it_says_and_to_its_source(opened):
    page = opened("/launch?draws=40")
    page.get_by_role("link", name=re.compile("What the rule says: Is-informed")).click()
    page.wait_for_url("**/catalogue?what=us_2025_04_09_h20_letter")
    done(page)
    sources = page.locator('#dl a[href^="https://www.sec.gov/"]')
    assert sources.count() >= 2 and sources.first.get_attribute("rel") == "noopener noreferrer"


def test_a_table_is_sorted_narrowed_and_shown_whole(opened):
    page = opened("/catalogue")
    rows = page.locator("#tables tbody tr")
    assert rows.count() == 60
    head = page.locator("#tables th").nth(3)
    first = page.locator("#tables tbody tr td:nth-child(4)").first.inner_text
    head.get_by_role("button").click()
    small = first()
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert size(first()) > 100 * size(small)
    page.get_by_role("button", name=re.compile(r"Show all \d+ rows")).click()
    whole = rows.count()
    assert whole > 100
    page.get_by_label("Filter rows").fill("H20-")
    assert {text.split("-")[0] for text in rows.locator("a").all_inner_texts()} == {"h20"}
    page.get_by_label("Filter rows").fill("")
    assert rows.count() == whole


def size(text):
    number, unit = text.split()
    return float(number) * {"MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]


def test_an_edited_programme_has_its_errors_in_place_and_travels_in_the_address(opened):
    page = opened("/launch?start=mini&draws=20")
    page.locator("#edit > summary").click()
    editor = page.locator("#programme")
    text = editor.input_value()
    editor.fill(text.replace("chip: h", "chip: hh", 1) + "\nspeed: 3\n")
    page.locator("#launchit").click()
    done(page, 2)
    errors = page.locator("#errors")
    assert re.search(r"programme\.yaml:\d+:\d+", errors.inner_text())
    errors.get_by_role("button").first.click()
    line = int(re.search(r"yaml:(\d+)", errors.get_by_role("button").first.inner_text())[1])
    at = editor.evaluate("each => each.selectionStart")
    assert editor.input_value()[:at].count("\n") == line - 1
    assert page.locator("#gutter b").first.inner_text() in errors.inner_text()
    editor.fill(text.replace("name: ", "name: My ", 1))
    page.locator("#launchit").click()
    done(page, 3)
    assert not errors.inner_text() and "#p=" in page.url
    other = opened("/launch" + page.url.split("/launch")[1])
    assert "name: My " in other.locator("#programme").input_value()
    assert sentence(other) == sentence(page)


def test_a_name_that_is_markup_is_read_and_not_run(opened):
    page = opened("/launch?start=mini&draws=20")
    page.locator("#edit > summary").click()
    editor = page.locator("#programme")
    text = editor.input_value()
    editor.fill(
        re.sub(r"(?m)^name: .*$", "name: '<script>window.ran = 1</script><img src=x onerror=window.ran=1>'", text)
    )
    page.locator("#launchit").click()
    done(page, 2)
    assert page.evaluate("window.ran") is None
    assert page.locator("#main img, #main script").count() == 0


def test_work_can_be_cancelled(opened):
    page = opened("/launch?draws=4999&seed=7", wait=False)
    page.locator("#cancel").click()
    until(page, "document.getElementById('errors').textContent.includes('Cancelled')")
    assert page.locator("#working").is_hidden()


def test_prices_have_their_age(opened):
    page = opened("/catalogue?what=prices")
    heads = page.locator("#tables thead th").all_inner_texts()
    cells = page.locator(f"#tables tbody td:nth-child({heads.index('age') + 1})").all_inner_texts()
    assert len(cells) > 50 and all(re.fullmatch(r"[\d.]+ (days?|months?|years?)|", cell) for cell in cells)
    assert sum(map(bool, cells)) > 40


def test_the_day_of_the_catalogue_slides(opened):
    page = opened("/catalogue")
    before = sentence(page)
    page.locator("#day").focus()
    for _ in range(3):
        page.keyboard.press("PageDown")
    until(page, f"document.getElementById('sentence').textContent !== {json.dumps(before)}")
    assert "as_of=20" in page.url and page.locator("#dayis").inner_text() in page.url


# ---------------------------------------------------------------- it travels


def test_the_address_says_what_was_asked_and_nothing_else(opened):
    page = opened("/serve")
    assert "?" not in page.url
    page.get_by_label("Input tokens").fill("2k")
    page.get_by_label("Mode", exact=True).select_option("disaggregated")
    page.get_by_role("button", name="Ask", exact=True).click()
    until(page, "document.getElementById('sentence').textContent.length > 0 && location.search.includes('mode')")
    done(page, 2)
    assert sorted(page.url.split("?")[1].split("&")) == ["isl=2k", "mode=disaggregated"]
    other = opened("/serve?" + page.url.split("?")[1])
    assert sentence(other) == sentence(page)
    assert other.get_by_label("Input tokens").input_value() == "2k"
    while "?" in page.url:
        page.go_back()
        page.wait_for_timeout(100)
    until(page, "document.getElementById('f-isl').value === '4k'")


def test_each_chart_can_be_saved_as_rows_drawing_and_picture(opened, tmp_path):
    page = opened("/serve")
    figure = page.locator('figure[data-chart="frontier"]')
    saved = {}
    for kind in ("csv", "svg", "png"):
        with page.expect_download() as waiting:
            figure.locator(f'[data-save="{kind}"]').click()
        saved[kind] = tmp_path / f"x.{kind}"
        waiting.value.save_as(saved[kind])
        assert waiting.value.suggested_filename == f"tonnage-serve-frontier.{kind}"
    rows = list(csv.DictReader(io.StringIO(saved["csv"].read_text())))
    assert len(rows) > 5 and {"x", "y", "layout"} <= rows[0].keys()
    assert saved["svg"].read_text().startswith("<svg") and saved["png"].read_bytes()[:4] == b"\x89PNG"


def test_the_answer_can_be_saved(opened, tmp_path):
    page = opened("/fit")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Answer as JSON").click()
    waiting.value.save_as(tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text())["command"] == "fit"
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Report").click()
    waiting.value.save_as(tmp_path / "report.html")
    offline = page.context.browser.new_context(offline=True).new_page()
    offline.goto((tmp_path / "report.html").as_uri())
    offline.wait_for_selector("figure svg")
    assert sentence(page) in offline.locator("h1").inner_text()
    offline.context.close()


def test_every_fact_of_an_answer_has_its_source(opened):
    page = opened("/fit")
    page.get_by_text("What this rests on").click()
    page.wait_for_selector("#sourcelist tbody tr")
    assert "h200-sxm/memory" in page.locator("#sourcelist").inner_text()


# ---------------------------------------------------------------- for everybody


def test_a_question_is_asked_and_a_chart_saved_by_keyboard_alone(opened):
    page = opened("/fit")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        if seen[-1] == "f-on":
            break
    assert {"Launch", "theme", "f-model", "f-on"} <= set(seen)
    page.keyboard.press("Control+A")
    page.keyboard.type("16xh200")
    page.keyboard.press("Enter")
    done(page, 2)
    assert "16 x H200" in sentence(page)
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.save") == "csv":
            break
    with page.expect_download():
        page.keyboard.press("Enter")


def test_the_theme_follows_the_system_and_then_the_button(opened):
    page = opened("/fit", theme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(20, 24, 29)"
    page.locator("#theme").click()
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    page.reload()
    assert page.evaluate(ground) == "rgb(255, 255, 255)"


def test_the_checker_is_the_one_that_was_vendored():
    told = json.loads((DATA / "axe.json").read_text())
    assert hashlib.sha256((DATA / "axe.min.js.gz").read_bytes()).hexdigest() == told["sha256"]


SEEN = {
    **{view: f"/{view}" for view in VIEWS if view != "launch"},
    "launch": "/launch?draws=40",
    "moved": "/launch?draws=40&off=us_2025_04_09_h20_letter",
    "accuracy-train": "/accuracy?what=train",
    "capacity": "/accuracy?what=capacity",
    "back-test": "/accuracy?what=launch",
    "prices": "/catalogue?what=prices",
    "rules": "/catalogue?what=rules",
    "chip": "/catalogue?what=h20",
    "rule": "/catalogue?what=us_2025_04_09_h20_letter",
    "errors": "/runs?what=errors&by=chip",
}
"""What is pictured and checked: every view, and what a view shows besides."""

DRAWLESS = ("rule",)
"""Of them, those without a chart."""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", SEEN)
def test_every_view_is_seen_in_both_themes_and_the_checker_finds_nothing_serious(opened, view, theme):
    page = opened(SEEN[view], theme=theme, wait=view != "qualify")
    page.wait_for_selector("#dl" if view in DRAWLESS else "figure svg")
    pictured(page, f"{view}-{theme}")
    page.evaluate(gzip.decompress((DATA / "axe.min.js.gz").read_bytes()).decode())
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    found = page.evaluate(f"axe.run(document, {json.dumps(rules)})")["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not [(each["id"], [node["html"][:150] for node in each["nodes"][:3]]) for each in serious]


@pytest.mark.parametrize("view", SEEN)
def test_every_view_fits_a_phone(opened, view):
    page = opened(SEEN[view], width=360, height=740, wait=view != "qualify")
    page.wait_for_selector("#dl" if view in DRAWLESS else "figure svg")
    pictured(page, f"{view}-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    current = page.locator("nav [aria-current]").bounding_box()
    assert current["x"] >= 0 and current["x"] + current["width"] <= 360
    if view == "qualify":
        return
    page.get_by_text("Change the question").click()
    assert page.locator("#form button.primary").bounding_box()["height"] >= 32
