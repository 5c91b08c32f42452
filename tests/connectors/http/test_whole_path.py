"""Orders along the whole path to a generic destination: what is shown, and what is the same at every attempt."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from multidict import CIMultiDict

from bridge.config import read
from bridge.contract import HttpArrival
from bridge.dry_run import DryRun
from bridge.dry_run.request_text import as_json, lines
from bridge.errors import ConfigurationError

ORDER = Path(__file__).parents[3] / "connectors/webhook/examples/order.json"
CONFIGURATION = """
door: {host: 127.0.0.1}
sources:
  shop: {connector: webhook, open: true, shops: {a.example: {}}, lane: = doc.id}
destinations:
  crm:
    connector: http
    url: https://api.example.com
    path: /orders/{give.id}
    authentication: {AUTHENTICATION}
    idempotency_key: Idempotency-Key
    event: {fields: {id: text, total: money}, required: [id]}
rules:
  placed: {for: order, fact: order.placed, at: = order.at, give: {id: = text(order.id)}}
"""
BY_HEADER = "{header: X-Api-Key, secret: env:KEY}"
BY_QUERY = "{query: api_key, secret: env:KEY}"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def settings_of(authentication=BY_HEADER, **changes):
    text = CONFIGURATION.replace("{AUTHENTICATION}", authentication)
    for before, after in changes.values():
        text = text.replace(before, after)
    return read(text, environ={"KEY": "s3cret"})


def sent(settings, order, delivery):
    body = json.dumps({"id": order, "delivery": delivery, "at": "2026-11-20T12:00:00Z"}).encode()
    arrival = HttpArrival(source="shop", headers=CIMultiDict(), body=body, received_at=NOON)
    (verdict,) = DryRun(settings).deliver("shop", arrival)
    return verdict


@pytest.mark.parametrize("authentication", [BY_HEADER, BY_QUERY])
def test_no_secret_is_shown(authentication):
    verdict = sent(settings_of(authentication), 1, 1)
    (request,) = verdict.requests
    assert "s3cret" in {**request.headers, **request.secret_query}.values()
    shown = json.dumps(as_json(verdict)) + "".join(lines([verdict])) + repr(verdict)
    assert "https://api.example.com/orders/1" in shown
    assert "s3cret" not in shown


def test_the_key_names_the_fact_whatever_delivery_brings_it():
    settings = settings_of()
    keys = [
        sent(settings, order, delivery).requests[0].headers["Idempotency-Key"]
        for order, delivery in ((1, 1), (1, 2), (2, 3))
    ]
    assert keys[0] == keys[1] != keys[2]
    assert 32 == len(keys[0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("give: {id: = text(order.id)}", "give: {total: 1}"), "id must be given"),
        (("give: {id: = text(order.id)}", "give: {id: = text(order.id), totl: 1}"), "total"),
    ],
)
def test_rules_are_checked_against_the_described_event(change, said):
    with pytest.raises(ConfigurationError, match=said):
        settings_of(change=change)
