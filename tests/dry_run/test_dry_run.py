"""Deliveries walked through the rules without a network or a journal: what each rule says, and what would be sent."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from multidict import CIMultiDict

from bridge.contract import HttpArrival, Response
from bridge.dry_run import DryRun, stand_in
from bridge.errors import BridgeError, NotAuthentic

NOW = datetime(2026, 11, 20, 14, tzinfo=UTC)


@pytest.fixture
def settings(settings_for):
    return settings_for("http://127.0.0.1:1")


@pytest.fixture
def arrival(settings):
    """Makes signed deliveries of an order."""

    def make(body, *, topic="orders/create", delivery="1", at=NOW):
        headers = settings.sources["shop"].sign(body, topic=topic, tenant=None, delivery_id=delivery)
        return HttpArrival(source="shop", headers=CIMultiDict(headers), body=body, received_at=at)

    return make


def words(verdicts):
    return {verdict.rule: verdict.word for verdict in verdicts if verdict.rule}


def later(body, **changes):
    """The same order, a minute after that."""
    document = json.loads(body)
    at = datetime.fromisoformat(document["updated_at"]) + timedelta(minutes=1)
    return json.dumps({**document, "updated_at": at.isoformat(), **changes}).encode()


def test_an_order_is_sent_once_and_its_requests_are_shown(settings, arrival, order):
    _, body = order()
    dry_run = DryRun(settings)
    first = dry_run.deliver("shop", arrival(body))
    assert "sent" == words(first)["placed"]
    assert {"/v1/attribution/events"} == {
        urlsplit(verdict.requests[-1].url).path for verdict in first if verdict.word == "sent"
    }
    again = dry_run.deliver("shop", arrival(later(body), topic="orders/updated", delivery="2"))
    assert "already" == words(again)["placed"]


def test_a_delivery_that_comes_twice_is_seen_once(settings, arrival, order):
    _, body = order()
    dry_run = DryRun(settings)
    dry_run.deliver("shop", arrival(body))
    (verdict,) = dry_run.deliver("shop", arrival(body))
    assert ("already", "a duplicate: this id came before") == (verdict.word, verdict.why)


def test_an_older_document_than_the_newest_is_stale(settings, arrival, order):
    _, body = order()
    dry_run = DryRun(settings)
    dry_run.deliver("shop", arrival(later(body), topic="orders/updated"))
    verdicts = dry_run.deliver("shop", arrival(body, delivery="2"))
    assert {"stale"} == {verdict.word for verdict in verdicts}


def test_a_document_of_the_version_that_was_seen_is_not_stale(settings, arrival, order):
    _, body = order()
    dry_run = DryRun(settings)
    dry_run.deliver("shop", arrival(body))
    verdicts = dry_run.deliver("shop", arrival(body, topic="orders/updated", delivery="2"))
    assert "stale" not in {verdict.word for verdict in verdicts}


def test_what_the_api_says_is_what_became_of_it(settings, arrival, order):
    _, body = order()

    def answers(request):
        return Response(status=422) if request.url.endswith("/events") else stand_in(request)

    assert "refused" == words(DryRun(settings, answers).deliver("shop", arrival(body)))["placed"]


def test_what_was_sent_is_listed_by_its_keys(settings, arrival, order):
    number, body = order()
    dry_run = DryRun(settings)
    dry_run.deliver("shop", arrival(body))
    order_of = ("hellotext", "example.myshopify.com", number)
    assert [(*order_of, "order.confirmed", "[]"), (*order_of, "order.placed", "[]")] == list(dry_run.keys())


def test_a_delivery_that_is_not_authentic_is_refused_as_at_the_door(settings, arrival, order):
    _, body = order()
    forged = arrival(body)
    with pytest.raises(NotAuthentic):
        DryRun(settings).deliver(
            "shop", HttpArrival(source="shop", headers=forged.headers, body=b"{}", received_at=NOW)
        )


def test_a_source_that_takes_no_webhooks_is_named(settings, arrival, order):
    _, body = order()
    with pytest.raises(BridgeError, match="till is no source of webhooks; there is: shop"):
        DryRun(settings).deliver("till", arrival(body))
