"""One order through all rooms."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import pytest

from bridge import service
from bridge.fact_names import Renamed


@pytest.mark.parametrize("fast", [True, False], ids=["inside aiohttp", "by its public interface"])
async def test_an_order_reaches_the_api_once_as_every_fact_that_it_states(running, settings_for, sandbox, order, fast):
    number, body = order()
    settings, how = settings_for(sandbox), {"fast": fast}
    door, delivery = settings.door.model_copy(update=how), settings.delivery.model_copy(update=how)
    async with running(replace(settings, door=door, delivery=delivery)) as bridge:
        assert (200, "") == await bridge.post(body)
        story = await bridge.settled(number)
        assert ["order.placed", "order.confirmed"] == await bridge.actions()
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)
        assert 1 == len(story.documents)
        events = await bridge.received()
        assert {number} == {event["body"]["object_parameters"]["reference"] for event in events}
        assert ["Bearer ***"] * 2 == [event["headers"]["Authorization"] for event in events]


async def test_the_api_is_told_the_version_of_the_program_that_asks(running, order):
    number, body = order()
    async with running() as bridge:
        await bridge.post(body)
        await bridge.settled(number)
        expected = {f"attribution-bridge/{version('attribution-bridge')}"}
        assert expected == {request["headers"]["User-Agent"] for request in await bridge.received("/v1/")}


async def test_money_arrives_as_the_digits_that_the_platform_sent(running, order):
    number, body = order(total_price="1234567890123.45")
    async with running() as bridge:
        await bridge.post(body)
        await bridge.settled(number)
        async with bridge.session.get(f"{bridge.api}/received") as answer:
            assert '"amount":1234567890123.45' in (await answer.text()).replace(" ", "")


async def test_a_delivery_that_comes_twice_is_answered_200_twice_and_sent_once(running, order):
    number, body = order()
    async with running() as bridge:
        assert (200, "") == await bridge.post(body, delivery_id="the same")
        assert (200, "") == await bridge.post(body, delivery_id="the same")
        story = await bridge.settled(number)
        assert 1 == len(story.documents)
        assert ["order.placed", "order.confirmed"] == await bridge.actions()


async def test_other_topics_with_the_same_document_add_no_fact(running, order):
    number, body = order()
    async with running() as bridge:
        for topic in ("orders/create", "orders/paid", "orders/updated"):
            assert (200, "") == await bridge.post(body, topic=topic)
        story = await bridge.settled(number)
        assert ["order.placed", "order.confirmed"] == await bridge.actions()
        assert {"already"} <= {skip["reason"] for skip in story.skips}


async def test_an_order_that_is_cancelled_later_gives_the_third_fact(running, order):
    now = datetime.now(UTC)
    number, body = order(updated_at=now.isoformat())
    later = body.replace(b'"cancelled_at": null', f'"cancelled_at": "{now.isoformat()}"'.encode())
    later = later.replace(now.isoformat().encode(), (now + timedelta(seconds=9)).isoformat().encode())
    async with running() as bridge:
        await bridge.post(body)
        await bridge.post(later, topic="orders/cancelled")
        await bridge.settled(number)
        assert ["order.placed", "order.confirmed", "order.cancelled"] == await bridge.actions()


async def test_an_older_document_that_comes_late_gives_nothing(running, order):
    now = datetime.now(UTC)
    number, newer = order(updated_at=now.isoformat(), financial_status="pending")
    older = newer.replace(b'"pending"', b'"paid"').replace(
        now.isoformat().encode(), (now - timedelta(seconds=60)).isoformat().encode()
    )
    async with running() as bridge:
        await bridge.post(newer)
        await bridge.settled(number)
        await bridge.post(older)
        story = await bridge.settled(number)
        assert ["order.placed"] == await bridge.actions()
        assert "stale" in {skip["reason"] for skip in story.skips}


async def test_a_topic_that_no_rule_knows_is_stored_and_skipped(running):
    async with running() as bridge:
        assert (200, "") == await bridge.post(b'{"id": 7, "name": "x"}', topic="products/update", delivery_id="d-7")

        async def skipped():
            async with bridge.session.get(f"{bridge.private}/status", params={"source": "shop", "id": "d-7"}) as told:
                return (await told.json()).get("skipped")

        assert ["no rule"] == [verdict["reason"] for verdict in await bridge.until(skipped)]
        assert [] == await bridge.received()


async def test_a_test_order_is_skipped_and_says_so(running, order):
    number, body = order(test=True)
    async with running() as bridge:
        assert (200, "") == await bridge.post(body)
        story = await bridge.settled(number)
        assert ["test order"] == [skip["reason"] for skip in story.skips]
        assert [] == await bridge.received()


async def test_compliance_requests_are_kept_and_parked_until_somebody_carries_them_out(running):
    body = b'{"shop_id": 1, "shop_domain": "example.myshopify.com", "customer": {"id": 7}, "orders_to_redact": []}'
    async with running() as bridge:
        assert (200, "") == await bridge.post(body, topic="customers/redact", delivery_id="r-1")
        (lane,) = await bridge.house.journal.find_delivery("shop", "r-1")
        story = await bridge.house.journal.story(lane)
        assert [("dead", "not carried out yet")] == [(fact["state"], fact["reason"]) for fact in story.facts]


async def test_shadow_mode_writes_nothing_and_holds_every_key(running, order):
    number, body = order()
    async with running(mode="shadow") as bridge:
        await bridge.post(body)
        await bridge.settled(number)
        assert {"order.placed": "shadowed", "order.confirmed": "shadowed"} == await bridge.states(number)
        assert [] == [line for line in await bridge.received("/") if line["method"] != "GET"]
    async with running(mode="live") as bridge:
        await bridge.post(body)
        await bridge.settled(number)
        assert [] == await bridge.received()


async def test_an_order_without_contact_or_session_is_skipped_for_want_of_identity(running, order):
    nobody = {"email": "", "contact_email": None, "phone": None, "customer": None, "note_attributes": []}
    number, body = order(**nobody, billing_address=None, shipping_address=None, landing_site=None, line_items=[])
    async with running() as bridge:
        await bridge.post(body)
        story = await bridge.settled(number)
        assert {"no identity"} <= {skip["reason"] for skip in story.skips}
        assert [] == story.facts


async def test_a_fact_that_is_renamed_stops_the_start_until_its_former_name_is_said(
    running, settings_for, sandbox, order
):
    number, body = order()
    renamed = "rules: {placed: {fact: order.made%s}}\n"
    async with running() as bridge:
        await bridge.post(body)
        await bridge.settled(number)
    with pytest.raises(Renamed, match=r"write `formerly: order\.placed` in its rule"):
        await service.serve(settings_for(sandbox, more=renamed % ""), service.Shutdown())
    async with running(settings_for(sandbox, more=renamed % ", formerly: order.placed")) as bridge:
        await bridge.post(body, topic="orders/updated")
        await bridge.settled(number)
        assert ["order.placed", "order.confirmed"] == await bridge.actions()


async def test_a_destination_that_is_renamed_stops_the_start(running, settings_for, sandbox, order):
    number, body = order()
    async with running() as bridge:
        await bridge.post(body)
        await bridge.settled(number)
    settings = settings_for(sandbox)
    renamed = replace(settings, destinations={"other": settings.destinations["hellotext"]})
    with pytest.raises(Renamed, match=r"call it hellotext again, or every order would be sent again"):
        await service.serve(renamed, service.Shutdown())


async def test_a_rule_that_fails_parks_its_own_fact_and_a_later_document_heals_it(running, order):
    now = datetime.now(UTC)
    number, whole = order(updated_at=now.isoformat())
    broken = whole.replace(b'"total_price": "99.00"', b'"total_price": null').replace(b'"total_price_set"', b'"none"')
    broken = broken.replace(now.isoformat().encode(), (now - timedelta(seconds=5)).isoformat().encode())
    async with running() as bridge:
        await bridge.post(broken)
        story = await bridge.settled(number)
        assert {"order.placed": "dead", "order.confirmed": "dead"} == await bridge.states(number)
        assert {"rule failed"} == {fact["reason"] for fact in story.facts}
        assert "order.total_price" in story.facts[0]["detail"]
        assert [] == await bridge.received()
        await bridge.post(whole, topic="orders/updated")
        story = await bridge.settled(number)
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)
        assert "healed" in {skip["reason"] for skip in story.skips}
