"""Answers of the API that are odd in every way: what the connector makes of them, and what is remembered of them."""

# ruff: noqa: E501 - what is drawn from reads best in long lines

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

from bridge.contract import Attempt, Delivered, Event, Outcome, Paused, Rejected, Request, Response, Retry, Uncertain
from bridge.setting_types import Secret
from connectors.hellotext import Hellotext
from tests.fuzz.mutations import mutated, shown

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CANARY = "canary-of-the-fuzzers@example.com"
_MOST_REQUESTS = 12
STATUSES = (100, 200, 200, 200, 201, 201, 202, 204, 206, 299, 301, 302, 307, 400, 401, 402, 403, 404, 404, 405, 407, 408, 409,
            410, 413, 422, 422, 423, 425, 429, 451, 499, 500, 502, 503, 504, 520, 529, 599)  # fmt: skip
BODIES = [
    {"id": "p1", "type": "profile", "email": CANARY}, {"id": 17}, {"id": "s1", "type": "session", "profile": 1},
    {"status": "received"}, {"state": "ok"}, {"status": "queued"}, {"data": [], "total_count": 0}, [],
    {"errors": [{"type": "parameter_invalid", "parameter": "profile", "message": CANARY}]},
    {"errors": [{"type": "parameter_missing", "parameter": "session"}]}, {"errors": {"session": ["is unknown"]}},
    {"error": CANARY}, {"id": None}, {"id": ""}, {"id": True}, {"id": [1]}, {"id": "p\n1"}, {"id": "../../v1/x"}, None, CANARY,
]  # fmt: skip
RAW = [
    b"",
    b"<html><body>Bad gateway</body></html>",
    b"\xff\xfe{}",
    b"[" * 3000,
    b'{"id":' * 900,
    b"1e400",
    b"\x1f\x8b\x08junk",
]
HEADERS = [
    {}, {}, {}, {"retry-after": "5"}, {"retry-after": "-1"}, {"retry-after": "9" * 40}, {"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"},
    {"retry-after": "Fri, 99 Foo 20 99:99"}, {"retry-after": "\udcff"}, {"cf-mitigated": "challenge"}, {"location": "http://elsewhere.example"},
    {"content-type": "text/html"}, {"retry-after": "1.5"}, {"retry-after": ""},
]  # fmt: skip
GIVES = [
    {"person": {"email": CANARY}, "session": "sess-1"}, {"person": {"email": CANARY, "phone": "+15550100"}}, {"session": "sess-1"},
    {"profile": "p9", "session": "sess-1"}, {"person": {"phone": "+15550100"}},
]  # fmt: skip


def response(chance) -> Response:
    """An answer: a good one in one of three, so that conversations go on."""
    if chance.random() < 0.35:
        good = chance.choice(BODIES[:5])
        return Response(status=chance.choice((200, 201)), body=json.dumps(good).encode())
    body = chance.choice(RAW) if chance.random() < 0.2 else json.dumps(chance.choice(BODIES)).encode()
    if body and chance.random() < 0.3:
        body = mutated(body, chance)
    return Response(
        status=chance.choice(STATUSES), headers=chance.choice(HEADERS), body=body, is_whole=chance.random() < 0.95
    )


def tried(chance, count):
    """So many answers, in conversations about drawn events."""
    destination = Hellotext(token=Secret("t0ken"))
    done: Counter[str] = Counter()
    while done["inputs"] < count:
        _conversation(destination, chance, done, count)
    return done


def _conversation(destination, chance, done, count):
    action = chance.choice(("order.placed", "order.confirmed", "refund.received"))
    event = Event(
        rule="r", fact=action, once="[]", at=NOON, give={"action": action, "object": "o1", **chance.choice(GIVES)}
    )
    now = NOON + chance.choice((timedelta(), timedelta(minutes=1), timedelta(days=3)))
    talk = destination.converse(event, Attempt(now=now, first_tried_at=NOON, number=chance.choice((1, 2, 50))))
    heard: list[Response] = []
    request = next(talk)
    for _ in range(_MOST_REQUESTS):
        heard.append(response(chance))
        done["inputs"] += 1
        outcome = _said(talk, request, heard)
        if not isinstance(outcome, Request):
            _judge(outcome, heard)
            done[type(outcome).__name__] += 1
            return
        request = outcome
        if done["inputs"] >= count:
            talk.close()
            return
    raise AssertionError(f"it asks again and again: {shown(heard)}")


def _said(talk, request, heard) -> Request | Outcome:
    """What the conversation says to an answer: a further request, or its end."""
    answer = heard[-1]
    if request.share is not None:
        kept = request.share.keep(answer)
        assert kept is None or answer.status in range(200, 300), f"a refusal is remembered: {shown(answer)}"
        assert kept is None or CANARY.encode() not in kept.body, f"a person is remembered: {shown(answer)}"
    try:
        return talk.send(answer)
    except StopIteration as end:
        return end.value
    except Exception as problem:
        raise AssertionError(f"{type(problem).__name__}: {problem}, at {shown(heard)}") from problem


def _judge(outcome, heard):
    assert isinstance(outcome, Delivered | Rejected | Retry | Uncertain | Paused), f"{outcome!r} for {shown(heard)}"
    assert CANARY not in repr(outcome), f"the outcome names a person: {outcome!r}"
    assert len(repr(outcome)) < 2000, f"the outcome is as long as the answer: {len(repr(outcome))} characters"
    if isinstance(outcome, Delivered):
        last = heard[-1]
        assert last.status in range(200, 300), f"delivered, though it was answered {shown(last)}"
    wait = getattr(outcome, "after", None)
    assert wait is None or timedelta() <= wait <= timedelta(days=1), f"waits for {wait}: {shown(heard[-1])}"
