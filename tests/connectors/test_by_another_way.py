"""Documents of a platform that a topic brings: its rules know their fields, and say the same as of its own door."""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from multidict import CIMultiDict

from bridge.config import read
from bridge.contract import Event, HttpArrival, Record, Verified
from bridge.errors import ConfigurationError

EXAMPLES = Path(__file__).parents[2] / "connectors/shopify/examples"
SHOP = "example.myshopify.com"
AT = datetime(2026, 11, 25, 8, tzinfo=UTC)
DOOR = f"shop: {{connector: shopify, currency: CURRENCY, shops: {{{SHOP}: {{secrets: [env:S], test_orders: TEST}}}}}}"
TOPIC = f"""topic: {{connector: kafka, brokers: ["127.0.0.1:9092"], group: g, TELLS topics:
    {{orders: {{tenant: {SHOP}, lane: = doc.id, version: = time(doc.updated_at), UNWRAP}}}}}}"""
CONFIG = """
sources:
  SOURCE
destinations: {hellotext: {connector: hellotext, token: env:T}}
include: [shopify/default]
"""
ENVIRON = {"S": "s", "T": "t"}
ORDERS = [*sorted(path for path in EXAMPLES.glob("orders/*.json") if "draft" not in path.name), EXAMPLES / "order.json"]


@cache
def _settings(source):
    return read(CONFIG.replace("SOURCE", source), environ=ENVIRON)


def by_topic(value, *, tells="", unwrap=""):
    source = TOPIC.replace("TELLS", tells).replace("UNWRAP", unwrap)
    settings = _settings(source)
    record = Record(source="topic", topic="orders", partition=0, offset=1, timestamp=1, at=AT, key=b"k", value=value)
    with pytest.raises(StopIteration) as ended:
        next(settings.sources["topic"].read(record))
    return settings.rules, ended.value.value


def at_the_door(body, *, currency="shop", test_orders="skip"):
    source = DOOR.replace("CURRENCY", currency).replace("TEST", test_orders)
    settings = _settings(source)
    headers = CIMultiDict({"X-Shopify-Topic": "orders/updated", "X-Shopify-Webhook-Id": "1"})
    arrival = HttpArrival(source="shop", headers=headers, body=body, received_at=AT)
    return settings.rules, settings.sources["shop"].read(arrival, Verified(tenant=SHOP, secret=0))


def events(rules, envelope):
    steps = [] if envelope.reason else rules.apply(envelope, "hellotext")
    return [(step, step.give) for step in steps if isinstance(step, Event)]


@pytest.mark.parametrize("currency", ["shop", "buyer"])
@pytest.mark.parametrize("path", ORDERS, ids=lambda path: path.stem)
def test_an_order_out_of_a_topic_gives_what_it_gives_at_the_door(path, currency):
    (rules, envelope), door = (
        by_topic(path.read_bytes(), tells=f"tells: {{currency: {currency}}},"),
        at_the_door(path.read_bytes(), currency=currency),
    )
    assert events(*door) == events(rules, envelope) != []
    assert (door[1].tenant, door[1].lane, door[1].version) == (envelope.tenant, envelope.lane, envelope.version)


def test_nothing_is_told_of_a_test_order_unless_that_is_wanted():
    order = json.dumps(json.loads((EXAMPLES / "order.json").read_bytes()) | {"test": True}).encode()
    assert [] == events(*at_the_door(order)) == events(*by_topic(order))
    wanted = events(*at_the_door(order, test_orders="send"))
    assert wanted == events(*by_topic(order, tells="tells: {test_orders: send},")) != []


def test_the_fields_of_its_kind_come_with_the_rules_of_a_platform():
    rule = """
rules:
  mine: {for: order, fact: mine, at: = order.created_at, give: {action: order.placed, amount: = order.totl_price}}
"""
    source = TOPIC.replace("TELLS", "").replace("UNWRAP", "")
    with pytest.raises(ConfigurationError) as wrong:
        read(CONFIG.replace("SOURCE", source) + rule, environ=ENVIRON)
    assert "order has no field totl_price: did you mean total_price?" in str(wrong.value)


def test_what_a_source_says_of_its_kind_goes_before_what_the_rules_know():
    source = TOPIC.replace("TELLS", "kinds: {order: {loyalty: {tier: text}, id: text}},").replace("UNWRAP", "")
    rule = """
rules:
  mine: {for: order, fact: mine, at: = order.created_at, give: {action: order.placed, session: = order.loyalty.tier}}
"""
    assert "mine" in read(CONFIG.replace("SOURCE", source) + rule, environ=ENVIRON).rules.written


def test_an_event_of_eventbridge_is_the_order_in_it():
    body = (EXAMPLES / "order.json").read_bytes()
    metadata = {"X-Shopify-Topic": "orders/updated", "X-Shopify-Hmac-SHA256": "c2VjcmV0"}
    event = {"detail-type": "shopifyWebhook", "detail": {"payload": json.loads(body), "metadata": metadata}}
    rules, envelope = by_topic(json.dumps(event).encode(), unwrap="unwrap: eventbridge")
    assert events(*at_the_door(body)) == events(rules, envelope) != []
    told = {"detail-type": "shopifyWebhook", "x-shopify-topic": "orders/updated"}
    assert told == {name: text for name, text in envelope.headers.items() if not name.startswith(":")}
