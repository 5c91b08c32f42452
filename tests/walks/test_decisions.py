"""What a person decides about orders that are claimed and wait in the worker's memory, in both journals."""

import json

import pytest

from bridge.config import read
from bridge.contract import State
from bridge.journal import Erasure, Selection
from tests.conftest import CONFIG, SHOP


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request, sandbox, environ, tmp_path):
    """Of a bridge with a journal of this kind."""
    text = CONFIG.format(url=sandbox, mode="live", path=tmp_path / "journal.db")
    if request.param == "postgres":
        place = request.getfixturevalue("postgres_place")
        head, _, rest = text.partition("journal: {")
        journal = f"{{kind: postgres, url: env:DATABASE, schema: {place.schema}}}"
        text = f"{head}journal: {journal}\n{rest.partition('}')[2].lstrip()}"
        environ = {**environ, "DATABASE": place.dsn}
    return read(text, environ=environ)


async def _paused(bridge):
    async with bridge.session.get(f"{bridge.private}/status") as answer:
        return (await answer.json())["destinations"][0]["state"] == "paused"


async def _waits_in_memory(bridge, lane):
    journal = bridge.house.journal
    if journal.is_shared:
        return ("hellotext", lane) in journal._lease.in_flight
    return lane in journal._ready["hellotext"].in_flight


async def _claimed_while_paused(bridge, order, bodies):
    """The destination is paused by another order; these are claimed, and nothing is sent of them."""
    await bridge.fail(status=401)
    number, body = order()
    await bridge.post(body)
    await bridge.until(lambda: _paused(bridge))
    for body in bodies:
        await bridge.post(body, topic="orders/updated")
    lanes = [(await bridge.house.journal.find(str(json.loads(body)["id"])))[0] for body in bodies]
    for lane in lanes:
        await bridge.until(lambda lane=lane: _waits_in_memory(bridge, lane))
    return number


async def _sent(bridge):
    """Whose orders the API has seen since it is well."""
    return {line["body"].get("object_parameters", {}).get("reference") for line in await bridge.received()}


async def test_who_is_erased_while_an_order_waits_in_memory_is_never_sent(running, settings, order):
    (erased, body), (kept, other) = order(), order()
    async with running(settings) as bridge:
        first = await _claimed_while_paused(bridge, order, [body, other])
        await bridge.house.journal.erase(Erasure(tenant=SHOP, orders=(erased,)))
        await bridge.recover()
        for number in (first, kept):
            await bridge.settled(number)
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(kept)
        (lane,) = await bridge.house.journal.find(erased)
        await bridge.until(lambda: _is_free(bridge, lane))
        assert {} == await bridge.states(erased)
        accepted = [line for line in await bridge.received() if line["status"] in (200, None)]
        assert accepted
        assert erased not in json.dumps(accepted)
        assert kept in json.dumps(accepted)


async def _is_free(bridge, lane):
    return not await _waits_in_memory(bridge, lane)


async def test_what_is_dropped_while_its_order_waits_in_memory_is_not_delivered_later(running, settings, order):
    number, body = order(currency="no currency")
    good = json.dumps({**json.loads(body), "currency": "EUR"}).encode()
    async with running(settings) as bridge:
        await bridge.post(body)
        await bridge.settled(number)
        refs = [fact.ref async for fact in bridge.house.journal.parked(Selection(state=State.DEAD))]
        assert refs
        first = await _claimed_while_paused(bridge, order, [good])
        assert len(refs) == await bridge.house.journal.drop(refs)
        await bridge.recover()
        await bridge.settled(first)
        await bridge.settled(number)
        assert {"dropped"} == set((await bridge.states(number)).values())
