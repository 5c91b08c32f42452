"""What one document costs is not paid by the others: real door, real journal, real API's stand-in."""

import asyncio
import json
import threading
import uuid
from datetime import UTC, datetime

from bridge.delivery import worker
from bridge.delivery.document import DocumentDelivery
from bridge.mapping import values
from bridge.mapping.rules import Rules

BESIDE = """
rules:
  beside:
    for: order
    to: hellotext
    at: = order.created_at
    fact: beside
    give:
      action: order.placed
      person?: {email?: = email(order.email)}
      object_parameters: {reference: = text(order.id), source: shopify}
      metadata:
        all: {each: = order.line_items, as: line, give: {order: "= order.name + text(line.id)"}}
"""


def line(number, **changed):
    return {"id": number, "quantity": 1, "price": "1.00", "name": "n", "product_id": number, **changed}


async def test_a_name_said_beside_each_of_its_lines_is_one_dead_fact_and_the_others_go_on(
    running, order, settings_for, sandbox
):
    poison, body = order(name="n" * 99_000, line_items=[line(n) for n in range(4_000)])
    number, good = order()
    async with running(settings_for(sandbox, more=BESIDE)) as bridge:
        assert (200, "") == await bridge.post(body)
        assert (200, "") == await bridge.post(good)
        story = await bridge.settled(poison)
        await bridge.settled(number)
        assert {"beside": "dead", "order.placed": "delivered", "order.confirmed": "delivered"} == (
            await bridge.states(poison)
        )
        (dead,) = (fact for fact in story.facts if fact["state"] == "dead")
        assert dead["detail"] == f"rule beside: makes more than {values.BYTES} bytes of this document"
        assert "delivered" == (await bridge.states(number))["order.confirmed"]


async def test_thousands_of_refunds_are_one_dead_fact(running, order, log):
    moved = {"kind": "refund", "status": "success", "amount": "0.01"}
    refund = {"created_at": "2026-11-20T13:30:00Z", "transactions": [moved]}
    number, body = order(refunds=[{"id": n, **refund} for n in range(1_200)])
    async with running() as bridge:
        assert (200, "") == await bridge.post(body)
        story = await bridge.settled(number)
    refunded = [fact for fact in story.facts if fact["fact"] == "refund.received"]
    assert [("dead", f"rule refunded: takes more than {values.STEPS} steps on this document")] == [
        (fact["state"], fact["detail"]) for fact in refunded
    ]
    lines = [line for line in log() if line["event"] == "fact.settled"]
    assert 3 == len(lines)
    assert sum(len(json.dumps(line)) for line in lines) < 3_000


async def test_while_a_heavy_document_is_mapped_the_others_come_and_go(running, order, monkeypatch):
    begun, enough, applied = threading.Event(), threading.Event(), Rules.apply

    def slowly(self, envelope, destination, **named):
        if len(envelope.raw) > worker.LIGHT:
            begun.set()
            assert enough.wait(20)
        return applied(self, envelope, destination, **named)

    monkeypatch.setattr(Rules, "apply", slowly)
    heavy, body = order(line_items=[line(n) for n in range(2_000)])
    number, good = order()
    async with running() as bridge:
        assert (200, "") == await bridge.post(body)
        await asyncio.to_thread(begun.wait, 20)
        assert (200, "") == await bridge.post(good)
        await bridge.settled(number)
        enough.set()
        await bridge.settled(heavy)
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(heavy)


async def test_documents_are_mapped_in_slices_and_the_event_loop_has_its_turn_between_them(running, order, monkeypatch):
    turns, seen, mapped = [0], [], DocumentDelivery.mapped

    def noted(self, claim):
        seen.append(turns[0])
        return mapped(self, claim)

    async def turning():
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(DocumentDelivery, "mapped", noted)
    monkeypatch.setattr(worker, "SLICE", 0.0)
    async with running() as bridge:
        orders = [order() for _ in range(8)]
        source = bridge.settings.sources["shop"]
        turner = asyncio.create_task(turning())
        found = [
            source.found(body, source="shop", tenant="example.myshopify.com", now=datetime.now(UTC))
            for _, body in orders
        ]
        await asyncio.gather(*(bridge.house.journal.append(each) for each in found))
        for number, _ in orders:
            await bridge.settled(number)
        turner.cancel()
    assert 8 == len(seen)
    assert 8 == len(set(seen))


async def test_a_heavy_document_that_waits_for_its_turn_is_kept_when_the_bridge_stops(
    running, order, settings_for, sandbox, monkeypatch
):
    monkeypatch.setattr(worker, "LIGHT", 1)
    settings = settings_for(sandbox)
    orders = [order(note=uuid.uuid4().hex) for _ in range(12)]
    async with running(settings) as bridge:
        await asyncio.gather(*(bridge.post(body) for _, body in orders))
    async with running(settings) as bridge:
        for number, _ in orders:
            await bridge.settled(number)
            assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)
        assert 24 == len(await bridge.actions())
