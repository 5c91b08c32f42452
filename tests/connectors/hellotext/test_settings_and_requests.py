"""The settings that are refused, and the requests as bytes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from bridge.contract import Attempt, Event, Response
from bridge.setting_types import Secret
from connectors.hellotext import Hellotext
from connectors.hellotext.actions import BUILT_IN, CONSENT, GENERATED
from connectors.hellotext.api import usable_session

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = Attempt(now=NOON, first_tried_at=NOON, number=1)


def hellotext(**given) -> Hellotext:
    return Hellotext(**{"token": Secret("t0ken"), **given})


def first_request(give, destination=None):
    event = Event(rule="r", fact="f", once="[]", at=NOON, give={"action": "order.placed", "object": "o1", **give})
    return next((destination or hellotext()).converse(event, NOW))


@pytest.mark.parametrize(
    "url", ["https://api.hellotext.com/", "http://127.0.0.1:8089", "http://localhost:1", "http://[::1]:2"]
)
def test_https_anywhere_and_http_on_this_machine(url):
    assert url.rstrip("/") == hellotext(url=url).url


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("http://api.hellotext.com", r"write https://api\.hellotext\.com"),
        ("http://127.0.0.1.example.com", r"would travel in the clear"),
        ("http://10.0.0.1", r"would travel in the clear"),
        ("api.hellotext.com", r"write the API's address as https://HOST"),
        ("ftp://api.hellotext.com", r"https://HOST"),
        ("https://", r"https://HOST"),
        ("https://[", r"https://HOST"),
        ("https://x:99999", r"https://HOST"),
        ("https://user:pass@api.hellotext.com", r"no password"),
        ("https://api.hellotext.com/?token=x", r"no \?"),
    ],
)
def test_an_address_that_is_not_safe_is_told_how(url, advice):
    with pytest.raises(ValidationError, match=advice):
        hellotext(url=url)


@pytest.mark.parametrize("token", ["two words", "t0ken\n", "caf\u00e9"])
def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(token):
    with pytest.raises(ValidationError) as problem:
        hellotext(token=Secret(token, "env:T"))
    assert token not in str(problem.value)


@pytest.mark.parametrize("name", ["order.placed", *GENERATED, "Warranty.Bought", "bought", "a.b.c", ""])
def test_a_custom_action_is_neither_built_in_nor_generated_nor_misspelt(name):
    with pytest.raises(ValidationError):
        hellotext(actions=[name])


def test_actions_that_may_be_sent_are_the_built_in_and_the_named():
    assert BUILT_IN == hellotext().shape().choices["action"]
    assert (
        BUILT_IN | {"warranty.bought", "subscribed"}
        == hellotext(actions=["warranty.bought", "subscribed"]).shape().choices["action"]
    )
    assert set() == BUILT_IN & (CONSENT | GENERATED)


def test_money_travels_as_the_exact_number():
    request = first_request({"session": "s1", "amount": Decimal("1234567890123456.70"), "currency": "EUR"})
    assert b'"amount":1234567890123456.70,' in request.body


def test_the_time_travels_in_seconds():
    assert b'"tracked_at":1795176000}' in first_request({"session": "s1"}).body


def test_the_token_travels_in_its_header_and_shows_nowhere():
    request = first_request({"session": "s1"})
    assert "Bearer t0ken" == request.headers["Authorization"]
    assert "t0ken" not in repr(request)


@pytest.mark.parametrize(
    "session", ["", " ", "undefined", " NULL ", "null", "a b", "a/b", "..", "x?y", "\u0661", "s" * 129, None, 7]
)
def test_what_is_no_session(session):
    assert usable_session(session) is None


@pytest.mark.parametrize("session", ["5f0c7f3c-0000-4000-8000-000000001042", "WBAkaqNz", " x ", "s" * 128])
def test_what_is_a_session(session):
    assert session.strip() == usable_session(session)


def test_the_same_person_is_asked_for_once_whatever_the_order():
    first = first_request({"person": {"email": "Ada@example.com", "first_name": "Ada"}})
    again = first_request({"person": {"email": "ada@example.com", "first_name": "A."}})
    other = first_request({"person": {"email": "ben@example.com"}})
    assert first.share == again.share
    assert first.share != other.share
    assert timedelta(hours=24) == first.share.ttl


@pytest.mark.parametrize(
    ("status", "body", "kept"),
    [
        (201, b'{"id":"p1","type":"profile","email":"a@example.com"}', b'{"id":"p1"}'),
        (422, b'{"id":"req-7","errors":[{"type":"parameter_invalid","parameter":"phone"}]}', None),
        (500, b'{"id":"req-8"}', None),
        (302, b'{"id":"req-9"}', None),
    ],
)
def test_an_id_is_remembered_of_a_yes_only(status, body, kept):
    share = first_request({"person": {"email": "a@example.com"}}).share
    found = share.keep(Response(status=status, body=body))
    assert kept == (found and found.body)


def test_two_businesses_share_no_key():
    person = {"person": {"email": "ada@example.com"}}
    assert first_request(person).share != first_request(person, hellotext(token=Secret("other"))).share


@pytest.mark.parametrize(
    ("give", "repeatable"),
    [
        ({"profile": "p1"}, True),
        ({"session": "s1"}, False),
        ({"profile": "p1", "action": "refund.received"}, False),
        ({"profile": "p1", "action": "coupon.redeemed"}, False),
    ],
)
def test_only_an_orders_event_with_a_profile_may_be_repeated(give, repeatable):
    assert repeatable is first_request(give).repeatable


def test_an_order_that_is_not_named_may_not_be_repeated():
    event = Event(rule="r", fact="f", once="[]", at=NOON, give={"action": "order.placed", "profile": "p1"})
    assert next(hellotext().converse(event, NOW)).repeatable is False


def test_a_conversation_that_was_closed_asks_nothing_more():
    event = Event(
        rule="r", fact="f", once="[]", at=NOON, give={"action": "order.placed", "profile": "p1", "session": "s"}
    )
    conversation = hellotext().converse(event, NOW)
    next(conversation)
    conversation.close()
    with pytest.raises(StopIteration):
        conversation.send(Response(status=200))
