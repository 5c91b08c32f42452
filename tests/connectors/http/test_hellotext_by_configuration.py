"""Hellotext by configuration: the generic destination makes the same requests as the connector."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from bridge.contract import Attempt, Event, Response
from bridge.dry_run import DryRun, cases
from bridge.dry_run.deliveries import settings_of
from bridge.dry_run.request_text import decoded
from bridge.errors import Refusal
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


CONNECTORS = Path(__file__).parents[3] / "connectors"
CASES = [*cases.found(CONNECTORS / "shopify/examples/cases"), *cases.found(CONNECTORS / "woocommerce/examples/cases")]


@cache
def the_connector_and_the_recipe(path):
    """Settings by which cases are run, and the same with the recipe as their destination."""
    settings = settings_of(path)
    recipe = settings_of(CONNECTORS / "http/examples/cases-hellotext/bridge.yaml").destinations["hellotext"]
    return settings, replace(settings, destinations={**settings.destinations, "hellotext": recipe})


def told(case, settings):
    dry_run = DryRun(settings)
    return [verdict for delivery in case.deliveries for verdict in walked(delivery, dry_run, settings)]


def walked(delivery, dry_run, settings):
    try:
        return delivery.walk(dry_run, settings)
    except Refusal:
        return []


def said(request):
    body = None if request.body is None else decoded(request.body)
    return request.method, request.url, body, request.headers, request.repeatable


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parents[2].name}-{folder.name}")
def test_the_recipe_makes_the_same_requests_for_every_order(folder):
    settings, configured = the_connector_and_the_recipe(folder.parent / "bridge.yaml")
    case = cases.read(folder, settings)
    ours, theirs = told(case, settings), told(case, configured)
    assert [(each.fact, each.once, each.word) for each in ours] == [
        (each.fact, each.once, each.word) for each in theirs
    ]
    assert [said(request) for each in ours for request in each.requests] == [
        said(request) for each in theirs for request in each.requests
    ]
