"""The table of statuses, and what is read from bodies and headers that nobody vouches for."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.contract import Moment, Paused, Reason, Rejected, Response, Retry, Uncertain
from connectors.hellotext.answers import TABLE, Meaning, described, errors, meaning, named, retry_after, verdict

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = Moment(now=NOON, first_tried_at=NOON, attempt=1)
OUTCOMES = {
    Meaning.REFUSED: (Rejected, Rejected),
    Meaning.NOT_ALLOWED: (Paused, Paused),
    Meaning.ELSEWHERE: (Paused, Paused),
    Meaning.NOT_NOW: (Retry, Retry),
    Meaning.UNKNOWN: (Retry, Uncertain),
}


@pytest.mark.parametrize(("status", "said"), [each for each in TABLE.items() if each[1] is not Meaning.ACCEPTED])
def test_every_status_of_the_table_has_its_outcome(status, said):
    ended = [type(verdict(Response(status=status), "POST events", NOW, repeatable=each)) for each in (True, False)]
    assert list(OUTCOMES[said]) == ended


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (200, Meaning.ACCEPTED),
        (201, Meaning.ACCEPTED),
        (204, Meaning.ACCEPTED),
        (302, Meaning.ELSEWHERE),
        (400, Meaning.REFUSED),
        (401, Meaning.NOT_ALLOWED),
        (403, Meaning.NOT_ALLOWED),
        (404, Meaning.REFUSED),
        (408, Meaning.UNKNOWN),
        (409, Meaning.REFUSED),
        (422, Meaning.REFUSED),
        (429, Meaning.NOT_NOW),
        (500, Meaning.UNKNOWN),
        (504, Meaning.UNKNOWN),
        (0, Meaning.UNKNOWN),
        (103, Meaning.UNKNOWN),
        (999, Meaning.UNKNOWN),
    ],
)
def test_what_a_status_means(status, said):
    assert said is meaning(Response(status=status))


def test_a_page_is_no_yes():
    assert Meaning.ELSEWHERE is meaning(Response(status=200, body=b" \n<html>"))


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
    outcome = verdict(Response(status=422, body=body), "POST events", NOW, repeatable=True)
    assert Rejected(Reason.REFUSED, "POST events: 422 ") == Rejected(outcome.reason, outcome.detail.rstrip() + " ")


def test_says_which_of_the_two_a_refusal_is_about():
    body = b'{"errors":[{"type":"profile_mismatch","parameter":"session"},{"type":"invalid","parameter":"amount"}]}'
    assert {"profile", "session"} == named(Response(status=422, body=body))
