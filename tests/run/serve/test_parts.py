"""The front's parts without a network: shares, canary, limits, places, reasoning, streams, metrics."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.run.serve import refusals
from tonnage.run.serve.admission import AdmissionGate
from tonnage.run.serve.bound import WaitBound
from tonnage.run.serve.canary import Answered, Canary, surely_above
from tonnage.run.serve.config import CanaryPlan, Slo, Tenant
from tonnage.run.serve.limits import Limits
from tonnage.run.serve.metrics import Metrics
from tonnage.run.serve.reasoning import Splitter, Translator
from tonnage.run.serve.refusals import ApiError
from tonnage.run.serve.shares import ReleaseShares
from tonnage.run.serve.stream import DONE, Events, StreamError, _named

# ---------------------------------------------------------------- shares


@given(st.lists(st.integers(0, 20), min_size=1, max_size=5).filter(any), st.integers(1, 200))
def test_every_release_has_its_share_to_within_one(weights, turns):
    shares = ReleaseShares({str(i): float(weight) for i, weight in enumerate(weights)})
    names = [shares.pick(shares.weights) for _ in range(turns)]
    for name, weight in shares.weights.items():
        assert abs(names.count(name) - turns * weight / sum(weights)) <= len(weights)


def test_five_per_cent_are_every_twentieth_and_none_without_a_weight():
    shares = ReleaseShares({"r1": 95, "r2": 5})
    names = [shares.pick({"r1", "r2"}) for _ in range(40)]
    places = [i for i, name in enumerate(names) if name == "r2"]
    assert len(places) == 2 and places[1] - places[0] == 20
    assert shares.pick({"r1"}) == "r1" and shares.pick(set()) is None
    assert ReleaseShares({"r1": 0}).pick({"r1"}) is None


# ---------------------------------------------------------------- canary

PLAN = CanaryPlan("r2", (0.1, 0.5, 1.0), hold=10.0, answers=4)


def canary(slo=Slo(errors=0.01, late=0.05, ttft=1.0)):  # noqa: B008
    one = Canary(PLAN, slo, {"r1": 60.0, "r0": 40.0, "r2": 0.0})
    one.start(0.0)
    return one


def test_a_step_is_held_for_its_time_and_its_answers():
    one = canary()
    assert one.weights() == pytest.approx({"r1": 0.54, "r0": 0.36, "r2": 0.1})
    assert not one.look(11.0), "no answers yet"
    for _ in range(4):
        one.note(Answered())
    assert not one.look(9.0) and one.look(10.0)
    assert one.weights() == pytest.approx({"r1": 0.3, "r0": 0.2, "r2": 0.5})
    for now in (20.0, 30.0):
        for _ in range(4):
            one.note(Answered())
        assert one.look(now)
    assert one.state == "launched" and one.weights() == {"r1": 0, "r0": 0, "r2": 1}


def test_failures_give_everything_back_with_the_reason():
    one = canary()
    for failed in (True, False, True, False):
        one.note(Answered(failed=failed))
    assert not one.look(1.0), "two are not enough to be sure of"
    one.note(Answered(failed=True))
    assert one.look(1.0) and one.state == "returned"
    assert one.why == "3 of 5 answers failed; the SLO allows 1 %"
    assert one.weights() == pytest.approx({"r1": 0.6, "r0": 0.4, "r2": 0.0})


def test_failures_that_end_first_are_not_all_of_its_answers():
    """A failure takes no time, an answer does: the two that are under way are of the five that were asked for."""
    one = canary()
    for _ in range(3):
        one.note(Answered(failed=True))
    assert one.look(1.0, running=2)
    assert one.why == "3 of 5 answers failed; the SLO allows 1 %"
    one = canary(Slo(errors=0.3, late=1.0, ttft=1.0))
    for _ in range(3):
        one.note(Answered(failed=True))
    assert not one.look(1.0, running=7), "three of ten are not surely more than three of ten"
    assert one.look(1.0, running=0)


def test_late_answers_and_unfinished_ones_give_it_back_too():
    one = canary()
    for _ in range(3):
        one.note(Answered(late=True))
    assert one.look(1.0) and "were late" in one.why
    one = canary()
    for _ in range(200):
        one.note(Answered())
    assert not one.look(1.0, overdue=2)
    assert one.look(1.0, overdue=3), "a hang shows beside the last answers, however many were good before"


def test_what_the_slo_allows_is_allowed():
    one = canary(Slo(errors=0.5, late=1.0, ttft=1.0))
    for number in range(100):
        one.note(Answered(failed=number % 2 == 0, late=True))
        assert not one.breach()


def test_wilsons_bound():
    """Lower end for 3 of 5, one-sided 95 %: (0.6 + 0.27055 - 1.6449 sqrt(0.048 + 0.027056)) / 1.54113 = 0.2725."""
    assert surely_above(3, 5, 0.272) and not surely_above(3, 5, 0.273)
    assert not surely_above(0, 10, 0.0)


# ---------------------------------------------------------------- limits

NOON = 20_000 * 86400.0 + 43200.0


def refused(limits, tenant, tokens, now, day=NOON):
    with pytest.raises(ApiError) as caught:
        limits.grant(tenant, "m", tokens, now, day)
    return caught.value


def test_requests_come_back_evenly():
    limits, tenant = Limits(), Tenant("t", requests_per_minute=2)
    for _ in range(2):
        limits.grant(tenant, "m", 1, 0.0, NOON)
    error = refused(limits, tenant, 1, 0.0)
    assert (error.status, error.kind, error.code, error.retry_after) == (429, "requests", "rate_limit_exceeded", 30.0)
    refused(limits, tenant, 1, 29.9)
    limits.grant(tenant, "m", 1, 30.0, NOON)


def test_tokens_are_promised_and_what_was_not_used_comes_back():
    limits, tenant = Limits(), Tenant("t", tokens_per_minute=1000)
    grant = limits.grant(tenant, "m", 800, 0.0, NOON)
    assert refused(limits, tenant, 300, 0.0).retry_after == pytest.approx(6.0)
    limits.settle(grant, 100)
    limits.settle(grant, 0)
    limits.grant(tenant, "m", 900, 0.0, NOON)
    large = refused(limits, tenant, 1001, 0.0)
    assert large.retry_after is None and "must be reduced" in large.message


def test_a_refused_request_takes_nothing():
    limits, tenant = Limits(), Tenant("t", requests_per_minute=5, tokens_per_minute=10)
    for _ in range(20):
        refused(limits, tenant, 11, 0.0)
    assert limits.of(tenant, 0.0).requests.level == 5


def test_a_days_quota_counts_what_is_promised_and_starts_again():
    limits, tenant = Limits(), Tenant("t", tokens_per_day=100)
    grants = [limits.grant(tenant, "m", 50, 0.0, NOON) for _ in range(2)]
    error = refused(limits, tenant, 1, 0.0)
    assert (error.code, error.retry_after) == ("insufficient_quota", 43200.0)
    for grant in grants:
        limits.settle(grant, 50)
    refused(limits, tenant, 1, 0.0)
    limits.grant(tenant, "m", 100, 0.0, NOON + 43200)


# ---------------------------------------------------------------- places


def test_tenants_take_turns_and_none_fills_the_queue():
    async def run():
        gate, order = AdmissionGate(1, 4, 5.0), []

        async def one(tenant, number):
            try:
                await gate.enter(tenant)
            except ApiError as error:
                order.append(f"{tenant}{number}: {error.code}")
                return
            order.append(f"{tenant}{number}")
            await asyncio.sleep(0)
            gate.leave()

        await gate.enter("a")
        tasks = [asyncio.create_task(one("a", number)) for number in range(5)]
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(one("b", number)) for number in range(2)]
        await asyncio.sleep(0)
        gate.leave()
        await asyncio.gather(*tasks)
        return order, gate

    order, gate = asyncio.run(run())
    assert sorted(order) == [
        "a0",
        "a1",
        "a2: engine_overloaded",
        "a3: engine_overloaded",
        "a4: engine_overloaded",
        "b0",
        "b1",
    ]
    assert [name for name in order if ":" not in name] == ["a0", "b0", "a1", "b1"]
    assert gate.running == 0 and gate.length == 0


def test_who_waits_too_long_or_leaves_holds_no_place():
    async def run():
        gate = AdmissionGate(1, 4, 0.01)
        await gate.enter("a")
        with pytest.raises(ApiError):
            await gate.enter("a")
        leaver = asyncio.create_task(gate.enter("b"))
        await asyncio.sleep(0)
        gate.leave()
        leaver.cancel()
        await asyncio.gather(leaver, return_exceptions=True)
        return gate.running, gate.length

    assert asyncio.run(run()) == (0, 0)


# ---------------------------------------------------------------- reasoning

TEXTS = {
    "tags": ("tags", "<think>a<b</think>\n\nc", ("a<b", "c")),
    "tags after space": ("tags", "\n<think>\na</think>c", ("a", "c")),
    "no tags": ("tags", "c </think> d", ("", "c </think> d")),
    "open": ("open", "a</think>c", ("a", "c")),
    "open with its tag": ("open", "<think>a</think>c", ("a", "c")),
    "never closed": ("open", "a</thin", ("a</thin", "")),
    "another tag": ("tags", "<thing>", ("", "<thing>")),
    "a beginning of a tag": ("tags", "<thi", ("", "<thi")),
    "apart already": ("no", "<think>a</think>c", ("", "<think>a</think>c")),
}


@pytest.mark.parametrize("case", TEXTS)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_reasoning_is_set_apart_however_the_text_is_cut(case, size):
    think, text, expected = TEXTS[case]
    translator, found = Translator(think), ["", ""]
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    for number, piece in enumerate(pieces):
        last = "stop" if number == len(pieces) - 1 else None
        body = {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": last}]}
        translator.delta(body)
        delta = body["choices"][0]["delta"]
        found[0] += delta.get("reasoning_content", "")
        found[1] += delta.get("content") or ""
    assert tuple(found) == expected
    body = {"choices": [{"message": {"content": text}}]}
    Translator(think).message(body)
    message = body["choices"][0]["message"]
    assert (message.get("reasoning_content", ""), message["content"]) == expected


@given(st.text("<>/thinkab ", max_size=20), st.text("<>/thinkab ", max_size=20), st.integers(1, 5))
def test_no_text_is_lost_but_the_tag(before, after, size):
    text = f"x{before}</think>{after}"
    splitter = Splitter(True)
    parts = [splitter.feed(text[start : start + size]) for start in range(0, len(text), size)] + [splitter.rest()]
    expected = text.partition("</think>")
    assert ("".join(a for a, _ in parts), "".join(b for _, b in parts)) == (expected[0], expected[2])


def test_both_names_are_given():
    for name, other in (("reasoning", "reasoning_content"), ("reasoning_content", "reasoning")):
        body = {"choices": [{"message": {"content": "c", name: "a"}}]}
        Translator("no").message(body)
        assert body["choices"][0]["message"][other] == "a"
    body = {"choices": [None, {"message": None}, {"message": {"content": None}}]}
    Translator("open").message(body)


# ---------------------------------------------------------------- streams


def passed(text, size, **options):
    events = Events(Translator(options.get("think", "no")), options.get("wants_usage", False))
    out = b"".join(events.feed(text[i : i + size]) for i in range(0, len(text), size)) + events.end()
    return out, events


def event(**body):
    return b"data: " + json.dumps(body).encode() + b"\n\n"


PIECE = event(choices=[{"index": 0, "delta": {"content": 'hi \\ "usage": {} [x]'}, "finish_reason": None}])
LAST = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
USAGE = event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 4})


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_a_stream_passes_however_it_is_cut(size, end):
    text = (b": ping\n\n" + PIECE + PIECE + LAST + USAGE + DONE).replace(b"\n\n", end)
    out, events = passed(text, size)
    assert b"usage" not in out.replace(PIECE.replace(b"\n\n", end), b"").replace(PIECE, b"")
    assert out.count(b"hi ") == 2 and out.endswith(DONE) and out.count(DONE) == 1
    assert events.usage == (3, 4) and events.pieces == 3 and events.done
    assert USAGE.replace(b" ", b"") in passed(text, size, wants_usage=True)[0].replace(b" ", b"")


def test_what_has_nothing_to_change_passes_byte_for_byte():
    assert Events(Translator("no"), False).feed(PIECE + PIECE) == PIECE + PIECE


@pytest.mark.parametrize(
    "text",
    [PIECE, b"", PIECE + b"data: {", event(error={"message": "x"}), event(error="x"), b"data: nonsense [DONE]\n\n"],
    ids=["unfinished", "empty", "cut", "error", "error as text", "no json"],
)
def test_a_stream_that_is_none_is_an_error(text):
    with pytest.raises(StreamError):
        passed(text, 10_000)


@pytest.mark.parametrize("think", ["no", "open"])
def test_an_error_that_comes_together_with_pieces_comes_after_them(think):
    piece, error = (
        b'data: {"choices": [{"delta": {"content": "</think>a"}}]}\n\n',
        b'data: {"error": {"code": 500}}\n\n',
    )
    events = Events(Translator(think), False)
    assert b"a" in events.feed(piece + error + piece) and events.pieces
    with pytest.raises(StreamError, match="the engine said an error"):
        events.check()
    alone = Events(Translator(think), False)
    with pytest.raises(StreamError, match="the engine said an error"):
        alone.feed(error + piece)
    alone.check()


def test_a_finished_stream_is_closed():
    assert passed(PIECE + LAST, 10_000)[0].endswith(DONE)


def test_an_event_without_end_is_not_kept():
    events = Events(Translator("no"), False)
    with pytest.raises(StreamError, match="without end"):
        for _ in range(10):
            events.feed(b"x" * 1_000_000)


# ---------------------------------------------------------------- refusals, metrics


def test_refusals_of_engines_in_every_shape():
    shapes = {
        b'{"error": {"message": "m", "code": 400, "param": "p"}}': ("m", None, "p"),
        b'{"message": "m", "code": "c"}': ("m", "c", None),
        b'{"detail": [{"msg": "m"}]}': ("[{'msg': 'm'}]", None, None),
        b'{"error": "m"}': ("m", None, None),
        b"<html>": ("refused by the engine", None, None),
        b"[" * 100_000: ("refused by the engine", None, None),
    }
    for content, expected in shapes.items():
        error = refusals.from_replica(422, content)
        assert (error.message, error.code, error.param) == expected
    assert (
        len(json.loads(refusals.from_replica(400, b'{"message": "%s"}' % (b"x" * 9000)).body())["error"]["message"])
        == 1000
    )


def test_metrics_in_prometheus_text():
    one = Metrics()
    one.count("tonnage_requests_total", model='a"b\\c\n', status="200")
    one.time("tonnage_ttft_seconds", 0.02, model="m")
    text = one.text({"tonnage_running": {(("model", "m"),): 2}})
    assert 'tonnage_requests_total{model="a\\"b\\\\c\\n",status="200"} 1\n' in text
    assert 'tonnage_ttft_seconds_bucket{model="m",le="0.01"} 0\n' in text
    assert 'tonnage_ttft_seconds_bucket{model="m",le="0.025"} 1\n' in text
    assert 'tonnage_ttft_seconds_bucket{model="m",le="+Inf"} 1\ntonnage_ttft_seconds_sum{model="m"} 0.02\n' in text
    assert '# TYPE tonnage_running gauge\ntonnage_running{model="m"} 2\n' in text


# ---------------------------------------------------------------- streams at speed


@pytest.mark.parametrize(
    "text", ["because ", '"reasoning":"', "\\", "\\\\", 'a\\"b', "line\nline", "é☃", "", '},"reasoning_content":1']
)
@pytest.mark.parametrize("delta", [{}, {"role": "assistant"}, {"role": "assistant", "content": ""}, {"content": None}])
def test_a_piece_of_reasoning_gets_its_other_name_without_being_read(text, delta):
    body = {"id": "x", "choices": [{"index": 0, "delta": {**delta, "reasoning": text}, "finish_reason": None}]}
    for separators in ((",", ":"), (", ", ": ")):
        event = b"data: " + json.dumps(body, separators=separators).encode()
        named = _named(event)
        slow = Events(Translator("no"), wants_usage=False)._event(event)
        assert json.loads(slow[6:])["choices"][0]["delta"]["reasoning_content"] == text
        if named is not None:
            assert json.loads(named[6:]) == json.loads(slow[6:]) and named.endswith(b"}\n\n")
    assert named is not None or '"reasoning' in json.dumps(text)


@pytest.mark.parametrize(
    "more", [{"usage": {"prompt_tokens": 1, "completion_tokens": 2}}, {"error": {"message": "no"}}, {"reasoning": 1}]
)
def test_a_piece_with_more_to_it_is_read(more):
    body = {"choices": [{"index": 0, "delta": {"reasoning": "a"}}], **more}
    assert _named(b"data: " + json.dumps(body).encode()) is None


def test_one_timer_bounds_each_of_many_waits():
    async def waits(*seconds: float) -> int:
        done = 0
        async with WaitBound(0.1) as bound:
            for one in seconds:
                bound.begin()
                await asyncio.sleep(one)
                bound.end()
                await asyncio.sleep(0.06)  # not bound
                done += 1
        return done

    assert asyncio.run(waits(0.03, 0.03, 0.03)) == 3
    with pytest.raises(TimeoutError):
        asyncio.run(waits(0.01, 0.01, 5.0))

    async def cancelled() -> None:
        task = asyncio.create_task(waits(5.0))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
