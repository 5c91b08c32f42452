"""A shop's year: 5,000 orders, by webhooks and by a Kafka topic in Debezium's default settings at once. In the end what
the API knows is exact: to the order, the fact, the person and the cent.
"""

import asyncio
import json
import random
from decimal import Decimal

from bridge.config import read
from bridge.contract import State
from bridge.journal import Selection
from tests.kafka import year as years
from tests.kafka.orders import create_topic, produce

ORDERS, ROWS = 4_000, 1_000

CONFIG = """
sources:
  shop: {{connector: shopify, shops: {{example.myshopify.com: {{secrets: [env:SHOPIFY_SECRET]}}}}}}
  table:
    connector: kafka
    brokers: {brokers}
    group: {topic}
    topics:
      {topic}: {{tenant: example.myshopify.com, kind: row, unwrap: debezium, lane: = doc.id}}
    kinds:
      row:
        {{id: integer, customer_email: text, status: text, currency: text, total: text, created_at: integer,
          paid_at: integer}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "{url}"}}
journal: {{path: "{folder}/journal.db", min_free: 0, ballast: 0}}
door: {{host: 127.0.0.1, port: 0}}
private: {{port: 0}}
include: [shopify/default]
rules:
  row_placed:
    for: row
    at: = from_epoch_ms(row.created_at / 1000)
    give:
      action: order.placed
      person?: &person {{email?: = email(row.customer_email)}}
      object_parameters: &order {{reference: = text(row.id), source: table, delivery: deliver, items: []}}
      amount: &total = from_unscaled(row.total, 2)
      currency: = row.currency
  row_confirmed:
    for: row
    when: = has(row.paid_at)
    at: = from_epoch_ms(row.paid_at)
    give:
      {{action: order.confirmed, person?: *person, object_parameters: *order, amount: *total, currency: = row.currency}}
  row_gone:
    for: tombstone
    at: {{assumed: = received_at}}
    give:
      action: order.cancelled
      person?: {{email?: = email(doc.customer_email)}}
      object_parameters: {{reference: = text(doc.id), source: table, delivery: deliver, items: []}}
      amount: 0
      currency: EUR
"""


async def test_the_account_of_a_year_is_exact(cluster, topic, running, sandbox, tmp_path, environ):
    year = years.made(ORDERS, ROWS, random.Random(2026))
    await create_topic(cluster.bootstrap, topic)
    brokers = json.dumps(cluster.bootstrap)
    text = CONFIG.format(brokers=brokers, topic=topic, url=sandbox, folder=tmp_path)
    async with running(read(text, environ=environ)) as bridge:
        await asyncio.gather(
            produce(cluster.bootstrap, topic, year.records), _arrive(bridge, year.changes, random.Random(7))
        )
        await bridge.until(lambda: _has_read(bridge, len(year.changes) + len(year.records)), seconds=120)
        await bridge.until(lambda: _idle(bridge), seconds=240)
        for state in (State.DEAD, State.UNCERTAIN):
            assert [] == [one.detail async for one in bridge.house.journal.parked(Selection(state=state))]
        known = _told(await _listed(bridge, "/v1/attribution/events"), await _listed(bridge, "/v1/profiles"))
    assert year.expected.keys() == known.keys()
    assert [] == [(key, right, known[key]) for key, right in year.expected.items() if known[key] != right]
    assert all(count > ORDERS // 100 for count in year.shapes.values()), year.shapes


async def _listed(bridge, path):
    headers = {"Authorization": "Bearer token-of-the-tests"}
    async with bridge.session.get(f"{bridge.api}{path}?limit=100000", headers=headers) as answer:
        return json.loads(await answer.text(), parse_float=Decimal, parse_int=Decimal)


def _told(events, profiles):
    """(action, reference) to the amount, the pieces and the person, of every event that the API has."""
    persons = {one["id"]: (one["email[primary]"], one.get("phone[mobile]")) for one in profiles}
    found = {}
    for event in events:
        key = (event["action"], event["object_parameters"]["reference"])
        assert key not in found, key
        pieces = sum(item["quantity"] for item in event["object_parameters"].get("items", ()))
        found[key] = Decimal(event["amount"]), pieces, persons[event["profile"]]
    return found


async def _arrive(bridge, changes, chance):
    """Sixteen orders at a time, each in its order; a tenth of the deliveries comes twice."""
    queues = {}
    for order, topic, document in changes:
        queues.setdefault(order, []).append((topic, json.dumps(document).encode()))
    waiting = list(queues.values())[::-1]

    async def post():
        while waiting:
            for topic, body in waiting.pop():
                for _ in range(2 if chance.random() < 0.1 else 1):
                    assert (200, "") == await bridge.post(body, topic=topic)

    await asyncio.gather(*(post() for _ in range(16)))


async def _has_read(bridge, documents):
    return (await bridge.house.journal.stats()).envelopes >= documents


async def _idle(bridge):
    return not (await bridge.house.journal.stats()).waiting
