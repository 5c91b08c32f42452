"""The table of statuses, and what is read from bodies and headers that nobody vouches for."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.contract import Delivered, Moment, Paused, Reason, Rejected, Response, Retry, Uncertain
from bridge.verdicts import Fate
from connectors.hellotext.answers import Answers, described, errors, named, retry_after

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = Moment(now=NOON, first_tried_at=NOON, attempt=1)
ANSWERS = Answers.changed({})


def _ended(status, answers=ANSWERS, body=b""):
    response = Response(status=status, body=body)
    return [type(answers.verdict(response, "POST events", NOW, repeatable=each)) for each in (True, False)]


@pytest.mark.parametrize(
    ("ended", "statuses"),
    [
        ([Delivered, Delivered], (200, 201, 204)),
        ([Rejected, Rejected], (400, 404, 409, 422, 499)),
        ([Paused, Paused], (302, 401, 402, 403, 405, 407)),
        ([Retry, Retry], (425, 429)),
        ([Retry, Uncertain], (0, 103, 408, 500, 504, 599, 999)),
    ],
)
def test_what_becomes_of_a_fact_by_its_status(ended, statuses):
    assert [ended] * len(statuses) == [_ended(status) for status in statuses]


def test_a_page_is_no_yes_and_asks_after_the_url():
    assert [Paused, Paused] == _ended(200, body=b" \n<html>")
    assert "is the setting url right?" in ANSWERS.verdict(Response(status=302), "x", NOW, repeatable=True).detail


def test_a_setting_gives_a_status_another_verdict_and_no_other_status():
    changed = Answers.changed({402: Fate.DEAD, 409: Fate.DELIVERED, 418: Fate.UNCERTAIN, 503: Fate.PAUSED})
    assert [Rejected, Rejected] == _ended(402, changed)
    assert [Delivered, Delivered] == _ended(409, changed)
    assert [Retry, Uncertain] == _ended(418, changed)
    assert [Paused, Paused] == _ended(503, changed)
    assert [Retry, Uncertain] == _ended(500, changed)
    assert "url" not in changed.verdict(Response(status=503), "x", NOW, repeatable=True).detail


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
    outcome = ANSWERS.verdict(Response(status=422, body=body), "POST events", NOW, repeatable=True)
    assert Rejected(Reason.REFUSED, "POST events: 422 ") == Rejected(outcome.reason, outcome.detail.rstrip() + " ")


def test_says_which_of_the_two_a_refusal_is_about():
    body = b'{"errors":[{"type":"profile_mismatch","parameter":"session"},{"type":"invalid","parameter":"amount"}]}'
    assert {"profile", "session"} == named(Response(status=422, body=body))
