"""The page's routes: who may ask, what is answered, what is not; nothing of the machine is told or touched."""

import contextlib
import json
import re
import sys
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tonnage.cli.page import access_of
from tonnage.web import app as page_app
from tonnage.web import guard, pages, runs
from tonnage.web.app import Page, PageSettings
from tonnage.web.fields import VIEWS
from tonnage.web.questions import Asker
from tonnage.web.static_files import served

FAKE = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))
HERE = "http://127.0.0.1:8321"
OWN = {"origin": HERE}


def settings(work, host="127.0.0.1", token=None):
    scratch = work / ".tonnage-page"
    scratch.mkdir(exist_ok=True)
    return PageSettings(FAKE, work, Asker(scratch, "code"), access_of(host, token), warm=False)


@pytest.fixture
def client(tmp_path, monkeypatch):
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    with TestClient(Page(settings(tmp_path)).app(), base_url=HERE, raise_server_exceptions=False) as found:
        yield found


def ask(client, view="fit", headers=OWN, **more):
    return client.post("/api/ask", json={"view": view, **more}, headers=headers)


def lines(response):
    return [json.loads(line) for line in response.text.splitlines()]


# ---------------------------------------------------------------- views and answers


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_is_there_with_labels_for_its_fields(client, view):
    text = client.get(f"/{view}").text
    assert text.count("<h1>") == 1 and 'lang="en"' in text
    inputs = set(re.findall(r'<(?:input|select) (?:type="checkbox" )?id="(f-\w+)"', text))
    assert inputs and inputs <= {
        *re.findall(r'for="(f-\w+)"', text),
        *re.findall(r'<input type="checkbox" id="(f-\w+)"', text),
    }
    assert not re.search(r"\b(fields|views|form|page|answer|launch)\.\w+\.?\w*\b(?=<)", text), "a word is missing"
    assert not re.search(r"<script(?![^>]*(src=|application/json))|\son\w+=|\sstyle=|javascript:", text)


def test_the_first_page_is_the_launch(client):
    assert client.get("/", follow_redirects=False).headers["location"] == "/launch"
    assert client.get("/nothing").status_code == 404


def test_a_question_is_answered_line_by_line(client):
    told, answer, end = lines(ask(client))
    assert told == {"kind": "told", "command": "tonnage fit deepseek-r1 --on 8xh200", "stages": 1}
    assert answer["kind"] == "answer" and answer["answer"]["sentence"].startswith("answer to fit deepseek-r1")
    assert end == {"kind": "end"}


def test_a_launch_is_answered_twice_and_then_from_what_is_kept(client):
    first = lines(ask(client, "launch"))
    assert [(each["stage"], each["of"]) for each in first if each["kind"] == "answer"] == [(1, 2), (2, 2)]
    again = lines(ask(client, "launch"))
    assert [(each["stage"], each["of"]) for each in again if each["kind"] == "answer"] == [(1, 1)]


def test_a_launch_with_a_rule_off_is_compared_with_the_one_with_it(client):
    found = lines(ask(client, "launch", fields={"off": "us_2025_04_09_h20_letter"}))
    kinds = [each["kind"] for each in found if each["kind"] != "progress"]
    assert kinds == ["told", "answer", "answer", "base", "end"]


def test_paths_of_the_page_are_not_told(client, tmp_path):
    response = ask(client, "launch", programme="name: x\n")
    assert str(tmp_path) not in response.text and "r2.yaml" in response.text


def test_what_is_wrong_is_told_in_place(client):
    response = ask(client, fields={"kv": "fp9", "model": "/etc/passwd"})
    assert response.status_code == 422
    errors = response.json()["errors"]
    assert [each["place"] for each in errors] == ["model", "kv"]


def test_an_answer_can_be_had_as_a_file_and_no_other(client):
    key = lines(ask(client))[1]["key"]
    response = client.get(f"/download/{key}.json")
    assert response.json()["command"] == "fit"
    assert response.headers["content-disposition"] == 'attachment; filename="tonnage-fit.json"'
    assert client.get(f"/download/{key}.csv").headers["content-type"] == "text/csv; charset=utf-8"
    report = client.get(f"/download/{key}.html").text
    assert "answer to fit deepseek-r1" in report and "tonnage fit deepseek-r1 --on 8xh200" in report
    assert client.get(f"/api/sources/{key}").json()["rows"] == []
    assert client.get("/api/sources/x").status_code == 404
    for path in (f"/download/{'0' * 64}.json", f"/download/{key}.yaml", "/download/..%2f..%2fx.json"):
        assert client.get(path).status_code == 404


def test_a_programme_to_start_from_is_given_by_name_only(client):
    assert client.get("/api/programme/mini").json()["name"] == "programme.yaml"
    assert client.get("/api/programme/..%2f..%2fetc%2fpasswd").status_code == 404
    assert client.get("/api/programme/passwd").json()["name"] == "r2.yaml"


# ---------------------------------------------------------------- names as others write them

NASTY = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>x",
    "{{7*7}}",
    "\x1b[31m\u202e\x00",
)


@pytest.mark.parametrize("text", NASTY)
def test_markup_and_control_characters_in_the_address_are_shown_and_never_run(client, text):
    page = client.get("/fit", params={"model": text}).text
    assert text not in page.replace('value="{{7*7}}"', "") and "49" not in re.findall(
        r'id="f-model"[^>]*value="([^"]*)"', page
    )
    assert page.count("<script") == client.get("/fit").text.count("<script")


@pytest.mark.parametrize("text", NASTY)
def test_they_come_back_as_json_and_no_browser_reads_it_as_html(client, text):
    response = ask(client, fields={"model": text})
    assert response.status_code == 422 and response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "\x1b" not in response.text and "\u202e" not in response.json()["errors"][0]["text"]


# ---------------------------------------------------------------- who may ask


def test_every_response_says_what_a_browser_may_do_with_it(client):
    for path in ("/launch", "/healthz", "/static/page.js", "/nothing", "/api/names", "/static/nothing"):
        headers = client.get(path).headers
        for name, value in guard.HEADERS.items():
            assert headers[name] == value, (path, name)
    assert "unsafe" not in guard.CSP and "*" not in guard.CSP and "http" not in guard.CSP
    for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in guard.CSP


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8321", "127.0.0.1.evil.example", "", "127.0.0.1@evil", "0.0.0.0"]
)
def test_a_name_that_is_turned_to_this_machine_is_refused(client, host):
    assert client.get("/launch", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8321", "localhost:9", "[::1]:8321", "LOCALHOST"])
def test_the_names_of_this_machine_are_taken(client, host):
    assert client.get("/launch", headers={"host": host}).status_code == 200


FOREIGN = (
    {},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:9999"},
    {"origin": "https://127.0.0.1:8321"},
    {"origin": HERE, "sec-fetch-site": "cross-site"},
    {"origin": HERE, "sec-fetch-site": "same-site"},
)


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_question_from_elsewhere_is_refused(client, headers, tmp_path):
    assert ask(client, headers=headers).status_code == 403
    assert not (tmp_path / "asked").exists()


def test_what_another_site_shows_or_fetches_is_refused_and_a_link_is_followed(client):
    other = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert client.get("/api/names", headers=other).status_code == 403
    assert client.get("/static/page.js", headers=other).status_code == 403
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/fit", headers=link).status_code == 200
    assert client.get("/api/names", headers=link).status_code == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(client, method):
    assert client.request(method, "/api/ask", headers=OWN).status_code == 405


def test_away_from_the_loopback_a_token_is_needed_and_becomes_a_cookie(tmp_path):
    held = settings(tmp_path, "10.0.0.5")
    token = held.access.token
    assert token is not None and len(token) >= 32
    base = "http://10.0.0.5:8321"
    with TestClient(Page(held).app(), base_url=base, follow_redirects=False) as client:
        assert client.get("/launch").status_code == 401
        assert client.get("/launch?token=wrong").status_code == 401
        assert client.get("/healthz").text == "ok"
        for path in ("/api/names", "/static/page.js", "/download/x.json"):
            assert client.get(path).status_code == 401
        let = client.get(f"/fit?model=a&token={token}")
        assert let.status_code == 303 and let.headers["location"] == "/fit?model=a"
        cookie = let.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert client.get("/fit").status_code == 200
    with TestClient(Page(held).app(), base_url=base, follow_redirects=False) as client:
        away = client.get(f"//evil.example/?token={token}")
        assert not away.headers.get("location", "/").startswith("//")


def test_on_every_address_any_address_but_no_name_is_its_own():
    access = access_of("0.0.0.0", None)
    assert access.token and access.knows("192.168.1.7:8321") and access.knows("[fe80::1]:8321")
    assert not access.knows("evil.example:8321")
    assert access_of("127.0.0.1", None).token is None
    assert not access_of("127.0.0.1", "a" * 20).lets_in("")


# ---------------------------------------------------------------- how much


def test_a_body_is_bounded_told_or_not(client):
    big = b"x" * (guard.BODY + 1)
    assert client.post("/api/ask", content=big, headers=OWN).status_code == 413
    assert client.post("/api/ask", content=iter([big]), headers=OWN).status_code == 413
    assert client.get("/launch?" + "a" * guard.ADDRESS).status_code == 414


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"null", b"[" * 100_000, b'{"view": "fit", "fields": 1}', b'{"view": ["fit"]}', b"\xff"]
)
def test_a_body_that_is_no_question_is_told(client, body):
    response = client.post("/api/ask", content=body, headers=OWN)
    assert response.status_code == 422 and response.json()["errors"]


@pytest.mark.parametrize("view", ["qualify", "run", "export", "../x", "", None, 1])
def test_a_view_that_cannot_be_asked_is_told(client, view):
    assert ask(client, view).status_code == 422


def test_too_many_listeners_are_told_to_come_back(client, monkeypatch):
    monkeypatch.setattr(page_app, "STREAMS", 0)
    response = ask(client)
    assert response.status_code == 503 and response.headers["retry-after"]


def test_a_defect_tells_nothing_of_the_program(client, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret")

    monkeypatch.setattr(pages, "names", broken)
    response = client.get("/api/names")
    assert response.status_code == 500
    assert not re.search(r"secret|Traceback|\.py|RuntimeError", response.text)


def test_with_a_hundred_heavy_questions_the_page_still_answers(tmp_path):
    """In a server of its own: a hundred launches at once, each another; then a view, a file and a quick question."""
    from paging import Paged

    with Paged(tmp_path, heavy="60") as paged, contextlib.ExitStack() as under_way:
        for number in range(100):
            under_way.enter_context(paged.connect("launch", {"seed": str(number)}))
        began = time.monotonic()
        assert paged.get("/healthz")[1] == b"ok"
        assert b"<h1>" in paged.get("/fit")[1]
        assert paged.get("/static/page.css")[0] == 200
        assert b"answer to show chips" in paged.ask("catalogue")
        assert time.monotonic() - began < 20, "a starved one would take a minute; alone the four take half a second"


# ---------------------------------------------------------------- files of the page


def test_files_are_found_by_name_and_no_path_is_opened(client):
    for path in ("/static/..%2fapp.py", "/static/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/static/", "/static/view.html"):
        assert client.get(path).status_code == 404


def test_files_are_packed_tagged_and_all_that_a_page_loads_weighs_under_a_megabyte_and_a_half(client):
    first = client.get("/static/page.js")
    assert first.headers["content-encoding"] == "gzip" and b"import" in first.content
    again = client.get("/static/page.js", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304 and not again.content
    assert b"import" in client.get("/static/page.js", headers={"accept-encoding": "identity"}).content
    plain = sum(len(file.plain) for file in served().values())
    html = len(client.get("/launch").content)
    assert plain + html < 1_500_000, "even unpacked"
    assert sum(len(file.packed) for file in served().values()) < 450_000


def test_no_file_of_the_page_asks_anything_of_another_host():
    for name, file in served().items():
        if name.startswith("vega"):
            continue
        text = file.plain.decode().replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"(?m)^\s*//.*$|(?<=[;{}]) +// .*$", "", text) or name.endswith(".css"), name
        assert not re.search(r"\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write", text), (
            name
        )


# ---------------------------------------------------------------- runs and verdicts of the work folder


VERDICT = {
    "device": "<b>x</b>",
    "verdict": "unfit",
    "gates": [{"name": "g", "state": "fail", "measured": 2, "limit": 1}],
}


@pytest.fixture
def work(tmp_path):
    run = tmp_path / "a" / "run1"
    run.mkdir(parents=True)
    events = [
        {"event": "start"},
        {"event": "step", "step": 1, "loss": 2.5},
        {"event": "step", "step": 2, "loss": float("nan")},
    ]
    (run / "events.jsonl").write_text("".join(json.dumps(each) + "\n" for each in events) + '{"half')
    (tmp_path / "a" / "v.json").write_text(json.dumps({"command": "qualify", "verdict": VERDICT}))
    (tmp_path / "a" / "other.json").write_text(json.dumps({"command": "fit"}))
    outside = tmp_path.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "events.jsonl").write_text("{}\n")
    (tmp_path / "linked").symlink_to(outside)
    return tmp_path


def test_runs_are_listed_by_name_and_links_are_not_followed(client, work):
    assert [each["name"] for each in client.get("/api/runs").json()["runs"]] == ["a--run1"]
    for name in ("..", "linked", "..%2foutside", "a%2frun1", "a"):
        assert client.get(f"/api/runs/{name}").status_code == 404


def test_a_run_is_watched_as_it_goes_half_a_line_waits(work):
    import asyncio

    async def watch():
        looks = 0

        async def gone():
            nonlocal looks
            looks += 1
            if looks == 2:
                with (work / "a" / "run1" / "events.jsonl").open("a") as file:
                    file.write('": 1}\n{"event": "step", "step": 3, "loss": 2}\n')
            return looks > 3

        return [line async for line in runs.watched(work / "a" / "run1", gone)]

    said = [json.loads(line[6:]) for line in asyncio.run(watch()) if line.startswith("data: ")]
    assert [event.get("step") for event in said[0]] == [None, 1, 2]
    assert "loss" not in said[0][2], "what is no number is left out"
    assert said[1] == [{"half": 1}, {"event": "step", "step": 3, "loss": 2}]


def test_verdicts_are_listed_and_read_by_name(client, work):
    assert client.get("/api/verdicts").json()["verdicts"] == [
        {"name": "a--v", "device": "<b>x</b>", "verdict": "unfit"}
    ]
    found = client.get("/api/verdicts/a--v").json()
    assert found["answer"]["sentence"] == "<b>x</b>: unfit." and not found["answer"]["feasible"]
    assert found["answer"]["tables"][0]["rows"] == [["g", "fail", "2", "1", "", ""]]
    assert [chart["name"] for chart in found["charts"]] == ["gates", "limits"]
    for name in ("a--other", "..%2fx", "v"):
        assert client.get(f"/api/verdicts/{name}").status_code == 404
