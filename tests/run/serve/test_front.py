"""The front as clients see it: real processes and sockets, the openai client, refusals as OpenAI's API words them."""

import json
import re
import socket
import subprocess
import time

import httpx
import openai
import pytest
from house import ADMIN, model, release, until

ALPHA, BETA, GAMMA, DELTA = (f"{name}-0123456789abcdef" for name in ("alpha", "beta", "gamma", "delta"))

TENANTS = """
tenants:
  alpha: {key_env: ALPHA}
  beta: {key_env: BETA, models: [other]}
  gamma: {key_env: GAMMA, requests_per_minute: 3}
  delta: {key_env: DELTA, tokens_per_minute: 9000, tokens_per_day: 2000}
bounds: {body: 20 kB, head: 1s, upload: 1s, send: 1s, connections: 100}
"""
ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def engine(shared):
    return shared.double("r1")


@pytest.fixture(scope="module")
def front(shared, engine):
    models = (
        model(release("r1", engine))
        + "  other:\n    releases:\n      o1: "
        + json.dumps({"replicas": [{"url": engine.url}]})
    )
    keys = {"ALPHA": ALPHA, "BETA": BETA, "GAMMA": GAMMA, "DELTA": DELTA}
    return shared.front(models + TENANTS, keys)


@pytest.fixture
def usual(engine):
    yield engine
    engine.control(mode="ok", share=1.0, delay=3.0, first=0.0, between=0.0, pieces=8, usage=True, done=True)


def client(front, key=ALPHA):
    return openai.OpenAI(base_url=f"{front.url}/v1", api_key=key, max_retries=0)


# ---------------------------------------------------------------- answers


def test_the_openai_client_gets_the_answer_and_the_reasoning_apart(front):
    message = client(front).chat.completions.create(**ASK).choices[0].message
    assert message.content == "answer of r1"
    assert message.reasoning_content == message.reasoning == "because"


def test_the_openai_client_gets_a_stream_with_the_reasoning_apart(front):
    pieces = list(client(front).chat.completions.create(**ASK, stream=True))
    deltas = [piece.choices[0].delta for piece in pieces]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "w0 w1 "
    assert "".join(delta.content or "" for delta in deltas) == "w2 w3 w4 w5 w6 w7 "
    assert pieces[-1].choices[0].finish_reason == "stop"


def curl(front, body, *flags):
    words = ["curl", "--silent", "--show-error", "--no-buffer", "--max-time", "20", *flags]
    words += ["-H", f"Authorization: Bearer {ALPHA}", "-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return subprocess.run(
        [*words, f"{front.url}/v1/chat/completions"], capture_output=True, check=True, text=True
    ).stdout


def test_curl_gets_the_answer_the_stream_and_the_refusal(front):
    message = json.loads(curl(front, ASK))["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("answer of r1", "because")
    head, _, events = curl(front, ASK | {"stream": True}, "--include").replace("\r\n", "\n").partition("\n\n")
    assert "content-type: text/event-stream" in head and "x-tonnage-release: r1" in head
    pieces = [json.loads(event.removeprefix("data: ")) for event in events.strip().split("\n\n")[:-1]]
    assert "".join(one["choices"][0]["delta"].get("reasoning_content", "") for one in pieces) == "w0 w1 "
    assert events.endswith("data: [DONE]\n\n")
    refused = curl(front, ASK | {"model": "none"}, "--write-out", "%{http_code}")
    assert refused.endswith("404") and '"code":"model_not_found"' in refused.replace('": "', '":"')


def test_completions_and_models(front):
    assert client(front).completions.create(model="m", prompt="hi").choices[0].text == "answer of r1"
    assert "".join(
        piece.choices[0].text for piece in client(front).completions.create(model="m", prompt="hi", stream=True)
    )
    assert [one.id for one in client(front).models.list()] == ["m", "other"]
    assert [one.id for one in client(front, BETA).models.list()] == ["other"]
    assert client(front).models.retrieve("m").id == "m"


def test_pieces_come_when_the_engine_says_them(front, usual):
    usual.control(between=0.2, pieces=4)
    times = [time.monotonic() for _ in client(front).chat.completions.create(**ASK, stream=True)]
    assert times[3] - times[0] > 0.4


def test_usage_comes_when_it_is_asked_for_and_not_otherwise(front, engine):
    asked = [*client(front).chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})]
    assert asked[-1].usage.total_tokens == 15 and asked[-1].choices == []
    assert not any(piece.usage for piece in client(front).chat.completions.create(**ASK, stream=True))
    assert engine.seen()["last"]["body"]["stream_options"] == {"include_usage": True}


def test_an_engine_gets_its_own_name_of_the_model_and_no_key_of_ours(front, engine):
    assert front.chat(ALPHA, temperature=0.5, model="other").status_code == 200
    last = engine.seen()["last"]
    assert last["body"] == {**ASK, "model": "o1", "temperature": 0.5}
    assert last["authorization"] is None


def test_text_of_every_kind_passes_through(front, engine):
    text = '深度求索 é \U0001f600 \\ " \u2028 </script>'
    assert front.chat(ALPHA, messages=[{"role": "user", "content": text}]).status_code == 200
    assert engine.seen()["last"]["body"]["messages"][0]["content"] == text
    half = '{"model": "m", "messages": [{"role": "user", "content": "\\ud83d"}]}'
    headers = {"authorization": f"Bearer {ALPHA}", "content-type": "application/json"}
    assert httpx.post(f"{front.url}/v1/chat/completions", content=half, headers=headers).status_code == 200


# ---------------------------------------------------------------- refusals

KEYED = {"authorization": f"Bearer {ALPHA}"}
JSON = {"content-type": "application/json"}
REFUSALS = {
    "no key": ("POST", "/v1/chat/completions", JSON, "{}", 401, "invalid_request_error", None, None),
    "no key, models": ("GET", "/v1/models", {}, None, 401, "invalid_request_error", None, None),
    "wrong key": (
        "POST", "/v1/chat/completions", JSON | {"authorization": "Bearer alpha-0123456789abcdeg"}, "{}",
        401, "invalid_request_error", "invalid_api_key", None,
    ),
    "basic auth": (
        "POST", "/v1/chat/completions", JSON | {"authorization": f"Basic {ALPHA}"}, "{}",
        401, "invalid_request_error", None, None,
    ),
    "no such url": ("GET", "/v1/nothing", KEYED, None, 404, "invalid_request_error", None, None),
    "embeddings": ("POST", "/v1/embeddings", KEYED | JSON, "{}", 404, "invalid_request_error", None, None),
    "wrong method": (
        "GET", "/v1/chat/completions", KEYED, None, 405, "invalid_request_error", "method_not_supported", None,
    ),
    "no such model": (
        "POST", "/v1/chat/completions", KEYED | JSON, json.dumps(ASK | {"model": "gpt"}),
        404, "invalid_request_error", "model_not_found", None,
    ),
    "no such model card": ("GET", "/v1/models/gpt", KEYED, None, 404, "invalid_request_error", "model_not_found", None),
    "another's model": (
        "POST", "/v1/chat/completions", JSON | {"authorization": f"Bearer {BETA}"}, json.dumps(ASK),
        403, "invalid_request_error", "model_not_found", None,
    ),
    "a form": (
        "POST", "/v1/chat/completions", KEYED | {"content-type": "application/x-www-form-urlencoded"}, "{}",
        415, "invalid_request_error", "unsupported_content_type", None,
    ),
    "no json": ("POST", "/v1/chat/completions", KEYED | JSON, "{", 400, "invalid_request_error", None, None),
    "nothing": ("POST", "/v1/chat/completions", KEYED | JSON, "", 400, "invalid_request_error", None, None),
    "a list": ("POST", "/v1/chat/completions", KEYED | JSON, "[]", 400, "invalid_request_error", None, None),
    "not a number": (
        "POST", "/v1/chat/completions", KEYED | JSON, '{"model": NaN}', 400, "invalid_request_error", None, None,
    ),
    "not utf-8": (
        "POST", "/v1/chat/completions", KEYED | JSON, b'{"model": "\xff"}', 400, "invalid_request_error", None, None,
    ),
    "deep": (
        "POST", "/v1/chat/completions", KEYED | JSON, "[" * 9000 + "]" * 9000, 400, "invalid_request_error", None, None,
    ),
    "no model": (
        "POST", "/v1/chat/completions", KEYED | JSON, '{"messages": [{}]}',
        400, "invalid_request_error", "missing_required_parameter", "model",
    ),
    "no messages": (
        "POST", "/v1/chat/completions", KEYED | JSON, '{"model": "m"}',
        400, "invalid_request_error", "missing_required_parameter", "messages",
    ),
    "no prompt": (
        "POST", "/v1/completions", KEYED | JSON, '{"model": "m"}',
        400, "invalid_request_error", "missing_required_parameter", "prompt",
    ),
    "messages of text": (
        "POST", "/v1/chat/completions", KEYED | JSON, '{"model": "m", "messages": "hi"}',
        400, "invalid_request_error", "invalid_value", "messages",
    ),
    "stream of text": (
        "POST", "/v1/chat/completions", KEYED | JSON, json.dumps(ASK | {"stream": "yes"}),
        400, "invalid_request_error", "invalid_value", "stream",
    ),
    "negative bound": (
        "POST", "/v1/chat/completions", KEYED | JSON, json.dumps(ASK | {"max_tokens": -1}),
        400, "invalid_request_error", "invalid_value", "max_tokens",
    ),
    "options without stream": (
        "POST", "/v1/chat/completions", KEYED | JSON, json.dumps(ASK | {"stream_options": {"include_usage": True}}),
        400, "invalid_request_error", "invalid_value", "stream_options",
    ),
    "too large": (
        "POST", "/v1/chat/completions", KEYED | JSON, b" " * 20_001,
        413, "invalid_request_error", "request_too_large", None,
    ),
    "admin, no key": ("GET", "/admin/status", {}, None, 401, "invalid_request_error", None, None),
    "admin, a tenant's key": (
        "GET", "/admin/status", KEYED, None, 401, "invalid_request_error", "invalid_api_key", None,
    ),
    "metrics, no key": ("GET", "/metrics", {}, None, 401, "invalid_request_error", None, None),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_wrong_is_refused_as_openai_does(front, case):
    method, path, headers, content, status, kind, code, param = REFUSALS[case]
    response = httpx.request(method, front.url + path, headers=headers, content=content)
    error = response.json()["error"]
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"] and sorted(error) == ["code", "message", "param", "type"]
    assert (error["type"], error["code"], error["param"]) == (kind, code, param)
    assert error["message"] and "Traceback" not in error["message"] and ALPHA not in response.text


def test_the_openai_client_raises_its_own_errors(front):
    for key, asked, kind in (
        ("sk-wrong-wrong-wrong", {}, openai.AuthenticationError),
        (BETA, {}, openai.PermissionDeniedError),
        (ALPHA, {"model": "gpt"}, openai.NotFoundError),
        (ALPHA, {"max_tokens": 0}, openai.BadRequestError),
    ):
        with pytest.raises(kind):
            client(front, key).chat.completions.create(**(ASK | asked))


def test_a_large_body_without_a_length_is_refused_while_it_comes(front):
    parts = (b" " * 1000 for _ in range(1000))
    response = httpx.post(f"{front.url}/v1/chat/completions", headers=KEYED | JSON, content=parts)
    assert response.status_code == 413
    assert response.headers["connection"] == "close"


def test_requests_a_minute_are_counted(front):
    for _ in range(3):
        response = front.chat(GAMMA)
        assert response.status_code == 200
    assert response.headers["x-ratelimit-limit-requests"] == "3"
    assert response.headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(openai.RateLimitError) as caught:
        client(front, GAMMA).chat.completions.create(**ASK)
    assert (caught.value.type, caught.value.code) == ("requests", "rate_limit_exceeded")
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 20


def test_tokens_a_day_are_promised_first_and_counted_after(front):
    large = front.chat(DELTA, max_tokens=4000).json()["error"]
    assert (large["type"], large["code"]) == ("insufficient_quota", "insufficient_quota")
    assert front.chat(DELTA, max_tokens=1500).status_code == 200, "1500 and the prompt fit 2000"
    assert front.status()["tenants"]["delta"] == {"used_today": 15, "promised": 0}, "7 + 8 were used"
    assert front.chat(DELTA, max_tokens=1980).json()["error"]["type"] == "insufficient_quota", "1985 are left"
    assert front.chat(DELTA, max_tokens=100, stream=True).status_code == 200
    assert front.status()["tenants"]["delta"] == {"used_today": 30, "promised": 0}


# ---------------------------------------------------------------- engines that fail


def test_an_engines_refusal_comes_in_openais_shape(front, usual):
    usual.control(mode="422")
    response = front.chat(ALPHA)
    assert response.status_code == 422
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert "Field required" in response.json()["error"]["message"]


@pytest.mark.parametrize("mode", ["500", "error", "junk", "cut", "busy"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_failing_engine_is_an_error_without_its_words(front, usual, mode, stream):
    usual.control(mode=mode, pieces=1, error_at=0)
    response = front.chat(ALPHA, stream=stream)
    assert response.status_code == {"busy": 429}.get(mode, 503 if mode == "cut" else 502), response.text
    assert response.json()["error"]["type"] == "server_error"
    assert "Traceback" not in response.text and "secret" not in response.text and str(usual.port) not in response.text
    until(lambda: front.get("/ready").status_code == 200)


def test_a_stream_that_is_cut_ends_with_a_clear_error(front, usual):
    for mode in ("cut", "error"):
        usual.control(mode=mode, error_at=4)
        with pytest.raises(openai.APIError) as caught:
            list(client(front).chat.completions.create(**ASK, stream=True))
        assert caught.value.code == "stream_interrupted", mode
        assert "Traceback" not in str(caught.value)
        until(lambda: front.get("/ready").status_code == 200)


def test_a_stream_without_its_last_line_gets_it_when_it_was_finished(front, usual):
    usual.control(done=False)
    assert front.chat(ALPHA, stream=True).text.endswith("data: [DONE]\n\n")


def test_without_a_count_the_pieces_are_counted(front, usual):
    usual.control(usage=False)
    before = front.get("/metrics", ADMIN).text
    assert front.chat(ALPHA, stream=True).status_code == 200
    assert metric(front, 'kind="completion estimated"') - parsed(before, 'kind="completion estimated"') == 9


def metric(front, labels):
    return parsed(front.get("/metrics", ADMIN).text, labels)


def parsed(text, labels):
    found = re.findall(rf"tonnage_tokens_total{{[^}}]*{re.escape(labels)}[^}}]*}} (\d+)", text)
    return sum(int(number) for number in found)


def test_an_engine_is_let_go_when_the_client_leaves(front, usual):
    usual.control(between=0.2, pieces=100)
    for stream in (True, False):
        with httpx.Client() as one, pytest.raises(httpx.ReadTimeout):
            headers = {"authorization": f"Bearer {ALPHA}"}
            url = f"{front.url}/v1/chat/completions"
            with one.stream("POST", url, json=ASK | {"stream": stream}, headers=headers, timeout=0.15) as response:
                response.read()
        until(lambda: front.status()["models"]["m"]["running"] == 0, 5)
    until(lambda: front.status()["models"]["m"]["releases"]["r1"]["replicas"]["r1-0"]["running"] == 0, 5)


# ---------------------------------------------------------------- slow clients, health, metrics


def raw(front, data, wait=10.0):
    """What the front sends on a plain connection until it closes it, and how long that takes."""
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", front.port)) as one:
        one.settimeout(wait)
        one.sendall(data)
        found = b""
        try:
            while part := one.recv(65536):
                found += part
        except ConnectionResetError:
            pass
    return found, time.monotonic() - begun


def test_a_head_that_does_not_come_is_not_waited_for(front):
    for data in (b"", b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"):
        found, took = raw(front, data)
        assert not found and took < 5


def test_a_head_that_does_not_come_on_a_used_connection_is_not_waited_for(front):
    found, took = raw(front, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\nGET /health HTT")
    assert found.startswith(b"HTTP/1.1 200") and took < 6


def test_a_body_that_does_not_come_is_not_waited_for(front):
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALPHA}\r\n"
    found, took = raw(front, f"{head}content-type: application/json\r\ncontent-length: 100\r\n\r\n{{".encode())
    assert found.startswith(b"HTTP/1.1 408") and b"request_timeout" in found and took < 9


def test_a_client_that_does_not_read_is_cut_and_its_engine_let_go(front, usual):
    usual.control(pieces=200_000)
    body = json.dumps(ASK | {"stream": True})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALPHA}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", front.port)) as one:
        one.sendall((head + body).encode())
        until(lambda: front.status()["models"]["m"]["running"] == 1)
        until(lambda: front.status()["models"]["m"]["running"] == 0, 10)
    until(lambda: usual.seen()["running"] == 0, 5)


def test_health_and_metrics(front):
    assert front.get("/health").json() == {"status": "ok"}
    assert front.get("/ready").json() == {"ready": True}
    text = front.get("/metrics", ADMIN).text
    assert 'tonnage_replica_up{model="m",release="r1",replica="r1-0"} 1' in text
    assert 'tonnage_requests_total{model="m",status="200",tenant="alpha"}' in text
    assert "tonnage_body_bytes 0\n" in text, "nothing is held when nothing runs"
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+({(\w+="[^"]*",?)+})? [-+\d.e]+(inf)?', line), line
    assert ALPHA not in text


def test_no_traceback_was_logged(front):
    assert "Traceback" not in front.log.read_text(encoding="utf-8")
