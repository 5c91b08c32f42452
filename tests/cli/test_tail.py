"""`tail`: orders as they go."""

import asyncio
import json


async def test_each_order_is_told_once_when_it_has_settled(running, typed_beside, order, tmp_path):
    async with running() as bridge:
        before, body = order()
        await bridge.post(body)
        await bridge.settled(before)
        told = asyncio.create_task(typed_beside("tail", "--journal", tmp_path / "journal.db", "--for", 6))
        await asyncio.sleep(2)
        good, bad = await _one_of_each(bridge, order)
        lines = (await told).output.splitlines()
    assert [good, bad] == [line.split("  ")[1] for line in lines], lines
    assert {"order.placed", "order.confirmed"} == set(lines[0].partition("delivered ")[2].split(", "))
    assert "dead" in lines[1]
    assert "refused POST" in lines[1]


async def test_orders_are_selected_by_what_became_of_them(running, typed_beside, order, tmp_path):
    where = ("--journal", tmp_path / "journal.db", "--for", 6)
    async with running() as bridge:
        told = asyncio.create_task(typed_beside("tail", *where, "--state", "dead", "--json"))
        await asyncio.sleep(2)
        _, bad = await _one_of_each(bridge, order)
        (only,) = [json.loads(line) for line in (await told).output.splitlines()]
    assert bad == only["order"]


async def _one_of_each(bridge, order):
    """An order that is delivered, and one that is dead."""
    good, body = order()
    await bridge.post(body)
    await bridge.settled(good)
    await bridge.fail(status=422)
    bad, body = order()
    await bridge.post(body)
    await bridge.settled(bad)
    return good, bad


async def test_what_waits_is_told_after_a_while(running, typed_beside, order, tmp_path):
    async with running() as bridge:
        number, body = order()
        await bridge.post(body)
        await bridge.settled(number)
        await bridge.fail(status=503)
        told = asyncio.create_task(typed_beside("tail", "--journal", tmp_path / "journal.db", "--for", 9))
        await asyncio.sleep(2)
        number, body = order()
        await bridge.post(body)
        (line,) = (await told).output.splitlines()
        await bridge.recover()
    assert number in line
    assert "waiting" in line
