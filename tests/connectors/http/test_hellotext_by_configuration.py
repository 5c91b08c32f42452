"""An event for Hellotext that needs one request only: written for the generic destination, it is the same request."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from bridge.contract import Attempt, Event, Response
from connectors.hellotext import Hellotext
from connectors.http import Http

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ENVIRON = {"environ": {"TOKEN": "s3cret"}}
BY_CONFIGURATION = {
    "url": "https://api.hellotext.com/v1",
    "path": "/attribution/events",
    "authentication": {"bearer": "env:TOKEN"},
    "template": {
        "action": "{give.action}",
        "profile?": "{give.profile}",
        "session?": "{give.session}",
        "object?": "{give.object}",
        "object_parameters?": "{give.object_parameters}",
        "amount?": "{give.amount}",
        "currency?": "{give.currency}",
        "metadata?": "{give.metadata}",
        "tracked_at": "{at:seconds}",
    },
    "receipt": {"equal": {"status": "received"}, "absent": ["errors", "error"]},
}
ITEMS = [{"product": {"reference": "45", "name": "Linen shirt"}, "quantity": 2, "price": {"amount": Decimal("36.00")}}]
ORDER = {
    "action": "order.placed",
    "object_parameters": {"reference": "6042", "items": ITEMS},
    "amount": Decimal("99.00"),
    "currency": "EUR",
}
GIVEN = [
    ({"session": "5f0c7f3c-1042", **ORDER}, False),
    ({"profile": "bzwL2QNo", **ORDER}, True),
    ({"session": "5f0c7f3c-1042", "action": "order.confirmed", "object": "o1", "metadata": {"a": "b"}}, False),
]
ANSWERS = [
    Response(status=200, body=b'{"status":"received"}'),
    Response(status=200, body=b'{"status":"received","errors":[{"type":"x"}]}'),
    *(Response(status=status) for status in (200, 302, 400, 401, 404, 422, 429, 500, 503)),
    Response(status=200, body=b"<html>"),
]


def asked(destination, give):
    event = Event(rule="placed", fact="order.placed", once="[]", at=NOON, give=give)
    return destination.converse(event, Attempt(now=NOON, first_tried_at=NOON, number=1, key="k"))


def both(*, repeatable):
    by_configuration = Http.model_validate({**BY_CONFIGURATION, "repeatable": repeatable}, context=ENVIRON)
    return Hellotext.model_validate({"token": "env:TOKEN"}, context=ENVIRON), by_configuration


@pytest.mark.parametrize(("give", "repeatable"), GIVEN)
def test_it_makes_the_same_request(give, repeatable):
    ours, configured = (next(asked(destination, give)) for destination in both(repeatable=repeatable))
    for part in ("method", "url", "headers", "body", "repeatable"):
        assert getattr(ours, part) == getattr(configured, part), part


@pytest.mark.parametrize(("give", "repeatable"), GIVEN)
@pytest.mark.parametrize("response", ANSWERS)
def test_each_answer_means_the_same(give, repeatable, response):
    outcomes = []
    for destination in both(repeatable=repeatable):
        talk = asked(destination, give)
        next(talk)
        with pytest.raises(StopIteration) as end:
            talk.send(response)
        outcomes.append(end.value.value)
    ours, configured = outcomes
    assert (type(ours), getattr(ours, "reason", None)) == (type(configured), getattr(configured, "reason", None))
