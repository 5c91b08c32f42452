"""The table of statuses, and what is read from bodies and headers that nobody vouches for."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.contract import Attempt, Delivered, Paused, Reason, Rejected, Response, Retry, Uncertain
from bridge.status_table import Fate
from connectors.hellotext.answers import EVENT, PROFILE, SESSION, Answers, described, named, retry_after
from connectors.hellotext.bodies import errors, identified, outlined
from connectors.hellotext.strange import STRANGE

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = Attempt(now=NOON, first_tried_at=NOON, number=1)
ANSWERS = Answers.changed({})


def _ended(status, answers=ANSWERS, body=b""):
    response = Response(status=status, body=body)
    if answers.is_yes(response, EVENT):
        return [Delivered, Delivered]
    return [type(answers.outcome(response, EVENT, NOW, repeatable=each)) for each in (True, False)]


@pytest.mark.parametrize(
    ("ended", "statuses"),
    [
        ([Paused, Uncertain], (200, 201, 202, 204, 206, 299)),
        ([Rejected, Rejected], (400, 404, 409, 422, 499)),  # also without a body: the status decides
        ([Paused, Paused], (302, 401, 402, 403, 405, 407)),
        ([Retry, Retry], (425, 429)),
        ([Retry, Uncertain], (0, 103, 408, 500, 504, 599, 999)),
    ],
)
def test_what_becomes_of_a_fact_by_its_status(ended, statuses):
    assert [ended] * len(statuses) == [_ended(status) for status in statuses]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b'{"status":"received"}'),
        (201, b'{"state":"ok"}'),
        (202, b'{"status":"received","note":"more","errors":[],"error":null}'),
    ],
)
def test_an_event_is_delivered_where_the_api_says_so(status, body):
    assert [Delivered, Delivered] == _ended(status, body=body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"null",
        b"[]",
        b"{}",
        b'{"status":"recei',
        b'{"status":"Received"}',
        b'{"status":"error"}',
        b'{"received":true}',
        b'{"id":"x1"}',
        b'{"status":["received"]}',
        b'["received"]',
        b'{"status":"received","errors":[{"type":"invalid"}]}',
        b'{"status":"received","error":"no"}',
        b"[" * 100_000,
        b'{"status":"received"}\xff',
    ],
)
def test_nothing_else_is(body):
    assert [Paused, Uncertain] == _ended(200, body=body)


@pytest.mark.parametrize("name", STRANGE)
def test_no_strange_answer_is_a_yes_to_anything(name):
    reply = STRANGE[name]
    response = Response(
        status=reply.status, headers={"content-type": reply.content_type, **reply.headers}, body=reply.body
    )
    assert [] == [asked.what for asked in (PROFILE, SESSION, EVENT) if ANSWERS.is_yes(response, asked)]
    assert ANSWERS.outcome(response, EVENT, NOW, repeatable=True).reason is Reason.NOT_UNDERSTOOD
    assert identified(response) is None


def test_an_answer_that_was_cut_is_none():
    good = Response(status=200, body=b'{"id":"p1","status":"received"}')
    cut = Response(status=200, body=good.body, is_whole=False)
    assert [True, False] == [ANSWERS.is_yes(each, EVENT) for each in (good, cut)]
    assert "no content type, more than 31 bytes" == outlined(cut)


@pytest.mark.parametrize("body", [b'{"id":true}', b'{"id":null}', b'{"id":""}', b'{"id":[1]}', b'{"id":1.5}'])
def test_what_is_no_id(body):
    assert not ANSWERS.is_yes(Response(status=201, body=body), PROFILE)


def test_of_a_profile_its_id_alone_is_remembered():
    found = Response(status=201, headers={"x": "y"}, body=b'{"id":"p1","email":"ada@example.com"}')
    assert Response(status=201, body=b'{"id":"p1"}') == identified(found)


def test_a_content_type_that_may_hold_anything_is_not_told():
    response = Response(status=200, headers={"content-type": "for/ada@example.com"}, body=b"x")
    assert "an odd content type, 1 bytes" == outlined(response)


def test_a_firewalls_challenge_is_told_from_the_api_whatever_its_status():
    for status in (200, 202, 403, 405, 503):
        response = Response(status=status, headers={"cf-mitigated": "challenge"}, body=b"{}")
        ends = [ANSWERS.outcome(response, EVENT, NOW, repeatable=each) for each in (True, False)]
        assert [(Paused, Reason.NOT_UNDERSTOOD)] * 2 == [(type(end), end.reason) for end in ends]


@pytest.mark.parametrize(
    ("is_answer", "status", "body"),
    [
        (True, 200, b"[]"),
        (True, 200, b'{"data":[]}'),
        (True, 401, b'{"errors":[{"type":"invalid"}]}'),
        (True, 403, b""),
        (True, 429, b""),
        (False, 200, b"OK"),
        (False, 200, b'{"errors":[{"type":"invalid"}]}'),
        (False, 200, b"<html>"),
        (False, 404, b"<html>"),
        (False, 403, b"<html>blocked"),
        (False, 302, b""),
        (False, 204, b""),
        (False, 503, b"{}"),
        (False, 999, b"{}"),
    ],
)
def test_who_answers_the_probe(is_answer, status, body):
    assert is_answer is ANSWERS.is_answer(Response(status=status, body=body))


def test_a_setting_takes_a_status_whatever_the_body_says_but_for_a_page():
    changed = Answers.changed({204: Fate.DELIVERED})
    assert [Delivered, Delivered] == _ended(204, changed)
    assert [Paused, Paused] == _ended(204, changed, body=b"<html>")
    assert not changed.is_yes(Response(status=200, body=b"{}"), EVENT)


def test_a_page_is_no_yes_and_asks_after_the_url():
    assert [Paused, Paused] == _ended(200, body=b" \n<html>")
    assert "is the setting url right?" in ANSWERS.outcome(Response(status=302), EVENT, NOW, repeatable=True).detail


def test_a_setting_gives_a_status_another_verdict_and_no_other_status():
    changed = Answers.changed({402: Fate.DEAD, 409: Fate.DELIVERED, 418: Fate.UNCERTAIN, 503: Fate.PAUSED})
    assert [Rejected, Rejected] == _ended(402, changed)
    assert [Delivered, Delivered] == _ended(409, changed)
    assert [Retry, Uncertain] == _ended(418, changed)
    assert [Paused, Paused] == _ended(503, changed)
    assert [Retry, Uncertain] == _ended(500, changed)
    assert "url" not in changed.outcome(Response(status=503), EVENT, NOW, repeatable=True).detail


@pytest.mark.parametrize(
    ("told", "wait"),
    [
        ("0", 0),
        ("7", 7),
        ("2.5", 2.5),
        (" 3 ", 3),
        ("999999999", 86_400),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30),
        ("Fri, 20 Nov 2026 12:00:30 -0000", 30),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 20 Nov 9999 11:00:00 GMT", 86_400),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_a_day(told, wait):
    response = Response(status=429, headers={"retry-after": told})
    assert timedelta(seconds=wait) == retry_after(response, NOON)


@pytest.mark.parametrize(
    "told", ["", "soon", "-1", "inf", "nan", "1e9", "9" * 400, "Fri, 99 Nov 2026", "\N{ARABIC-INDIC DIGIT FIVE}"]
)
def test_a_retry_after_that_is_neither_is_none(told):
    assert retry_after(Response(status=429, headers={"retry-after": told}), NOON) is None


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"errors":[{"type":"invalid","message":"x","parameter":"amount"}]}', [("invalid", "amount")]),
        (b'{"errors":[{"type":"invalid","description":"x","parameter":"amount"}]}', [("invalid", "amount")]),
        (b'{"error":{"type":"not_found","parameter":"action"}}', [("not_found", "action")]),
        (b'{"errors":{"session":["is not yours"]}}', [("", "session")]),
        (b'{"errors":{"items":[{"type":"invalid"}]}}', [("invalid", "items")]),
        (b'{"errors":[{"type":"invalid","parameter":"items[0].price"}]}', [("invalid", "items[0].price")]),
        (b'{"errors":[{"type":7,"parameter":null}]}', [("", "")]),
        (b'{"error":"ada@example.com is unknown"}', []),
        (b"<html>", []),
        (b"", []),
        (b"[]", []),
        (b'{"errors":[{"ty', []),
        (b"[" * 100_000, []),
    ],
)
def test_errors_are_read_in_every_known_form(body, found):
    assert found == errors(Response(status=422, body=body))


def test_no_more_than_a_few_errors_are_told():
    body = b'{"errors":[' + b",".join([b'{"type":"invalid","parameter":"x"}'] * 1_000) + b"]}"
    assert "422" + " invalid x" * 5 == described(Response(status=422, body=body))


@pytest.mark.parametrize(
    "personal", ["ada@example.com", "+441632960001", "01632960001", "Ada Sample", "x" * 65, "5f0c7f3c"]
)
def test_nothing_personal_is_told(personal):
    body = f'{{"errors":[{{"type":"{personal}","parameter":"{personal}"}}]}}'.encode()
    outcome = ANSWERS.outcome(Response(status=422, body=body), EVENT, NOW, repeatable=True)
    assert Rejected(Reason.REFUSED, "POST events: 422 ") == Rejected(outcome.reason, outcome.detail.rstrip() + " ")


def test_says_which_of_the_two_a_refusal_is_about():
    body = b'{"errors":[{"type":"profile_mismatch","parameter":"session"},{"type":"invalid","parameter":"amount"}]}'
    assert {"profile", "session"} == named(Response(status=422, body=body))
