"""Headers are not signed: which delivery it is, whose, and what it tells to do is not decided by them alone."""

import asyncio
import json
import uuid

import pytest

from bridge.config import read
from bridge.contract import State
from bridge.intake.arrivals import rivals_of
from bridge.journal import Selection
from tests.conftest import CONFIG

OTHER = "other.myshopify.com"
SHARED = CONFIG.replace("secrets: [env:SHOPIFY_SECRET]", "secrets: [old, env:SHOPIFY_SECRET]").replace(
    "{example.myshopify.com:", "{other.myshopify.com: {{secrets: [env:SHOPIFY_SECRET]}}, example.myshopify.com:", 1
)


async def _dead(bridge):
    return [fact async for fact in bridge.house.journal.parked(Selection(state=State.DEAD))]


async def _documents(bridge, text):
    return [document["id"] for document in (await bridge.story(text)).documents]


# -- which delivery it is ----------------------------------------------------------------------------------------------


async def test_an_old_body_under_the_id_of_the_next_delivery_swallows_nothing(running, order):
    name, old = order(financial_status="pending")
    new = json.dumps({**json.loads(old), "financial_status": "paid", "updated_at": "2036-01-01T00:00:00Z"}).encode()
    async with running() as bridge:
        for body in (old, new, new, old):
            assert 200 == (await bridge.post(body, topic="orders/updated", delivery_id="chosen"))[0]
        await bridge.settled(name)
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(name)
        first, second = await _documents(bridge, name)
        assert ("chosen", True) == (first, second.startswith("chosen#"))
        url = f"{bridge.private}/status?source=shop&id=chosen"
        async with bridge.session.get(url) as answer:
            assert 2 == len((await answer.json())["seq"])


async def test_two_bodies_with_one_id_at_once_are_two_deliveries(running, order):
    name, old = order(financial_status="pending")
    new = json.dumps({**json.loads(old), "financial_status": "paid"}).encode()
    async with running() as bridge:
        posts = [bridge.post(body, topic="orders/updated", delivery_id="chosen") for body in (old, new) * 3]
        assert [200] * 6 == [status for status, _ in await asyncio.gather(*posts)]
        await bridge.settled(name)
        assert 2 == len(await _documents(bridge, name))
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(name)


async def test_an_unreadable_body_under_a_known_id_is_kept_beside_it(running):
    async with running() as bridge:
        for body in (b"[1]", b"[2]", b"[1]"):
            assert 200 == (await bridge.post(body, delivery_id="chosen"))[0]
        assert {b"[1]", b"[2]"} == {(await bridge.house.journal.document(f.seq)).raw for f in await _dead(bridge)}


# -- whose it is -------------------------------------------------------------------------------------------------------


@pytest.fixture
def shared(running, environ, sandbox, tmp_path):
    """A bridge for two shops that one app's secret signs for."""
    text = SHARED.format(url=sandbox, mode="live", path=tmp_path / "journal.db").replace(
        "[old, env:SHOPIFY_SECRET]", "[env:OLD_SECRET, env:SHOPIFY_SECRET]"
    )
    return lambda: running(read(text, environ={**environ, "OLD_SECRET": "older-than-that"}))


def _of(shop):
    return {"X-Shopify-Shop-Domain": shop}


async def _posted(bridge, body, shop, **more):
    source = bridge.settings.sources["shop"]
    signed = source.sign(body, topic="orders/updated", tenant=OTHER, delivery_id=str(uuid.uuid4()))
    async with bridge.session.post(bridge.door, data=body, headers={**signed, **_of(shop), **more}) as answer:
        return answer.status


async def test_an_order_of_one_shop_is_not_sent_again_as_another_shops(shared, order, log):
    name, body = order(financial_status="paid")
    async with shared() as bridge:
        assert 200 == await _posted(bridge, body, OTHER)
        await bridge.settled(name)
        later = body.replace(b'"paid"', b'"partially_refunded"')
        for each in (body, later, body):
            assert 200 == await _posted(bridge, each, "example.myshopify.com")
        dead = await _dead(bridge)
        assert [("tenant in doubt", "example.myshopify.com")] * 3 == [(fact.reason, fact.tenant) for fact in dead]
        assert f"came for {OTHER} first" in dead[0].detail
        (own,) = await bridge.house.journal.find(name)
        assert OTHER == (await bridge.house.journal.story(own)).tenant
        assert 2 == len(await bridge.actions()), "placed and confirmed, once"
        assert 3 == sum(line["event"] == "delivery.dead" for line in log())
        assert 200 == await _posted(bridge, later, OTHER)
        assert 3 == len(await _dead(bridge))


async def test_an_order_that_comes_for_two_shops_at_once_is_sent_for_one(shared, order):
    name, body = order(financial_status="paid")
    async with shared() as bridge:
        both = (OTHER, "example.myshopify.com")
        assert [200] * 6 == list(await asyncio.gather(*(_posted(bridge, body, shop) for shop in both * 3)))
        await bridge.settled(name)
        dead = await _dead(bridge)
        assert 3 == len(dead)
        assert 1 == len({fact.tenant for fact in dead})
        assert 2 == len(await bridge.actions())


async def test_each_shops_own_orders_go_on(shared, order):
    async with shared() as bridge:
        for shop in (OTHER, "example.myshopify.com"):
            for status in ("pending", "paid"):
                name, body = order(financial_status=status)
                assert 200 == await _posted(bridge, body, shop)
                assert 200 == await _posted(bridge, body, shop)
                story = await bridge.settled(name)
                assert shop == story.tenant
        assert [] == await _dead(bridge)


def test_only_tenants_that_share_a_secret_are_each_others_rivals(environ, tmp_path):
    text = """
sources:
  one:
    connector: shopify
    shops:
      a.myshopify.com: {secrets: [env:ONE, env:TWO]}
      b.myshopify.com: {secrets: [env:TWO]}
      c.myshopify.com: {secrets: [env:THREE]}
  two: {connector: shopify, shops: {d.myshopify.com: {secrets: [env:ONE]}, a.myshopify.com: {secrets: [env:ONE]}}}
destinations: {hellotext: {connector: hellotext, token: env:HELLOTEXT_TOKEN}}
include: [shopify/default]
"""
    secrets = {"ONE": "secret-one", "TWO": "secret-two", "THREE": "secret-three"}
    settings = read(text, environ={**environ, **secrets})
    a, b, d = (f"{letter}.myshopify.com" for letter in "abd")
    assert {("one", a): (b, d), ("one", b): (a,), ("two", d): (a,), ("two", a): (d,)} == rivals_of(settings.sources)


def test_a_shop_that_shares_a_secret_is_a_rival_under_each_of_its_names(environ):
    text = """
sources:
  one:
    connector: shopify
    shops:
      a.myshopify.com: {secrets: [env:SHOPIFY_SECRET], formerly: [b.myshopify.com]}
      c.myshopify.com: {secrets: [env:SHOPIFY_SECRET]}
destinations: {hellotext: {connector: hellotext, token: env:HELLOTEXT_TOKEN}}
include: [shopify/default]
"""
    a, b, c = (f"{letter}.myshopify.com" for letter in "abc")
    assert {("one", b): (c,), ("one", c): (b, a)} == rivals_of(read(text, environ=environ).sources)
