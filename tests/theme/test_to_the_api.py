"""The whole way: from the cookie of a visitor to the event at the API."""

import json

from tests.theme.storefront import CART_ONLY


async def _event(running, body, number):
    """What the API received when the order was placed."""
    async with running() as bridge:
        assert (200, "") == await bridge.post(body)
        await bridge.settled(number)
        (placed,) = [each for each in await bridge.received() if each["body"]["action"] == "order.placed"]
        return placed["body"]


def _ordered(order, *, note_attributes, properties):
    """The document of an order that was checked out so; nothing else in it holds a session."""
    number, body = order(note_attributes=note_attributes, landing_site="/")
    document = json.loads(body)
    for line in document["line_items"]:
        line["properties"] = []
    document["line_items"][0]["properties"] = properties[0]
    return number, json.dumps(document).encode()


async def test_the_session_of_a_cart_stands_in_the_event(walk, running, order):
    visit = await walk(snippet=CART_ONLY)
    await visit.open("/products/lamp")
    await visit.click("#add", to_a_page=True)
    session = await visit.carried()
    await visit.click("#checkout", to_a_page=True)
    number, body = _ordered(order, **visit.shop.orders[0])
    assert session == (await _event(running, body, number))["session"]


async def test_the_session_of_what_is_bought_now_stands_in_the_event(walk, running, order):
    visit = await walk()
    await visit.open("/products/lamp")
    await visit.visitor.leading_to_a_page(visit.click("#buy-now"))
    number, body = _ordered(order, **visit.shop.orders[0])
    assert await visit.session() == (await _event(running, body, number))["session"]


async def test_without_the_snippet_the_event_has_no_session(walk, running, order):
    visit = await walk(snippet="")
    await visit.open("/products/lamp")
    await visit.click("#add", to_a_page=True)
    await visit.click("#checkout", to_a_page=True)
    number, body = _ordered(order, **visit.shop.orders[0])
    assert "session" not in await _event(running, body, number)
